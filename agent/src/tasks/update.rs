//! The way of a status update: from an executor (or the agent itself) into the books, to the
//! StatusUpdateManager, to the master, and back as an acknowledgement.
//!
//! ```text
//! executor --UPDATE--> Agent: waits for what the containerizer says of the container; then the books
//!     --(terminal: after the container gave the resources back)-->
//!     StatusUpdateManager --Stored--> Agent --ACKNOWLEDGED--> executor
//!                         --Forward-> Agent --StatusUpdateMessage--> master ... framework
//! framework ... master --StatusUpdateAcknowledgementMessage--> Agent --> StatusUpdateManager
//! ```
//!
//! Upstream: `Slave::statusUpdate` ... `___statusUpdate`, `forward`, `statusUpdateAcknowledgement`.

use std::net::IpAddr;

use libprocess::{Context, Handle, Pid};
use mesos::internal::{StatusUpdate, StatusUpdateAcknowledgementMessage, StatusUpdateMessage};
use mesos::sabotage::{Bug, is_on};
use mesos::{ExecutorId, FrameworkId, TaskId, v1};
use uuid::Uuid;
use v1::task_status::Source;

use crate::agent::{Agent, Phase};
use crate::executors::connection;
use crate::executors::executor::{AfterUpdate, Executor, ExecutorPhase, FrameworkPhase, WaitingUpdate};
use crate::recovery::paths::UpdatesPath;
use crate::status_updates::manager::{
    Acknowledge, Acknowledged, Deliver, Forward, Origin, Refused, StorageFailed, Stored,
};
use mesos::tasks::is_terminal;

impl Agent {
    /// An update that the agent itself makes, of any task.
    pub(crate) fn agent_update(&mut self, update: StatusUpdate, ctx: &mut Context<Self>) {
        self.status_update(update, Origin::Agent, ctx);
    }

    /// An update has come: it is checked, and waits until it is known what it says of its container.
    pub(crate) fn status_update(
        &mut self,
        mut update: StatusUpdate,
        origin: Origin,
        ctx: &mut Context<Self>,
    ) {
        let id = self.id.as_ref().map(mesos::AgentId::to_proto);
        if update.uuid.is_none() || update.slave_id != id || update.status.agent_id != id {
            tracing::warn!(task_id = %update.status.task_id.value, "ignoring a status update without a uuid, or of another agent");
            self.metrics.invalid_status_updates.increment();
            return;
        }
        update.status.uuid = update.uuid.clone();
        update.status.source = Some(match origin {
            Origin::Agent => Source::Agent.into(),
            Origin::Executor(_) => Source::Executor.into(),
        });
        if update.executor_id.is_some() {
            update.status.executor_id = update.executor_id.clone();
        }
        let framework_id = FrameworkId::from(&update.framework_id);
        let task = TaskId::from(&update.status.task_id);
        // Those that come with a subscription are not validated as calls are.
        if origin != Origin::Agent && update.status.state() == v1::TaskState::TaskUnreachable {
            tracing::warn!(task_id = %task, %framework_id, "ignoring a status update: only the master calls a task unreachable");
            self.metrics.invalid_status_updates.increment();
            return;
        }
        tracing::debug!(task_id = %task, %framework_id, state = update.status.state().as_str_name(), "handling a status update");
        let framework = self.frameworks.get_mut(&framework_id);
        // A terminating framework cannot acknowledge anything.
        let Some(framework) = framework.filter(|f| f.phase == FrameworkPhase::Running) else {
            tracing::warn!(task_id = %task, %framework_id, "ignoring a status update of a framework that is not here");
            self.metrics.invalid_status_updates.increment();
            return;
        };
        self.metrics.valid_status_updates.increment();
        if let Some(draining) = self.draining {
            draining.explain(&framework.info, &mut update.status);
        }
        let holder = framework.executor_with(&task);
        // Of a task that is over the agent has nothing to say: this one is a later task's with the same id, which is over
        // before it has come to an executor.
        let holder = holder.filter(|it| origin != Origin::Agent || !it.tasks.is_terminated(&task));
        let Some(executor) = holder else {
            // Made for a task that never had an executor, sent by another executor, or repeated by
            // one whose earlier copy was acknowledged long ago: the stream knows.
            self.deliver(update, origin, None);
            return;
        };
        let state = update.status.state();
        let before_delivery = executor.tasks.is_queued(&task)
            || (origin == Origin::Agent
                && matches!(state, v1::TaskState::TaskDropped | v1::TaskState::TaskLost));
        let executor_id = executor.id.clone();
        if before_delivery {
            // No container has seen the task.
            self.apply(&framework_id, &executor_id, WaitingUpdate { update, origin }, ctx);
            return;
        }
        executor.awaiting_status.push_back(WaitingUpdate { update, origin });
        if executor.container_status.is_some() {
            self.apply_waiting(&framework_id, &executor_id, ctx);
        } else {
            self.ask_container_status(&framework_id, &executor_id, ctx);
        }
    }

    /// Asks the containerizer, once, what updates say of their container.
    pub(crate) fn ask_container_status(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        ctx: &mut Context<Self>,
    ) {
        let containerizer = self.colleagues.containerizer.clone();
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        if executor.asking_status {
            return;
        }
        executor.asking_status = true;
        let container = executor.container.clone();
        let answer = containerizer.status(container.clone());
        let (framework_id, executor_id) = (framework_id.clone(), executor_id.clone());
        ctx.defer(answer, move |agent, answer, ctx| {
            let ip = ctx.pid().address().ip();
            let Some(executor) = agent.executor(&framework_id, &executor_id) else { return };
            if executor.container != container {
                return;
            }
            executor.asking_status = false;
            if let Ok(Some(mut status)) = answer {
                if status.network_infos.is_empty() {
                    status.network_infos.push(host_network(ip));
                }
                status.container_id.get_or_insert_with(|| container.to_proto());
                executor.container_status = Some(status);
            }
            // Without one (the container is gone), they go as they are.
            agent.apply_waiting(&framework_id, &executor_id, ctx);
        });
    }

    fn apply_waiting(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        ctx: &mut Context<Self>,
    ) {
        while let Some(executor) = self.executor(framework_id, executor_id)
            && let Some(mut waiting) = executor.awaiting_status.pop_front()
        {
            if let Some(status) = &executor.container_status {
                complete_container_status(&mut waiting.update.status, status);
            }
            self.apply(framework_id, executor_id, waiting, ctx);
        }
    }

    /// Changes the task's state, and passes the update on.
    fn apply(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        waiting: WaitingUpdate,
        ctx: &mut Context<Self>,
    ) {
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        let status = &waiting.update.status;
        let task = TaskId::from(&status.task_id);
        let state = status.state();
        if let Err(refused) = executor.tasks.update(&task, status, framework_id) {
            tracing::error!(task_id = %task, state = state.as_str_name(), error = %refused, "dropping a status update");
            // Acknowledged all the same, or the executor would send it for ever; but a repetition not before its first
            // copy is stored.
            let repeated = executor.tasks.has_status(&task, status.uuid.as_deref());
            if repeated {
                self.report_update(framework_id, executor_id, waiting);
            } else {
                let (framework, uuid) = (framework_id.clone(), uuid_of(&waiting.update));
                let stored = Stored { framework, task, uuid, origin: waiting.origin };
                self.colleagues.updates.tell(Refused(stored));
            }
            return;
        }
        self.touch(ctx);
        if is_terminal(state) {
            self.metrics.count_terminal(state);
            // Reported once the resources are free, so that nobody is offered what is not.
            self.change_resources(framework_id, executor_id, AfterUpdate::Report(Box::new(waiting)), ctx);
        } else {
            self.report_update(framework_id, executor_id, waiting);
        }
    }

    /// Gives the container the resources that its tasks need now, and then goes on with `after`.
    /// While the containerizer works, further changes gather, and are made together.
    pub(crate) fn change_resources(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        after: AfterUpdate,
        ctx: &mut Context<Self>,
    ) {
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        executor.changes.next.push(after);
        if executor.changes.in_flight {
            return;
        }
        if executor.phase == ExecutorPhase::Terminated || !executor.launched {
            // There is no container (yet).
            let after = std::mem::take(&mut executor.changes.next);
            self.resources_changed(framework_id, executor_id, after, true);
            return;
        }
        self.start_resource_change(framework_id, executor_id, ctx);
    }

    fn start_resource_change(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        ctx: &mut Context<Self>,
    ) {
        let containerizer = self.colleagues.containerizer.clone();
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        executor.changes.in_flight = true;
        let after = std::mem::take(&mut executor.changes.next);
        let container = executor.container.clone();
        let answer = containerizer.update(container.clone(), executor.allocated(), executor.limits());
        let (framework_id, executor_id) = (framework_id.clone(), executor_id.clone());
        ctx.defer(answer, move |agent, answer, ctx| {
            let Some(executor) = agent.executor(&framework_id, &executor_id) else { return };
            if executor.container != container {
                return;
            }
            executor.changes.in_flight = false;
            let error = match answer {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the containerizer has ended".to_owned()),
            };
            if let Some(error) = &error {
                agent.resource_change_failed(&framework_id, &executor_id, error);
            }
            agent.resources_changed(&framework_id, &executor_id, after, error.is_none());
            let more = agent
                .executor(&framework_id, &executor_id)
                .is_some_and(|executor| !executor.changes.in_flight && !executor.changes.next.is_empty());
            if more {
                agent.start_resource_change(&framework_id, &executor_id, ctx);
            }
        });
    }

    fn resource_change_failed(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId, error: &str) {
        let containerizer = self.colleagues.containerizer.clone();
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        let state = crate::tasks::status::gone_state(&framework.info);
        let Some(executor) = framework.executors.get_mut(executor_id) else { return };
        tracing::error!(%framework_id, %executor_id, error, "failed to change a container's resources; destroying it");
        containerizer.destroy(executor.container.clone());
        executor.pending_termination = Some(crate::containerizer::Termination {
            state: Some(state),
            reason: Some(v1::task_status::Reason::ContainerUpdateFailed),
            message: Some(format!("Failed to update resources for container: {error}")),
            ..crate::containerizer::Termination::default()
        });
    }

    /// What waits for the change goes on: updates in any case, tasks only if the container has `succeeded` in getting what
    /// they need. Otherwise they stay queued, and end with their executor.
    fn resources_changed(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        after: Vec<AfterUpdate>,
        succeeded: bool,
    ) {
        let mut send = false;
        for after in after {
            match after {
                AfterUpdate::SendQueued => send = succeeded,
                AfterUpdate::Report(waiting) => {
                    self.report_update(framework_id, executor_id, *waiting);
                }
            }
        }
        if send {
            self.send_queued(framework_id, executor_id);
        }
    }

    /// Hands an update of an executor's task to the StatusUpdateManager.
    fn report_update(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        WaitingUpdate { update, origin }: WaitingUpdate,
    ) {
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let log = framework.executors.get(executor_id).and_then(|executor| {
            let task = TaskId::from(&update.status.task_id);
            executor.checkpoint.then(|| self.paths.task_updates(&self.run_of(framework_id, executor), &task))
        });
        self.deliver(update, origin, log);
    }

    /// Hands an update to the StatusUpdateManager.
    pub(crate) fn deliver(&self, update: StatusUpdate, origin: Origin, log: Option<UpdatesPath>) {
        self.colleagues.updates.tell(Deliver { update, origin, log });
    }

    fn acknowledge_executor(
        &mut self,
        framework_id: &FrameworkId,
        task: &TaskId,
        uuid: Uuid,
        origin: &Origin,
    ) {
        let Origin::Executor(executor) = origin else { return };
        if let Some(connection) =
            self.executor(framework_id, executor).and_then(|executor| executor.connection.as_ref())
        {
            connection.send(connection::acknowledged(task, uuid));
        }
    }
}

/// Containers share the host's network unless somebody said otherwise.
fn host_network(ip: IpAddr) -> v1::NetworkInfo {
    let ip_address = Some(ip.to_string());
    let mut address = v1::network_info::IpAddress { ip_address, ..v1::network_info::IpAddress::default() };
    // Who is told nothing takes it for one of version 4.
    if ip.is_ipv6() {
        address.set_protocol(v1::network_info::Protocol::IPv6);
    }
    v1::NetworkInfo { ip_addresses: vec![address], ..v1::NetworkInfo::default() }
}

/// Adds what the containerizer knows to what the executor said of the task's container.
fn complete_container_status(status: &mut v1::TaskStatus, known: &v1::ContainerStatus) {
    match &mut status.container_status {
        None => status.container_status = Some(Box::new(known.clone())),
        Some(said) => {
            if said.container_id.is_none() {
                said.container_id = known.container_id.clone();
            }
            if said.network_infos.is_empty() {
                said.network_infos = known.network_infos.clone();
            }
            if said.executor_pid.is_none() {
                said.executor_pid = known.executor_pid;
            }
        }
    }
}

fn uuid_of(update: &StatusUpdate) -> Uuid {
    crate::status_updates::stream::uuid_of(update)
}

impl Handle<Stored> for Agent {
    fn handle(&mut self, stored: Stored, _: &Pid, _: &mut Context<Self>) {
        self.acknowledge_executor(&stored.framework, &stored.task, stored.uuid, &stored.origin);
    }
}

impl Handle<Forward> for Agent {
    fn handle(&mut self, Forward(mut update): Forward, _: &Pid, ctx: &mut Context<Self>) {
        let Some(master) = self.registration.master.clone() else { return };
        if self.phase != Phase::Running {
            return;
        }
        let task = TaskId::from(&update.status.task_id);
        let framework = self.frameworks.get_mut(&FrameworkId::from(&update.framework_id));
        if let Some(executor) = framework.and_then(|framework| framework.executor_with(&task)) {
            let uuid = update.uuid.as_deref().unwrap_or_default();
            // The latest state, so that the master can free resources before the framework has
            // acknowledged all updates in between.
            let latest = executor.tasks.forwarded(&task, update.status.state(), uuid);
            update.latest_state = latest.map(Into::into);
        }
        let message = StatusUpdateMessage { update, pid: Some(ctx.pid().to_string()) };
        ctx.post(&master, message);
    }
}

impl Handle<StatusUpdateAcknowledgementMessage> for Agent {
    fn handle(&mut self, message: StatusUpdateAcknowledgementMessage, from: &Pid, _: &mut Context<Self>) {
        // An acknowledgement of a master that no longer leads may be for an update that the leader
        // has not seen.
        if self.phase != Phase::Running || !self.is_from_master(from, "acknowledgement") {
            return;
        }
        let Ok(uuid) = Uuid::from_slice(&message.uuid) else {
            tracing::warn!(task_id = %message.task_id.value, "ignoring an acknowledgement whose uuid is none");
            return;
        };
        self.colleagues.updates.tell(Acknowledge {
            framework: message.framework_id.into(),
            task: message.task_id.into(),
            uuid,
        });
    }
}

impl Handle<Acknowledged> for Agent {
    fn handle(&mut self, message: Acknowledged, _: &Pid, ctx: &mut Context<Self>) {
        let Acknowledged { framework: framework_id, task, uuid, result } = message;
        assert!(result.is_ok() || !is_on(Bug::TrustsAcknowledgements), "an unexpected acknowledgement");
        let last = match result {
            Ok(last) => last,
            Err(error) => {
                tracing::warn!(task_id = %task, %uuid, %error, "an acknowledgement was not taken");
                return;
            }
        };
        if !last {
            return;
        }
        let Some(framework) = self.frameworks.get_mut(&framework_id) else { return };
        let Some(executor) = framework.executor_with(&task) else { return };
        let executor_id = executor.id.clone();
        if executor.tasks.complete(&task) {
            framework.executor_of_task.remove(&task);
            self.collect_task(&framework_id, &executor_id, &task);
        }
        let over = self.executor(&framework_id, &executor_id).is_some_and(is_over);
        if over {
            self.remove_executor(&framework_id, &executor_id);
        }
        self.remove_framework_if_idle(&framework_id, ctx);
        self.end_draining_if_empty(ctx);
        self.touch(ctx);
    }
}

fn is_over(executor: &mut Executor) -> bool {
    executor.phase == ExecutorPhase::Terminated && !executor.tasks.has_incomplete()
}

impl Handle<StorageFailed> for Agent {
    fn handle(&mut self, StorageFailed(error): StorageFailed, _: &Pid, ctx: &mut Context<Self>) {
        self.fail(format!("cannot store status updates: {error}"), ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::network_info::Protocol;

    #[test]
    fn an_address_of_version_6_says_that_it_is_one() {
        for (ip, protocol) in [("127.0.0.1", Protocol::IPv4), ("::1", Protocol::IPv6)] {
            let network = host_network(ip.parse().unwrap());
            let address = &network.ip_addresses[0];
            assert_eq!((address.ip_address(), address.protocol()), (ip, protocol));
        }
    }
}
