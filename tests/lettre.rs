//! lettre, with which most programs in Rust send mail, against the program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::error::Error;
use std::fs;
use std::time::Duration;

use lettre::transport::smtp::SmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Message, SmtpTransport, Transport};

use crate::program::Servers;

/// Where a message goes, and how.
struct Errand {
    host: String,
    port: u16,
    /// `none`, `starttls` or `implicit`.
    tls: String,
    /// Name and password, if lettre is to log in.
    login: Option<(String, String)>,
    to: String,
    subject: String,
}

impl Errand {
    /// Without TLS and login, to the mailbox of linhphan.
    fn to(servers: &Servers) -> Self {
        Self {
            host: "localhost".to_owned(),
            port: servers.port("smtp"),
            tls: "none".to_owned(),
            login: None,
            to: "linhphan@localhost".to_owned(),
            subject: "lettre was here".to_owned(),
        }
    }

    /// What `tests/clients/profiles.py` asks for.
    fn of_the_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap();
        let user = variable("MAIL_USER");
        Self {
            host: variable("MAIL_HOST"),
            port: variable("MAIL_PORT").parse().unwrap(),
            tls: variable("MAIL_TLS"),
            login: (!user.is_empty()).then(|| (user, variable("MAIL_PASSWORD"))),
            to: variable("MAIL_TO"),
            subject: variable("MAIL_SUBJECT"),
        }
    }

    fn transport(&self) -> Result<SmtpTransportBuilder, Box<dyn Error>> {
        // shown in docs/clients.md: from here
        let builder = match self.tls.as_str() {
            "starttls" => SmtpTransport::starttls_relay(&self.host)?,
            "implicit" => SmtpTransport::relay(&self.host)?,
            _ => SmtpTransport::builder_dangerous(&self.host),
        };
        let builder = builder.port(self.port);
        // to here
        Ok(builder.timeout(Some(Duration::from_secs(20))))
    }

    fn run(&self) -> Result<(), Box<dyn Error>> {
        let message = Message::builder()
            .from("Sender <sender@example.org>".parse()?)
            .to(self.to.parse()?)
            .subject(&self.subject)
            .body("Hello from lettre\n.\nwith a dot\n".to_owned())?;
        let mut transport = self.transport()?;
        if let Some((user, password)) = &self.login {
            transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
        }
        transport.build().send(&message)?;
        Ok(())
    }
}

#[test]
fn lettre_sends_to_a_server_with_ehlo() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--profile", "esmtp"]);
    Errand::to(&servers).run().unwrap();
    let mailbox = fs::read_to_string(dir.path().join("linhphan.mbox")).unwrap();
    assert!(mailbox.contains("Subject: lettre was here\r\n"), "{mailbox}");
    assert!(mailbox.contains("Hello from lettre\r\n.\r\nwith a dot\r\n"), "{mailbox}");
}

#[test]
fn lettre_needs_ehlo() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let error = Errand::to(&servers).run().unwrap_err().to_string();
    assert!(error.contains("502"), "{error}");
}

#[test]
#[ignore = "tests/clients/profiles.py runs it, and names a server in the environment"]
fn lettre_sends_as_the_environment_says() {
    Errand::of_the_environment().run().unwrap();
}
