//! Waiting for a condition, with a deadline and with the last thing seen in the error.

use std::fmt::Display;
use std::time::Duration;

/// How long a condition may take unless a test says otherwise: long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that cannot be subscribed to is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long one look may take: a question that is never answered is asked again.
const GLANCE: Duration = Duration::from_secs(5);

/// Asks `look` until it answers `Ok`. After [`PATIENCE`] it panics with `what` and the last refusal,
/// which is how a test fails.
pub async fn until<T, E: Display>(what: &str, look: impl AsyncFnMut() -> Result<T, E>) -> T {
    until_within(PATIENCE, what, look).await
}

/// [`until`] with a deadline of its own.
#[allow(clippy::panic, reason = "a condition that does not come true fails the test that waits for it")]
pub async fn until_within<T, E: Display>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let seen = match tokio::time::timeout(GLANCE, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(refusal)) => refusal.to_string(),
            Err(_) => format!("nothing, for {GLANCE:?}"),
        };
        if tokio::time::Instant::now() >= deadline {
            panic!("waited {patience:?} for {what}; last seen: {seen}");
        }
        tokio::time::sleep(LOOK).await;
    }
}
