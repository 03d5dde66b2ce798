//! `AuthenticateMessage`: a driver, or an agent, with credentials wants to show who it is before it registers (upstream:
//! `Master::authenticate`). Nobody authenticates here yet; it is told so, and tries again.

use libprocess::{Context, Pid};
use mesos::internal::{AuthenticateMessage, AuthenticationErrorMessage};

use crate::master::Master;

/// Answers as a master does that has no authenticator.
pub(crate) fn authenticate(
    master: &mut Master,
    message: AuthenticateMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_authenticate.increment();
    tracing::error!(pid = message.pid, "somebody wants to authenticate, but there is no authenticator");
    ctx.post(from, AuthenticationErrorMessage { error: Some("No authenticator loaded".into()) });
}
