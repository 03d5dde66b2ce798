//! `ReconcileOperationsMessage`: the master asks about operations that the agent did not mention.
//!
//! It asks on its own for operations that it believes in, and is told of those that have never come here. For a framework
//! it asks about operations that it does not know itself.

use libprocess::{Context, Handle, Pid};
use mesos::internal::reconcile_operations_message::Operation;
use mesos::internal::{ReconcileOperationsMessage, UpdateOperationStatusMessage};
use mesos::v1::{self, OperationState};

use super::uuid_of;
use crate::agent::Agent;

impl Handle<ReconcileOperationsMessage> for Agent {
    fn handle(&mut self, message: ReconcileOperationsMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "reconcile operations") {
            return;
        }
        for asked in message.operations {
            if let Some(answer) = self.operation_answer(asked, message.framework_id.as_ref()) {
                ctx.post(from, answer);
            }
        }
    }
}

impl Agent {
    /// Not reliable: the next registration makes up for an answer that is lost.
    fn operation_answer(
        &self,
        asked: Operation,
        framework: Option<&v1::FrameworkId>,
    ) -> Option<UpdateOperationStatusMessage> {
        let by_uuid = asked.operation_uuid.as_ref().and_then(uuid_of);
        let known = self.operations.known.iter().find(|(uuid, known)| match by_uuid {
            Some(asked) => **uuid == asked,
            None => {
                framework.is_some()
                    && known.operation.framework_id.as_ref() == framework
                    && known.operation.info.id == asked.operation_id
            }
        });
        let (status, operation_uuid) = match (known, framework) {
            // The master knows it as well.
            (Some(_), None) => return None,
            (Some((_, known)), Some(_)) => {
                let status = v1::OperationStatus { uuid: None, ..known.operation.latest_status.clone() };
                (status, Some(known.operation.uuid.clone()))
            }
            (None, _) => {
                let state = match framework {
                    Some(_) => OperationState::OperationUnknown,
                    None => OperationState::OperationDropped,
                };
                let status = v1::OperationStatus {
                    operation_id: asked.operation_id,
                    state: state.into(),
                    agent_id: self.id.as_ref().map(Into::into),
                    resource_provider_id: asked.resource_provider_id,
                    ..v1::OperationStatus::default()
                };
                (status, asked.operation_uuid)
            }
        };
        Some(UpdateOperationStatusMessage {
            framework_id: framework.cloned(),
            slave_id: self.id.as_ref().map(Into::into),
            status,
            latest_status: None,
            operation_uuid,
        })
    }
}
