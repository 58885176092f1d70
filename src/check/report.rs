//! To whom the tester tells the conversation: a transcript in lines, or a list of steps as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::judge::shown;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The tester.
    Client,
    /// The server.
    Server,
}

/// Is told the conversation while it is played.
pub trait Report {
    /// Somebody has said this: the octets of one write, or of one line of the server.
    ///
    /// # Errors
    ///
    /// If it cannot be told on.
    fn begin(&mut self, speaker: Speaker, octets: &[u8]) -> io::Result<()>;

    /// What is remarked on it; nothing if it is as expected.
    ///
    /// # Errors
    ///
    /// If it cannot be told on.
    fn end(&mut self, speaker: Speaker, remarks: &[String]) -> io::Result<()>;
}

/// The transcript, each line flushed in two parts: what arrives after it is remarked on in brackets.
impl<W: Write> Report for W {
    fn begin(&mut self, speaker: Speaker, octets: &[u8]) -> io::Result<()> {
        let letter = match speaker {
            Speaker::Client => 'C',
            Speaker::Server => 'S',
        };
        write!(self, "{letter}: {}", shown(octets))?;
        self.flush()
    }

    fn end(&mut self, speaker: Speaker, remarks: &[String]) -> io::Result<()> {
        if speaker == Speaker::Server && remarks.is_empty() {
            write!(self, " [OK]")?;
        }
        for remark in remarks {
            write!(self, " [{remark}]")?;
        }
        writeln!(self)?;
        self.flush()
    }
}

/// The conversation in steps, each of what was sent and what was answered.
#[derive(Debug, Default)]
pub struct Steps(Vec<Step>);

#[derive(Debug, Serialize)]
struct Step {
    ok: bool,
    /// Without its last line end; `None` for a greeting.
    #[serde(serialize_with = "text")]
    sent: Option<Vec<u8>>,
    /// The lines, with LF between them; `None` if nothing came.
    #[serde(serialize_with = "text")]
    reply: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

impl Steps {
    /// The whole conversation as one object on one line.
    #[must_use]
    pub fn in_json(&self, service: &str, ok: bool) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            v: u8,
            ok: bool,
            service: &'a str,
            steps: &'a [Step],
        }
        let whole = Whole { v: 1, ok, service, steps: &self.0 };
        let mut line = serde_json::to_string(&whole).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Report for Steps {
    fn begin(&mut self, speaker: Speaker, octets: &[u8]) -> io::Result<()> {
        let goes_on = match (speaker, self.0.last()) {
            (_, None) => false,
            // What is sent before an answer belongs to one step, however it is cut.
            (Speaker::Client, Some(step)) => step.reply.is_none(),
            (Speaker::Server, Some(_)) => true,
        };
        if !goes_on {
            self.0.push(Step { ok: true, sent: None, reply: None, remarks: Vec::new() });
        }
        if let Some(step) = self.0.last_mut() {
            match speaker {
                Speaker::Client => step.sent.get_or_insert_default().extend(octets),
                Speaker::Server => step.reply.get_or_insert_default().extend(octets),
            }
        }
        Ok(())
    }

    fn end(&mut self, _: Speaker, remarks: &[String]) -> io::Result<()> {
        if let Some(step) = self.0.last_mut() {
            step.ok &= remarks.is_empty();
            step.remarks.extend_from_slice(remarks);
        }
        Ok(())
    }
}

/// The octets as text, lines ended by LF, without the last line end.
#[expect(clippy::ref_option, reason = "serde gives it so")]
fn text<S: serde::Serializer>(octets: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(octets) = octets else { return serializer.serialize_none() };
    let text = String::from_utf8_lossy(octets).replace("\r\n", "\n");
    serializer.serialize_str(text.strip_suffix('\n').unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_was_sent_and_what_was_answered() {
        let mut steps = Steps::default();
        for (speaker, octets, remarks) in [
            (Speaker::Server, "220 ready\r\n", &[][..]),
            (Speaker::Client, "HE", &[]),
            (Speaker::Client, "LO x\r\n", &[]),
            (Speaker::Server, "500 what\r\n", &["Expected: '250 *'".to_owned()]),
            (Speaker::Client, "QUIT\r\n", &[]),
        ] {
            steps.begin(speaker, octets.as_bytes()).unwrap();
            steps.end(speaker, remarks).unwrap();
        }
        assert_eq!(
            steps.in_json("smtp", false),
            "{\"v\":1,\"ok\":false,\"service\":\"smtp\",\"steps\":[\
             {\"ok\":true,\"sent\":null,\"reply\":\"220 ready\"},\
             {\"ok\":false,\"sent\":\"HELO x\",\"reply\":\"500 what\",\
             \"remarks\":[\"Expected: '250 *'\"]},\
             {\"ok\":true,\"sent\":\"QUIT\",\"reply\":null}]}\n"
        );
    }
}
