//! The parameters of MAIL and RCPT (RFC 5321 section 4.1.2). Which of them are understood depends on
//! what EHLO offered to this client.

use enumset::EnumSet;

use crate::mail::dsn::{EnvelopeId, Notify, OriginalRecipient, RecipientDsn, Ret};
use crate::mail::parameters::{Body, MailParameters};
use crate::servers::extensions::SmtpExtension;
use crate::servers::smtp::refusal::SmtpRefusal;

/// What follows the path of MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailArguments {
    /// The size in octets that the client declares (RFC 1870 section 3).
    pub size: Option<u64>,
    /// What travels with the message.
    pub parameters: MailParameters,
}

/// The parameters that may follow, by keyword: the extension that offers it, and what it does.
type Parameter<T> = (&'static str, SmtpExtension, Take<T>);

/// Takes the value of a parameter, if it has one.
type Take<T> = fn(&mut T, Option<&str>, EnumSet<SmtpExtension>) -> Result<(), SmtpRefusal>;

static OF_MAIL: [Parameter<MailArguments>; 6] = [
    ("SIZE", SmtpExtension::Size, |mail, value, _| {
        mail.size = Some(size(value)?);
        Ok(())
    }),
    ("BODY", SmtpExtension::EightBitMime, |mail, value, offers| {
        mail.parameters.binary = body(value, offers)? == Body::BinaryMime;
        Ok(())
    }),
    ("SMTPUTF8", SmtpExtension::SmtpUtf8, |mail, value, _| {
        mail.parameters.smtputf8 = true;
        value.is_none().then_some(()).ok_or(SmtpRefusal::Argument)
    }),
    ("RET", SmtpExtension::Dsn, |mail, value, _| {
        mail.parameters.dsn.ret = Some(Ret::parse(present(value)?)?);
        Ok(())
    }),
    ("ENVID", SmtpExtension::Dsn, |mail, value, _| {
        mail.parameters.dsn.envid = Some(EnvelopeId::parse(present(value)?)?);
        Ok(())
    }),
    // Who submitted the message first (RFC 4954 section 5). It is not used.
    ("AUTH", SmtpExtension::Auth, |_, value, _| submitter(present(value)?)),
];

static OF_RCPT: [Parameter<RecipientDsn>; 2] = [
    ("NOTIFY", SmtpExtension::Dsn, |dsn, value, _| {
        dsn.notify = Some(Notify::parse(present(value)?)?);
        Ok(())
    }),
    ("ORCPT", SmtpExtension::Dsn, |dsn, value, _| {
        dsn.orcpt = Some(OriginalRecipient::parse(present(value)?)?);
        Ok(())
    }),
];

/// Parses what follows the path of MAIL, given which extensions this client may use.
pub(super) fn of_mail(
    rest: &str,
    offers: EnumSet<SmtpExtension>,
) -> Result<MailArguments, SmtpRefusal> {
    parse(rest, offers, &OF_MAIL)
}

/// Parses what follows the path of RCPT.
pub(super) fn of_rcpt(
    rest: &str,
    offers: EnumSet<SmtpExtension>,
) -> Result<RecipientDsn, SmtpRefusal> {
    parse(rest, offers, &OF_RCPT)
}

fn parse<T: Default>(
    rest: &str,
    offers: EnumSet<SmtpExtension>,
    known: &[Parameter<T>],
) -> Result<T, SmtpRefusal> {
    let mut taken = T::default();
    if rest.is_empty() {
        return Ok(taken);
    }
    let mut seen = Vec::new();
    for (keyword, value) in split(rest)? {
        let row = known.iter().find(|(name, ..)| name.eq_ignore_ascii_case(keyword));
        let row = row.filter(|(_, extension, _)| offers.contains(*extension));
        let (name, _, take) = row.ok_or(SmtpRefusal::Parameter)?;
        if seen.contains(name) {
            return Err(SmtpRefusal::Argument);
        }
        seen.push(*name);
        take(&mut taken, value, offers)?;
    }
    Ok(taken)
}

/// The parameters, each with its value if it has one.
fn split(rest: &str) -> Result<Vec<(&str, Option<&str>)>, SmtpRefusal> {
    let parameters = rest.strip_prefix(' ').ok_or(SmtpRefusal::Argument)?;
    parameters.split_ascii_whitespace().map(parameter).collect()
}

fn parameter(text: &str) -> Result<(&str, Option<&str>), SmtpRefusal> {
    let (keyword, value) = match text.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (text, None),
    };
    if is_keyword(keyword) { Ok((keyword, value)) } else { Err(SmtpRefusal::Argument) }
}

fn is_keyword(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn present(value: Option<&str>) -> Result<&str, SmtpRefusal> {
    value.filter(|value| !value.is_empty()).ok_or(SmtpRefusal::Argument)
}

/// 1 to 20 digits (RFC 1870 section 3). A number too large for `u64` is taken for the largest.
fn size(value: Option<&str>) -> Result<u64, SmtpRefusal> {
    let digits = present(value)?;
    if digits.len() > 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SmtpRefusal::Argument);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// A value that nobody offers is refused as one that this server does not offer.
fn body(value: Option<&str>, offers: EnumSet<SmtpExtension>) -> Result<Body, SmtpRefusal> {
    match Body::parse(present(value)?) {
        Ok(Body::BinaryMime) if !offers.contains(SmtpExtension::BinaryMime) => {
            Err(SmtpRefusal::Parameter)
        }
        Ok(body) => Ok(body),
        Err(_) => Err(SmtpRefusal::Parameter),
    }
}

/// `<>` or an address as xtext (RFC 4954 section 5).
fn submitter(value: &str) -> Result<(), SmtpRefusal> {
    let is_xtext = value.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'=');
    is_xtext.then_some(()).ok_or(SmtpRefusal::Argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(rest: &str) -> Result<MailArguments, SmtpRefusal> {
        of_mail(rest, EnumSet::all())
    }

    #[test]
    fn each_parameter_is_understood_without_case() {
        let arguments =
            mail(" size=10 Body=8bitMIME SMTPUTF8 ret=HDRS ENVID=a+2Bb AUTH=<>").unwrap();
        assert_eq!(arguments.size, Some(10));
        let parameters = arguments.parameters;
        assert!(parameters.smtputf8 && !parameters.binary);
        assert_eq!(parameters.dsn.ret, Some(Ret::Hdrs));
        assert_eq!(parameters.dsn.envid.unwrap().as_str(), "a+b");
        assert!(mail(" BODY=BINARYMIME").unwrap().parameters.binary);
        assert_eq!(mail(" SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
        let dsn = of_rcpt(" NOTIFY=success,DELAY ORCPT=rfc822;a@b", EnumSet::all()).unwrap();
        assert!(dsn.notify.is_some() && dsn.orcpt.is_some());
    }

    #[test]
    fn a_wrong_value_and_a_second_one_are_wrong_arguments() {
        for rest in [
            " SIZE",
            " SIZE=",
            " SIZE=x",
            " SIZE=-1",
            " SIZE=1 SIZE=1",
            " SMTPUTF8=1",
            " BODY",
            " BODY=",
            " RET=ALL",
            " ENVID=",
            " ENVID=+",
            " AUTH",
            " AUTH==",
            " =1",
            " S_ZE=1",
            "SIZE=1",
        ] {
            assert_eq!(mail(rest), Err(SmtpRefusal::Argument), "{rest}");
        }
        for rest in [" NOTIFY=", " NOTIFY=NEVER,DELAY", " ORCPT=a@b", " NOTIFY=NEVER NOTIFY=NEVER"]
        {
            assert_eq!(of_rcpt(rest, EnumSet::all()), Err(SmtpRefusal::Argument), "{rest}");
        }
    }

    #[test]
    fn what_is_not_offered_is_not_known() {
        for rest in [" FOO=1", " NOTIFY=NEVER", " BODY=9BIT", " FOO"] {
            assert_eq!(mail(rest), Err(SmtpRefusal::Parameter), "{rest}");
        }
        let offers = EnumSet::only(SmtpExtension::EightBitMime);
        for rest in [" SIZE=x", " BODY=BINARYMIME", " SMTPUTF8", " AUTH=<>", " RET=FULL"] {
            assert_eq!(of_mail(rest, offers), Err(SmtpRefusal::Parameter), "{rest}");
        }
        assert_eq!(of_rcpt(" SIZE=1", EnumSet::all()), Err(SmtpRefusal::Parameter));
    }
}
