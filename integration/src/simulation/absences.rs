//! What must hold of frameworks whose schedulers stay away from a master (part of
//! [`Invariant::NothingVanishes`]): each has its failover time-out to come back, no less and no more, and then it is
//! over as a whole: its tasks count as killed, nothing is held or offered for it, and it is not taken back (part of
//! [`Invariant::GoneStaysGone`]).
//!
//! The next leader does not know that. It takes the framework back if its scheduler or an agent that has not heard of its
//! end comes with it; of a framework that no scheduler has subscribed with it waits for one for ever.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use master::cluster::{Connection, Framework, Snapshot};
use mesos::tasks::is_terminal;
use mesos::{FrameworkId, TaskId};

use super::checks::UNSEEN;
use super::cluster::Cluster;
use super::invariant::Invariant;
use super::plan::TIMED_OUT;

/// When a scheduler went and when a framework ended is not known better than that.
const ABOUT: Duration = Duration::from_secs(1);

/// What one master's books held when they were looked at last.
#[derive(Default)]
pub struct Absences {
    /// Which life of the master it was.
    master: String,
    looked: Duration,
    frameworks: BTreeMap<FrameworkId, Known>,
}

/// A framework of a master.
struct Known {
    framework: Arc<Framework>,
    /// If its scheduler is away.
    away: Option<Away>,
}

#[derive(Clone, Copy)]
struct Away {
    /// Which of its absences it is: when the scheduler had subscribed before it.
    after: SystemTime,
    /// Since when at the earliest: it was not yet when the master was looked at before.
    since: Duration,
    /// Since when the master has not stood still meanwhile.
    steadily: Duration,
}

impl Absences {
    /// Looks at the books of the master at this address.
    pub fn look(&mut self, cluster: &Cluster, master: SocketAddr, snapshot: &Snapshot, now: Duration) {
        if self.master != snapshot.master.info.id {
            *self = Absences { master: snapshot.master.info.id.clone(), ..Absences::default() };
        }
        let looked = std::mem::replace(&mut self.looked, now);
        let stood_still = now - looked > UNSEEN;
        let mut before = std::mem::take(&mut self.frameworks);
        for (id, framework) in snapshot.frameworks.iter() {
            let known = before.remove(id).and_then(|known| known.away);
            let away = (framework.connection == Connection::Disconnected).then(|| {
                let new = Away { after: framework.reregistered, since: looked, steadily: now };
                let away = known.filter(|known| known.after == framework.reregistered).unwrap_or(new);
                Away { steadily: if stood_still { now } else { away.steadily }, ..away }
            });
            let timeout = framework.failover_timeout();
            if away.is_some_and(|away| now - away.steadily > timeout.saturating_add(ABOUT)) {
                let text = format!("the scheduler of {id} is away from {master} for longer than {timeout:?}");
                cluster.truth.violation(Invariant::NothingVanishes, text);
            }
            self.frameworks.insert(id.clone(), Known { framework: Arc::clone(framework), away });
        }
        for known in before.into_values() {
            let away = now - known.away.map_or(looked, |away| away.since);
            ended(cluster, master, snapshot, &known.framework, away);
        }
        // One that came and ended since the last look was never seen here (seed 330152: its time-out was 0).
        for over in snapshot.completed_frameworks.iter() {
            if snapshot.frameworks.contains_key(&over.id) {
                let text = format!("framework {} is over for {master}, and is there again", over.id);
                cluster.truth.violation(Invariant::GoneStaysGone, text);
            }
            if !cluster.truth.may_be_over(&over.id) {
                timed_out(cluster, &over.id);
            }
        }
    }

    /// This master has ended since it was looked at. What it did last, nobody saw: it may have ended a framework whose time
    /// was up in the same instant (found with seed 422238, where the end of a framework made its agent empty, and the
    /// master failed to store that it is drained).
    pub fn end(&mut self, cluster: &Cluster, now: Duration) {
        let Absences { looked, frameworks, .. } = std::mem::take(self);
        // While it was frozen any scheduler may have gone.
        let stood_still = (now - looked > UNSEEN).then_some(looked);
        for (id, Known { framework, away }) in frameworks {
            let Some(since) = away.map(|away| away.since).or(stood_still) else { continue };
            let waits_for_ever = framework.connection == Connection::Recovered;
            if !waits_for_ever && now - since >= framework.failover_timeout() {
                over(cluster, &id);
            }
        }
    }
}

/// A framework is not there any more, whose scheduler was away for so long at most.
fn ended(
    cluster: &Cluster,
    master: SocketAddr,
    snapshot: &Snapshot,
    framework: &Framework,
    was_away: Duration,
) {
    let id = &framework.id;
    if let Some(wrong) = left_of(snapshot, framework) {
        let text = format!("framework {id} is over for {master}, and {wrong}");
        cluster.truth.violation(Invariant::NothingVanishes, text);
    }
    if cluster.truth.is_torn(id) {
        return;
    }
    // It may have said otherwise just before it went.
    let over = snapshot.completed_frameworks.iter().find(|over| over.id == *id);
    let timeout = over.map_or(framework.failover_timeout(), |over| over.failover_timeout());
    if was_away + ABOUT < timeout {
        let text = format!(
            "framework {id} is over for {master}: its scheduler was away for {was_away:?} of {timeout:?}"
        );
        cluster.truth.violation(Invariant::NothingVanishes, text);
    }
    timed_out(cluster, id);
}

/// A master has ended a framework whose scheduler stayed away.
fn timed_out(cluster: &Cluster, id: &FrameworkId) {
    cluster.truth.count(TIMED_OUT);
    over(cluster, id);
}

/// For some master a framework is over, or may be: nobody is told any more what becomes of its tasks.
fn over(cluster: &Cluster, id: &FrameworkId) {
    cluster.truth.times_out(id);
    let mut books = cluster.books().map(|(book, _)| book.lock());
    if let Some(book) = books.find(|book| book.framework.as_ref() == Some(id)) {
        book.tasks.keys().for_each(|task| cluster.truth.abandoned(task));
    }
}

/// The first thing that is left of a framework that is over.
fn left_of(snapshot: &Snapshot, framework: &Framework) -> Option<String> {
    let id = &framework.id;
    let Some(over) = snapshot.completed_frameworks.iter().find(|over| over.id == *id) else {
        return Some("is not among those that are".to_owned());
    };
    let unfinished = |task: &TaskId| {
        let mut ended = over.completed_tasks.iter().filter(|ended| ended.id == *task);
        !ended.any(|ended| is_terminal(ended.state()))
    };
    let unreachable = framework.unreachable_tasks.iter().map(|task| &task.id);
    // The book is hashed.
    if let Some(task) = framework.tasks.keys().chain(unreachable).filter(|task| unfinished(task)).min() {
        return Some(format!("its task {task} is not"));
    }
    if !over.used.is_empty() || !over.offered.is_empty() || !over.executors.is_empty() {
        return Some(format!("holds {} and is offered {}", over.used, over.offered));
    }
    let holds = |agent: &master::cluster::Agent| {
        agent.used.contains_key(id)
            || agent.tasks.keys().any(|(of, _)| of == id)
            || agent.executors.keys().any(|(of, _)| of == id)
    };
    if let Some(agent) = snapshot.agents.values().find(|agent| holds(agent)) {
        return Some(format!("agent {} has something of it", agent.id));
    }
    let offer = snapshot.offers.values().find(|offer| offer.framework == *id);
    offer.map(|offer| format!("has the offer {}", offer.id))
}
