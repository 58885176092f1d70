//! The clipboard, in two ways at once: that of the terminal by OSC 52, which also works over a
//! remote connection, and that of the desktop if there is one. Only text that the user asked to
//! copy is put there.

use std::env;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::wire::figures::grouped;

/// The most octets of text: xterm accepts no more than this in base64, other terminals less.
const MOST_OCTETS: usize = 100_000;

/// An error: the text is longer than terminals accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "These are {} octets, and terminals take no more than {}: save them with s instead.",
    grouped(*.0), grouped(MOST_OCTETS)
)]
pub struct TooLong(usize);

/// The control sequence that copies `text` to the terminal's clipboard. The text is encoded in
/// base64, so that it cannot contain other control sequences.
///
/// # Errors
///
/// The text is too long.
pub fn osc_52(text: &str) -> Result<String, TooLong> {
    if text.len() > MOST_OCTETS {
        return Err(TooLong(text.len()));
    }
    Ok(format!("\x1b]52;c;{}\x07", BASE64_STANDARD.encode(text)))
}

/// The desktop's clipboard.
#[derive(Debug, Default)]
pub struct Desktop {
    /// The channel to the thread that owns the clipboard; `None` until something is copied.
    thread: Option<Sender<String>>,
}

impl Desktop {
    /// Copies `text` to the desktop's clipboard, if there is one. Does not wait, and ignores
    /// errors: the terminal has been asked, too.
    pub fn copy(&mut self, text: String) {
        if self.thread.is_none() && is_there() {
            self.thread = start();
        }
        if let Some(thread) = &self.thread {
            let _ = thread.send(text);
        }
    }
}

fn is_there() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// Starts a thread of its own, because a display that has gone away answers late or never.
fn start() -> Option<Sender<String>> {
    let (sender, texts) = mpsc::channel();
    let thread = thread::Builder::new().name("clipboard".to_owned());
    thread.spawn(move || serve(&texts)).ok()?;
    Some(sender)
}

fn serve(texts: &Receiver<String>) {
    // Kept as long as the console runs: under X11 each paste asks the program that copied the text.
    let mut clipboard = None;
    while let Ok(text) = texts.recv() {
        let newest = texts.try_iter().last().unwrap_or(text);
        clipboard = clipboard.or_else(|| arboard::Clipboard::new().ok());
        let is_done = clipboard.as_mut().is_some_and(|one| one.set_text(newest).is_ok());
        // After an error, the next text tries a new one.
        clipboard = clipboard.filter(|_| is_done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_terminal_is_told_in_base64() {
        assert_eq!(osc_52("[1] C: NOOP").unwrap(), "\x1b]52;c;WzFdIEM6IE5PT1A=\x07");
    }

    #[test]
    fn too_much_is_refused_with_the_remedy() {
        assert!(osc_52(&"x".repeat(MOST_OCTETS)).is_ok());
        let error = osc_52(&"x".repeat(MOST_OCTETS + 1)).unwrap_err().to_string();
        assert_eq!(
            error,
            "These are 100,001 octets, and terminals take no more than 100,000: save them with s \
             instead."
        );
    }

    proptest! {
        #[test]
        fn whatever_is_copied_the_terminal_is_told_nothing_else(text in ".{0,300}") {
            let told = osc_52(&text).unwrap();
            let inner = told.strip_prefix("\x1b]52;c;").and_then(|rest| rest.strip_suffix('\x07'));
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
            prop_assert!(inner.is_some_and(|inner| inner.chars().all(is_base64)));
            let back = BASE64_STANDARD.decode(inner.unwrap_or_default()).unwrap_or_default();
            prop_assert_eq!(back, text.into_bytes());
        }
    }
}
