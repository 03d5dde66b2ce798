//! Which tests were asked for: `./test` says so in `MESOS_TEST_MODE`.

/// `./test --quick`: without what must be installed.
pub fn is_quick() -> bool {
    mode().as_deref() == Some("quick")
}

/// `./test --long`: the failure test takes ten times as long.
pub fn is_long() -> bool {
    mode().as_deref() == Some("long")
}

fn mode() -> Option<String> {
    std::env::var("MESOS_TEST_MODE").ok()
}
