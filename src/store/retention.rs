//! Removes the oldest messages of a mailbox, by number or by age. The mailbox is rewritten as by
//! POP3's UPDATE, and never while a session has it.
//!
//! See docs/files.md 6.4.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::committer::{self, Committer, LockError};
use crate::store::directory::{Directory, Opened, User};
use crate::store::files::FileName;
use crate::store::from_date::date_of;
use crate::store::index::{Index, IndexError, Known};
use crate::store::lock::{LockedFile, Purpose};
use crate::store::maildrop::{self, UpdateError};
use crate::store::rewrite;

/// Which messages are kept in each mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many, the last of the file; at least 1.
    Messages(usize),
    /// Those that were stored within so long a time, by their From_ lines; at least a minute.
    For(Duration),
}

/// The text says neither a number of messages nor an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a number of messages such as 1000, or an age such as 7d, 12h or 30m")]
pub struct BadKeep;

const MINUTE: u64 = 60;

impl FromStr for Keep {
    type Err = BadKeep;

    fn from_str(text: &str) -> Result<Self, BadKeep> {
        let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 =
            digits.parse().ok().filter(|&number| all_digits && number > 0).ok_or(BadKeep)?;
        let minutes = match text.get(digits.len()..).unwrap_or_default() {
            "" => return usize::try_from(number).map(Self::Messages).map_err(|_| BadKeep),
            "m" => 1,
            "h" => 60,
            "d" => 24 * 60,
            _ => return Err(BadKeep),
        };
        number.checked_mul(minutes * MINUTE).map(Duration::from_secs).map(Self::For).ok_or(BadKeep)
    }
}

impl fmt::Display for Keep {
    /// As a user would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = match self {
            Self::Messages(number) => return write!(f, "{number}"),
            Self::For(age) => age.as_secs() / MINUTE,
        };
        match minutes {
            minutes if minutes % (24 * 60) == 0 => write!(f, "{}d", minutes / (24 * 60)),
            minutes if minutes % 60 == 0 => write!(f, "{}h", minutes / 60),
            minutes => write!(f, "{minutes}m"),
        }
    }
}

/// The date of the oldest message of a mailbox, and the state of the mailbox for which it is known:
/// new messages need only be added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest {
    generation: u64,
    count: usize,
    /// Seconds since 1970; `None` if no message has a date.
    date: Option<i64>,
}

impl Oldest {
    /// When the oldest message is `age` old; `None` if no message has a date.
    #[must_use]
    pub fn expires(&self, age: Duration) -> Option<SystemTime> {
        let expires = self.date?.checked_add_unsigned(age.as_secs())?;
        UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(expires).unwrap_or(0)))
    }

    fn of(index: &Index, file: &File, before: Option<Self>) -> io::Result<Self> {
        let (generation, count) = (index.generation(), index.messages.len());
        let fits = |one: &Self| one.generation == generation && one.count <= count;
        let (seen, mut date) = before.filter(fits).map_or((0, None), |one| (one.count, one.date));
        for message in index.messages.iter().skip(seen) {
            let own = date_of(&maildrop::from_line_of(message, file)?);
            date = [date, own].into_iter().flatten().min();
        }
        Ok(Self { generation, count, date })
    }
}

/// What was done to a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Number of messages that were removed.
    pub removed: usize,
    /// The oldest message that is left, if messages are kept by their age.
    pub oldest: Option<Oldest>,
}

/// Why no message was removed. All of them are still there.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A session has the mailbox, another program has it locked, or it has just been removed: try
    /// again.
    #[error("it is in use")]
    InUse,
    /// The mailbox cannot be read or rewritten.
    #[error(transparent)]
    Failed(UpdateError),
}

impl<E: Into<UpdateError>> From<E> for KeepError {
    fn from(error: E) -> Self {
        match error.into() {
            UpdateError::Busy | UpdateError::Missing => Self::InUse,
            error => Self::Failed(error),
        }
    }
}

impl Directory {
    /// Removes the messages of a mailbox that are not to be kept at the time `now`. Does not wait
    /// for sessions or other programs. `oldest` is what the last call returned.
    ///
    /// # Errors
    ///
    /// If messages were to be removed and none was.
    pub async fn keep(
        &self,
        user: &User,
        keep: Keep,
        oldest: Option<Oldest>,
        now: SystemTime,
    ) -> Result<Kept, KeepError> {
        let (opened, name) = (self.opened(), user.file());
        match keep {
            Keep::Messages(most) => {
                let excess = move |index: &Index, _: &File| {
                    let excess = index.messages.len().saturating_sub(most);
                    Ok((0..index.messages.len()).map(|nth| nth < excess).collect())
                };
                let removed = remove(&opened, &name, excess).await?;
                Ok(Kept { removed, oldest: None })
            }
            Keep::For(age) => keep_for(&opened, &name, age, oldest, now).await,
        }
    }
}

async fn keep_for(
    opened: &Opened,
    name: &FileName,
    age: Duration,
    before: Option<Oldest>,
    now: SystemTime,
) -> Result<Kept, KeepError> {
    let is_over = move |oldest: &Oldest| oldest.expires(age).is_some_and(|at| at <= now);
    let oldest = look(opened, name, before).await?;
    if !is_over(&oldest) {
        return Ok(Kept { removed: 0, oldest: Some(oldest) });
    }
    let old = move |index: &Index, file: &File| {
        let date = |message| Ok(date_of(&maildrop::from_line_of(message, file)?));
        let is_old = |date| is_over(&Oldest { generation: 0, count: 0, date });
        index.messages.iter().map(|message| date(message).map(is_old)).collect()
    };
    let removed = remove(opened, name, old).await?;
    let oldest = look(opened, name, None).await?;
    Ok(Kept { removed, oldest: Some(oldest) })
}

/// Finds the oldest message.
async fn look(
    opened: &Opened,
    name: &FileName,
    before: Option<Oldest>,
) -> Result<Oldest, KeepError> {
    let look = {
        let (committer, name) = (Arc::clone(&opened.committer), Arc::clone(name));
        move |locked: LockedFile| {
            let Known { index, .. } = committer.ground().indexes.of(&name, locked.file())?;
            Ok::<_, IndexError>(Oldest::of(&index, locked.file(), before)?)
        }
    };
    Ok(locked(&opened.committer, name, Purpose::Read, look).await??)
}

/// Removes the messages that `gone` says, unless a session has the mailbox; returns how many.
async fn remove(
    opened: &Opened,
    name: &FileName,
    gone: impl FnOnce(&Index, &File) -> io::Result<Vec<bool>> + Send + 'static,
) -> Result<usize, KeepError> {
    let remove = {
        let (opened, name) = (opened.clone(), Arc::clone(name));
        move |locked: LockedFile| -> Result<usize, KeepError> {
            let (ground, file) = (opened.ground(), locked.file());
            // A session that begins after this waits for the mailbox's lock before it numbers the
            // messages.
            if opened.sessions.is_held(&ground.files, &name)? {
                return Err(KeepError::InUse);
            }
            // Before the mailbox is looked at: removing a link to it would change its state.
            rewrite::make_room(&ground.files, &name)?;
            let now = ground.indexes.of(&name, file)?;
            let gone = gone(&now.index, file)?;
            maildrop::remove(ground, &name, file, &now, &gone)?;
            Ok(gone.iter().filter(|gone| **gone).count())
        }
    };
    locked(&opened.committer, name, Purpose::Rewrite, remove).await?
}

async fn locked<R: Send + 'static>(
    committer: &Arc<Committer>,
    name: &FileName,
    purpose: Purpose,
    work: impl FnOnce(LockedFile) -> R + Send + 'static,
) -> Result<R, LockError> {
    committer::with_locked_at_once(committer, name, purpose, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_a_number_or_an_age_and_nothing_else() {
        let read = |text: &str| text.parse::<Keep>();
        for (text, keep) in [
            ("1000", Keep::Messages(1_000)),
            ("30m", Keep::For(Duration::from_mins(30))),
            ("12h", Keep::For(Duration::from_hours(12))),
            ("7d", Keep::For(Duration::from_hours(7 * 24))),
        ] {
            assert_eq!(read(text), Ok(keep));
            assert_eq!(keep.to_string(), text);
        }
        for text in [
            "",
            "0",
            "0d",
            "d",
            "-1",
            "+1",
            "1.5d",
            "7D",
            "7 d",
            "7w",
            "7dd",
            "1e3",
            "\u{b2}",
            "99999999999999999999",
            "999999999999999999d",
        ] {
            assert_eq!(read(text), Err(BadKeep), "{text}");
        }
    }

    #[test]
    fn no_age_and_no_date_make_arithmetic_fail() {
        let oldest = |date| Oldest { generation: 0, count: 1, date };
        let year = Duration::from_hours(24 * 365);
        assert_eq!(oldest(None).expires(year), None);
        assert_eq!(oldest(Some(i64::MAX)).expires(year), None);
        assert_eq!(oldest(Some(0)).expires(Duration::from_secs(u64::MAX)), None);
        assert_eq!(oldest(Some(-1)).expires(Duration::from_secs(1)), Some(UNIX_EPOCH));
    }
}
