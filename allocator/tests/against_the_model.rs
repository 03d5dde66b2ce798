//! The core against the slow model of the algorithm (`model/`): the same events, the same offers; and what
//! holds of every run, whatever happened before.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::*;
use crate::model::Model;
use allocator::core::{OfferConstraintsFilter, Scope};
use allocator::{Core, FrameworkOptions, Options, Quota};
use mesos::resources::{ResourceConversion, conversions};
use mesos::v1::framework_info::capability::Type;
use mesos::v1::offer::{Operation, operation};
use mesos::v1::resource::{self, ReservationInfo, disk_info, reservation_info};
use mesos::v1::{self, agent_info};
use mesos::{AgentId, FrameworkId, ResourceLimits, ResourceQuantities, Resources};
use proptest::prelude::*;

const TOTALS: usize = 10;
/// What frameworks subscribe to.
const ROLES: [&[&str]; 7] =
    [&["a"], &["a", "b"], &["a/x", "b"], &["a/y", "a/x", "c"], &["b"], &["a", "a/x"], &["a/x/z", "*"]];
/// Whom suppressing, reviving, weights and reservations are about.
const PATHS: [&str; 6] = ["a", "b", "c", "a/x", "a/y", "a/x/z"];
const TOP: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Event {
    AddFramework {
        framework: usize,
        suppressed: bool,
    },
    RemoveFramework(usize),
    Connected(usize, bool),
    Suppress(usize, Option<usize>),
    Revive(usize, Option<usize>),
    UpdateFramework {
        framework: usize,
        roles: usize,
        capabilities: usize,
        suppressed: Option<usize>,
        rack: Option<bool>,
    },
    AddAgent {
        agent: usize,
        total: usize,
        used: bool,
    },
    RemoveAgent(usize),
    UpdateAgent {
        agent: usize,
        total: usize,
        attribute: bool,
    },
    InService(usize, bool),
    Whitelist(Option<u8>),
    Weight(usize, f64),
    Quota {
        role: usize,
        guarantee: [u8; 2],
        limit: Option<[u8; 2]>,
    },
    Decline(usize, Option<f64>),
    Launch {
        offer: usize,
        part: usize,
        refuse_seconds: Option<f64>,
    },
    Reserve(usize),
    Unreserve(usize),
    UseTwice(usize),
    OperatorReserves(usize, usize),
    EndTask(usize),
    Wait(u16),
    Run,
    Tick,
}

fn refuse_seconds() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        Just(Some(0.0)),
        Just(Some(0.5)),
        Just(Some(2.0)),
        Just(Some(-1.0)),
        Just(Some(1e12))
    ]
}

fn event(frameworks: usize, agents: usize) -> impl Strategy<Value = Event> {
    let framework = move || 0..frameworks;
    let agent = move || 0..agents;
    let total = || 0..TOTALS;
    let path = || proptest::option::of(0..PATHS.len());
    let amounts = || [0..6_u8, 0..6_u8];
    prop_oneof![
        6 => (framework(), proptest::bool::weighted(0.1))
            .prop_map(|(framework, suppressed)| Event::AddFramework { framework, suppressed }),
        1 => framework().prop_map(Event::RemoveFramework),
        2 => (framework(), any::<bool>()).prop_map(|(of, connected)| Event::Connected(of, connected)),
        2 => (framework(), path()).prop_map(|(of, role)| Event::Suppress(of, role)),
        2 => (framework(), path()).prop_map(|(of, role)| Event::Revive(of, role)),
        2 => (framework(), 0..ROLES.len(), 0..4_usize, path(), any::<Option<bool>>())
            .prop_map(|(framework, roles, capabilities, suppressed, rack)|
            Event::UpdateFramework { framework, roles, capabilities, suppressed, rack }),
        8 => (agent(), total(), any::<bool>())
            .prop_map(|(agent, total, used)| Event::AddAgent { agent, total, used }),
        2 => agent().prop_map(Event::RemoveAgent),
        2 => (agent(), total(), any::<bool>())
            .prop_map(|(agent, total, attribute)| Event::UpdateAgent { agent, total, attribute }),
        2 => (agent(), any::<bool>()).prop_map(|(agent, active)| Event::InService(agent, active)),
        1 => proptest::option::of(any::<u8>()).prop_map(Event::Whitelist),
        2 => (0..PATHS.len(), prop_oneof![Just(0.5), Just(1.0), Just(2.0), Just(3.0)])
            .prop_map(|(role, weight)| Event::Weight(role, weight)),
        3 => (0..TOP.len(), amounts(), proptest::option::of(amounts()))
            .prop_map(|(role, guarantee, limit)| Event::Quota { role, guarantee, limit }),
        8 => (any::<usize>(), refuse_seconds()).prop_map(|(offer, seconds)| Event::Decline(offer, seconds)),
        8 => (any::<usize>(), 0..4_usize, refuse_seconds())
            .prop_map(|(offer, part, refuse_seconds)| Event::Launch { offer, part, refuse_seconds }),
        3 => any::<usize>().prop_map(Event::Reserve),
        2 => any::<usize>().prop_map(Event::Unreserve),
        1 => any::<usize>().prop_map(Event::UseTwice),
        1 => (agent(), 0..PATHS.len()).prop_map(|(agent, role)| Event::OperatorReserves(agent, role)),
        6 => any::<usize>().prop_map(Event::EndTask),
        2 => (0..3000_u16).prop_map(Event::Wait),
        6 => Just(Event::Run),
        6 => Just(Event::Tick),
    ]
}

fn revocable(text: &str) -> Resources {
    changed(text, |proto| proto.revocable = Some(resource::RevocableInfo {}))
}

fn changed(text: &str, change: impl Fn(&mut v1::Resource)) -> Resources {
    let mut protos = resources(text).to_protos();
    protos.iter_mut().for_each(change);
    Resources::try_from_protos(&protos).unwrap()
}

fn shared_volume(role: &str) -> Resources {
    changed(&format!("disk({role}):100"), |proto| {
        proto.disk = Some(Box::new(resource::DiskInfo {
            persistence: Some(disk_info::Persistence { id: "volume".into(), ..Default::default() }),
            volume: Some(v1::Volume { mode: 1, container_path: "data".into(), ..Default::default() }),
            ..Default::default()
        }));
        proto.shared = Some(resource::SharedInfo {});
    })
}

fn mounted_disk() -> Resources {
    use disk_info::source;
    changed("disk:300", |proto| {
        let source = disk_info::Source {
            r#type: source::Type::Mount as i32,
            mount: Some(source::Mount { root: Some("/mnt".into()) }),
            ..Default::default()
        };
        proto.disk = Some(resource::DiskInfo { source: Some(source), ..Default::default() }.into());
    })
}

fn reservation(role: &str) -> ReservationInfo {
    let kind = Some(reservation_info::Type::Dynamic as i32);
    ReservationInfo { r#type: kind, role: Some(role.into()), ..Default::default() }
}

fn total(which: usize) -> Resources {
    match which {
        0 => resources("cpus:4;mem:1024;ports:[31000-31009]"),
        1 => resources("cpus:2;mem:512;cpus(a):1;mem(a):64"),
        2 => resources("cpus:8;mem:4096;disk:1000;cpus(a/x):2;mem(b):128"),
        3 => resources("cpus:1;mem:2048;tokens:5"),
        4 => resources("cpus:4;mem:1024;gpus:2"),
        5 => resources("cpus:2;mem:256") + revocable("cpus:3"),
        6 => resources("cpus:3;mem:512;cpus(a):1") + shared_volume("a"),
        7 => {
            let refined = resources("cpus(a):2;mem(a):64").push_reservation(&reservation("a/x")).unwrap();
            resources("cpus:2;mem:128;zones:{one,two}") + refined
        }
        8 => resources("cpus:2;mem:200;disk:100") + mounted_disk(),
        _ => resources("cpus:0.005;mem:10;ports:[1-9]"),
    }
}

fn capabilities(which: usize) -> &'static [Type] {
    use Type::*;
    match which {
        0 => &[
            MultiRole,
            ReservationRefinement,
            SharedResources,
            RevocableResources,
            GpuResources,
            RegionAware,
        ],
        1 => &[MultiRole, SharedResources, RevocableResources],
        2 => &[MultiRole, GpuResources, ReservationRefinement],
        _ => &[RegionAware],
    }
}

/// The fourth set of capabilities lacks MULTI_ROLE. The third framework has a minimum of its own.
fn info_of(framework: usize, roles: usize, which: usize) -> v1::FrameworkInfo {
    let mut info = framework_with(ROLES[roles], capabilities(which));
    if which == 3 {
        info.role = info.roles.drain(..).next();
    }
    if framework == 2 {
        let quantities = BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: 2.0 })]);
        let minimum = v1::offer_filters::MinAllocatableResources {
            quantities: vec![v1::offer_filters::ResourceQuantities { quantities }],
        };
        let filters = v1::OfferFilters { min_allocatable_resources: Some(minimum) };
        info.offer_filters = BTreeMap::from([("b".to_owned(), filters)]).into_iter().collect();
    }
    info
}

/// For the role `a` a framework wants only agents that have a rack, or only those that have none.
fn with_or_without_rack(with: bool) -> OfferConstraintsFilter {
    let predicate = if with { "exists" } else { "not_exists" };
    let constraint =
        format!(r#"{{"selector":{{"attribute_name":"rack"}},"predicate":{{"{predicate}":{{}}}}}}"#);
    let group = format!(r#"{{"attribute_constraints":[{constraint}]}}"#);
    let json = format!(r#"{{"role_constraints":{{"a":{{"groups":[{group}]}}}}}}"#);
    let constraints = mesos::json::from_slice(json.as_bytes()).unwrap();
    OfferConstraintsFilter::new(&constraints, Default::default()).unwrap()
}

/// Of five agents one stands in another region, and one knows no hierarchical roles.
fn agent_of(agent: usize, attribute: bool) -> (v1::AgentInfo, Vec<agent_info::Capability>) {
    let mut info = agent_info(&format!("S{agent}"));
    if attribute {
        info.attributes = mesos::Attributes::parse("rack:one").unwrap().to_protos();
    }
    let region = if agent % 5 == 4 { "far" } else { "here" };
    info.domain = Some(v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo { name: region.into() },
            zone: v1::domain_info::fault_domain::ZoneInfo { name: "zone".into() },
        }),
    });
    let mut capabilities = agent_capabilities();
    if agent % 5 == 3 {
        capabilities.remove(1);
    }
    (info, capabilities)
}

fn framework_at(at: usize) -> FrameworkId {
    framework_id(&format!("F{at}"))
}

fn agent_at(at: usize) -> AgentId {
    agent_id(&format!("S{at}"))
}

/// The settings of a world: the default for seed 0, to which tests shrink.
fn options(seed: u64) -> Options {
    let mut options = Options { region: Some("here".into()), ..Default::default() };
    options.filter_gpu_resources = seed & 1 == 0;
    options.allocation_on_recovery = seed & 2 == 0;
    if seed & 4 != 0 {
        options.excluded_from_shares = set(&["gpus", "mem"]);
    }
    if seed & 8 != 0 {
        options.min_allocatable_resources.clear();
    }
    options
}

/// A cluster in the core and in the model, and what the master knows of it.
struct World {
    core: Core,
    model: Model,
    now: Duration,
    frameworks: BTreeSet<usize>,
    totals: BTreeMap<usize, Resources>,
    offers: Vec<Offer>,
    /// Offers, reduced to what their tasks use.
    tasks: Vec<Offer>,
    limits: BTreeMap<&'static str, ResourceLimits>,
    has_quotas: bool,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> World {
        let options = options(seed);
        World {
            core: Core::new(options.clone(), seed),
            model: Model::new(options, seed),
            now: SECOND,
            frameworks: BTreeSet::new(),
            totals: BTreeMap::new(),
            offers: Vec::new(),
            tasks: Vec::new(),
            limits: BTreeMap::new(),
            has_quotas: false,
            log: Vec::new(),
        }
    }

    fn after(events: impl IntoIterator<Item = Event>, seed: u64) -> World {
        let mut world = World::new(seed);
        for event in events {
            world.apply(event);
        }
        world
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::AddFramework { framework, suppressed } => self.add_framework(framework, suppressed),
            Event::Connected(framework, connected) if self.frameworks.contains(&framework) => {
                let id = framework_at(framework);
                if connected {
                    self.core.activate_framework(&id).unwrap();
                    self.model.activate_framework(&id);
                } else {
                    self.core.deactivate_framework(&id).unwrap();
                    self.model.deactivate_framework(&id);
                }
            }
            Event::Suppress(framework, role) if self.frameworks.contains(&framework) => {
                let (id, roles) = (framework_at(framework), role.map(|role| PATHS[role].to_owned()));
                let roles: BTreeSet<String> = roles.into_iter().collect();
                self.core.suppress_offers(&id, &roles).unwrap();
                self.model.suppress_offers(&id, &roles);
            }
            Event::Revive(framework, role) if self.frameworks.contains(&framework) => {
                let (id, roles) = (framework_at(framework), role.map(|role| PATHS[role].to_owned()));
                let roles: BTreeSet<String> = roles.into_iter().collect();
                self.core.revive_offers(&id, &roles).unwrap();
                self.model.revive_offers(&id, &roles);
            }
            Event::UpdateFramework { framework, roles, capabilities, suppressed, rack }
                if self.frameworks.contains(&framework) =>
            {
                let (id, info) = (framework_at(framework), info_of(framework, roles, capabilities));
                let options = FrameworkOptions {
                    suppressed_roles: suppressed.into_iter().map(|role| PATHS[role].to_owned()).collect(),
                    constraints: rack.map(with_or_without_rack).unwrap_or_default(),
                };
                self.core.update_framework(&id, &info, &options).unwrap();
                self.model.update_framework(&id, &info, &options);
            }
            Event::RemoveFramework(framework) if self.frameworks.remove(&framework) => {
                let id = framework_at(framework);
                self.core.remove_framework(&id).unwrap();
                self.model.remove_framework(&id);
                self.forget(|offer| offer.framework == id.as_str());
            }
            Event::AddAgent { agent, total, used } => self.add_agent(agent, total, used),
            Event::RemoveAgent(agent) if self.totals.remove(&agent).is_some() => {
                let id = agent_at(agent);
                self.core.remove_agent(&id).unwrap();
                self.model.remove_agent(&id);
                self.forget(|offer| offer.agent == id.as_str());
            }
            Event::UpdateAgent { agent, total, attribute } if self.totals.contains_key(&agent) => {
                let (id, total, (info, capabilities)) =
                    (agent_at(agent), self::total(total), agent_of(agent, attribute));
                self.core.update_agent(&id, info.clone(), Some(&total), Some(&capabilities)).unwrap();
                self.model.update_agent(&id, info, Some(&total), Some(&capabilities));
                self.totals.insert(agent, total);
            }
            Event::InService(agent, active) if self.totals.contains_key(&agent) => {
                let id = agent_at(agent);
                if active {
                    self.core.activate_agent(&id).unwrap();
                    self.model.activate_agent(&id);
                } else {
                    self.core.deactivate_agent(&id).unwrap();
                    self.model.deactivate_agent(&id);
                }
            }
            Event::Whitelist(listed) => {
                let is_listed = |agent: &usize| listed.is_some_and(|listed| listed >> agent & 1 == 1);
                let names = (0..8).filter(is_listed).map(|agent| agent_of(agent, false).0.hostname);
                let names = listed.map(|_| names.collect::<BTreeSet<_>>());
                self.core.update_whitelist(names.clone());
                self.model.update_whitelist(names);
            }
            Event::Weight(role, weight) => {
                let weights = BTreeMap::from([(PATHS[role].to_owned(), weight)]);
                self.core.update_weights(&weights);
                self.model.update_weights(&weights);
            }
            Event::Quota { role, guarantee, limit } => self.set_quota(TOP[role], guarantee, limit),
            Event::Decline(offer, seconds) => {
                if let Some(offer) = self.take_offer(offer) {
                    self.give_back(&offer, &offer.resources.clone(), seconds, false);
                }
            }
            Event::Launch { offer, part, refuse_seconds } => self.launch(offer, part, refuse_seconds),
            Event::Reserve(offer) => self.reserve(offer),
            Event::Unreserve(offer) => self.unreserve(offer),
            Event::UseTwice(offer) => self.use_twice(offer),
            Event::OperatorReserves(agent, role) if self.totals.contains_key(&agent) => {
                let reserved = resources("cpus:1;mem:16").push_reservation(&reservation(PATHS[role]));
                let operation = reserve(&reserved.unwrap());
                let id = agent_at(agent);
                let applied = self.core.update_available(&id, std::slice::from_ref(&operation)).is_ok();
                assert_eq!(applied, self.model.update_available(&id, &operation).is_ok());
                if applied {
                    let total = self.totals[&agent].apply(&operation).unwrap();
                    self.totals.insert(agent, total);
                }
            }
            Event::EndTask(task) if !self.tasks.is_empty() => {
                let task = self.tasks.swap_remove(task % self.tasks.len());
                self.give_back(&task, &task.resources.clone(), None, true);
            }
            Event::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds.into()),
            Event::Run => self.run(Scope::Marked),
            Event::Tick => {
                self.now += SECOND;
                self.run(Scope::All);
            }
            // About a framework or an agent that is not there.
            _ => {}
        }
    }

    fn forget(&mut self, gone: impl Fn(&Offer) -> bool) {
        self.offers.retain(|offer| !gone(offer));
        self.tasks.retain(|task| !gone(task));
    }

    fn add_framework(&mut self, framework: usize, suppressed: bool) {
        if self.frameworks.insert(framework) {
            let (id, info) =
                (framework_at(framework), info_of(framework, framework % ROLES.len(), framework % 4));
            let options = if suppressed { set(&["a", "b"]).into() } else { FrameworkOptions::default() };
            self.core.add_framework(&id, &info, &BTreeMap::new(), true, &options).unwrap();
            self.model.add_framework(&id, &info, true, &options);
        }
    }

    /// `used`: a task of the first framework's runs on it, whether the framework is there or not.
    fn add_agent(&mut self, agent: usize, total: usize, used: bool) {
        if self.totals.contains_key(&agent) {
            return;
        }
        let (id, total, (info, capabilities)) = (agent_at(agent), self::total(total), agent_of(agent, false));
        let task = resources("cpus:1;mem:100");
        let mut of_frameworks = BTreeMap::new();
        if used && total.contains(&task) {
            of_frameworks.insert(framework_at(0), task.allocated_to("a"));
            self.tasks.push(Offer {
                framework: "F0".into(),
                role: "a".into(),
                agent: id.to_string(),
                resources: task,
            });
        }
        self.core.add_agent(&id, info.clone(), &capabilities, None, &total, &of_frameworks).unwrap();
        self.model.add_agent(&id, info, &capabilities, &total, &of_frameworks);
        self.totals.insert(agent, total);
    }

    /// cpus and hundreds of MB. The master sees to it that limits are not below guarantees.
    fn set_quota(&mut self, role: &'static str, guarantee: [u8; 2], limit: Option<[u8; 2]>) {
        let text = |[cpus, mem]: [u8; 2]| format!("cpus:{cpus};mem:{}", u32::from(mem) * 100);
        let limits = limit.map(|limit| [limit[0].max(guarantee[0]), limit[1].max(guarantee[1])]);
        let quota = Quota {
            guarantees: ResourceQuantities::parse(&text(guarantee)).unwrap(),
            limits: limits.map(|limits| ResourceLimits::parse(&text(limits)).unwrap()).unwrap_or_default(),
        };
        self.core.update_quota(role, &quota);
        self.model.update_quota(role, &quota);
        self.limits.insert(role, quota.limits);
        self.has_quotas = true;
    }

    fn take_offer(&mut self, offer: usize) -> Option<Offer> {
        if self.offers.is_empty() {
            return None;
        }
        Some(self.offers.remove(offer % self.offers.len()))
    }

    fn give_back(&mut self, offer: &Offer, part: &Resources, refuse_seconds: Option<f64>, ended: bool) {
        let (framework, agent) = (framework_id(&offer.framework), agent_id(&offer.agent));
        let part = part.allocated_to(&offer.role);
        let filters = refuse_seconds.map(refuse);
        let filters = filters.as_ref();
        self.core.recover_resources(&framework, &agent, &part, filters, ended, self.now).unwrap();
        self.model.recover_resources(&framework, &agent, &part, filters, ended, self.now);
    }

    /// A task takes a little of the scalars, that with the shared, what is reserved, or everything.
    fn launch(&mut self, offer: usize, part: usize, refuse_seconds: Option<f64>) {
        let Some(offer) = self.take_offer(offer) else { return };
        let little = ResourceQuantities::parse("cpus:0.5;mem:32").unwrap();
        let task = match part {
            0 => offer.resources.non_shared().shrink_to_quantities(&little),
            1 => offer.resources.non_shared().shrink_to_quantities(&little) + offer.resources.shared(),
            2 => offer.resources.filter(|resource| !resource.is_unreserved()),
            _ => offer.resources.clone(),
        };
        let used = task.allocated_to(&offer.role);
        self.core.transition_offered_to_allocated(&agent_id(&offer.agent), &used).unwrap();
        self.give_back(&offer, &(&offer.resources - &task), refuse_seconds, false);
        if !task.is_empty() {
            self.tasks.push(Offer { resources: task, ..offer });
        }
    }

    fn reserve(&mut self, offer: usize) {
        let Some(offer) = self.take_offer(offer) else { return };
        let part = resources("cpus:0.5;mem:16");
        if offer.role == "*" || !offer.resources.contains(&part) {
            self.offers.push(offer);
            return;
        }
        let reserved = part.push_reservation(&reservation(&offer.role)).unwrap();
        self.operate(offer, &reserve(&reserved));
    }

    fn unreserve(&mut self, offer: usize) {
        let Some(offer) = self.take_offer(offer) else { return };
        let reserved = offer.resources.filter(|resource| resource.is_dynamically_reserved());
        let operation = Operation {
            r#type: Some(operation::Type::Unreserve as i32),
            unreserve: Some(operation::Unreserve { resources: reserved.to_protos() }),
            ..Default::default()
        };
        self.operate(offer, &operation);
    }

    /// Two tasks of one ACCEPT use what is shared: there is another copy, which nothing was made into.
    fn use_twice(&mut self, offer: usize) {
        let Some(mut offer) = self.take_offer(offer) else { return };
        let copy = offer.resources.shared();
        let step = ResourceConversion::new(Resources::new(), copy.allocated_to(&offer.role));
        if self.convert(&offer, &[step]) {
            offer.resources += copy;
        }
        self.offers.push(offer);
    }

    /// The framework applies an operation to an offer, and still has the offer.
    fn operate(&mut self, mut offer: Offer, operation: &Operation) {
        let mut steps = conversions(operation).unwrap();
        for step in &mut steps {
            step.consumed.allocate(&offer.role);
            step.converted.allocate(&offer.role);
        }
        if self.convert(&offer, &steps) {
            offer.resources = offer.resources.apply(operation).unwrap();
            if let Some(at) = self.totals.keys().copied().find(|at| agent_at(*at).as_str() == offer.agent) {
                let total = self.totals[&at].apply(operation).unwrap();
                self.totals.insert(at, total);
            }
        }
        self.offers.push(offer);
    }

    /// Whether what a framework was offered could be converted, in core and model alike.
    fn convert(&mut self, offer: &Offer, steps: &[ResourceConversion]) -> bool {
        let (framework, agent) = (framework_id(&offer.framework), agent_id(&offer.agent));
        let offered = offer.resources.allocated_to(&offer.role);
        let applied = self.core.update_allocation(&framework, &agent, &offered, steps).is_ok();
        let in_model = self.model.update_allocation(&framework, &agent, &offered, steps).is_ok();
        assert_eq!(applied, in_model, "{steps:?} on {offered}");
        applied
    }

    /// What is free of an agent by the master's own books: what it has without all that is out.
    fn free(&self, agent: usize) -> Resources {
        let id = agent_at(agent);
        let out = self.offers.iter().chain(&self.tasks).filter(|offer| offer.agent == id.as_str());
        out.fold(self.totals[&agent].clone(), |free, offer| free - offer.resources.non_shared())
    }

    fn run(&mut self, scope: Scope) {
        let free: BTreeMap<usize, Resources> =
            self.totals.keys().map(|agent| (*agent, self.free(*agent))).collect();
        let consumed: BTreeMap<&str, ResourceQuantities> =
            self.limits.keys().map(|role| (*role, self.model.consumed(role))).collect();
        let grants = self.core.allocate(self.now, scope);
        let new = list(&self.core.offers(&grants));
        let expected = list(&self.model.allocate(self.now, scope));
        assert!(new == expected, "core: {:#?}\nmodel: {:#?}", told(&new), told(&expected));
        assert!(self.core.balances(), "the books do not balance after a run");
        for (agent, free) in &free {
            let id = agent_at(*agent);
            let offered = new.iter().filter(|offer| offer.agent == id.as_str());
            let all: Resources = offered.map(|offer| offer.resources.clone()).sum();
            assert!(free.contains(&all.non_shared()), "of {id} {all} is offered where {free} is free");
            let once = all.shared().iter().all(|shared| shared.copies() == 1);
            assert!(
                once && self.totals[agent].contains(&all.shared()),
                "of {id} {all} is offered in one run"
            );
        }
        for (role, limits) in &self.limits {
            // Reservations and roles below a limited one may exceed its limits. What it is offered does not.
            let own = new.iter().filter(|offer| offer.role == *role);
            let own: Resources = own.map(|offer| offer.resources.clone()).sum();
            let own = ResourceQuantities::from_scalar_resources(&own.unreserved().non_revocable());
            let within = own.iter().all(|(name, amount)| {
                limits.get(name).is_none_or(|limit| consumed[role].get(name) + amount <= limit)
            });
            assert!(within, "{role} has {:?}, and is offered {own:?}: {limits:?}", consumed[role]);
        }
        self.log.extend(told(&new));
        self.offers.extend(new);
        if scope == Scope::All {
            self.check_what_is_left();
        }
    }

    /// After a run over all agents.
    fn check_what_is_left(&self) {
        for (agent, framework, role) in self.model.pairs() {
            // It may not have any of it, or what it may have does not reach the minimum.
            let Some(left) = self.model.usable(&agent, &framework, &role) else { continue };
            let refuses = |part: &Resources| self.model.refuses(&framework, &role, &agent, part, self.now);
            let is_enough = |part: &Resources| self.model.is_enough(part, &framework, &role);
            let pair = format!("{framework} in {role} could have {left} of {agent}");
            // A shared resource was offered in this run, perhaps to another.
            let left = left.non_shared();
            // A guarantee that can be met is met within one run. But what is missing may be too little to be
            // offered alone; disks that cannot be cut may be too large; and any refusal, even of other
            // resources of the agent, may be of just the offer that would have met it.
            let missing = self.model.missing(&role);
            let plain = left.unreserved().non_revocable().filter(|resource| resource.disk().is_none());
            let met = is_enough(&plain.shrink_to_quantities(&missing)) && !refuses(&Resources::new());
            assert!(!met, "{pair}, and {missing:?} is missing to the role's guarantees");
            // Without quotas nothing is held back: all that anybody wants is offered. What was refused in
            // this run was not less than what is left now.
            let wanted = is_enough(&left) && !refuses(&left);
            assert!(self.has_quotas || !wanted, "{pair}, and is not offered it");
        }
    }
}

fn reserve(reserved: &Resources) -> Operation {
    Operation {
        r#type: Some(operation::Type::Reserve as i32),
        reserve: Some(operation::Reserve { resources: reserved.to_protos(), ..Default::default() }),
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn core_and_model_make_the_same_offers(
        events in proptest::collection::vec(event(6, 5), 1..100),
        seed in any::<u64>(),
    ) {
        World::after(events, seed);
    }
}

/// Who is not up to much: a crowd is more than fits into one word of bits, whatever the core does with it.
fn crowd() -> impl Strategy<Value = (usize, usize, Vec<Event>)> {
    (60..140_usize, 2..8_usize).prop_flat_map(|(frameworks, agents)| {
        let event = prop_oneof![
            3 => event(frameworks, agents),
            // Whole cycles of refusals, until few are left who want anything.
            3 => refuse_seconds().prop_map(|seconds| Event::Decline(0, seconds)),
            1 => Just(Event::Tick),
        ];
        (Just(frameworks), Just(agents), proptest::collection::vec(event, 50..200))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(30) })]

    #[test]
    fn core_and_model_agree_about_crowds((frameworks, agents, events) in crowd(), seed in any::<u64>()) {
        let everybody = (0..frameworks).map(|framework| Event::AddFramework { framework, suppressed: false });
        let everything = (0..agents).map(|agent| Event::AddAgent { agent, total: agent, used: agent == 0 });
        World::after(everybody.chain(everything).chain(events), seed);
    }

    #[test]
    fn the_same_events_and_seed_give_the_same_offers(
        events in proptest::collection::vec(event(6, 5), 1..100),
        seed in any::<u64>(),
    ) {
        prop_assert_eq!(World::after(events.clone(), seed).log, World::after(events, seed).log);
    }
}

/// The histories above would hold of an allocator that does nothing. These show that they do not come from one.
#[test]
fn a_history_has_offers_tasks_and_reservations() {
    let mut world = World::new(0);
    for at in 0..5 {
        world.apply(Event::AddFramework { framework: at, suppressed: false });
        world.apply(Event::AddAgent { agent: at, total: at + 3, used: at == 4 });
    }
    world.apply(Event::Quota { role: 1, guarantee: [2, 1], limit: Some([3, 2]) });
    world.apply(Event::Run);
    assert!(world.log.len() >= 5, "{:?}", world.log);
    // Each comes to the front once.
    for _ in 0..world.offers.len() {
        world.apply(Event::Reserve(0));
    }
    world.apply(Event::Launch { offer: 0, part: 1, refuse_seconds: Some(2.0) });
    world.apply(Event::Decline(0, Some(2.0)));
    world.apply(Event::Tick);
    assert!(world.log.len() >= 6 && world.tasks.len() == 2, "{:?}", world.log);
    let reserved = |offer: &Offer| offer.resources.iter().any(|resource| resource.is_dynamically_reserved());
    assert!(world.offers.iter().any(reserved), "{:?}", world.offers);
}

/// Agents of cpus and hundreds of MB, roles with a weight and some frameworks each, and which offers are kept.
type Fair = (Vec<[u8; 2]>, Vec<(f64, usize)>, Vec<bool>);

fn fair() -> impl Strategy<Value = Fair> {
    let agents = proptest::collection::vec([1..9_u8, 1..9_u8], 1..12);
    let roles = proptest::collection::vec((prop_oneof![Just(0.5), Just(1.0), Just(3.0)], 1..4_usize), 1..5);
    (agents, roles, proptest::collection::vec(any::<bool>(), 16))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// What fairness there is when agents are given whole. Let everybody be able to use everything, refuse
    /// nothing, and have no quota. Then after each run over all agents:
    ///
    /// - nothing is free;
    /// - take from a role the last agent that it was offered in the run: no other role has a smaller share
    ///   than it has then. In other words, at each offer nobody had a smaller share than who got it, and so
    ///   whoever has more than another at the end has it by one agent at most;
    /// - the same holds between the frameworks of one role.
    ///
    /// Nothing is said about those who were offered nothing: what they use they have from before, and it is
    /// not taken from them. A share is the dominant one, by the weight.
    #[test]
    fn nobody_has_more_than_another_but_for_the_last_agent((agents, roles, kept) in fair(), seed in any::<u64>()) {
        let mut cluster = Cluster { core: Core::new(Options::default(), seed), now: SECOND };
        let mut total = ResourceQuantities::new();
        for (at, [cpus, mem]) in agents.iter().enumerate() {
            let text = format!("cpus:{cpus};mem:{}", u32::from(*mem) * 100);
            cluster.agent(&format!("S{at}"), &text);
            total += ResourceQuantities::parse(&text).unwrap();
        }
        for (role, (weight, frameworks)) in roles.iter().enumerate() {
            cluster.core.update_weights(&BTreeMap::from([(format!("r{role}"), *weight)]));
            for framework in 0..*frameworks {
                cluster.framework(&format!("r{role}.{framework}"), &[&format!("r{role}")]);
            }
        }
        let share = |has: &ResourceQuantities| {
            let shares = total.iter().map(|(name, of)| has.get(name).to_f64() / of.to_f64());
            shares.fold(0.0, f64::max)
        };
        let sum = |offers: &[Offer]| -> ResourceQuantities {
            offers.iter().map(|offer| ResourceQuantities::from_scalar_resources(&offer.resources)).sum()
        };
        let mut held: Vec<Offer> = Vec::new();
        for _ in 0..3 {
            cluster.now += SECOND;
            let grants = cluster.core.allocate(cluster.now, Scope::All);
            let in_turn = grants.iter().flat_map(|grant| list(&cluster.core.offers(std::slice::from_ref(grant))));
            let new: Vec<Offer> = in_turn.collect();
            held.extend(new.clone());
            prop_assert_eq!(sum(&held), total.clone(), "something is free");
            // What somebody has, and what it had before the last offer: by its weight.
            let has = |who: &dyn Fn(&Offer) -> bool, weight: f64| {
                let all: Vec<Offer> = held.iter().filter(|offer| who(offer)).cloned().collect();
                let before = new.iter().rposition(who).map(|last| {
                    let last = held.iter().position(|offer| *offer == new[last]).unwrap();
                    let others = held.iter().enumerate().filter(|(at, offer)| *at != last && who(offer));
                    share(&sum(&others.map(|(_, offer)| offer.clone()).collect::<Vec<_>>())) / weight
                });
                (share(&sum(&all)) / weight, before)
            };
            let of_roles: Vec<_> = roles.iter().enumerate().map(|(role, (weight, frameworks))| {
                let name = format!("r{role}");
                let of_frameworks: Vec<_> = (0..*frameworks)
                    .map(|framework| has(&|offer: &Offer| offer.framework == format!("{name}.{framework}"), 1.0))
                    .collect();
                (has(&|offer: &Offer| offer.role == name, *weight), of_frameworks)
            }).collect();
            let among = of_roles.iter().map(|(_, frameworks)| frameworks.clone());
            for siblings in among.chain([of_roles.iter().map(|(role, _)| *role).collect()]) {
                for (_, before) in &siblings {
                    for (has, _) in &siblings {
                        let fair = before.is_none_or(|before| before <= has + 1e-9);
                        prop_assert!(fair, "{:?} before the last agent, another has {has}: {:?}", before, told(&new));
                    }
                }
            }
            // Some offers are used, the others come back.
            let mut kept = kept.iter().cycle();
            for offer in new {
                if !kept.next().copied().unwrap_or(false) {
                    cluster.give_back(&offer, &offer.resources.clone(), None);
                    held.retain(|other| *other != offer);
                }
            }
        }
    }
}

/// A cluster of the helpers' with a framework in each of these roles, which can use what is shared.
fn sharing(roles: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::new();
    for (name, role) in roles {
        cluster.framework_of(name, &framework_with(&[role], &[Type::MultiRole, Type::SharedResources]));
    }
    cluster
}

/// Found by the test above: the role `a` had the volume twice.
#[test]
fn a_volume_that_roles_share_counts_once_for_the_role_above_them() {
    let mut cluster = sharing(&[("X", "a/x"), ("Y", "a/y"), ("B", "b")]);
    let add = |cluster: &mut Cluster, name: &str, total: &Resources| {
        let (id, info) = (agent_id(name), agent_info(name));
        cluster.core.add_agent(&id, info, &agent_capabilities(), None, total, &BTreeMap::new()).unwrap();
    };
    // Both frameworks of a use the volume.
    cluster.core.suppress_offers(&framework_id("B"), &BTreeSet::new()).unwrap();
    add(&mut cluster, "S1", &(resources("cpus:2;mem:64") + shared_volume("a")));
    for _ in 0..2 {
        let offer = cluster.tick().remove(0);
        let task = resources("cpus:1;mem:32") + shared_volume("a");
        let rest = &offer.resources - &task;
        if !rest.is_empty() {
            cluster.give_back(&offer, &rest, None);
        }
    }
    let held = |name: &str| cluster.core.held(&framework_id(name), &agent_id("S1"));
    assert!(held("X")["a/x"].contains(&shared_volume("a")) && held("Y")["a/y"].contains(&shared_volume("a")));
    // b has 150 of 300 MB of disk; a has 100, and would have 200.
    let disk = "cpus:0.1;mem:32;disk:150";
    cluster.agent_using("S2", disk, &[("B", "b", disk)]);
    cluster.core.revive_offers(&framework_id("B"), &BTreeSet::new()).unwrap();
    cluster.agent("S3", "cpus:50;mem:6400;disk:50");
    let offer = cluster.only_offer();
    assert!(offer.role.starts_with("a/"), "{offer:?}");
}

/// Found by the test above: where one member had two copies of a volume and another one, the role lost the
/// volume's amount twice when both gave it back.
#[test]
fn a_volume_that_members_share_leaves_their_role_once_however_many_copies_there_are() {
    let mut cluster = sharing(&[("X", "a"), ("Y", "a")]);
    let total = resources("cpus:3;mem:96") + shared_volume("a");
    let (id, info) = (agent_id("S"), agent_info("S"));
    cluster.core.add_agent(&id, info, &agent_capabilities(), None, &total, &BTreeMap::new()).unwrap();
    for _ in 0..3 {
        let offer = cluster.tick().remove(0);
        let task = resources("cpus:1;mem:32") + shared_volume("a");
        let rest = &offer.resources - &task;
        if !rest.is_empty() {
            cluster.give_back(&offer, &rest, None);
        }
    }
    let copies = |name: &str| {
        cluster.core.held(&framework_id(name), &id)["a"].shared().iter().map(|one| one.copies()).sum()
    };
    let copies: [u32; 2] = ["X", "Y"].map(copies);
    assert_eq!(copies, [2, 1]);
    cluster.core.remove_framework(&framework_id("X")).unwrap();
    assert!(cluster.core.balances());
    assert_eq!(cluster.core.resource_use("disk").offered_or_allocated, 100.0);
    cluster.core.remove_framework(&framework_id("Y")).unwrap();
    assert!(cluster.core.balances());
}
