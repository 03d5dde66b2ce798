//! `ApplyOperationMessage`: the master has applied an operation to its books, and so does the agent.
//!
//! What it means: resources are reserved or not any more, volumes are made, resized or removed. Nothing can go wrong but
//! the disk, which ends the agent: the restarted one goes on where this one was. An operation that does not fit the
//! resources shows that the master's books are not right. It is dropped, and the agent registers again, which brings them
//! in order. (Upstream's agent aborts.)

use libprocess::{Context, Handle, Pid};
use mesos::internal::ApplyOperationMessage;
use mesos::resources::{CarriesResources as _, conversions, validate_and_upgrade_operation};
use mesos::sabotage::{Bug, is_on};
use mesos::v1::{self, OperationState};
use mesos::{ResourceError, Resources};
use v1::offer::Operation;

use super::{uuid_of, uuid_proto};
use crate::agent::{Agent, Phase};
use crate::resources::versions_agree;

impl Handle<ApplyOperationMessage> for Agent {
    fn handle(&mut self, message: ApplyOperationMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "apply operation") {
            return;
        }
        // While it re-registers, the master is being told what there is. An operation that comes meanwhile is not among
        // that; not known here, the master finds it missing.
        if self.phase != Phase::Running {
            tracing::warn!(phase = %self.phase, "ignoring an operation");
            return;
        }
        // Nor is one that an earlier life of this master has sent, and that comes only now: it is for resources as they were
        // before (found by simulation).
        if !versions_agree(self.resource_version, std::slice::from_ref(&message.resource_version_uuid)) {
            tracing::warn!("ignoring an operation for an earlier version of the agent's resources");
            // What the master has made of them is undone by a report.
            self.report_again(ctx);
            return;
        }
        let Some(uuid) = uuid_of(&message.operation_uuid) else {
            tracing::warn!("ignoring an operation whose uuid is none");
            return;
        };
        if self.operations.known.contains_key(&uuid) {
            tracing::warn!(operation_uuid = %uuid, "ignoring an operation that was applied before");
            return;
        }
        let kind = message.operation_info.r#type();
        let (total, state, problem) = match applied(&self.total, message.operation_info.clone()) {
            Ok(total) => (total, OperationState::OperationFinished, None),
            Err(error) => (self.total.clone(), OperationState::OperationDropped, Some(error.to_string())),
        };
        tracing::info!(operation_uuid = %uuid, kind = kind.as_str_name(), resources = %total, ?problem, "an operation");
        let dropped = problem.is_some();
        let operation = self.operation_of(message, state, problem, ctx);
        self.operations.add(uuid, operation);
        self.total = total;
        if !is_on(Bug::AppliesUnstored)
            && let Err(error) = self.checkpoint_resources()
        {
            self.fail(error.to_string(), ctx);
            return;
        }
        self.forward_operation(uuid, ctx);
        if dropped {
            self.detect_again(ctx);
        }
        self.touch(ctx);
    }
}

impl Agent {
    /// The operation that a message brings, with what has become of it.
    fn operation_of(
        &self,
        message: ApplyOperationMessage,
        state: OperationState,
        problem: Option<String>,
        ctx: &Context<Self>,
    ) -> v1::Operation {
        let status = v1::OperationStatus {
            operation_id: message.operation_info.id.clone(),
            state: state.into(),
            message: problem,
            uuid: Some(uuid_proto(ctx.node().random().uuid())),
            agent_id: self.id.as_ref().map(Into::into),
            ..v1::OperationStatus::default()
        };
        v1::Operation {
            framework_id: message.framework_id,
            agent_id: status.agent_id.clone(),
            info: message.operation_info,
            latest_status: status.clone(),
            statuses: vec![status],
            uuid: message.operation_uuid,
        }
    }
}

/// What an operation makes of resources that nobody is allocated.
fn applied(total: &Resources, mut operation: Operation) -> Result<Resources, ResourceError> {
    validate_and_upgrade_operation(&mut operation)?;
    operation.strip_allocation();
    total.apply_conversions(&conversions(&operation)?)
}
