use super::*;
use crate::store::directory::Durability;
use tempfile::TempDir;

/// A server at localhost with mailboxes.
struct Office {
    directory: Directory,
    dir: TempDir,
    rules: RecipientRules,
}

impl Office {
    fn of(users: &[&str], rules: RecipientRules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Durability::Unsynced).unwrap();
        for user in users {
            directory.create(user).unwrap();
        }
        Self { directory, dir, rules }
    }

    /// What becomes of a path, of a client that may relay: `name`, `new name (room)`, `name for
    /// address`, `queue`, or the refusal.
    fn decide(&self, path: &str) -> String {
        let (path, rest) = ForwardPath::take(path).unwrap();
        assert_eq!(rest, "");
        let Self { directory, rules, .. } = self;
        let told = |recipient: &Recipient| match &recipient.redirected {
            Some(address) => format!("{} for {address}", recipient.user.name()),
            None => recipient.user.name().to_owned(),
        };
        let resolver = Resolver { rules, ours: "localhost", directory };
        match resolver.decide(&path, || Relaying::Allowed) {
            Ok(Destination::Mailbox(recipient)) => told(&recipient),
            Ok(Destination::NewMailbox { recipient, room }) => {
                assert_eq!(recipient.made_below, Some(rules.mailboxes_most));
                format!("new {} ({room})", told(&recipient))
            }
            Ok(Destination::Queue(mailbox)) => format!("queue {mailbox}"),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[track_caller]
    fn is(&self, path: &str, decision: &str) {
        assert_eq!(self.decide(path), decision, "{path}");
    }
}

fn catch_all() -> RecipientRules {
    RecipientRules { catch_all: Some("catch".into()), ..RecipientRules::default() }
}

fn accept_any() -> RecipientRules {
    RecipientRules { accept_any: true, mailboxes_most: 5, ..RecipientRules::default() }
}

#[test]
fn by_default_mail_is_for_those_who_have_a_mailbox_or_for_the_queue() {
    let office = Office::of(&["linhphan", "zives"], RecipientRules::default());
    office.is("<linhphan@localhost>", "linhphan");
    office.is("<zives@[127.0.0.1]>", "zives");
    for unknown in [
        "<Linhphan@localhost>",
        "<linhphan+tag@localhost>",
        "<mqueue@localhost>",
        "<\"a b\"@localhost>",
        "<postmaster>",
        "<nobody@[IPv6:::1]>",
    ] {
        office.is(unknown, "NoSuchUser");
    }
    office.is("<anna@Example.com>", "queue anna@Example.com");
    office.is("<anna@#12>", "queue anna@#12");
}

#[test]
fn a_client_that_may_not_relay_is_denied_other_domains_only() {
    let office = Office::of(&[], catch_all());
    let rules = &RecipientRules::default();
    let resolver = Resolver { rules, ours: "localhost", directory: &office.directory };
    let anna = || ForwardPath::take("<anna@b.org>").unwrap().0;
    assert_eq!(resolver.decide(&anna(), || Relaying::Denied), Err(Refusal::RelayingDenied));
    let resolver = Resolver { rules: &office.rules, ..resolver };
    assert!(resolver.decide(&anna(), || Relaying::Denied).is_ok());
}

#[test]
fn what_is_for_nobody_here_is_caught() {
    let office = Office::of(&["linhphan", "catch"], catch_all());
    office.is("<linhphan@localhost>", "linhphan");
    office.is("<catch@localhost>", "catch");
    for address in [
        "nobody@localhost",
        "anna@example.com",
        "mqueue@localhost",
        "\"a b\"@localhost",
        "\"../x\"@localhost",
        "linhphan@example.com",
        "a@#12",
    ] {
        office.is(&format!("<{address}>"), &format!("catch for {address}"));
    }
    office.is("<@a,@b:nobody@LocalHost>", "catch for nobody@LocalHost");
    office.is("<Postmaster>", "catch for postmaster");
}

#[test]
fn exact_text_is_not_told_for_whom_it_was() {
    let office = Office::of(&["catch"], RecipientRules { exact_text: true, ..catch_all() });
    office.is("<anna@example.com>", "catch");
}

#[test]
fn the_mailbox_for_all_that_is_caught_is_made_again() {
    let office = Office::of(&[], catch_all());
    let path = ForwardPath::take("<anna@example.com>").unwrap().0;
    let resolver =
        Resolver { rules: &office.rules, ours: "localhost", directory: &office.directory };
    let decision = resolver.decide(&path, || Relaying::Allowed);
    let Ok(Destination::Mailbox(recipient)) = decision else { panic!("{decision:?}") };
    assert_eq!(recipient.made_below, Some(usize::MAX));
}

#[test]
fn each_new_recipient_gets_a_mailbox_while_there_is_room() {
    let office = Office::of(&["linhphan"], accept_any());
    office.is("<linhphan@localhost>", "linhphan");
    office.is("<zoe@localhost>", "new zoe (4)");
    office.is("<Anna@Example.COM>", "new Anna@example.com (4)");
    office.is("<postmaster>", "new postmaster (4)");
    for illegal in [
        "<mqueue@localhost>",
        "<\"a b\"@localhost>",
        "<\"a@b\"@c.org>",
        "<mqueue@c.org>",
        "<a@[192.0.2.1]>",
    ] {
        office.is(illegal, "NoLegalName");
    }
    for nth in 0..4 {
        std::fs::write(office.dir.path().join(format!("u{nth}@b.mbox")), "").unwrap();
    }
    office.is("<zoe@localhost>", "new zoe (0)");
    office.is("<u1@B>", "u1@b");
}

#[test]
fn with_both_options_mailboxes_are_made_first_and_the_rest_is_caught() {
    let rules = RecipientRules { accept_any: true, ..catch_all() };
    let office = Office::of(&["catch"], rules);
    office.is("<zoe@localhost>", "new zoe (999)");
    office.is("<anna@example.com>", "new anna@example.com (999)");
    office.is("<mqueue@localhost>", "catch for mqueue@localhost");
    office.is("<a@[192.0.2.1]>", "catch for a@[192.0.2.1]");
}

#[test]
fn what_follows_a_plus_is_a_tag_with_either_option() {
    let users = ["linhphan", "linhphan+own", "catch"];
    let caught = Office::of(&users, catch_all());
    caught.is("<linhphan+tag@localhost>", "linhphan");
    caught.is("<linhphan+own@localhost>", "linhphan+own");
    caught.is("<linhphan+a+b@localhost>", "linhphan");
    caught.is("<zoe+tag@localhost>", "catch for zoe+tag@localhost");
    caught.is("<+tag@localhost>", "catch for +tag@localhost");
    let accepted = Office::of(&users, accept_any());
    accepted.is("<linhphan+tag@localhost>", "linhphan");
    accepted.is("<linhphan+own@localhost>", "linhphan+own");
    accepted.is("<zoe+tag@localhost>", "new zoe (2)");
    accepted.is("<+tag@localhost>", "new +tag (2)");
    accepted.is("<mqueue+tag@localhost>", "NoLegalName");
    accepted.is("<zoe+tag@b.org>", "new zoe@b.org (2)");
}

#[test]
fn more_domains_can_be_ours() {
    let local_domains = ["*.test", "mail.*.org", "shop.example"].map(|glob| glob.parse().unwrap());
    let rules = RecipientRules { local_domains: local_domains.to_vec(), ..Default::default() };
    let office = Office::of(&["linhphan"], rules);
    for domain in ["a.test", "A.B.TEST", "mail.x.y.org", "Shop.Example"] {
        office.is(&format!("<linhphan@{domain}>"), "linhphan");
        office.is(&format!("<nobody@{domain}>"), "NoSuchUser");
    }
    for domain in ["test", "a.test.org", "xmail.a.org", "shop.examples", "shopxexample"] {
        assert!(office.decide(&format!("<linhphan@{domain}>")).starts_with("queue "), "{domain}");
    }
}

#[test]
fn a_pattern_has_the_characters_of_a_domain() {
    for text in ["", "a b", "a@b", "(a)", "a|b", "[a]", "\u{e9}.org", &"a".repeat(256)] {
        assert_eq!(text.parse::<DomainPattern>(), Err(BadPattern), "{text}");
    }
    let long: DomainPattern = "*a".repeat(120).parse().unwrap();
    assert!(!long.matches(&"a".repeat(119)) && long.matches(&"a".repeat(200)));
}

#[test]
fn postmaster_is_the_first_user_unless_it_exists() {
    let rules = RecipientRules { postmaster: Some("ada".into()), ..Default::default() };
    let office = Office::of(&["ada"], rules.clone());
    office.is("<Postmaster>", "ada for postmaster");
    office.is("<PostMaster@localhost>", "ada for PostMaster@localhost");
    office.is("<postmaster@example.com>", "queue postmaster@example.com");
    office.directory.create("postmaster").unwrap();
    office.is("<Postmaster>", "postmaster");
    office.is("<PostMaster@localhost>", "postmaster");
    let gone = Office::of(&[], RecipientRules { accept_any: true, ..rules });
    gone.is("<postmaster>", "new postmaster (1000)");
}

#[test]
fn a_pop3_user_without_a_mailbox_is_one_where_any_recipient_is_accepted() {
    let office = Office::of(&["ada", "eve+x"], accept_any());
    let user = |rules: &RecipientRules, name: &str| {
        let user = rules.mailbox_of(name, "localhost", &office.directory);
        user.map(|user| user.name().to_owned())
    };
    for (name, mailbox) in [
        ("ada", Some("ada")),
        ("zoe", Some("zoe")),
        ("zoe@localhost", Some("zoe")),
        ("Anna@Example.com", Some("Anna@example.com")),
        ("mqueue", None),
        ("../x", None),
        ("a b@c.org", None),
    ] {
        assert_eq!(user(&office.rules, name).as_deref(), mailbox, "{name}");
        let there = mailbox.filter(|name| *name == "ada");
        assert_eq!(user(&RecipientRules::default(), name).as_deref(), there, "{name}");
    }
    let local_domains = vec!["*.test".parse().unwrap()];
    let rules = RecipientRules { local_domains, ..Default::default() };
    assert_eq!(user(&rules, "ada@mail.test").as_deref(), Some("ada"));
    assert_eq!(user(&rules, "ada@mail.example"), None);
}
