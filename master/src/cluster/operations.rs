//! The transitions of operations: added, updated, removed; and of what they convert.
//!
//! An operation belongs to the agent whose resources it is about. All operations of agents themselves are
//! speculative (upstream: `isSpeculativeOperation`): they are applied to the books when they are sent to the agent, since
//! nothing can stand in their way there. What comes back says only that the agent has remembered them.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesos::resources::ResourceConversion;
use mesos::tasks::is_terminal_operation;
use mesos::v1::{self, OperationState};
use mesos::{AgentId, FrameworkId, ResourceError, Resources};
use uuid::Uuid;

use super::Cluster;

/// Where the operations are that have ids of their frameworks'. Nothing keeps a framework from using an id twice.
pub(super) type Named = BTreeMap<(FrameworkId, String, Uuid), AgentId>;

/// What an update changed.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationChange {
    /// The state before it.
    pub from: OperationState,
    /// The state after it.
    pub to: OperationState,
    /// The operation after it.
    pub operation: Arc<v1::Operation>,
}

fn name_of(operation: &v1::Operation, uuid: Uuid) -> Option<(FrameworkId, String, Uuid)> {
    let framework = operation.framework_id.as_ref().map(FrameworkId::from)?;
    Some((framework, operation.info.id.as_ref()?.value.clone(), uuid))
}

impl Cluster {
    /// Adds an operation to its agent, which is known.
    pub fn add_operation(&mut self, agent: &AgentId, uuid: Uuid, operation: v1::Operation) {
        let name = name_of(&operation, uuid);
        let Some(state) = self.agent_mut(agent) else { return };
        state.operations.insert_mut(uuid, Arc::new(operation));
        if let Some(name) = name {
            self.named_operations.insert(name, agent.clone());
        }
    }

    /// Notes what was reported of an operation. One that is over stays as it is.
    pub fn update_operation(
        &mut self,
        agent: &AgentId,
        uuid: Uuid,
        status: &v1::OperationStatus,
    ) -> Option<OperationChange> {
        let shared = self.agent_mut(agent)?.operations.get_mut(&uuid)?;
        let operation = Arc::make_mut(shared);
        let from = operation.latest_status.state();
        if !is_terminal_operation(from) {
            operation.latest_status = status.clone();
        }
        if operation.statuses.last() != Some(status) {
            operation.statuses.push(status.clone());
        }
        Some(OperationChange { from, to: operation.latest_status.state(), operation: shared.clone() })
    }

    /// Forgets an operation.
    pub fn remove_operation(&mut self, agent: &AgentId, uuid: Uuid) -> Option<Arc<v1::Operation>> {
        let state = self.agent_mut(agent)?;
        let operation = state.operations.get(&uuid)?.clone();
        state.operations.remove_mut(&uuid);
        if let Some(name) = name_of(&operation, uuid) {
            self.named_operations.remove(&name);
        }
        Some(operation)
    }

    /// The operations to which a framework gave ids, or this id.
    pub fn operations_of<'a>(
        &'a self,
        framework: &'a FrameworkId,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = (Uuid, &'a Arc<v1::Operation>)> {
        let first = (framework.clone(), id.unwrap_or_default().to_owned(), Uuid::nil());
        self.named_operations
            .range(first..)
            .take_while(move |((owner, name, _), _)| owner == framework && id.is_none_or(|id| id == name))
            .filter_map(|((_, _, uuid), agent)| Some((*uuid, self.agent(agent)?.operations.get(uuid)?)))
    }

    /// Converts resources of an agent that nobody is allocated: `conversions` say nothing of that. Nothing is changed if
    /// they do not fit.
    ///
    /// # Errors
    /// The first conversion's that does not fit.
    pub fn convert(&mut self, id: &AgentId, conversions: &[ResourceConversion]) -> Result<(), ResourceError> {
        let Some(agent) = self.agent(id) else { return Ok(()) };
        let total = agent.total.apply_conversions(conversions)?;
        let version = agent.resource_version.clone();
        self.set_agent_resources(id, total, version);
        if let Some(agent) = self.agent_mut(id) {
            agent.checkpointed = checkpointed(&agent.total);
        }
        Ok(())
    }
}

/// The part of an agent's resources that it has to remember.
pub fn checkpointed(total: &Resources) -> Resources {
    total.filter(mesos::Resource::needs_checkpointing)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use mesos::v1::offer::Operation;

    fn operation(id: &str, framework: &str) -> v1::Operation {
        v1::Operation {
            framework_id: Some(v1::FrameworkId { value: framework.into() }),
            info: Operation { id: Some(v1::OperationId { value: id.into() }), ..Operation::default() },
            latest_status: status(OperationState::OperationPending),
            ..v1::Operation::default()
        }
    }

    fn status(state: OperationState) -> v1::OperationStatus {
        v1::OperationStatus { state: state.into(), ..v1::OperationStatus::default() }
    }

    #[test]
    fn operations_are_found_by_their_ids_until_they_are_removed() {
        let mut cluster = testing::cluster(&["f"], &["a"]);
        let (agent, framework) = (AgentId::from("a"), FrameworkId::from("f"));
        for (number, (id, owner)) in [("x", "f"), ("y", "f"), ("x", "f"), ("x", "g")].into_iter().enumerate()
        {
            cluster.add_operation(&agent, Uuid::from_u128(number as u128 + 1), operation(id, owner));
        }
        let found = |cluster: &Cluster, id: Option<&str>| {
            cluster.operations_of(&framework, id).map(|(uuid, _)| uuid.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(found(&cluster, Some("x")), [1, 3]);
        assert_eq!(found(&cluster, None), [1, 3, 2]);
        assert!(cluster.remove_operation(&agent, Uuid::from_u128(1)).is_some());
        assert!(cluster.remove_operation(&agent, Uuid::from_u128(1)).is_none());
        assert_eq!(found(&cluster, Some("x")), [3]);
    }

    #[test]
    fn an_operation_that_is_over_keeps_its_state() {
        let mut cluster = testing::cluster(&["f"], &["a"]);
        let (agent, uuid) = (AgentId::from("a"), Uuid::from_u128(1));
        cluster.add_operation(&agent, uuid, operation("x", "f"));
        let mut update = |state| cluster.update_operation(&agent, uuid, &status(state)).unwrap();
        let finished = update(OperationState::OperationFinished);
        assert_eq!(
            (finished.from, finished.to),
            (OperationState::OperationPending, OperationState::OperationFinished)
        );
        assert_eq!(update(OperationState::OperationFinished).operation.statuses.len(), 1, "a repetition");
        assert_eq!(update(OperationState::OperationDropped).to, OperationState::OperationFinished);
    }

    #[test]
    fn what_is_reserved_is_remembered_by_the_agent() {
        let mut cluster = testing::cluster(&[], &["a"]);
        let free = mesos::Resources::parse("cpus:1", "*").unwrap();
        let reservation = v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("r".into()),
            ..Default::default()
        };
        let reserved = free.push_reservation(&reservation).unwrap();
        let agent = AgentId::from("a");
        let step = ResourceConversion::new(free, reserved.clone());
        cluster.convert(&agent, std::slice::from_ref(&step)).unwrap();
        assert_eq!(cluster.agent(&agent).unwrap().checkpointed, reserved);
        assert!(cluster.convert(&agent, &vec![step; 9]).is_err(), "it has four cpus");
        assert_eq!(cluster.agent(&agent).unwrap().checkpointed, reserved);
    }
}
