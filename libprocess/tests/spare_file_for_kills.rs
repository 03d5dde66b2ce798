//! A process that may open no more files can end others. One test, since it concerns the whole process.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use libprocess::disk::{Disk as _, HostDisk};
use libprocess::subprocess::{kill_tree, process_table, session_lives, session_of};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

#[test]
fn a_tree_of_processes_is_killed_when_no_more_files_can_be_opened() {
    let mut child = Command::new("setsid").args(["sleep", "600"]).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    while session_of(pid) != Some(pid) {
        std::thread::yield_now();
    }
    // A file is kept from the first use of the disk on.
    assert!(HostDisk.boot_id().is_some());
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    let open: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(File::open("/proc").is_err());
    assert!(session_lives(pid));
    assert!(process_table().iter().any(|entry| entry.pid == pid));
    assert_eq!(kill_tree(pid, Signal::KILL), 1);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    drop(open);
}
