//! Who keeps a mailbox locked, as far as its locks tell. Only looked up, for whoever shows it:
//! nothing is decided by it, and nobody waits.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::store::committer::FileName;
use crate::store::directory::Shared;
use crate::store::files::{Access, Creation};
use crate::store::lock::{self, Owner};
use crate::store::maildrop::side_file;
use crate::store::overview::{Holder, Process};

/// Octets of a side file that are read; it holds a process id.
const SIDE_FILE_READ: u64 = 32;

/// The POP3 session that has a mailbox locked, whatever process it is in.
pub(super) fn session(shared: &Shared, name: &FileName) -> Option<Holder> {
    if shared.sessions.is_open(name) {
        return Some(Holder::OwnSession);
    }
    let side = shared.files.open_file(&side_file(name), Access::Read, Creation::Never).ok()?;
    match lock::ofd_lock_owner(&side).ok()? {
        Owner::Nobody => None,
        Owner::Process(id) => Some(Holder::OtherSession(Some(process(id)))),
        Owner::Unknown => Some(Holder::OtherSession(noted_in(side).map(process))),
    }
}

/// The other program that has a dotlock beside the mailbox.
pub(super) fn dotlock(shared: &Shared, name: &FileName) -> Option<Holder> {
    program(lock::dotlock_owner(&shared.files, name).ok()?)
}

/// The other program that has an fcntl lock on the mailbox. One that took it for its open file, as
/// we do, has left no name there and is not seen.
pub(super) fn fcntl_lock(shared: &Shared, name: &FileName) -> Option<Holder> {
    let file = shared.files.open_file(name, Access::Read, Creation::Never).ok()?;
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

/// Notes in a side file, which the caller has locked, which process has it. That is for people:
/// where it cannot be written, the lock holds all the same.
pub(super) fn note_in(side: &File) -> io::Result<()> {
    side.set_len(0)?;
    side.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
}

fn noted_in(side: File) -> Option<i32> {
    let mut noted = String::new();
    side.take(SIDE_FILE_READ).read_to_string(&mut noted).ok()?;
    noted.trim().parse().ok().filter(|&id| id > 0)
}
