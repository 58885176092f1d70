//! Finds out who holds a mailbox's locks, for display only: no decision depends on it, and it never
//! waits.

use crate::store::files::{Access, Creation, FileName, Files};
use crate::store::lock::{self, Owner};
use crate::store::overview::{Holder, Process};
use crate::store::sessions::{Sessions, noted_in, side_file};

/// The POP3 session that has the mailbox locked, in this process or another.
pub(super) fn session(sessions: &Sessions, files: &Files, name: &FileName) -> Option<Holder> {
    if sessions.is_open(name) {
        return Some(Holder::OwnSession);
    }
    let side = files.open_file(&side_file(name), Access::Read, Creation::Never).ok()?;
    match lock::ofd_lock_owner(&side).ok()? {
        Owner::Nobody => None,
        Owner::Process(id) => Some(Holder::OtherSession(Some(process(id)))),
        Owner::Unknown => Some(Holder::OtherSession(noted_in(side).map(process))),
    }
}

/// The other program that holds a dotlock for the mailbox.
pub(super) fn dotlock(files: &Files, name: &FileName) -> Option<Holder> {
    program(lock::dotlock_owner(files, name).ok()?)
}

/// The other program that holds an fcntl lock on the mailbox. An OFD lock, such as ours, names no
/// process and is not reported.
pub(super) fn fcntl_lock(files: &Files, name: &FileName) -> Option<Holder> {
    let file = files.open_file(name, Access::Read, Creation::Never).ok()?;
    match lock::ofd_lock_owner(&file).ok()? {
        Owner::Unknown => None,
        owner => program(owner),
    }
}

fn program(owner: Owner) -> Option<Holder> {
    match owner {
        Owner::Nobody => None,
        // We are working on the file, which takes no time worth showing.
        Owner::Process(id) if u32::try_from(id) == Ok(std::process::id()) => None,
        Owner::Process(id) => Some(Holder::Program(Some(process(id)))),
        Owner::Unknown => Some(Holder::Program(None)),
    }
}

fn process(id: i32) -> Process {
    let stat = procfs::process::Process::new(id).and_then(|process| process.stat());
    Process { id, name: stat.ok().map(|stat| stat.comm) }
}
