//! Trees of operating system processes: who descends from whom, and how to end them all.
//!
//! A container without cgroups is a session and everything below it; a demo is a master, agents and
//! whatever those started. Both must be able to say "all of you, stop". What is here reads `/proc` and
//! sends signals; it starts nothing and knows no actor. (Upstream: stout's `os::pstree`, `os::killtree`.)

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};

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
    /// Whether it has ended and only waits to be reaped.
    pub zombie: bool,
}

/// Every process of the host that can be seen. Processes that end while the table is read are left out.
pub fn process_table() -> Vec<ProcessEntry> {
    let Ok(directory) = std::fs::read_dir("/proc") else { return Vec::new() };
    directory
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse_stat(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// `pid (name) state ppid pgrp session ...`; the name may hold blanks and parentheses, so the fields are
/// counted from the last closing one.
fn parse_stat(pid: i32, stat: &str) -> Option<ProcessEntry> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let zombie = fields.next()? == "Z";
    let mut number = || fields.next()?.parse::<i32>().ok();
    Some(ProcessEntry { pid, parent: number()?, group: number()?, session: number()?, zombie })
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

/// Sends `signal` to `root`, to everything that descends from it, and to the rest of their sessions if
/// `root` leads one (a daemonised grandchild keeps its session when it loses its parent).
/// Who has ended in the meantime is passed over. Returns how many were signalled.
pub fn kill_tree(root: i32, signal: Signal) -> usize {
    let table = process_table();
    let mut targets = vec![root];
    targets.extend(below(root, &table));
    let leads_session = table.iter().any(|entry| entry.pid == root && entry.session == root);
    if leads_session {
        for entry in table.iter().filter(|entry| entry.session == root && !entry.zombie) {
            if !targets.contains(&entry.pid) {
                targets.push(entry.pid);
            }
        }
    }
    targets.into_iter().filter(|pid| send_signal(*pid, signal)).count()
}

/// Sends one signal; false when there is no such process (any more) or it is not ours.
pub fn send_signal(pid: i32, signal: Signal) -> bool {
    // 0 and negative numbers would mean groups, 1 is the host's own.
    pid > 1 && Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: i32, parent: i32) -> ProcessEntry {
        ProcessEntry { pid, parent, group: pid, session: 1, zombie: false }
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let parsed = parse_stat(7, "7 (a ) b (c) S 3 5 6 0 -1").expect("a well-formed line");
        assert_eq!(parsed, ProcessEntry { pid: 7, parent: 3, group: 5, session: 6, zombie: false });
        assert_eq!(parse_stat(7, "7 (cut"), None);
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
    fn a_child_is_seen_and_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let pid = i32::try_from(child.id()).expect("a pid fits");
        assert!(descendants(std::process::id() as i32).contains(&pid));
        assert_eq!(kill_tree(pid, Signal::KILL), 1);
        assert!(!child.wait().expect("the child is ours").success());
        assert!(!send_signal(pid, Signal::KILL));
    }

    #[test]
    fn groups_and_init_are_never_signalled() {
        for pid in [-5, 0, 1] {
            assert!(!send_signal(pid, Signal::TERM));
        }
    }
}
