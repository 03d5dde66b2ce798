//! A cluster for the core: equal agents and frameworks by number, cycles that are timed, offers given back.
//!
//! A small one can have the slow model of the tests beside it, which hears the same events, and must offer
//! the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use allocator::core::{Core, Scope};
use allocator::{FrameworkOptions, Offers, Options, Quota};
use harness::bench::{self, Report, Target, median};
use mesos::v1::{self, agent_info, framework_info};
use mesos::{AgentId, FrameworkId, ResourceLimits, ResourceQuantities, Resources};

use crate::model::Model;

/// What an agent of upstream's `DeclineOffers` and its kin has.
pub(crate) const AGENT: &str = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";
/// What of it one framework uses from the beginning: as 16 tasks would, with 16 ranges of ports.
pub(crate) const USED: &str = "cpus:16;mem:2014;disk:1024";

pub(crate) struct Cluster {
    pub(crate) core: Core,
    model: Option<Model>,
    /// How many milliseconds the model took for each cycle.
    model_took: Vec<f64>,
    pub(crate) now: Duration,
}

pub(crate) fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").expect("the benchmarks' own resources are valid")
}

/// `USED`, and 16 ranges that lie apart.
pub(crate) fn used() -> Resources {
    let ranges: Vec<String> =
        (0..16).map(|at| 31_000 + at * 62).map(|first| format!("{first}-{}", first + 60)).collect();
    resources(&format!("{USED};ports:[{}]", ranges.join(",")))
}

pub(crate) fn framework_id(at: usize) -> FrameworkId {
    FrameworkId::from(format!("framework-{at:05}"))
}

pub(crate) fn agent_id(at: usize) -> AgentId {
    AgentId::from(format!("agent-{at:05}"))
}

pub(crate) fn agent_info(at: usize) -> v1::AgentInfo {
    v1::AgentInfo { hostname: format!("agent-{at:05}"), ..Default::default() }
}

pub(crate) fn agent_capabilities() -> Vec<agent_info::Capability> {
    use agent_info::capability::Type;
    [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement]
        .map(|kind| agent_info::Capability { r#type: Some(kind as i32) })
        .into()
}

pub(crate) fn framework_info(role: &str, more: &[framework_info::capability::Type]) -> v1::FrameworkInfo {
    use framework_info::capability::Type;
    let kinds = [Type::MultiRole, Type::ReservationRefinement];
    v1::FrameworkInfo {
        user: "user".into(),
        name: "name".into(),
        roles: vec![role.to_owned()],
        capabilities: kinds
            .iter()
            .chain(more)
            .map(|kind| framework_info::Capability { r#type: Some(*kind as i32) })
            .collect(),
        ..Default::default()
    }
}

/// Guarantees and limits alike, as upstream's `createQuota`.
pub(crate) fn quota(text: &str) -> Quota {
    Quota {
        guarantees: ResourceQuantities::parse(text).expect("the benchmarks' own quotas are valid"),
        limits: ResourceLimits::parse(text).expect("the benchmarks' own quotas are valid"),
    }
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        let core = Core::new(Options::default(), 0);
        Cluster { core, model: None, model_took: Vec::new(), now: Duration::from_secs(1) }
    }

    /// An empty cluster with the model beside it.
    pub(crate) fn with_model() -> Cluster {
        Cluster { model: Some(Model::new(Options::default(), 0)), ..Cluster::new() }
    }

    /// Agents that are wholly free, and frameworks in the role `*`.
    pub(crate) fn free(self, agents: usize, frameworks: usize) -> Cluster {
        self.filled(agents, frameworks, &Resources::new())
    }

    /// Agents of which the frameworks, in turn, use a part, as in upstream's `DeclineOffers`.
    pub(crate) fn partly_used(self, agents: usize, frameworks: usize) -> Cluster {
        self.filled(agents, frameworks, &used())
    }

    fn filled(mut self, agents: usize, frameworks: usize, used: &Resources) -> Cluster {
        self.frameworks(frameworks, |_| "*".to_owned());
        let (total, used) = (resources(AGENT), used.allocated_to("*"));
        for at in 0..agents {
            let used = (!used.is_empty()).then(|| (framework_id(at % frameworks), used.clone()));
            self.agent(at, &total, &used.into_iter().collect());
        }
        self
    }

    pub(crate) fn frameworks(&mut self, count: usize, role: impl Fn(usize) -> String) {
        for at in 0..count {
            self.framework(at, &framework_info(&role(at), &[]));
        }
    }

    pub(crate) fn framework(&mut self, at: usize, info: &v1::FrameworkInfo) {
        let id = framework_id(at);
        let added = self.core.add_framework(&id, info, &BTreeMap::new(), true, &FrameworkOptions::default());
        added.expect("each framework is added once");
        if let Some(model) = &mut self.model {
            model.add_framework(&id, info, true, &FrameworkOptions::default());
        }
    }

    pub(crate) fn agent(&mut self, at: usize, total: &Resources, used: &BTreeMap<FrameworkId, Resources>) {
        let (id, info, capabilities) = (agent_id(at), agent_info(at), agent_capabilities());
        let added = self.core.add_agent(&id, info.clone(), &capabilities, None, total, used);
        added.expect("each agent is added once");
        if let Some(model) = &mut self.model {
            model.add_agent(&id, info, &capabilities, total, used);
        }
    }

    pub(crate) fn set_quota(&mut self, role: &str, quota: &Quota) {
        self.core.update_quota(role, quota);
        if let Some(model) = &mut self.model {
            model.update_quota(role, quota);
        }
    }

    pub(crate) fn suppress(&mut self, at: usize) {
        let id = framework_id(at);
        self.core.suppress_offers(&id, &BTreeSet::new()).expect("the framework is there");
        if let Some(model) = &mut self.model {
            model.suppress_offers(&id, &BTreeSet::new());
        }
    }

    /// One interval later, a run over all agents, and how many milliseconds it took.
    pub(crate) fn cycle(&mut self) -> (Offers, f64) {
        self.now += Duration::from_secs(1);
        let began = bench::now();
        let grants = self.core.allocate(self.now, Scope::All);
        let took = milliseconds(began);
        let offers = self.core.offers(&grants);
        if let Some(model) = &mut self.model {
            let began = bench::now();
            let expected = model.allocate(self.now, Scope::All);
            self.model_took.push(milliseconds(began));
            assert!(offers == expected, "the core and the model must offer the same");
        }
        (offers, took)
    }

    /// A cycle in which everything is offered, and everything given back: milliseconds of the cycle alone.
    pub(crate) fn cycle_and_back(&mut self) -> f64 {
        let (offers, took) = self.cycle();
        self.decline(&offers, None);
        took
    }

    /// Every offer is declined, for so many seconds.
    pub(crate) fn decline(&mut self, offers: &Offers, refuse_seconds: Option<f64>) {
        for (framework, by_role) in offers {
            for (agent, offered) in by_role.values().flatten() {
                self.give_back(framework, agent, offered, refuse_seconds);
            }
        }
    }

    /// An offer, or what is left of it, comes back.
    pub(crate) fn give_back(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        offered: &Resources,
        refuse_seconds: Option<f64>,
    ) {
        let filters = refuse_seconds.map(|seconds| v1::Filters { refuse_seconds: Some(seconds) });
        let filters = filters.as_ref();
        let given_back = self.core.recover_resources(framework, agent, offered, filters, false, self.now);
        given_back.expect("it was offered");
        if let Some(model) = &mut self.model {
            model.recover_resources(framework, agent, offered, filters, false, self.now);
        }
    }

    /// Prints what cycles took: the core's figures are given, the model's were noted.
    pub(crate) fn report_model(&self, report: &mut Report, what: &str, core: &[f64]) {
        let (core, model) = (median(core), median(&self.model_took));
        report.figure(&format!("slow model, {what}"), model, "ms", Target::None);
        report.figure(&format!("core, {what}"), core, "ms", Target::None);
        report.figure(&format!("slow model for each core, {what}"), model / core, "times", Target::None);
    }
}

/// A few cycles of core and model with everything given back in between: medians.
pub(crate) fn beside_the_model(report: &mut Report, what: &str, mut cluster: Cluster) {
    let core: Vec<f64> = (0..3).map(|_| cluster.cycle_and_back()).collect();
    cluster.report_model(report, what, &core);
}

pub(crate) fn milliseconds(began: std::time::Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// How many offers a run made.
pub(crate) fn count(offers: &Offers) -> usize {
    offers.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
}

/// `1,000 x 200`
pub(crate) fn size(agents: usize, frameworks: usize) -> String {
    format!("{} x {}", thousands(agents), thousands(frameworks))
}

/// `10,000`
pub(crate) fn thousands(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}
