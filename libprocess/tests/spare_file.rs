//! A process that may open no more files can use its disk. One test, since it concerns the whole process.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::File;

use libprocess::disk::{Disk as _, Durability, HostDisk};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens as many files as may be.
fn open_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn the_disk_can_be_used_when_no_more_files_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "none").unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    // There is none that could be kept yet.
    let open = open_all();
    assert!(HostDisk.read(&file).is_err());
    drop(open);
    HostDisk.write(&file, b"one", Durability::Process).unwrap();
    let open = open_all();
    assert!(File::open(&file).is_err());
    for round in ["a", "b", "c"] {
        HostDisk.append(&file, b"+", Durability::Host).unwrap();
        HostDisk.write_at(&file, 0, round.as_bytes(), Durability::Host).unwrap();
        let directory = folder.path().join(round);
        HostDisk.create_directory(&directory.join("below"), Durability::Host).unwrap();
        assert_eq!(HostDisk.list(folder.path()).unwrap(), [round, "file"]);
        HostDisk.remove(&directory.join("below")).unwrap();
        HostDisk.remove(&directory).unwrap();
    }
    assert_eq!(HostDisk.read(&file).unwrap(), b"cne+++");
    assert!(HostDisk.boot_id().is_some());
    drop(open);
}
