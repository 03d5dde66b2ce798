//! A process that may open no more files can use its disk. One test, since it concerns the whole process.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::File;

use libprocess::disk::{Disk as _, Durability, HostDisk};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn the_disk_can_be_used_when_no_more_files_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    HostDisk.write(&file, b"one", Durability::Process).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    let mut open = Vec::new();
    while let Ok(another) = File::open("/dev/null") {
        open.push(another);
    }
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
