//! The command `simulate`: runs many seeds, or one with its trace, and shrinks what fails.

use std::collections::BTreeMap;
#[cfg(feature = "sabotage")]
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::plan::{KINDS, Planned, Size, draw};
use super::{Outcome, run};

/// Prints a line. A reader that has seen enough (`| head`) has gone: what cannot be shown is not shown.
macro_rules! say {
    ($($text:tt)*) => { show(&format!("{}\n", format_args!($($text)*))) };
}

const USAGE: &str = "\
usage: simulate [--seeds N] [--first N] [--seed N [--trace] [--log LEVEL]] [--shrink N] [--size M,A,F,T] [--jobs N] [--calm] [--sabotage BUG]
  --seeds N        run until every kind of fault has happened in so many runs (100)
  --first N        the first of them (0)
  --seed N         run this one and print its faults
  --trace          print everything that happened in it
  --log LEVEL      print what its processes log: ERROR, WARN, INFO or DEBUG
  --shrink N       after a failure, run it up to N times more to find the faults that are needed (0)
  --size M,A,F,T   masters, agents, frameworks and tasks (3,20,5,200)
  --jobs N         so many runs side by side (one for each core)
  --calm           without faults
  --sabotage BUG   with a deliberate mistake; with 'all' each in turn, until a seed finds it (needs the feature sabotage)";

/// The most runs side by side.
const MAX_JOBS: usize = 256;
/// How often to say how far it is.
const PROGRESS: u64 = 100;

/// Prints text as it is. See `say!`.
fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

struct Arguments {
    first: u64,
    seeds: u64,
    single: bool,
    trace: bool,
    calm: bool,
    sabotage: Option<String>,
    log: Option<tracing::Level>,
    shrink: usize,
    size: Size,
    jobs: usize,
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        first: 0,
        seeds: 100,
        single: false,
        trace: false,
        calm: false,
        sabotage: None,
        log: None,
        shrink: 0,
        size: Size::default(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let mut value = || given.clone().or_else(|| arguments.next()).ok_or(format!("{name} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{name}: '{text}' is not a number"));
        match name.as_str() {
            "--seeds" => parsed.seeds = number(value()?)?,
            "--first" => parsed.first = number(value()?)?,
            "--seed" => {
                parsed.first = number(value()?)?;
                (parsed.seeds, parsed.single, parsed.jobs) = (1, true, 1);
            }
            "--trace" => parsed.trace = true,
            "--calm" => parsed.calm = true,
            "--sabotage" if cfg!(feature = "sabotage") => parsed.sabotage = Some(value()?),
            "--sabotage" => return Err("--sabotage: build with --features sabotage".to_owned()),
            "--log" => {
                let level = value()?;
                let known = level.parse();
                parsed.log = Some(known.map_err(|_| format!("--log: '{level}' is not a level"))?);
            }
            "--shrink" => parsed.shrink = usize::try_from(number(value()?)?).unwrap_or(usize::MAX),
            "--jobs" => {
                parsed.jobs = usize::try_from(number(value()?)?).unwrap_or(usize::MAX).clamp(1, MAX_JOBS)
            }
            "--size" => parsed.size = size(&value()?)?,
            _ => return Err(format!("unknown argument '{name}'")),
        }
    }
    Ok(parsed)
}

fn size(text: &str) -> Result<Size, String> {
    let numbers: Option<Vec<usize>> = text.split(',').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[masters, agents, frameworks, tasks]) if masters * agents * frameworks > 0 && agents < 250 => {
            Ok(Size { masters, agents, frameworks, tasks, ..Size::default() })
        }
        _ => Err(format!(
            "--size: '{text}' is not M,A,F,T (at least 1 master, agent and framework, less than 250 agents)"
        )),
    }
}

/// Does what the arguments say; fails if a run did, or if too few runs had every kind of fault.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(level) = arguments.log {
        tracing_subscriber::fmt().without_time().with_max_level(level).with_writer(std::io::stdout).init();
    }
    #[cfg_attr(not(feature = "sabotage"), allow(unused_mut, reason = "there are no mistakes to make"))]
    let mut mistake: Mistake = None;
    #[cfg(feature = "sabotage")]
    if let Some(name) = &arguments.sabotage {
        if name == "all" {
            return sabotage(&arguments);
        }
        let Some(bug) = mesos::sabotage::Bug::named(name) else {
            eprintln!("--sabotage: '{name}' is none of {:?}", mesos::sabotage::Bug::ALL);
            return ExitCode::from(2);
        };
        mistake = Some(bug);
        // For what is run once more to shrink it.
        mesos::sabotage::make(mistake);
    }
    let report = simulate(&arguments, mistake);
    show(&report.text());
    let enough = arguments.calm || arguments.single || report.counted >= arguments.seeds;
    if report.failed.is_empty() && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes each mistake in turn until an invariant finds it that is meant to; each invariant must find one.
#[cfg(feature = "sabotage")]
fn sabotage(arguments: &Arguments) -> ExitCode {
    use super::invariant::Invariant;
    use super::mistakes::meant_for;
    use mesos::sabotage::Bug;

    let mut idle: BTreeSet<Invariant> = Invariant::ALL.into();
    let mut all_found = true;
    for bug in Bug::ALL {
        let mut others = 0;
        let mut found = None;
        run_all(arguments, Some(bug), |seed, outcome| {
            if let Some(failure) = outcome.failure {
                if meant_for(bug).contains(&failure.invariant) {
                    found = Some((seed, failure));
                } else {
                    say!("    seed {seed} noticed {bug:?} otherwise: {failure}");
                    others += 1;
                }
            }
            found.is_none() && seed + 1 < arguments.first + arguments.seeds
        });
        match found {
            Some((seed, failure)) => {
                say!("{bug:?} was found by seed {seed}: {failure}");
                idle.remove(&failure.invariant);
            }
            None => {
                say!("{bug:?} WAS NOT FOUND by {} seeds ({others} noticed something)", arguments.seeds);
                all_found = false;
            }
        }
    }
    for invariant in &idle {
        say!("{invariant:?} FOUND NO MISTAKE");
    }
    if all_found && idle.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What became of many runs.
#[derive(Debug, Default)]
pub struct Report {
    /// Those that failed, and why.
    pub failed: BTreeMap<u64, String>,
    /// Those in which every kind of fault happened.
    pub counted: u64,
    /// All.
    pub runs: u64,
    /// Everything that was counted, summed up.
    pub counts: BTreeMap<&'static str, u64>,
    /// In how many runs a kind of fault did not happen.
    absent: BTreeMap<&'static str, u64>,
    events: u64,
    well: Duration,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        self.events += outcome.events;
        let absent = outcome.absent();
        self.counted += u64::from(absent.is_empty());
        for kind in absent {
            *self.absent.entry(kind).or_default() += 1;
        }
        for (what, times) in &outcome.counts {
            *self.counts.entry(what).or_default() += times;
        }
        if let Some(failure) = &outcome.failure {
            self.failed.insert(seed, failure.to_string());
        }
        self.well = self.well.max(outcome.well_at.unwrap_or_default());
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, times) in &self.counts {
            let kind = match (KINDS.contains(what), self.absent.get(what)) {
                (false, _) => String::new(),
                (true, None) => "fault".to_owned(),
                (true, Some(runs)) => format!("fault, in all runs but {runs}"),
            };
            text += &format!("{times:>10}  {what:<40} {kind}\n");
        }
        text += &format!(
            "{} runs, {} failed, every kind of fault happened in {}; {} events; all well by {:?} at the latest\n",
            self.runs,
            self.failed.len(),
            self.counted,
            self.events,
            self.well
        );
        for (seed, failure) in &self.failed {
            text += &format!("seed {seed} FAILED: {failure}\n");
        }
        text
    }
}

#[cfg(feature = "sabotage")]
type Mistake = Option<mesos::sabotage::Bug>;
/// There are none.
#[cfg(not(feature = "sabotage"))]
type Mistake = Option<std::convert::Infallible>;

/// Runs one seed after the other, several side by side, and hands the outcomes over in their order, until `wants_more`
/// says that it has enough.
fn run_all(arguments: &Arguments, mistake: Mistake, mut wants_more: impl FnMut(u64, Outcome) -> bool) {
    let last = arguments.first + if arguments.single { 1 } else { 2 * arguments.seeds };
    let (next, enough) = (AtomicU64::new(arguments.first), AtomicBool::new(false));
    let work = |done: mpsc::Sender<(u64, Outcome)>| {
        #[cfg(feature = "sabotage")]
        mesos::sabotage::make(mistake);
        let _ = mistake;
        while !enough.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                return;
            }
            let outcome = run(seed, arguments.size, &faults_of(seed, arguments), arguments.trace);
            if done.send((seed, outcome)).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let (done, outcomes) = mpsc::channel();
        for _ in 0..arguments.jobs {
            let done = done.clone();
            let work = &work;
            scope.spawn(move || work(done));
        }
        drop(done);
        let (mut early, mut due) = (BTreeMap::new(), arguments.first);
        for (seed, outcome) in outcomes {
            early.insert(seed, outcome);
            while let Some(outcome) = early.remove(&due) {
                if !wants_more(due, outcome) {
                    enough.store(true, Ordering::Relaxed);
                    return;
                }
                due += 1;
            }
        }
    });
}

fn faults_of(seed: u64, arguments: &Arguments) -> Vec<Planned> {
    if arguments.calm { Vec::new() } else { draw(seed, &arguments.size) }
}

fn simulate(arguments: &Arguments, mistake: Mistake) -> Report {
    let mut report = Report::default();
    // A run without some kind of fault proves less than it should: another takes its place.
    let wanted = |report: &Report| {
        let counted = if arguments.calm || arguments.single { report.runs } else { report.counted };
        counted < arguments.seeds && report.runs < 2 * arguments.seeds
    };
    if arguments.single {
        faults_of(arguments.first, arguments).iter().for_each(|fault| say!("{fault}"));
    }
    if !wanted(&report) {
        return report;
    }
    run_all(arguments, mistake, |seed, outcome| {
        show(&outcome.trace);
        if let Some(failure) = &outcome.failure {
            say!("seed {seed} FAILED: {failure}");
            if arguments.shrink > 0 {
                say!("what it needs to fail:");
                shrunk(seed, arguments, &faults_of(seed, arguments)).iter().for_each(|fault| say!("{fault}"));
            }
        }
        report.add(seed, &outcome);
        if report.runs.is_multiple_of(PROGRESS) {
            say!("{} runs, {} failed", report.runs, report.failed.len());
        }
        wanted(&report)
    });
    report
}

fn shrunk(seed: u64, arguments: &Arguments, faults: &[Planned]) -> Vec<Planned> {
    libprocess::simulation::shrink(faults, arguments.shrink, |faults| {
        run(seed, arguments.size, faults, false).failure.is_some()
    })
}
