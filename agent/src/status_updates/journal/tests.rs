//! What the journal promises, case by case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use libprocess::disk::{Disk, Durability};
use mesos::TaskId;
use mesos::v1::TaskState::{TaskFinished, TaskRunning};
use uuid::Uuid;

use super::format::Fault;
use super::histories::Killing;
use super::*;
use crate::recovery::checkpoint::write_message;
use crate::recovery::paths::{UpdatesPath, journal_segment};
use crate::recovery::state::testing::Host;
use crate::status_updates::log::testing::{bytes_of, update};
use crate::status_updates::log::{Replay, acknowledgement_record, update_record};
use crate::status_updates::stream::uuid_of;

/// What a fresh process finds of the task "t".
fn replay_of(host: &Host) -> Replay {
    let agent = host.read(true).unwrap().agent.unwrap();
    agent.frameworks[0].executors[0].run.tasks[0].replay.clone()
}

fn log_of(host: &Host) -> UpdatesPath {
    host.paths.task_updates(&host.run, &TaskId::from("t"))
}

fn journal_of(host: &Host) -> Journal {
    Journal::open(&host.mount, &host.paths.agent_meta(&host.run.agent)).unwrap()
}

fn record(host: &Host, n: u128) -> Record {
    update_record(log_of(host), &mut update("t", n, TaskRunning), true)
}

fn spill_all(journal: &mut Journal, host: &Host) {
    spill(&host.mount, &journal.begin_spill()).unwrap();
    journal.end_spill();
    assert!(!journal.has_unspilled());
}

/// How long a segment is without its room.
fn whole_of(host: &Host, path: &Path) -> usize {
    format::read(&host.mount.read(path).unwrap()).whole
}

/// A directory is no file, and no link, that could be read.
fn unreadable(host: &Host, path: &Path) {
    host.mount.remove(path).unwrap();
    host.mount.create_directory(path, Durability::Host).unwrap();
}

fn segment_of(host: &Host, number: u64) -> PathBuf {
    journal_segment(&host.paths.agent_meta(&host.run.agent), number)
}

#[test]
fn one_group_is_one_sync_for_any_number_of_tasks() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    let records: Vec<Record> = (0..50)
        .map(|n| {
            let log = host.paths.task_updates(&host.run, &TaskId::from(format!("t{n}")));
            update_record(log, &mut update("t", n, TaskRunning), false)
        })
        .collect();
    // In halves, and one sync.
    let disk = Killing::after(host.mount.clone(), 3);
    journal.write(&disk, &records).unwrap();
    assert_eq!(disk.left.load(Ordering::Relaxed), 0);
}

#[test]
fn the_tasks_own_logs_get_what_the_journal_has_and_the_journal_ends() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    journal.write(&host.mount, &[acknowledgement_record(log_of(&host), Uuid::from_u128(1))]).unwrap();
    assert!(journal.has_unspilled() && !host.mount.exists(log_of(&host).path()));
    spill_all(&mut journal, &host);
    let replay = replay_of(&host);
    assert_eq!((replay.updates.len(), replay.acknowledged.len()), (1, 1));
    let ended = journal.rotate(&host.mount).unwrap();
    assert_eq!(ended, [segment_of(&host, 1)]);
    retire(&host.mount, &ended).unwrap();
    assert!(!host.mount.exists(&ended[0]));
    host.disk.lose_power();
    assert_eq!(replay_of(&host), replay);
}

/// Its bytes are in the logs' order, and none is missing or there twice.
#[test]
fn groups_are_written_while_the_tasks_own_logs_are() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    let first = journal.begin_spill();
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    // All of it is over.
    let (agent, path) = (log_of(&host).agent().to_path_buf(), log_of(&host).task().to_path_buf());
    journal.write(&host.mount, &[Record::Forget { agent, path }]).unwrap();
    spill(&host.mount, &first).unwrap();
    journal.end_spill();
    journal.write(&host.mount, &[record(&host, 3)]).unwrap();
    // Somebody has deleted it.
    host.mount.remove(log_of(&host).task()).unwrap();
    let second = journal.begin_spill();
    spill(&host.mount, &second).unwrap();
    let log = host.mount.read(log_of(&host).path()).unwrap();
    assert_eq!(log, [bytes_of(&record(&host, 2)), bytes_of(&record(&host, 3))].concat());
}

/// The garbage collector may be quicker than the task's own log is written, or even than what is being written now.
#[test]
fn what_is_over_and_was_removed_is_not_made_again() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let log = log_of(&host);
    for has_begun in [false, true] {
        host.mount.create_directory(log.task(), Durability::Process).unwrap();
        journal.write(&host.mount, &[record(&host, 1)]).unwrap();
        let begun = has_begun.then(|| journal.begin_spill());
        let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
        journal.write(&host.mount, &[Record::Forget { agent, path }]).unwrap();
        host.mount.remove(log.task()).unwrap();
        let unspilled = begun.unwrap_or_else(|| journal.begin_spill());
        spill(&host.mount, &unspilled).unwrap();
        journal.end_spill();
        assert!(!host.mount.exists(log.task()), "{has_begun}");
    }
}

#[test]
fn a_journal_does_not_grow_without_end() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let mut long = update("t", 1, TaskRunning);
    long.status.data = Some(vec![1; 6_000_000]);
    for round in 0..3 {
        let mut groups = 0;
        while !journal.is_full() {
            journal.write(&host.mount, &[update_record(log_of(&host), &mut long, groups == 0)]).unwrap();
            if journal.must_spill() {
                spill_all(&mut journal, &host);
            }
            groups += 1;
        }
        assert!(groups < 20, "{groups}");
        let ended = journal.rotate(&host.mount).unwrap();
        spill_all(&mut journal, &host);
        assert_eq!(ended, [segment_of(&host, round + 1)]);
        retire(&host.mount, &ended).unwrap();
    }
    assert!(segments(&host.mount, segment_of(&host, 1).parent().unwrap()).unwrap().is_empty());
}

/// Growing is what makes a sync slow.
#[test]
fn a_segment_has_room_that_few_groups_make_and_that_ends_with_it() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let path = segment_of(&host, 1);
    let length = || host.mount.read(&path).unwrap().len();
    let mut lengths = BTreeSet::new();
    for n in 0..1000 {
        journal.write(&host.mount, &[record(&host, n)]).unwrap();
        lengths.insert(length());
    }
    assert!(lengths.len() < 7, "{lengths:?}");
    let whole = whole_of(&host, &path);
    assert!(
        *lengths.first().unwrap() < 20_000 && length() > whole && length() < 2 * whole,
        "{lengths:?} {whole}"
    );
    // The next process finds it.
    let before = length();
    assert_eq!(replay_of(&host).updates.len(), 1000);
    journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1000)]).unwrap();
    assert_eq!(length(), before);
    assert_eq!(replay_of(&host).updates.len(), 1001);
    let whole = whole_of(&host, &path);
    journal.rotate(&host.mount).unwrap();
    assert_eq!(length(), whole);
    // Only the last one has room.
    journal.write(&host.mount, &[record(&host, 1001)]).unwrap();
    host.mount.truncate(&path, whole as u64 + 1).unwrap();
    let error = host.read(true).unwrap_err().to_string();
    assert!(error.contains("updates.journal.1' is corrupt"), "{error}");
}

/// A group is written where a torn one was: nothing of that is left behind it.
#[test]
fn what_a_torn_group_has_left_in_the_room_is_never_read() {
    let mut tails = 0;
    for seed in 0..200 {
        let host = Host::with_task(seed, Durability::Process);
        let mut journal = journal_of(&host);
        journal.write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = segment_of(&host, 1);
        // Acknowledgements are not synced: of many of them any may be there after a power failure.
        for n in 0..20 {
            journal.write(&host.mount, &[acknowledgement_record(log_of(&host), Uuid::from_u128(n))]).unwrap();
        }
        host.disk.lose_power();
        let bytes = host.mount.read(&path).unwrap();
        let found = format::read(&bytes);
        tails += usize::from(found.fault == Some(Fault::Torn));
        let known = replay_of(&host);
        let mut journal = journal_of(&host);
        // As long as one of those.
        let forty = acknowledgement_record(log_of(&host), Uuid::from_u128(40));
        journal.write(&host.mount, &[forty]).unwrap();
        let mut expected = known.acknowledged;
        expected.insert(Uuid::from_u128(40));
        assert_eq!(replay_of(&host).acknowledged, expected, "seed {seed}");
    }
    assert!(tails > 20, "{tails}");
}

#[test]
fn a_journal_of_the_version_before_is_read_and_gone_on_with_in_another_segment() {
    let host = Host::with_task(1, Durability::Process);
    journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
    let (first, second) = (segment_of(&host, 1), segment_of(&host, 2));
    let bytes = host.mount.read(&first).unwrap();
    let entries = format::read(&bytes).entries;
    let old = format::testing::old_segment(&[entries], true);
    host.mount.write(&first, &old, Durability::Host).unwrap();
    assert_eq!(replay_of(&host).updates.len(), 1);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    assert_eq!(host.mount.read(&first).unwrap(), old);
    assert!(host.mount.read(&second).unwrap().starts_with(format::HEAD));
    assert_eq!(replay_of(&host).updates.len(), 2);
    let mut journal = journal_of(&host);
    assert_eq!(journal.rotate(&host.mount).unwrap(), [first, second]);
}

#[test]
fn a_torn_group_is_cut_off_and_the_next_one_follows() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    let path = segment_of(&host, 1);
    let whole = whole_of(&host, &path);
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    let length = whole_of(&host, &path);
    for torn in whole + 1..length {
        for has_room in [true, false] {
            host.mount.truncate(&path, torn as u64).unwrap();
            if has_room {
                host.mount.truncate(&path, length as u64 + 1000).unwrap();
            }
            assert_eq!(replay_of(&host).updates.len(), 1, "{torn} of {length} bytes");
            assert_eq!(host.mount.read(&path).unwrap().len(), whole, "{torn} of {length} bytes");
            journal_of(&host).write(&host.mount, &[record(&host, 2)]).unwrap();
        }
    }
    assert_eq!(replay_of(&host).updates.len(), 2);
}

#[test]
fn a_damaged_middle_stops_a_strict_agent_with_the_name_of_the_file_and_is_counted_by_another() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    for n in 1..=3 {
        journal.write(&host.mount, &[record(&host, n)]).unwrap();
    }
    let path = segment_of(&host, 1);
    let mut bytes = host.mount.read(&path).unwrap();
    let middle = format::read(&bytes).whole / 2 + 100;
    bytes[middle] ^= 1;
    host.mount.write(&path, &bytes, Durability::Host).unwrap();
    let error = host.read(true).unwrap_err().to_string();
    assert!(error.contains("updates.journal.1' is corrupt"), "{error}");
    assert_eq!(host.mount.read(&path).unwrap(), bytes, "nothing was lost by looking at it");
    let kept = host.read(false).unwrap();
    assert_eq!(kept.errors, 1);
    let found = kept.agent.unwrap().frameworks[0].executors[0].run.tasks[0].replay.updates.len();
    assert!(found < 3, "{found}");
    // What follows is found again.
    journal_of(&host).write(&host.mount, &[record(&host, 4)]).unwrap();
    assert_eq!(replay_of(&host).updates.len(), found + 1);
}

/// As where a sector of its disk is bad.
#[test]
fn a_segment_that_cannot_be_read_stops_a_strict_agent_and_another_goes_on_without_what_is_in_it() {
    let host = Host::with_task(1, Durability::Process);
    journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
    let path = segment_of(&host, 1);
    unreadable(&host, &path);
    let error = host.read(true).unwrap_err().to_string();
    assert!(error.contains("failed to read") && error.contains("updates.journal.1'"), "{error}");
    assert_eq!(host.read(false).unwrap().errors, 1);
    // What follows is found again.
    journal_of(&host).write(&host.mount, &[record(&host, 2)]).unwrap();
    let kept = host.read(false).unwrap();
    assert_eq!(kept.errors, 1);
    let found = kept.agent.unwrap().frameworks[0].executors[0].run.tasks[0].replay.updates.len();
    assert_eq!(found, 1);
    assert!(host.mount.exists(&path), "it may be read another time");
}

/// It was the last one then: it has room behind its groups, and may have a torn end.
#[test]
fn a_segment_that_can_be_read_again_is_in_order_although_another_follows() {
    for torn in [&b""[..], b"\x07"] {
        let host = Host::with_task(1, Durability::Process);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = segment_of(&host, 1);
        let mut bytes = host.mount.read(&path).unwrap();
        let whole = whole_of(&host, &path);
        bytes[whole..whole + torn.len()].copy_from_slice(torn);
        unreadable(&host, &path);
        assert_eq!(host.read(false).unwrap().errors, 1);
        journal_of(&host).write(&host.mount, &[record(&host, 2)]).unwrap();
        host.mount.remove(&path).unwrap();
        host.mount.write(&path, &bytes, Durability::Host).unwrap();
        let kept = host.read(true).unwrap().agent.unwrap();
        // The other one is written where nobody knew of the first.
        let updates = &kept.frameworks[0].executors[0].run.tasks[0].replay.updates;
        let uuids: Vec<Uuid> = updates.iter().map(uuid_of).collect();
        assert_eq!(uuids, [Uuid::from_u128(2)]);
    }
}

#[test]
fn what_leads_to_updates_and_cannot_be_read_stops_a_strict_agent_and_is_counted_by_another() {
    for owner in log_of(&Host::new(1)).owners() {
        let host = Host::with_task(1, Durability::Host);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = owner.path();
        unreadable(&host, path);
        let error = host.read(true).unwrap_err().to_string();
        assert!(error.contains(&format!("failed to read '{}'", path.display())), "{error}");
        let kept = host.read(false).unwrap();
        assert_eq!(kept.errors, 1, "{}", path.display());
        assert!(kept.agent.is_some());
    }
}

/// As one that is full: what it does not take was promised, and `--no-strict` is about what cannot be read.
#[test]
fn what_the_journal_has_and_the_disk_does_not_take_stops_every_agent_and_is_not_lost() {
    for strict in [true, false] {
        let mut host = Host::with_task(1, Durability::Host);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        // The journal is synced, and its name; then the task's log is written.
        host.disk.kill_after(2, false, |_| {});
        let error = host.read(strict).unwrap_err().to_string();
        let log = log_of(&host).path().display().to_string();
        assert!(error.contains(&format!("failed to write '{log}'")), "{error}");
        host.mount = host.disk.mount();
        assert_eq!(replay_of(&host).updates.len(), 1);
    }
}

#[test]
fn a_last_group_that_is_damaged_is_torn_only_after_a_boot() {
    let host = Host::with_task(1, Durability::Host);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    let path = segment_of(&host, 1);
    let mut bytes = host.mount.read(&path).unwrap();
    let last = format::read(&bytes).whole - 1;
    bytes[last] ^= 1;
    host.mount.write(&path, &bytes, Durability::Host).unwrap();
    assert!(host.read(true).is_err());
    host.disk.lose_power();
    assert_eq!(replay_of(&host).updates.len(), 1);
}

/// Its logs were synced one by one, but for the acknowledgements at their end.
#[test]
fn logs_of_an_agent_without_a_journal_are_read_and_gone_on_with() {
    for seed in 0..50 {
        let host = Host::with_task(seed, Durability::Host);
        let (disk, log) = (&host.mount, log_of(&host));
        let old = [bytes_of(&record(&host, 1)).to_vec(), bytes_of(&record(&host, 2)).to_vec()].concat();
        disk.append(log.path(), &old, Durability::Host).unwrap();
        disk.sync_directory(log.task()).unwrap();
        let acknowledgement = acknowledgement_record(log.clone(), Uuid::from_u128(1));
        disk.append(log.path(), bytes_of(&acknowledgement), Durability::Process).unwrap();
        let before = replay_of(&host);
        assert_eq!((before.updates.len(), before.acknowledged.len()), (2, 1));
        journal_of(&host).write(disk, &[record(&host, 3)]).unwrap();
        host.disk.lose_power();
        let after = replay_of(&host);
        assert_eq!((after.updates.len(), after.acknowledged.len()), (3, 1), "seed {seed}");
    }
}

/// An operator went back to an agent without a journal for a while.
#[test]
fn what_an_earlier_version_wrote_behind_the_journal_stays() {
    let host = Host::with_task(1, Durability::Host);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    spill_all(&mut journal, &host);
    host.mount.append(log_of(&host).path(), bytes_of(&record(&host, 2)), Durability::Host).unwrap();
    assert_eq!(replay_of(&host).updates.len(), 2);
    journal_of(&host).write(&host.mount, &[record(&host, 3)]).unwrap();
    assert_eq!(replay_of(&host).updates.len(), 3);
}

#[test]
fn what_is_over_is_not_brought_back_once_it_was_deleted() {
    let host = Host::with_task(1, Durability::Host);
    let mut journal = journal_of(&host);
    let log = log_of(&host);
    let last = update_record(log.clone(), &mut update("t", 1, TaskFinished), true);
    let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
    let acknowledgement = acknowledgement_record(log.clone(), Uuid::from_u128(1));
    journal.write(&host.mount, &[last]).unwrap();
    journal.write(&host.mount, &[acknowledgement, Record::Forget { agent, path }]).unwrap();
    // Only its acknowledgement may be missing.
    assert_eq!(replay_of(&host).acknowledged.len(), 1);
    host.mount.remove(log.task()).unwrap();
    assert!(host.read(true).unwrap().agent.unwrap().frameworks[0].executors[0].run.tasks.is_empty());
    assert!(!host.mount.exists(log.task()));
    // The whole framework is over.
    let other = host.paths.task_updates(&host.run, &TaskId::from("other"));
    let record = update_record(other.clone(), &mut update("other", 2, TaskRunning), true);
    let (agent, path) = (other.agent().to_path_buf(), other.framework().to_path_buf());
    journal.write(&host.mount, &[record, Record::Forget { agent, path }]).unwrap();
    host.mount.remove(other.framework()).unwrap();
    assert!(host.read(true).unwrap().agent.unwrap().frameworks.is_empty());
}

#[test]
fn a_task_with_the_id_of_one_that_is_over_has_a_log_of_its_own() {
    for seed in 0..100 {
        let host = Host::with_task(seed, Durability::Process);
        let mut journal = journal_of(&host);
        let log = log_of(&host);
        let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
        let last = update_record(log.clone(), &mut update("t", 1, TaskFinished), true);
        journal.write(&host.mount, &[last]).unwrap();
        if seed % 2 == 0 {
            spill_all(&mut journal, &host);
        }
        let over = Record::Forget { agent: agent.clone(), path: path.clone() };
        let acknowledgement = acknowledgement_record(log.clone(), Uuid::from_u128(1));
        journal.write(&host.mount, &[acknowledgement, over]).unwrap();
        journal.write(&host.mount, &[Record::Remove { agent, path }]).unwrap();
        assert!(!host.mount.exists(log.task()));
        // It says something else of itself.
        let mut second = crate::tasks::status::testing::task_info("t", "cpus:1");
        second.name = "second".into();
        let second = mesos::tasks::new_task(&second, TaskRunning, &host.run.framework);
        write_message(&host.mount, &log.task_info(), &second, Durability::Process).unwrap();
        assert_eq!(replay_of(&host), Replay::default());
        journal.write(&host.mount, &[record(&host, 2)]).unwrap();
        if seed % 3 == 0 {
            spill_all(&mut journal, &host);
        }
        host.disk.lose_power();
        let agent = host.read(true).unwrap().agent.unwrap();
        let kept = &agent.frameworks[0].executors[0].run.tasks[0];
        assert_eq!((kept.task.name.as_str(), kept.replay.updates.len()), ("second", 1), "seed {seed}");
        assert_eq!(kept.replay.updates[0].uuid.as_deref(), Some(&Uuid::from_u128(2).as_bytes()[..]));
    }
}

/// The framework said something else of itself after the journal had a copy.
#[test]
fn an_owner_that_changed_is_not_replaced_by_the_copy_of_the_journal() {
    for seed in 0..50 {
        let host = Host::with_task(seed, Durability::Process);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = host.paths.framework_info(&host.run.agent, &host.run.framework);
        let info =
            mesos::v1::FrameworkInfo { name: "renamed".into(), user: "u".into(), ..Default::default() };
        write_message(&host.mount, &path, &info, Durability::Host).unwrap();
        host.disk.lose_power();
        let agent = host.read(true).unwrap().agent.unwrap();
        assert_eq!(agent.frameworks[0].info.name, "renamed", "seed {seed}");
        assert_eq!(replay_of(&host).updates.len(), 1);
    }
}

/// It was over, and what was kept of it was deleted. The journal still has the copies from then.
#[test]
fn a_framework_that_comes_again_is_found_as_it_is_now() {
    for seed in 0..50 {
        let host = Host::with_task(seed, Durability::Process);
        let mut journal = journal_of(&host);
        journal.write(&host.mount, &[record(&host, 1)]).unwrap();
        let log = log_of(&host);
        let (agent, framework) = (log.agent().to_path_buf(), log.framework().to_path_buf());
        // Of a framework whose tasks had all ended before, only their ends are noted.
        let over = if seed % 2 == 0 { log.task() } else { log.framework() }.to_path_buf();
        journal.write(&host.mount, &[Record::Forget { agent, path: over }]).unwrap();
        spill_all(&mut journal, &host);
        host.mount.remove(&framework).unwrap();
        host.mount.sync_directory(framework.parent().unwrap()).unwrap();

        host.keep_owners(Durability::Process);
        let path = host.paths.framework_info(&host.run.agent, &host.run.framework);
        // Nothing is synced where nothing was before.
        host.mount.remove(&path).unwrap();
        host.mount.sync_directory(&framework).unwrap();
        let info =
            mesos::v1::FrameworkInfo { name: "renamed".into(), user: "u".into(), ..Default::default() };
        write_message(&host.mount, &path, &info, Durability::Process).unwrap();
        journal.write(&host.mount, &[record(&host, 2)]).unwrap();
        host.disk.lose_power();
        let agent = host.read(true).unwrap().agent.unwrap();
        assert_eq!(agent.frameworks[0].info.name, "renamed", "seed {seed}");
        assert_eq!(replay_of(&host).updates.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_an_error_that_names_the_file() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let records = [record(&host, 1)];
    host.disk.set_broken(Some("no space left on device"));
    let error = journal.write(&host.mount, &records).unwrap_err().to_string();
    assert!(error.contains("framework") || error.contains("updates"), "{error}");
    assert!(error.contains("no space left"), "{error}");
}

/// A disk writes in any order: what follows may be whole.
#[test]
fn a_hole_in_what_was_not_synced_is_cut_off_after_a_boot_and_one_in_what_was_stops_a_strict_agent() {
    let acknowledgement = |host: &Host, n| acknowledgement_record(log_of(host), Uuid::from_u128(n));
    let hole_in = |synced: bool| {
        let host = Host::with_task(1, Durability::Host);
        let mut journal = journal_of(&host);
        journal.write(&host.mount, &[record(&host, 1), record(&host, 2)]).unwrap();
        let path = segment_of(&host, 1);
        let promised = whole_of(&host, &path);
        journal.write(&host.mount, &[acknowledgement(&host, 1)]).unwrap();
        let end = whole_of(&host, &path);
        if synced {
            journal.write(&host.mount, &[record(&host, 3)]).unwrap();
        }
        journal.write(&host.mount, &[acknowledgement(&host, 2)]).unwrap();
        let mut bytes = host.mount.read(&path).unwrap();
        bytes[promised + 5..end].fill(0);
        host.mount.write(&path, &bytes, Durability::Host).unwrap();
        assert!(host.read(true).unwrap_err().to_string().contains("updates.journal.1' is corrupt"));
        host.disk.lose_power();
        (host, promised)
    };
    let (host, promised) = hole_in(false);
    let replay = replay_of(&host);
    assert_eq!((replay.updates.len(), replay.acknowledged.len()), (2, 0));
    assert_eq!(host.mount.read(&segment_of(&host, 1)).unwrap().len(), promised);
    let (host, _) = hole_in(true);
    assert!(host.read(true).unwrap_err().to_string().contains("updates.journal.1' is corrupt"));
}
