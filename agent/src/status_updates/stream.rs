//! One task's status updates, in order, one in flight: what is new, what is next, when to try again.
//!
//! Pure: no actor, no clock, no disk. Upstream: `TaskStatusUpdateStream` in
//! `slave/task_status_update_manager.cpp`.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use mesos::internal::StatusUpdate;
use uuid::Uuid;

use mesos::sabotage::{Bug, is_on};
use mesos::tasks::is_terminal;

/// How long the master and the framework have for their first acknowledgement.
pub const RETRY_MIN: Duration = Duration::from_secs(10);
/// The longest pause between two attempts.
pub const RETRY_MAX: Duration = Duration::from_secs(10 * 60);
/// How many uuids of a task are remembered to recognise repetitions. A task that is alive for weeks
/// and reports its health every few seconds would otherwise grow without end; the oldest is
/// forgotten first.
pub const REMEMBERED: usize = 10_000;

/// What an update turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Seen for the first time.
    New,
    /// It was received before and is not acknowledged yet.
    Repeated,
    /// The framework has acknowledged it already.
    AlreadyAcknowledged,
}

/// Why an acknowledgement was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgementRefused {
    /// No stream of this task.
    #[error("there is no stream of status updates for the task")]
    NoStream,
    /// Nothing is in flight.
    #[error("no status update of the task waits for an acknowledgement")]
    NothingPending,
    /// It came twice.
    #[error("status update {0} has been acknowledged before")]
    Repeated(Uuid),
    /// It is not the one in flight.
    #[error("acknowledgement of {got}, while {expected} is in flight")]
    Unexpected {
        /// The uuid that was acknowledged.
        got: Uuid,
        /// The uuid in flight.
        expected: Uuid,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Stream {
    pending: VecDeque<StatusUpdate>,
    received: Remembered,
    acknowledged: Remembered,
    terminated: bool,
    delay: Duration,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream {
            pending: VecDeque::new(),
            received: Remembered::default(),
            acknowledged: Remembered::default(),
            terminated: false,
            delay: RETRY_MIN,
        }
    }
}

impl Stream {
    /// The stream of a task whose log was read back.
    pub fn replayed(updates: Vec<StatusUpdate>, acknowledged: &BTreeSet<Uuid>) -> Stream {
        let mut stream = Stream::default();
        for update in updates {
            let uuid = uuid_of(&update);
            if stream.receive(uuid) == Received::New {
                let _ = stream.store(update);
                if acknowledged.contains(&uuid) {
                    // The front is this one, because every one before it was acknowledged; if the
                    // log says otherwise, it stays pending and is sent again.
                    let _ = stream.acknowledge(uuid);
                }
            }
        }
        stream
    }

    /// Remembers that an update has come, before it is stored.
    pub fn receive(&mut self, uuid: Uuid) -> Received {
        if self.acknowledged.contains(&uuid) {
            Received::AlreadyAcknowledged
        } else if self.received.insert(uuid) {
            Received::New
        } else {
            Received::Repeated
        }
    }

    /// Appends a new update. `true` if it is the only one, and so is to be forwarded now.
    pub fn store(&mut self, update: StatusUpdate) -> bool {
        self.pending.push_back(update);
        self.pending.len() == 1
    }

    /// The update in flight, or to be sent next.
    pub fn front(&self) -> Option<&StatusUpdate> {
        if is_on(Bug::NewestUpdateFirst) { self.pending.back() } else { self.pending.front() }
    }

    /// The framework has stored the update in flight.
    ///
    /// # Errors
    /// [`AcknowledgementRefused`] if it speaks of any other; nothing has changed then.
    pub fn acknowledge(&mut self, uuid: Uuid) -> Result<(), AcknowledgementRefused> {
        let Some(front) = self.pending.front() else {
            return Err(AcknowledgementRefused::NothingPending);
        };
        let expected = uuid_of(front);
        if uuid != expected {
            return Err(if self.acknowledged.contains(&uuid) {
                AcknowledgementRefused::Repeated(uuid)
            } else {
                AcknowledgementRefused::Unexpected { got: uuid, expected }
            });
        }
        self.terminated |= is_terminal(front.status.state());
        self.pending.pop_front();
        self.acknowledged.insert(uuid);
        self.received.remove(&uuid);
        self.delay = RETRY_MIN;
        Ok(())
    }

    /// Whether a terminal update was acknowledged: the stream is over.
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// How long to wait for the acknowledgement of what is forwarded for the first time (again
    /// after the agent has registered anew).
    pub fn first_delay(&mut self) -> Duration {
        self.delay = RETRY_MIN;
        self.delay
    }

    /// How long to wait after one more attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.delay = (self.delay * 2).min(RETRY_MAX);
        self.delay
    }
}

/// The uuid of an update; updates without a valid one do not get as far as here.
pub fn uuid_of(update: &StatusUpdate) -> Uuid {
    update.uuid.as_deref().and_then(|bytes| Uuid::from_slice(bytes).ok()).unwrap_or_default()
}

/// A set that forgets its oldest.
#[derive(Clone, Debug, Default)]
struct Remembered {
    set: BTreeSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Remembered {
    fn contains(&self, uuid: &Uuid) -> bool {
        self.set.contains(uuid)
    }

    fn insert(&mut self, uuid: Uuid) -> bool {
        if !self.set.insert(uuid) {
            return false;
        }
        self.order.push_back(uuid);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, uuid: &Uuid) {
        if self.set.remove(uuid)
            && let Some(position) = self.order.iter().position(|other| other == uuid)
        {
            // What is acknowledged is the oldest that is pending: the position is 0.
            self.order.remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos::{TaskId, v1};
    use v1::TaskState::{TaskFinished, TaskRunning, TaskStarting};

    fn update(n: u128, state: v1::TaskState) -> StatusUpdate {
        let uuid = Some(Uuid::from_u128(n).as_bytes().to_vec());
        StatusUpdate {
            status: v1::TaskStatus {
                task_id: TaskId::from("t").to_proto(),
                state: state.into(),
                uuid: uuid.clone(),
                ..v1::TaskStatus::default()
            },
            uuid,
            ..StatusUpdate::default()
        }
    }

    fn take(stream: &mut Stream, update: StatusUpdate) -> bool {
        assert_eq!(stream.receive(uuid_of(&update)), Received::New);
        stream.store(update)
    }

    #[test]
    fn only_the_first_of_several_updates_is_in_flight() {
        let mut stream = Stream::default();
        assert!(take(&mut stream, update(1, TaskStarting)));
        assert!(!take(&mut stream, update(2, TaskRunning)));
        assert_eq!(uuid_of(stream.front().unwrap()), Uuid::from_u128(1));
        stream.acknowledge(Uuid::from_u128(1)).unwrap();
        assert_eq!(uuid_of(stream.front().unwrap()), Uuid::from_u128(2));
    }

    #[test]
    fn repetitions_are_recognised_before_and_after_the_acknowledgement() {
        let mut stream = Stream::default();
        take(&mut stream, update(1, TaskRunning));
        assert_eq!(stream.receive(Uuid::from_u128(1)), Received::Repeated);
        stream.acknowledge(Uuid::from_u128(1)).unwrap();
        assert_eq!(stream.receive(Uuid::from_u128(1)), Received::AlreadyAcknowledged);
    }

    #[test]
    fn an_acknowledgement_must_name_the_update_in_flight() {
        let mut stream = Stream::default();
        let one = Uuid::from_u128(1);
        let two = Uuid::from_u128(2);
        assert_eq!(stream.acknowledge(one), Err(AcknowledgementRefused::NothingPending));
        take(&mut stream, update(1, TaskRunning));
        take(&mut stream, update(2, TaskRunning));
        assert_eq!(
            stream.acknowledge(two),
            Err(AcknowledgementRefused::Unexpected { got: two, expected: one })
        );
        stream.acknowledge(one).unwrap();
        assert_eq!(stream.acknowledge(one), Err(AcknowledgementRefused::Repeated(one)));
    }

    #[test]
    fn the_stream_ends_with_the_acknowledgement_of_a_terminal_update() {
        let mut stream = Stream::default();
        take(&mut stream, update(1, TaskFinished));
        assert!(!stream.is_terminated());
        stream.acknowledge(Uuid::from_u128(1)).unwrap();
        assert!(stream.is_terminated());
    }

    #[test]
    fn attempts_are_spaced_10_seconds_doubling_to_10_minutes() {
        let mut stream = Stream::default();
        let mut delays = vec![stream.first_delay().as_secs()];
        delays.extend((0..8).map(|_| stream.next_delay().as_secs()));
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(stream.first_delay(), RETRY_MIN);
    }

    #[test]
    fn a_replayed_stream_goes_on_where_it_was() {
        let updates = vec![update(1, TaskStarting), update(2, TaskRunning), update(3, TaskFinished)];
        let stream = Stream::replayed(updates, &BTreeSet::from([Uuid::from_u128(1)]));
        assert_eq!(uuid_of(stream.front().unwrap()), Uuid::from_u128(2));
        assert!(!stream.is_terminated());
    }

    #[test]
    fn the_oldest_uuids_are_forgotten() {
        let mut stream = Stream::default();
        for n in 1..=REMEMBERED as u128 + 1 {
            take(&mut stream, update(n, TaskRunning));
            stream.acknowledge(Uuid::from_u128(n)).unwrap();
        }
        assert_eq!(stream.receive(Uuid::from_u128(2)), Received::AlreadyAcknowledged);
        assert_eq!(stream.receive(Uuid::from_u128(1)), Received::New);
    }
}
