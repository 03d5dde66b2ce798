//! How status updates and `Task`s are made: plain functions from facts to messages.
//!
//! Upstream: `common/protobuf_utils.cpp`. Knows no actor and no clock: who calls gives time and
//! uuid.

use std::time::{Duration, SystemTime};

use mesos::{AgentId, ExecutorId, FrameworkId, Resources, TaskId, internal, v1};
use v1::TaskState;
use v1::framework_info::capability::Type as Capability;
use v1::task_status::{Reason, Source};

/// Whether a task in this state is over. `TASK_UNREACHABLE` is not: it may come back.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskLost
        | TaskState::TaskError
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Whether a framework can tell the many ways of losing a task apart.
pub fn is_partition_aware(framework: &v1::FrameworkInfo) -> bool {
    framework
        .capabilities
        .iter()
        .any(|capability| capability.r#type() == Capability::PartitionAware)
}

/// A task that was never launched: `TASK_DROPPED`, or `TASK_LOST` for those who know no other.
pub fn dropped_state(framework: &v1::FrameworkInfo) -> TaskState {
    if is_partition_aware(framework) { TaskState::TaskDropped } else { TaskState::TaskLost }
}

/// A task that ran and is no more: `TASK_GONE`, or `TASK_LOST` for those who know no other.
pub fn gone_state(framework: &v1::FrameworkInfo) -> TaskState {
    if is_partition_aware(framework) { TaskState::TaskGone } else { TaskState::TaskLost }
}

/// Seconds since 1970, as Mesos writes times.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
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
    /// The update, with `SOURCE_AGENT`.
    pub fn into_update(self, uuid: uuid::Uuid, now: SystemTime) -> internal::StatusUpdate {
        let uuid = uuid.as_bytes().to_vec();
        let timestamp = seconds(now);
        let status = v1::TaskStatus {
            task_id: self.task.to_proto(),
            state: self.state.into(),
            message: Some(self.message.to_owned()),
            source: Some(Source::Agent.into()),
            reason: Some(self.reason.into()),
            agent_id: Some(self.agent.to_proto()),
            executor_id: self.executor.map(ExecutorId::to_proto),
            timestamp: Some(timestamp),
            uuid: Some(uuid.clone()),
            limitation: self.limited.filter(|limited| !limited.is_empty()).map(|limited| {
                v1::TaskResourceLimitation { resources: limited.to_protos() }
            }),
            ..v1::TaskStatus::default()
        };
        internal::StatusUpdate {
            framework_id: self.framework.to_proto(),
            executor_id: self.executor.map(ExecutorId::to_proto),
            slave_id: Some(self.agent.to_proto()),
            status,
            timestamp,
            uuid: Some(uuid),
            latest_state: None,
        }
    }
}

/// The update that carries a status that an executor sent.
pub fn executor_update(
    framework: &v1::FrameworkId,
    agent: &AgentId,
    mut status: v1::TaskStatus,
    now: SystemTime,
) -> internal::StatusUpdate {
    if status.agent_id.is_none() {
        status.agent_id = Some(agent.to_proto());
    }
    internal::StatusUpdate {
        framework_id: framework.clone(),
        executor_id: status.executor_id.clone(),
        slave_id: Some(agent.to_proto()),
        timestamp: status.timestamp.unwrap_or_else(|| seconds(now)),
        uuid: status.uuid.clone(),
        latest_state: None,
        status,
    }
}

/// The `Task` that stands for a `TaskInfo` from its launch on (the data of the task is not kept).
pub fn task_of(info: &v1::TaskInfo, state: TaskState, framework: &FrameworkId) -> v1::Task {
    let command_user = info.command.as_ref().and_then(|command| command.user.clone());
    let executor_user = || {
        let command = info.executor.as_ref().and_then(|executor| executor.command.as_ref());
        command.and_then(|command| command.user.clone())
    };
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework.to_proto(),
        executor_id: info.executor.as_ref().map(|executor| executor.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: state.into(),
        resources: info.resources.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy.clone(),
        limits: info.limits.clone(),
        user: command_user.or_else(executor_user),
        ..v1::Task::default()
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
    use super::*;

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
    fn an_agents_update_carries_its_uuid_and_time_twice() {
        let update = AgentUpdate {
            framework: &FrameworkId::from("F"),
            agent: &AgentId::from("S0"),
            task: &TaskId::from("t"),
            executor: None,
            state: TaskState::TaskLost,
            reason: Reason::ExecutorTerminated,
            message: "gone",
            limited: None,
        }
        .into_update(uuid::Uuid::from_u128(7), SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(update.timestamp, 1.5);
        assert_eq!(update.status.timestamp, Some(1.5));
        assert_eq!(update.uuid, update.status.uuid);
        assert_eq!(update.status.source(), Source::Agent);
    }

    #[test]
    fn an_executors_update_keeps_its_own_time() {
        let status = v1::TaskStatus { timestamp: Some(3.0), ..testing::status("t", TaskState::TaskRunning) };
        let framework = FrameworkId::from("F").to_proto();
        let agent = AgentId::from("S0");
        let update = executor_update(&framework, &agent, status, SystemTime::UNIX_EPOCH);
        assert_eq!(update.timestamp, 3.0);
        assert_eq!(update.status.agent_id, Some(agent.to_proto()));
    }

    #[test]
    fn a_task_takes_the_user_of_its_command_or_else_of_its_executor() {
        let mut info = testing::task_info("t", "cpus:1");
        let mut executor = v1::ExecutorInfo::default();
        executor.command = Some(v1::CommandInfo { user: Some("e".into()), ..Default::default() });
        info.executor = Some(executor);
        let framework = FrameworkId::from("F");
        assert_eq!(task_of(&info, TaskState::TaskStaging, &framework).user.as_deref(), Some("e"));
        info.command = Some(v1::CommandInfo { user: Some("c".into()), ..Default::default() });
        assert_eq!(task_of(&info, TaskState::TaskStaging, &framework).user.as_deref(), Some("c"));
    }
}
