//! Examples of a crate, run as programs by its tests.

#![allow(clippy::panic, clippy::expect_used, reason = "it fails a test")]

use std::process::Command;

/// The example with this name, built: in the profile of the test that asks, and as part of the workspace, so that what
/// its tests were built of is built once.
///
/// # Panics
/// If it cannot be built.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test knows its program");
    // target/<profile>/deps/<test>
    let profile = test.ancestors().nth(2).expect("cargo puts tests into a directory of their profile");
    let directory = profile.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--workspace", "--example", name]);
    // The profile `dev` has a directory of another name.
    cargo.args(["--profile", if directory == "debug" { "dev" } else { directory }]);
    cargo.arg("--target-dir").args(profile.parent());
    // What cargo tells the test of its crate makes build scripts run once more that look at it (ring's does), and
    // everything be built once more that stands on them; and again by the next cargo, which does not say it.
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(told) {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().expect("cargo runs");
    assert!(built.status.success(), "{name} cannot be built: {}", String::from_utf8_lossy(&built.stderr));
    Command::new(profile.join("examples").join(name))
}
