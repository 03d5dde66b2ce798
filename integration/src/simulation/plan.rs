//! What goes wrong in a run, and when: drawn from the seed, but a list of its own, so that it can be printed, replayed,
//! and shrunk to what is needed.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

/// How many of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Masters.
    pub masters: usize,
    /// Agents.
    pub agents: usize,
    /// Frameworks.
    pub frameworks: usize,
    /// Tasks, of all frameworks.
    pub tasks: usize,
    /// For how long things go wrong.
    pub trouble: Duration,
    /// When everything must be well again.
    pub end: Duration,
}

impl Default for Size {
    /// What the simulated cluster's speed is measured with.
    fn default() -> Size {
        Size {
            masters: 3,
            agents: 20,
            frameworks: 5,
            tasks: 200,
            trouble: Duration::from_secs(6 * 60),
            end: Duration::from_secs(10 * 60),
        }
    }
}

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Whoever leads at that time.
    Leader,
    /// A master, by number.
    Master(usize),
    /// An agent.
    Agent(usize),
    /// A scheduler.
    Scheduler(usize),
}

/// Which way nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Neither.
    Both,
    /// To it.
    In,
    /// From it.
    Out,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Connections between two processes break.
    Break(Who, Who),
    /// A host is cut off from all others for so long.
    Isolate(Who, Way, Duration),
    /// Nothing passes between the hosts of two processes for so long.
    Cut(Who, Who, Way, Duration),
    /// A process dies, and is there again after so long.
    Crash(Who, Duration),
    /// One of the executors on an agent's host dies.
    CrashExecutor(usize),
    /// An agent's host loses its power for so long.
    PowerLoss(usize, Duration),
    /// A process does not reach the election for so long.
    Session(Who, Duration),
    /// The registry fails the next time that it is used.
    Registry,
    /// An agent's disk fails for so long.
    Disk(usize, Duration),
    /// The network is slow for so long.
    Storm(Duration),
}

/// When what goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Since the beginning.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

/// The kinds of faults that a run must have seen to count, as they are called in the counts.
pub const KINDS: [&str; 14] = [
    "connections broken",
    "host isolated",
    "way cut in one direction",
    "way cut in both directions",
    "master crashed",
    "agent crashed",
    "scheduler crashed",
    "executor crashed",
    "power lost",
    "session interrupted",
    "session expired",
    "disk failed",
    "storm",
    "registry failed",
];

/// Faults of every kind, some twice, in random order and at random times.
pub fn draw(seed: u64, size: &Size) -> Vec<Planned> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut faults: Vec<Fault> = (0..KINDS.len()).map(|kind| of_kind(kind, size, &mut random)).collect();
    for _ in 0..random.random_range(4..=12) {
        let kind = random.random_range(0..KINDS.len());
        faults.push(of_kind(kind, size, &mut random));
    }
    faults.shuffle(&mut random);
    let trouble = u64::try_from(size.trouble.as_millis()).unwrap_or(u64::MAX);
    let mut planned: Vec<Planned> = faults
        .into_iter()
        .map(|fault| Planned { at: Duration::from_millis(random.random_range(20_000..trouble)), fault })
        .collect();
    planned.sort_by_key(|planned| planned.at);
    planned
}

fn of_kind(kind: usize, size: &Size, random: &mut SmallRng) -> Fault {
    let agent = random.random_range(0..size.agents);
    let scheduler = random.random_range(0..size.frameworks);
    let master = random.random_range(0..size.masters);
    let anybody = [
        Who::Leader,
        Who::Leader,
        Who::Master(master),
        Who::Agent(agent),
        Who::Agent(agent),
        Who::Scheduler(scheduler),
    ];
    let one = *anybody.choose(random).unwrap_or(&Who::Leader);
    let client = if random.random() { Who::Agent(agent) } else { Who::Scheduler(scheduler) };
    let one_way = if random.random() { Way::In } else { Way::Out };
    let brief = Duration::from_millis(random.random_range(200..8_000));
    let long = Duration::from_millis(random.random_range(12_000..150_000));
    let some = if random.random() { brief } else { long };
    let down = Duration::from_millis(random.random_range(300..40_000));
    match kind {
        0 => Fault::Break(client, Who::Leader),
        1 => Fault::Isolate(one, if random.random() { Way::Both } else { one_way }, some),
        2 => Fault::Cut(client, Who::Leader, one_way, long),
        3 => Fault::Cut(client, Who::Leader, Way::Both, some),
        4 => Fault::Crash(Who::Leader, down),
        5 => Fault::Crash(Who::Agent(agent), down),
        6 => Fault::Crash(Who::Scheduler(scheduler), down),
        7 => Fault::CrashExecutor(agent),
        8 => Fault::PowerLoss(agent, down),
        9 => Fault::Session(one, brief),
        10 => Fault::Session(Who::Leader, long),
        11 => Fault::Disk(agent, brief),
        12 => Fault::Storm(long.min(Duration::from_secs(60))),
        _ => Fault::Registry,
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Leader => f.write_str("the leader"),
            Who::Master(number) => write!(f, "m{number}"),
            Who::Agent(number) => write!(f, "a{number}"),
            Who::Scheduler(number) => write!(f, "s{number}"),
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7}.{:03}  ", self.at.as_secs(), self.at.subsec_millis())?;
        let way = |way: &Way| match way {
            Way::Both => "in both directions",
            Way::In => "inwards",
            Way::Out => "outwards",
        };
        match &self.fault {
            Fault::Break(one, other) => write!(f, "connections between {one} and {other} break"),
            Fault::Isolate(who, which, long) => write!(f, "{who} is cut off {} for {long:?}", way(which)),
            Fault::Cut(one, other, which, long) => {
                write!(f, "{one} is cut off from {other} {} for {long:?}", way(which))
            }
            Fault::Crash(who, down) => write!(f, "{who} crashes, back after {down:?}"),
            Fault::CrashExecutor(agent) => write!(f, "an executor on a{agent} crashes"),
            Fault::PowerLoss(agent, down) => write!(f, "a{agent} loses power for {down:?}"),
            Fault::Session(who, long) => write!(f, "{who} does not reach the election for {long:?}"),
            Fault::Registry => f.write_str("the registry fails once"),
            Fault::Disk(agent, long) => write!(f, "the disk of a{agent} fails for {long:?}"),
            Fault::Storm(long) => write!(f, "the network is slow for {long:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_same_for_a_seed_and_has_every_kind() {
        let size = Size::default();
        for seed in 0..50 {
            let plan = draw(seed, &size);
            assert_eq!(plan, draw(seed, &size));
            assert!(plan.len() > KINDS.len());
            assert!(plan.windows(2).all(|two| two[0].at <= two[1].at));
            assert!(plan.iter().all(|planned| planned.at < size.trouble));
            assert!(plan.iter().any(|planned| matches!(planned.fault, Fault::PowerLoss(..))));
            assert!(plan.iter().any(|planned| planned.fault == Fault::Registry));
        }
        assert_ne!(draw(1, &size), draw(2, &size));
    }
}
