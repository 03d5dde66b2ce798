//! A task as the master knows it, and how its state changes (upstream: `Master::updateTask`).
//!
//! A task has two states: its *latest* state, which decides about its resources, and the state of
//! the update that its framework was last sent and has to acknowledge. The agent may be ahead of
//! the framework. A terminal state is never left.

use mesos::tasks::{is_terminal, new_task};
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId, ResourceError, Resources, TaskId};

use super::fit;

/// A task that was sent to an agent.
#[derive(Debug, Clone)]
pub struct Task {
    /// What operators and the agent see of it.
    pub proto: v1::Task,
    /// Its id within its framework.
    pub id: TaskId,
    /// Its framework.
    pub framework: FrameworkId,
    /// Its agent.
    pub agent: AgentId,
    /// `proto.resources`, ready for arithmetic.
    pub resources: Resources,
}

/// What an update did to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The latest state before.
    pub from: TaskState,
    /// The latest state now.
    pub to: TaskState,
    /// The task became terminal or unreachable just now: its resources are free.
    pub released: bool,
    /// The update is the first of the state that the task is over with (or unreachable): it has the reason. Another
    /// one may have released it before, which the agent had overtaken.
    pub last: bool,
    /// Watchers have to be told: a state they had not seen, or the result of a check.
    pub notable: bool,
}

/// Whether a task in this state holds no resources in the master's books.
pub fn is_released(state: TaskState) -> bool {
    is_terminal(state) || state == TaskState::TaskUnreachable
}

/// The state of a task that its executor has called unreachable, and an agent of upstream says so: that, the master alone
/// can know, and the task goes on using what it has. (Upstream frees that, and aborts.)
fn state_before_claim(statuses: &[v1::TaskStatus]) -> TaskState {
    let mut states = statuses.iter().rev().map(v1::TaskStatus::state);
    states.find(|state| *state != TaskState::TaskUnreachable).unwrap_or(TaskState::TaskStaging)
}

impl Task {
    /// A task that is about to be launched.
    pub fn staging(info: &v1::TaskInfo, resources: Resources, framework: &FrameworkId) -> Self {
        let proto = new_task(info, TaskState::TaskStaging, framework);
        Self {
            id: TaskId::from(&info.task_id),
            framework: framework.clone(),
            agent: AgentId::from(&info.agent_id),
            proto,
            resources,
        }
    }

    /// A task that an agent reported.
    ///
    /// # Errors
    /// When its resources are not valid.
    pub fn reported(mut proto: v1::Task) -> Result<Self, ResourceError> {
        // What decoding made the lists grow to is more than half of such a task.
        fit(&mut proto.statuses);
        fit(&mut proto.resources);
        // A clone has no such room.
        proto.labels = proto.labels.map(|labels| if labels.unused() > 0 { labels.clone() } else { labels });
        if proto.state() == TaskState::TaskUnreachable {
            proto.state = state_before_claim(&proto.statuses).into();
        }
        Ok(Self {
            id: TaskId::from(&proto.task_id),
            framework: FrameworkId::from(&proto.framework_id),
            agent: AgentId::from(&proto.agent_id),
            resources: Resources::try_from_protos(&proto.resources)?,
            proto,
        })
    }

    /// The latest state.
    pub fn state(&self) -> TaskState {
        self.proto.state()
    }

    /// The state its framework has been told, or else the latest: the answer to reconciliation.
    pub fn told_state(&self) -> TaskState {
        match self.proto.status_update_state {
            Some(_) => self.proto.status_update_state(),
            None => self.proto.state(),
        }
    }

    /// Whether its resources count as used.
    pub fn is_active(&self) -> bool {
        !is_released(self.state())
    }

    /// Remembers which update the framework is being sent, so that its acknowledgement is known.
    pub fn sent(&mut self, status: &v1::TaskStatus) {
        self.proto.status_update_state = Some(status.state);
        self.proto.status_update_uuid.clone_from(&status.uuid);
    }

    /// Whether this acknowledgement ends the task: it is for the terminal update.
    pub fn is_ended_by(&self, uuid: &[u8]) -> bool {
        self.proto.status_update_state.is_some()
            && is_terminal(self.proto.status_update_state())
            && self.proto.status_update_uuid.as_deref() == Some(uuid)
    }

    /// Applies an update. `latest` is the state that the agent knows behind an update that is
    /// older; without it the update's own state is the latest.
    pub fn update(&mut self, status: &v1::TaskStatus, latest: Option<TaskState>) -> Change {
        use v1::task_status::Reason;
        let from = self.state();
        let next = latest.unwrap_or_else(|| status.state());
        if !is_terminal(from) {
            self.proto.state = next.into();
        }
        let check = status.reason.is_some()
            && matches!(
                status.reason(),
                Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated
            );
        let to = self.state();
        let told = |state: TaskState| self.proto.statuses.iter().any(|status| status.state() == state);
        let last = is_released(to) && status.state() == to && !told(to);
        let repeated = self.proto.statuses.last().is_some_and(|last| last.state == status.state);
        if repeated {
            self.proto.statuses.pop();
        }
        // A task has few statuses, and is there for long: a list that doubles would hold room for four at once.
        self.proto.statuses.reserve_exact(1);
        // The data may be large, and nobody reads it here (upstream: MESOS-1746).
        self.proto.statuses.push(v1::TaskStatus { data: None, ..status.clone() });
        Change {
            from,
            to,
            released: !is_released(from) && is_released(next),
            last,
            notable: check || !repeated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn status(state: TaskState) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            state: state.into(),
            uuid: Some(vec![7; 16]),
            data: Some(vec![1, 2, 3]),
            ..Default::default()
        }
    }

    /// Upstream: `TaskStatusUpdateManagerTest.DuplicatedTerminalStatusUpdate`.
    #[test]
    fn a_terminal_state_is_never_left() {
        let mut task = testing::task("t", "cpus:1");
        assert!(task.update(&status(TaskState::TaskFailed), None).released);
        let change = task.update(&status(TaskState::TaskRunning), None);
        assert_eq!(change.to, TaskState::TaskFailed);
        assert!(!change.released);
    }

    #[test]
    fn an_update_that_the_agent_has_overtaken_counts_with_its_latest_state() {
        let mut task = testing::task("t", "cpus:1");
        let change = task.update(&status(TaskState::TaskRunning), Some(TaskState::TaskFinished));
        assert_eq!(change.to, TaskState::TaskFinished);
        assert!(change.released && !change.last);
        // The framework has only heard of TASK_RUNNING: its acknowledgement does not end the task.
        task.sent(&status(TaskState::TaskRunning));
        assert_eq!(task.told_state(), TaskState::TaskRunning);
        assert!(!task.is_ended_by(&[7; 16]));
        // The last update comes behind; it has the reason, once.
        let change = task.update(&status(TaskState::TaskFinished), None);
        assert!(change.last && !change.released);
        assert!(!task.update(&status(TaskState::TaskFinished), None).last);
    }

    #[test]
    fn only_the_acknowledgement_of_the_terminal_update_ends_a_task() {
        let mut task = testing::task("t", "cpus:1");
        task.update(&status(TaskState::TaskFinished), None);
        task.sent(&status(TaskState::TaskFinished));
        assert!(!task.is_ended_by(&[8; 16]));
        assert!(task.is_ended_by(&[7; 16]));
    }

    #[test]
    fn a_repeated_state_replaces_the_last_status_and_drops_its_data() {
        let mut task = testing::task("t", "cpus:1");
        assert!(task.update(&status(TaskState::TaskRunning), None).notable);
        assert!(!task.update(&status(TaskState::TaskRunning), None).notable);
        assert_eq!(task.proto.statuses.len(), 1);
        assert_eq!(task.proto.statuses[0].data, None);
    }

    #[test]
    fn a_task_in_the_books_has_no_room_that_nothing_fills() {
        let mut proto = testing::task("t", "cpus:1;mem:1").proto;
        let label = v1::Label { key: "key".into(), value: None };
        proto.labels = Some((0..9).map(|_| label.clone()).collect());
        proto.statuses.push(status(TaskState::TaskRunning));
        assert_ne!(proto.labels.as_ref().unwrap().unused(), 0);
        let shown = proto.clone();
        let mut task = Task::reported(proto).unwrap();
        assert_eq!(task.proto, shown);
        assert_eq!(task.proto.labels.as_ref().unwrap().unused(), 0);
        assert_eq!(task.proto.statuses.capacity(), 1);
        task.update(&status(TaskState::TaskKilling), None);
        assert_eq!((task.proto.statuses.len(), task.proto.statuses.capacity()), (2, 2));
    }

    #[test]
    fn a_task_that_an_agent_reports_as_unreachable_is_in_the_state_before() {
        let reported = |states: &[TaskState]| {
            let mut proto = testing::task("t", "cpus:1").proto;
            proto.state = TaskState::TaskUnreachable.into();
            proto.statuses = states.iter().map(|state| status(*state)).collect();
            Task::reported(proto).unwrap()
        };
        let task = reported(&[TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskUnreachable]);
        assert_eq!(task.state(), TaskState::TaskRunning);
        assert!(task.is_active());
        assert_eq!(reported(&[TaskState::TaskUnreachable]).state(), TaskState::TaskStaging);
        assert_eq!(reported(&[]).state(), TaskState::TaskStaging);
    }

    #[test]
    fn an_unreachable_task_holds_no_resources_but_may_run_again() {
        let mut task = testing::task("t", "cpus:1");
        assert!(task.update(&status(TaskState::TaskUnreachable), None).released);
        assert_eq!(task.update(&status(TaskState::TaskRunning), None).to, TaskState::TaskRunning);
    }
}
