//! The `mesos` binary that the tests start, which must be the one that the sources describe.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The path of the binary: `MESOS_TEST_BINARY`, or `target/release/mesos`.
///
/// # Panics
/// When there is none, or when a source file is newer than it: a test against yesterday's binary proves
/// nothing. `./test` builds it first.
#[allow(clippy::panic, reason = "without the right binary every process test has failed")]
pub fn mesos() -> PathBuf {
    if let Some(named) = std::env::var_os("MESOS_TEST_BINARY") {
        return PathBuf::from(named);
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let binary = target.join("release/mesos");
    let Some(built) = modified(&binary) else {
        panic!("{} does not exist: run `cargo build --release` (or `./test`, which does)", binary.display());
    };
    if let Some(newer) = newer_source(&workspace(), built) {
        panic!(
            "{} is older than {}: run `cargo build --release` (or `./test`, which does)",
            binary.display(),
            newer.display()
        );
    }
    binary
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// A source file of the daemons that was changed after `built`. Tests, benchmarks and this crate are not
/// part of the binary.
fn newer_source(root: &Path, built: SystemTime) -> Option<PathBuf> {
    let crates = ["libprocess", "mesos", "election", "allocator", "master", "agent", "frameworks", "cli"];
    let mut folders: Vec<PathBuf> = crates
        .iter()
        .flat_map(|name| ["src", "proto", "build"].map(|folder| root.join(name).join(folder)))
        .collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if matches!(path.extension().and_then(|e| e.to_str()), Some("rs" | "proto"))
                && modified(&path).is_some_and(|changed| changed > built)
            {
                return Some(path);
            }
        }
    }
    None
}
