//! Shutting an executor down: asked first, destroyed after its grace period.
//!
//! Upstream: `Slave::shutdownExecutor`, `_shutdownExecutor`, `shutdownExecutorTimeout`, `shutdown`.

use libprocess::disk::Durability;
use libprocess::{Context, Handle, Pid};
use mesos::internal::{ShutdownExecutorMessage, UnregisterSlaveMessage};
use mesos::{ContainerId, ExecutorId, FrameworkId};

use super::connection;
use super::environment::grace_period;
use super::executor::{ExecutorPhase, Framework, FrameworkPhase};
use crate::agent::{Agent, Phase};
use crate::settings::Recover;

/// An executor has not ended within its grace period.
pub struct ShutdownOverdue {
    framework: FrameworkId,
    executor: ExecutorId,
    container: ContainerId,
}

/// Leave the cluster: end all executors, then the agent (upstream: SIGUSR1).
pub struct Leave;

libprocess::messages! { ShutdownOverdue; Leave; }

impl Agent {
    /// Tells an executor to end, and destroys its container if it has not within its grace period.
    /// Does nothing for one that is ending.
    pub(crate) fn shut_down_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        ctx: &mut Context<Self>,
    ) {
        let default = self.settings.executor_shutdown_grace_period;
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        if !executor.is_alive() {
            return;
        }
        tracing::info!(%executor_id, %framework_id, "shutting down an executor");
        executor.phase = ExecutorPhase::Terminating;
        // One that has not subscribed yet is told when it does.
        if let Some(connection) = &executor.connection {
            connection.send(connection::shutdown());
        }
        let grace = grace_period(&executor.info).unwrap_or(default);
        let overdue = ShutdownOverdue {
            framework: framework_id.clone(),
            executor: executor_id.clone(),
            container: executor.container.clone(),
        };
        ctx.after(grace, overdue);
        self.keep_shut_down(framework_id, executor_id);
        self.touch(ctx);
    }

    /// An agent that starts before the executor has ended tells it again: who wanted it to end says so once. (Upstream's
    /// takes it for one that is to go on.)
    fn keep_shut_down(&self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let framework = self.frameworks.get(framework_id);
        let executor = framework.and_then(|framework| framework.executors.get(executor_id));
        let Some(executor) = executor.filter(|executor| executor.checkpoint) else { return };
        let marker = self.paths.shutdown_marker(&self.run_of(framework_id, executor));
        if let Err(error) = self.disk.write(&marker, b"", Durability::Process) {
            tracing::warn!(path = %marker.display(), %error, "an agent that starts now will let the executor go on");
        }
    }

    /// Whether this agent only ends what an earlier one has left (`--recover=cleanup`), of a framework that goes on: what is
    /// owed to that, the next agent delivers. (Upstream's takes the executors for over, and forgets their updates.)
    pub(crate) fn leaves_to_the_next(&self, framework: &Framework) -> bool {
        self.phase == Phase::Terminating && framework.phase == FrameworkPhase::Running
    }

    /// Ends the agent once all its executors have.
    pub(crate) fn shut_down(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Terminating;
        if self.frameworks.is_empty() {
            ctx.terminate();
            return;
        }
        let frameworks: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.shut_down_framework(&framework, ctx);
        }
    }
}

impl Handle<Leave> for Agent {
    /// What runs here from before a restart is not known before the checkpoints are read, nor can it be ended before the
    /// containers are adopted. (Upstream's agent ends at once, and what it has not read runs on.)
    fn handle(&mut self, _: Leave, _: &Pid, ctx: &mut Context<Self>) {
        // It does not register, and what it owes is the next agent's.
        if self.settings.recover == Recover::Cleanup {
            tracing::info!("told to leave the cluster, and ending anyway once the executors have");
            return;
        }
        if self.phase == Phase::Recovering && !self.executors_welcome {
            tracing::info!("leaving the cluster as soon as it is known what runs here");
            self.leaves = true;
            return;
        }
        tracing::info!("leaving the cluster");
        if let (Some(master), Some(id)) = (self.master(), &self.id) {
            ctx.post(master, UnregisterSlaveMessage { slave_id: id.to_proto() });
        }
        self.shut_down(ctx);
    }
}

impl Handle<ShutdownExecutorMessage> for Agent {
    fn handle(&mut self, message: ShutdownExecutorMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "shut down executor") {
            return;
        }
        // A disconnected agent may be about to report again, and the master says it once. (Upstream's agent ignores it.)
        if self.phase == Phase::Recovering {
            tracing::warn!(phase = %self.phase, "ignoring the shut-down of an executor");
            return;
        }
        let (Some(framework), Some(executor)) = (message.framework_id, message.executor_id) else {
            tracing::warn!("ignoring the shut-down of an executor without its ids");
            return;
        };
        let (framework, executor) = (FrameworkId::from(framework), ExecutorId::from(executor));
        let running = self
            .frameworks
            .get(&framework)
            .is_some_and(|framework| framework.phase == FrameworkPhase::Running);
        if running {
            self.shut_down_executor(&framework, &executor, ctx);
        } else {
            tracing::warn!(framework_id = %framework, executor_id = %executor, "no such framework runs here");
        }
    }
}

impl Handle<ShutdownOverdue> for Agent {
    fn handle(&mut self, overdue: ShutdownOverdue, _: &Pid, _: &mut Context<Self>) {
        let ShutdownOverdue { framework, executor, container } = overdue;
        let containerizer = self.colleagues.containerizer.clone();
        if let Some(executor) = self.executor_in(&framework, &executor, &container)
            && executor.phase == ExecutorPhase::Terminating
        {
            tracing::info!(executor_id = %executor.id, framework_id = %framework, "destroying the container of an executor that did not end in time");
            containerizer.destroy(container);
        }
    }
}
