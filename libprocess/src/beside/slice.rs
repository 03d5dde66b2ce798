//! Short slices of a core, for threads that give it away often.
//!
//! From a thread that gives its core away while others wait, Linux 6.18 takes what is left of its slice (`yield_task_fair`
//! in `kernel/sched/fair.c`): some milliseconds, of which it wanted to do without a few microseconds. Beside a busy program,
//! a thread of nice 10 that did so ten times in a millisecond had 1.0 % of the core, in place of 9.8 %. With slices as short
//! as the time between there is not much to take: 5.6 %, and of two threads of one priority the one had 34 % in place of 7.

use std::io;
use std::time::Duration;

/// So long a thread keeps its core from another one that waits, if it may: the shortest slice that Linux allows.
pub(super) const SLICE: Duration = Duration::from_micros(100);

/// Asks for short slices for this thread. Linux before 6.12 has one length for all: then nothing changes.
pub(crate) fn shorten() {
    if let Err(error) = ask() {
        tracing::debug!(%error, "a thread that gives its core away has slices as long as others'");
    }
}

fn ask() -> io::Result<()> {
    let mut attributes = attributes()?;
    // Of others' policies it would be something else. (The constants have one sign, and the field another.)
    if ![libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&attributes.sched_policy.cast_signed()) {
        return Ok(());
    }
    attributes.sched_runtime = u64::try_from(SLICE.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads as many bytes as the structure says that it has.
    #[allow(unsafe_code, reason = "no library of ours makes this system call")]
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// This thread's policy, priority and slice.
fn attributes() -> io::Result<libc::sched_attr> {
    let mut attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let size = attributes.size;
    // SAFETY: the kernel writes no more bytes than it is told that there are.
    #[allow(unsafe_code, reason = "no library of ours makes this system call")]
    let outcome = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if outcome == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_short_slices_and_its_priority() {
        // Of a thread of its own: those of tests do other things afterwards.
        let outcome = std::thread::spawn(|| {
            rustix::process::nice(3).unwrap();
            let before = attributes().unwrap();
            ask().unwrap();
            (before, attributes().unwrap())
        });
        let (before, after) = outcome.join().unwrap();
        assert_eq!((after.sched_policy, after.sched_nice), (before.sched_policy, before.sched_nice));
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        if (numbers.next(), numbers.next()) >= (Some(6), Some(12)) {
            assert_eq!(after.sched_runtime, 100_000);
        }
    }
}
