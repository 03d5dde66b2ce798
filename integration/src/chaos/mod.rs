//! A cluster of real processes under fire: whatever dies, is stopped, cut off or full, in the end every task is over,
//! and its framework was told so, once, and in order.
//!
//! | file | what it has |
//! |---|---|
//! | [`ground`] | namespaces: hosts that can be cut off, disks that can be full |
//! | [`init`] | whoever ends is started again |
//! | [`store`] | ZooKeeper or etcd, three servers of it |
//! | [`cluster`] | three masters, five agents, three frameworks |
//! | [`scheduler`], `scheduler.py` | the frameworks: on our library, and on PyMesos |
//! | [`task`] | what their tasks do, and where that is seen |
//! | [`journal`] | what the frameworks were told |
//! | [`promises`] | what agents promised to deliver |
//! | [`faults`] | what happens to whom, and when |
//! | [`checker`] | what must hold |
//!
//! `integration/tests/chaos.rs` runs it.

pub mod checker;
pub mod cluster;
pub mod faults;
pub mod ground;
pub mod init;
pub mod journal;
pub mod promises;
pub mod scheduler;
pub mod store;
pub mod task;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use checker::{History, Verdict, judge};
use cluster::{Cluster, Programs};
use faults::{Counts, Shown};
use ground::Ground;
use store::Store;
use tokio::time::Instant;

use crate::wait;

/// Prints a line, also where the output of tests is captured: what such a test counts is its result.
pub fn say(line: &str) {
    // A closed standard output is nobody's loss.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Set, if logs are to be kept of a run that went well, too.
const KEEP: &str = "MESOS_TEST_KEEP";

/// How many tasks must have finished for a run to count.
const TASKS: usize = 200;

/// How long it may go on without faults until so many have.
const PATIENCE: Duration = Duration::from_secs(120);

/// What happened in a run.
#[derive(Debug)]
pub struct Outcome {
    /// How often each kind of fault happened.
    pub faults: Counts,
    /// How often a master was elected after the first time.
    pub leader_changes: usize,
    /// How often a master ended because it led no longer.
    pub deposed: usize,
    /// How often a daemon was started again.
    pub restarts: usize,
    /// What became of the tasks.
    pub verdict: Verdict,
}

/// Starts a cluster behind this store, strikes at it for `time`, mends everything, waits until it is well, and judges.
///
/// # Panics
/// When it does not become well.
pub async fn run(
    mut ground: Ground,
    mut store: Store,
    programs: &Programs,
    seed: u64,
    time: Duration,
) -> Outcome {
    let url = store.url();
    let mut cluster = Cluster::start(&mut ground, &url);
    cluster.add_frameworks(&url, programs);
    let work = async {
        cluster.wait_for_agents().await;
        cluster.wait_for_frameworks().await;
        let faults = faults::rain(&cluster, &mut store, ground.is_divided(), seed, time).await;
        heal(&cluster).await;
        faults
    };
    let faults = tokio::select! {
        biased;
        () = cluster.init.watch() => Counts::new(),
        faults = work => faults,
    };
    let running = cluster.in_sandboxes();
    let (leader_changes, deposed) = (cluster.elections().saturating_sub(1), cluster.deposed());
    let restarts = cluster.init.restarts();
    cluster.init.end();
    let mut history =
        History { journals: cluster.journals(), ran: task::read(&cluster.ran), ..Default::default() };
    for agent in &cluster.agents {
        for (task, promises) in promises::read(&agent.work_dir) {
            history.promises.entry(task).or_default().extend(promises);
        }
    }
    history.running = running.iter().filter_map(|(_, folder)| task_of(folder)).collect();
    let verdict = judge(&history);
    if !verdict.violations.is_empty() || std::env::var_os(KEEP).is_some() {
        cluster.keep();
    }
    Outcome { faults, leader_changes, deposed, restarts, verdict }
}

/// Everything is mended: the cluster becomes well by itself.
async fn heal(cluster: &Cluster) {
    let began = Instant::now();
    cluster.wait_for_agents().await;
    wait::until_within(PATIENCE, &format!("{TASKS} tasks to finish"), async || {
        let finished = judge(&History { journals: cluster.journals(), ..Default::default() }).finished;
        if finished >= TASKS { Ok(()) } else { Err(format!("{finished} have")) }
    })
    .await;
    cluster.finish().await;
    cluster.wait_for_empty_books().await;
    // Executors end soon after the last acknowledgement. What does not end is judged, not waited for.
    let patience = Instant::now() + wait::PATIENCE / 2;
    while !cluster.in_sandboxes().is_empty() && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    say(&format!("everything was well {:.1} s after the last fault", began.elapsed().as_secs_f64()));
}

/// Whose sandbox it is: a command task's executor has the task's name.
fn task_of(sandbox: &Path) -> Option<String> {
    let parts: Vec<_> = sandbox.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let place = parts.iter().position(|part| part == "executors")?;
    parts.get(place + 1).map(ToString::to_string)
}

impl Outcome {
    /// What the test prints.
    pub fn summary(&self) -> String {
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, count)| format!("{} {count}", Shown(*fault))).collect();
        let [out_of_order, lost, run_twice] = self.verdict.counts();
        let Verdict { launched, finished, repeated, promised, .. } = self.verdict;
        format!(
            "faults: {}\nleader changes: {}; leaders that ended because they were deposed: {}; daemons started again: \
             {}\ntasks launched: {launched}, finished: \
             {finished}; updates that agents promised: {promised}, repeated: {repeated}\nupdates out of order: \
             {out_of_order}; tasks or updates lost: {lost}; tasks run twice: {run_twice}",
            faults.join(", "),
            self.leader_changes,
            self.deposed,
            self.restarts,
        )
    }

    /// Fails the test that something is wrong with.
    ///
    /// # Panics
    /// When there are violations, or a kind of fault has not happened.
    pub fn must_be_good(&self) {
        let violations: Vec<String> = self.verdict.violations.iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
        for (fault, count) in &self.faults {
            assert!(*count > 0, "the run does not count: no {} happened", Shown(*fault));
        }
        assert!(self.leader_changes > 0, "the run does not count: no leader changed");
        assert!(self.deposed > 0, "the run does not count: no leader ended because it was deposed");
        assert!(self.verdict.promised > 0, "the run does not count: agents' promises were not found");
    }
}
