//! Waits for the end of processes that are known by their pid alone.
//!
//! A pidfd becomes readable when its process ends, so that waiting costs nothing. Where there is none (Linux before 5.3,
//! or a sandbox that forbids it), the process is looked at again and again, as upstream does always: every 100 ms, and
//! every second when there are many (3rdparty/libprocess/src/reap.cpp). [`super::Child`] needs none of this: tokio waits
//! for children by the same means.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, test_kill_process, waitid,
};
use tokio::io::unix::AsyncFd;

/// Up to [`FEW`] processes are looked at so often.
const SHORT: Duration = Duration::from_millis(100);
/// [`MANY`] and more are looked at so often; what is between them, in proportion.
const LONG: Duration = Duration::from_secs(1);
const FEW: usize = 50;
const MANY: usize = 500;

/// Processes that are being looked at.
static POLLED: AtomicUsize = AtomicUsize::new(0);

/// Waits until process `pid` has ended, and takes its status if it is a child of this process that nobody else has
/// waited for. `None`: it is none, or there is no such process. Only one may wait for a child; all others get `None`.
///
/// Dropping the future stops the waiting; a child that ends then remains a zombie until somebody waits for it.
pub async fn reap(pid: i32) -> Option<ExitStatus> {
    let pid = valid(pid)?;
    match descriptor(pid) {
        Ok(descriptor) => {
            if readable(&descriptor).await.is_err() {
                poll(pid).await;
            }
            // By descriptor: the pid may be somebody else's by now.
            status(WaitId::PidFd(descriptor.as_fd()))
        }
        Err(Errno::SRCH) => None,
        Err(_) => {
            poll(pid).await;
            status(WaitId::Pid(pid))
        }
    }
}

/// Waits until process `pid` has ended, and leaves its status to its parent. Returns at once if there is no such process.
pub async fn watch(pid: i32) {
    let Some(pid) = valid(pid) else { return };
    match descriptor(pid) {
        Ok(descriptor) => {
            if readable(&descriptor).await.is_err() {
                poll(pid).await;
            }
        }
        Err(Errno::SRCH) => {}
        Err(_) => poll(pid).await,
    }
}

/// 0 and negative numbers stand for groups elsewhere; here they are nobody.
fn valid(pid: i32) -> Option<Pid> {
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

fn descriptor(pid: Pid) -> Result<OwnedFd, Errno> {
    pidfd_open(pid, PidfdFlags::NONBLOCK)
}

async fn readable(descriptor: &OwnedFd) -> std::io::Result<()> {
    // The descriptor owns what it names and is not closed while it is watched, which is all that the unsafe replacement
    // asks for.
    #[allow(deprecated, reason = "its replacement is an unsafe function, and nothing is gained by it here")]
    AsyncFd::new(descriptor.as_fd())?.readable().await.map(drop)
}

/// Looks again and again. A pid that is given out anew in the meantime is taken for the old process.
async fn poll(pid: Pid) {
    let _polled = Polled::new();
    while runs(pid) {
        tokio::time::sleep(interval(POLLED.load(Ordering::Relaxed))).await;
    }
}

/// Whether there is such a process, and it is not a child of ours that only waits to be reaped. (A zombie of another
/// parent counts as running: its parent is about to reap it.)
fn runs(pid: Pid) -> bool {
    // NOWAIT leaves the child as it is.
    let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), looking) {
        Ok(ended) => ended.is_none(),
        // Not a child. No permission to signal it: it is there.
        Err(_) => test_kill_process(pid) != Err(Errno::SRCH),
    }
}

/// The status of a child that has ended; it is reaped by this.
fn status(of: WaitId<'_>) -> Option<ExitStatus> {
    let status = waitid(of, WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok()??;
    raw(&status).map(ExitStatus::from_raw)
}

/// The form of wait(2).
fn raw(status: &WaitIdStatus) -> Option<i32> {
    const CORE_DUMPED: i32 = 0x80;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some((code & 0xff) << 8),
        (None, Some(signal)) => Some(signal | if status.dumped() { CORE_DUMPED } else { 0 }),
        (None, None) => None,
    }
}

/// Counts who is looked at, for as long as they are.
struct Polled;

impl Polled {
    fn new() -> Polled {
        POLLED.fetch_add(1, Ordering::Relaxed);
        Polled
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        POLLED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long to wait before the next look, with so many to look at.
fn interval(count: usize) -> Duration {
    let above = count.saturating_sub(FEW).min(MANY - FEW) as f64;
    SHORT + (LONG - SHORT).mul_f64(above / (MANY - FEW) as f64)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn start(script: &str) -> (std::process::Child, i32) {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        (child, pid)
    }

    #[tokio::test]
    async fn a_child_is_reaped_with_its_status() {
        let (_child, pid) = start("exit 3");
        assert_eq!(reap(pid).await.and_then(|status| status.code()), Some(3));
        assert_eq!(reap(pid).await, None, "it is gone");
        let (_child, pid) = start("kill -TERM $$");
        assert_eq!(reap(pid).await.and_then(|status| status.signal()), Some(15));
    }

    #[tokio::test]
    async fn what_is_only_watched_keeps_its_status_for_its_parent() {
        let (mut child, pid) = start("exec sleep 1000");
        let watching = watch(pid);
        child.kill().unwrap();
        watching.await;
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        watch(pid).await;
    }

    #[tokio::test]
    async fn of_a_process_that_is_no_child_the_end_is_seen_but_not_the_status() {
        // The shell prints the pid of a grandchild of ours, and lives until it is told to end.
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut line = String::new();
        let mut printed = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut printed, &mut line).unwrap();
        let pid: i32 = line.trim().parse().unwrap();
        let reaping = reap(pid);
        assert!(super::super::send_signal(pid, rustix::process::Signal::KILL));
        assert_eq!(reaping.await, None);
        shell.wait().unwrap();
    }

    #[tokio::test]
    async fn nobody_has_the_pids_that_stand_for_groups() {
        for pid in [0, -1, -5] {
            assert_eq!(reap(pid).await, None);
            watch(pid).await;
        }
    }

    #[tokio::test]
    async fn without_descriptors_processes_are_looked_at() {
        let (mut child, pid) = start("exit 4");
        let pid = valid(pid).unwrap();
        poll(pid).await;
        assert_eq!(status(WaitId::Pid(pid)).and_then(|status| status.code()), Some(4));
        assert!(!runs(pid));
        // It has been reaped.
        assert!(child.wait().is_err());
        assert!(runs(valid(1).unwrap()), "init is somebody else's child");
    }

    #[test]
    fn many_processes_are_looked_at_less_often() {
        let milliseconds = [1, 50, 275, 500, 10_000].map(|count| interval(count).as_millis());
        assert_eq!(milliseconds, [100, 100, 550, 1000, 1000]);
    }
}
