//! Makes HTML from messages safe for a browser: the page fetches nothing and runs nothing.

use std::borrow::Cow;

use memchr::memchr_iter;

/// The beginning of each page. Its Content Security Policy forbids fetching, scripts and forms;
/// links still work when they are clicked.
const HEAD: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
    style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
    <meta http-equiv=\"x-dns-prefetch-control\" content=\"off\">\n\
    <meta name=\"referrer\" content=\"no-referrer\">\n";

/// Elements that the policy does not cover (redirects, DNS prefetching), and those that it does, in
/// case a browser does not support it.
const UNWANTED: [&str; 9] =
    ["meta", "link", "base", "script", "iframe", "frame", "object", "embed", "form"];

/// A page made of these pieces of HTML, which are UTF-8.
#[must_use]
pub(super) fn harmless(html: &[String]) -> String {
    let pieces: Vec<Cow<'_, str>> = html.iter().map(|html| without_unwanted(html)).collect();
    format!("{HEAD}{}\n", pieces.join("\n<hr>\n"))
}

/// Renames the unwanted elements to ones that no browser knows. Every place where a browser would
/// recognise one begins with `<` and its name.
fn without_unwanted(html: &str) -> Cow<'_, str> {
    let octets = html.as_bytes();
    let is_unwanted = |at: &usize| {
        let name = octets.get(at + 1..).unwrap_or_default();
        UNWANTED.iter().any(|unwanted| {
            name.get(..unwanted.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(unwanted.as_bytes()))
        })
    };
    let mut harmless = String::new();
    let mut from = 0;
    for at in memchr_iter(b'<', octets).filter(is_unwanted) {
        harmless.push_str(html.get(from..=at).unwrap_or_default());
        harmless.push_str("x-");
        from = at + 1;
    }
    if from == 0 {
        return Cow::Borrowed(html);
    }
    harmless.push_str(html.get(from..).unwrap_or_default());
    Cow::Owned(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fetches_nothing_and_leads_nowhere() {
        let html = "<html><META http-equiv=refresh content='0;url=https://t.example'>\
                    <link rel=dns-prefetch href=//t.example><p>é</p></script>";
        let page = harmless(&[html.to_owned()]);
        let (head, body) = page.split_once("no-referrer\">\n").unwrap();
        assert!(head.contains("default-src 'none'") && head.find("Policy") < head.find("referrer"));
        assert_eq!(
            body,
            "<html><x-META http-equiv=refresh content='0;url=https://t.example'>\
             <x-link rel=dns-prefetch href=//t.example><p>é</p></script>\n"
        );
    }

    #[test]
    fn several_texts_are_one_page() {
        let page = harmless(&["<p>one".to_owned(), "two".to_owned()]);
        assert!(page.ends_with("<p>one\n<hr>\ntwo\n"));
    }
}
