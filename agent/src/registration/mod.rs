//! Finding a master, becoming known to it, and noticing that one is not.
//!
//! ```text
//! leader found --random pause up to factor--> RegisterSlave / ReregisterSlave, again after growing random pauses
//!              --ping of its observer, and long since the last attempt--> pauses as for a leader just found
//!              --SlaveRegistered / SlaveReregistered--> Running
//! Running --ping says "disconnected", or no ping for total_ping_timeout--> as if the leader were new
//! Running --SlaveReregistered, which answers an older report; a ping after the connection broke; an operation on what there
//!           was before--> ReregisterSlave after a random pause
//! ```
//!
//! When it asks is in `backoff.rs`, what it says of itself in `report.rs`. Upstream: `Slave::detected`, `registered`,
//! `reregistered`, `doReliableRegistration`, `ping` in `slave/slave.cpp`. It knows nothing of how a leader is elected.

mod backoff;
mod report;

use std::time::Duration;

use election::{LeaderChanged, WatchLeader};
use libprocess::{Context, Handle, Node, Pid, Timer};
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, TaskId, internal, v0, v1};

use self::backoff::Backoff;
pub(crate) use self::report::CAPABILITIES;
use crate::agent::{Agent, Phase};
use crate::recovery::checkpoint::{self, Durability};
use crate::status_updates::manager::{Origin, Pause, Resume};
use crate::tasks::status::{AgentUpdate, dropped_state};

/// A ping that comes sooner after an attempt does not tell whether its answer is still on the way.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How many directories an agent makes to keep its id in: the work directory, `meta`, `slaves`, and its own.
const MADE: usize = 4;
/// How long the agent does without pings if the master does not say: 5 of 15 s.
const PING_TIMEOUT: Duration = Duration::from_secs(75);

/// Whom the agent follows.
pub struct Registration {
    /// What the detector said last.
    leader: Option<v1::MasterInfo>,
    /// The master that messages are exchanged with.
    pub(crate) master: Option<Pid>,
    backoff: Backoff,
    attempt: Option<Timer>,
    /// It was asked since it was detected: what it says before that answers a message of an earlier leadership.
    asked: bool,
    /// The connection to it broke since: what was said last may have been lost with it, and is not all repeated. A
    /// master that goes on pings, and is told then what there is; one that is gone is followed by another.
    pub(crate) broken: bool,
    /// When a master was asked last, since the node started.
    asked_at: Duration,
    ping: Option<Timer>,
    ping_timeout: Duration,
}

impl Registration {
    /// Follows nobody yet.
    pub(crate) fn new(factor: Duration) -> Registration {
        Registration {
            leader: None,
            master: None,
            backoff: Backoff::new(factor),
            attempt: None,
            asked: false,
            broken: false,
            asked_at: Duration::ZERO,
            ping: None,
            ping_timeout: PING_TIMEOUT,
        }
    }

    /// The leader's own description, for `/state`.
    pub(crate) fn leader(&self) -> Option<&v1::MasterInfo> {
        self.leader.as_ref()
    }
}

/// Try to register (again).
pub struct Register;
/// No ping has come for too long.
pub struct PingOverdue;

libprocess::messages! { Register; PingOverdue; }

/// The actor of a master, from its description.
pub fn master_pid(info: &v1::MasterInfo) -> Option<Pid> {
    if let Some(pid) = info.pid.as_deref().and_then(|pid| pid.parse().ok()) {
        return Some(pid);
    }
    let address = info.address.as_ref()?;
    let ip: std::net::IpAddr = address.ip.as_deref()?.parse().ok()?;
    let port = u16::try_from(address.port).ok()?;
    Some(Pid::new("master", std::net::SocketAddr::new(ip, port)))
}

impl Agent {
    /// Asks the detector for the leader, now and at every change.
    pub(crate) fn watch_leader(&mut self, ctx: &mut Context<Self>) {
        self.colleagues.detector.tell(WatchLeader(ctx.address().recipient()));
    }

    /// Registers with the leader as if it had just been found.
    pub(crate) fn detect_again(&mut self, ctx: &mut Context<Self>) {
        let leader = self.registration.leader.clone();
        self.detected(leader, ctx);
    }

    /// The master's books are not what is here, and nothing else would mend them. It is told again. (Upstream leaves it at a
    /// warning.)
    ///
    /// - It has answered a report that was given before the agent was registered: one of its own repetitions, or one that a
    ///   broken network kept. It has compared its books with that, so that they lack what was reserved, made and launched
    ///   since.
    /// - The connection to it broke, and what was said last may be lost: that an executor has ended, and which operations
    ///   there are, is said once.
    /// - It has applied an operation to the agent's resources as they were before.
    ///
    /// The pauses grow on: where answers take longer than a pause, each report would be sent twice for ever.
    pub(crate) fn report_again(&mut self, ctx: &mut Context<Self>) {
        self.disconnect(ctx);
        let window = self.registration.backoff.next();
        self.attempt_within(window, ctx);
        self.touch(ctx);
    }

    /// The master does not know what runs here, until it has been told again.
    fn disconnect(&mut self, ctx: &mut Context<Self>) {
        if self.phase != Phase::Terminating {
            self.phase = Phase::Disconnected;
        }
        self.colleagues.updates.tell(Pause);
        self.cancel_attempt(ctx);
        if let Some(ping) = self.registration.ping.take() {
            ctx.cancel(ping);
        }
        self.registration.asked = false;
    }

    fn detected(&mut self, leader: Option<v1::MasterInfo>, ctx: &mut Context<Self>) {
        self.disconnect(ctx);
        // The master may have given this agent up, with launches on their way that a stopped process or a broken network
        // kept: they are for resources as they were before, and will not be among the tasks that it is told of.
        self.resource_version = ctx.node().random().uuid();
        self.registration.master = leader.as_ref().and_then(master_pid);
        self.registration.leader = leader;
        match &self.registration.master {
            None => tracing::info!("there is no leading master"),
            Some(master) if self.phase == Phase::Terminating => {
                tracing::info!(%master, "not registering: the agent is terminating");
            }
            Some(master) => {
                tracing::info!(%master, "new master detected");
                self.attempt_soon(ctx);
            }
        }
        self.touch(ctx);
    }

    /// Tries to register as with a leader that has just been found.
    fn attempt_soon(&mut self, ctx: &mut Context<Self>) {
        self.cancel_attempt(ctx);
        let window = self.registration.backoff.restart();
        self.attempt_within(window, ctx);
    }

    /// Whether an answer of the master can be one to what it was last told. One that it gives unasked is to a message that
    /// was long on its way: it knows what ran here then, not what runs now, and would miss tasks (found by simulation).
    fn has_asked(&self, master: &Pid) -> bool {
        let asked = self.registration.asked || self.phase != Phase::Disconnected;
        if !asked {
            tracing::warn!(%master, "ignoring an answer to a registration of an earlier time");
        }
        asked
    }

    fn attempt_within(&mut self, window: Duration, ctx: &mut Context<Self>) {
        let delay = pause(ctx.node(), window);
        self.registration.attempt = Some(ctx.after(delay, Register));
    }

    fn cancel_attempt(&mut self, ctx: &mut Context<Self>) {
        if let Some(attempt) = self.registration.attempt.take() {
            ctx.cancel(attempt);
        }
    }

    fn await_ping(&mut self, ctx: &mut Context<Self>) {
        if let Some(ping) = self.registration.ping.take() {
            ctx.cancel(ping);
        }
        self.registration.ping = Some(ctx.after(self.registration.ping_timeout, PingOverdue));
    }

    fn take_ping_timeout(&mut self, connection: Option<&internal::MasterSlaveConnection>) {
        let seconds = connection.and_then(|connection| connection.total_ping_timeout_seconds);
        self.registration.ping_timeout =
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(PING_TIMEOUT);
    }

    fn connected(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Running;
        self.cancel_attempt(ctx);
        self.colleagues.updates.tell(Resume);
        self.await_ping(ctx);
        self.touch(ctx);
    }

    /// Why an id is given back, also to a master that was not asked. (Upstream takes both.)
    fn refusal(&self, id: &AgentId) -> Option<&'static str> {
        if let Some(known) = &self.id {
            // A registration that came late, after the master had forgotten the agent that it admitted for the one before.
            // What runs here, runs under that agent's id, and there is no other one.
            return (known != id).then_some("this agent has another one");
        }
        // The link to its last id was removed, or the host has booted and is another, and the master has not noticed: it
        // takes this for the agent that it knows. What is left of that one is the garbage collector's, and the next start
        // would take it for its own (found by simulation).
        let left = [self.paths.agent_meta(id), self.paths.slaves().join(id.as_str())];
        let is_had = left.iter().any(|directory| self.disk.exists(directory));
        is_had.then_some("it is of the agent that was here before")
    }

    /// Stores what a restarted agent needs to come back under the same id.
    fn checkpoint_info(&self, id: &AgentId) -> Result<(), checkpoint::DiskError> {
        let disk = &*self.disk;
        // As the first API has it: upstream's agent does not recover from one that did not checkpoint.
        let info = v0::SlaveInfo::from(self.info.clone());
        checkpoint::keep_message(disk, &self.paths.agent_info(id), &info, Durability::Host)?;
        let name = std::path::Path::new(id.as_str());
        checkpoint::keep_link(disk, &self.paths.latest_agent(), name, Durability::Host)?;
        checkpoint::sync_names(disk, &self.paths.agent_meta(id), MADE)
    }

    /// The master believes in tasks that this agent does not know: they are dropped.
    fn reconcile(&mut self, reconciliation: &internal::ReconcileTasksMessage, ctx: &mut Context<Self>) {
        let framework = FrameworkId::from(&reconciliation.framework_id);
        let state = reconciliation.framework.as_ref().map_or(v1::TaskState::TaskLost, dropped_state);
        for status in &reconciliation.statuses {
            let task = TaskId::from(&status.task_id);
            if self.frameworks.get(&framework).is_some_and(|framework| framework.has_task(&task)) {
                continue;
            }
            tracing::warn!(task_id = %task, framework_id = %framework, "the master knows a task that this agent does not");
            let update = AgentUpdate {
                framework: &framework,
                agent: &self.agent_id(),
                task: &task,
                executor: None,
                state,
                reason: v1::task_status::Reason::Reconciliation,
                message: "Reconciliation: task unknown to the agent",
                limited: None,
            }
            .into_update(ctx.node().random().uuid(), ctx.now());
            self.deliver(update, Origin::Agent, None);
        }
    }
}

/// A random part of `window`.
fn pause(node: &Node, window: Duration) -> Duration {
    node.random().duration_up_to(window)
}

impl Handle<LeaderChanged> for Agent {
    /// A report that the last master's host has not received must not reach it when it leads again: it would believe what
    /// was here long before, and tell frameworks that later tasks are gone (found by simulation; upstream's agent keeps the
    /// connection).
    fn handle(&mut self, LeaderChanged { leader, .. }: LeaderChanged, _: &Pid, ctx: &mut Context<Self>) {
        let leads = leader.as_ref().and_then(master_pid);
        let last = self.registration.master.clone().filter(|last| leads.as_ref() != Some(last));
        // An agent that leaves has said so.
        if let Some(last) = last.filter(|_| self.phase != Phase::Terminating) {
            ctx.disconnect(&last);
        }
        self.detected(leader, ctx);
    }
}

impl Handle<Register> for Agent {
    fn handle(&mut self, _: Register, _: &Pid, ctx: &mut Context<Self>) {
        self.registration.attempt = None;
        if self.phase != Phase::Disconnected {
            return;
        }
        let Some(master) = self.registration.master.clone() else { return };
        // Linked only now, so that a thousand agents do not connect to a new leader at once.
        ctx.link(&master);
        if self.id.is_none() {
            ctx.post(&master, self.registration_message());
        } else {
            self.answer_for_reported();
            ctx.post(&master, self.reregistration_message());
        }
        self.registration.asked = true;
        self.registration.broken = false;
        self.registration.asked_at = ctx.node().elapsed();
        let window = self.registration.backoff.next();
        self.attempt_within(window, ctx);
    }
}

impl Handle<internal::SlaveRegisteredMessage> for Agent {
    fn handle(&mut self, message: internal::SlaveRegisteredMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "registered") {
            return;
        }
        let id = AgentId::from(message.slave_id);
        if self.phase == Phase::Disconnected
            && let Some(why) = self.refusal(&id)
        {
            tracing::warn!(master = %from, agent_id = %id, why, "refusing an id");
            ctx.post(from, internal::UnregisterSlaveMessage { slave_id: id.to_proto() });
            return;
        }
        if !self.has_asked(from) {
            return;
        }
        self.take_ping_timeout(message.connection.as_ref());
        match self.phase {
            Phase::Disconnected if self.id.is_some() => {
                tracing::warn!(master = %from, "ignoring a registration: the agent re-registers");
                return;
            }
            Phase::Disconnected => {
                tracing::info!(master = %from, agent_id = %id, "registered");
                self.info.id = Some(id.to_proto());
                self.id = Some(id.clone());
                if let Err(error) = self.checkpoint_info(&id) {
                    self.fail(error.to_string(), ctx);
                    return;
                }
                self.connected(ctx);
            }
            Phase::Running if self.id.as_ref() != Some(&id) => {
                let expected = self.agent_id();
                self.fail(format!("registered with the wrong id {id}; expected {expected}"), ctx);
                return;
            }
            Phase::Running => tracing::warn!(master = %from, "already registered"),
            Phase::Terminating | Phase::Recovering => {
                tracing::warn!(phase = %self.phase, "ignoring a registration");
                return;
            }
        }
        self.send_resource_update(&id, ctx);
    }
}

impl Handle<internal::SlaveReregisteredMessage> for Agent {
    fn handle(&mut self, message: internal::SlaveReregisteredMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "re-registered") || !self.has_asked(from) {
            return;
        }
        let id = AgentId::from(message.slave_id);
        if self.id.as_ref() != Some(&id) {
            let expected = self.agent_id();
            self.fail(format!("re-registered with the wrong id {id}; expected {expected}"), ctx);
            return;
        }
        self.take_ping_timeout(message.connection.as_ref());
        match self.phase {
            Phase::Disconnected => {
                tracing::info!(master = %from, agent_id = %id, "re-registered");
                // It may have come back with more than it had.
                if let Err(error) = self.checkpoint_info(&id) {
                    self.fail(error.to_string(), ctx);
                    return;
                }
                self.connected(ctx);
            }
            Phase::Running if is_on(Bug::BelievesOldReports) => {}
            Phase::Running => {
                tracing::warn!(master = %from, "the master believes an older report; registering again");
                self.report_again(ctx);
                return;
            }
            Phase::Terminating | Phase::Recovering => {
                tracing::warn!(phase = %self.phase, "ignoring a re-registration");
                return;
            }
        }
        self.send_resource_update(&id, ctx);
        for reconciliation in &message.reconciliations {
            self.reconcile(reconciliation, ctx);
        }
    }
}

impl Handle<internal::PingSlaveMessage> for Agent {
    /// Answered in every phase: recovery may take longer than the master's patience. Heeded only from the leader's own
    /// observers: a master that has been deposed and does not know it yet must not keep this agent waiting for the
    /// leader's pings.
    fn handle(&mut self, ping: internal::PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, internal::PongSlaveMessage {});
        if self.master().is_none_or(|master| master.address() != from.address()) {
            return;
        }
        if !ping.connected && self.phase == Phase::Running && !is_on(Bug::IgnoresDisconnected) {
            tracing::info!("the master holds this agent for disconnected; registering again");
            self.detect_again(ctx);
            return;
        }
        match self.phase {
            Phase::Running if self.registration.broken && !is_on(Bug::IgnoresBreaks) => {
                tracing::info!("the connection to the master was broken; registering again");
                self.report_again(ctx);
            }
            Phase::Running => {
                // Whatever was on its way when it registered has arrived by now.
                self.registration.backoff.restart();
                self.await_ping(ctx);
            }
            // Its answer came before this ping, and was lost, or believed an older report: the network that made the
            // pauses long is well again. (Upstream waits.)
            Phase::Disconnected
                if self.registration.backoff.has_grown()
                    && ctx.node().elapsed() - self.registration.asked_at > ANSWER_MAX =>
            {
                tracing::info!("the master, which has not answered, is heard again; registering again");
                self.attempt_soon(ctx);
            }
            Phase::Disconnected | Phase::Recovering | Phase::Terminating => {}
        }
    }
}

impl Handle<PingOverdue> for Agent {
    fn handle(&mut self, _: PingOverdue, _: &Pid, ctx: &mut Context<Self>) {
        self.registration.ping = None;
        if self.phase == Phase::Running {
            tracing::info!(timeout = ?self.registration.ping_timeout, "no ping from the master; detecting it again");
            self.detect_again(ctx);
        }
    }
}

impl Handle<internal::ShutdownMessage> for Agent {
    fn handle(&mut self, message: internal::ShutdownMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "shut down") {
            return;
        }
        tracing::warn!(reason = message.message(), "the master asks this agent to shut down");
        self.shut_down(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_found_by_its_pid_or_its_address() {
        let by_pid = v1::MasterInfo { pid: Some("master@10.0.0.1:5050".into()), ..Default::default() };
        assert_eq!(master_pid(&by_pid).unwrap().to_string(), "master@10.0.0.1:5050");
        let address = v1::Address { ip: Some("10.0.0.2".into()), port: 5051, ..Default::default() };
        let by_address = v1::MasterInfo { address: Some(address), ..Default::default() };
        assert_eq!(master_pid(&by_address).unwrap().to_string(), "master@10.0.0.2:5051");
        assert_eq!(master_pid(&v1::MasterInfo::default()), None);
    }
}
