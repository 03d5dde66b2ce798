//! Judges what happened in a cluster under fire. Pure: it compares what frameworks were told, in the order in which
//! they were ([`Record`]), with what their tasks did ([`Ran`]), what agents promised ([`Promise`]) and what still runs
//! when everything has been mended.
//!
//! The rules:
//!
//! - A task is started once.
//! - What a framework is told of a task, update for update (those with a uuid), goes forward: starting, running, killing,
//!   one end. A repetition has the uuid of the update that came last; nothing else follows an end, but that an agent, when
//!   its master asks for a task that it has dropped and since forgotten, says so under a new uuid.
//! - An agent's promises are kept: each arrives, in the order in which the agent made them.
//! - In the end each task that was launched is over, and its framework knows.
//! - An end for good is true: a task does nothing after its framework was told of it, and one that finished has run.
//!   TASK_LOST from a master is not for good: without PARTITION_AWARE it is also said of tasks on agents that may come
//!   back, and are killed then (upstream: `partition_tests.cpp`). But in the end they must not run.
//! - What a master says by itself (without a uuid) is what it knows at that moment. That it knows nothing of a task, or
//!   has lost sight of it, it may also say of one whose end its framework was told of and has not acknowledged yet
//!   (upstream: `Master::__removeSlave`). Of a task of which no update has come through, it tells what the agent said when
//!   it registered, to who asks, and because an unreachable agent is back (upstream: `Master::reconcile`,
//!   `Master::__reregisterSlave`): the updates, in order, come afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::journal::{self, Record, Told};
use super::promises::Promise;
use super::task::Ran;

/// All that is known of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The journals of the frameworks.
    pub journals: Vec<Vec<Record>>,
    /// What tasks did, by id.
    pub ran: BTreeMap<String, Ran>,
    /// What agents promised, by task.
    pub promises: BTreeMap<String, Vec<Promise>>,
    /// The tasks that run although no framework has a living task any more.
    pub running: BTreeSet<String>,
}

/// What must not happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// An update came that should have come before another, or not at all.
    OutOfOrder(String),
    /// A task is gone, or an update, and nobody was told; or somebody was told what is not true.
    Lost(String),
    /// A task was started more than once.
    RunTwice(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, what) = match self {
            Self::OutOfOrder(what) => ("out of order", what),
            Self::Lost(what) => ("lost", what),
            Self::RunTwice(what) => ("run twice", what),
        };
        write!(formatter, "{kind}: {what}")
    }
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Tasks that were launched.
    pub launched: usize,
    /// Tasks that their frameworks were told had finished.
    pub finished: usize,
    /// Updates that came again, with the same uuid.
    pub repeated: usize,
    /// Promises of agents that were looked up.
    pub promised: usize,
    /// What must be none.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// How many violations of a kind there are: out of order, lost, run twice.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for violation in &self.violations {
            let kind = match violation {
                Violation::OutOfOrder(_) => 0,
                Violation::Lost(_) => 1,
                Violation::RunTwice(_) => 2,
            };
            counts[kind] += 1;
        }
        counts
    }
}

/// Judges.
pub fn judge(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    for (task, ran) in &history.ran {
        if ran.started.len() > 1 {
            let times = format!("{task} was started at {:?}", ran.started);
            verdict.violations.push(Violation::RunTwice(times));
        }
    }
    let none = Ran::default();
    for journal in &history.journals {
        for (task, told) in by_task(journal) {
            verdict.launched += 1;
            let case = Case {
                task,
                told: &told,
                ran: history.ran.get(task).unwrap_or(&none),
                promises: history.promises.get(task).map_or(&[], Vec::as_slice),
                running: history.running.contains(task),
            };
            case.judge(&mut verdict);
        }
    }
    verdict
}

/// What the framework was told of each task that it launched.
fn by_task(journal: &[Record]) -> BTreeMap<&str, Vec<&Told>> {
    let mut tasks: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for record in journal {
        match record {
            Record::Launched { task, .. } => drop(tasks.entry(task).or_default()),
            Record::Told(told) => tasks.entry(&told.task).or_default().push(told),
            Record::Subscribed { .. } | Record::Done { .. } => {}
        }
    }
    tasks
}

/// One task.
struct Case<'a> {
    task: &'a str,
    told: &'a [&'a Told],
    ran: &'a Ran,
    promises: &'a [Promise],
    running: bool,
}

impl Case<'_> {
    fn judge(&self, verdict: &mut Verdict) {
        let updates = self.updates(verdict);
        self.promises_are_kept(&updates, verdict);
        self.an_end_is_true(verdict);
        self.all_is_known(verdict);
    }

    /// The updates with a uuid as they came first; they must go forward, and none may come back.
    fn updates(&self, verdict: &mut Verdict) -> Vec<&Told> {
        let mut updates: Vec<&Told> = Vec::new();
        for told in self.told.iter().filter(|told| told.uuid.is_some()) {
            let known = updates.iter().position(|update| update.uuid == told.uuid);
            match (known, updates.last()) {
                (Some(place), _) if place + 1 == updates.len() => verdict.repeated += 1,
                (Some(_), Some(last)) => self.out_of_order(verdict, told, "came again after", last),
                (_, Some(last)) if rank(&told.state) <= rank(&last.state) && !is_absent_again(last, told) => {
                    self.out_of_order(verdict, told, "came after", last);
                    updates.push(told);
                }
                _ => updates.push(told),
            }
        }
        updates
    }

    fn out_of_order(&self, verdict: &mut Verdict, told: &Told, how: &str, last: &Told) {
        let text = format!(
            "{}: {} ({}) {how} {} ({})",
            self.task,
            told.state,
            told.uuid.as_deref().unwrap_or("no uuid"),
            last.state,
            last.uuid.as_deref().unwrap_or("no uuid")
        );
        verdict.violations.push(Violation::OutOfOrder(text));
    }

    fn lost(&self, verdict: &mut Verdict, what: &str) {
        let states: Vec<&str> = self.told.iter().map(|told| told.state.as_str()).collect();
        let text = format!("{}: {what}; told {states:?}; {:?}", self.task, self.ran);
        verdict.violations.push(Violation::Lost(text));
    }

    /// Each promise arrived, and in order.
    fn promises_are_kept(&self, updates: &[&Told], verdict: &mut Verdict) {
        let mut place = 0;
        for promise in self.promises {
            verdict.promised += 1;
            let found = updates.iter().position(|told| told.uuid.as_deref() == Some(&promise.uuid));
            match found {
                None => self.lost(verdict, &format!("{} was promised and not told", promise.state)),
                Some(found) if found < place => {
                    let text = format!("{}: {} was promised before others", self.task, promise.state);
                    verdict.violations.push(Violation::OutOfOrder(text));
                }
                Some(found) => place = found + 1,
            }
        }
    }

    /// An end is the only one, nothing follows it but what a master cannot know, the task does nothing more, and has run
    /// if it finished.
    fn an_end_is_true(&self, verdict: &mut Verdict) {
        let Some(place) = self.told.iter().position(|told| is_for_good(told)) else { return };
        let end = self.told[place];
        for told in &self.told[place + 1..] {
            // Where both have a uuid they were looked at before.
            let seen = told.uuid.is_some() && end.uuid.is_some();
            if !seen && !may_follow(end, told) {
                self.out_of_order(verdict, told, "came after", end);
            }
        }
        let acts = self.ran.started.iter().chain(&self.ran.ended);
        if acts.clone().any(|at| *at > end.at) {
            self.lost(verdict, &format!("it went on after {} was told at {}", end.state, end.at));
        }
        if end.state == "TASK_FINISHED" {
            verdict.finished += 1;
            if self.ran.ended.is_empty() {
                self.lost(verdict, "it finished and has not run");
            }
        }
    }

    /// In the end it does not run, and its framework knows.
    fn all_is_known(&self, verdict: &mut Verdict) {
        if self.running {
            self.lost(verdict, "it runs, and its framework has given it up");
        }
        match self.told.last() {
            None => self.lost(verdict, "its framework never heard of it again"),
            Some(_) if self.told.iter().any(|told| is_for_good(told)) => {}
            Some(last) if journal::gives_up(&last.state) => {}
            Some(last) => self.lost(verdict, &format!("its framework still believes in {}", last.state)),
        }
    }
}

/// How far a task is.
fn rank(state: &str) -> u8 {
    match state {
        "TASK_STAGING" => 0,
        "TASK_STARTING" => 1,
        "TASK_RUNNING" => 2,
        "TASK_KILLING" => 3,
        _ => 4,
    }
}

/// Whether a framework may be told this after it was told of that end, where one of both is only what a master says.
fn may_follow(end: &Told, told: &Told) -> bool {
    let ends = journal::gives_up(&told.state);
    // A master that sees nothing.
    let unseen = told.uuid.is_none() && (ends || told.state == "TASK_UNREACHABLE");
    // A master has heard from the agent how the task ended; the updates lag behind.
    let ahead = end.uuid.is_none() && is_hearsay(end) && !ends;
    // The master's word and the agent's for a task that is not there.
    let absent = is_absent(&end.state) && is_absent(&told.state);
    told.state == end.state || unseen || ahead || absent
}

/// How a master answers who asks for a task that it knows (`master/src/calls/reconcile.rs`; upstream's words).
const LATEST: &str = "Reconciliation: Latest task state";

/// Whether an agent says once more, asked by its master, that a task is not there: that it was dropped is on no disk.
fn is_absent_again(last: &Told, told: &Told) -> bool {
    is_absent(&last.state)
        && is_absent(&told.state)
        && told.reason.as_deref() == Some("REASON_RECONCILIATION")
}

/// Whether a master only tells what the agent said when it registered: to who asks, or because the agent is back.
fn is_hearsay(told: &Told) -> bool {
    told.message.as_deref() == Some(LATEST) || told.reason.as_deref() == Some("REASON_AGENT_REREGISTERED")
}

/// Whether it says that a task is not there, rather than how it ended.
fn is_absent(state: &str) -> bool {
    matches!(state, "TASK_DROPPED" | "TASK_GONE" | "TASK_GONE_BY_OPERATOR" | "TASK_LOST" | "TASK_UNKNOWN")
}

/// Whether it is an end that cannot be taken back: not where a master only lost sight of the task.
fn is_for_good(told: &Told) -> bool {
    let lost_sight = matches!(told.state.as_str(), "TASK_LOST" | "TASK_UNKNOWN") && told.uuid.is_none();
    journal::gives_up(&told.state) && !lost_sight
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instead of a uuid: a master that knows the task was asked.
    const KNOWN: &str = "known";

    /// A task that was started at 10 s and ended at 20 s, with what its framework was told at these times.
    fn history(told: &[(f64, &str, &str)]) -> History {
        let launched = Record::Launched { at: 0.0, task: "t".into(), agent: "a".into() };
        let told = told.iter().map(|(at, state, uuid)| {
            Record::Told(Told {
                at: *at,
                task: "t".into(),
                state: (*state).into(),
                uuid: (!uuid.is_empty() && *uuid != KNOWN).then(|| (*uuid).into()),
                message: (*uuid == KNOWN).then(|| LATEST.into()),
                ..Default::default()
            })
        });
        History {
            journals: vec![std::iter::once(launched).chain(told).collect()],
            ran: BTreeMap::from([("t".into(), Ran { started: vec![10.0], ended: vec![20.0] })]),
            ..Default::default()
        }
    }

    const GOOD: [(f64, &str, &str); 3] =
        [(9.0, "TASK_STARTING", "1"), (11.0, "TASK_RUNNING", "2"), (21.0, "TASK_FINISHED", "3")];

    /// [`GOOD`] with this at the end.
    fn then(last: (f64, &'static str, &'static str)) -> History {
        history(&[&GOOD[..], &[last]].concat())
    }

    fn found(history: &History) -> [usize; 3] {
        judge(history).counts()
    }

    const NOTHING: [usize; 3] = [0, 0, 0];
    const OUT_OF_ORDER: [usize; 3] = [1, 0, 0];
    const LOST: [usize; 3] = [0, 1, 0];
    const RUN_TWICE: [usize; 3] = [0, 0, 1];

    #[test]
    fn a_task_that_went_well_is_well() {
        let verdict = judge(&history(&GOOD));
        assert_eq!(verdict, Verdict { launched: 1, finished: 1, ..Default::default() });
    }

    #[test]
    fn an_update_may_be_repeated() {
        let verdict = judge(&then((22.0, "TASK_FINISHED", "3")));
        assert_eq!((verdict.repeated, verdict.counts()), (1, NOTHING));
    }

    #[test]
    fn an_agent_that_returns_may_bring_its_tasks_back() {
        let told = [(11.0, "TASK_RUNNING", "2"), (12.0, "TASK_UNREACHABLE", ""), (13.0, "TASK_RUNNING", "")];
        assert_eq!(found(&history(&[&told[..], &GOOD[2..]].concat())), NOTHING);
        // Of a framework that is not partition-aware they are killed.
        let told = [(11.0, "TASK_RUNNING", "2"), (12.0, "TASK_LOST", ""), (21.0, "TASK_KILLED", "3")];
        assert_eq!(found(&history(&told)), NOTHING);
    }

    #[test]
    fn a_master_may_not_know_a_task_that_is_over() {
        assert_eq!(found(&then((22.0, "TASK_GONE", ""))), NOTHING);
        assert_eq!(found(&then((22.0, "TASK_UNREACHABLE", ""))), NOTHING);
    }

    #[test]
    fn a_master_may_know_of_an_end_before_its_update_arrives() {
        let told = [(20.5, "TASK_FINISHED", KNOWN), GOOD[0], GOOD[1], GOOD[2]];
        assert_eq!(found(&history(&told)), NOTHING);
        // But it knows which end.
        let told = [(20.5, "TASK_FAILED", KNOWN), GOOD[0], GOOD[1], GOOD[2]];
        assert_eq!(found(&history(&told)), OUT_OF_ORDER);
    }

    #[test]
    fn a_launch_that_was_lost_is_told_of_by_the_master_and_by_the_agent() {
        let mut history = history(&[(9.0, "TASK_GONE", ""), (9.5, "TASK_DROPPED", "1")]);
        history.ran.clear();
        assert_eq!(found(&history), NOTHING);
    }

    #[test]
    fn a_task_may_be_dropped_again_when_the_master_asks() {
        let mut history = history(&[(9.0, "TASK_DROPPED", "1"), (9.5, "TASK_DROPPED", "2")]);
        history.ran.clear();
        assert_eq!(found(&history), OUT_OF_ORDER);
        if let Some(Record::Told(told)) = history.journals[0].last_mut() {
            told.reason = Some("REASON_RECONCILIATION".into());
        }
        assert_eq!(found(&history), NOTHING);
    }

    #[test]
    fn a_task_that_never_started_may_be_dropped() {
        let mut history = history(&[(9.0, "TASK_DROPPED", "")]);
        history.ran.clear();
        assert_eq!(found(&history), NOTHING);
    }

    #[test]
    fn a_task_that_is_started_again_is_found() {
        let mut history = history(&GOOD);
        history.ran.entry("t".into()).or_default().started.push(15.0);
        assert_eq!(found(&history), RUN_TWICE);
    }

    #[test]
    fn an_update_that_goes_back_is_found() {
        let told = [GOOD[1], GOOD[0], GOOD[2]];
        assert_eq!(found(&history(&told)), OUT_OF_ORDER);
    }

    #[test]
    fn an_old_update_that_comes_again_is_found() {
        let told = [GOOD[0], GOOD[1], GOOD[0], GOOD[2]];
        assert_eq!(found(&history(&told)), OUT_OF_ORDER);
    }

    #[test]
    fn an_update_that_comes_again_under_another_uuid_is_found() {
        let told = [GOOD[1], (12.0, "TASK_RUNNING", "9"), GOOD[2]];
        assert_eq!(found(&history(&told)), OUT_OF_ORDER);
    }

    #[test]
    fn a_second_end_is_found() {
        assert_eq!(found(&then((22.0, "TASK_FAILED", "4"))), OUT_OF_ORDER);
    }

    #[test]
    fn life_after_an_end_is_found() {
        assert_eq!(found(&then((22.0, "TASK_RUNNING", ""))), OUT_OF_ORDER);
        // TASK_GONE came by itself; the update of the running task follows it.
        let told = [(9.0, "TASK_GONE", ""), (11.0, "TASK_RUNNING", "2")];
        let mut history = history(&told);
        history.ran.clear();
        assert_eq!(found(&history), OUT_OF_ORDER);
    }

    #[test]
    fn a_task_that_goes_on_after_its_end_was_told_is_found() {
        assert_eq!(found(&history(&[(15.0, "TASK_FAILED", "1")])), LOST);
        assert_eq!(found(&history(&[(9.0, "TASK_DROPPED", "")])), LOST);
    }

    #[test]
    fn a_task_that_finished_without_running_is_found() {
        let mut history = history(&GOOD);
        history.ran.clear();
        assert_eq!(found(&history), LOST);
    }

    #[test]
    fn a_task_that_nobody_mentions_any_more_is_found() {
        assert_eq!(found(&history(&[])), LOST);
        assert_eq!(found(&history(&GOOD[..2])), LOST);
        assert_eq!(found(&history(&[(12.0, "TASK_UNREACHABLE", "")])), LOST);
    }

    #[test]
    fn a_task_that_runs_on_behind_its_frameworks_back_is_found() {
        let mut history = history(&[(12.0, "TASK_LOST", "")]);
        history.running.insert("t".into());
        assert_eq!(found(&history), LOST);
    }

    fn promise(uuid: &str, state: &str) -> Promise {
        Promise { uuid: uuid.into(), state: state.into() }
    }

    #[test]
    fn a_promise_that_is_kept_is_well() {
        let mut history = history(&GOOD);
        let promises = GOOD.iter().map(|(_, state, uuid)| promise(uuid, state)).collect();
        history.promises.insert("t".into(), promises);
        let verdict = judge(&history);
        assert_eq!((verdict.promised, verdict.counts()), (3, NOTHING));
    }

    #[test]
    fn a_promise_that_is_broken_is_found() {
        let mut history = history(&GOOD);
        history.promises.insert("t".into(), vec![promise("2", "TASK_RUNNING"), promise("7", "TASK_KILLING")]);
        assert_eq!(found(&history), LOST);
    }

    #[test]
    fn promises_that_are_kept_in_another_order_are_found() {
        let mut history = history(&GOOD);
        let promises = vec![promise("2", "TASK_RUNNING"), promise("1", "TASK_STARTING")];
        history.promises.insert("t".into(), promises);
        assert_eq!(found(&history), OUT_OF_ORDER);
    }
}
