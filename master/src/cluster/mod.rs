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
use mesos::v1::{self, TaskState};
use mesos::{AgentId, ExecutorId, FrameworkId, OfferId, Resources, TaskId};

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
        suppressed: std::collections::BTreeSet<String>,
        constraints: v1::scheduler::OfferConstraints,
    ) {
        if let Some(framework) = self.framework_mut(id) {
            framework.update(info, suppressed, constraints);
        }
    }

    /// Its scheduler suppressed or revived roles.
    pub fn set_suppressed_roles(&mut self, id: &FrameworkId, suppressed: std::collections::BTreeSet<String>) {
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

/// Whether a status is about this task: frameworks may use an id again on another agent.
fn is_of(task: &Task, status: &v1::TaskStatus) -> bool {
    status.agent_id.as_ref().is_none_or(|agent| agent.value == task.agent.as_str())
}

/// 1 for a task that counts as unreachable. The list of unreachable tasks has others, too: what its framework was told is
/// lost, and what was over before its agent became unreachable (upstream: `_tasks_unreachable`).
fn in_state_unreachable(task: &Arc<Task>) -> i64 {
    (task.state() == TaskState::TaskUnreachable).into()
}

/// Tasks and executors.
impl Cluster {
    /// Remembers what a task's framework is being told.
    pub fn task_sent(&mut self, framework: &FrameworkId, status: &v1::TaskStatus) {
        let task = self
            .framework_mut(framework)
            .and_then(|framework| framework.tasks.get_mut(status.task_id.value.as_str()));
        if let Some(task) = task.filter(|task| is_of(task, status)) {
            Arc::make_mut(task).sent(status);
        }
    }

    /// Applies an update to a task, unless it is about another agent's. Frees its resources when it becomes
    /// terminal or unreachable.
    pub fn update_task(
        &mut self,
        framework: &FrameworkId,
        status: &v1::TaskStatus,
        latest: Option<TaskState>,
    ) -> Option<(Change, Option<Freed>)> {
        let owner = self.framework_mut(framework)?;
        let task = owner.tasks.get_mut(status.task_id.value.as_str()).filter(|task| is_of(task, status))?;
        let task = Arc::make_mut(task);
        let change = task.update(status, latest);
        let (agent, resources) = (task.agent.clone(), task.resources.clone());
        if change.released {
            owner.used -= &resources;
        }
        self.tally.count_task(change.from, -1);
        self.tally.count_task(change.to, 1);
        if !change.released {
            return Some((change, None));
        }
        self.tally.change_used(&resources, -1);
        if let Some(agent) = self.agent_mut(&agent) {
            agent.free_resources(framework, &resources);
        }
        Some((change, Some(Freed { framework: framework.clone(), agent, resources })))
    }

    /// Removes a task, into the history of its framework. What it still used is freed: that happens
    /// only when it is neither terminal nor unreachable.
    pub fn remove_task(&mut self, framework: &FrameworkId, id: &TaskId, unreachable: bool) -> Option<Freed> {
        let owner = self.framework_mut(framework)?;
        let task = owner.tasks.get(id)?.clone();
        owner.tasks.remove_mut(id);
        let active = task.is_active();
        if active {
            owner.used -= &task.resources;
        }
        if unreachable {
            let forgotten = owner.unreachable_tasks.push(task.clone());
            owner.unreachable.fetch_add(in_state_unreachable(&task), Relaxed);
            self.unreachable_tasks.add(&task);
            self.tally.tasks_unreachable.fetch_add(in_state_unreachable(&task), Relaxed);
            self.left_unreachable(forgotten.iter());
        } else {
            owner.completed_tasks.push(task.clone());
        }
        self.tally.count_task(task.state(), -1);
        if active {
            self.tally.change_used(&task.resources, -1);
        }
        if let Some(agent) = self.agent_mut(&task.agent) {
            let key = (framework.clone(), id.clone());
            agent.tasks.remove_mut(&key);
            if agent.killed_tasks.contains_key(&key) {
                Arc::make_mut(&mut agent.killed_tasks).remove(&key);
            }
            if active {
                agent.free_resources(framework, &task.resources);
            }
        }
        active.then(|| Freed {
            framework: framework.clone(),
            agent: task.agent.clone(),
            resources: task.resources.clone(),
        })
    }

    /// A framework asked for this task to be killed, in this way.
    pub fn task_killed(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        task: &TaskId,
        policy: Option<v1::KillPolicy>,
    ) {
        if let Some(agent) = self.agent_mut(agent) {
            Arc::make_mut(&mut agent.killed_tasks).insert((framework.clone(), task.clone()), policy);
        }
    }

    /// Forgets what is remembered of tasks that an agent reports as alive again.
    pub fn forget_past_of(&mut self, framework: &FrameworkId, agent: &AgentId, tasks: &[&str]) {
        let Some(owner) = self.framework_mut(framework) else { return };
        let forgotten =
            owner.unreachable_tasks.extract(|task| &task.agent == agent || tasks.contains(&task.id.as_str()));
        owner.completed_tasks.retain(|task| !tasks.contains(&task.id.as_str()));
        self.left_unreachable(forgotten.iter());
    }

    /// The frameworks with unreachable tasks of this agent.
    pub fn frameworks_with_unreachable_tasks(&self, agent: &AgentId) -> Vec<FrameworkId> {
        self.unreachable_tasks.frameworks_of(agent)
    }

    /// These tasks have left the lists of unreachable tasks.
    fn left_unreachable<'a>(&mut self, tasks: impl Iterator<Item = &'a Arc<Task>>) {
        for task in tasks {
            self.unreachable_tasks.remove(task);
            self.tally.tasks_unreachable.fetch_sub(in_state_unreachable(task), Relaxed);
            if let Some(owner) = self.frameworks.get(&task.framework) {
                owner.unreachable.fetch_sub(in_state_unreachable(task), Relaxed);
            }
        }
    }

    /// Takes those unreachable tasks of a framework that are `wanted`, to end them.
    pub fn take_unreachable_tasks(
        &mut self,
        id: &FrameworkId,
        wanted: impl Fn(&Task) -> bool,
    ) -> Vec<Arc<Task>> {
        let Some(owner) = self.framework_mut(id) else { return Vec::new() };
        let taken = owner.unreachable_tasks.extract(|task| wanted(task));
        self.left_unreachable(taken.iter());
        taken
    }

    /// Remembers a task that is over.
    pub fn add_completed_task(&mut self, id: &FrameworkId, task: Arc<Task>) {
        if let Some(framework) = self.framework_mut(id) {
            framework.completed_tasks.push(task);
        }
    }

    /// Remembers tasks that an agent knows to be over, in place of what was remembered of them.
    pub fn add_completed_tasks_of(&mut self, agent: &AgentId, id: &FrameworkId, tasks: Vec<Arc<Task>>) {
        let Some(framework) = self.framework_mut(id) else { return };
        let ids: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        let is_told = |task: &Task| &task.agent == agent && ids.contains(task.id.as_str());
        framework.completed_tasks.retain(|task| !is_told(task));
        for task in tasks {
            framework.completed_tasks.push(task);
        }
    }

    /// An executor was removed because its agent's connection broke. It may run there still, and is to end when the agent is
    /// back.
    pub fn executor_given_up(&mut self, agent: &AgentId, framework: &FrameworkId, executor: &ExecutorId) {
        if let Some(agent) = self.agent_mut(agent) {
            agent.given_up.insert_mut((framework.clone(), executor.clone()), ());
        }
    }

    /// An executor has ended. If it was given up, there may be another one of its id from now on; `true` then.
    pub fn given_up_has_ended(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> bool {
        let key = (framework.clone(), executor.clone());
        let is_given_up = self.agent(agent).is_some_and(|agent| agent.all_given_up().any(|it| *it == key));
        // What is not changed is not shown anew.
        is_given_up && self.agent_mut(agent).is_some_and(|agent| agent.forget_given_up(&key))
    }

    /// Forgets which executors of a framework were given up. An agent that reports them is told to end all of it, or takes
    /// it back with them.
    fn forget_given_up_of(&mut self, framework: &FrameworkId) {
        let is_of_it = |(of, _): &(FrameworkId, ExecutorId)| of == framework;
        let of_agent = |(agent, state): (&AgentId, &Arc<Agent>)| {
            let keys: Vec<_> = state.all_given_up().filter(|key| is_of_it(key)).cloned().collect();
            (agent.clone(), keys)
        };
        let agents: Vec<_> = self.agents.iter().map(of_agent).filter(|(_, keys)| !keys.is_empty()).collect();
        for (agent, keys) in agents {
            let Some(agent) = self.agent_mut(&agent) else { continue };
            for key in keys {
                agent.forget_given_up(&key);
            }
        }
    }

    /// An agent reports the executors that it has. One that was given up and is none of them bars its id no longer; if the
    /// next report has it, and it was not launched anew, that one was late.
    pub fn compare_given_up(&mut self, agent: &AgentId, alive: &[(FrameworkId, ExecutorId)]) {
        if let Some(agent) = self.agent_mut(agent) {
            agent.compare_given_up(alive);
        }
    }

    /// Removes a framework's own executor and frees what it used.
    pub fn remove_executor(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        executor: &ExecutorId,
    ) -> Option<Freed> {
        let on_agent = self.agent_mut(agent)?;
        let key = (framework.clone(), executor.clone());
        let removed = on_agent.executors.get(&key)?.clone();
        on_agent.executors.remove_mut(&key);
        on_agent.free_resources(framework, &removed.resources);
        self.tally.change_used(&removed.resources, -1);
        if let Some(framework) = self.framework_mut(framework) {
            framework.used -= &removed.resources;
            framework.executors.remove_mut(&(agent.clone(), executor.clone()));
        }
        Some(Freed {
            framework: framework.clone(),
            agent: agent.clone(),
            resources: removed.resources.clone(),
        })
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
