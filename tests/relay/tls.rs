//! STARTTLS and AUTH with scripted hosts.

use mailconsole::relay::conversation::opening::{Login, Protection};

use crate::harness::{Relay, carry, letter};
use crate::mail_host::{Act, Heard, MailHost, polite, say};

fn login() -> Protection {
    Protection::Verified(Login { user: "linh".to_owned(), password: "cis505".to_owned() })
}

/// Offers STARTTLS and AUTH, and knows one password.
fn secure(heard: Heard<'_>) -> Act {
    match heard {
        Heard::Command(line) if line.starts_with("EHLO") => {
            say("250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS")
        }
        Heard::Command("STARTTLS") => Act::SayAndSecure("220 go ahead".to_owned()),
        Heard::Command("AUTH PLAIN AGxpbmgAY2lzNTA1") => say("235 welcome"),
        Heard::Command(line) if line.starts_with("AUTH") => say("535 5.7.8 no"),
        heard => polite(heard),
    }
}

#[tokio::test]
async fn mail_goes_over_tls_where_it_is_offered_whatever_the_certificate() {
    let host = MailHost::that(secure).await;
    let (mut agent, recorder) = Relay::new().with_ehlo().agent(&[host.address]);
    let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
    let ehlos = host.commands().iter().filter(|line| line.starts_with("EHLO")).count();
    assert_eq!(ehlos, 2);
    assert!(recorder.lines().contains(&".. TLS from here on".to_owned()));
}

#[tokio::test]
async fn a_host_that_does_not_get_tls_done_gets_the_mail_in_the_clear() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command("STARTTLS") => Act::Raw(b"220 go ahead\r\n".to_vec()),
        heard => secure(heard),
    })
    .await;
    let relay = Relay::new().with_ehlo().impatient();
    let verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn what_is_said_before_tls_stands_is_not_believed() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command("STARTTLS") => Act::Raw(b"220 go ahead\r\n250 injected\r\n".to_vec()),
        heard => secure(heard),
    })
    .await;
    let relay = Relay::new().with_ehlo();
    let verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    assert_eq!(
        verdicts,
        ["deferred: mx.example sent data before the TLS handshake; it may have been \
          injected, at STARTTLS"]
    );
}

#[tokio::test]
async fn a_smarthost_is_given_the_password_when_its_certificate_is_proven() {
    let host = MailHost::that(secure).await;
    let relay = Relay::new().with_protection(login()).trusting(host.certificate.clone());
    let (mut agent, recorder) = relay.agent(&[host.address]);
    let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
    assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
    let lines = recorder.lines();
    assert!(lines.contains(&"C: AUTH PLAIN ******".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("AGxpbmg")), "{lines:?}");
}

#[tokio::test]
async fn a_certificate_of_nobody_gets_no_password() {
    let host = MailHost::that(secure).await;
    let relay = Relay::new().with_protection(login());
    let verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    let begins = "deferred: we could not agree on TLS with mx.example (";
    assert!(verdicts[0].starts_with(begins), "{verdicts:?}");
    assert!(!host.commands().iter().any(|line| line.starts_with("AUTH")));
}

#[tokio::test]
async fn a_wrong_password_defers() {
    let host = MailHost::that(|heard| match heard {
        Heard::Command(line) if line.starts_with("AUTH") => say("535 5.7.8 no"),
        heard => secure(heard),
    })
    .await;
    let relay = Relay::new().with_protection(login()).trusting(host.certificate.clone());
    let verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    assert_eq!(verdicts, ["deferred: 535 5.7.8 no"]);
}

/// Speaks TLS from the start, as hosts do at port 465.
fn implicit(heard: Heard<'_>) -> Act {
    match heard {
        Heard::Connection => Act::SecureAndSay("220 mx.example ready".to_owned()),
        heard => secure(heard),
    }
}

#[tokio::test]
async fn a_host_that_speaks_tls_from_the_start_is_spoken_to_in_tls() {
    let host = MailHost::that(implicit).await;
    let Protection::Verified(user) = login() else { panic!("no login") };
    for (protection, logins) in
        [(Protection::FromTheStart(None), 0), (Protection::FromTheStart(Some(user)), 1)]
    {
        let relay = Relay::new().with_protection(protection).trusting(host.certificate.clone());
        let (mut agent, recorder) = relay.agent(&[host.address]);
        let verdicts = carry(&mut agent, &["a@x.example"], &letter()).await;
        assert_eq!(verdicts, ["delivered: 250 2.0.0 queued"]);
        let lines = recorder.lines();
        assert_eq!(lines[..2], ["New connection", ".. TLS from here on"]);
        assert_eq!(lines.iter().filter(|line| line.contains("AUTH PLAIN ******")).count(), logins);
        assert!(!lines.iter().any(|line| line.contains("STARTTLS") && line.starts_with("C:")));
    }
}

#[tokio::test]
async fn who_is_spoken_to_in_the_wrong_way_is_named_with_the_right_one() {
    let host = MailHost::that(implicit).await;
    let relay = Relay::new().impatient();
    let verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    assert!(verdicts[0].contains("did not answer within 0.3 s, at its greeting"), "{verdicts:?}");
    assert!(verdicts[0].contains("--smarthost-tls implicit"), "{verdicts:?}");
    let host = MailHost::that(polite).await;
    let relay = Relay::new().with_protection(Protection::FromTheStart(None));
    let verdicts = relay.sends(&[host.address], &["a@x.example"]).await;
    let begins = "deferred: we could not agree on TLS with mx.example (";
    assert!(verdicts[0].starts_with(begins), "{verdicts:?}");
    assert!(verdicts[0].contains("--smarthost-tls starttls"), "{verdicts:?}");
}
