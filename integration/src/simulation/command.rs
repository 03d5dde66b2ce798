//! The command `simulate`: runs many seeds, or one with its trace, and shrinks what fails.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use super::plan::{KINDS, Planned, Size, draw};
use super::{Outcome, run};

const USAGE: &str = "\
usage: simulate [--seeds N] [--first N] [--seed N [--trace] [--log LEVEL]] [--shrink N] [--size M,A,F,T] [--calm] [--sabotage BUG]
  --seeds N        run until every kind of fault has happened in so many runs (100)
  --first N        the first of them (0)
  --seed N         run this one and print its faults
  --trace          print everything that happened in it
  --log LEVEL      print what its processes log: ERROR, WARN, INFO or DEBUG
  --shrink N       after a failure, run it up to N times more to find the faults that are needed (0)
  --size M,A,F,T   masters, agents, frameworks and tasks (3,20,5,200)
  --calm           without faults
  --sabotage BUG   with a deliberate mistake; with 'all' each in turn, until a seed finds it (needs the feature sabotage)";

/// How often to say how far it is.
const PROGRESS: u64 = 100;

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
                (parsed.seeds, parsed.single) = (1, true);
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
    #[cfg(feature = "sabotage")]
    if let Some(name) = &arguments.sabotage {
        if name == "all" {
            return sabotage(&arguments);
        }
        let Some(bug) = mesos::sabotage::Bug::named(name) else {
            eprintln!("--sabotage: '{name}' is none of {:?}", mesos::sabotage::Bug::ALL);
            return ExitCode::from(2);
        };
        mesos::sabotage::make(Some(bug));
    }
    let report = simulate(&arguments);
    print!("{}", report.text());
    let enough = arguments.calm || arguments.single || report.counted >= arguments.seeds;
    if report.failed.is_empty() && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes each mistake in turn until it is found.
#[cfg(feature = "sabotage")]
fn sabotage(arguments: &Arguments) -> ExitCode {
    use mesos::sabotage::{Bug, make};
    let mut all_found = true;
    for bug in Bug::ALL {
        make(Some(bug));
        let mut seeds = arguments.first..arguments.first + arguments.seeds;
        let found = seeds.find_map(|seed| {
            let outcome = run(seed, arguments.size, &draw(seed, &arguments.size), false);
            outcome.failure.map(|failure| (seed, failure))
        });
        make(None);
        match found {
            Some((seed, failure)) => println!("{bug:?} was found by seed {seed}: {failure}"),
            None => {
                println!("{bug:?} WAS NOT FOUND by {} seeds", arguments.seeds);
                all_found = false;
            }
        }
    }
    if all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    events: u64,
    well: Duration,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        self.events += outcome.events;
        self.counted += u64::from(outcome.absent().is_empty());
        for (what, times) in &outcome.counts {
            *self.counts.entry(what).or_default() += times;
        }
        if let Some(failure) = &outcome.failure {
            self.failed.insert(seed, failure.clone());
        }
        self.well = self.well.max(outcome.well_at.unwrap_or_default());
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, times) in &self.counts {
            let kind = if KINDS.contains(what) { "fault" } else { "" };
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

fn simulate(arguments: &Arguments) -> Report {
    let mut report = Report::default();
    // A run without some kind of fault proves less than it should: another takes its place.
    let wanted = |report: &Report| {
        let counted = if arguments.calm || arguments.single { report.runs } else { report.counted };
        counted < arguments.seeds && report.runs < 2 * arguments.seeds
    };
    for seed in arguments.first.. {
        if !wanted(&report) {
            break;
        }
        let faults = if arguments.calm { Vec::new() } else { draw(seed, &arguments.size) };
        if arguments.single {
            faults.iter().for_each(|fault| println!("{fault}"));
        }
        let outcome = run(seed, arguments.size, &faults, arguments.trace);
        print!("{}", outcome.trace);
        if let Some(failure) = &outcome.failure {
            println!("seed {seed} FAILED: {failure}");
            if arguments.shrink > 0 {
                let needed = shrunk(seed, arguments, &faults);
                println!("what it needs to fail:");
                needed.iter().for_each(|fault| println!("{fault}"));
            }
        }
        report.add(seed, &outcome);
        if report.runs.is_multiple_of(PROGRESS) {
            println!("{} runs, {} failed", report.runs, report.failed.len());
        }
    }
    report
}

fn shrunk(seed: u64, arguments: &Arguments, faults: &[Planned]) -> Vec<Planned> {
    libprocess::simulation::shrink(faults, arguments.shrink, |faults| {
        run(seed, arguments.size, faults, false).failure.is_some()
    })
}
