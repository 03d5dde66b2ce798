//! Agents from the master's side: how they come, how they are watched, and how they are lost.
//!
//! | file | what happens there |
//! |---|---|
//! | `register` | a new agent is admitted |
//! | `report` | what an agent says that comes back is made ready |
//! | `reregister` | it comes back, to this master or after another one |
//! | `reconcile` | a known agent that comes back is compared with the books |
//! | `update` | it reports other resources |
//! | `observer` | its pings |
//! | `disconnect` | its connection breaks |
//! | `unreachable` | it does not answer, or does not come back: it is marked unreachable |
//! | `remove` | it leaves, or is replaced |
//! | `gone` | an operator says that it is gone for ever |
//! | `leave` | it is not in the books any more, for any of these reasons |
//! | `maintenance` | its machine is taken down for maintenance |
//! | `activation` | it is drained, deactivated, reactivated |
//! | `prune` | old entries of the registry are forgotten |
//! | `limiter` | how fast agents may be removed |
//!
//! The registry is always written before the books: what frameworks are told survives this master.

pub(crate) mod activation;
pub(crate) mod disconnect;
pub(crate) mod gone;
mod leave;
pub mod limiter;
pub(crate) mod maintenance;
pub mod observer;
pub(crate) mod prune;
pub(crate) mod reconcile;
pub(crate) mod register;
pub(crate) mod remove;
pub(crate) mod report;
pub(crate) mod reregister;
pub(crate) mod unreachable;
pub(crate) mod update;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use libprocess::{Address, Context, FixedState, Pid, Timer};
use mesos::internal::{MasterSlaveConnection, ShutdownMessage};
use mesos::v1::OperationState;
use mesos::v1::offer::operation::Type as Kind;
use mesos::{AgentId, v1};

use self::limiter::RemovalLimiter;
use self::observer::{AgentObserver, Connection, PingLimits};
use self::reregister::Meanwhile;
use self::unreachable::Removal;
use crate::frameworks::events;
use crate::master::Master;
use crate::settings::Settings;

/// What is under way with agents, beside the books.
pub(crate) struct Agents {
    limits: PingLimits,
    /// New agents that wait for the registry.
    pub(crate) registering: BTreeSet<Pid>,
    /// Returning agents that wait for the registry, each with what was heard of it since.
    pub(crate) reregistering: BTreeMap<AgentId, Meanwhile>,
    /// Agents that wait for the registry to be unreachable.
    pub(crate) marking_unreachable: BTreeSet<AgentId>,
    /// Agents that wait for the registry to be removed.
    pub(crate) removing: BTreeSet<AgentId>,
    /// Agents that wait for the registry to be gone.
    pub(crate) marking_gone: BTreeSet<AgentId>,
    /// Unhealthy agents whose turn to be marked unreachable has not come.
    pub(crate) unhealthy: BTreeSet<AgentId>,
    /// Disconnected agents that have not re-registered in time, and whose turn has not come.
    pub(crate) overdue: BTreeSet<AgentId>,
    /// The agents that the registry knows have had their time to come back to this master.
    pub(crate) recovery_is_over: bool,
    /// Disconnected agents, with the timer of their return.
    pub(crate) reregistration_timers: IndexMap<AgentId, Timer, FixedState>,
    pub(crate) limiter: Option<RemovalLimiter<Removal>>,
    /// What kinds of operations there were on agents that are unreachable, for `master/operations/.../unreachable`.
    unreachable_operations: BTreeMap<AgentId, Vec<Kind>>,
    observers: IndexMap<AgentId, Address<AgentObserver>, FixedState>,
}

impl Agents {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            limits: settings.ping_limits(),
            registering: BTreeSet::new(),
            reregistering: BTreeMap::new(),
            marking_unreachable: BTreeSet::new(),
            removing: BTreeSet::new(),
            marking_gone: BTreeSet::new(),
            unhealthy: BTreeSet::new(),
            overdue: BTreeSet::new(),
            recovery_is_over: false,
            reregistration_timers: IndexMap::default(),
            limiter: settings.removal_limiter(),
            unreachable_operations: BTreeMap::new(),
            observers: IndexMap::default(),
        }
    }

    /// What a registered agent is told: after this time without a ping it looks for its master anew.
    pub(crate) fn connection(&self) -> MasterSlaveConnection {
        MasterSlaveConnection { total_ping_timeout_seconds: Some(self.limits.total().as_secs_f64()) }
    }

    /// Whether the registry is being written so that the agent is there no more.
    pub(crate) fn is_leaving(&self, agent: &AgentId) -> bool {
        [&self.marking_unreachable, &self.removing, &self.marking_gone].iter().any(|all| all.contains(agent))
    }

    /// Begins to ping an agent.
    pub(crate) fn observe(&mut self, agent: &AgentId, pid: &Pid, ctx: &Context<Master>) {
        let master = ctx.address().recipient();
        let observer = AgentObserver::new(agent.clone(), pid.clone(), master, self.limits);
        let observer = ctx.node().spawn_numbered(observer);
        if let Some(previous) = self.observers.insert(agent.clone(), observer) {
            previous.kill();
        }
    }

    /// From now on the agent is pinged there, and told whether it is connected.
    pub(crate) fn set_connection(&self, agent: &AgentId, pid: &Pid, connected: bool) {
        if let Some(observer) = self.observers.get(agent) {
            observer.tell(Connection { pid: pid.clone(), connected });
        }
    }

    /// Forgets an agent: nothing of it is awaited any more.
    pub(crate) fn forget(&mut self, agent: &AgentId, ctx: &mut Context<Master>) {
        if let Some(observer) = self.observers.swap_remove(agent) {
            observer.kill();
        }
        self.unhealthy.remove(agent);
        self.overdue.remove(agent);
        if let Some(timer) = self.reregistration_timers.swap_remove(agent) {
            ctx.cancel(timer);
        }
    }

    /// The master ends.
    pub(crate) fn stop_observers(&mut self) {
        for (_, observer) in self.observers.drain(..) {
            observer.kill();
        }
    }
}

/// Tells an agent to end.
pub(crate) fn shut_down(pid: &Pid, reason: &str, ctx: &Context<Master>) {
    ctx.post(pid, ShutdownMessage { message: Some(reason.to_owned()) });
}

/// An operation is on an agent that is unreachable now. It is in the books no more: if the agent comes back, that says
/// what became of it.
pub(crate) fn count_unreachable_operation(
    master: &mut Master,
    agent: &AgentId,
    kind: Kind,
    was: OperationState,
) {
    master.metrics.operations.changed(kind, was, OperationState::OperationUnreachable);
    master.agents.unreachable_operations.entry(agent.clone()).or_default().push(kind);
}

/// An agent is not unreachable any more, or nothing is known of it: its operations are not counted as unreachable.
/// (Upstream counts them for ever.)
fn forget_unreachable_operations(master: &mut Master, agent: &AgentId) {
    for kind in master.agents.unreachable_operations.remove(agent).unwrap_or_default() {
        master.metrics.operations.removed(kind, OperationState::OperationUnreachable);
    }
}

/// Tells all connected frameworks that an agent is lost.
pub(crate) fn announce_lost(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let frameworks = master.cluster.frameworks().values().filter(|state| state.is_connected());
    let connected: Vec<_> = frameworks.map(|state| state.id.clone()).collect();
    for framework in connected {
        master.send(&framework, events::agent_failure(agent), ctx);
    }
}

/// Whether agents with and without this domain may register with this master.
pub(crate) fn check_domain(master: &Master, info: &v1::AgentInfo) -> Result<(), &'static str> {
    if info.domain.is_some() && master.info.domain.is_none() {
        return Err("it has a domain, but this master has none (--domain)");
    }
    if info.domain.is_none() && master.settings.require_agent_domain {
        return Err("it has no domain, but this master requires one (--require_agent_domain)");
    }
    Ok(())
}
