//! Plays the steps of a script and tells what is said.

use std::time::Duration;

use super::judge::{Remark, judge};
use super::peer::{Heard, Peer};
use super::report::{Report, Speaker};
use super::script::Step;
use super::{CheckError, Pace, Verdict};

/// A conversation in progress.
#[derive(Debug)]
pub(super) struct Player<'a, R> {
    peer: Peer,
    pace: Pace,
    out: &'a mut R,
    /// The speaker of the transcript's last line. That line is finished only at the next step,
    /// because octets that arrive after it are reported in its brackets.
    unfinished: Option<Speaker>,
    /// The remarks on that line.
    remarks: Vec<Remark>,
    verdict: Verdict,
}

impl<'a, R: Report> Player<'a, R> {
    pub(super) const fn new(peer: Peer, pace: Pace, out: &'a mut R) -> Self {
        Self { peer, pace, out, unfinished: None, remarks: Vec::new(), verdict: Verdict::Right }
    }

    /// Plays the steps up to the end or to the first error.
    pub(super) fn play(mut self, steps: &[Step]) -> Result<Verdict, CheckError> {
        let played = steps.iter().try_for_each(|&step| self.step(step));
        self.finish_line()?;
        played.map(|()| self.verdict)
    }

    fn step(&mut self, step: Step) -> Result<(), CheckError> {
        match step {
            Step::Send(text) => self.send(text, self.pace.hush),
            Step::SendLater(text) => self.send(text, self.pace.pause),
            Step::SendEach(lines) => {
                lines.iter().try_for_each(|line| self.send(&format!("{line}\r\n"), self.pace.hush))
            }
            Step::Expect(expected) => self.expect(expected),
            Step::ExpectEach(lines) => lines.iter().try_for_each(|line| self.expect(line)),
            Step::Close => self.expect_close(),
        }
    }

    /// Sends `text` after the server has been silent for `silence`.
    fn send(&mut self, text: &str, silence: Duration) -> Result<(), CheckError> {
        if self.listen(silence)? == Heard::End {
            return Err(CheckError::ClosedEarly);
        }
        self.begin_line(Speaker::Client, text.as_bytes())?;
        self.peer.send(text.as_bytes(), self.pace.answer)
    }

    fn expect(&mut self, expected: &'static str) -> Result<(), CheckError> {
        match self.peer.line(expected, self.pace.answer) {
            Ok(line) => {
                self.begin_line(Speaker::Server, &line)?;
                self.remarks = judge(&line, expected);
                Ok(())
            }
            Err(error) => {
                self.show_broken_line(expected)?;
                Err(error)
            }
        }
    }

    /// Writes the received part of a line that did not end to the transcript.
    fn show_broken_line(&mut self, expected: &'static str) -> Result<(), CheckError> {
        let (beginning, _) = self.peer.stray();
        if !beginning.is_empty() {
            self.begin_line(Speaker::Server, &beginning)?;
            self.remarks = vec![Remark::Expected(expected)];
        }
        Ok(())
    }

    fn expect_close(&mut self) -> Result<(), CheckError> {
        match self.listen(self.pace.answer)? {
            Heard::End => Ok(()),
            Heard::Silence => Err(CheckError::NotClosed { limit: self.pace.answer }),
        }
    }

    /// Listens when nothing should come, and adds a remark if something does.
    fn listen(&mut self, window: Duration) -> Result<Heard, CheckError> {
        let heard = self.peer.listen(window)?;
        let (octets, omitted) = self.peer.stray();
        if !octets.is_empty() {
            self.remarks.push(Remark::Unexpected { octets, omitted });
        }
        Ok(heard)
    }

    fn begin_line(&mut self, speaker: Speaker, octets: &[u8]) -> Result<(), CheckError> {
        self.finish_line()?;
        self.unfinished = Some(speaker);
        self.out.begin(speaker, octets).map_err(CheckError::Output)
    }

    /// Tells what is remarked on the last line.
    fn finish_line(&mut self) -> Result<(), CheckError> {
        let Some(speaker) = self.unfinished.take() else {
            return Ok(());
        };
        let remarks: Vec<String> = self.remarks.drain(..).map(|one| one.to_string()).collect();
        if !remarks.is_empty() {
            self.verdict = Verdict::Off;
        }
        self.out.end(speaker, &remarks).map_err(CheckError::Output)
    }
}
