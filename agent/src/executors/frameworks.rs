//! Frameworks on this agent: their messages to executors, changes of their description, their end.
//!
//! Upstream: `Slave::schedulerMessage`, `executorMessage`, `updateFramework`, `shutdownFramework`,
//! `removeFramework`.

use std::sync::Arc;

use libprocess::{Context, Handle, Pid};
use mesos::internal::{
    ExecutorToFrameworkMessage, FrameworkToExecutorMessage, ShutdownFrameworkMessage, UpdateFrameworkMessage,
};
use mesos::{ExecutorId, FrameworkId};

use super::connection;
use super::executor::{ExecutorPhase, Framework, FrameworkPhase};
use crate::agent::{Agent, MAX_COMPLETED_FRAMEWORKS, Phase};
use crate::status_updates::manager::{Cleanup, Resend};

impl Handle<FrameworkToExecutorMessage> for Agent {
    fn handle(&mut self, message: FrameworkToExecutorMessage, _: &Pid, _: &mut Context<Self>) {
        let framework_id = FrameworkId::from(&message.framework_id);
        let executor_id = ExecutorId::from(&message.executor_id);
        let running = self.phase == Phase::Running;
        let framework = self.frameworks.get(&framework_id);
        let framework = framework.filter(|f| running && f.phase == FrameworkPhase::Running);
        let executor = framework.and_then(|framework| framework.executors.get(&executor_id));
        let executor = executor.filter(|executor| executor.phase == ExecutorPhase::Running);
        match executor.and_then(|executor| executor.connection.as_ref()) {
            Some(connection) => {
                connection.send(connection::message(message.data));
                self.metrics.valid_framework_messages.increment();
            }
            None => {
                tracing::warn!(%framework_id, %executor_id, "dropping a message for an executor that does not run");
                self.metrics.invalid_framework_messages.increment();
            }
        }
    }
}

impl Agent {
    /// Passes a message of an executor on: to its scheduler, or through the master.
    pub(crate) fn executor_message(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        data: Vec<u8>,
        ctx: &Context<Self>,
    ) {
        let framework = self.frameworks.get(framework_id);
        let framework = framework.filter(|framework| framework.phase == FrameworkPhase::Running);
        let (Phase::Running, Some(framework), Some(master)) = (self.phase, framework, self.master()) else {
            tracing::warn!(%framework_id, %executor_id, "dropping a message of an executor");
            self.metrics.invalid_framework_messages.increment();
            return;
        };
        let message = ExecutorToFrameworkMessage {
            slave_id: self.agent_id().to_proto(),
            framework_id: framework_id.to_proto(),
            executor_id: executor_id.to_proto(),
            data,
        };
        ctx.post(framework.pid.as_ref().unwrap_or(master), message);
        self.metrics.valid_framework_messages.increment();
    }

    /// Shuts down all executors of a framework that is gone.
    pub(crate) fn shut_down_framework(&mut self, id: &FrameworkId, ctx: &mut Context<Self>) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            // Updates of tasks that never reached an executor may be left of it.
            self.colleagues.updates.tell(Cleanup { framework: id.clone(), is_over: true });
            return;
        };
        if framework.phase == FrameworkPhase::Terminating {
            return;
        }
        tracing::info!(framework_id = %id, "shutting down a framework");
        framework.phase = FrameworkPhase::Terminating;
        // Nobody would acknowledge updates. What is not there is not reported to the next master, either.
        for pending in std::mem::take(&mut framework.pending) {
            let executor = ExecutorId::from(&pending.executor.executor_id);
            self.say_not_launched(id, &executor, pending.launch_executor, ctx);
        }
        let Some(framework) = self.frameworks.get(id) else { return };
        let executors: Vec<(ExecutorId, ExecutorPhase)> =
            framework.executors.iter().map(|(id, executor)| (id.clone(), executor.phase)).collect();
        for (executor, phase) in executors {
            match phase {
                ExecutorPhase::Registering | ExecutorPhase::Running => {
                    self.shut_down_executor(id, &executor, ctx);
                }
                // It only waits for acknowledgements that will not come.
                ExecutorPhase::Terminated => self.remove_executor(id, &executor),
                ExecutorPhase::Terminating => {}
            }
        }
        self.remove_framework_if_idle(id, ctx);
    }

    /// What is reported to a master is that one's: it has to hear how it ends. A framework that was shut down for an earlier
    /// master goes on, since the next one takes it over from the report, and knows nothing of that; one that knows shuts it
    /// down again. (Upstream's agent is silent, and the tasks run for ever in the master's books.)
    pub(crate) fn answer_for_reported(&mut self) {
        self.frameworks.values_mut().for_each(Framework::go_on);
    }

    /// Remembers a framework that is over, and forgets the oldest of too many.
    pub(crate) fn complete_framework(&mut self, framework: Framework) {
        self.completed.push_back(framework);
        while self.completed.len() > MAX_COMPLETED_FRAMEWORKS {
            self.completed.pop_front();
        }
    }

    /// Forgets a framework of which nothing is left here.
    pub(crate) fn remove_framework_if_idle(&mut self, id: &FrameworkId, ctx: &mut Context<Self>) {
        if !self.frameworks.get(id).is_some_and(super::executor::Framework::is_idle) {
            return;
        }
        let Some(framework) = self.frameworks.remove(id) else { return };
        tracing::info!(framework_id = %id, "cleaning up a framework");
        if !self.leaves_to_the_next(&framework) {
            let is_over = framework.phase == FrameworkPhase::Terminating;
            self.colleagues.updates.tell(Cleanup { framework: id.clone(), is_over });
            self.collect_framework(id, framework.checkpoint());
        }
        self.complete_framework(framework);
        if self.phase == Phase::Terminating && self.frameworks.is_empty() {
            ctx.terminate();
        }
        self.end_draining_if_empty(ctx);
        self.touch(ctx);
    }
}

impl Handle<ShutdownFrameworkMessage> for Agent {
    fn handle(&mut self, message: ShutdownFrameworkMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "shut down framework") {
            return;
        }
        if matches!(self.phase, Phase::Recovering | Phase::Disconnected) {
            tracing::warn!(phase = %self.phase, "ignoring the shut-down of a framework: not registered");
            return;
        }
        self.shut_down_framework(&FrameworkId::from(message.framework_id), ctx);
    }
}

impl Handle<UpdateFrameworkMessage> for Agent {
    /// What a master that leads no more says of a framework may be out of date (upstream takes it from anybody).
    fn handle(&mut self, message: UpdateFrameworkMessage, from: &Pid, _: &mut Context<Self>) {
        if !self.is_from_master(from, "update framework") {
            return;
        }
        if self.phase != Phase::Running {
            tracing::warn!(phase = %self.phase, "dropping an update of a framework");
            self.metrics.invalid_framework_messages.increment();
            return;
        }
        let id = FrameworkId::from(&message.framework_id);
        let Some(framework) = self.frameworks.get_mut(&id) else {
            // Updates of tasks that never reached an executor may be left of it.
            self.colleagues.updates.tell(Resend(id));
            return;
        };
        // This master has it, whoever has ended it.
        framework.go_on();
        if let Some(info) = message.framework_info {
            framework.info = Arc::new(info);
        }
        let pid = message.pid.and_then(|pid| pid.parse().ok());
        framework.pid = pid.filter(|pid: &Pid| !pid.is_nobody());
        if let Some(framework) = self.frameworks.get(&id)
            && let Err(error) = self.checkpoint_framework(framework)
        {
            // As on a full disk. The master describes it again when the next agent has registered.
            tracing::warn!(framework_id = %id, %error, "an agent that starts now will know a framework as it was before");
        }
        // A scheduler that has come back should not wait for the next attempt.
        self.colleagues.updates.tell(Resend(id));
    }
}
