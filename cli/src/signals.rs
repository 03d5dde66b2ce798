//! The signals that end a command, and the one by which an agent leaves its cluster.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGUSR1, by which an agent is told to leave its cluster for good (as upstream), from the call on: before, the
/// signal ends the process.
pub(crate) fn leave_requested() -> impl Future<Output = ()> {
    let handler = signal(SignalKind::user_defined1());
    async move {
        match handler {
            Ok(mut leave) => drop(leave.recv().await),
            Err(_) => std::future::pending().await,
        }
    }
}

/// Waits for whatever ends a command that somebody watches: as [`end_requested`], or the terminal was closed
/// (SIGHUP). A command that was told to outlive its terminal (`nohup`) does.
///
/// Signals count from the call on, not only from the first time that the future is asked: whoever makes something that
/// must be taken away again calls this before.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    let hangup = if ignores_hangup() { None } else { signal(SignalKind::hangup()).ok() };
    let end = end_requested();
    async move {
        let hung_up = async move {
            match hangup {
                Some(mut hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = end => {}
            () = hung_up => {}
        }
    }
}

/// Whether this process was started with SIGHUP ignored; a handler of ours would change that.
fn ignores_hangup() -> bool {
    const HANGUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

/// Waits for Ctrl-C (SIGINT) or a request to end (SIGTERM), from the call on. Answers which it was.
pub(crate) fn end_requested() -> impl Future<Output = &'static str> {
    let handlers = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = handlers else {
            // Without handlers the signals end the process by themselves.
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send_this_process(name: &str) {
        let sent = format!("kill -{name} {}", std::process::id());
        assert!(std::process::Command::new("sh").args(["-c", &sent]).status().unwrap().success());
    }

    /// Asked for the first time only then: the agent is still being started.
    #[test]
    fn a_signal_to_leave_counts_from_the_call_on() {
        libprocess::run(async {
            let leave = leave_requested();
            send_this_process("USR1");
            leave.await;
        });
    }

    #[test]
    fn it_is_known_which_signal_asks_for_the_end() {
        libprocess::run(async {
            let end = end_requested();
            send_this_process("TERM");
            assert_eq!(end.await, "SIGTERM");
        });
    }
}
