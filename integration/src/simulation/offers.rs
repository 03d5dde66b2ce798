//! What must hold of every offer when it is new in a master's books: its framework has the role and has not suppressed it,
//! the role is within its limits, what is left covers what others lack to their guarantees, its agent may have another
//! executor, and a leader that knows of quotas has waited for its agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use master::cluster::{Offer, Snapshot};
use mesos::roles::is_strict_subrole_of;
use mesos::v1::scheduler::OfferConstraints;
use mesos::{AgentId, FrameworkId, OfferId, ResourceQuantities, Resources};

use super::checks::UNSEEN;
use super::cluster::Cluster;
use super::configuration::HOME;
use super::invariant::Invariant;

/// What the allocator has decided before it heard of a change may arrive so long after it.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

type Quotas = BTreeMap<String, allocator::Quota>;

/// What one master's books held when they were looked at last.
#[derive(Default)]
pub struct OfferChecks {
    offers: BTreeSet<OfferId>,
    /// The agents, and what each has.
    agents: BTreeMap<AgentId, Resources>,
    /// Since when they are the same.
    same_since: Duration,
    /// The constraints of a framework, and since when they hold.
    constraints: BTreeMap<FrameworkId, (Arc<OfferConstraints>, Duration)>,
    /// What a framework has suppressed, and since when that is all that it has said of it.
    suppressed: BTreeMap<FrameworkId, (Arc<BTreeSet<String>>, Duration)>,
    /// The quotas, and since when they hold.
    quotas: (Arc<Quotas>, Duration),
    /// The agents that have as many executors as they may, and since when.
    full: BTreeMap<AgentId, Duration>,
    /// Which life of the master it is, from when it leads.
    leader: String,
    /// So many agents it must wait for, and until when.
    hold: Option<(usize, Duration)>,
}

impl OfferChecks {
    /// Looks at the offers that are new with a master that has not stood still since `steadily`.
    pub fn look(&mut self, cluster: &Cluster, snapshot: &Snapshot, steadily: Duration, now: Duration) {
        self.note_suppressed(snapshot, now);
        self.note_constraints(snapshot, now);
        if self.quotas.0 != snapshot.quotas {
            self.quotas = (snapshot.quotas.clone(), now);
        }
        self.offers.retain(|id| snapshot.offers.contains_key(id));
        let unknown = snapshot.offers.values().filter(|offer| !self.offers.contains(&offer.id));
        let mut new: Vec<&Offer> = unknown.map(|offer| &**offer).collect();
        // The book is hashed.
        new.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.offers.extend(new.iter().map(|offer| offer.id.clone()));
        for offer in &new {
            let suppressed = self.suppressed.get(&offer.framework);
            let suppressed = suppressed.filter(|(roles, _)| roles.contains(&offer.role));
            if suppressed.is_some_and(|(_, since)| now - *since > ON_ITS_WAY) {
                cluster.truth.violation(
                    Invariant::SuppressedIsQuiet,
                    format!(
                        "framework {} was offered something for role {}, which it has suppressed",
                        offer.framework, offer.role
                    ),
                );
            }
        }
        self.excluded(cluster, snapshot, &new, now);
        cluster.whitelist.look(cluster, snapshot, &new, steadily, now);
        self.full(cluster, snapshot, &new, steadily, now);
        self.waits(cluster, snapshot, &new, steadily, now);
        for_others(cluster, snapshot);
        too_small(cluster, snapshot, &new);
        not_for_everybody(cluster, snapshot, &new);
        // An agent that came back brought what tasks of the role use on it.
        let agents = || snapshot.agents.iter().map(|(id, agent)| (id, &agent.total));
        let same_agents = agents().eq(&self.agents);
        if !same_agents {
            self.agents = agents().map(|(id, total)| (id.clone(), total.clone())).collect();
            self.same_since = now;
        }
        if same_agents && now - self.quotas.1 > ON_ITS_WAY {
            self.limits(cluster, snapshot, &new);
            if now - self.same_since > ON_ITS_WAY {
                self.guarantees(cluster, snapshot, &new);
            }
        }
    }

    fn note_suppressed(&mut self, snapshot: &Snapshot, now: Duration) {
        let mut suppressed = BTreeMap::new();
        for framework in snapshot.frameworks.values() {
            let roles = &framework.suppressed_roles;
            // Another set with the same roles: it has revived and suppressed since the last look.
            let known = self.suppressed.get(&framework.id).filter(|(known, _)| Arc::ptr_eq(known, roles));
            let since = known.map_or(now, |(_, since)| *since);
            suppressed.insert(framework.id.clone(), (roles.clone(), since));
        }
        self.suppressed = suppressed;
    }

    fn note_constraints(&mut self, snapshot: &Snapshot, now: Duration) {
        let mut constraints = BTreeMap::new();
        for framework in snapshot.frameworks.values() {
            let said = &framework.offer_constraints;
            let known = self.constraints.get(&framework.id).filter(|(known, _)| Arc::ptr_eq(known, said));
            let since = known.map_or(now, |(_, since)| *since);
            constraints.insert(framework.id.clone(), (said.clone(), since));
        }
        self.constraints = constraints;
    }

    /// No agent is offered that has as many executors as it may.
    fn full(
        &mut self,
        cluster: &Cluster,
        snapshot: &Snapshot,
        new: &[&Offer],
        steadily: Duration,
        now: Duration,
    ) {
        let Some(most) = cluster.settings.max_executors_per_agent else { return };
        let full = snapshot.agents.values().filter(|agent| agent.executors.size() >= most);
        let since = |id: &AgentId| self.full.get(id).copied().unwrap_or(now);
        let full: BTreeMap<AgentId, Duration> =
            full.map(|agent| (agent.id.clone(), since(&agent.id))).collect();
        self.full = full;
        if self.full.is_empty() {
            return;
        }
        for offer in new {
            cluster.truth.count("offers while agents are full");
            let since = self.full.get(&offer.agent).map(|since| *since.max(&steadily));
            if since.is_some_and(|since| now - since > ON_ITS_WAY) {
                let (agent, framework) = (&offer.agent, &offer.framework);
                let text = format!("agent {agent} has {most} executors, and is offered to {framework}");
                cluster.truth.violation(Invariant::OutOfServiceIsQuiet, text);
            }
        }
    }

    /// A master that has just been elected, and knows of quotas, offers nothing until most of the agents that it knows of
    /// are back, or have had the time.
    fn waits(
        &mut self,
        cluster: &Cluster,
        snapshot: &Snapshot,
        new: &[&Offer],
        steadily: Duration,
        now: Duration,
    ) {
        let life = &snapshot.master.info.id;
        if self.leader != *life && !snapshot.recovered_agents.is_empty() {
            self.leader.clone_from(life);
            let has_quotas = snapshot.quotas.values().any(|quota| *quota != allocator::Quota::default());
            // If it was not looked at when it began to lead, it is not known what it had then.
            let is_seen = snapshot.agents.is_empty() && now > steadily;
            // As `--allocator_agent_recovery_factor` has it.
            let awaited = snapshot.recovered_agents.size() * 4 / 5;
            // It may have begun to wait that long ago (seed 2000588).
            let until = now + cluster.settings.allocator_recovery_timeout - UNSEEN;
            self.hold = (has_quotas && is_seen).then_some((awaited, until));
        }
        // One may have come and gone since the last look: its machine is down.
        let back = snapshot.agents.size() + 1;
        self.hold = self.hold.filter(|(awaited, until)| back < *awaited && now + ON_ITS_WAY < *until);
        let Some((awaited, _)) = self.hold else { return };
        cluster.truth.count("looks while a leader waits for agents");
        if let Some(offer) = new.first() {
            let text = format!("{} is offered something before {awaited} agents are back", offer.framework);
            cluster.truth.violation(Invariant::GuaranteesHold, text);
        }
    }

    /// No framework is offered what is on a host that it does not want.
    fn excluded(&self, cluster: &Cluster, snapshot: &Snapshot, new: &[&Offer], now: Duration) {
        for offer in new {
            let Some((constraints, since)) = self.constraints.get(&offer.framework) else { continue };
            let (Some(of_role), Some(agent)) =
                (constraints.role_constraints.get(&offer.role), snapshot.agents.get(&offer.agent))
            else {
                continue;
            };
            let mut all = of_role.groups.iter().flat_map(|group| &group.attribute_constraints);
            let host = &agent.info.hostname;
            let excludes = all.any(|one| {
                let is = one.predicate.text_not_equals.as_ref().map(|not| &not.value);
                is.or(one.predicate.text_not_matches.as_ref().map(|not| &not.regex)) == Some(host)
            });
            if excludes && now - *since > ON_ITS_WAY {
                let (framework, role) = (&offer.framework, &offer.role);
                let text = format!(
                    "framework {framework} was offered something of {host}, which its constraints for {role} exclude"
                );
                cluster.truth.violation(Invariant::SuppressedIsQuiet, text);
            }
            cluster.truth.count("offers within constraints");
        }
    }

    /// No role is offered unreserved scalars beyond its limits. Limits bind those who subscribe to the role itself;
    /// what roles below it have counts, and what they are offered at the same time may go beyond.
    fn limits(&self, cluster: &Cluster, snapshot: &Snapshot, new: &[&Offer]) {
        let mut roles: BTreeSet<&String> = new.iter().map(|offer| &offer.role).collect();
        roles.retain(|role| self.quotas.0.get(*role).is_some_and(|quota| !quota.limits.is_empty()));
        for role in roles {
            let limits = &self.quotas.0[role].limits;
            let mut offered = ResourceQuantities::default();
            let mut below = ResourceQuantities::default();
            for offer in new {
                if offer.role == *role {
                    offered += loose(&offer.resources);
                } else if is_strict_subrole_of(&offer.role, role) {
                    below += loose(&offer.resources);
                }
            }
            let has = held(snapshot, role) - below;
            cluster.truth.count("offers within a limit");
            for (name, limit) in limits.iter() {
                if offered.get(name) > mesos::Scalar::ZERO && has.get(name) > limit {
                    cluster.truth.violation(
                        Invariant::LimitsHold,
                        format!("role {role} was offered {offered} and has {has}, more than its limit of {limit} {name}"),
                    );
                }
            }
        }
    }
}

impl OfferChecks {
    /// Who is in a role without a guarantee is offered nothing of what is needed for the guarantees of others. (Who has
    /// one fills it with what is offered, and so needs less.)
    fn guarantees(&self, cluster: &Cluster, snapshot: &Snapshot, new: &[&Offer]) {
        let mut required = ResourceQuantities::default();
        for (role, quota) in self.quotas.0.iter().filter(|(_, quota)| !quota.guarantees.is_empty()) {
            let has = held(snapshot, role);
            required += quota.guarantees.clone() - has;
        }
        if required.is_empty() || new.is_empty() {
            return;
        }
        let mut left = ResourceQuantities::default();
        for agent in snapshot.agents.values() {
            let taken = agent.used.values().fold(agent.offered.clone(), |sum, used| sum + used);
            left += loose(&agent.total) - loose(&taken);
        }
        let guaranteed = |offer: &Offer| {
            let top = offer.role.split('/').next().unwrap_or_default();
            self.quotas.0.get(top).is_some_and(|quota| !quota.guarantees.is_empty())
        };
        for offer in new.iter().filter(|offer| !guaranteed(offer)) {
            cluster.truth.count("offers beside guarantees");
            let offered = loose(&offer.resources);
            for (name, lacking) in required.iter() {
                if offered.get(name) > mesos::Scalar::ZERO && left.get(name) < lacking {
                    let (role, left) = (&offer.role, &left);
                    let text = format!(
                        "role {role} was offered {offered}, {left} is left, but {required} is lacking to guarantees"
                    );
                    cluster.truth.violation(Invariant::GuaranteesHold, text);
                }
            }
        }
    }
}

/// No framework is offered anything for a role that it does not have, or without a scheduler, nor keeps what it was offered
/// when it had the one and the other.
fn for_others(cluster: &Cluster, snapshot: &Snapshot) {
    let is_wrong = |offer: &&Arc<Offer>| {
        let framework = snapshot.frameworks.get(&offer.framework);
        framework.is_none_or(|framework| !framework.is_active() || !framework.roles.contains(&offer.role))
    };
    // The book is hashed.
    if let Some(offer) = snapshot.offers.values().filter(is_wrong).min_by(|a, b| a.id.cmp(&b.id)) {
        let Offer { framework, role, .. } = &**offer;
        let text =
            format!("framework {framework} is offered something for role {role}, but is away, or not in it");
        cluster.truth.violation(Invariant::SuppressedIsQuiet, text);
    }
}

/// No framework is offered less than the least that it has asked for.
fn too_small(cluster: &Cluster, snapshot: &Snapshot, new: &[&Offer]) {
    for offer in new {
        let Some(framework) = snapshot.frameworks.get(&offer.framework) else { continue };
        let filters = framework.info.offer_filters.get(&offer.role);
        let Some(least) = filters.and_then(|filters| filters.min_allocatable_resources.as_ref()) else {
            continue;
        };
        let offered = ResourceQuantities::from_scalar_resources(&offer.resources);
        let is_enough = least.quantities.iter().any(|least| {
            least
                .quantities
                .iter()
                .all(|(name, least)| offered.get(name) >= mesos::Scalar::from_f64(least.value))
        });
        if !is_enough {
            let text = format!("framework {} was offered no more than {offered}", offer.framework);
            cluster.truth.violation(Invariant::SuppressedIsQuiet, text);
        }
        cluster.truth.count("offers above a minimum");
    }
}

/// No framework is offered an agent with GPUs, or one in another region, that has not said that it knows of such.
fn not_for_everybody(cluster: &Cluster, snapshot: &Snapshot, new: &[&Offer]) {
    use mesos::v1::framework_info::capability::Type;
    for offer in new {
        let (Some(framework), Some(agent)) =
            (snapshot.frameworks.get(&offer.framework), snapshot.agents.get(&offer.agent))
        else {
            continue;
        };
        let knows =
            |what: Type| framework.info.capabilities.iter().any(|capability| capability.r#type() == what);
        let domain = agent.info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        let has_gpus =
            ResourceQuantities::from_scalar_resources(&agent.total).get("gpus") > mesos::Scalar::ZERO;
        for (is_special, what, count) in [
            (has_gpus, Type::GpuResources, "offers with GPUs"),
            (
                domain.is_some_and(|domain| domain.region.name != HOME),
                Type::RegionAware,
                "offers from abroad",
            ),
        ] {
            if is_special {
                cluster.truth.count(count);
            }
            if is_special && !knows(what) {
                let text = format!(
                    "framework {} without {what:?} was offered {}",
                    framework.id, agent.info.hostname
                );
                cluster.truth.violation(Invariant::SuppressedIsQuiet, text);
            }
        }
    }
}

/// What a role and those below it have: all that is reserved for them, and unreserved scalars that they were offered or
/// use.
fn held(snapshot: &Snapshot, role: &str) -> ResourceQuantities {
    let mut held = ResourceQuantities::default();
    for agent in snapshot.agents.values() {
        held += ResourceQuantities::from_scalar_resources(&agent.total.reserved_to_role_subtree(role));
        for taken in agent.used.values().chain([&agent.offered]) {
            held += loose(&taken.allocated_to_role_subtree(role));
        }
    }
    held
}

fn loose(resources: &Resources) -> ResourceQuantities {
    ResourceQuantities::from_scalar_resources(&resources.unreserved().non_revocable())
}
