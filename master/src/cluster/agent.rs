//! An agent as the master knows it (upstream: `struct Slave` in `master/master.hpp`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use libprocess::Pid;
use mesos::capabilities::AgentCapabilities;
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, ExecutorId, FrameworkId, MachineKey, OfferId, Resource, Resources, TaskId, v1};
use uuid::Uuid;

use super::fit;
use super::framework::Executor;
use super::persistent::{Map, Ordered, map, ordered};
use crate::registrar::Maintenance;

/// A registered agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// What it said last, its id included.
    pub info: Arc<v1::AgentInfo>,
    /// Where it is.
    pub pid: Pid,
    /// Its version, as it says.
    pub version: String,
    /// What it can do, as it says.
    pub capability_list: Arc<Vec<v1::agent_info::Capability>>,
    /// The same as flags.
    pub capabilities: AgentCapabilities,
    /// When it registered with this master.
    pub registered: SystemTime,
    /// When it re-registered last, if it did.
    pub reregistered: Option<SystemTime>,
    /// Its connection holds.
    pub connected: bool,
    /// Its resources are offered.
    pub active: bool,
    /// When it was told to end its tasks, if this master told it so.
    pub drain_started: Option<SystemTime>,
    /// Changes with its resources; goes with each task, so that the agent can tell stale launches.
    pub resource_version: Option<v1::Uuid>,
    /// The tasks on it (each belongs to its framework, which owns it).
    pub tasks: Map<(FrameworkId, TaskId), ()>,
    /// Tasks that a framework asked to be killed, and how it said so last, for when it re-registers with them still
    /// alive.
    pub killed_tasks: Arc<BTreeMap<(FrameworkId, TaskId), Option<v1::KillPolicy>>>,
    /// The frameworks' own executors on it.
    pub executors: Ordered<(FrameworkId, ExecutorId), Arc<Executor>>,
    /// Executors that were given up when its connection broke, until it says that they have ended, or re-registers without
    /// them: they are to end, and nothing is launched under their ids.
    pub given_up: Ordered<(FrameworkId, ExecutorId), ()>,
    /// Executors that were given up, and that its last report lacks. They have ended; or it came late, and was made before
    /// they were launched: the next one tells.
    pub given_up_lacked: Ordered<(FrameworkId, ExecutorId), ()>,
    /// Operations on its resources that are under way, or over and not acknowledged.
    pub operations: Ordered<Uuid, Arc<v1::Operation>>,
    /// Outstanding offers of its resources.
    pub offers: Ordered<OfferId, ()>,
    /// Held by tasks and executors, for each framework. Sums that became empty are not kept.
    pub used: Ordered<FrameworkId, Resources>,
    /// In outstanding offers.
    pub offered: Resources,
    /// Reservations and volumes that it has to remember.
    pub checkpointed: Resources,
    /// Everything it has, revocable resources included.
    pub total: Resources,
}

/// As it is kept.
fn kept(mut info: v1::AgentInfo) -> Arc<v1::AgentInfo> {
    fit(&mut info.resources);
    fit(&mut info.attributes);
    Arc::new(info)
}

/// What an agent says of itself when it (re-)registers.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Its id, given by a master.
    pub id: AgentId,
    /// Its information, id included.
    pub info: v1::AgentInfo,
    /// Where it is.
    pub pid: Pid,
    /// Its version.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<v1::agent_info::Capability>,
    /// See [`Agent::resource_version`].
    pub resource_version: Option<v1::Uuid>,
    /// What it has.
    pub resources: AgentResources,
}

/// What an agent has.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentResources {
    /// Reservations and volumes that it remembers.
    pub checkpointed: Resources,
    /// Its resources, with what is checkpointed in place of what it was made from.
    pub total: Resources,
}

impl Agent {
    /// An agent without tasks or executors, connected and active.
    pub fn new(introduction: Introduction, now: SystemTime) -> Self {
        let Introduction { id, info, pid, version, capabilities, resource_version, .. } = introduction;
        Self {
            id,
            info: kept(info),
            pid,
            version,
            capabilities: AgentCapabilities::from_protos(&capabilities),
            capability_list: Arc::new(capabilities),
            registered: now,
            reregistered: None,
            connected: true,
            active: true,
            drain_started: None,
            resource_version,
            tasks: map(),
            killed_tasks: Arc::default(),
            executors: ordered(),
            given_up: ordered(),
            given_up_lacked: ordered(),
            operations: ordered(),
            offers: ordered(),
            used: ordered(),
            offered: Resources::default(),
            total: introduction.resources.total,
            checkpointed: introduction.resources.checkpointed,
        }
    }

    /// Takes over what a registered agent says when it re-registers. Oversubscribed resources stay
    /// until its next `UpdateSlaveMessage`.
    pub fn update(&mut self, introduction: Introduction, now: SystemTime) {
        let revocable = self.total.revocable();
        self.total = introduction.resources.total + &revocable;
        self.info = kept(introduction.info);
        self.pid = introduction.pid;
        self.version = introduction.version;
        self.capabilities = AgentCapabilities::from_protos(&introduction.capabilities);
        self.capability_list = Arc::new(introduction.capabilities);
        self.resource_version = introduction.resource_version;
        self.checkpointed = introduction.resources.checkpointed;
        self.reregistered = Some(now);
    }

    /// Whether this executor runs on it, as far as the master knows.
    pub fn has_executor(&self, framework: &FrameworkId, executor: &ExecutorId) -> bool {
        self.executors.contains_key(&(framework.clone(), executor.clone()))
    }

    /// Forgets an executor that was given up; whether it was.
    pub(super) fn forget_given_up(&mut self, key: &(FrameworkId, ExecutorId)) -> bool {
        let was_given_up = self.given_up.remove_mut(key);
        self.given_up_lacked.remove_mut(key) || was_given_up
    }

    /// Compares the executors that were given up with a report: what two in a row lack has ended.
    pub(super) fn compare_given_up(&mut self, alive: &[(FrameworkId, ExecutorId)]) {
        let lacked = std::mem::replace(&mut self.given_up_lacked, ordered());
        let over: Vec<_> = self.given_up.keys().filter(|key| !alive.contains(key)).cloned().collect();
        for key in over {
            self.given_up.remove_mut(&key);
            self.given_up_lacked.insert_mut(key, ());
        }
        for key in lacked.keys().filter(|key| alive.contains(key)) {
            self.given_up.insert_mut(key.clone(), ());
        }
    }

    /// The executors that were given up, and have not ended as far as is known for certain.
    pub(super) fn all_given_up(&self) -> impl Iterator<Item = &(FrameworkId, ExecutorId)> {
        self.given_up.keys().chain(self.given_up_lacked.keys())
    }

    /// The executors of one framework on it.
    pub fn executors_of<'a>(
        &'a self,
        framework: &'a FrameworkId,
    ) -> impl Iterator<Item = (&'a ExecutorId, &'a Arc<Executor>)> {
        let first = (framework.clone(), ExecutorId::from(""));
        self.executors
            .range(first..)
            .take_while(move |((owner, _), _)| owner == framework)
            .map(|((_, id), executor)| (id, executor))
    }

    /// The frameworks that have tasks or executors on it.
    pub fn frameworks(&self) -> BTreeSet<FrameworkId> {
        let of_tasks = self.tasks.keys().map(|(framework, _)| framework.clone());
        let of_executors = self.executors.keys().map(|(framework, _)| framework.clone());
        of_tasks.chain(of_executors).collect()
    }

    /// The tasks of one framework on it.
    pub fn tasks_of(&self, framework: &FrameworkId) -> Vec<TaskId> {
        let of_framework = self.tasks.keys().filter(|(owner, _)| owner == framework);
        of_framework.map(|(_, id)| id.clone()).collect()
    }

    /// A framework's task or executor began to use resources.
    pub fn use_resources(&mut self, framework: &FrameworkId, resources: &Resources) {
        match self.used.get_mut(framework) {
            Some(used) => *used += resources,
            None => {
                self.used.insert_mut(framework.clone(), resources.clone());
            }
        }
    }

    /// A framework's task or executor has stopped using resources.
    pub fn free_resources(&mut self, framework: &FrameworkId, resources: &Resources) {
        let Some(used) = self.used.get_mut(framework).filter(|_| !is_on(Bug::KeepsEnded)) else { return };
        *used -= resources;
        if used.is_empty() {
            self.used.remove_mut(framework);
        }
    }

    /// What of these resources is in use only since they are (asked before they are added), or is in use no more (asked
    /// after they are taken away): a volume that several tasks share is in use once, whoever has it.
    pub fn counted<'a>(&self, resources: &'a Resources) -> Cow<'a, Resources> {
        if !resources.iter().any(Resource::is_shared) {
            return Cow::Borrowed(resources);
        }
        let in_use = |resource: &Resource| self.used.values().any(|used| used.count(resource) > 0);
        Cow::Owned(resources.filter(|resource| !(resource.is_shared() && in_use(resource))))
    }

    /// How upstream's texts name it.
    pub fn label(&self) -> String {
        format!("{} at {} ({})", self.id, self.pid, self.info.hostname)
    }

    /// The machine that it is on, as operators name it when they plan maintenance.
    pub fn machine(&self) -> MachineKey {
        machine_of(&self.info, &self.pid)
    }

    /// What is planned for its machine.
    pub fn planned<'a>(&self, maintenance: &'a Maintenance) -> Option<&'a v1::MachineInfo> {
        planned_for(&self.info, &self.pid, maintenance)
    }
}

/// The machine of an agent that describes itself so and is there: by its host name and its address, both.
fn machine_of(info: &v1::AgentInfo, pid: &Pid) -> MachineKey {
    MachineKey::new(&info.hostname, pid.address().ip().to_string())
}

/// What is planned for the machine of an agent that describes itself so and is there. Few machines have any
/// maintenance: their names are not put together for nothing.
pub fn planned_for<'a>(
    info: &v1::AgentInfo,
    pid: &Pid,
    maintenance: &'a Maintenance,
) -> Option<&'a v1::MachineInfo> {
    if maintenance.machines.is_empty() {
        return None;
    }
    maintenance.machines.get(&machine_of(info, pid))
}
