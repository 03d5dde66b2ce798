//! What holds whatever happens: books balance, nobody gets what is not his, and a seed repeats itself.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use allocator::core::Scope;
use allocator::core::constraints::{OfferConstraintsFilter, RegexLimits};
use allocator::core::explain::{Question, Reason};
use allocator::{Options, Quota, SorterKind};
use mesos::{ResourceLimits, ResourceQuantities};
use proptest::prelude::*;

const FRAMEWORKS: [&str; 4] = ["F0", "F1", "F2", "F3"];
const AGENTS: [&str; 5] = ["S0", "S1", "S2", "S3", "S4"];
const ROLES: [&[&str]; 4] = [&["a"], &["a", "b"], &["a/x", "b"], &["c"]];
const TOTALS: [&str; 4] = [
    "cpus:4;mem:1024;ports:[31000-31009]",
    "cpus:2;mem:512;cpus(a):1;mem(a):64",
    "cpus:8;mem:4096;disk:1000;cpus(a/x):2;mem(b):128",
    "cpus:1;mem:2048;tokens:5",
];
const TASK: &str = "cpus:0.5;mem:32";

/// What a framework says with some roles: each agent will do but the one with the framework's number.
fn without_its_agent(at: usize, roles: &[&str]) -> FrameworkOptions {
    let selector = serde_json::json!({ "pseudoattribute_type": "HOSTNAME" });
    let predicate = serde_json::json!({ "text_not_equals": { "value": agent_info(AGENTS[at]).hostname } });
    let group = serde_json::json!([{ "selector": selector, "predicate": predicate }]);
    let of_role = serde_json::json!({ "groups": [{ "attribute_constraints": group }] });
    let by_role: BTreeMap<&str, _> = roles.iter().map(|role| (*role, of_role.clone())).collect();
    let constraints = serde_json::json!({ "role_constraints": by_role }).to_string();
    let constraints = mesos::json::from_slice(constraints.as_bytes()).unwrap();
    let constraints = OfferConstraintsFilter::new(&constraints, RegexLimits::default()).unwrap();
    FrameworkOptions { constraints, ..FrameworkOptions::default() }
}

#[derive(Clone, Debug)]
enum Event {
    AddFramework(usize),
    RemoveFramework(usize),
    Activate(usize),
    Deactivate(usize),
    Suppress(usize),
    Revive(usize),
    UpdateRoles(usize, usize),
    AddAgent(usize, usize),
    RemoveAgent(usize),
    Retotal(usize, usize),
    AgentActive(usize, bool),
    Weight(usize, u8),
    Quota(usize, u8, u8),
    Decline(usize, u8),
    Launch(usize),
    EndTask(usize),
    Run,
    Tick,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let framework = 0..FRAMEWORKS.len();
    let agent = 0..AGENTS.len();
    let event = prop_oneof![
        4 => framework.clone().prop_map(Event::AddFramework),
        1 => framework.clone().prop_map(Event::RemoveFramework),
        1 => framework.clone().prop_map(Event::Activate),
        1 => framework.clone().prop_map(Event::Deactivate),
        1 => framework.clone().prop_map(Event::Suppress),
        2 => framework.clone().prop_map(Event::Revive),
        1 => (framework, 0..ROLES.len()).prop_map(|(of, roles)| Event::UpdateRoles(of, roles)),
        4 => (agent.clone(), 0..TOTALS.len()).prop_map(|(agent, total)| Event::AddAgent(agent, total)),
        1 => agent.clone().prop_map(Event::RemoveAgent),
        1 => (agent.clone(), 0..TOTALS.len()).prop_map(|(agent, total)| Event::Retotal(agent, total)),
        1 => (agent, any::<bool>()).prop_map(|(agent, active)| Event::AgentActive(agent, active)),
        1 => (0..4_usize, 1..4_u8).prop_map(|(role, weight)| Event::Weight(role, weight)),
        1 => (0..3_usize, 0..6_u8, 0..9_u8).prop_map(|(role, least, most)| Event::Quota(role, least, most)),
        6 => (any::<usize>(), 0..4_u8).prop_map(|(offer, seconds)| Event::Decline(offer, seconds)),
        6 => any::<usize>().prop_map(Event::Launch),
        6 => any::<usize>().prop_map(Event::EndTask),
        4 => Just(Event::Run),
        4 => Just(Event::Tick),
    ];
    proptest::collection::vec(event, 1..80)
}

/// What an explanation says of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It would be offered.
    Certain,
    /// It may be offered.
    Possible,
    /// Something stands in the way.
    No,
}

/// What the master would know.
struct World {
    cluster: Cluster,
    offers: Vec<Offer>,
    tasks: Vec<Offer>,
    suppressed: BTreeSet<String>,
    inactive: BTreeSet<String>,
    /// Frameworks and the agents that their constraints exclude.
    excluded: BTreeSet<(String, String)>,
    out_of_service: BTreeSet<String>,
    refused: Vec<(Offer, std::time::Duration)>,
    limits: BTreeMap<String, f64>,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> World {
        // Of four seeds one has both sorters by share, and one both by lot.
        let by_lot = |bit: u64| if seed & bit == 0 { SorterKind::Drf } else { SorterKind::Random };
        let options = Options { role_sorter: by_lot(1), framework_sorter: by_lot(2), ..Options::default() };
        let core = allocator::Core::new(options, seed);
        World {
            cluster: Cluster { core, now: SECOND },
            offers: Vec::new(),
            tasks: Vec::new(),
            suppressed: BTreeSet::new(),
            inactive: BTreeSet::new(),
            excluded: BTreeSet::new(),
            out_of_service: BTreeSet::new(),
            refused: Vec::new(),
            limits: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    fn forget(&mut self, gone: impl Fn(&Offer) -> bool) {
        self.offers.retain(|offer| !gone(offer));
        self.tasks.retain(|task| !gone(task));
        self.refused.retain(|(offer, _)| !gone(offer));
    }

    fn apply(&mut self, event: Event) {
        // Mistaken events (of frameworks or agents that are not there) are refused, and change nothing.
        let core = &mut self.cluster.core;
        match event {
            Event::AddFramework(at) => {
                let (info, options) = (framework_info(ROLES[at]), without_its_agent(at, ROLES[at]));
                let id = framework_id(FRAMEWORKS[at]);
                if core.add_framework(&id, &info, &BTreeMap::new(), true, &options).is_ok() {
                    self.excluded.insert((FRAMEWORKS[at].to_owned(), AGENTS[at].to_owned()));
                    self.suppressed.remove(FRAMEWORKS[at]);
                    self.inactive.remove(FRAMEWORKS[at]);
                }
            }
            Event::RemoveFramework(at) => {
                if core.remove_framework(&framework_id(FRAMEWORKS[at])).is_ok() {
                    self.forget(|offer| offer.framework == FRAMEWORKS[at]);
                }
            }
            Event::Activate(at) => {
                if core.activate_framework(&framework_id(FRAMEWORKS[at])).is_ok() {
                    self.inactive.remove(FRAMEWORKS[at]);
                }
            }
            Event::Deactivate(at) => {
                if core.deactivate_framework(&framework_id(FRAMEWORKS[at])).is_ok() {
                    self.inactive.insert(FRAMEWORKS[at].into());
                    self.refused.retain(|(offer, _)| offer.framework != FRAMEWORKS[at]);
                }
            }
            Event::Suppress(at) => {
                if core.suppress_offers(&framework_id(FRAMEWORKS[at]), &BTreeSet::new()).is_ok() {
                    self.suppressed.insert(FRAMEWORKS[at].into());
                }
            }
            Event::Revive(at) => {
                if core.revive_offers(&framework_id(FRAMEWORKS[at]), &BTreeSet::new()).is_ok() {
                    self.suppressed.remove(FRAMEWORKS[at]);
                    self.refused.retain(|(offer, _)| offer.framework != FRAMEWORKS[at]);
                }
            }
            Event::UpdateRoles(at, roles) => {
                let (id, info) = (framework_id(FRAMEWORKS[at]), framework_info(ROLES[roles]));
                let constrained = roles % 2 == 0;
                let options = if constrained {
                    without_its_agent(at, ROLES[roles])
                } else {
                    FrameworkOptions::default()
                };
                if core.update_framework(&id, &info, &options).is_ok() {
                    let excluded = (FRAMEWORKS[at].to_owned(), AGENTS[at].to_owned());
                    if constrained {
                        self.excluded.insert(excluded);
                    } else {
                        self.excluded.remove(&excluded);
                    }
                    self.suppressed.remove(FRAMEWORKS[at]);
                    self.refused.retain(|(offer, _)| offer.framework != FRAMEWORKS[at]);
                }
            }
            Event::AddAgent(at, total) => {
                let (id, total) = (agent_id(AGENTS[at]), resources(TOTALS[total]));
                let info = agent_info(AGENTS[at]);
                if core.add_agent(&id, info, &agent_capabilities(), None, &total, &BTreeMap::new()).is_ok() {
                    self.out_of_service.remove(AGENTS[at]);
                }
            }
            Event::RemoveAgent(at) => {
                if core.remove_agent(&agent_id(AGENTS[at])).is_ok() {
                    self.forget(|offer| offer.agent == AGENTS[at]);
                }
            }
            Event::Retotal(at, total) => {
                let total = resources(TOTALS[total]);
                let _unknown =
                    core.update_agent(&agent_id(AGENTS[at]), agent_info(AGENTS[at]), Some(&total), None);
            }
            Event::AgentActive(at, active) => {
                let id = agent_id(AGENTS[at]);
                let known = if active { core.activate_agent(&id) } else { core.deactivate_agent(&id) };
                if known.is_ok() {
                    self.out_of_service.remove(AGENTS[at]);
                    if !active {
                        self.out_of_service.insert(AGENTS[at].into());
                    }
                }
            }
            Event::Weight(role, weight) => {
                let role = ["a", "b", "c", "a/x"][role].to_owned();
                core.update_weights(&BTreeMap::from([(role, f64::from(weight))]));
            }
            Event::Quota(role, least, most) => self.set_quota(["a", "b", "c"][role], least, most),
            Event::Decline(at, seconds) => self.decline(at, seconds),
            Event::Launch(at) => self.launch(at),
            Event::EndTask(at) => self.end_task(at),
            Event::Run => self.run(Scope::Marked),
            Event::Tick => {
                self.cluster.now += SECOND;
                self.run(Scope::All);
            }
        }
        assert!(self.cluster.core.balances(), "the books do not balance");
    }

    fn set_quota(&mut self, role: &str, least: u8, most: u8) {
        let most = most.max(least);
        let guarantees = ResourceQuantities::parse(&format!("cpus:{least}")).unwrap();
        let limits = ResourceLimits::parse(&format!("cpus:{most}")).unwrap();
        self.cluster.core.update_quota(role, &Quota { guarantees, limits });
        self.limits.insert(role.to_owned(), f64::from(most));
    }

    fn decline(&mut self, at: usize, seconds: u8) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers.swap_remove(at % self.offers.len());
        self.cluster.decline(&offer, f64::from(seconds));
        if seconds > 0 {
            let until = self.cluster.now + SECOND * u32::from(seconds);
            self.refused.push((offer, until));
        }
    }

    fn launch(&mut self, at: usize) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers.swap_remove(at % self.offers.len());
        if offer.resources.contains(&resources(TASK)) {
            self.cluster.launch(&offer, TASK, 0.0);
            self.tasks.push(offer);
        } else {
            self.cluster.decline(&offer, 0.0);
        }
    }

    fn end_task(&mut self, at: usize) {
        if !self.tasks.is_empty() {
            let task = self.tasks.swap_remove(at % self.tasks.len());
            self.cluster.task_ends(&task, TASK);
        }
    }

    fn run(&mut self, scope: Scope) {
        let consumed_before = self.cpus_of_roles();
        let verdicts = self.verdicts();
        let new = self.cluster.run_over(scope);
        self.check_verdicts(&verdicts, &new, scope);
        self.log.extend(told(&new));
        for offer in &new {
            assert!(!self.suppressed.contains(&offer.framework), "{offer:?} to a suppressed framework");
            assert!(!self.inactive.contains(&offer.framework), "{offer:?} to a framework that is away");
            assert!(!self.out_of_service.contains(&offer.agent), "{offer:?} of an agent out of service");
            let pair = (offer.framework.clone(), offer.agent.clone());
            assert!(!self.excluded.contains(&pair), "{offer:?} of an agent that constraints exclude");
            let allowed = offer.resources.iter().all(|resource| resource.is_allocatable_to(&offer.role));
            assert!(allowed, "{offer:?} has others' reservations");
            let refused = self.refused.iter().any(|(refused, until)| {
                *until >= self.cluster.now
                    && (&refused.framework, &refused.role, &refused.agent)
                        == (&offer.framework, &offer.role, &offer.agent)
                    && refused.resources.contains(&offer.resources)
            });
            assert!(!refused, "{offer:?} was refused");
        }
        for (role, limit) in &self.limits {
            // Roles below a limited one, reservations and earlier offers may exceed it; a run does not.
            let unreserved: mesos::Resources = new
                .iter()
                .filter(|offer| offer.role == *role)
                .map(|offer| offer.resources.unreserved())
                .sum();
            let before = consumed_before.get(role).copied().unwrap_or(0.0);
            let offered = unreserved.scalar("cpus").to_f64();
            assert!(offered == 0.0 || before + offered <= limit + 1e-9, "{role} has more than {limit}");
        }
        self.offers.extend(new);
    }

    /// What the explanations say before a run of each framework, role and agent.
    fn verdicts(&mut self) -> BTreeMap<(String, String, String), Verdict> {
        let mut verdicts = BTreeMap::new();
        for framework in FRAMEWORKS {
            let question = Question {
                framework: framework_id(framework),
                role: None,
                limit: usize::MAX,
                offset: 0,
                full: BTreeSet::new(),
            };
            let Ok(answer) = self.cluster.core.explain(&question, self.cluster.now) else { continue };
            for role in answer.roles {
                let listed = role.agents.len();
                assert_eq!(role.reasons.iter().map(|group| group.agents).sum::<usize>(), listed);
                for agent in role.agents {
                    let verdict = match agent.reason {
                        Reason::WouldBeOffered { .. } => Verdict::Certain,
                        Reason::InLine { .. } => Verdict::Possible,
                        _ => Verdict::No,
                    };
                    let key = (framework.to_owned(), role.role.clone(), agent.agent.agent_id.to_string());
                    verdicts.insert(key, verdict);
                }
            }
        }
        verdicts
    }

    /// The explanations and the pass agree: what was said to be impossible is not offered; whoever was
    /// promised something by a run over all agents gets something, and without quotas all of it.
    fn check_verdicts(
        &self,
        verdicts: &BTreeMap<(String, String, String), Verdict>,
        offers: &[Offer],
        scope: Scope,
    ) {
        let key = |offer: &Offer| (offer.framework.clone(), offer.role.clone(), offer.agent.clone());
        let offered: BTreeSet<_> = offers.iter().map(key).collect();
        for key in &offered {
            assert_ne!(verdicts.get(key), Some(&Verdict::No), "{key:?} was explained away, and offered");
        }
        if scope != Scope::All {
            return;
        }
        for key in verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::Certain).map(|(key, _)| key) {
            let any = offered.iter().any(|other| (&other.0, &other.1) == (&key.0, &key.1));
            assert!(any, "{key:?} was promised, and nothing offered");
            assert!(
                !self.limits.is_empty() || offered.contains(key),
                "{key:?} was promised, and not offered"
            );
        }
    }

    fn cpus_of_roles(&self) -> BTreeMap<String, f64> {
        let roles = self.cluster.core.roles(self.cluster.now).into_iter();
        roles.map(|role| (role.path, role.offered_or_consumed.get("cpus").copied().unwrap_or(0.0))).collect()
    }
}

fn history(events: Vec<Event>, seed: u64) -> World {
    let mut world = World::new(seed);
    for event in events {
        world.apply(event);
    }
    world
}

/// The histories below would hold of an allocator that does nothing. This one shows that they do not
/// come from one.
#[test]
fn a_history_has_offers_refusals_tasks_and_limits() {
    let mut world = World::new(0);
    for at in 0..FRAMEWORKS.len() {
        world.apply(Event::AddFramework(at));
        world.apply(Event::AddAgent(at, at));
    }
    world.apply(Event::Quota(1, 1, 3));
    world.apply(Event::Run);
    assert!(world.offers.len() >= 4, "{:?}", world.log);
    world.apply(Event::Launch(0));
    world.apply(Event::Decline(0, 3));
    world.apply(Event::Tick);
    world.apply(Event::EndTask(0));
    world.apply(Event::Run);
    assert!(world.log.len() >= 6 && world.refused.len() == 1, "{:?}", world.log);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn books_balance_and_nobody_gets_what_is_not_his(events in events(), seed in any::<u64>()) {
        history(events, seed);
    }

    #[test]
    fn the_same_events_and_seed_give_the_same_offers(events in events(), seed in any::<u64>()) {
        let (first, second) = (history(events.clone(), seed), history(events, seed));
        prop_assert_eq!(first.log, second.log);
    }

    /// Nobody who could use what is free goes without while it is free: after a run over all agents
    /// with one role and nothing refused, everything is offered.
    #[test]
    fn nothing_stays_free_that_somebody_wants(totals in proptest::collection::vec(0..TOTALS.len(), 1..5)) {
        let mut cluster = Cluster::new();
        cluster.framework("A", &["a", "b"]);
        cluster.framework("X", &["a/x"]);
        for (agent, total) in totals.iter().enumerate() {
            cluster.agent(AGENTS[agent], TOTALS[*total]);
        }
        cluster.run();
        for agent in AGENTS.iter().take(totals.len()) {
            let free = cluster.core.free(&agent_id(agent)).unwrap();
            prop_assert!(free.is_empty(), "{free} of {agent} is free");
        }
    }
}
