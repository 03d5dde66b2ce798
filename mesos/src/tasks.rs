//! States of tasks and operations, and the messages that master and agent build about them
//! (upstream: `src/common/protobuf_utils.cpp`). Pure: time and uuids are handed in.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::{
    AgentId, ExecutorId, FrameworkId, TaskId,
    capabilities::FrameworkCapabilities,
    internal,
    v1::{
        self, OperationState, TaskState,
        task_status::{Reason, Source},
    },
};

/// Whether a task in this state is over and its resources are free.
#[must_use]
pub fn is_terminal(state: TaskState) -> bool {
    use TaskState as T;
    match state {
        T::TaskFinished
        | T::TaskFailed
        | T::TaskKilled
        | T::TaskLost
        | T::TaskError
        | T::TaskDropped
        | T::TaskGone
        | T::TaskGoneByOperator => true,
        T::TaskKilling
        | T::TaskStaging
        | T::TaskStarting
        | T::TaskRunning
        | T::TaskUnreachable
        | T::TaskUnknown => false,
    }
}

/// Whether an operation in this state is over.
#[must_use]
pub fn is_terminal_operation(state: OperationState) -> bool {
    use OperationState as O;
    match state {
        O::OperationFinished
        | O::OperationFailed
        | O::OperationError
        | O::OperationDropped
        | O::OperationGoneByOperator => true,
        O::OperationUnsupported
        | O::OperationPending
        | O::OperationUnreachable
        | O::OperationRecovering
        | O::OperationUnknown => false,
    }
}

/// The state that a framework is told: without PARTITION_AWARE, the states that it does not know
/// are all TASK_LOST.
#[must_use]
pub fn visible_state(state: TaskState, framework: &FrameworkCapabilities) -> TaskState {
    use TaskState as T;
    match state {
        T::TaskDropped | T::TaskUnreachable | T::TaskGone | T::TaskGoneByOperator | T::TaskUnknown
            if !framework.partition_aware =>
        {
            T::TaskLost
        }
        known => known,
    }
}

/// The roles of a framework: `roles` with MULTI_ROLE, else `role` (by default `*`).
#[must_use]
pub fn framework_roles(framework: &v1::FrameworkInfo) -> BTreeSet<String> {
    if FrameworkCapabilities::from_protos(&framework.capabilities).multi_role {
        framework.roles.iter().cloned().collect()
    } else {
        BTreeSet::from([framework.role().to_owned()])
    }
}

/// The role of a framework that has exactly one.
#[must_use]
pub fn only_role(framework: &v1::FrameworkInfo) -> Option<String> {
    let mut roles = framework_roles(framework).into_iter();
    roles.next().filter(|_| roles.next().is_none())
}

/// The task as master and agent keep it.
#[must_use]
pub fn new_task(info: &v1::TaskInfo, state: TaskState, framework_id: &FrameworkId) -> v1::Task {
    let user_of = |command: &v1::CommandInfo| command.user.clone();
    let executors_user = || info.executor.as_ref()?.command.as_ref().and_then(user_of);
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework_id.to_proto(),
        executor_id: info.executor.as_ref().map(|executor| executor.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: state.into(),
        resources: info.resources.clone(),
        limits: info.limits.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user: info.command.as_ref().and_then(user_of).or_else(executors_user),
        ..Default::default()
    }
}

/// Notes a status in the task's list, which keeps the latest of each run of equal states, without
/// the framework's data (upstream: `Master::updateTask`).
pub fn record_status(task: &mut v1::Task, status: &v1::TaskStatus) {
    if task.statuses.last().is_some_and(|last| last.state == status.state) {
        task.statuses.pop();
    }
    task.statuses.push(v1::TaskStatus { data: None, ..status.clone() });
}

/// What the latest status says of the task's health.
#[must_use]
pub fn health(task: &v1::Task) -> Option<bool> {
    task.statuses.last()?.healthy
}

/// The latest status of the task's container.
#[must_use]
pub fn container_status(task: &v1::Task) -> Option<&v1::ContainerStatus> {
    task.statuses.iter().rev().find_map(|status| status.container_status.as_deref())
}

/// A time as the protocol's floating point seconds since 1970; times before are 0.
#[must_use]
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// A time as the protocol's message; times before 1970 are 0.
#[must_use]
pub fn time_info(time: SystemTime) -> v1::TimeInfo {
    let nanos = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos();
    v1::TimeInfo { nanoseconds: i64::try_from(nanos).unwrap_or(i64::MAX) }
}

/// The news of a task, in the making (upstream: `protobuf::createStatusUpdate`).
///
/// News with a uuid must be acknowledged; what a master makes up itself has none.
#[derive(Clone, Debug)]
pub struct NewStatus {
    update: internal::StatusUpdate,
}

impl NewStatus {
    /// The task's state, who says so, and when.
    #[must_use]
    pub fn new(
        framework_id: &FrameworkId,
        task_id: &TaskId,
        state: TaskState,
        source: Source,
        now: SystemTime,
    ) -> Self {
        let timestamp = seconds(now);
        let status = v1::TaskStatus {
            task_id: task_id.to_proto(),
            state: state.into(),
            source: Some(source.into()),
            // Always there, if only empty, as upstream's.
            message: Some(String::new()),
            timestamp: Some(timestamp),
            ..Default::default()
        };
        let update = internal::StatusUpdate {
            framework_id: framework_id.to_proto(),
            status,
            timestamp,
            ..Default::default()
        };
        Self { update }
    }

    /// The agent that the task is on.
    #[must_use]
    pub fn agent(mut self, id: &AgentId) -> Self {
        self.update.slave_id = Some(id.to_proto());
        self.update.status.agent_id = Some(id.to_proto());
        self
    }

    /// The executor that the task runs under; only in the envelope, as upstream's.
    #[must_use]
    pub fn executor(mut self, id: &ExecutorId) -> Self {
        self.update.executor_id = Some(id.to_proto());
        self
    }

    /// Makes it news that must be acknowledged.
    #[must_use]
    pub fn uuid(mut self, uuid: Uuid) -> Self {
        self.update.uuid = Some(uuid.into_bytes().to_vec());
        self.update.status.uuid = Some(uuid.into_bytes().to_vec());
        self
    }

    /// What happened, for people.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.update.status.message = Some(message.into());
        self
    }

    /// What happened, for programs.
    #[must_use]
    pub fn reason(mut self, reason: Reason) -> Self {
        self.update.status.set_reason(reason);
        self
    }

    /// Since when the agent cannot be reached.
    #[must_use]
    pub fn unreachable_since(mut self, time: v1::TimeInfo) -> Self {
        self.update.status.unreachable_time = Some(time);
        self
    }

    /// The container's status.
    #[must_use]
    pub fn container_status(mut self, status: v1::ContainerStatus) -> Self {
        self.update.status.container_status = Some(Box::new(status));
        self
    }

    /// The resources whose limit the task overstepped; goes with a container limitation's reason.
    #[must_use]
    pub fn limited_resources(mut self, resources: &crate::Resources) -> Self {
        self.update.status.limitation = Some(v1::TaskResourceLimitation { resources: resources.to_protos() });
        self
    }

    /// The envelope between agents, masters and schedulers.
    #[must_use]
    pub fn into_update(self) -> internal::StatusUpdate {
        self.update
    }

    /// The status alone.
    #[must_use]
    pub fn into_status(self) -> v1::TaskStatus {
        self.update.status
    }
}

/// Puts a status from an executor into the envelope: what it leaves open is filled in.
#[must_use]
pub fn status_update(
    framework_id: &FrameworkId,
    mut status: v1::TaskStatus,
    agent_id: Option<&AgentId>,
    now: SystemTime,
) -> internal::StatusUpdate {
    let agent_id = agent_id.map(AgentId::to_proto);
    if status.agent_id.is_none() {
        status.agent_id.clone_from(&agent_id);
    }
    internal::StatusUpdate {
        framework_id: framework_id.to_proto(),
        executor_id: status.executor_id.clone(),
        slave_id: agent_id,
        timestamp: status.timestamp.unwrap_or_else(|| seconds(now)),
        uuid: status.uuid.clone(),
        status,
        latest_state: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)
    }

    #[test]
    fn an_unreachable_task_is_not_over() {
        assert!(!is_terminal(TaskState::TaskUnreachable));
        assert!(is_terminal(TaskState::TaskLost));
        assert!(is_terminal(TaskState::TaskGoneByOperator));
        assert!(is_terminal_operation(OperationState::OperationError));
        assert!(!is_terminal_operation(OperationState::OperationUnreachable));
    }

    #[test]
    fn only_partition_aware_frameworks_hear_of_unreachable_tasks() {
        let aware = FrameworkCapabilities { partition_aware: true, ..Default::default() };
        assert_eq!(visible_state(TaskState::TaskUnreachable, &aware), TaskState::TaskUnreachable);
        assert_eq!(visible_state(TaskState::TaskUnreachable, &Default::default()), TaskState::TaskLost);
        assert_eq!(visible_state(TaskState::TaskFailed, &Default::default()), TaskState::TaskFailed);
    }

    #[test]
    fn a_task_takes_its_user_from_its_command_or_its_executor() {
        let command = |user: &str| v1::CommandInfo { user: Some(user.into()), ..Default::default() };
        let executor = v1::ExecutorInfo { command: Some(command("executor")), ..Default::default() };
        let mut info = v1::TaskInfo { executor: Some(executor), ..Default::default() };
        let user = |info: &v1::TaskInfo| new_task(info, TaskState::TaskStaging, &"f".into()).user;
        assert_eq!(user(&info).as_deref(), Some("executor"));
        info.command = Some(command("task"));
        assert_eq!(user(&info).as_deref(), Some("task"));
    }

    #[test]
    fn news_carries_its_uuid_in_envelope_and_status() {
        let uuid = Uuid::from_u128(7);
        let update = NewStatus::new(&"f".into(), &"t".into(), TaskState::TaskFailed, Source::Agent, now())
            .agent(&"a".into())
            .executor(&"e".into())
            .uuid(uuid)
            .reason(Reason::ExecutorTerminated)
            .message("gone")
            .into_update();
        assert_eq!(update.uuid.as_deref(), Some(&uuid.as_bytes()[..]));
        assert_eq!(update.status.uuid, update.uuid);
        assert_eq!(update.timestamp, 1.5);
        assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
        assert_eq!(update.status.executor_id, None);
    }

    #[test]
    fn an_executors_status_is_completed() {
        let update = status_update(&"f".into(), v1::TaskStatus::default(), Some(&"a".into()), now());
        assert_eq!(update.status.agent_id, Some(AgentId::from("a").to_proto()));
        assert_eq!(update.timestamp, 1.5);
        assert_eq!(update.uuid, None);
    }

    #[test]
    fn a_tasks_list_keeps_the_latest_of_equal_states() {
        let mut task = v1::Task::default();
        let status = |state: TaskState, healthy: Option<bool>| v1::TaskStatus {
            state: state.into(),
            healthy,
            data: Some(vec![1]),
            ..Default::default()
        };
        record_status(&mut task, &status(TaskState::TaskRunning, None));
        record_status(&mut task, &status(TaskState::TaskRunning, Some(true)));
        assert_eq!((task.statuses.len(), health(&task)), (1, Some(true)));
        assert_eq!(task.statuses[0].data, None);
        record_status(&mut task, &status(TaskState::TaskFinished, None));
        assert_eq!(task.statuses.len(), 2);
    }

    /// Upstream: `ProtobufUtilTest.GetRoles`.
    #[test]
    fn roles_depend_on_the_capability() {
        let mut framework = v1::FrameworkInfo { roles: vec!["a".into(), "b".into()], ..Default::default() };
        assert_eq!(framework_roles(&framework), BTreeSet::from(["*".to_owned()]));
        framework.role = Some("foo".into());
        assert_eq!(framework_roles(&framework), BTreeSet::from(["foo".to_owned()]));
        framework.capabilities = FrameworkCapabilities { multi_role: true, ..Default::default() }.to_protos();
        assert_eq!(framework_roles(&framework), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }
}
