//! The [`Ledger`]: which pieces of work are waiting, which are with a task, and what came back.
//!
//! Pure. It is what a framework of independent tasks needs to survive lost tasks and lost messages:
//! a piece is done when its task has *finished* and its result is known, from a framework message or
//! from the last status update, whichever arrives. A task that ends otherwise gives its piece back,
//! a bounded number of times. Each try is a new task with a new id, so what an old one still sends
//! cannot be mistaken for the new one's.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use mesos::{
    tasks::is_terminal,
    v1::{self, TaskState},
};
use thiserror::Error;

use crate::progress::Tally;

/// How often a framework asks for the states of its living tasks. A launch may have died with a master, and what became
/// of an agent may have been said while nobody was subscribed: only who asks is told, and a new master does not know
/// before the agent has registered again.
pub const ASK_EVERY: Duration = Duration::from_secs(30);
/// So many tasks may fail at one piece of work before it is given up.
pub const MAX_ATTEMPTS: u32 = 5;

/// Pieces of work of type `W`, each with a result of type `R`.
#[derive(Debug)]
pub struct Ledger<W, R> {
    name: &'static str,
    pieces: Vec<Piece<W, R>>,
    waiting: VecDeque<usize>,
    /// The living tasks, by id.
    tasks: BTreeMap<String, Task<R>>,
    retries: usize,
    by_message: usize,
}

#[derive(Debug)]
struct Piece<W, R> {
    work: W,
    attempts: u32,
    result: Option<R>,
}

#[derive(Debug)]
struct Task<R> {
    piece: usize,
    agent: v1::AgentId,
    running: bool,
    /// What a message brought before the task's end.
    result: Option<R>,
}

/// Work that cannot be done.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// Too many tasks failed at one piece.
    #[error("task '{task}' ended in {state} after {attempts} attempts: {message}")]
    Attempts {
        /// The last one.
        task: String,
        /// Its state.
        state: &'static str,
        /// How many there were.
        attempts: u32,
        /// What the last update said.
        message: String,
    },
    /// A task's message and its last update bring different results.
    #[error("task '{0}' sent two different results")]
    Disagreement(String),
}

impl<W, R: Clone + PartialEq> Ledger<W, R> {
    /// A ledger of waiting pieces; `name` begins the ids of their tasks.
    pub fn new(name: &'static str, work: impl IntoIterator<Item = W>) -> Self {
        let pieces: Vec<_> = work.into_iter().map(|work| Piece { work, attempts: 0, result: None }).collect();
        let waiting = (0..pieces.len()).collect();
        Ledger { name, pieces, waiting, tasks: BTreeMap::new(), retries: 0, by_message: 0 }
    }

    /// Whether there is work without a task.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives the next waiting piece to a task on this agent.
    pub fn assign(&mut self, agent: &v1::AgentId) -> Option<(v1::TaskId, &W)> {
        let index = self.waiting.pop_front()?;
        let piece = &mut self.pieces[index];
        piece.attempts += 1;
        let id = format!("{}-{index}-{}", self.name, piece.attempts);
        let task = Task { piece: index, agent: agent.clone(), running: false, result: None };
        self.tasks.insert(id.clone(), task);
        Some((v1::TaskId { value: id }, &piece.work))
    }

    /// A framework message brought a task's result. Messages of tasks that are not alive are ignored.
    ///
    /// # Errors
    /// When the task has sent another result before.
    pub fn result(&mut self, task: &str, result: R) -> Result<(), Failure> {
        let Some(found) = self.tasks.get_mut(task) else { return Ok(()) };
        match &found.result {
            Some(before) if *before != result => Err(Failure::Disagreement(task.into())),
            Some(_) => Ok(()),
            None => {
                self.by_message += 1;
                found.result = Some(result);
                Ok(())
            }
        }
    }

    /// A status update, with the result that it carries, if any. Updates of tasks that are not alive
    /// are ignored: every update may come more than once.
    ///
    /// # Errors
    /// When the piece has been tried too often, or the results disagree.
    pub fn update(&mut self, status: &v1::TaskStatus, result: Option<R>) -> Result<(), Failure> {
        let id = &status.task_id.value;
        if !self.tasks.contains_key(id) {
            return Ok(());
        }
        let state = status.state();
        match state {
            TaskState::TaskRunning => self.tasks.entry(id.clone()).and_modify(|task| task.running = true),
            _ if !is_terminal(state) => return Ok(()),
            TaskState::TaskFinished => return self.finished(id, result, status),
            _ => return self.retry(id, status),
        };
        Ok(())
    }

    fn finished(&mut self, id: &str, result: Option<R>, status: &v1::TaskStatus) -> Result<(), Failure> {
        let by_message = self.tasks.get(id).and_then(|task| task.result.clone());
        let result = match (by_message, result) {
            (Some(one), Some(other)) if one != other => return Err(Failure::Disagreement(id.into())),
            (one, other) => one.or(other),
        };
        // Finished, and neither way brought a result: it is as good as failed.
        let Some(result) = result else { return self.retry(id, status) };
        if let Some(task) = self.tasks.remove(id) {
            self.pieces[task.piece].result = Some(result);
        }
        Ok(())
    }

    fn retry(&mut self, id: &str, status: &v1::TaskStatus) -> Result<(), Failure> {
        let Some(task) = self.tasks.remove(id) else { return Ok(()) };
        let attempts = self.pieces[task.piece].attempts;
        if attempts >= MAX_ATTEMPTS {
            return Err(Failure::Attempts {
                task: id.into(),
                state: status.state().as_str_name(),
                attempts,
                message: status.message.clone().unwrap_or_else(|| "no reason was given".into()),
            });
        }
        self.retries += 1;
        self.waiting.push_back(task.piece);
        Ok(())
    }

    /// The living tasks and their agents, for reconciliation.
    pub fn alive(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        let tasks = self.tasks.iter();
        tasks.map(|(id, task)| (v1::TaskId { value: id.clone() }, Some(task.agent.clone()))).collect()
    }

    /// All results in the order of the work, once they are all there.
    pub fn results(&self) -> Option<Vec<&R>> {
        self.pieces.iter().map(|piece| piece.result.as_ref()).collect()
    }

    /// How many results a framework message brought (the others came with a status update).
    pub fn by_message(&self) -> usize {
        self.by_message
    }

    /// Where the work stands.
    pub fn tally(&self) -> Tally {
        let running = self.tasks.values().filter(|task| task.running).count();
        Tally {
            waiting: self.waiting.len(),
            staging: self.tasks.len() - running,
            running,
            done: self.pieces.iter().filter(|piece| piece.result.is_some()).count(),
            total: self.pieces.len(),
            retries: self.retries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> v1::AgentId {
        v1::AgentId { value: "agent".into() }
    }

    fn status(task: &str, state: TaskState) -> v1::TaskStatus {
        let task_id = v1::TaskId { value: task.into() };
        v1::TaskStatus { task_id, state: state.into(), message: Some("why".into()), ..Default::default() }
    }

    fn ledger() -> Ledger<u32, u32> {
        let mut ledger = Ledger::new("t", [10]);
        let (id, work) = ledger.assign(&agent()).unwrap();
        assert_eq!((id.value.as_str(), *work), ("t-0-1", 10));
        ledger
    }

    #[test]
    fn a_result_counts_once_its_task_has_finished() {
        let mut ledger = ledger();
        ledger.result("t-0-1", 7).unwrap();
        assert_eq!(ledger.results(), None);
        ledger.update(&status("t-0-1", TaskState::TaskFinished), None).unwrap();
        assert_eq!(ledger.results(), Some(vec![&7]));
        assert_eq!(ledger.by_message(), 1);
    }

    #[test]
    fn a_lost_message_costs_nothing_since_the_update_brings_the_result_too() {
        let mut ledger = ledger();
        ledger.update(&status("t-0-1", TaskState::TaskFinished), Some(7)).unwrap();
        assert_eq!(ledger.results(), Some(vec![&7]));
        assert_eq!(ledger.by_message(), 0);
    }

    #[test]
    fn a_task_that_finished_without_any_result_is_tried_again() {
        let mut ledger = ledger();
        ledger.update(&status("t-0-1", TaskState::TaskFinished), None).unwrap();
        assert_eq!(ledger.results(), None);
        assert_eq!(ledger.assign(&agent()).unwrap().0.value, "t-0-2");
    }

    #[test]
    fn what_an_old_task_sends_late_is_ignored() {
        let mut ledger = ledger();
        ledger.update(&status("t-0-1", TaskState::TaskLost), None).unwrap();
        ledger.assign(&agent()).unwrap();
        ledger.result("t-0-1", 1).unwrap();
        ledger.update(&status("t-0-1", TaskState::TaskFinished), Some(1)).unwrap();
        assert_eq!(ledger.results(), None);
        ledger.update(&status("t-0-2", TaskState::TaskFinished), Some(2)).unwrap();
        assert_eq!(ledger.results(), Some(vec![&2]));
    }

    #[test]
    fn updates_may_come_twice() {
        let mut ledger = ledger();
        for _ in 0..2 {
            ledger.update(&status("t-0-1", TaskState::TaskRunning), None).unwrap();
            assert_eq!(ledger.tally().running, 1);
        }
        for _ in 0..2 {
            ledger.update(&status("t-0-1", TaskState::TaskFailed), None).unwrap();
            assert_eq!((ledger.tally().waiting, ledger.tally().retries), (1, 1));
        }
    }

    #[test]
    fn work_at_which_five_tasks_fail_is_given_up_with_the_reason() {
        let mut ledger = ledger();
        for attempt in 1..MAX_ATTEMPTS {
            ledger.update(&status(&format!("t-0-{attempt}"), TaskState::TaskFailed), None).unwrap();
            ledger.assign(&agent()).unwrap();
        }
        let error = ledger.update(&status("t-0-5", TaskState::TaskFailed), None).unwrap_err();
        assert_eq!(error.to_string(), "task 't-0-5' ended in TASK_FAILED after 5 attempts: why");
    }

    #[test]
    fn two_different_results_of_one_task_are_an_error() {
        let mut ledger = ledger();
        ledger.result("t-0-1", 1).unwrap();
        assert_eq!(ledger.result("t-0-1", 2), Err(Failure::Disagreement("t-0-1".into())));
        let finished = ledger.update(&status("t-0-1", TaskState::TaskFinished), Some(2));
        assert_eq!(finished, Err(Failure::Disagreement("t-0-1".into())));
    }

    #[test]
    fn the_tally_adds_up() {
        let mut ledger = Ledger::<_, u32>::new("t", 0..3);
        ledger.assign(&agent()).unwrap();
        let (id, _) = ledger.assign(&agent()).unwrap();
        ledger.update(&status(&id.value, TaskState::TaskRunning), None).unwrap();
        let Tally { waiting, staging, running, done, total, .. } = ledger.tally();
        assert_eq!([waiting, staging, running, done, total], [1, 1, 1, 0, 3]);
        assert_eq!(ledger.alive().len(), 2);
    }
}
