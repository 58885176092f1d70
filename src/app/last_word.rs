//! What is said on stderr when everything has ended. Nobody may have to be there to take it: a
//! terminal that has stopped taking output must not keep the process.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long it may take.
const MOST: Duration = Duration::from_millis(250);

/// Says a line on stderr; gives up when nobody takes it.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    let (tell, told) = mpsc::channel();
    let saying = thread::Builder::new().spawn(move || {
        let _ = std::io::stderr().write_all(line.as_bytes());
        let _ = tell.send(());
    });
    if saying.is_ok() {
        // The process ends behind this, and the thread with it.
        let _ = told.recv_timeout(MOST);
    }
}
