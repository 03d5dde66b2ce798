//! The messages that drivers sent before there was `scheduler.Call`, one for each call. Each becomes the call that took its
//! place (upstream: `launchTasks`, `reviveOffers` and so on, each of which does the same).
//!
//! As in upstream, and unlike a call, such a message is heeded also while the framework counts as disconnected.

use libprocess::{Context, Pid};
use mesos::internal::{
    FrameworkToExecutorMessage, KillTaskMessage, LaunchTasksMessage, ReconcileTasksMessage,
    ResourceRequestMessage, ReviveOffersMessage, StatusUpdateAcknowledgementMessage,
    UnregisterFrameworkMessage,
};
use mesos::v1;
use mesos::v1::offer::{Operation, operation};
use mesos::v1::scheduler::Call;
use mesos::v1::scheduler::call::{
    Accept, Acknowledge, Decline, Kill, Message, Reconcile, Request, Revive, Type, reconcile,
};

use super::of_sender;
use crate::calls;
use crate::master::Master;

/// Makes the call that a message means, if its sender may. Whether it may.
fn call(
    master: &mut Master,
    framework: &v1::FrameworkId,
    from: &Pid,
    call: Call,
    ctx: &mut Context<Master>,
) -> bool {
    match of_sender(master, framework, from).map(|state| state.id.clone()) {
        Ok(framework) => {
            calls::dispatch(master, &framework, call, ctx);
            true
        }
        Err(problem) => {
            let kind = call.r#type().as_str_name();
            tracing::warn!(driver = %from, kind, problem, "ignoring a message of a driver");
            false
        }
    }
}

fn of_type(kind: Type) -> Call {
    Call { r#type: Some(kind.into()), ..Default::default() }
}

/// The framework is over.
pub(crate) fn unregister(
    master: &mut Master,
    message: UnregisterFrameworkMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    call(master, &message.framework_id, from, of_type(Type::Teardown), ctx);
}

/// Tasks for offers; none decline them.
pub(crate) fn launch_tasks(
    master: &mut Master,
    message: LaunchTasksMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let LaunchTasksMessage { framework_id, tasks, filters, offer_ids } = message;
    let filters = Some(filters);
    let meant = if tasks.is_empty() {
        Call { decline: Some(Decline { offer_ids, filters }), ..of_type(Type::Decline) }
    } else {
        let operation = Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = Accept { offer_ids, operations: vec![operation], filters };
        Call { accept: Some(accept), ..of_type(Type::Accept) }
    };
    call(master, &framework_id, from, meant, ctx);
}

/// Offers again, whatever was refused.
pub(crate) fn revive_offers(
    master: &mut Master,
    message: ReviveOffersMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let revive = Revive { roles: message.roles };
    call(master, &message.framework_id, from, Call { revive: Some(revive), ..of_type(Type::Revive) }, ctx);
}

/// A task shall end. A policy for that came later than this message.
pub(crate) fn kill_task(
    master: &mut Master,
    message: KillTaskMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let kill = Kill { task_id: message.task_id, ..Default::default() };
    call(master, &message.framework_id, from, Call { kill: Some(kill), ..of_type(Type::Kill) }, ctx);
}

/// An update was seen.
pub(crate) fn acknowledge(
    master: &mut Master,
    message: StatusUpdateAcknowledgementMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let StatusUpdateAcknowledgementMessage { slave_id, framework_id, task_id, uuid } = message;
    let valid = mesos::is_uuid(&uuid);
    let acknowledge = Acknowledge { agent_id: slave_id, task_id, uuid };
    let meant = Call { acknowledge: Some(acknowledge), ..of_type(Type::Acknowledge) };
    if !valid || !call(master, &framework_id, from, meant, ctx) {
        master.metrics.invalid_status_update_acknowledgements.increment();
    }
}

/// Something for an executor.
pub(crate) fn message(
    master: &mut Master,
    message: FrameworkToExecutorMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let FrameworkToExecutorMessage { slave_id, framework_id, executor_id, data } = message;
    let message = Message { agent_id: slave_id, executor_id, data };
    let meant = Call { message: Some(message), ..of_type(Type::Message) };
    if !call(master, &framework_id, from, meant, ctx) {
        master.metrics.invalid_framework_to_executor_messages.increment();
    }
}

/// What became of tasks?
pub(crate) fn reconcile_tasks(
    master: &mut Master,
    message: ReconcileTasksMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let statuses = message.statuses.into_iter();
    let tasks = statuses.map(|status| reconcile::Task { task_id: status.task_id, agent_id: status.agent_id });
    let reconcile = Reconcile { tasks: tasks.collect() };
    let meant = Call { reconcile: Some(reconcile), ..of_type(Type::Reconcile) };
    call(master, &message.framework_id, from, meant, ctx);
}

/// What the framework would like to be offered.
pub(crate) fn request_resources(
    master: &mut Master,
    message: ResourceRequestMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let request = Request { requests: message.requests };
    call(master, &message.framework_id, from, Call { request: Some(request), ..of_type(Type::Request) }, ctx);
}
