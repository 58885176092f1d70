//! Which scenarios are meant by names and patterns.

use crate::wire::glob::Glob;

/// No scenario has this name, or one like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

/// Those of `all` that are meant, in their order and each once; all of them if nothing is named.
///
/// # Errors
///
/// If a name or a pattern means none.
pub fn chosen<'a>(all: &[&'a str], named: &[String]) -> Result<Vec<&'a str>, Unknown> {
    if named.is_empty() {
        return Ok(all.to_vec());
    }
    let globs: Vec<Glob> = named.iter().map(|named| Glob::of(named)).collect();
    let none = globs.iter().position(|glob| !all.iter().any(|name| glob.matches(name)));
    if let Some(none) = none.and_then(|none| named.get(none)) {
        return Err(Unknown(none.clone()));
    }
    let is_meant = |name: &&&str| globs.iter().any(|glob| glob.matches(name));
    Ok(all.iter().filter(is_meant).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_choose_in_the_order_of_the_catalogue() {
        let all = ["busy", "tls-cut", "tls-ca", "lie"];
        let chosen = |named: &[&str]| {
            chosen(&all, &named.iter().map(|&named| named.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap(), all);
        assert_eq!(chosen(&["lie", "tls-*"]).unwrap(), ["tls-cut", "tls-ca", "lie"]);
        assert_eq!(chosen(&["*-c?", "TLS-CA"]).unwrap(), ["tls-ca"]);
        assert_eq!(chosen(&["bussy"]), Err(Unknown("bussy".into())));
        assert_eq!(chosen(&["x*"]), Err(Unknown("x*".into())));
    }
}
