//! What a reader sees: the cluster as it was at one version, never changing.
//!
//! Everything that `/state`, `/slaves`, `/frameworks`, `/tasks`, `/roles` and the operator API show
//! is a function of a [`Snapshot`]. It is taken in the master and rendered elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use allocator::Quota;
use mesos::{AgentId, FrameworkId, OfferId, v1};

use super::agent::Agent;
use super::framework::Framework;
use super::offer::Offer;
use super::persistent::{History, Map, Ordered};
use crate::registrar::Activation;

/// The master itself, as its readers see it.
#[derive(Debug, Clone)]
pub struct MasterView {
    /// Who this master is.
    pub info: v1::MasterInfo,
    /// Who leads: this master or another one.
    pub leader: Option<v1::MasterInfo>,
    /// When the process started.
    pub started: SystemTime,
    /// When it was elected, if it was.
    pub elected: Option<SystemTime>,
    /// The name of the cluster (`--cluster`).
    pub cluster: Option<String>,
    /// Roles that frameworks may use (`--roles`); all if unset.
    pub role_whitelist: Option<Arc<std::collections::BTreeSet<String>>>,
    /// All settings as text, for `/flags` and `/state`.
    pub flags: Arc<BTreeMap<String, String>>,
    /// The part of the version that upstream calls build information is `mesos`'s.
    pub log_dir: Option<String>,
}

/// The cluster at one version.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Two snapshots with the same version show the same cluster.
    pub version: u64,
    /// When it was taken.
    pub taken: SystemTime,
    /// The master.
    pub master: Arc<MasterView>,
    /// Registered frameworks (recovered ones included), with their tasks and executors.
    pub frameworks: Ordered<FrameworkId, Arc<Framework>>,
    /// Removed frameworks, oldest first.
    pub completed_frameworks: History<Framework>,
    /// Registered agents.
    pub agents: Ordered<AgentId, Arc<Agent>>,
    /// Outstanding offers.
    pub offers: Map<OfferId, Arc<Offer>>,
    /// Agents that have not come back yet since this master leads.
    pub recovered_agents: Ordered<AgentId, Arc<v1::AgentInfo>>,
    /// Unreachable agents, and since when.
    pub unreachable_agents: Ordered<AgentId, v1::TimeInfo>,
    /// Gone agents, and since when.
    pub gone_agents: Ordered<AgentId, v1::TimeInfo>,
    /// Which agents are drained or deactivated, whether they are registered or not.
    pub activations: Ordered<AgentId, Activation>,
    /// Weights of roles that have one; the others weigh 1.
    pub weights: Arc<BTreeMap<String, f64>>,
    /// Quotas of roles that were given one. A quota may be empty: it was reset.
    pub quotas: Arc<BTreeMap<String, Quota>>,
}

impl Snapshot {
    /// What operators decided of an agent.
    pub fn activation(&self, id: &AgentId) -> Activation {
        self.activations.get(id).copied().unwrap_or_default()
    }

    /// How many agents, frameworks, roles and tasks there are, remembered ones included: what a rendering of all costs. A
    /// role counts for each framework that subscribes in it, and for its weight and its quota.
    pub fn size(&self) -> usize {
        let frameworks = self.frameworks.values().chain(self.completed_frameworks.iter());
        let with_tasks = frameworks.map(|framework| {
            let past = framework.unreachable_tasks.len() + framework.completed_tasks.len();
            1 + framework.roles.len() + framework.tasks.size() + past
        });
        let of_operators = self.weights.len() + self.quotas.len();
        of_operators + self.agents.size() + self.recovered_agents.size() + with_tasks.sum::<usize>()
    }
}
