//! What the disk can do at best: one write and one fdatasync after the other.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::own_cpu;

/// Octets of the ring, and messages in it at least.
const RING: usize = 8 * 1024 * 1024;
const SLOTS: usize = 8;

/// Writes `octets` to a file in `dir` and syncs them, again and again for `time`; how often a
/// second, and microseconds of processor time for each. All of the file has been written before
/// and is written again, so that a sync moves nothing but the octets.
pub(crate) fn fdatasyncs(dir: &Path, octets: usize, time: Duration) -> (f64, f64) {
    let slots = (RING / octets).max(SLOTS);
    let file = File::create(dir.join("ring")).unwrap();
    file.write_all_at(&vec![b'x'; slots * octets], 0).unwrap();
    file.sync_all().unwrap();
    let message = vec![b'y'; octets];
    let (began, cpu, mut done) = (Instant::now(), own_cpu(), 0_u32);
    while began.elapsed() < time {
        let slot = done as usize % slots;
        file.write_all_at(&message, (slot * octets) as u64).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    let (took, cpu) = (began.elapsed(), own_cpu().saturating_sub(cpu));
    (f64::from(done) / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / f64::from(done))
}
