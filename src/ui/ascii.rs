//! What is drawn on a terminal that may show nothing but ASCII: the finished picture, cell by cell.

use ratatui::buffer::Buffer;

/// What a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbols {
    /// All of Unicode.
    Unicode,
    /// ASCII alone.
    Ascii,
}

impl Symbols {
    /// Those of a terminal by the locale (`LC_ALL`, else `LC_CTYPE`, else `LANG`) and by `TERM`.
    #[must_use]
    pub fn of_terminal(locale: &str, term: &str) -> Self {
        let locale = locale.to_ascii_lowercase();
        let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        if is_utf8 && term != "dumb" { Self::Unicode } else { Self::Ascii }
    }

    /// Replaces what the terminal does not show. Each cell keeps its place and its style.
    pub fn spell(self, buffer: &mut Buffer) {
        if self == Self::Unicode {
            return;
        }
        for cell in &mut buffer.content {
            if !cell.symbol().is_ascii() {
                let character = cell.symbol().chars().next().map_or(' ', spelt);
                cell.set_char(character);
            }
        }
    }
}

/// What looks or means most like them, for characters that the screen draws. In borders thick is
/// where keys go, and double is over the panes.
const SPELT: [(&str, char); 22] = [
    ("─╌┄┈–—‐‑−▔▎▍", '-'),
    ("━═▇▆▅▄▋▌‖", '='),
    ("│┃║┊┆╎▏▕", '|'),
    ("█▉▊▓▒", '#'),
    ("▃▂▁░", '_'),
    ("●◉•★■", '*'),
    ("○◌□☐", 'o'),
    ("◷◐⏳✉", '@'),
    ("✗✘×☒", 'x'),
    ("✓✔☑↓▼▾", 'v'),
    ("→▶▸›»⇧␉", '>'),
    ("←◀◂‹«⏎⌫", '<'),
    ("↑▲▴␍", '^'),
    ("␊", '$'),
    ("␀", '0'),
    ("·", '.'),
    ("…", '~'),
    ("“”„″", '"'),
    ("‘’‚′", '\''),
    ("Δ", 'd'),
    // The key of TLS.
    ("⚿", 'T'),
    ("\u{a0}", ' '),
];

/// What turns while the relay is at work, in its order, and what turns instead.
const TURNING: (&str, &str) = ("⣾⣽⣻⢿⡿⣟⣯⣷", "|/-\\|/-\\");

/// The character of ASCII for another one.
fn spelt(character: char) -> char {
    let (turning, instead) = TURNING;
    let turned = turning.chars().zip(instead.chars()).find(|(one, _)| *one == character);
    let known = || SPELT.iter().find(|(from, _)| from.contains(character)).map(|(_, to)| *to);
    match turned.map(|(_, to)| to).or_else(known) {
        Some(to) => to,
        None if ('\u{2500}'..='\u{257f}').contains(&character) => '+',
        None => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn a_terminal_shows_unicode_if_its_locale_says_so_and_it_is_not_dumb() {
        for (locale, term, symbols) in [
            ("C.UTF-8", "xterm", Symbols::Unicode),
            ("de_DE.utf8", "xterm-256color", Symbols::Unicode),
            ("C.UTF-8", "dumb", Symbols::Ascii),
            ("C", "xterm", Symbols::Ascii),
            ("en_US.ISO-8859-1", "xterm", Symbols::Ascii),
            ("", "xterm", Symbols::Ascii),
        ] {
            assert_eq!(Symbols::of_terminal(locale, term), symbols, "{locale} {term}");
        }
    }

    #[test]
    fn each_cell_becomes_one_of_ascii() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "╭─┐│● é日 …x", Style::new());
        Symbols::Ascii.spell(&mut buffer);
        let line: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(line, "+-+|* ??  ~x");
    }
}
