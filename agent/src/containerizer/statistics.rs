//! What the processes of a container use, read from `/proc` (upstream: `isolators/posix.hpp`, `usage/usage.cpp`).

use std::collections::BTreeSet;

use libprocess::subprocess::{descendants, process_table};
use mesos::v1::ResourceStatistics;

/// What one process has used, in the kernel's units.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Usage {
    user_ticks: u64,
    system_ticks: u64,
    threads: u64,
    resident_pages: u64,
}

/// Adds up the processes that descend from `root`, `root` itself, and the rest of its session. The timestamp
/// and the limits are the caller's to fill in.
pub(super) fn of_tree(root: i32) -> ResourceStatistics {
    let session = process_table().into_iter().filter(|entry| entry.session == root && !entry.zombie);
    let mut pids: BTreeSet<i32> = session.map(|entry| entry.pid).collect();
    pids.insert(root);
    pids.extend(descendants(root));
    let used: Vec<Usage> = pids
        .into_iter()
        // One that has just ended has nothing to say any more.
        .filter_map(|pid| parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect();
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    let page = rustix::param::page_size() as u64;
    let sum = |of: fn(&Usage) -> u64| used.iter().map(of).sum::<u64>();
    ResourceStatistics {
        processes: u32::try_from(used.len()).ok(),
        threads: u32::try_from(sum(|usage| usage.threads)).ok(),
        cpus_user_time_secs: Some(sum(|usage| usage.user_ticks) as f64 / ticks),
        cpus_system_time_secs: Some(sum(|usage| usage.system_ticks) as f64 / ticks),
        mem_rss_bytes: Some(sum(|usage| usage.resident_pages) * page),
        ..ResourceStatistics::default()
    }
}

/// Fields 14, 15, 20 and 24 of `/proc/<pid>/stat` (proc(5)), counted from behind the name.
fn parse(stat: &str) -> Option<Usage> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    // The state is field 3 and the first here.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Usage {
        user_ticks: field(14)?,
        system_ticks: field(15)?,
        threads: field(20)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_stand_where_the_manual_says() {
        let line = "9 (my (odd) name) R 1 9 9 0 -1 0 0 0 0 0 140 150 0 0 20 0 3 0 100 4096 24 0";
        let usage = Usage { user_ticks: 140, system_ticks: 150, threads: 3, resident_pages: 24 };
        assert_eq!(parse(line), Some(usage));
        assert_eq!(parse("9 (cut) R 1"), None);
    }

    #[test]
    fn this_process_uses_memory_and_has_threads() {
        let statistics = of_tree(std::process::id() as i32);
        assert!(statistics.mem_rss_bytes.unwrap() > 100_000);
        assert!(statistics.threads.unwrap() >= 1 && statistics.processes.unwrap() >= 1);
    }
}
