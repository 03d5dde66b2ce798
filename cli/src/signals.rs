//! The signals that end a command.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGUSR1, by which an agent is told to leave its cluster for good (as upstream).
pub(crate) async fn leave_requested() {
    match signal(SignalKind::user_defined1()) {
        Ok(mut leave) => drop(leave.recv().await),
        Err(_) => std::future::pending().await,
    }
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
