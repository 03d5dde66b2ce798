//! The states that the agent itself puts tasks into, and the updates that say so.
//!
//! Pure. What master and agent have in common about tasks is in `mesos::tasks`.

use std::time::SystemTime;

use mesos::capabilities::FrameworkCapabilities;
use mesos::tasks::NewStatus;
use mesos::{AgentId, ExecutorId, FrameworkId, Resources, TaskId, internal, v1};
use v1::TaskState;
use v1::task_status::{Reason, Source};

/// Whether a framework can tell the many ways of losing a task apart.
pub fn is_partition_aware(framework: &v1::FrameworkInfo) -> bool {
    FrameworkCapabilities::from_protos(&framework.capabilities).partition_aware
}

/// A task that was never launched: `TASK_DROPPED`, or `TASK_LOST` for those who know no other.
pub fn dropped_state(framework: &v1::FrameworkInfo) -> TaskState {
    if is_partition_aware(framework) { TaskState::TaskDropped } else { TaskState::TaskLost }
}

/// A task that ran and is no more: `TASK_GONE`, or `TASK_LOST` for those who know no other.
pub fn gone_state(framework: &v1::FrameworkInfo) -> TaskState {
    if is_partition_aware(framework) { TaskState::TaskGone } else { TaskState::TaskLost }
}

/// What an update that the agent itself makes says.
pub struct AgentUpdate<'a> {
    /// Whose task.
    pub framework: &'a FrameworkId,
    /// The agent.
    pub agent: &'a AgentId,
    /// Which task.
    pub task: &'a TaskId,
    /// Its executor, where one is known.
    pub executor: Option<&'a ExecutorId>,
    /// The new state.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub message: &'a str,
    /// The limits that were exceeded, for the reasons that speak of limits.
    pub limited: Option<&'a Resources>,
}

impl AgentUpdate<'_> {
    /// The update, with `SOURCE_AGENT`, to be acknowledged under `uuid`.
    pub fn into_update(self, uuid: uuid::Uuid, now: SystemTime) -> internal::StatusUpdate {
        let mut status = NewStatus::new(self.framework, self.task, self.state, Source::Agent, now)
            .agent(self.agent)
            .uuid(uuid)
            .message(self.message)
            .reason(self.reason);
        if let Some(executor) = self.executor {
            status = status.executor(executor);
        }
        if let Some(limited) = self.limited.filter(|limited| !limited.is_empty()) {
            status = status.limited_resources(limited);
        }
        status.into_update()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Tasks and statuses for tests.
    use super::*;

    pub(crate) fn task_info(id: &str, resources: &str) -> v1::TaskInfo {
        let mut resources = Resources::parse(resources, "*").unwrap();
        resources.allocate("*");
        v1::TaskInfo {
            name: id.to_owned(),
            task_id: TaskId::from(id).to_proto(),
            agent_id: AgentId::from("S0").to_proto(),
            resources: resources.to_protos(),
            ..v1::TaskInfo::default()
        }
    }

    pub(crate) fn status(id: &str, state: TaskState) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: TaskId::from(id).to_proto(),
            state: state.into(),
            uuid: Some(format!("{id:>08}{:08}", state as i32).into_bytes()),
            ..v1::TaskStatus::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use v1::framework_info::capability::Type as Capability;

    fn framework(capabilities: &[Capability]) -> v1::FrameworkInfo {
        v1::FrameworkInfo {
            capabilities: capabilities
                .iter()
                .map(|kind| v1::framework_info::Capability { r#type: Some((*kind).into()) })
                .collect(),
            ..v1::FrameworkInfo::default()
        }
    }

    #[test]
    fn only_partition_aware_frameworks_hear_of_dropped_and_gone() {
        let plain = framework(&[Capability::MultiRole]);
        let aware = framework(&[Capability::MultiRole, Capability::PartitionAware]);
        assert_eq!(dropped_state(&plain), TaskState::TaskLost);
        assert_eq!(dropped_state(&aware), TaskState::TaskDropped);
        assert_eq!(gone_state(&plain), TaskState::TaskLost);
        assert_eq!(gone_state(&aware), TaskState::TaskGone);
    }

    #[test]
    fn an_agents_update_names_itself_and_can_be_acknowledged() {
        let agent = AgentId::from("S0");
        let update = AgentUpdate {
            framework: &FrameworkId::from("F"),
            agent: &agent,
            task: &TaskId::from("t"),
            executor: None,
            state: TaskState::TaskLost,
            reason: Reason::ExecutorTerminated,
            message: "gone",
            limited: Some(&Resources::default()),
        }
        .into_update(uuid::Uuid::from_u128(7), SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(update.timestamp, 1.5);
        assert_eq!(update.uuid, update.status.uuid);
        assert_eq!(update.slave_id, Some(agent.to_proto()));
        assert_eq!(update.status.source(), Source::Agent);
        assert_eq!(update.status.limitation, None);
    }
}
