use super::*;
use proptest::prelude::*;

/// A message whose parts each test changes.
struct Sample {
    mailbox: &'static str,
    uid: &'static str,
    octets: u64,
    unread: bool,
    from: Addresses,
    to: Addresses,
    cc: Addresses,
    subject: &'static str,
    headers: Vec<(String, String)>,
    texts: Vec<String>,
    has_attachment: bool,
}

fn addresses(address: &str, text: &str) -> Addresses {
    Addresses { addresses: vec![address.to_owned()], texts: vec![text.to_owned()] }
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            mailbox: "bob",
            uid: "9e10",
            octets: 2_048,
            unread: true,
            from: addresses("Alice@Example.org", "Älice Wonder <Alice@Example.org>"),
            to: Addresses {
                addresses: vec!["bob@localhost".to_owned(), "list@x".to_owned()],
                texts: vec!["The List <list@x>".to_owned()],
            },
            cc: Addresses::default(),
            subject: "Welcome to Straße 5",
            headers: vec![
                ("Subject".to_owned(), "Welcome to Straße 5".to_owned()),
                ("X-Tag".to_owned(), "one".to_owned()),
                ("x-tag".to_owned(), "two".to_owned()),
            ],
            texts: vec!["Hello Bob,\nclick https://x/confirm/1\n".to_owned()],
            has_attachment: false,
        }
    }
}

impl Sample {
    fn fields(&self) -> Fields<'_> {
        Fields {
            mailbox: self.mailbox,
            uid: self.uid,
            octets: self.octets,
            unread: self.unread,
            from: &self.from,
            to: &self.to,
            cc: &self.cc,
            subject: self.subject,
            headers: &self.headers,
            texts: &self.texts,
            has_attachment: self.has_attachment,
        }
    }

    #[track_caller]
    fn is(&self, line: &str) -> bool {
        Query::parse(line).unwrap().matches(&self.fields())
    }
}

#[track_caller]
fn is(line: &str) -> bool {
    Sample::default().is(line)
}

fn wrong(line: &str) -> String {
    Query::parse(line).unwrap_err().to_string()
}

#[test]
fn equal_is_equal_without_regard_to_case() {
    assert!(is("from=alice@example.org") && is("from=ALICE") && !is("from=ali"));
    assert!(is("to=bob") && is("to=bob@localhost") && is("to=list") && !is("to=bob@x"));
    assert!(is("subject=\"welcome TO STRASSE 5\"") && !is("subject=Welcome"));
    assert!(is("user=BOB") && is("user=bob@localhost") && !is("user=bo"));
    assert!(is("uid=9E10") && !is("uid=9e"));
    assert!(is("header:X-TAG=TWO") && !is("header:x-tag=three") && !is("header:none="));
    assert!(is("!cc=x") && !is("cc="));
}

#[test]
fn contains_looks_at_names_as_well() {
    assert!(is("from~älice") && is("from~wonder") && is("from~@EXAMPLE") && !is("from~bob"));
    assert!(is("to~\"the list\"") && is("subject~strasse") && is("body~hello"));
    assert!(is("header:subject~elcome") && is("header:x-tag~") && !is("header:y~"));
    assert!(is("uid~e1") && is("user~o"));
}

#[test]
fn expressions_fold_case_only_if_they_say_so() {
    assert!(is("subject~/^Welcome/") && !is("subject~/^welcome/") && is("subject~/^welcome/i"));
    assert!(is(r"body~/https:\/\/x\/confirm/") && is("body~/https://x/confirm/[0-9]/"));
    assert!(is("subject~/to Stra.e 5$/ from~alice") && !is("subject~/to Stra.e 5$/ from~bob"));
    assert!(is("!subject~/x y/i") && !is("body~/^click/") && is("body~/(?m)^click/"));
}

#[test]
fn sizes_mean_more_and_fewer() {
    assert!(is("larger=2047") && !is("larger=2048") && !is("larger=2K"));
    assert!(is("smaller=2049") && !is("smaller=2k") && is("smaller=1M"));
}

#[test]
fn words_of_their_own() {
    assert!(is("unread") && !is("!unread") && !is("has=attachment") && is("!has=attachment"));
    let read = Sample { unread: false, has_attachment: true, ..Sample::default() };
    assert!(read.is("!unread has=attachment") && !read.is("unread"));
}

#[test]
fn the_first_word_is_the_user() {
    assert!(is("bob") && is("bob@localhost subject~welcome") && !is("Bob") && !is("alice"));
    assert_eq!(Query::parse("bob unread").unwrap().user(), Some("bob"));
    assert_eq!(Query::parse("unread").unwrap().user(), None);
    assert_eq!(Query::parse("  ").unwrap().user(), None);
    assert!(is(""));
}

#[test]
fn several_arguments_are_one_line() {
    let words = ["bob".to_owned(), "subject~Welcome from=alice".to_owned(), "unread".to_owned()];
    let query = Query::of_words(&words).unwrap();
    assert!(query.matches(&Sample::default().fields()));
    assert_eq!(query.terms.len(), 3);
}

#[test]
fn what_is_looked_at_is_known_beforehand() {
    let needs = |line: &str| {
        let query = Query::parse(line).unwrap();
        (query.needs_body(), query.needs_uid())
    };
    assert_eq!(needs("bob subject~x larger=3"), (false, false));
    assert_eq!(needs("body~x uid=1"), (true, true));
    assert_eq!(needs("!has=attachment"), (true, false));
    let may = |line: &str| Query::parse(line).unwrap().may_mean_mailbox("bob");
    assert!(may("to=x") && may("bob to=x") && may("user=BOB") && may("!user=alice"));
    assert!(!may("alice") && !may("user=alice") && !may("!user~o"));
}

#[test]
fn quotes_may_hold_anything() {
    let sample = Sample { subject: r#"a "b" \c = d"#, ..Sample::default() };
    assert!(sample.is(r#"subject="a \"b\" \\c = d""#) && sample.is(r#"subject~"\c =""#));
    assert!(sample.is("subject=\"a \\\"b\\\" \\c = d\" unread"));
}

#[test]
fn what_is_wrong_is_one_sentence_with_a_way_out() {
    for (line, part) in [
        ("sbject=x", "did you mean subject?"),
        ("Subject=x", "did you mean subject?"),
        ("zzz=x", "use from, to, cc"),
        ("bob urnead", "did you mean unread?"),
        ("bob jim", "\"jim\" is no term"),
        ("=x", "use from, to"),
        ("header:=x", "header:NAME=VALUE"),
        ("larger~3", "larger=10K"),
        ("smaller=x", "smaller=10K"),
        ("has=attachments", "did you mean"),
        ("has~attachment", "has=attachment"),
        ("unread=1", "write unread"),
        ("subject=\"x", "closing double quote"),
        ("subject=\"x\"y", "put a blank"),
        ("subject~/x", "closing slash"),
        ("subject~/x/y", "closing slash"),
        ("subject~/(/", "not a regular expression"),
        ("subject~/a{9999999}/", "not a regular expression"),
        ("bob !!unread", "no term"),
    ] {
        let sentence = wrong(line);
        assert!(sentence.contains(part) && !sentence.contains('\n'), "{line}: {sentence}");
    }
    assert_eq!(Query::parse(&"x".repeat(QUERY_MOST + 1)).unwrap_err(), QueryError::TooLong);
    assert_eq!(wrong(&"to=x ".repeat(101)), QueryError::TooMany(100).to_string());
}

#[test]
fn an_expression_alone_stands_between_slashes() {
    assert!(between_slashes("/Confirm/i").unwrap().is_match("x/confirm"));
    assert!(between_slashes("/a b/").unwrap().is_match("a b"));
    assert!(between_slashes("confirm").is_err() && between_slashes("/x/ y").is_err());
}

proptest! {
    #[test]
    fn any_line_is_a_query_or_an_error(line in ".{0,80}") {
        if let Ok(query) = Query::parse(&line) {
            let _ = query.matches(&Sample::default().fields());
        }
    }

    #[test]
    fn any_value_in_quotes_is_found_equal_and_contained(value in "[^\u{0}]{0,20}") {
        let quoted = value.replace('\\', r"\\").replace('"', r#"\""#);
        let headers = vec![("X".to_owned(), value)];
        let sample = Sample { headers, ..Sample::default() };
        for line in [format!("header:x=\"{quoted}\""), format!("header:x~\"{quoted}\"")] {
            prop_assert!(sample.is(&line), "{}", line);
            prop_assert!(!sample.is(&format!("!{line}")), "{}", line);
        }
    }

    #[test]
    fn terms_are_joined_by_and(which in prop::collection::vec(any::<bool>(), 0..6)) {
        let line = which.iter().map(|is| if *is { "unread " } else { "!unread " });
        prop_assert_eq!(is(&line.collect::<String>()), which.iter().all(|is| *is));
    }
}
