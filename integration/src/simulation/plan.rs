//! What goes wrong in a run, and when: drawn from the seed, but a list of its own, so that it can be printed, replayed,
//! and shrunk to what is needed.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::registry::When;

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
    /// For so long, connections that an agent opens to the leader break when something is said, and those that the leader
    /// opens do not; or the other way round. Where it is the agent's, its executors end at that time.
    Fragile(usize, Way, Duration),
    /// A host is cut off from all others for so long.
    Isolate(Who, Way, Duration),
    /// Nothing passes between the hosts of two processes for so long.
    Cut(Who, Who, Way, Duration),
    /// Several agents, from this one on, are cut off from the masters for so long, and the leader dies.
    Rack(usize, Duration),
    /// A process dies, and is there again after so long.
    Crash(Who, Duration),
    /// One of the executors on an agent's host dies.
    CrashExecutor(usize),
    /// An agent's host loses its power for so long.
    PowerLoss(usize, Duration),
    /// A process does not reach the election for so long.
    Session(Who, Duration),
    /// A process does nothing for so long, and goes on then, as if no time had passed.
    Freeze(Who, Duration),
    /// The registry fails the next time that it is used.
    Registry(When),
    /// The registry is slow for so long.
    SlowRegistry(Duration),
    /// The registry applies the next write twice.
    WriteTwice,
    /// The next write of the leader is so long under way that another one leads when it arrives.
    LateWrite,
    /// An agent dies when it has done so many steps more on its disk; or its host does.
    Checkpoint(usize, Step, Host, Duration),
    /// An agent's host is installed anew: what was the agent is another one, after so long.
    Reinstall(usize, Host, Duration),
    /// An agent is restarted with more resources after so long.
    Grow(usize, Duration),
    /// An agent is told to leave the cluster, and is started again when it has.
    Leave(usize),
    /// A second scheduler takes over from one that runs, which ends after so long if it is not told to.
    Failover(usize, Duration),
    /// A scheduler, from this one on, that has said that it will not be away for long is away for so much longer.
    Desert(usize, Duration),
    /// An agent's disk fails for so long.
    Disk(usize, Duration),
    /// The network is slow for so long.
    Storm(Duration),
}

/// Where a process dies that works on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// After so many steps.
    After(u64),
    /// Within the next step after so many that writes something.
    Within(u64),
}

/// What becomes of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// It runs on, and what is on it beside the agent.
    RunsOn,
    /// It loses its power.
    LosesPower,
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
pub const KINDS: [&str; 32] = [
    "connections broken",
    "connections broken in one direction",
    "host isolated",
    "way cut in one direction",
    "way cut in both directions",
    "rack lost",
    "master crashed",
    "agent crashed",
    "scheduler crashed",
    "executor crashed",
    "power lost",
    "session interrupted",
    "session expired",
    "leader frozen",
    "client frozen",
    "disk failed",
    "storm",
    "registry could not be read",
    "registry failed before a write",
    "registry failed within a batch",
    "registry failed after a write",
    "registry slow",
    "registry wrote twice",
    "write of a deposed leader",
    "crashed between two steps on the disk",
    "write torn",
    "agent returned as another",
    "agent returned with more resources",
    "agent left",
    "scheduler failed over",
    TIMED_OUT,
    "leader changed",
];

/// What is counted when a framework is over because its scheduler was away for too long.
pub const TIMED_OUT: &str = "framework timed out";

/// When faults begin, in milliseconds: when the first master has been elected, and the first agents register.
const BEGIN: u64 = 500;
/// How long before everything is mended connections begin to break in one direction.
const FRAGILE: Duration = Duration::from_secs(100);

impl Fault {
    /// How long before everything is mended it must begin, so that it is to somebody's harm.
    fn takes(&self) -> Duration {
        Duration::from_secs(match self {
            Fault::Rack(..) => 150,
            Fault::Freeze(..) | Fault::LateWrite | Fault::Registry(_) | Fault::WriteTwice => 50,
            Fault::Checkpoint(..) | Fault::SlowRegistry(_) => 50,
            Fault::Failover(..) | Fault::Desert(..) => 100,
            _ => 20,
        })
    }

    /// When it begins at the earliest, in milliseconds.
    fn earliest(&self, size: &Size) -> u64 {
        match self {
            // What it breaks is mended by the next leader, who is told everything: few are to follow.
            Fault::Fragile(..) => {
                u64::try_from(size.trouble.saturating_sub(FRAGILE).as_millis()).unwrap_or(BEGIN).max(BEGIN)
            }
            _ => BEGIN,
        }
    }

    /// Whether it waits by itself until it harms somebody.
    pub fn waits(&self) -> bool {
        matches!(
            self,
            Fault::Freeze(..)
                | Fault::Registry(_)
                | Fault::SlowRegistry(_)
                | Fault::WriteTwice
                | Fault::LateWrite
                | Fault::Disk(..)
                | Fault::Fragile(..)
                | Fault::Checkpoint(..)
                | Fault::Failover(..)
                | Fault::Desert(..)
        )
    }
}

/// The last of the kinds follows from others.
const DRAWN: usize = KINDS.len() - 1;

/// Faults of every kind, some twice, in random order and at random times.
pub fn draw(seed: u64, size: &Size) -> Vec<Planned> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut faults: Vec<Fault> = (0..DRAWN).map(|kind| of_kind(kind, size, &mut random)).collect();
    for _ in 0..random.random_range(4..=12) {
        let kind = random.random_range(0..DRAWN);
        faults.push(of_kind(kind, size, &mut random));
    }
    faults.shuffle(&mut random);
    let mut planned: Vec<Planned> = faults
        .into_iter()
        .map(|fault| {
            let latest = size.trouble.saturating_sub(fault.takes()).as_millis();
            let earliest = fault.earliest(size);
            let latest = u64::try_from(latest).unwrap_or(u64::MAX).max(earliest + 1);
            Planned { at: Duration::from_millis(random.random_range(earliest..latest)), fault }
        })
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
    let host = if random.random_range(0..3) == 0 { Host::LosesPower } else { Host::RunsOn };
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
        11 => Fault::Freeze(Who::Leader, long.min(Duration::from_secs(60))),
        12 => Fault::Freeze(client, long),
        13 => Fault::Disk(agent, brief),
        14 => Fault::Storm(long.min(Duration::from_secs(60))),
        15 => Fault::Registry(When::Reading),
        16 => Fault::Registry(When::Before),
        17 => Fault::Registry(When::After),
        18 => Fault::SlowRegistry(long.min(Duration::from_secs(45))),
        19 => Fault::WriteTwice,
        20 => Fault::LateWrite,
        21 => Fault::Checkpoint(agent, Step::After(random.random_range(0..20)), host, down),
        22 => Fault::Checkpoint(agent, Step::Within(random.random_range(0..20)), host, down),
        23 => Fault::Reinstall(agent, host, down),
        24 => Fault::Grow(agent, down),
        25 => Fault::Rack(agent, Duration::from_millis(random.random_range(120_000..150_000))),
        26 => Fault::Registry(When::Within),
        27 => Fault::Fragile(agent, if random.random_ratio(3, 4) { Way::Out } else { Way::In }, long),
        28 => Fault::Failover(scheduler, long),
        29 => Fault::Leave(agent),
        _ => Fault::Desert(scheduler, down),
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
            Fault::Fragile(agent, which, long) => {
                let executors = if *which == Way::Out { ", and its executors end" } else { "" };
                let which = way(which);
                write!(
                    f,
                    "connections of a{agent} and the leader break {which} for {long:?} when used{executors}"
                )
            }
            Fault::Isolate(who, which, long) => write!(f, "{who} is cut off {} for {long:?}", way(which)),
            Fault::Cut(one, other, which, long) => {
                write!(f, "{one} is cut off from {other} {} for {long:?}", way(which))
            }
            Fault::Crash(who, down) => write!(f, "{who} crashes, back after {down:?}"),
            Fault::CrashExecutor(agent) => write!(f, "an executor on a{agent} crashes"),
            Fault::PowerLoss(agent, down) => write!(f, "a{agent} loses power for {down:?}"),
            Fault::Session(who, long) => write!(f, "{who} does not reach the election for {long:?}"),
            Fault::Freeze(who, long) => write!(f, "{who} does nothing for {long:?}"),
            Fault::Rack(first, long) => {
                write!(
                    f,
                    "a{first} and those after it are cut off from the masters for {long:?}, the leader crashes"
                )
            }
            Fault::Registry(When::Within) => f.write_str("the registry fails once within a batch"),
            Fault::Registry(When::Reading) => f.write_str("the registry is not read once"),
            Fault::Registry(When::Before) => {
                f.write_str("the registry fails once, before it has done anything")
            }
            Fault::Registry(When::After) => {
                f.write_str("the registry fails once, when it has done what it should")
            }
            Fault::SlowRegistry(long) => write!(f, "the registry is slow for {long:?}"),
            Fault::WriteTwice => f.write_str("the registry writes twice"),
            Fault::LateWrite => f.write_str("a write of the leader comes too late"),
            Fault::Checkpoint(agent, step, host, down) => {
                let step = match step {
                    Step::After(steps) => format!("after {steps} steps on its disk"),
                    Step::Within(steps) => format!("within a write, after {steps} steps on its disk"),
                };
                write!(f, "{} {step}, back after {down:?}", dies(*agent, *host))
            }
            Fault::Reinstall(agent, host, down) => {
                write!(f, "{}, and comes back as another agent after {down:?}", dies(*agent, *host))
            }
            Fault::Grow(agent, down) => write!(f, "a{agent} ends, and has more resources after {down:?}"),
            Fault::Leave(agent) => write!(f, "a{agent} leaves the cluster, and comes back"),
            Fault::Failover(scheduler, long) => {
                write!(f, "s{scheduler} is replaced, and ends after {long:?}")
            }
            Fault::Desert(first, long) => {
                write!(f, "s{first} or one after it stays away for {long:?} longer than it may")
            }
            Fault::Disk(agent, long) => write!(f, "the disk of a{agent} fails for {long:?}"),
            Fault::Storm(long) => write!(f, "the network is slow for {long:?}"),
        }
    }
}

fn dies(agent: usize, host: Host) -> String {
    match host {
        Host::RunsOn => format!("a{agent} dies"),
        Host::LosesPower => format!("a{agent} dies with its host"),
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
            assert!(plan.iter().any(|planned| planned.fault == Fault::LateWrite));
        }
        assert_ne!(draw(1, &size), draw(2, &size));
    }
}
