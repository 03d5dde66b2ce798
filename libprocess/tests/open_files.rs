//! How many files a process may have open: a daemon more than what it starts. One test, since it concerns the whole process.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use libprocess::subprocess::{Stream, Subprocess};
use libprocess::{Limits, raise_file_limit};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_daemon_may_have_more_files_open_than_what_it_starts() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum }).unwrap();
    assert_eq!((Limits::default().clients, Limits::default().peers), (50, 100));

    for _ in 0..2 {
        raise_file_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
    }
    let files = maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap());
    assert_eq!(Limits::default().clients, (files / 4).min(4096));

    let printed = libprocess::run(async {
        let shell = Subprocess::new("sh").arguments(["-c", "ulimit -Sn"]).stdout(Stream::Pipe);
        shell.output(100).await.unwrap().stdout
    });
    assert_eq!(String::from_utf8(printed).unwrap(), "200\n");
}
