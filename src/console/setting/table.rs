//! The one table of settings. Options, environment variables, the config file, `--help`, docs/reference.md,
//! the manual page, `S` and `:set` are all made from it: to add a setting, add a row, and read its
//! field of [`Options`] where it acts.

use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use strum::VariantArray;
use tracing::Level;

use crate::console::setting::given::Given;
use crate::console::setting::row::{Acts, DefaultValue, Group, Places, Row, SubCommand};
use crate::console::setting::value::{
    Author, Breakpoints, DomainName, FaultRules, GreetingName, MailboxName, NameServer, NewUser,
    Route, Times, Values,
};
use crate::console::state::appearance::Palette;
use crate::relay::route::{NextHop, SmarthostTls};
use crate::servers::credentials::Password;
use crate::servers::extensions::{OfferList, Pop3Capability, SmtpExtension};
use crate::servers::profile::{AuthPolicy, Profile, TlsPolicy};
use crate::servers::recipients::DomainPattern;
use crate::servers::sasl::Mechanism;
use crate::servers::settings::{Idle, SettingName};
use crate::servers::units::{Network, Period, Size};
use crate::store::retention::Keep;

/// Makes of each row a field of [`Options`] and an element of [`ROWS`]. The type of the field says
/// what values there can be and how many; the comment is the help.
macro_rules! settings {
    ($($(#[doc = $help:literal])* $field:ident: $type:ty { $($row:tt)* })*) => {
        /// All settings of this run, with defaults for those that were not given.
        #[derive(Debug, Clone)]
        pub struct Options {
            $($(#[doc = $help])* pub $field: $type,)*
        }

        /// All settings, in the order of the help.
        pub static ROWS: &[Row] = &[$(Row {
            help: concat!($($help),*),
            shape: <$type as Values>::SHAPE,
            written: <$type as Values>::WRITTEN,
            expected: <$type as Values>::EXPECTED,
            check: |texts| <$type as Values>::read_all(texts).map(|_| ()),
            $($row)*
            ..Row::USUAL
        }),*];

        impl Options {
            /// Reads what was given, and takes the default of everything else.
            pub fn read(given: &Given) -> Result<Self, String> {
                let mut rows = ROWS.iter();
                Ok(Self { $($field: given.values(rows.next())?,)* })
            }
        }
    };
}

/// All servers.
const SERVERS: &[SubCommand] = &[SubCommand::Echo, SubCommand::Smtp, SubCommand::Pop3];
/// The servers that carry mail.
const MAIL: &[SubCommand] = &[SubCommand::Smtp, SubCommand::Pop3];
/// Those that store or send mail under the domain.
const WITH_DOMAIN: &[SubCommand] = &[SubCommand::Smtp, SubCommand::Pop3, SubCommand::Relay];
/// Those, and the one that makes an authority for it.
const WITH_DOMAIN_OR_CA: &[SubCommand] =
    &[SubCommand::Smtp, SubCommand::Pop3, SubCommand::Relay, SubCommand::Ca];
/// Those that work on a directory.
const ON_DIRECTORY: &[SubCommand] = &[
    SubCommand::Echo,
    SubCommand::Smtp,
    SubCommand::Pop3,
    SubCommand::Relay,
    SubCommand::Queue,
    SubCommand::Init,
    SubCommand::Status,
    SubCommand::Stop,
    SubCommand::Events,
    SubCommand::Fault,
    SubCommand::Held,
];
/// Those that have a transcript.
const WITH_TRANSCRIPT: &[SubCommand] =
    &[SubCommand::Echo, SubCommand::Smtp, SubCommand::Pop3, SubCommand::Relay, SubCommand::Send];
/// All.
const ALL: &[SubCommand] = SubCommand::VARIANTS;

settings! {
    /// The directory of the mailboxes
    dir: Option<PathBuf> {
        name: "dir", value: "DIR", group: Group::Mailboxes, commands: ON_DIRECTORY,
        brief: "The directory of the mailboxes", example: "\"mailtest\"",
    }
    /// Create the mailbox NAME.mbox, and the directory, if they are missing; may be repeated
    user: Vec<NewUser> {
        name: "user", value: "NAME[:PASSWORD]", group: Group::Mailboxes,
        commands: &[SubCommand::Smtp, SubCommand::Pop3, SubCommand::Init],
        holds_password: true, brief: "Create this mailbox if it is missing; may be repeated", example: "[\"linhphan\", \"zives:secret\"]",
        more: "With a password, this user has it instead of that of all. Every user of this machine \
               can read the command line: the table [users] of the config file (ada = \"secret\") \
               is safer, and may have commas in a password.",
    }
    /// The password of every user who has none of their own
    password: Password {
        name: "password", value: "PASSWORD", default: DefaultValue::Is("cis505"),
        group: Group::Mailboxes, commands: MAIL, holds_password: true,
    }
    /// The domain of the mailboxes
    domain: DomainName {
        name: "domain", value: "DOMAIN", default: DefaultValue::Is("localhost"),
        group: Group::Mailboxes, commands: WITH_DOMAIN_OR_CA,
    }
    /// The mailbox of USER gets all mail for unknown users and for other domains; it is created if it
    /// is missing
    catch_all: Option<MailboxName> {
        name: "catch-all", value: "USER", example: "\"catch\"", group: Group::Mailboxes, commands: &[SubCommand::Smtp],
        more: "A field X-Original-To, ahead of the message, says for whom it was. Nothing is queued.",
    }
    /// Create a mailbox for each new recipient when its first message is stored
    accept_any: bool {
        name: "accept-any", group: Group::Mailboxes, commands: MAIL,
        more: "At other domains it has the name user@domain. Nothing is queued. POP3 users without \
               a mailbox have an empty one.",
    }
    /// Create no more mailboxes with --accept-any when there are this many
    max_mailboxes: NonZeroUsize {
        name: "max-mailboxes", value: "COUNT", default: DefaultValue::Is("1000"),
        group: Group::Mailboxes, commands: &[SubCommand::Smtp],
    }
    /// More domains of the mailboxes; * is any run of characters; may be repeated
    local_domains: Vec<DomainPattern> {
        name: "local-domains", value: "GLOB", example: "[\"*.test\"]", group: Group::Mailboxes, commands: MAIL,
    }
    /// Store redirected messages without a field that says for whom they were
    exact_text: bool {
        name: "exact-text", group: Group::Mailboxes, commands: &[SubCommand::Smtp],
    }
    /// Keep this many messages in each mailbox, or those of this age, such as 1000, 7d, 12h or 30m,
    /// and remove older ones
    keep: Option<Keep> {
        name: "keep", value: "LIMIT", example: "1000", default: DefaultValue::Says("all"),
        group: Group::Mailboxes, commands: MAIL,
    }
    /// Acknowledge messages before they are on disk: faster, but a power failure can lose
    /// acknowledged mail
    no_sync: bool { name: "no-sync", group: Group::Mailboxes, commands: WITH_DOMAIN, }

    /// Port of the echo server; 0 lets the system choose
    echo_port: u16 {
        name: "echo-port", value: "PORT", default: DefaultValue::Is("10000"), group: Group::Listening,
    }
    /// Port of the SMTP server; 0 lets the system choose
    smtp_port: u16 {
        name: "smtp-port", value: "PORT", default: DefaultValue::Is("2500"), group: Group::Listening,
    }
    /// Port of the POP3 server; 0 lets the system choose
    pop3_port: u16 {
        name: "pop3-port", value: "PORT", default: DefaultValue::Is("11000"), group: Group::Listening,
    }
    /// Port for SMTP over TLS from the first octet; 0 lets the system choose
    smtps_port: Option<u16> {
        name: "smtps-port", value: "PORT", example: "4650", default: DefaultValue::Says("not listened on"),
        group: Group::Listening, commands: &[SubCommand::Smtp],
    }
    /// Port for POP3 over TLS from the first octet; 0 lets the system choose
    pop3s_port: Option<u16> {
        name: "pop3s-port", value: "PORT", example: "9950", default: DefaultValue::Says("not listened on"),
        group: Group::Listening, commands: &[SubCommand::Pop3],
    }
    /// PEM file with the servers' certificate first, then those that lead to its authority
    tls_cert: Option<PathBuf> {
        name: "tls-cert", value: "FILE", example: "\"cert.pem\"",
        default: DefaultValue::Says("issued by our own authority: mailconsole ca"),
        group: Group::Listening, commands: MAIL,
    }
    /// PEM file with the private key of that certificate
    tls_key: Option<PathBuf> {
        name: "tls-key", value: "FILE", example: "\"key.pem\"", group: Group::Listening, commands: MAIL,
    }
    /// Address to listen on; may be repeated
    bind: Vec<IpAddr> {
        name: "bind", value: "ADDR", example: "[\"127.0.0.1\", \"::1\"]", default: DefaultValue::Says("127.0.0.1 and ::1"),
        group: Group::Listening, commands: SERVERS,
    }

    /// Set of extensions and habits: rfc821, esmtp, catch, submission or everything
    profile: Profile {
        name: "profile", value: "NAME", default: DefaultValue::Is("rfc821"), group: Group::Profile,
        commands: &[SubCommand::Smtp, SubCommand::Pop3, SubCommand::Demo],
        brief: "rfc821, esmtp, catch, submission or everything",
        more: "rfc821: HELO, known users, no login, no TLS. esmtp: EHLO and CAPA with the usual \
               extensions. catch: takes every message and every login, and sends nothing on. \
               submission: TLS, and a login before MAIL. everything: all extensions. The options \
               below change single things of a profile.",
        acts: Acts::WhileRunning {
            setting: SettingName::Profile,
            title: "profile",
            typed: "rfc821, esmtp, catch, submission or everything",
        },
    }
    /// SMTP extensions: names are the whole set, names with + and - change the profile's, none is
    /// EHLO alone
    extensions: Option<OfferList<SmtpExtension>> {
        name: "extensions", value: "LIST", example: "\"-CHUNKING,+HELP\"", default: DefaultValue::Says("the profile's"),
        more: "PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, DSN, CHUNKING, \
               BINARYMIME, STARTTLS, AUTH, VRFY, HELP and LIMITS, with commas between them.",
        group: Group::Profile, commands: &[SubCommand::Smtp], may_begin_with_hyphen: true,
        acts: Acts::WhileRunning {
            setting: SettingName::Extensions,
            title: "list of extensions",
            typed: "names such as SIZE,DSN or -CHUNKING,+HELP, none, or default",
        },
    }
    /// POP3 capabilities: names are the whole set, names with + and - change the profile's, none is
    /// CAPA alone
    pop3_capabilities: Option<OfferList<Pop3Capability>> {
        name: "pop3-capabilities", value: "LIST", example: "\"-TOP,+APOP\"", default: DefaultValue::Says("the profile's"),
        more: "TOP, UIDL, USER, RESP-CODES, AUTH-RESP-CODE, PIPELINING, SASL, APOP, STLS, UTF8, \
               EXPIRE and IMPLEMENTATION, with commas between them. -UIDL and -USER take the \
               command away too.",
        group: Group::Profile, commands: &[SubCommand::Pop3], may_begin_with_hyphen: true,
        acts: Acts::WhileRunning {
            setting: SettingName::Capabilities,
            title: "list of capabilities",
            typed: "names such as TOP,UIDL or -TOP,+APOP, none, or default",
        },
    }
    /// Whether SMTP clients log in: off, offered, or required before MAIL
    auth: Option<AuthPolicy> {
        name: "auth", value: "WHEN", example: "\"offered\"", default: DefaultValue::Says("as the profile has it"),
        group: Group::Profile, commands: &[SubCommand::Smtp],
        acts: Acts::WhileRunning {
            setting: SettingName::Auth,
            title: "login of SMTP clients",
            typed: "off, offered, required, or default",
        },
    }
    /// Take any name and any password as right, in POP3 too; nothing is checked
    auth_any: bool { name: "auth-any", group: Group::Profile, commands: MAIL, }
    /// SASL mechanisms that are offered: PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER
    auth_mechanisms: Option<OfferList<Mechanism>> {
        name: "auth-mechanisms", value: "LIST", example: "\"PLAIN,LOGIN\"", default: DefaultValue::Says("all"),
        group: Group::Profile, commands: MAIL, may_begin_with_hyphen: true,
    }
    /// Let other machines send passwords unencrypted; otherwise only this machine may
    auth_plaintext: bool { name: "auth-plaintext", group: Group::Profile, commands: MAIL, }
    /// Whether SMTP clients begin TLS with STARTTLS: none, offered or required
    smtp_tls: Option<TlsPolicy> {
        name: "smtp-tls", value: "WHEN", example: "\"offered\"", default: DefaultValue::Says("as the profile has it"),
        group: Group::Profile, commands: &[SubCommand::Smtp],
        acts: Acts::WhileRunning {
            setting: SettingName::SmtpTls,
            title: "TLS of SMTP clients",
            typed: "none, offered, required, or default",
        },
    }
    /// Whether POP3 clients begin TLS with STLS: none, offered or required
    pop3_tls: Option<TlsPolicy> {
        name: "pop3-tls", value: "WHEN", example: "\"offered\"", default: DefaultValue::Says("as the profile has it"),
        group: Group::Profile, commands: &[SubCommand::Pop3],
        acts: Acts::WhileRunning {
            setting: SettingName::Pop3Tls,
            title: "TLS of POP3 clients",
            typed: "none, offered, required, or default",
        },
    }

    /// Close a connection after SECONDS without input; 0 means never
    idle: Option<Idle> {
        name: "idle", value: "SECONDS", example: "300", default: DefaultValue::Says("SMTP 300, POP3 600, echo 0"),
        group: Group::Limits, commands: SERVERS,
        acts: Acts::WhileRunning {
            setting: SettingName::Idle,
            title: "idle limit",
            typed: "seconds such as 30, 0 for no limit, or default",
        },
    }
    /// Connections at a time, over all servers; further clients are told that the server is busy
    max_connections: NonZeroUsize {
        name: "max-connections", value: "COUNT", default: DefaultValue::Is("20000"),
        group: Group::Limits, commands: SERVERS,
    }
    /// Refuse longer messages; K, M and G are understood
    max_message: Size {
        name: "max-message", value: "SIZE", default: DefaultValue::Is("64M"),
        group: Group::Limits, commands: &[SubCommand::Smtp],
        acts: Acts::WhileRunning {
            setting: SettingName::MessageMost,
            title: "longest message",
            typed: "octets such as 1000, 500K or 64M, or default",
        },
    }

    /// Play a fault on purpose: a rule, or the name of a scenario; may be repeated
    fault: FaultRules {
        name: "fault", value: "RULE", group: Group::Faults, commands: SERVERS,
        example: "[\"smtp.rcpt to=bob@* : 451 4.7.1 greylisted per to until 60s\", \"cut-retr\"]",
        more: "A rule is one line, POINT CONDITION : ACTION LIMIT; docs/faults.md has the language, \
               and mailconsole fault --catalogue the scenarios. In the environment there is one rule \
               on each line.",
    }
    /// Let addresses ask for faults: bob+fault.dot.451.once@localhost
    fault_addresses: bool { name: "fault-addresses", group: Group::Faults, commands: SERVERS, }
    /// What the chance of faults is drawn from: the same number, the same hits
    fault_seed: Option<u64> {
        name: "fault-seed", value: "N", group: Group::Faults, commands: SERVERS,
        default: DefaultValue::Says("a random number"), example: "42",
    }

    /// Hold conversations at a point until they are let go: smtp.rcpt, or smtp.rcpt! for the reply; may be
    /// repeated
    breakpoints: Breakpoints {
        name: "break", value: "POINT", group: Group::Faults, commands: SERVERS,
        example: "[\"smtp.rcpt to=bob@*\", \"pop3.retr!\"]",
        more: "Conditions may stand behind the point, as in a rule. Without a screen it needs \
               --break-timeout, and mailconsole held decides. In the environment there is one on each \
               line.",
    }
    /// How long something is held at most
    break_timeout: Option<Period> {
        name: "break-timeout", value: "TIME", group: Group::Faults, commands: SERVERS,
        default: DefaultValue::Says("10m"), example: "\"10m\"",
    }

    /// Network whose clients may send mail for other domains, besides this machine; may be
    /// repeated
    relay_from: Vec<Network> {
        name: "relay-from", value: "CIDR", example: "[\"192.0.2.0/24\"]", default: DefaultValue::Says("this machine only"),
        group: Group::Relay, commands: &[SubCommand::Smtp],
        acts: Acts::WhileRunning {
            setting: SettingName::Relay,
            title: "relay for",
            typed: "loopback, nobody, or networks such as 10.0.0.0/8,192.168.0.0/16",
        },
    }
    /// Run the relay every SECONDS while serving, for mail that is due
    relay_every: Option<Duration> {
        name: "relay-every", value: "SECONDS", example: "300", default: DefaultValue::Says("never"),
        more: "A deferred recipient is due again after 5 minutes, then after twice as long each \
               time, up to about an hour, for 5 days.",
        group: Group::Relay, commands: MAIL,
    }
    /// Send the mail for all other domains to this host
    smarthost: Option<NextHop> {
        name: "smarthost", value: "HOST[:PORT]", group: Group::Relay,
        example: "\"mx.example.org:587\"",
        commands: &[SubCommand::Relay],
    }
    /// User name at the smarthost; sent only over TLS with a verified certificate
    smarthost_user: Option<String> {
        name: "smarthost-user", value: "NAME", group: Group::Relay, commands: &[SubCommand::Relay],
        example: "\"linhphan\"",
    }
    /// Password at the smarthost
    smarthost_password: Option<String> {
        name: "smarthost-password", value: "PASSWORD", example: "\"secret\"",
        more: "Set it in the environment or in the config file: every user of this machine can \
               read the command line.",
        group: Group::Relay, commands: &[SubCommand::Relay], holds_password: true,
    }
    /// How to use TLS with the smarthost: starttls, implicit (from the start, as on port 465) or
    /// none
    smarthost_tls: Option<SmarthostTls> {
        name: "smarthost-tls", value: "HOW", example: "\"starttls\"",
        default: DefaultValue::Says(
            "implicit on port 465; otherwise starttls if it is offered, with --ehlo, and always \
             before a password"
        ),
        group: Group::Relay, commands: &[SubCommand::Relay],
    }
    /// Send the mail for DOMAIN to this host; may be repeated
    route: Vec<Route> {
        name: "route", value: "DOMAIN=HOST[:PORT]", group: Group::Relay,
        example: "[\"example.org=127.0.0.1:2525\"]",
        commands: &[SubCommand::Relay],
    }
    /// Name server to ask for mail hosts
    resolver: Option<NameServer> {
        name: "resolver", value: "ADDR[:PORT]", example: "\"192.0.2.53\"", default: DefaultValue::Says("the system's"),
        group: Group::Relay, commands: &[SubCommand::Relay],
    }
    /// Port of mail hosts
    relay_port: NonZeroU16 {
        name: "relay-port", value: "PORT", default: DefaultValue::Is("25"),
        group: Group::Relay, commands: &[SubCommand::Relay],
    }
    /// Allow mail hosts at addresses of this machine
    relay_to_loopback: bool {
        name: "relay-to-loopback", group: Group::Relay, commands: &[SubCommand::Relay],
        more: "They are refused otherwise, unless --route or --smarthost names them.",
    }
    /// Greet mail hosts with EHLO and use the extensions they offer (SIZE, 8BITMIME, PIPELINING,
    /// STARTTLS) instead of HELO
    ehlo: bool { name: "ehlo", group: Group::Relay, commands: &[SubCommand::Relay], }
    /// Host name for HELO and EHLO
    helo: Option<GreetingName> {
        name: "helo", value: "NAME", example: "\"mail.example.org\"", default: DefaultValue::Says("the domain"),
        group: Group::Relay, commands: &[SubCommand::Relay],
    }
    /// Connections at a time to the mail hosts of one domain
    connections_per_domain: NonZeroUsize {
        name: "connections-per-domain", value: "COUNT", default: DefaultValue::Is("5"),
        more: "There is only one until a host has answered, and there are never more than 100 to \
               all domains.",
        group: Group::Relay, commands: &[SubCommand::Relay],
    }
    /// Longest wait for a reply of a mail host or name server
    timeout: Option<Duration> {
        name: "timeout", value: "SECONDS", example: "60", default: DefaultValue::Says("as RFC 5321 says, 5 s to 10 min"),
        group: Group::Relay, commands: &[SubCommand::Relay],
    }
    /// Notify local senders of mail that failed (RFC 3464), and remove it from the queue
    bounce: bool { name: "bounce", group: Group::Relay, commands: &[SubCommand::Relay], }

    /// Serve without a screen, until Ctrl+C
    no_tui: bool { name: "no-tui", group: Group::Screen, brief: "Serve without a screen, until Ctrl+C", }
    /// Transcript lines that the console keeps
    scrollback: usize {
        name: "scrollback", value: "LINES", default: DefaultValue::Is("50000"), group: Group::Screen,
        commands: &[SubCommand::Demo],
    }
    /// Colours of the console: dark, light, high-contrast or none
    theme: Option<Palette> {
        name: "theme", value: "NAME", example: "\"dark\"", default: DefaultValue::Says("dark, or none if NO_COLOR is set"),
        group: Group::Screen, commands: &[SubCommand::Demo],
    }

    /// Write to FILE where the servers listen, as JSON, once all do; it is removed at the end
    ports_file: Option<PathBuf> {
        name: "ports-file", value: "FILE", group: Group::Service, commands: SERVERS,
        example: "\"ports.json\"",
        more: "The file appears whole. Without a screen, the line `mailconsole: ready` on stdout and \
               READY=1 to the service manager say the same.",
    }
    /// End when no client has been connected for TIME, such as 30s, 10m or 1h
    exit_when_idle: Option<Period> {
        name: "exit-when-idle", value: "TIME", default: DefaultValue::Says("never"),
        group: Group::Service, commands: SERVERS, example: "\"10m\"",
    }
    /// Append the transcript to FILE, beside the console too
    transcript: Option<PathBuf> {
        name: "transcript", value: "FILE", group: Group::Service, commands: WITH_TRANSCRIPT,
        example: "\"transcript.log\"", more: "It is what -v prints, and with -vv message text too.",
    }
    /// Begin each line of a transcript with time, service and session
    stamps: bool { name: "stamps", group: Group::Service, commands: WITH_TRANSCRIPT, }
    /// Append the program's own log to FILE instead of stderr; the console shows it all the same
    log_file: Option<PathBuf> {
        name: "log-file", value: "FILE", group: Group::Service, commands: WITH_TRANSCRIPT,
        example: "\"mailconsole.log\"",
    }
    /// What the program's own log has: error, warn, info, debug or trace
    log_level: Option<Level> {
        name: "log-level", value: "LEVEL",
        default: DefaultValue::Says("as RUST_LOG says; info, on stderr warn"),
        group: Group::Service, commands: WITH_TRANSCRIPT, example: "\"info\"",
    }

    /// Write the transcript to stderr; -vv includes message text
    verbose: Times {
        name: "verbose", short: Some('v'), commands: WITH_TRANSCRIPT, places: Places::File,
        brief: "Write the transcript to stderr; -vv includes message text",
        more: "Beside the console, stderr must go elsewhere: 2>FILE.",
    }
    /// Append events to FILE, one JSON object a line; - is stdout
    events: Option<PathBuf> {
        name: "events", value: "FILE", commands: SERVERS, example: "\"events.json\"",
        more: "A FILE may be a FIFO. With -, what is said otherwise on stdout goes to stderr. \
               `mailconsole events` reads those of a server that runs.",
    }
    /// Show passwords and other secrets of clients in the transcript
    show_passwords: bool { name: "show-passwords", commands: SERVERS, }
    /// Mask the argument of PASS in the transcript of -v too
    mask_passwords: bool {
        name: "mask-passwords", commands: SERVERS,
        more: "Everything else that clients log in with is always masked, unless --show-passwords \
               is given; the console masks PASS too, until p is pressed.",
    }
    /// Print the author to stderr and exit
    show_author: bool {
        name: "show-author", short: Some('a'), commands: SERVERS, places: Places::None,
    }
    /// The author, for -a and for the greeting of the echo server
    author: Author {
        name: "author", value: "FULL NAME / LOGIN",
        default: DefaultValue::Is("Mail Console / mailconsole"), commands: SERVERS,
    }
    /// The config file
    config: Option<PathBuf> {
        name: "config", value: "FILE",
        default: DefaultValue::Says("$XDG_CONFIG_HOME/mailconsole/config.toml"), commands: ALL,
        places: Places::Environment,
    }
}

/// The row of a name.
#[must_use]
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::setting::given::Origin;
    use crate::console::setting::value::Shape;
    use crate::servers::limits::{CONNECTIONS, MAILBOXES, MESSAGE_OCTETS};

    fn defaults() -> Options {
        Options::read(&Given::default()).unwrap()
    }

    #[test]
    fn every_default_is_a_value_of_its_setting() {
        let options = defaults();
        assert_eq!(options.max_message.0, MESSAGE_OCTETS);
        assert_eq!(options.max_connections.get(), CONNECTIONS);
        assert_eq!(options.max_mailboxes.get(), MAILBOXES);
        assert_eq!(
            (options.echo_port, options.smtp_port, options.pop3_port),
            (10_000, 2_500, 11_000)
        );
    }

    #[test]
    fn a_switch_that_is_on_anywhere_is_on_and_the_louder_counts() {
        let given = |name, value: &str| {
            let mut given = Given::default();
            given.set(row(name).unwrap(), vec![value.into()], Origin::Flag);
            given
        };
        let read = |given: &Given| Options::read(given).unwrap();
        for (strong, weak) in [("yes", "no"), ("no", "yes"), ("yes", "yes")] {
            assert!(read(&given("ehlo", strong).or(given("ehlo", weak))).ehlo);
        }
        for (strong, weak) in [("1", "2"), ("2", "1")] {
            assert_eq!(
                read(&given("verbose", strong).or(given("verbose", weak))).verbose,
                Times(2)
            );
        }
        let helo = read(&given("helo", "a").or(given("helo", "b"))).helo;
        assert_eq!(helo, Some(GreetingName("a".into())));
    }

    #[test]
    fn no_two_rows_have_one_name() {
        for (n, row) in ROWS.iter().enumerate() {
            assert!(!row.name.is_empty() && !row.help.contains("  "), "{}", row.name);
            assert!(ROWS[..n].iter().all(|other| other.name != row.name), "{}", row.name);
            let has_value = !matches!(row.shape, Shape::Switch | Shape::Times);
            assert_eq!(has_value, !row.value.is_empty(), "{}", row.name);
        }
    }
}
