//! The failure test: a cluster of real processes under fire. `integration/src/chaos/mod.rs` says what happens in it.
//!
//! `MESOS_TEST_SEED` gives another seed; it decides what happens to whom and when, but not what that comes upon.
//! `MESOS_TEST_SECONDS` says for how long there are faults. With `MESOS_TEST_KEEP`, logs are kept of good runs, too.

use std::path::PathBuf;
use std::time::Duration;

use integration::chaos::cluster::Programs;
use integration::chaos::ground::on_ground;
use integration::chaos::store::Store;
use integration::chaos::{run, say};
use integration::mode;

/// How long there are faults: in `./test` and in `./test --long`.
const TIME: Duration = Duration::from_secs(60);
const LONG_TIME: Duration = Duration::from_secs(600);

fn programs() -> Programs {
    let python = std::env::var_os("MESOS_TEST_PYTHON");
    if python.is_none() {
        say("skipped: MESOS_TEST_PYTHON does not name a Python with PyMesos (./test installs one)");
    }
    Programs { scheduler: PathBuf::from(env!("CARGO_BIN_EXE_chaos_scheduler")), python }
}

fn under_fire(test: &str, start: impl AsyncFnOnce() -> Option<Store>) {
    let given = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = given("MESOS_TEST_SEED").unwrap_or(1);
    let usual = if mode::is_long() { LONG_TIME } else { TIME };
    let time = given("MESOS_TEST_SECONDS").map_or(usual, Duration::from_secs);
    on_ground(test, |ground| {
        libprocess::run(async {
            let Some(store) = start().await else { return };
            say(&format!("{} under fire for {time:?}, seed {seed} (MESOS_TEST_SEED)", store.name()));
            let outcome = run(ground, store, &programs(), seed, time).await;
            say(&outcome.summary());
            outcome.must_be_good();
        });
    });
}

#[test]
fn nothing_is_lost_with_zookeeper() {
    under_fire("chaos::nothing_is_lost_with_zookeeper", Store::zookeeper);
}

#[test]
fn nothing_is_lost_with_etcd() {
    under_fire("chaos::nothing_is_lost_with_etcd", Store::etcd);
}
