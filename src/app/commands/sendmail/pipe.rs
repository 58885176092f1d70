//! `sendmail -bs`: SMTP on stdin and stdout, carried to the server and back.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::app::smtp_address::SmtpAddress;

/// Octets of one read.
const READ: usize = 64 * 1024;

/// Carries what comes on stdin to the server, and its replies to stdout, until it closes.
///
/// # Errors
///
/// If there is no connection.
pub fn speak(server: &SmtpAddress) -> io::Result<()> {
    let socket = TcpStream::connect((server.host.as_str(), server.port))?;
    let sending = socket.try_clone()?;
    // It may wait for stdin for ever; it ends with the program.
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let _ = carry_lines(io::stdin().lock(), &sending);
        let _ = sending.shutdown(Shutdown::Write);
    })?;
    // A broken connection, and a stdout that is closed, are its ends as well.
    let _ = carry(socket, io::stdout().lock());
    Ok(())
}

fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut octets = vec![0; READ];
    loop {
        let count = from.read(&mut octets)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(octets.get(..count).unwrap_or_default())?;
        to.flush()?;
    }
}

/// Carries text whose lines may end in LF alone, as they do in scripts.
fn carry_lines(mut from: impl BufRead, mut to: impl Write) -> io::Result<()> {
    let mut before = 0;
    loop {
        let read = from.fill_buf()?;
        if read.is_empty() {
            return Ok(());
        }
        let mut whole = Vec::with_capacity(read.len() + 64);
        for &octet in read {
            if octet == b'\n' && before != b'\r' {
                whole.push(b'\r');
            }
            whole.push(octet);
            before = octet;
        }
        let count = read.len();
        to.write_all(&whole)?;
        from.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_leave_with_crlf_however_they_were_cut() {
        let carried = |capacity: usize| {
            let mut out = Vec::new();
            let text = &b"EHLO x\nMAIL FROM:<>\r\n\n\r\r\n"[..];
            carry_lines(io::BufReader::with_capacity(capacity, text), &mut out).unwrap();
            out
        };
        for capacity in [1, 2, 7, 100] {
            assert_eq!(carried(capacity), b"EHLO x\r\nMAIL FROM:<>\r\n\r\n\r\r\n", "{capacity}");
        }
    }
}
