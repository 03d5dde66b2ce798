//! A framework as the master knows it (upstream: `struct Framework` in `master/master.hpp`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, SystemTime};

use libprocess::Pid;
use mesos::capabilities::FrameworkCapabilities;
use mesos::tasks::framework_roles;
use mesos::{AgentId, ExecutorId, FrameworkId, OfferId, Resource, Resources, TaskId, v1};

use super::Limits;
use super::kinds::Kinds;
use super::persistent::{History, Map, Ordered, map, ordered};
use super::task::Task;

/// How a framework's scheduler is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Known only from agents that run its tasks: it has not subscribed with this master yet.
    Recovered,
    /// Subscribed, but its connection broke; it has its failover timeout to come back.
    Disconnected,
    /// Subscribed. Inactive frameworks get no offers.
    Connected {
        /// Whether it is offered resources.
        active: bool,
    },
}

/// An executor that its framework named (the executor of a command task is the agent's own affair).
#[derive(Debug, Clone, PartialEq)]
pub struct Executor {
    /// As the framework described it, its framework id included.
    pub info: v1::ExecutorInfo,
    /// `info.resources`, ready for arithmetic.
    pub resources: Resources,
}

/// A framework.
#[derive(Debug, Clone)]
pub struct Framework {
    /// Its id.
    pub id: FrameworkId,
    /// What its scheduler said last.
    pub info: Arc<v1::FrameworkInfo>,
    /// The roles of `info`.
    pub roles: Arc<BTreeSet<String>>,
    /// The capabilities of `info`.
    pub capabilities: FrameworkCapabilities,
    /// Roles that want no offers at present.
    pub suppressed_roles: Arc<BTreeSet<String>>,
    /// Which agents it wants to be offered, as it said it.
    pub offer_constraints: Arc<v1::scheduler::OfferConstraints>,
    /// Whether its scheduler is there.
    pub connection: Connection,
    /// Where its scheduler is, if that is a driver (`driver`). It is kept while the driver is away, since that one may
    /// come back without taking over. A scheduler of the HTTP API has none.
    pub pid: Option<Pid>,
    /// When it first subscribed with this master; the epoch while it is recovered.
    pub registered: SystemTime,
    /// When it subscribed last.
    pub reregistered: SystemTime,
    /// When it was removed.
    pub unregistered: Option<SystemTime>,
    /// What its latest kinds of tasks use.
    pub(super) kinds: Kinds,
    /// Its live tasks, and those whose end it has not acknowledged.
    pub tasks: Map<TaskId, Arc<Task>>,
    /// Tasks on agents that became unreachable.
    pub unreachable_tasks: History<Task>,
    /// How many of these are TASK_UNREACHABLE, for a gauge. All copies share it.
    pub unreachable: Arc<AtomicI64>,
    /// Tasks that are over.
    pub completed_tasks: History<Task>,
    /// Its own executors, by agent.
    pub executors: Ordered<(AgentId, ExecutorId), Arc<Executor>>,
    /// Its outstanding offers.
    pub offers: Ordered<OfferId, ()>,
    /// Agents that it was asked to leave, and has not answered for.
    pub inverse_offers: Ordered<OfferId, Arc<v1::InverseOffer>>,
    /// Held by its tasks and executors, on all agents.
    pub used: Resources,
    /// In its outstanding offers.
    pub offered: Resources,
}

/// The framework's failover timeout: 0 when unset. One that is no duration was refused before.
pub fn failover_timeout_of(info: &v1::FrameworkInfo) -> Duration {
    Duration::try_from_secs_f64(info.failover_timeout()).unwrap_or_default()
}

impl Framework {
    /// A framework without tasks, executors or offers.
    pub fn new(id: FrameworkId, info: v1::FrameworkInfo, connection: Connection, now: SystemTime) -> Self {
        Self {
            id,
            roles: Arc::new(framework_roles(&info)),
            capabilities: FrameworkCapabilities::from_protos(&info.capabilities),
            info: Arc::new(info),
            suppressed_roles: Arc::default(),
            offer_constraints: Arc::default(),
            connection,
            pid: None,
            registered: now,
            reregistered: now,
            unregistered: None,
            kinds: Kinds::default(),
            tasks: map(),
            unreachable_tasks: History::new(Limits::default().unreachable_tasks),
            unreachable: Arc::default(),
            completed_tasks: History::new(Limits::default().completed_tasks),
            executors: ordered(),
            offers: ordered(),
            inverse_offers: ordered(),
            used: Resources::default(),
            offered: Resources::default(),
        }
    }

    /// Takes over what the scheduler says of itself now.
    pub fn update(
        &mut self,
        info: v1::FrameworkInfo,
        suppressed: BTreeSet<String>,
        constraints: v1::scheduler::OfferConstraints,
    ) {
        self.roles = Arc::new(framework_roles(&info));
        self.capabilities = FrameworkCapabilities::from_protos(&info.capabilities);
        self.info = Arc::new(info);
        self.suppressed_roles = Arc::new(suppressed);
        self.offer_constraints = Arc::new(constraints);
    }

    /// Whether events reach its scheduler.
    pub fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Connected { .. })
    }

    /// Whether it is offered resources.
    pub fn is_active(&self) -> bool {
        self.connection == Connection::Connected { active: true }
    }

    /// Whether it is known only from agents.
    pub fn is_recovered(&self) -> bool {
        self.connection == Connection::Recovered
    }

    /// Where agents find its scheduler: the pid of its driver, or nobody's.
    pub fn pid_text(&self) -> String {
        self.pid.as_ref().map_or_else(|| Pid::nobody().to_string(), ToString::to_string)
    }

    /// Whether its tasks outlive a restart of their agent.
    pub fn is_checkpointing(&self) -> bool {
        self.info.checkpoint()
    }

    /// The roles that it shares in, some of them several times: it subscribes in them, or its tasks and executors still
    /// hold what was allocated to them (upstream: `Framework::isTrackedUnderRole`).
    pub fn shared_roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(String::as_str).chain(self.held_roles())
    }

    /// The roles that its tasks and executors hold something of. It may have given one up since.
    pub fn held_roles(&self) -> impl Iterator<Item = &str> {
        self.used.iter().filter_map(Resource::allocation_role)
    }

    /// How long its scheduler may be away before it is removed.
    pub fn failover_timeout(&self) -> Duration {
        failover_timeout_of(&self.info)
    }

    /// Whether an unreachable task has this id.
    pub fn has_unreachable_task(&self, id: &str) -> bool {
        self.unreachable_tasks.iter().any(|task| task.id.as_str() == id)
    }

    /// Its executor of this id on this agent.
    pub fn executor(&self, agent: &AgentId, executor: &ExecutorId) -> Option<&Arc<Executor>> {
        self.executors.get(&(agent.clone(), executor.clone()))
    }
}
