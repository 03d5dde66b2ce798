//! `scheduler.Call`: what a driver wants, in one message (upstream: `Master::receive`).
//!
//! A call that is not valid, or not from its framework's driver, is dropped: a driver waits for no answer, and an error
//! would make one abort that may be the right one. One whose framework is over is told so.

use libprocess::{Context, Pid};
use mesos::v1::offer::operation;
use mesos::v1::scheduler::call::{Accept, Type};
use mesos::{FrameworkId, v0, v1};

use super::{events, of_sender, subscribe};
use crate::calls;
use crate::master::Master;
use crate::validation;

/// Handles a call.
pub(crate) fn receive(master: &mut Master, call: v0::scheduler::Call, from: &Pid, ctx: &mut Context<Master>) {
    let force = call.subscribe.as_ref().is_some_and(|subscribe| subscribe.force());
    let mut call = v1::scheduler::Call::from(call);
    let kind = call.r#type();
    if let Err(error) = validation::call::validate(&call, None) {
        master.metrics.count_invalid(kind);
        return dropped(from, kind, &error.0);
    }
    if kind == Type::Subscribe {
        return subscribe::subscribe(master, call.subscribe.unwrap_or_default(), force, from, ctx);
    }
    let framework = match validate(master, &call, from) {
        Ok(framework) => framework,
        Err(_) if was_of_sender(master, &call, from) => {
            tracing::info!(driver = %from, kind = kind.as_str_name(), "refusing a call of a framework that was removed");
            return events::refuse(from, "Framework has been removed", ctx);
        }
        Err(problem) => return dropped(from, kind, problem),
    };
    master.metrics.framework(&framework).call(kind);
    // The way to it is broken, and it has not noticed.
    if !master.cluster.framework(&framework).is_some_and(|state| state.is_connected()) {
        tracing::info!(framework_id = %framework, kind = kind.as_str_name(), "refusing a call of a disconnected framework");
        return events::refuse(from, "Framework disconnected", ctx);
    }
    match kind {
        Type::AcknowledgeOperationStatus | Type::ReconcileOperations => {
            return dropped(from, kind, "it is not supported by the v0 API");
        }
        Type::Unknown => return dropped(from, kind, "its type is newer than this master"),
        Type::Accept => {
            if let Some(accept) = &mut call.accept {
                refuse_feedback(master, &framework, accept, ctx);
            }
        }
        _ => {}
    }
    let answer = calls::dispatch(master, &framework, call, ctx);
    if !answer.status.is_success() {
        tracing::info!(framework_id = %framework, kind = kind.as_str_name(), "refusing a call");
        let text = answer.body.as_bytes().map(String::from_utf8_lossy).unwrap_or_default();
        events::refuse(from, text, ctx);
    }
}

fn validate(master: &Master, call: &v1::scheduler::Call, from: &Pid) -> Result<FrameworkId, &'static str> {
    let framework = call.framework_id.as_ref().ok_or("Framework cannot be found")?;
    of_sender(master, framework, from).map(|state| state.id.clone())
}

/// Whether the call is of a framework that was removed while this was its driver, which would go on for ever otherwise: the
/// way to it was broken until the framework's time was over, and it has not noticed (found by simulation; upstream drops its
/// calls), or an operator has ended the framework.
fn was_of_sender(master: &Master, call: &v1::scheduler::Call, from: &Pid) -> bool {
    let id = call.framework_id.as_ref().map(FrameworkId::from);
    let removed = id.and_then(|id| master.cluster.completed_framework(&id));
    removed.is_some_and(|framework| framework.pid.as_ref() == Some(from))
}

fn dropped(from: &Pid, kind: Type, problem: &str) {
    tracing::warn!(driver = %from, kind = kind.as_str_name(), problem, "dropping a call of a driver");
}

/// A driver hears nothing of operations, and so may not ask for it: the operation is left out, and the driver aborts.
fn refuse_feedback(
    master: &mut Master,
    framework: &FrameworkId,
    accept: &mut Accept,
    ctx: &mut Context<Master>,
) {
    let before = accept.operations.len();
    accept.operations.retain(|operation| {
        let launches = matches!(operation.r#type(), operation::Type::Launch | operation::Type::LaunchGroup);
        operation.id.is_none() || launches
    });
    if accept.operations.len() < before {
        let text = "The 'id' field was set in an offer operation, but operation feedback is not supported for the \
             SchedulerDriver API; please use the HTTP scheduler API for this feature";
        master.send(framework, crate::frameworks::events::error(text), ctx);
    }
}
