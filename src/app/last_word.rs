//! The last line on stderr, when everything else has ended. A terminal that has stopped taking
//! output must not keep the process alive.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long writing it may take.
const MOST: Duration = Duration::from_millis(250);

/// Writes a line to stderr; gives up if it is not taken in time.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    let (tell, told) = mpsc::channel();
    let saying = thread::Builder::new().spawn(move || {
        let _ = std::io::stderr().write_all(line.as_bytes());
        let _ = tell.send(());
    });
    if saying.is_ok() {
        // The process ends after this, and the thread with it.
        let _ = told.recv_timeout(MOST);
    }
}
