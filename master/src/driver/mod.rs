//! Schedulers of the first API (v0): drivers, which send and take protobuf messages between processes instead of calls and
//! events over HTTP. Upstream's `MesosSchedulerDriver` (`sched/sched.cpp`) is one, and with it all that stands on libmesos.
//!
//! | receives | does (file) |
//! |---|---|
//! | `scheduler.Call` | a call of the scheduler API, SUBSCRIBE included ([`calls`], [`subscribe`]) |
//! | `RegisterFrameworkMessage`, `ReregisterFrameworkMessage` | subscribes, as drivers before 0.23 did ([`subscribe`]) |
//! | `UnregisterFrameworkMessage`, `LaunchTasksMessage`, `ReviveOffersMessage`, `KillTaskMessage`, `StatusUpdateAcknowledgementMessage`, `FrameworkToExecutorMessage`, `ReconcileTasksMessage`, `ResourceRequestMessage` | what such drivers sent for one call each ([`messages`]) |
//! | `DeactivateFrameworkMessage` | a driver aborted: no more offers ([`deactivate`]) |
//! | `AuthenticateMessage` | is refused: nobody authenticates here ([`authenticate`]) |
//!
//! All of this ends in `calls`: what a call means does not depend on how it came. Here is what does. Who may speak for a
//! framework is told by its pid, not by a stream's id. An answer is a message (`events`) or nothing. Whether a driver is
//! there is told by a link, since there are no heartbeats: when it breaks the framework is away
//! (`frameworks::lifecycle`).

pub(crate) mod authenticate;
pub(crate) mod calls;
pub(crate) mod deactivate;
pub(crate) mod events;
pub(crate) mod messages;
pub(crate) mod subscribe;

use libprocess::{Install, Pid};
use mesos::internal::{
    AuthenticateMessage, DeactivateFrameworkMessage, FrameworkToExecutorMessage, KillTaskMessage,
    LaunchTasksMessage, ReconcileTasksMessage, RegisterFrameworkMessage, ReregisterFrameworkMessage,
    ResourceRequestMessage, ReviveOffersMessage, StatusUpdateAcknowledgementMessage,
    UnregisterFrameworkMessage,
};
use mesos::{FrameworkId, v0, v1};

use crate::cluster::Framework;
use crate::master::Master;

/// Adds the messages.
pub(crate) fn install(install: &mut Install<Master>) {
    install.message::<v0::scheduler::Call>();
    install.message::<RegisterFrameworkMessage>();
    install.message::<ReregisterFrameworkMessage>();
    install.message::<UnregisterFrameworkMessage>();
    install.message::<DeactivateFrameworkMessage>();
    install.message::<ResourceRequestMessage>();
    install.message::<LaunchTasksMessage>();
    install.message::<ReviveOffersMessage>();
    install.message::<KillTaskMessage>();
    install.message::<StatusUpdateAcknowledgementMessage>();
    install.message::<FrameworkToExecutorMessage>();
    install.message::<ReconcileTasksMessage>();
    install.message::<AuthenticateMessage>();
}

/// The framework, if whoever sent a message is its driver. Others may not speak for it.
fn of_sender<'a>(
    master: &'a Master,
    framework: &v1::FrameworkId,
    from: &Pid,
) -> Result<&'a Framework, &'static str> {
    let id = FrameworkId::from(framework);
    let state = master.cluster.framework(&id).ok_or("Framework cannot be found")?;
    if state.pid.as_ref() != Some(from) {
        return Err("Call is not from registered framework");
    }
    Ok(state)
}
