//! The simulated cluster: small ones here, in this profile; many of full size by `./test` with the program `simulate`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use integration::simulation::plan::{Fault, Planned, Size, TIMED_OUT, Who, draw};
use integration::simulation::{Outcome, run};

/// In so many runs, at most, everything is done that may be done.
const SEEDS: u64 = 60;

fn small() -> Size {
    Size {
        masters: 3,
        agents: 3,
        frameworks: 5,
        tasks: 20,
        trouble: Duration::from_secs(3 * 60),
        end: Duration::from_secs(8 * 60),
    }
}

/// But for the tasks of frameworks that end, of executors that were told to end when a task was on its way to them, of offers
/// that the master had taken back then, and of machines that are taken down: so in the first runs without those.
#[test]
fn a_calm_cluster_runs_every_task_once() {
    let ends =
        ["frameworks torn down by themselves", "frameworks torn down by the operator", "machines down"];
    let outcomes = (0..40).map(|seed| run(seed, small(), &[], false));
    let is_quiet = |outcome: &Outcome| ends.iter().all(|end| !outcome.counts.contains_key(end));
    let quiet: Vec<Outcome> = outcomes.filter(is_quiet).take(4).collect();
    assert_eq!(quiet.len(), 4);
    for outcome in &quiet {
        assert_eq!(outcome.failure, None);
        let counted = |what| outcome.counts.get(what).copied().unwrap_or_default();
        let dropped =
            counted("tasks that came when their executor ended") + counted("tasks on offers that were void");
        assert_eq!(counted("tasks started") + dropped, 20);
        // Nothing comes again but what was not acknowledged, and what is under way when its framework describes itself anew:
        // the agents, which are told, do not wait any longer then.
        let (again, withheld) = (counted("updates delivered again"), counted("acknowledgements withheld"));
        let described = counted("frameworks described anew");
        assert!(withheld > 0);
        assert!((withheld..=withheld + described).contains(&again), "{withheld}, {again}, {described}");
    }
    // What is looked at is there to be seen.
    for what in [
        "quotas",
        "weights",
        "books compared",
        "offers within a limit",
        "agents drained",
        "agents reactivated",
        "task groups",
    ] {
        assert!(
            quiet.iter().any(|outcome| outcome.counts.get(what).is_some_and(|count| *count > 0)),
            "{what}"
        );
    }
}

#[test]
fn small_clusters_get_well_again_whatever_happens() {
    for seed in 0..3 {
        let outcome = run(seed, small(), &draw(seed, &small()), false);
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert!(outcome.well_at.is_some());
    }
}

/// Each thing that frameworks and operators may do beside the usual is done in some run.
#[test]
fn whatever_may_be_done_is_done() {
    let mut missing = BTreeSet::from([
        TIMED_OUT,
        "frameworks with a brief failover time-out",
        "subscriptions with suppressed roles",
        "subscriptions with offer constraints",
        "frameworks that gave up a role",
        "offers answered together",
        "offers taken back that were kept",
        "tasks on offers that were void",
        "tasks that take time to be killed",
        "tasks with a volume",
        "tasks that share a volume with another",
        "volumes in use that were not destroyed",
        "reservations refined",
        "reservations refined by the operator",
        "signs of life",
        "reads that were led on",
    ]);
    let size = Size { trouble: Size::default().trouble, end: Size::default().end, tasks: 40, ..small() };
    for seed in 0..SEEDS {
        let outcome = run(seed, size, &draw(seed, &size), false);
        assert_eq!(outcome.failure, None, "seed {seed}");
        missing.retain(|what| !outcome.counts.contains_key(what));
        if missing.is_empty() {
            return;
        }
    }
    panic!("{missing:?}");
}

/// As a whole, and neither earlier nor later than it has said.
#[test]
fn a_framework_whose_scheduler_stays_away_is_over() {
    let away = Fault::Desert(0, Duration::from_secs(5));
    let planned = Planned { at: Duration::from_secs(20), fault: away };
    let outcome = run(4, small(), &[planned], false);
    assert_eq!(outcome.failure, None);
    assert!(outcome.counts.contains_key(TIMED_OUT), "{:?}", outcome.counts);
    assert!(outcome.counts["frameworks that began anew"] > 0);
}

#[test]
fn what_does_not_get_well_is_said() {
    // There is no master for longer than the run lasts.
    let size = Size { masters: 1, end: Duration::from_secs(200), ..small() };
    let crash = Fault::Crash(Who::Leader, Duration::from_secs(3600));
    let outcome = run(1, size, &[Planned { at: Duration::from_secs(60), fault: crash }], true);
    let failure = outcome.failure.unwrap().to_string();
    assert!(failure.contains("0 masters lead"), "{failure}");
    assert!(outcome.trace.contains("the leader crashes"), "{}", outcome.trace);
    assert_eq!(outcome.counts["master crashed"], 1);
}

/// Not only within a process: what differs between processes (the seeds of hash maps, addresses) must not show.
#[test]
fn a_seed_gives_the_same_trace_byte_for_byte() {
    let trace = |seed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
        let output = command.args(["--size", "3,4,3,20", "--trace", "--seed", seed]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        output.stdout
    };
    let (once, again, other) = (trace("5"), trace("5"), trace("6"));
    assert!(once.len() > 100_000);
    assert!(once == again, "the traces of one seed differ");
    assert!(once != other);
}

#[test]
fn arguments_that_are_none_are_refused() {
    for (arguments, said) in [
        (&["--seeds", "many"][..], "--seeds: 'many' is not a number"),
        (&["--size", "1,2"], "M,A,F,T"),
        (&["--seed"], "--seed needs a value"),
        (&["--frobnicate"], "unknown argument '--frobnicate'"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_simulate")).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2));
        assert!(text.contains(said) && text.contains("usage: simulate"), "{text}");
    }
}
