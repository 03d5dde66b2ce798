//! A whole cluster on one thread, in virtual time, from a seed: masters, agents and schedulers as they are, on a network
//! that breaks, with hosts that lose power, an election and a registry that fail. While things go wrong, what must hold
//! is checked whenever anything has happened; then everything is mended, and the cluster must become well again.
//!
//! | module | what is there |
//! |---|---|
//! | [`plan`] | what goes wrong, and when |
//! | [`cluster`] | the processes |
//! | [`configuration`] | their settings |
//! | [`faults`] | how things go wrong, and are mended |
//! | [`containers`] | the agents' hosts, and executors |
//! | [`workload`] | the frameworks |
//! | [`launching`] | what they make of what they are offered |
//! | [`calls`] | what they say beside what they make of offers and updates |
//! | [`reserving`] | what they reserve, and the volumes that they create |
//! | [`driver`] | one of them speaks the first API |
//! | [`operator`] | who sets quotas and weights, reserves disk, ends frameworks, and asks for a role that there is not |
//! | [`caretaker`] | who drains agents, deactivates them, marks them gone, and says which may be offered |
//! | [`whitelist`] | the file in which it says so, and what must hold of it |
//! | [`machines`] | how it has machines maintained |
//! | [`listener`] | an operator who listens to what happens |
//! | [`reader`] | an operator who reads what there is to be read |
//! | [`readings`] | what it is told, and whether that agrees with itself |
//! | [`decisions`] | what the first two decide, and how they ask for it |
//! | [`registry`] | the storage that the masters share |
//! | [`ledger`] | what was reserved and created, as those who asked for it were told |
//! | [`invariant`] | what must hold, by name |
//! | [`mistakes`] | which of them finds which deliberate mistake |
//! | [`truth`] | what really happened, and what must never happen |
//! | [`command`] | the program `simulate` |
//! | [`checks`] | what must hold in the masters' books |
//! | [`beliefs`] | for how long the leader may be wrong about an agent |
//! | [`well`] | what must hold at the end |
//! | [`absences`] | what must hold of frameworks whose schedulers stay away |
//! | [`acknowledged`] | what must hold of the registry and what was told of it |
//! | [`offers`] | what must hold of every offer |
//!
//! Made up are what is below the sockets and below the disk, the election, the registry's storage, containers, and what
//! tasks do.

pub mod absences;
pub mod acknowledged;
pub mod beliefs;
pub mod calls;
pub mod caretaker;
pub mod checks;
pub mod cluster;
pub mod command;
pub mod configuration;
pub mod containers;
pub mod decisions;
pub mod driver;
pub mod faults;
pub mod invariant;
pub mod launching;
pub mod ledger;
pub mod listener;
pub mod machines;
pub mod mistakes;
pub mod offers;
pub mod operator;
pub mod plan;
pub mod reader;
pub mod readings;
pub mod registry;
pub mod reserving;
pub mod truth;
pub mod well;
pub mod whitelist;
pub mod workload;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use libprocess::simulation::{Network, Weather};
use tokio::time::sleep;

use self::cluster::Cluster;
use self::invariant::{Invariant, Violation};
use self::plan::{KINDS, Planned, Size};
use self::well::unwell;

/// How often it is looked at whether everything is well again.
const LOOK: Duration = Duration::from_secs(5);

/// So many things that are not well in the end are said.
const SAID: usize = 8;

/// What became of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Two runs with the same digest were the same.
    pub digest: u64,
    /// Things that arrived, were lost, and so on.
    pub events: u64,
    /// What happened, line by line, if it was asked for.
    pub trace: String,
    /// Faults, deliveries, and what else was counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// What was wrong, if anything was.
    pub failure: Option<Violation>,
    /// When everything was well, since the beginning.
    pub well_at: Option<Duration>,
}

impl Outcome {
    /// The kinds of faults that did not happen. A run with any proves less than it should.
    pub fn absent(&self) -> Vec<&'static str> {
        KINDS.into_iter().filter(|kind| !self.counts.contains_key(kind)).collect()
    }
}

/// Runs the cluster of a seed, with these faults. The trace is kept if `traced` says so.
pub fn run(seed: u64, size: Size, faults: &[Planned], traced: bool) -> Outcome {
    let network = Rc::new(RefCell::new(None));
    let (kept, faults) = (Rc::clone(&network), faults.to_vec());
    let ran = catch_unwind(AssertUnwindSafe(|| {
        libprocess::simulation::run(async move {
            let network = Network::new(mix(seed, 0), Weather::default(), traced);
            *kept.borrow_mut() = Some(network.clone());
            simulate(seed, size, &faults, &network).await
        })
    }));
    let mut outcome = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
        Outcome { failure: Some(Violation::new(Invariant::NothingPanics, text)), ..Outcome::default() }
    });
    if let Some(network) = network.borrow_mut().take() {
        network.with_trace(|trace| {
            outcome.digest = trace.digest();
            outcome.events = trace.count();
            outcome.trace = trace.text();
        });
        outcome.counts.extend(network.counts());
    }
    outcome
}

async fn simulate(seed: u64, size: Size, faults: &[Planned], network: &Network) -> Outcome {
    let cluster = Cluster::new(seed, size, network);
    let watched = Rc::clone(&cluster);
    network.drive(move || {
        let cluster = Rc::clone(&watched);
        async move { cluster.checks.lock().await.look(&cluster).await }.boxed_local()
    });
    cluster.start().await;
    cluster.start_operators([4, 5, 6, 7].map(|purpose| mix(seed, purpose)));
    for planned in faults {
        sleep(planned.at.saturating_sub(network.elapsed())).await;
        network.note(planned.to_string().trim_start().to_owned());
        cluster.inflict(&planned.fault).await;
        if !cluster.truth.violations().is_empty() {
            break;
        }
    }
    if cluster.truth.violations().is_empty() {
        sleep(size.trouble.saturating_sub(network.elapsed())).await;
    }
    cluster.heal();
    let mut left = unwell(&cluster).await;
    let mut well_at = None;
    while network.elapsed() < size.end && cluster.truth.violations().is_empty() {
        sleep(LOOK).await;
        left = unwell(&cluster).await;
        well_at = if left.is_empty() { well_at.or_else(|| Some(network.elapsed())) } else { None };
    }
    let violations = cluster.truth.violations();
    let failure = match (violations.first(), left.first()) {
        (Some(violation), _) => Some(violation.clone()),
        (None, Some(first)) => {
            let said: Vec<&str> = left.iter().take(SAID).map(|violation| violation.text.as_str()).collect();
            let more = left.len() - said.len();
            let more = if more > 0 { format!("; and {more} things more") } else { String::new() };
            Some(Violation::new(first.invariant, format!("not well in the end: {}{more}", said.join("; "))))
        }
        (None, None) => None,
    };
    Outcome { counts: cluster.truth.counts(), failure, well_at, ..Outcome::default() }
}

/// A seed of its own for each purpose.
fn mix(seed: u64, purpose: u64) -> u64 {
    // SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    let mut z = seed.wrapping_add(purpose.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
