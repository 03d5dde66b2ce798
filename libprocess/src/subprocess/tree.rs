//! Trees of operating system processes: who descends from whom, and how to end them all.
//!
//! A container without cgroups is a session and everything below it; a demo is a master, agents and
//! whatever those started. Both must be able to say "all of you, stop". What is here reads `/proc` and
//! sends signals; it starts nothing. (Upstream: stout's `os::pstree`, `os::killtree`.)
//!
//! It reads one file at a time, also if this process may open no more of them: a container that was to be killed would run
//! on for ever, since that is said once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::process::{Pid, Signal, kill_process};

use crate::disk::{has_too_many_files, with_spare};

/// One line of the process table: what `/proc/<pid>/stat` says about kinship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessEntry {
    /// The process.
    pub pid: i32,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Whether it has ended and only waits to be reaped. One whose first thread has ended while others run has not.
    pub zombie: bool,
}

/// Every process of the host that can be seen. Processes that end while the table is read are left out.
pub fn process_table() -> Vec<ProcessEntry> {
    table_of(read_stat)
}

/// The table, from what `read` finds about each process. Where no file can be opened for a while, that is waited for once:
/// for each process anew, whoever asks would stand still for minutes.
fn table_of(read: impl Fn(i32) -> io::Result<String>) -> Vec<ProcessEntry> {
    let table = with_spare(|| {
        let mut table = Vec::new();
        for pid in read_pids()? {
            match read(pid) {
                Ok(stat) => table.extend(parse_stat(pid, &stat)),
                Err(error) if has_too_many_files(&error) => return Err(error),
                // It has ended.
                Err(_) => {}
            }
        }
        Ok(table)
    });
    table.unwrap_or_default()
}

/// The pids of the host, as far as they can be seen.
fn read_pids() -> io::Result<Vec<i32>> {
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    Ok(std::fs::read_dir("/proc")?.filter_map(Result::ok).filter_map(pid).collect())
}

fn read_stat(pid: i32) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
}

fn look_up(pid: i32) -> Option<ProcessEntry> {
    parse_stat(pid, &with_spare(|| read_stat(pid)).ok()?)
}

/// `pid (name) state ppid pgrp session ...`; the name may hold blanks and parentheses, so the fields are
/// counted from the last closing one. The state is that of the first thread, which may have ended alone
/// (`pthread_exit` in `main`): the number of threads says whether others run on.
fn parse_stat(pid: i32, stat: &str) -> Option<ProcessEntry> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let dead = fields.next()? == "Z";
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    // Field 20 of proc(5); the session is field 6.
    let threads = fields.nth(13).and_then(|threads| threads.parse::<u32>().ok());
    let zombie = dead && threads.is_none_or(|threads| threads <= 1);
    Some(ProcessEntry { pid, parent, group, session, zombie })
}

/// All processes that descend from `root`, parents before children, without `root` itself. A process whose
/// parent has ended belongs to whoever adopted it: only what still hangs together is found.
pub fn descendants(root: i32) -> Vec<i32> {
    below(root, &process_table())
}

fn below(root: i32, table: &[ProcessEntry]) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in table.iter().filter(|entry| !entry.zombie) {
        children.entry(entry.parent).or_default().push(entry.pid);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        // Each child has one parent, so nothing is met twice, and the walk ends with the table.
        let Some(offspring) = children.remove(&pid) else { continue };
        found.extend(&offspring);
        next.extend(offspring);
    }
    found
}

/// Looks at the process table no more often than this while a tree grows.
const MAX_ROUNDS: usize = 100;

/// Sends `signal` to a tree: `root`, all that descends from it, and all that is in a process group or a session
/// which one of these leads or led (a daemonised grandchild keeps its session when it loses its parent). `root`
/// itself may have ended: its group and session are looked for all the same.
///
/// Everything found is stopped first, so that nothing can fork its way out while the others are looked for, and goes
/// on when the signal is pending (upstream: stout's `os::killtree` with groups and sessions). Returns how many were
/// signalled.
pub fn kill_tree(root: i32, signal: Signal) -> usize {
    let mut tree = BTreeSet::from([root]);
    let mut living = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let table = process_table();
        let found = joining(&tree, &living, &table);
        if found.is_empty() {
            break;
        }
        for pid in found {
            send_signal(pid, Signal::STOP);
            tree.insert(pid);
            living.push(pid);
        }
    }
    // The root last: who waits for it finds the others ended, too.
    let signalled = living.iter().rev().filter(|pid| send_signal(**pid, signal)).count();
    for pid in living {
        send_signal(pid, Signal::CONT);
    }
    signalled
}

/// What belongs to the tree and was not found yet, parents before children as far as the table says.
fn joining(tree: &BTreeSet<i32>, known: &[i32], table: &[ProcessEntry]) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    table
        .iter()
        .filter(|entry| !entry.zombie && entry.pid != own && !known.contains(&entry.pid))
        .filter(|entry| {
            [entry.pid, entry.parent, entry.group, entry.session].iter().any(|link| tree.contains(link))
        })
        .map(|entry| entry.pid)
        .collect()
}

/// The session of a process: the pid of its leader, or 0 for a kernel thread and for a session that was opened outside of
/// this PID namespace (what `docker exec` starts). `None` when there is no such process. Not rustix's `getsid`, whose
/// result cannot be 0.
pub fn session_of(pid: i32) -> Option<i32> {
    nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).ok().map(nix::unistd::Pid::as_raw)
}

/// Whether anybody is left in the session that `leader` leads or led. Who has ended, and only waits to be reaped, does not
/// count. It asks the kernel about each process: reading all of `/proc/*/stat` instead took an eighth of the CPU time that a
/// short command task costs.
pub fn session_lives(leader: i32) -> bool {
    let pids = with_spare(read_pids).unwrap_or_default();
    pids.into_iter()
        .any(|pid| session_of(pid) == Some(leader) && look_up(pid).is_some_and(|entry| !entry.zombie))
}

/// Sends one signal; false when there is no such process (any more) or it is not ours.
pub fn send_signal(pid: i32, signal: Signal) -> bool {
    // 0 and negative numbers would mean groups, 1 is the host's own.
    pid > 1 && Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until something is so; for a minute at most.
    fn until(is_so: impl Fn() -> bool) {
        for _ in 0..30_000 {
            if is_so() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        panic!("it does not come within a minute");
    }

    fn entry(pid: i32, parent: i32) -> ProcessEntry {
        ProcessEntry { pid, parent, group: pid, session: 1, zombie: false }
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let parsed = parse_stat(7, "7 (a ) b (c) S 3 5 6 0 -1").expect("a well-formed line");
        assert_eq!(parsed, ProcessEntry { pid: 7, parent: 3, group: 5, session: 6, zombie: false });
        assert_eq!(parse_stat(7, "7 (cut"), None);
    }

    /// Somebody was quicker to use the file that is kept for it. Each try takes a hundredth of a second.
    #[test]
    fn that_no_file_can_be_opened_is_waited_for_once_for_the_whole_table() {
        let tries = std::cell::Cell::new(0);
        let table = table_of(|_| {
            tries.set(tries.get() + 1);
            Err(rustix::io::Errno::MFILE.into())
        });
        assert!(table.is_empty());
        assert_eq!(tries.get(), 102);
        // What has ended meanwhile is left out.
        assert!(table_of(|_| Err(rustix::io::Errno::SRCH.into())).is_empty());
        let all = table_of(|pid| Ok(format!("{pid} (x) S 1 1 1")));
        assert!(all.contains(&ProcessEntry {
            pid: std::process::id().cast_signed(),
            parent: 1,
            group: 1,
            session: 1,
            zombie: false
        }));
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_is_no_zombie_while_another_runs() {
        let zombie = |threads: &str| {
            let stat = format!("7 (x) Z 1 7 5 0 -1 4227084 1088 0 1 0 2 0 0 0 20 0 {threads} 0 1737876 0 0");
            parse_stat(7, &stat).expect("a well-formed line").zombie
        };
        assert_eq!([zombie("2"), zombie("1"), zombie("0")], [false, true, true]);
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_is_killed() {
        let script = "import ctypes, threading, time\n\
                      threading.Thread(target=time.sleep, args=(600,)).start()\n\
                      ctypes.CDLL(None).pthread_exit(None)";
        let Ok(mut child) = std::process::Command::new("python3").args(["-c", script]).spawn() else {
            println!("skipped: there is no python3");
            return;
        };
        let pid = i32::try_from(child.id()).expect("a pid fits");
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        until(|| stat().contains(") Z "));
        assert!(child.try_wait().expect("the child is ours").is_none(), "a thread runs on");
        assert_eq!(kill_tree(pid, Signal::KILL), 1);
        assert!(!child.wait().expect("the child is ours").success());
    }

    #[test]
    fn descendants_are_found_through_generations_and_zombies_are_not() {
        let mut table = vec![entry(2, 1), entry(3, 2), entry(4, 3), entry(5, 1), entry(6, 2)];
        table.push(ProcessEntry { zombie: true, ..entry(7, 2) });
        let mut found = below(2, &table);
        found.sort_unstable();
        assert_eq!(found, [3, 4, 6]);
    }

    #[test]
    fn every_process_has_the_session_that_its_line_names() {
        // Kernel threads, and what was started into a container from outside, are in session 0.
        let mut child =
            std::process::Command::new("setsid").args(["sleep", "60"]).spawn().expect("setsid starts");
        let leader = i32::try_from(child.id()).expect("a pid fits");
        until(|| session_of(leader) == Some(leader));
        let table = process_table();
        assert!(table.contains(&ProcessEntry { session: leader, ..of(&table, leader) }));
        for entry in table.iter().filter(|entry| !entry.zombie) {
            // One that has ended since, or has opened a session of its own.
            let session = session_of(entry.pid);
            let moved = session.is_none() || session == Some(entry.pid);
            assert!(session == Some(entry.session) || moved, "{entry:?}: {session:?}");
        }
        assert!(session_lives(leader));
        child.kill().expect("the child is ours");
        until(|| !session_lives(leader));
        assert_eq!(session_of(leader), Some(leader), "nobody has reaped it");
        child.wait().expect("the child is ours");
        assert_eq!(session_of(leader), None);
    }

    fn of(table: &[ProcessEntry], pid: i32) -> ProcessEntry {
        *table.iter().find(|entry| entry.pid == pid).expect("it runs")
    }

    #[test]
    fn a_child_is_seen_and_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let pid = i32::try_from(child.id()).expect("a pid fits");
        assert!(descendants(std::process::id() as i32).contains(&pid));
        assert_eq!(kill_tree(pid, Signal::KILL), 1);
        assert!(!child.wait().expect("the child is ours").success());
        assert!(!send_signal(pid, Signal::KILL));
    }

    #[test]
    fn a_tree_is_joined_by_parents_groups_and_sessions() {
        let (group, session) = (7, 8);
        let table = [
            entry(2, 1),
            entry(3, 2),
            ProcessEntry { group, ..entry(4, 1) },
            ProcessEntry { session, ..entry(5, 1) },
            ProcessEntry { zombie: true, ..entry(6, 2) },
            entry(9, 1),
        ];
        let joined = |tree: &[i32], known: &[i32]| joining(&tree.iter().copied().collect(), known, &table);
        assert_eq!(joined(&[2], &[]), [2, 3]);
        assert_eq!(joined(&[2, 7], &[2, 3]), [4], "the group's leader may be gone");
        assert_eq!(joined(&[8], &[]), [5]);
    }

    #[test]
    fn what_has_left_its_session_and_lost_its_parent_is_ended_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ready = folder.path().join("ready");
        // A session of its own, in which one lost its parent, and another group.
        let script = format!(
            "setsid sh -c '(sleep 600 & echo $! >> {0}.pids); (set -m; sh -c \"sleep 601\" & echo $! >> {0}.pids); \
             echo > {0}; sleep 602' & wait",
            ready.display()
        );
        let mut shell = std::process::Command::new("sh").arg("-c").arg(script).spawn().expect("sh starts");
        until(|| ready.exists());
        let pids = std::fs::read_to_string(ready.with_extension("pids")).expect("it was written before");
        let pids: Vec<i32> = pids.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(pids.len(), 2);
        let root = i32::try_from(shell.id()).expect("a pid fits");
        assert!(kill_tree(root, Signal::KILL) >= 4);
        shell.wait().expect("the child is ours");
        for pid in pids {
            until(|| !process_table().iter().any(|entry| entry.pid == pid && !entry.zombie));
        }
    }

    #[test]
    fn groups_and_init_are_never_signalled() {
        for pid in [-5, 0, 1] {
            assert!(!send_signal(pid, Signal::TERM));
        }
    }
}
