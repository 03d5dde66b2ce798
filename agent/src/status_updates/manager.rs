//! Delivers every status update until it is acknowledged: in order for each task, one at a time,
//! again and again with growing pauses.
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Initialize`] | the Agent, starting | tells everything from then on to its [`Owner`] |
//! | [`Deliver`] | the Agent | stores an update (on disk for checkpointing frameworks), forwards it if none is in flight; [`Stored`] |
//! | [`Acknowledge`] | the Agent, for a framework | takes the next update of the task; [`Acknowledged`] |
//! | [`Refused`] | the Agent, of an update that it did not take | [`Stored`], once what was sent before it is on the disk |
//! | [`Vacate`] | the Agent, before it launches tasks whose ids were used before | removes what is kept of the earlier ones; [`Vacated`] |
//! | [`Pause`] | the Agent, without a master | forwards nothing |
//! | [`Resume`] | the Agent, registered | forwards the front of every stream, with the first pause again |
//! | [`Resend`] | the Agent, of a framework whose scheduler may be another one | the same, of that framework's streams |
//! | [`Cleanup`] | the Agent, of a framework that has nothing here any more | forgets its streams; those that wait for an acknowledgement only if it is over |
//! | [`Restore`] | the Agent, recovering | the streams that were read back from disk |
//! | `RetryDue` | itself | forwards what was not acknowledged in time |
//! | `SpillDue`, `PartDue` | itself | in [`writing`](super::writing): how what must be on the disk comes there |
//!
//! If the disk fails it says [`StorageFailed`], and the Agent ends.
//!
//! It does not know the master, tasks or executors.
//! Upstream: `slave/task_status_update_manager.cpp`.

use std::collections::BTreeMap;
use std::time::Duration;

use libprocess::{Context, Handle, Pid, Process, Recipient, Timer};
use mesos::internal::StatusUpdate;
use mesos::sabotage::{Bug, is_on};
use mesos::{ExecutorId, FrameworkId, TaskId};
use uuid::Uuid;

use super::journal::Record;
use super::log;
use super::stream::{AcknowledgementRefused, Received, Stream, uuid_of};
use super::writing::Writing;
use crate::recovery::checkpoint::DiskError;
use crate::recovery::paths::UpdatesPath;

/// Who sent an update to the agent, and so waits for word that it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The agent made it itself.
    Agent,
    /// This executor of the task's framework (it need not be the task's own).
    Executor(ExecutorId),
}

/// Take care of an update.
pub struct Deliver {
    /// It has a uuid.
    pub update: StatusUpdate,
    /// Handed back in [`Stored`].
    pub origin: Origin,
    /// The log of its task, for frameworks that checkpoint.
    pub log: Option<UpdatesPath>,
}

/// An update is stored; whoever sent it may forget it.
pub struct Stored {
    /// Whose task.
    pub framework: FrameworkId,
    /// Which task.
    pub task: TaskId,
    /// Which update.
    pub uuid: Uuid,
    /// Who sent it.
    pub origin: Origin,
}

/// The agent did not take an update: it came too late. Whoever sent it may forget it all the same, but an earlier copy of it
/// may still be on the way to the disk.
pub struct Refused(pub Stored);

/// The agent is about to launch a task with an id that an earlier one had.
pub struct Vacate {
    /// Whose tasks.
    pub framework: FrameworkId,
    /// Which tasks, each with the log of both, if there is one, and the earlier one is over as far as the agent knows.
    pub tasks: Vec<(TaskId, Option<UpdatesPath>)>,
}

/// All that the earlier task was still to be told of was told, and what was kept of it is gone (unless its framework has
/// not acknowledged its end).
pub struct Vacated {
    /// Whose task.
    pub framework: FrameworkId,
}

/// A framework has stored an update.
pub struct Acknowledge {
    /// Whose task.
    pub framework: FrameworkId,
    /// Which task.
    pub task: TaskId,
    /// Which update.
    pub uuid: Uuid,
}

/// What came of an [`Acknowledge`].
pub struct Acknowledged {
    /// Whose task.
    pub framework: FrameworkId,
    /// Which task.
    pub task: TaskId,
    /// Which update.
    pub uuid: Uuid,
    /// `true` if it was the last of the task.
    pub result: Result<bool, AcknowledgementRefused>,
}

/// Send this to the master.
pub struct Forward(pub StatusUpdate);

/// The disk has failed; nothing more can be promised.
pub struct StorageFailed(pub DiskError);

/// The first message: who hears from the manager.
pub struct Initialize(pub Owner);
/// Forward nothing until [`Resume`].
pub struct Pause;
/// Forward again, beginning with everything that is in flight.
pub struct Resume;
/// The scheduler of this framework may be another one: it should not wait for the next attempt. (Upstream forwards what
/// all frameworks have, and each of them hears the same once for every framework that the master speaks of.)
pub struct Resend(pub FrameworkId);
/// Forget the streams of a framework.
pub struct Cleanup {
    /// Whose.
    pub framework: FrameworkId,
    /// Nobody takes its updates any more: it was shut down. One that is merely idle here still waits for those that the
    /// agent has made itself, of tasks that never reached an executor (found by simulation; upstream forgets them).
    pub is_over: bool,
}
/// Streams from before a restart.
pub struct Restore(pub Vec<RestoredStream>);

/// A stream from before a restart.
pub struct RestoredStream {
    /// Whose task.
    pub framework: FrameworkId,
    /// Which task.
    pub task: TaskId,
    /// Its log.
    pub log: UpdatesPath,
    /// What the log said.
    pub replay: log::Replay,
    /// Whether the journal would bring it back if it were deleted.
    pub in_journal: bool,
    /// Nobody takes its updates any more.
    pub is_over: bool,
}

/// Time to look for updates whose acknowledgement is overdue.
pub struct RetryDue;

libprocess::messages! {
    Deliver; Stored; Refused; Vacate; Vacated; Acknowledge; Acknowledged; Forward; StorageFailed;
    Initialize; Pause; Resume; Resend; Cleanup; Restore; RetryDue;
}

/// Those who hear from the manager (the Agent, in daemons).
pub struct Owner {
    /// Told what to send to the master.
    pub forward: Recipient<Forward>,
    /// Told what is stored.
    pub stored: Recipient<Stored>,
    /// Told which ids are free again.
    pub vacated: Recipient<Vacated>,
    /// Told what came of acknowledgements.
    pub acknowledged: Recipient<Acknowledged>,
    /// Told when the disk fails.
    pub failed: Recipient<StorageFailed>,
}

type Key = (FrameworkId, TaskId);

struct Entry {
    stream: Stream,
    log: Option<UpdatesPath>,
    /// This process has written to the log.
    written: bool,
    /// When the update in flight is sent again (time since the node started); the place of its
    /// entry in `retries`.
    retry: Option<(Duration, u64)>,
}

/// What happens once a group of records is on the disk.
pub(super) enum Effect {
    /// A new update.
    New(Box<StatusUpdate>, Origin),
    /// A repetition of one whose record is in this group or an earlier one.
    Repeated(Stored),
    /// The last update of a task is acknowledged.
    Over(Acknowledged),
    /// A task's id is free again.
    Vacated(Vacated),
}

/// See the module.
#[derive(Default)]
pub struct StatusUpdateManager {
    /// Nobody before [`Initialize`].
    owner: Option<Owner>,
    paused: bool,
    streams: BTreeMap<Key, Entry>,
    /// What is in flight by the time of its next attempt. The number keeps equal times apart.
    retries: BTreeMap<(Duration, u64), Key>,
    next_retry: u64,
    armed: Option<(Duration, Timer)>,
    /// What must be on the disk first.
    pub(super) writing: Writing,
}

impl StatusUpdateManager {
    /// A manager that forwards nothing until it is told to.
    pub fn new() -> StatusUpdateManager {
        StatusUpdateManager { paused: true, ..StatusUpdateManager::default() }
    }

    fn store(&mut self, update: StatusUpdate, origin: Origin, ctx: &mut Context<Self>) {
        let key = key_of(&update);
        let uuid = uuid_of(&update);
        // The stream can be gone: its framework was removed while the disk worked.
        if let Some(entry) = self.streams.get_mut(&key)
            && entry.stream.store(update)
            && !self.paused
        {
            self.send_front(&key, true, ctx);
        }
        let (framework, task) = key;
        self.tell_stored(Stored { framework, task, uuid, origin });
    }

    fn tell_stored(&self, stored: Stored) {
        if let Some(owner) = &self.owner {
            owner.stored.tell(stored);
        }
    }

    /// Says that an update is stored whose record, if it has one, was written before.
    fn tell_repeated(&mut self, stored: Stored) {
        if !self.writing.is_done() {
            // Its first copy may still be on the way to the disk.
            self.writing.then(Effect::Repeated(stored));
        } else {
            self.tell_stored(stored);
        }
    }

    fn tell_acknowledged(&self, acknowledged: Acknowledged) {
        if let Some(owner) = &self.owner {
            owner.acknowledged.tell(acknowledged);
        }
    }

    /// Forwards the front of a stream, if it has one, and sets the time of the next attempt.
    fn send_front(&mut self, key: &Key, first: bool, ctx: &mut Context<Self>) {
        let Some(entry) = self.streams.get_mut(key) else { return };
        if let Some(retry) = entry.retry.take() {
            self.retries.remove(&retry);
        }
        let Some(update) = entry.stream.front().cloned() else { return };
        let delay = if first { entry.stream.first_delay() } else { entry.stream.next_delay() };
        let retry = (ctx.node().elapsed() + delay, self.next_retry);
        self.next_retry += 1;
        entry.retry = Some(retry);
        self.retries.insert(retry, key.clone());
        let mut update = update;
        if !first && is_on(Bug::RenewsUuids) {
            update.uuid = Some(ctx.node().random().uuid().as_bytes().to_vec());
        }
        if let Some(owner) = &self.owner {
            owner.forward.tell(Forward(update));
        }
        if is_on(Bug::ForgetsSent) {
            self.drop_stream(key);
        }
        self.arm(ctx);
    }

    /// One timer serves all streams: it is set to the earliest attempt, and not moved when that is
    /// acknowledged (then it finds nothing to do, and is set anew).
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let Some((&(earliest, _), _)) = self.retries.first_key_value() else { return };
        match self.armed.take() {
            Some((when, timer)) if when <= earliest => self.armed = Some((when, timer)),
            previous => {
                if let Some((_, timer)) = previous {
                    ctx.cancel(timer);
                }
                let delay = earliest.saturating_sub(ctx.node().elapsed());
                self.armed = Some((earliest, ctx.after(delay, RetryDue)));
            }
        }
    }

    /// Forgets a stream; its log, if it has one.
    fn drop_stream(&mut self, key: &Key) -> Option<UpdatesPath> {
        let entry = self.streams.remove(key)?;
        if let Some(retry) = entry.retry {
            self.retries.remove(&retry);
        }
        entry.log
    }

    /// Forgets a stream that is not stored, of a task whose updates are: somebody has said something of an earlier one of
    /// that id, whose stream was over. What is said of this one would not be stored either, nor what is left of the other be
    /// removed. Its framework has acknowledged the end of the other, or it could not use the id again.
    fn drop_stray(&mut self, key: &Key) {
        if self.streams.get(key).is_some_and(|entry| entry.log.is_none()) {
            self.drop_stream(key);
        }
    }

    /// The disk has failed.
    pub(super) fn tell_failed(&self, error: DiskError) {
        if let Some(owner) = &self.owner {
            owner.failed.tell(StorageFailed(error));
        }
    }

    /// What follows from a group that is on the disk.
    pub(super) fn take_effect(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::New(update, origin) => self.store(*update, origin, ctx),
            Effect::Repeated(stored) => self.tell_stored(stored),
            Effect::Over(acknowledged) => self.tell_acknowledged(acknowledged),
            Effect::Vacated(vacated) => {
                if let Some(owner) = &self.owner {
                    owner.vacated.tell(vacated);
                }
            }
        }
    }
}

impl Process for StatusUpdateManager {
    const NAME: &'static str = "task-status-update-manager";
}

impl Handle<Deliver> for StatusUpdateManager {
    fn handle(&mut self, message: Deliver, _: &Pid, ctx: &mut Context<Self>) {
        let Deliver { mut update, origin, log } = message;
        let key = key_of(&update);
        let uuid = uuid_of(&update);
        if log.is_some() {
            self.drop_stray(&key);
        }
        let entry = self.streams.entry(key.clone()).or_insert_with(|| Entry {
            stream: Stream::default(),
            log: log.clone(),
            written: false,
            retry: None,
        });
        match entry.stream.receive(uuid) {
            Received::New => match &entry.log {
                Some(path) => {
                    let first = !std::mem::replace(&mut entry.written, true);
                    self.writing.add(log::update_record(path.clone(), &mut update, first));
                    self.writing.then(Effect::New(Box::new(update), origin));
                    self.work(ctx);
                }
                None => self.store(update, origin, ctx),
            },
            received => {
                tracing::warn!(task_id = %key.1, %uuid, ?received, "ignoring a repeated status update");
                let stored = Stored { framework: key.0, task: key.1, uuid, origin };
                if entry.log.is_some() {
                    self.tell_repeated(stored);
                } else {
                    self.tell_stored(stored);
                }
            }
        }
    }
}

impl Handle<Refused> for StatusUpdateManager {
    fn handle(&mut self, Refused(stored): Refused, _: &Pid, _: &mut Context<Self>) {
        self.tell_repeated(stored);
    }
}

impl Handle<Vacate> for StatusUpdateManager {
    fn handle(&mut self, message: Vacate, _: &Pid, ctx: &mut Context<Self>) {
        let Vacate { framework, tasks } = message;
        for (task, log) in tasks {
            let key = (framework.clone(), task);
            if log.is_some() {
                self.drop_stray(&key);
            }
            if let Some(log) = log.filter(|_| !self.streams.contains_key(&key)) {
                let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
                self.writing.add(Record::Remove { agent, path });
            }
        }
        self.writing.then(Effect::Vacated(Vacated { framework }));
        self.work(ctx);
    }
}

impl Handle<Acknowledge> for StatusUpdateManager {
    fn handle(&mut self, message: Acknowledge, _: &Pid, ctx: &mut Context<Self>) {
        let Acknowledge { framework, task, uuid } = message;
        let key = (framework, task);
        let result = match self.streams.get_mut(&key) {
            None => Err(AcknowledgementRefused::NoStream),
            Some(entry) => entry.stream.acknowledge(uuid).map(|()| entry.stream.is_terminated()),
        };
        let acknowledged = Acknowledged { framework: key.0.clone(), task: key.1.clone(), uuid, result };
        let Ok(last) = acknowledged.result else { return self.tell_acknowledged(acknowledged) };
        let log = self.streams.get(&key).and_then(|entry| entry.log.clone());
        if let Some(log) = &log {
            self.writing.add(log::acknowledgement_record(log.clone(), uuid));
        }
        if last {
            self.drop_stream(&key);
        } else if self.paused {
            if let Some(retry) = self.streams.get_mut(&key).and_then(|entry| entry.retry.take()) {
                self.retries.remove(&retry);
            }
        } else {
            self.send_front(&key, true, ctx);
        }
        match log {
            // What is kept of the task may be deleted from now on, and must not be brought back then.
            Some(log) if last => {
                let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
                self.writing.add(Record::Forget { agent, path });
                self.writing.then(Effect::Over(acknowledged));
            }
            _ => self.tell_acknowledged(acknowledged),
        }
        self.work(ctx);
    }
}

impl Handle<Initialize> for StatusUpdateManager {
    fn handle(&mut self, Initialize(owner): Initialize, _: &Pid, _: &mut Context<Self>) {
        self.owner = Some(owner);
    }
}

impl Handle<Pause> for StatusUpdateManager {
    fn handle(&mut self, _: Pause, _: &Pid, _: &mut Context<Self>) {
        self.paused = true;
    }
}

impl Handle<Resume> for StatusUpdateManager {
    fn handle(&mut self, _: Resume, _: &Pid, ctx: &mut Context<Self>) {
        self.paused = false;
        if is_on(Bug::UpdatesSentOnce) {
            return;
        }
        let keys: Vec<Key> = self.streams.keys().cloned().collect();
        for key in keys {
            self.send_front(&key, true, ctx);
        }
    }
}

impl Handle<Resend> for StatusUpdateManager {
    fn handle(&mut self, Resend(framework): Resend, _: &Pid, ctx: &mut Context<Self>) {
        if self.paused || is_on(Bug::UpdatesSentOnce) {
            return;
        }
        let from = (framework.clone(), TaskId::from(""));
        let of_it = self.streams.range(from..).take_while(|(key, _)| key.0 == framework);
        let keys: Vec<Key> = of_it.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.send_front(&key, true, ctx);
        }
    }
}

impl Handle<Cleanup> for StatusUpdateManager {
    fn handle(&mut self, Cleanup { framework, is_over }: Cleanup, _: &Pid, ctx: &mut Context<Self>) {
        let of_it = self.streams.iter().filter(|(key, _)| key.0 == framework);
        let over = of_it.filter(|(_, entry)| is_over || entry.stream.front().is_none());
        let keys: Vec<Key> = over.map(|(key, _)| key.clone()).collect();
        let logs = keys.iter().filter_map(|key| self.drop_stream(key)).last();
        if let Some(log) = logs {
            let (agent, path) = (log.agent().to_path_buf(), log.framework().to_path_buf());
            self.writing.add(Record::Forget { agent, path });
            self.work(ctx);
        }
    }
}

impl Handle<Restore> for StatusUpdateManager {
    fn handle(&mut self, Restore(streams): Restore, _: &Pid, ctx: &mut Context<Self>) {
        for restored in streams {
            let stream = Stream::replayed(restored.replay.updates, &restored.replay.acknowledged);
            if restored.is_over || stream.is_terminated() {
                // The last agent may have died before the journal knew.
                if restored.in_journal {
                    let (agent, path) =
                        (restored.log.agent().to_path_buf(), restored.log.task().to_path_buf());
                    self.writing.add(Record::Forget { agent, path });
                }
                continue;
            }
            let entry = Entry { stream, log: Some(restored.log), written: false, retry: None };
            self.streams.insert((restored.framework, restored.task), entry);
        }
        self.work(ctx);
    }
}

impl Handle<RetryDue> for StatusUpdateManager {
    fn handle(&mut self, _: RetryDue, _: &Pid, ctx: &mut Context<Self>) {
        self.armed = None;
        if self.paused || is_on(Bug::UpdatesSentOnce) {
            return;
        }
        let now = ctx.node().elapsed();
        while let Some((&retry, _)) = self.retries.first_key_value() {
            if retry.0 > now {
                break;
            }
            let Some(key) = self.retries.remove(&retry) else { break };
            tracing::warn!(framework_id = %key.0, task_id = %key.1, "sending a status update again");
            self.send_front(&key, false, ctx);
        }
        self.arm(ctx);
    }
}

fn key_of(update: &StatusUpdate) -> Key {
    (FrameworkId::from(&update.framework_id), TaskId::from(&update.status.task_id))
}
