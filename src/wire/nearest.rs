//! Did you mean? The known word that is nearest to one that is not known.

/// From which likeness on, of 0 to 1, a word is offered: what clap offers for its own words.
const LEAST: f64 = 0.7;

/// The most similar of `known`, if any is similar.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &'a str| (strsim::jaro(word, known), known);
    let likely = known.into_iter().map(likeness).filter(|(likeness, _)| *likeness > LEAST);
    likely.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_none_if_all_are_far() {
        let known = ["smtp-port", "pop3-port", "echo-port", "domain"];
        assert_eq!(nearest("smpt-port", known), Some("smtp-port"));
        assert_eq!(nearest("doman", known), Some("domain"));
        assert_eq!(nearest("xyz", known), None);
    }
}
