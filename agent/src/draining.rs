//! Draining: the master has this agent's tasks ended (upstream: `Slave::drain`, `updateDrainStatus`).
//!
//! | receives | from | does |
//! |---|---|---|
//! | `DrainSlaveMessage` | the master, at once and each time that the agent has re-registered | remembers how, on disk, too, and kills all tasks |
//!
//! From then on no task is launched, until none is left: then the agent is as before, and what the master thinks of it
//! is the master's affair. A restarted agent kills again what it finds. Tasks are killed as by their frameworks, but get
//! no more time for it than the operator allows; their frameworks are told why.

use std::path::PathBuf;
use std::time::SystemTime;

use libprocess::{Context, Handle, Pid};
use mesos::internal::DrainSlaveMessage;
use mesos::v1::task_status::Reason;
use mesos::v1::{DrainConfig, KillPolicy, TaskState};
use mesos::{FrameworkId, TaskId, v1};

use crate::agent::{Agent, Phase};
use crate::executors::executor::{Framework, FrameworkPhase};
use crate::recovery::checkpoint::{self, DiskError, Durability};
use crate::tasks::status::is_partition_aware;

/// What the agent was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Draining {
    /// How.
    pub(crate) config: DrainConfig,
    /// When this process began with it; it has not while it recovers.
    pub(crate) since: Option<SystemTime>,
}

impl Draining {
    /// When this process began with it, in seconds since 1970: whole ones, unlike all other times that the agent tells
    /// (upstream).
    pub(crate) fn seconds(self) -> Option<u64> {
        Some(self.since?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
    }

    /// What is said of a task that is over because the agent is drained: nobody else has killed it, as far as can be
    /// told. If the agent is to be no more, frameworks that know that state hear that the task is gone with it. (Upstream
    /// says so when it is being killed already, while it still runs.)
    pub(crate) fn explain(self, framework: &v1::FrameworkInfo, status: &mut v1::TaskStatus) {
        let state = status.state();
        if !matches!(state, TaskState::TaskKilling | TaskState::TaskKilled) {
            return;
        }
        status.set_reason(Reason::AgentDraining);
        if state == TaskState::TaskKilled && self.config.mark_gone() && is_partition_aware(framework) {
            status.set_state(TaskState::TaskGoneByOperator);
        }
    }
}

impl Handle<DrainSlaveMessage> for Agent {
    fn handle(&mut self, message: DrainSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "drain") {
            return;
        }
        if matches!(self.phase, Phase::Recovering | Phase::Terminating) {
            tracing::warn!(phase = %self.phase, "not draining");
            return;
        }
        self.drain(message.config, ctx);
    }
}

impl Agent {
    /// Ends all tasks; without any there is nothing to remember.
    fn drain(&mut self, config: DrainConfig, ctx: &mut Context<Self>) {
        if !self.has_tasks() && !self.operations.are_known() {
            tracing::info!("told to drain, and empty already");
            self.end_draining_if_empty(ctx);
            return;
        }
        tracing::info!(?config, "draining");
        let path = self.drain_config_path();
        // Not synced: after a power failure no task is left. The master says it again to an agent that registers again, so
        // that one without room, which may be drained for that, goes on.
        if let Err(error) = checkpoint::keep_message(&*self.disk, &path, &config, Durability::Process) {
            tracing::warn!(%error, "an agent that starts now will not drain before it has registered");
        }
        self.draining = Some(Draining { config, since: Some(ctx.now()) });
        for (framework, task, policy) in self.all_tasks() {
            let policy = bounded(config.max_grace_period, policy);
            self.kill_task(&framework, &task, policy, ctx);
        }
        self.touch(ctx);
        // What had not been launched yet is over at once.
        self.end_draining_if_empty(ctx);
    }

    /// The executors of before a restart have had their time to come back: what is drained is told again.
    pub(crate) fn drain_again(&mut self, ctx: &mut Context<Self>) {
        if let Some(draining) = self.draining {
            self.drain(draining.config, ctx);
        }
    }

    /// A restarted agent takes up what it was told before.
    pub(crate) fn take_up_draining(&mut self, config: Option<DrainConfig>) {
        self.draining = config.map(|config| Draining { config, since: None });
    }

    /// The last task may be over. (Upstream waits for executors, too: with one that outlives its tasks, an agent that
    /// the operator has reactivated would go on dropping new ones.)
    pub(crate) fn end_draining_if_empty(&mut self, ctx: &mut Context<Self>) {
        if self.draining.is_none() || self.has_tasks() || self.operations.are_known() {
            return;
        }
        tracing::info!("drained");
        let path = self.drain_config_path();
        if self.disk.exists(&path)
            && let Err(error) = self.disk.remove(&path)
        {
            self.fail(DiskError::writing(&path)(error).to_string(), ctx);
            return;
        }
        self.draining = None;
        self.touch(ctx);
    }

    fn drain_config_path(&self) -> PathBuf {
        self.paths.drain_config(&self.agent_id())
    }

    /// Whether any task waits, runs, or is over without its framework knowing.
    fn has_tasks(&self) -> bool {
        let holds = |framework: &Framework| {
            !framework.pending.is_empty()
                || framework.executors.values().any(|executor| executor.tasks.has_incomplete())
        };
        self.frameworks.values().any(holds)
    }

    /// Every task that is not over, with the time that it asks for to end.
    fn all_tasks(&self) -> Vec<(FrameworkId, TaskId, Option<KillPolicy>)> {
        let mut tasks = Vec::new();
        let running = self.frameworks.values().filter(|framework| framework.phase == FrameworkPhase::Running);
        for framework in running {
            let mut note = |id: &v1::TaskId, policy: Option<KillPolicy>| {
                tasks.push((framework.id.clone(), TaskId::from(id), policy));
            };
            for task in framework.pending_tasks() {
                note(&task.task_id, task.kill_policy);
            }
            for executor in framework.executors.values() {
                for (_, task) in executor.tasks.launched() {
                    note(&task.task_id, task.kill_policy);
                }
                for (_, task) in executor.tasks.queued() {
                    note(&task.task_id, task.kill_policy);
                }
            }
        }
        tasks
    }
}

/// How a task is killed that asks for `own` time: not at all differently, unless it would take longer than allowed.
fn bounded(max_grace_period: Option<v1::DurationInfo>, own: Option<KillPolicy>) -> Option<KillPolicy> {
    let allowed = max_grace_period?;
    match own.and_then(|policy| policy.grace_period) {
        Some(asked) if asked.nanoseconds <= allowed.nanoseconds => None,
        _ => Some(KillPolicy { grace_period: Some(allowed) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_gets_no_more_time_than_the_operator_allows_and_no_more_than_it_asks_for() {
        let duration = |nanoseconds| v1::DurationInfo { nanoseconds };
        let policy = |nanoseconds: Option<i64>| Some(KillPolicy { grace_period: nanoseconds.map(duration) });
        assert_eq!(bounded(None, policy(Some(9))), None, "no bound");
        assert_eq!(bounded(Some(duration(5)), policy(Some(4))), None, "it asks for less");
        assert_eq!(bounded(Some(duration(5)), policy(Some(5))), None);
        for asked in [policy(Some(6)), policy(None), None] {
            assert_eq!(bounded(Some(duration(5)), asked), policy(Some(5)));
        }
    }
}
