//! The updates that the agent has not acknowledged, and the tasks of which it has acknowledged none: what a new
//! subscription begins with. What the agent has acknowledged it brings to the scheduler, whatever happens. Pure.
//!
//! Each task has few updates, and an agent acknowledges them one by one; a task is forgotten with
//! its first acknowledgement. So this is bounded by what the agent has launched.

use indexmap::IndexMap;
use libprocess::FixedState;
use mesos::v1::{
    self,
    executor::call::{Subscribe, Update},
};

/// What has not been acknowledged.
#[derive(Default)]
pub(super) struct Unacknowledged {
    tasks: IndexMap<String, v1::TaskInfo, FixedState>,
    /// By uuid, in the order of their making; with the connection on which they were sent.
    updates: IndexMap<Vec<u8>, (Update, u64), FixedState>,
}

impl Unacknowledged {
    pub(super) fn launched(&mut self, task: v1::TaskInfo) {
        self.tasks.insert(task.task_id.value.clone(), task);
    }

    /// Keeps an update that was sent on connection `epoch` (or could not be).
    pub(super) fn keep(&mut self, status: v1::TaskStatus, epoch: u64) {
        let uuid = status.uuid.clone().unwrap_or_default();
        self.updates.insert(uuid, (Update { status }, epoch));
    }

    /// Forgets an update, and that its task is new to the agent. `None` for one that is not known.
    pub(super) fn acknowledged(&mut self, uuid: &[u8]) -> Option<v1::TaskStatus> {
        let (update, _) = self.updates.shift_remove(uuid)?;
        self.tasks.shift_remove(&update.status.task_id.value);
        Some(update.status)
    }

    /// What connection `epoch` begins with.
    pub(super) fn subscribe(&mut self, epoch: u64) -> Subscribe {
        for (_, sent) in self.updates.values_mut() {
            *sent = epoch;
        }
        Subscribe {
            unacknowledged_tasks: self.tasks.values().cloned().collect(),
            unacknowledged_updates: self.updates.values().map(|(update, _)| update.clone()).collect(),
        }
    }

    /// The updates that were made while connection `epoch` was being opened, to be sent on it now.
    pub(super) fn missed(&mut self, epoch: u64) -> Vec<Update> {
        let missed = self.updates.values_mut().filter(|(_, sent)| *sent != epoch);
        missed
            .map(|(update, sent)| {
                *sent = epoch;
                update.clone()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::status;

    fn id(task: &str) -> v1::TaskId {
        v1::TaskId { value: task.into() }
    }

    fn update(task: &str, uuid: u8) -> v1::TaskStatus {
        v1::TaskStatus { uuid: Some(vec![uuid; 16]), ..status(&id(task), v1::TaskState::TaskRunning) }
    }

    fn with_one_task() -> Unacknowledged {
        let mut unacknowledged = Unacknowledged::default();
        unacknowledged.launched(v1::TaskInfo { task_id: id("t"), ..Default::default() });
        unacknowledged.keep(update("t", 1), 1);
        unacknowledged.keep(update("t", 2), 1);
        unacknowledged
    }

    #[test]
    fn a_new_subscription_begins_with_all_of_it_in_order() {
        let subscribe = with_one_task().subscribe(2);
        assert_eq!(subscribe.unacknowledged_tasks.len(), 1);
        let uuids =
            subscribe.unacknowledged_updates.iter().map(|update| update.status.uuid.as_ref().unwrap()[0]);
        assert_eq!(uuids.collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_acknowledgement_forgets_the_update_and_the_task() {
        let mut unacknowledged = with_one_task();
        assert_eq!(unacknowledged.acknowledged(&[1; 16]), Some(update("t", 1)));
        assert_eq!(unacknowledged.acknowledged(&[1; 16]), None);
        let subscribe = unacknowledged.subscribe(2);
        assert!(subscribe.unacknowledged_tasks.is_empty());
        assert_eq!(subscribe.unacknowledged_updates.len(), 1);
    }

    #[test]
    fn an_update_made_while_subscribing_is_sent_once_afterwards() {
        let mut unacknowledged = with_one_task();
        unacknowledged.subscribe(2);
        unacknowledged.keep(update("t", 3), 1);
        let missed = unacknowledged.missed(2);
        assert_eq!(missed.len(), 1);
        assert_eq!(missed[0].status, update("t", 3));
        assert!(unacknowledged.missed(2).is_empty());
    }
}
