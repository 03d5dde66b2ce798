//! The signals that end a command.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGUSR1, by which an agent is told to leave its cluster for good (as upstream).
pub(crate) async fn leave_requested() {
    match signal(SignalKind::user_defined1()) {
        Ok(mut leave) => drop(leave.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Waits for whatever ends a command that somebody watches: as [`end_requested`], or the terminal was closed
/// (SIGHUP). A command that was told to outlive its terminal (`nohup`) does.
pub(crate) async fn interrupted() {
    let hung_up = async {
        if ignores_hangup() {
            return std::future::pending().await;
        }
        match signal(SignalKind::hangup()) {
            Ok(mut hangup) => drop(hangup.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = end_requested() => {}
        () = hung_up => {}
    }
}

/// Whether this process was started with SIGHUP ignored; a handler of ours would change that.
fn ignores_hangup() -> bool {
    const HANGUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

/// Waits for Ctrl-C (SIGINT) or a request to end (SIGTERM).
pub(crate) async fn end_requested() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
