//! `AuthenticateMessage`: a driver, or an agent, with credentials wants to show who it is before it registers (upstream:
//! `Master::authenticate`). Nobody authenticates here yet, and it is refused.

use libprocess::{Context, Pid};
use mesos::internal::{AuthenticateMessage, AuthenticationFailedMessage};

use crate::master::Master;

/// Answers as a master of upstream's does by default, whose authenticator knows no credentials: a driver gives its
/// framework an error, an agent ends. `AuthenticationErrorMessage` would make both try for ever.
pub(crate) fn authenticate(
    master: &mut Master,
    message: AuthenticateMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_authenticate.increment();
    tracing::warn!(pid = message.pid, "refusing authentication: there is none yet; do without credentials");
    ctx.post(from, AuthenticationFailedMessage {});
}
