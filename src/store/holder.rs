//! Who keeps a mailbox locked, as far as its locks tell. Only looked up, for whoever shows it:
//! nothing is decided by it, and nobody waits.

use crate::store::files::{Access, Creation, FileName, Files};
use crate::store::lock::{self, Owner};
use crate::store::overview::{Holder, Process};
use crate::store::sessions::{Sessions, noted_in, side_file};

/// The POP3 session that has a mailbox locked, whatever process it is in.
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

/// The other program that has a dotlock beside the mailbox.
pub(super) fn dotlock(files: &Files, name: &FileName) -> Option<Holder> {
    program(lock::dotlock_owner(files, name).ok()?)
}

/// The other program that has an fcntl lock on the mailbox. One that took it for its open file, as
/// we do, has left no name there and is not seen.
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
        // We are at work on the file, which takes no time worth showing.
        Owner::Process(id) if u32::try_from(id) == Ok(std::process::id()) => None,
        Owner::Process(id) => Some(Holder::Program(Some(process(id)))),
        Owner::Unknown => Some(Holder::Program(None)),
    }
}

fn process(id: i32) -> Process {
    let stat = procfs::process::Process::new(id).and_then(|process| process.stat());
    Process { id, name: stat.ok().map(|stat| stat.comm) }
}
