//! What the value of a setting can be: how each type is written, and what is said when it is not.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use crate::console::state::appearance::Palette;
use crate::fault::breakpoint::Breakpoint;
use crate::fault::faults::Faults;
use crate::mail::address::Domain;
use crate::relay::route::{BadHost, NextHop, SmarthostTls};
use crate::servers::credentials::Password;
use crate::servers::extensions::{BadList, Offer, OfferList};
use crate::servers::profile::{AuthPolicy, Profile, TlsPolicy};
use crate::servers::recipients::DomainPattern;
use crate::servers::settings::Idle;
use crate::servers::units::{Network, Period, Size};
use crate::store::retention::Keep;
use crate::store::user::User;

/// How many values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// None: the option alone says yes. Elsewhere it is written yes or no.
    Switch,
    /// None, but the option may be repeated, and each time says more. Elsewhere it is a number.
    Times,
    /// One.
    One,
    /// Any number: the option may be repeated, and commas separate values.
    Many,
    /// Any number, each a line with whatever is in it: the option may be repeated, and line ends
    /// separate values in the environment.
    Lines,
}

/// The TOML types in which the config file may have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// An integer.
    Number,
    /// A string.
    Text,
    /// Either.
    Both,
}

/// A value that is written in one word.
pub trait Value: Sized {
    /// What the user must write, to stand behind "write".
    const EXPECTED: &'static str;
    /// How the config file may have it.
    const WRITTEN: Written = Written::Text;

    /// Understands what was written.
    fn read(text: &str) -> Result<Self, String>;

    /// The same. What is not UTF-8 can only be a path.
    fn read_os(text: &OsStr) -> Result<Self, String> {
        text.to_str().ok_or_else(write::<Self>).and_then(Self::read)
    }
}

/// The sentence for a value that was not understood.
fn write<T: Value>() -> String {
    format!("write {}", T::EXPECTED)
}

/// Understands the value by its own rules.
fn parsed<T: Value + FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| write::<T>())
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(text: &str) -> Result<Self, String> {
        Self::read_os(text.as_ref())
    }

    fn read_os(text: &OsStr) -> Result<Self, String> {
        if text.is_empty() { Err(write::<Self>()) } else { Ok(text.into()) }
    }
}

impl Value for String {
    const EXPECTED: &'static str = "UTF-8 text";

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// The password of all users: one that clients can send.
impl Value for Password {
    const EXPECTED: &'static str =
        "one line of 1 to 4,091 octets, so that it fits into a PASS command";

    fn read(text: &str) -> Result<Self, String> {
        let password = Self::from(text);
        let is_sent = !text.is_empty() && password.can_be_sent();
        is_sent.then_some(password).ok_or_else(write::<Self>)
    }
}

/// A domain of ours. It appears in replies, and is compared with those of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainName(pub Arc<str>);

impl Value for DomainName {
    const EXPECTED: &'static str = "a domain name such as localhost or example.org";

    fn read(text: &str) -> Result<Self, String> {
        match Domain::parse(text) {
            Ok(Domain::Name(_)) => Ok(Self(text.into())),
            _ => Err(write::<Self>()),
        }
    }
}

/// The name by which we greet mail hosts: the argument of a command, which hosts look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreetingName(pub String);

impl Value for GreetingName {
    const EXPECTED: &'static str =
        "a host name such as mail.example.org or an address such as [192.0.2.1]";

    fn read(text: &str) -> Result<Self, String> {
        match Domain::parse(text) {
            Ok(Domain::Name(_) | Domain::Literal(_)) => Ok(Self(text.to_owned())),
            _ => Err(write::<Self>()),
        }
    }
}

/// The name of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxName(pub Arc<str>);

impl Value for MailboxName {
    const EXPECTED: &'static str = "the name of a mailbox, such as catch";

    fn read(text: &str) -> Result<Self, String> {
        let is_name = User::of_local_part(text.as_bytes()).is_some();
        is_name.then(|| Self(text.into())).ok_or_else(write::<Self>)
    }
}

/// The author, who appears in a reply, which is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author(pub Arc<str>);

impl Value for Author {
    const EXPECTED: &'static str = "one line of at most 400 octets such as \"Ada Lovelace / ada\"";

    fn read(text: &str) -> Result<Self, String> {
        let is_line = text.len() <= 400 && !text.chars().any(char::is_control);
        is_line.then(|| Self(text.into())).ok_or_else(write::<Self>)
    }
}

/// A user whose mailbox is made, perhaps with a password of their own: `ada`, `ada:secret`. The
/// first colon divides, since a password may hold more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The name of the mailbox.
    pub name: String,
    /// The password, if it is not that of all.
    pub password: Option<Password>,
}

impl NewUser {
    /// A user with a password of their own.
    ///
    /// # Errors
    ///
    /// If it is empty, or no client could send it. The sentence does not repeat it.
    pub fn with_password(name: &str, password: &str) -> Result<Self, String> {
        let name = named(name)?;
        if password.is_empty() {
            return Err("the password is empty: write one, or the name alone for the password of \
                        all users"
                .to_owned());
        }
        let password = Password::from(password);
        if !password.can_be_sent() {
            return Err("write a password of one line and at most 4,091 octets, so that it fits \
                        into a PASS command"
                .to_owned());
        }
        Ok(Self { name, password: Some(password) })
    }
}

/// Nobody could log in without a name, nor mail be sent to them.
fn named(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err(format!("the name is empty: {}", write::<NewUser>()));
    }
    Ok(name.to_owned())
}

impl Value for NewUser {
    const EXPECTED: &'static str = "NAME or NAME:PASSWORD";

    fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, password)) => Self::with_password(name, password),
            None => Ok(Self { name: named(text)?, password: None }),
        }
    }
}

/// A port of this machine.
impl Value for u16 {
    const EXPECTED: &'static str = "a number from 0 to 65535";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

/// A port of another machine.
impl Value for NonZeroU16 {
    const EXPECTED: &'static str = "a number from 1 to 65535";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for usize {
    const EXPECTED: &'static str = "a number, 0 or more";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for NonZeroUsize {
    const EXPECTED: &'static str = "a number, 1 or more";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

/// A number that chance begins with.
impl Value for u64 {
    const EXPECTED: &'static str = "a number, 0 or more";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

/// A time that is not 0.
impl Value for Duration {
    const EXPECTED: &'static str = "a number of seconds, 1 or more";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        // As many as TOML's integers can count.
        let seconds = text.parse::<i64>().ok().and_then(|seconds| u64::try_from(seconds).ok());
        seconds.filter(|&seconds| seconds > 0).map(Self::from_secs).ok_or_else(write::<Self>)
    }
}

impl Value for Idle {
    const EXPECTED: &'static str = "a number of seconds, or 0 for no limit";
    const WRITTEN: Written = Written::Number;

    fn read(text: &str) -> Result<Self, String> {
        match text.parse().map_err(|_| write::<Self>())? {
            0 => Ok(Self::Unlimited),
            seconds => Ok(Self::Limited(Duration::from_secs(seconds))),
        }
    }
}

impl Value for Size {
    const EXPECTED: &'static str = "a number of octets such as 1000000 or 64M, 1 or more";
    const WRITTEN: Written = Written::Both;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text).and_then(|size: Self| if size.0 > 0 { Ok(size) } else { Err(write::<Self>()) })
    }
}

impl Value for Period {
    const EXPECTED: &'static str = "a time from 1ms to 24h such as 20ms, 5s, 2m or 1h";
    const WRITTEN: Written = Written::Both;

    fn read(text: &str) -> Result<Self, String> {
        let period: Self = parsed(text)?;
        if period.0.is_zero() { Err(write::<Self>()) } else { Ok(period) }
    }
}

impl Value for Level {
    const EXPECTED: &'static str = "error, warn, info, debug or trace";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::ERROR),
            "warn" => Ok(Self::WARN),
            "info" => Ok(Self::INFO),
            "debug" => Ok(Self::DEBUG),
            "trace" => Ok(Self::TRACE),
            _ => Err(write::<Self>()),
        }
    }
}

impl Value for DomainPattern {
    const EXPECTED: &'static str = "a domain, in which * is any run of characters, such as *.test";

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for Keep {
    const EXPECTED: &'static str =
        "a number of messages such as 1000, or an age such as 7d, 12h or 30m";
    const WRITTEN: Written = Written::Both;

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for IpAddr {
    const EXPECTED: &'static str = "an IP address such as 127.0.0.1 or ::1";

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for Network {
    const EXPECTED: &'static str = "an address or a network such as 192.0.2.0/24";

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for NextHop {
    const EXPECTED: &'static str = "HOST or HOST:PORT, such as mx.example.org:587";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|bad: BadHost| bad.to_string())
    }
}

impl Value for SmarthostTls {
    const EXPECTED: &'static str = "starttls, implicit or none";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "starttls" => Ok(Self::StartTls),
            "implicit" => Ok(Self::Implicit),
            "none" => Ok(Self::None),
            _ => Err(write::<Self>()),
        }
    }
}

impl Value for Profile {
    const EXPECTED: &'static str = "rfc821, esmtp, catch, submission or everything";

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

/// The names are in the message of each kind.
impl<O: Offer> Value for OfferList<O> {
    const EXPECTED: &'static str = "names with commas between them, or none";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|bad: BadList<O>| bad.to_string())
    }
}

impl Value for AuthPolicy {
    const EXPECTED: &'static str = "off, offered or required";

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for TlsPolicy {
    const EXPECTED: &'static str = "none, offered or required";

    fn read(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Value for Palette {
    const EXPECTED: &'static str = "dark, light, high-contrast or none";

    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

/// A domain and the host that takes its mail: `example.org=mx.example.org:2525`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In lower case.
    pub domain: String,
    /// The host.
    pub host: NextHop,
}

impl Value for Route {
    const EXPECTED: &'static str =
        "DOMAIN=HOST or DOMAIN=HOST:PORT, such as example.org=127.0.0.1:2525";

    fn read(text: &str) -> Result<Self, String> {
        let (domain, host) = text
            .split_once('=')
            .filter(|(domain, _)| !domain.is_empty())
            .ok_or_else(write::<Self>)?;
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        Ok(Self { domain, host: NextHop::read(host)? })
    }
}

/// The address of a name server, with port 53 unless another is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

impl Value for NameServer {
    const EXPECTED: &'static str = "an address such as 192.0.2.53, 127.0.0.1:5353 or [::1]:5353";

    fn read(text: &str) -> Result<Self, String> {
        const DNS: u16 = 53;
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS));
        address.or_else(|_| text.parse()).map(Self).map_err(|_| write::<Self>())
    }
}

/// How often a switch is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times(pub u8);

/// Rules of faults and names of scenarios, in their order, each as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultRules(pub Vec<String>);

/// Breakpoints, each as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breakpoints(pub Vec<String>);

/// The values of one setting together, by the type of its field in the table.
pub trait Values: Sized {
    /// How many there can be.
    const SHAPE: Shape;
    /// How the config file may have each.
    const WRITTEN: Written;
    /// What the user must write, to stand behind "write".
    const EXPECTED: &'static str;

    /// Understands all of them.
    fn read_all(texts: &[OsString]) -> Result<Self, String>;
}

impl Values for bool {
    const SHAPE: Shape = Shape::Switch;
    const WRITTEN: Written = Written::Text;
    const EXPECTED: &'static str = "yes or no, true or false, 1 or 0";

    /// A variable that is set to nothing is as good as not set.
    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        let Some(text) = texts.last() else { return Ok(false) };
        match text.to_string_lossy().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "y" | "on" => Ok(true),
            "" | "0" | "false" | "no" | "n" | "off" => Ok(false),
            _ => Err(format!("write {}", Self::EXPECTED)),
        }
    }
}

impl Values for Times {
    const SHAPE: Shape = Shape::Times;
    const WRITTEN: Written = Written::Number;
    const EXPECTED: &'static str = "a number, 0 to 255";

    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        let Some(text) = texts.last() else { return Ok(Self::default()) };
        let times = text.to_str().and_then(|text| text.parse().ok());
        times.map(Self).ok_or_else(|| format!("write {}", Self::EXPECTED))
    }
}

/// An error has several lines: what is wrong with one of them, and where.
impl Values for FaultRules {
    const SHAPE: Shape = Shape::Lines;
    const WRITTEN: Written = Written::Text;
    const EXPECTED: &'static str = "a rule such as \"smtp.rcpt : 451 later\", or a scenario's name";

    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        if texts.is_empty() {
            return Ok(Self::default());
        }
        let faults = Faults::new(0, false);
        let rules = texts.iter().map(|text| {
            let rule = text.to_str().ok_or_else(|| format!("write {}", Self::EXPECTED))?;
            faults.add(rule).map(|_| rule.to_owned())
        });
        rules.collect::<Result<_, _>>().map(Self)
    }
}

/// An error has several lines: what is wrong with one of them, and where.
impl Values for Breakpoints {
    const SHAPE: Shape = Shape::Lines;
    const WRITTEN: Written = Written::Text;
    const EXPECTED: &'static str = "a point such as smtp.rcpt, or smtp.rcpt! for the reply";

    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        let breakpoints = texts.iter().map(|text| {
            let text = text.to_str().ok_or_else(|| format!("write {}", Self::EXPECTED))?;
            let read = Breakpoint::parse(text).map_err(|error| error.to_string())?;
            Ok(read.text.into_string())
        });
        breakpoints.collect::<Result<_, _>>().map(Self)
    }
}

/// One, which the default gives if nothing else does.
impl<T: Value> Values for T {
    const SHAPE: Shape = Shape::One;
    const WRITTEN: Written = T::WRITTEN;
    const EXPECTED: &'static str = T::EXPECTED;

    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        texts.last().ok_or_else(write::<T>).and_then(|text| T::read_os(text))
    }
}

impl<T: Value> Values for Option<T> {
    const SHAPE: Shape = Shape::One;
    const WRITTEN: Written = T::WRITTEN;
    const EXPECTED: &'static str = T::EXPECTED;

    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        texts.last().map(|text| T::read_os(text)).transpose()
    }
}

impl<T: Value> Values for Vec<T> {
    const SHAPE: Shape = Shape::Many;
    const WRITTEN: Written = T::WRITTEN;
    const EXPECTED: &'static str = T::EXPECTED;

    fn read_all(texts: &[OsString]) -> Result<Self, String> {
        texts.iter().map(|text| T::read_os(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_divides_a_user_from_the_password() {
        let read = |text| NewUser::read(text).unwrap();
        assert_eq!(read("ada"), NewUser { name: "ada".into(), password: None });
        let ada = NewUser { name: "ada".into(), password: Some("a:b:".into()) };
        assert_eq!(read("ada:a:b:"), ada);
        assert!(NewUser::read("ada:").unwrap_err().starts_with("the password is empty: "));
        let long = NewUser::read(&format!("ada:{}", "secret".repeat(1_000))).unwrap_err();
        assert!(long.starts_with("write a password of ") && !long.contains("secret"), "{long}");
        assert!(NewUser::read("ada:a\nb").is_err());
        assert!(!format!("{ada:?}").contains("a:b"));
    }

    #[test]
    fn hosts_routes_and_name_servers_are_read_or_explained() {
        let route = |text: &str| Route::read(text);
        let parsed = route("Example.ORG.=127.0.0.1:2525").unwrap();
        assert_eq!(
            (parsed.domain.as_str(), parsed.host.to_string()),
            ("example.org", "127.0.0.1:2525".into())
        );
        for text in ["example.org", "=host", "example.org=", "example.org=a b", "example.org=h:0"] {
            assert!(route(text).is_err(), "{text}");
        }
        let server = |text: &str| NameServer::read(text).map(|server| server.0.to_string());
        assert_eq!(server("192.0.2.53"), Ok("192.0.2.53:53".into()));
        assert_eq!(server("127.0.0.1:5353"), Ok("127.0.0.1:5353".into()));
        assert_eq!(server("[::1]"), Ok("[::1]:53".into()));
        assert!(server("dns.example.org").is_err());
    }
}
