//! The state of the cluster and its transitions, without an actor, a socket or a clock.
//!
//! [`Cluster`] holds what the master knows: frameworks with their tasks and executors, agents,
//! outstanding offers, and the agents that are awaited, unreachable, gone or removed. Each method is one
//! transition that keeps the books in order (who uses what, what is offered) and says what it freed;
//! telling the allocator, the agents and the schedulers is the master's affair. A reader takes a
//! [`Snapshot`]: a copy that costs a few pointers, since its maps share what does not change.
//!
//! A task belongs to its framework; its agent knows only its id.

pub mod agent;
mod agents;
pub mod books;
mod enter;
pub mod framework;
mod kinds;
mod machines;
pub mod offer;
pub mod operations;
pub mod persistent;
pub mod snapshot;
pub mod status;
pub mod tally;
pub mod task;
mod tasks;
#[cfg(test)]
pub(crate) mod testing;
mod unreachable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use allocator::Quota;
use indexmap::{IndexMap, IndexSet};
use libprocess::{FixedState, Pid};
use mesos::{AgentId, FrameworkId, OfferId, Resources, v1};

use self::unreachable::UnreachableTasks;
use crate::registrar::{Activation, Maintenance};

pub use agent::{Agent, AgentResources, Introduction, planned_for};
pub use books::Books;
pub use enter::Entered;
pub use framework::{Connection, Executor, Framework};
pub use machines::Machines;
pub use mesos::capabilities::{AgentCapabilities, FrameworkCapabilities};
pub use offer::Offer;
pub use operations::OperationChange;
pub use persistent::{History, Map, Ordered};
pub use snapshot::{MasterView, Snapshot};
pub use tally::Tally;
pub use task::{Change, Task};

/// How much of the past is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Completed frameworks.
    pub completed_frameworks: usize,
    /// Completed tasks of each framework.
    pub completed_tasks: usize,
    /// Unreachable tasks of each framework.
    pub unreachable_tasks: usize,
}

impl Default for Limits {
    /// Upstream's (`master/constants.hpp`).
    fn default() -> Self {
        Self { completed_frameworks: 50, completed_tasks: 1000, unreachable_tasks: 1000 }
    }
}

/// What the master knows of the cluster.
pub struct Cluster {
    version: u64,
    limits: Limits,
    frameworks: Ordered<FrameworkId, Arc<Framework>>,
    /// Finds a framework by the pid of its driver; not part of a snapshot.
    frameworks_by_pid: IndexMap<Pid, FrameworkId, FixedState>,
    completed_frameworks: History<Framework>,
    agents: Ordered<AgentId, Arc<Agent>>,
    /// Finds an agent by its pid; not part of a snapshot.
    agents_by_pid: IndexMap<Pid, AgentId, FixedState>,
    /// Finds agents by the machine that they are on.
    machines: Machines,
    offers: Map<OfferId, Arc<Offer>>,
    /// Finds operations by the ids that their frameworks gave them; not part of a snapshot.
    named_operations: operations::Named,
    recovered_agents: Ordered<AgentId, Arc<v1::AgentInfo>>,
    unreachable_agents: Ordered<AgentId, v1::TimeInfo>,
    gone_agents: Ordered<AgentId, v1::TimeInfo>,
    removed_agents: IndexSet<AgentId, FixedState>,
    unreachable_tasks: UnreachableTasks,
    /// Of agents that are not simply active.
    activations: Ordered<AgentId, Activation>,
    maintenance: Arc<Maintenance>,
    weights: Arc<BTreeMap<String, f64>>,
    quotas: Arc<BTreeMap<String, Quota>>,
    tally: Arc<Tally>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Cluster {
    /// An empty cluster.
    pub fn new(limits: Limits) -> Self {
        Self {
            version: 0,
            limits,
            frameworks: persistent::ordered(),
            frameworks_by_pid: IndexMap::default(),
            completed_frameworks: History::new(limits.completed_frameworks),
            agents: persistent::ordered(),
            agents_by_pid: IndexMap::default(),
            machines: Machines::default(),
            offers: persistent::map(),
            named_operations: operations::Named::new(),
            recovered_agents: persistent::ordered(),
            unreachable_agents: persistent::ordered(),
            gone_agents: persistent::ordered(),
            removed_agents: IndexSet::default(),
            unreachable_tasks: UnreachableTasks::default(),
            activations: persistent::ordered(),
            maintenance: Arc::default(),
            weights: Arc::default(),
            quotas: Arc::default(),
            tally: Arc::default(),
        }
    }
}

/// What removing a task or an executor freed, for the allocator.
#[derive(Debug, Clone, PartialEq)]
pub struct Freed {
    /// Of which framework.
    pub framework: FrameworkId,
    /// On which agent.
    pub agent: AgentId,
    /// What.
    pub resources: Resources,
}

/// Reading.
impl Cluster {
    /// Grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The counters behind the gauges.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// A registered framework.
    pub fn framework(&self, id: &FrameworkId) -> Option<&Arc<Framework>> {
        self.frameworks.get(id)
    }

    /// The registered framework whose driver is at this pid.
    pub fn framework_at(&self, pid: &Pid) -> Option<&Arc<Framework>> {
        self.frameworks_by_pid.get(pid).and_then(|id| self.frameworks.get(id))
    }

    /// All registered frameworks.
    pub fn frameworks(&self) -> &Ordered<FrameworkId, Arc<Framework>> {
        &self.frameworks
    }

    /// A framework that was removed not too long ago.
    pub fn completed_framework(&self, id: &FrameworkId) -> Option<&Arc<Framework>> {
        self.completed_frameworks.iter().find(|framework| &framework.id == id)
    }

    /// Whether this framework was removed not too long ago.
    pub fn is_completed(&self, id: &FrameworkId) -> bool {
        self.completed_framework(id).is_some()
    }

    /// The frameworks that were removed.
    pub fn completed_frameworks(&self) -> &History<Framework> {
        &self.completed_frameworks
    }

    /// A registered agent.
    pub fn agent(&self, id: &AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }

    /// The registered agent at this pid.
    pub fn agent_at(&self, pid: &Pid) -> Option<&Arc<Agent>> {
        self.agents_by_pid.get(pid).and_then(|id| self.agents.get(id))
    }

    /// Where the registered agents are. A copy costs a few pointers.
    pub fn machines(&self) -> &Machines {
        &self.machines
    }

    /// All registered agents.
    pub fn agents(&self) -> &Ordered<AgentId, Arc<Agent>> {
        &self.agents
    }

    /// A task of a registered framework, if it is neither completed nor unreachable.
    pub fn task(&self, framework: &FrameworkId, task: &str) -> Option<&Arc<Task>> {
        self.frameworks.get(framework)?.tasks.get(task)
    }

    /// An outstanding offer.
    pub fn offer(&self, id: &str) -> Option<&Arc<Offer>> {
        self.offers.get(id)
    }

    /// Agents that the registry knows and that have not re-registered since this master leads.
    pub fn recovered_agents(&self) -> &Ordered<AgentId, Arc<v1::AgentInfo>> {
        &self.recovered_agents
    }

    /// Agents that are marked unreachable, and since when.
    pub fn unreachable_agents(&self) -> &Ordered<AgentId, v1::TimeInfo> {
        &self.unreachable_agents
    }

    /// Agents that an operator marked gone, and since when.
    pub fn gone_agents(&self) -> &Ordered<AgentId, v1::TimeInfo> {
        &self.gone_agents
    }

    /// Whether this agent was removed (or is unreachable) and has not come back.
    pub fn is_removed_agent(&self, id: &AgentId) -> bool {
        self.removed_agents.contains(id)
    }

    /// What operators decided of an agent, registered or not.
    pub fn activation(&self, id: &AgentId) -> Activation {
        self.activations.get(id).copied().unwrap_or_default()
    }

    /// Planned maintenance.
    pub fn maintenance(&self) -> &Arc<Maintenance> {
        &self.maintenance
    }

    /// The weights of roles that have one.
    pub fn weights(&self) -> &Arc<BTreeMap<String, f64>> {
        &self.weights
    }

    /// The quotas of roles that were given one.
    pub fn quotas(&self) -> &Arc<BTreeMap<String, Quota>> {
        &self.quotas
    }

    /// What readers get. Costs a few pointers, however large the cluster is.
    pub fn snapshot(&self, master: Arc<MasterView>, taken: SystemTime) -> Snapshot {
        Snapshot {
            version: self.version,
            taken,
            master,
            frameworks: self.frameworks.clone(),
            completed_frameworks: self.completed_frameworks.clone(),
            agents: self.agents.clone(),
            offers: self.offers.clone(),
            recovered_agents: self.recovered_agents.clone(),
            unreachable_agents: self.unreachable_agents.clone(),
            gone_agents: self.gone_agents.clone(),
            activations: self.activations.clone(),
            weights: self.weights.clone(),
            quotas: self.quotas.clone(),
        }
    }
}

/// Frameworks.
impl Cluster {
    fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut Framework> {
        self.version += 1;
        self.frameworks.get_mut(id).map(Arc::make_mut)
    }

    /// Adds a framework that is not known yet.
    pub fn add_framework(&mut self, mut framework: Framework) {
        self.version += 1;
        framework.completed_tasks.set_limit(self.limits.completed_tasks);
        framework.unreachable_tasks.set_limit(self.limits.unreachable_tasks);
        self.tally.count_framework(framework.is_connected(), framework.is_active(), 1);
        self.frameworks.insert_mut(framework.id.clone(), Arc::new(framework));
    }

    /// Its scheduler described it anew.
    pub fn update_framework(
        &mut self,
        id: &FrameworkId,
        info: v1::FrameworkInfo,
        suppressed: BTreeSet<String>,
        constraints: v1::scheduler::OfferConstraints,
    ) {
        if let Some(framework) = self.framework_mut(id) {
            framework.update(info, suppressed, constraints);
        }
    }

    /// Its scheduler suppressed or revived roles.
    pub fn set_suppressed_roles(&mut self, id: &FrameworkId, suppressed: BTreeSet<String>) {
        if let Some(framework) = self.framework_mut(id) {
            framework.suppressed_roles = Arc::new(suppressed);
        }
    }

    /// Its scheduler came, went, or was (de)activated.
    pub fn set_connection(&mut self, id: &FrameworkId, connection: Connection) {
        let tally = self.tally.clone();
        let Some(framework) = self.framework_mut(id) else { return };
        tally.count_framework(framework.is_connected(), framework.is_active(), -1);
        framework.connection = connection;
        tally.count_framework(framework.is_connected(), framework.is_active(), 1);
    }

    /// Its scheduler is the driver at this pid from now on, or one of the HTTP API.
    pub fn set_framework_pid(&mut self, id: &FrameworkId, pid: Option<Pid>) {
        let Some(framework) = self.framework_mut(id) else { return };
        let before = std::mem::replace(&mut framework.pid, pid.clone());
        if let Some(before) = before {
            self.frameworks_by_pid.swap_remove(&before);
        }
        if let Some(pid) = pid {
            self.frameworks_by_pid.insert(pid, id.clone());
        }
    }

    /// Its scheduler subscribed again. The first time after a recovery counts as its registration.
    pub fn set_reregistered(&mut self, id: &FrameworkId, now: SystemTime) {
        if let Some(framework) = self.framework_mut(id) {
            if framework.is_recovered() {
                framework.registered = now;
            }
            framework.reregistered = now;
        }
    }

    /// Removes a framework that has no tasks, executors and offers any more, and remembers it; one that was never heard
    /// itself as recovered. The one that is forgotten for it, if any: it itself, if none is remembered.
    pub fn complete_framework(&mut self, id: &FrameworkId, now: SystemTime) -> Option<FrameworkId> {
        self.version += 1;
        let framework = self.frameworks.get(id).cloned()?;
        self.frameworks.remove_mut(id);
        if let Some(pid) = &framework.pid {
            self.frameworks_by_pid.swap_remove(pid);
        }
        self.tally.count_framework(framework.is_connected(), framework.is_active(), -1);
        self.left_unreachable(framework.unreachable_tasks.iter());
        let mut framework = Arc::unwrap_or_clone(framework);
        if !framework.is_recovered() {
            framework.connection = Connection::Disconnected;
        }
        framework.unregistered = Some(now);
        self.forget_given_up_of(id);
        self.completed_frameworks.push(Arc::new(framework)).map(|forgotten| forgotten.id.clone())
    }
}

/// Offers.
impl Cluster {
    /// Adds an offer to its framework and its agent, both of which are known.
    pub fn add_offer(&mut self, offer: Offer) {
        self.tally.offers.fetch_add(1, Relaxed);
        if let Some(framework) = self.framework_mut(&offer.framework) {
            framework.offers.insert_mut(offer.id.clone(), ());
            framework.offered += &offer.resources;
        }
        if let Some(agent) = self.agent_mut(&offer.agent) {
            agent.offers.insert_mut(offer.id.clone(), ());
            agent.offered += &offer.resources;
        }
        self.offers.insert_mut(offer.id.clone(), Arc::new(offer));
    }

    /// Removes an offer; it was taken, declined, rescinded or discarded.
    pub fn remove_offer(&mut self, id: &OfferId) -> Option<Arc<Offer>> {
        let offer = self.offers.get(id)?.clone();
        self.offers.remove_mut(id);
        self.tally.offers.fetch_sub(1, Relaxed);
        if let Some(framework) = self.framework_mut(&offer.framework) {
            framework.offers.remove_mut(id);
            framework.offered -= &offer.resources;
        }
        if let Some(agent) = self.agent_mut(&offer.agent) {
            agent.offers.remove_mut(id);
            agent.offered -= &offer.resources;
        }
        Some(offer)
    }

    /// A framework is asked to leave an agent.
    pub fn add_inverse_offer(&mut self, id: OfferId, framework: &FrameworkId, offer: v1::InverseOffer) {
        if let Some(framework) = self.framework_mut(framework) {
            framework.inverse_offers.insert_mut(id, Arc::new(offer));
        }
    }

    /// It answered, or is asked no longer.
    pub fn remove_inverse_offer(&mut self, id: &OfferId, framework: &FrameworkId) {
        if let Some(framework) = self.framework_mut(framework) {
            framework.inverse_offers.remove_mut(id);
        }
    }
}

/// Gives back the room that a list made when it grew, and that nothing fills. Its entries move: to shrink a list where it is
/// frees nothing in some allocators, mimalloc among them.
fn fit<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() {
        let mut fitting = Vec::with_capacity(list.len());
        fitting.append(list);
        *list = fitting;
    }
}

#[cfg(test)]
mod tests;
