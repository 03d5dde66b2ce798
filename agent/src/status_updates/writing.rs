//! How the status update manager has its records written.
//!
//! They go into the [`journal`] in groups: while one is being written and synced, the next one gathers,
//! and it begins before what follows from the first is done. One thing is done to the journal at a time, on a thread for
//! what blocks. Beside it, on other threads: the tasks' own logs are written, since hundreds of files take longer than a
//! sync, only a few with each group, or they would take the processor time that the groups need; and the whole file
//! system is synced before old segments are removed.
//!
//! | receives | from | does |
//! |---|---|---|
//! | `SpillDue` | itself, a second after something was written | has the tasks' own logs written |
//! | `PartDue` | itself, if no group comes | goes on with that |

use std::path::PathBuf;
use std::time::Duration;

use libprocess::disk::Disk;
use libprocess::{Context, Handle, Pid};

use super::journal::{self, Journal, Record, Unspilled};
use super::manager::{Effect, StatusUpdateManager};
use crate::recovery::checkpoint::DiskError;

/// How long what is in the journal may be missing in the tasks' own logs: for those who read them. An agent that
/// starts looks into the journal first.
const SPILL_AFTER: Duration = Duration::from_secs(1);

/// How many of the tasks' own logs are written with a group, or without one after a pause. With many of them, it is all in
/// so many parts.
const SPILLED_AT_ONCE: usize = 8;
const PARTS: usize = 64;
const PART_AFTER: Duration = Duration::from_millis(5);

/// Time to write what is only in the journal to the tasks' own logs.
pub struct SpillDue;
/// Time to write to the next few of them, if so many are left.
pub struct PartDue(usize);

libprocess::messages! { SpillDue; PartDue; }

/// What waits to be written, and what is being written.
#[derive(Default)]
pub(super) struct Writing {
    /// Records that wait for the disk. Bounded by what executors send before they are acknowledged.
    records: Vec<Record>,
    /// What happens once they are there.
    effects: Vec<Effect>,
    /// Not here while something is done to it; `None` as well before the first group.
    journal: Option<Journal>,
    /// Something is being done to it.
    busy: bool,
    spill: Spill,
    /// While the tasks' own logs are being written.
    spilling: Option<Spilling>,
    /// A group waits for that.
    waits: bool,
    /// They have been, and the journal does not know yet.
    spilled: bool,
    /// Segments of the journal wait for the tasks' own logs and the file system.
    retiring: bool,
    /// The disk has failed. What it has is unknown then, so that nothing is written or promised any more.
    failed: bool,
}

impl Writing {
    /// Adds a record to the group that gathers.
    pub(super) fn add(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Adds what happens once that group is on the disk.
    pub(super) fn then(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Whether nothing is on its way to the disk that something follows from.
    pub(super) fn is_done(&self) -> bool {
        !self.busy && self.effects.is_empty()
    }

    /// Begins to write what waits for the tasks' own logs; then the segments of the journal go that were `ended` before.
    fn spill(&mut self, ended: Vec<PathBuf>) {
        let Some(journal) = &mut self.journal else { return };
        let unspilled = journal.begin_spill();
        let at_once = unspilled.len().div_ceil(PARTS).max(SPILLED_AT_ONCE);
        self.spilling = Some(Spilling { unspilled, at_once, writing: false, ended });
    }
}

/// Whether the tasks' own logs are to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spill {
    #[default]
    Idle,
    /// The timer is set.
    Armed,
    Due,
}

/// What is being written to the tasks' own logs.
struct Spilling {
    /// What is left.
    unspilled: Vec<Unspilled>,
    /// How many of them are written at once.
    at_once: usize,
    /// Some are being written now.
    writing: bool,
    /// Segments of the journal that may go afterwards.
    ended: Vec<PathBuf>,
}

/// What is done to the journal.
enum Work {
    /// A group, and what happens once it is on the disk.
    Write(Vec<Record>, Vec<Effect>),
    /// A new segment is begun, and the old ones go.
    Rotate,
}

/// What came of a [`Work`].
#[derive(Default)]
struct Done {
    effects: Vec<Effect>,
    /// Segments that were ended.
    ended: Vec<PathBuf>,
}

/// Does one thing to the journal, which is opened for the first group.
fn perform(disk: &dyn Disk, journal: &mut Option<Journal>, work: Work) -> Result<Done, DiskError> {
    match (work, journal) {
        (Work::Write(records, effects), journal) => {
            if let Some(record) = records.first() {
                let journal = match journal {
                    Some(journal) => journal,
                    None => journal.insert(Journal::open(disk, record.agent())?),
                };
                journal.write(disk, &records)?;
            }
            Ok(Done { effects, ..Done::default() })
        }
        (Work::Rotate, Some(journal)) => journal.rotate(disk).map(|ended| Done { ended, ..Done::default() }),
        (Work::Rotate, None) => Ok(Done::default()),
    }
}

impl StatusUpdateManager {
    /// Does the next thing to the journal, unless one is being done: then it follows. All that waits is one group.
    pub(super) fn work(&mut self, ctx: &mut Context<Self>) {
        let writing = &mut self.writing;
        if writing.busy || writing.failed {
            return;
        }
        let Some(journal) = &mut writing.journal else { return self.write_group(ctx) };
        if std::mem::take(&mut writing.spilled) {
            journal.end_spill();
        }
        if writing.spill == Spill::Idle && journal.has_unspilled() {
            writing.spill = Spill::Armed;
            ctx.after(SPILL_AFTER, SpillDue);
        }
        let must_spill = writing.spill == Spill::Due || journal.must_spill();
        if journal.is_full() && writing.spilling.is_none() && !writing.retiring {
            return self.start(Work::Rotate, ctx);
        }
        if must_spill && writing.spilling.is_none() {
            // A timer that is set may find nothing to do.
            writing.spill = if writing.spill == Spill::Due { Spill::Idle } else { writing.spill };
            writing.spill(Vec::new());
        }
        // What waits has a bound, and what is removed may not be written again.
        let is_flooded = writing.journal.as_ref().is_some_and(Journal::is_flooded);
        let must_wait = is_flooded || writing.records.iter().any(Record::removes);
        writing.waits = writing.spilling.is_some() && must_wait;
        if !writing.waits {
            self.write_group(ctx);
        }
        self.spill_part(ctx);
    }

    /// Writes all that waits as one group, if something does.
    fn write_group(&mut self, ctx: &mut Context<Self>) {
        let Writing { records, effects, .. } = &mut self.writing;
        if !records.is_empty() || !effects.is_empty() {
            let group = Work::Write(std::mem::take(records), std::mem::take(effects));
            self.start(group, ctx);
        }
    }

    fn start(&mut self, work: Work, ctx: &mut Context<Self>) {
        self.writing.busy = true;
        let node = ctx.node().clone();
        let mut journal = self.writing.journal.take();
        let work = async move {
            let disk = node.disk().clone();
            node.blocking(move || {
                let done = perform(&*disk, &mut journal, work);
                (journal, done)
            })
            .await
        };
        ctx.defer(work, |manager, (journal, done), ctx| {
            manager.writing.busy = false;
            manager.writing.journal = journal;
            match done {
                Ok(Done { effects, ended }) => {
                    if !ended.is_empty() {
                        manager.writing.retiring = true;
                        manager.writing.spill(ended);
                    }
                    // The disk has something to do meanwhile.
                    manager.work(ctx);
                    for effect in effects {
                        manager.take_effect(effect, ctx);
                    }
                }
                Err(error) => manager.fail(error),
            }
        });
    }

    /// Writes to the next few of the tasks' own logs, unless that is being done.
    fn spill_part(&mut self, ctx: &mut Context<Self>) {
        let Writing { spilling, failed, .. } = &mut self.writing;
        let Some(spilling) = spilling.as_mut().filter(|spilling| !spilling.writing && !*failed) else {
            return;
        };
        spilling.writing = true;
        let count = spilling.at_once.min(spilling.unspilled.len());
        let part: Vec<Unspilled> = spilling.unspilled.drain(..count).collect();
        let node = ctx.node().clone();
        let spill = async move {
            let disk = node.disk().clone();
            node.blocking(move || journal::spill(&*disk, &part)).await
        };
        ctx.defer(spill, |manager, spilled, ctx| match spilled {
            Ok(()) => manager.spilled_part(ctx),
            Err(error) => manager.fail(error),
        });
    }

    fn spilled_part(&mut self, ctx: &mut Context<Self>) {
        let Some(spilling) = &mut self.writing.spilling else { return };
        spilling.writing = false;
        if !spilling.unspilled.is_empty() {
            if self.writing.waits {
                self.spill_part(ctx);
            } else {
                // The next group may be first, and has the next part written.
                ctx.after(PART_AFTER, PartDue(spilling.unspilled.len()));
            }
            return;
        }
        let ended = std::mem::take(&mut spilling.ended);
        self.writing.spilling = None;
        self.writing.spilled = true;
        self.retire(ended, ctx);
        self.work(ctx);
    }

    /// Removes segments of the journal once the disk has everything that is in them.
    fn retire(&mut self, segments: Vec<PathBuf>, ctx: &mut Context<Self>) {
        if segments.is_empty() {
            return;
        }
        let node = ctx.node().clone();
        let retire = async move {
            let disk = node.disk().clone();
            node.blocking(move || journal::retire(&*disk, &segments)).await
        };
        ctx.defer(retire, |manager, retired, ctx| {
            manager.writing.retiring = false;
            match retired {
                Ok(()) => manager.work(ctx),
                Err(error) => manager.fail(error),
            }
        });
    }

    fn fail(&mut self, error: DiskError) {
        self.writing.failed = true;
        self.tell_failed(error);
    }
}

impl Handle<SpillDue> for StatusUpdateManager {
    fn handle(&mut self, _: SpillDue, _: &Pid, ctx: &mut Context<Self>) {
        self.writing.spill = Spill::Due;
        self.work(ctx);
    }
}

impl Handle<PartDue> for StatusUpdateManager {
    fn handle(&mut self, PartDue(left): PartDue, _: &Pid, ctx: &mut Context<Self>) {
        if self.writing.spilling.as_ref().is_some_and(|spilling| spilling.unspilled.len() == left) {
            self.spill_part(ctx);
        }
    }
}
