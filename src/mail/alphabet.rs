//! Which characters an address may hold: ASCII (RFC 5321 section 4.1.2), or UTF-8 as well (RFC 6531
//! section 3.3).

/// The characters that an address may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Alphabet {
    /// ASCII alone.
    #[default]
    Ascii,
    /// ASCII, and all of Unicode that can be seen. Normalisation is the writer's affair: texts that
    /// differ in it are different addresses.
    Utf8,
}

impl Alphabet {
    /// Whether a character beyond ASCII may stand wherever a letter may.
    #[must_use]
    pub fn has(self, character: char) -> bool {
        self == Self::Utf8 && is_visible_beyond_ascii(character)
    }

    /// Whether a character beyond ASCII may stand in a label of a domain (RFC 5890 section
    /// 2.3.2.1): also none that mapping would turn into the dot or another character of ASCII.
    #[must_use]
    pub fn has_in_labels(self, character: char) -> bool {
        self.has(character) && !becomes_ascii(character)
    }
}

/// Whether a character beyond ASCII can be seen and changes nothing around it: no control
/// character (C1 too), blank, invisible or direction-changing one, none without a meaning of its
/// own (private, unassigned planes), and not the sign for broken UTF-8.
fn is_visible_beyond_ascii(character: char) -> bool {
    !character.is_ascii()
        && !character.is_control()
        && !character.is_whitespace()
        && !is_invisible(character)
        && !is_meaningless(character)
}

/// Joiners (U+200C and U+200D) and variation selectors stay: whole scripts and emoji need them.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
    )
}

const fn is_meaningless(character: char) -> bool {
    // The last two of each plane are no characters.
    character as u32 & 0xfffe == 0xfffe
        || matches!(
            character,
            '\u{e000}'..='\u{f8ff}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{fff0}'..='\u{ffff}'
                | '\u{40000}'..='\u{10ffff}'
        )
}

const fn becomes_ascii(character: char) -> bool {
    matches!(
        character,
        '\u{2024}'..='\u{2026}' | '\u{3002}' | '\u{fe52}' | '\u{ff01}'..='\u{ff5e}' | '\u{ff61}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_are_there_and_what_cannot_be_seen_is_not() {
        for character in "éß用дα한ہ\u{94d}\u{200d}😀\u{fe0f}".chars() {
            assert!(Alphabet::Utf8.has(character), "{character:?}");
            assert!(!Alphabet::Ascii.has(character), "{character:?}");
        }
        for character in "a\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{a0}\u{ad}\u{200b}\u{202e}\u{2028}\
                          \u{2066}\u{3000}\u{feff}\u{fffd}\u{fffe}\u{e000}\u{e0041}\u{10ffff}"
            .chars()
        {
            assert!(!Alphabet::Utf8.has(character), "{character:?}");
        }
    }

    #[test]
    fn no_label_holds_a_dot_in_disguise() {
        for character in "\u{3002}\u{ff0e}\u{ff61}\u{ff20}\u{2024}".chars() {
            assert!(!Alphabet::Utf8.has_in_labels(character), "{character:?}");
        }
        assert!(Alphabet::Utf8.has_in_labels('ü'));
    }
}
