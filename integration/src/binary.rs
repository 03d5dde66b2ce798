//! The `mesos` binary that the tests start, which must be the one that the sources describe.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The path of the binary: `MESOS_TEST_BINARY`, which `./test` sets to the one that it has built, or `target/release/mesos`.
///
/// # Panics
/// When there is none, or when a source file of it is newer than it: a test against yesterday's binary proves
/// nothing.
#[allow(clippy::panic, reason = "without the right binary every process test has failed")]
pub fn mesos() -> PathBuf {
    if let Some(named) = std::env::var_os("MESOS_TEST_BINARY") {
        return PathBuf::from(named);
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let binary = target.join("release/mesos");
    let Some(built) = modified(&binary) else {
        panic!("{} does not exist: run `cargo build --release`, or set MESOS_TEST_BINARY", binary.display());
    };
    if let Some(newer) = newer_source(&binary, built) {
        panic!(
            "{} is older than {}: run `cargo build --release`, or set MESOS_TEST_BINARY",
            binary.display(),
            newer.display()
        );
    }
    binary
}

/// Makes, at `path`, a copy of the binary that says it is of another version, which has as many characters: what a second
/// build of the same sources would be.
///
/// # Panics
/// If the binary does not hold its version where `mesos::version` has put it, or the copy cannot be written.
pub fn relabelled(path: &Path, version: &str) {
    let original = mesos();
    let mut bytes = std::fs::read(&original).expect("it was there a moment ago");
    let (now, next) = (label(mesos::version()), label(version));
    assert_eq!(now.len(), next.len(), "{version} does not fit where {} stands", mesos::version());
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == now[0]) {
        if bytes[from + found..].starts_with(&now) {
            places.push(from + found);
        }
        from += found + 1;
    }
    assert!(!places.is_empty(), "{} does not say which version it is", original.display());
    for place in places {
        bytes[place..place + next.len()].copy_from_slice(&next);
    }
    std::fs::write(path, bytes).expect("the test's folder is ours");
    let permissions = original.metadata().expect("it was there a moment ago").permissions();
    std::fs::set_permissions(path, permissions).expect("the copy is ours");
}

fn label(version: &str) -> Vec<u8> {
    format!("mesos-version={version}").into_bytes()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// A source of the binary that was changed after `built`. Which they are, cargo has written down beside it:
/// `mesos.d` names every file that went in, and the folders that build scripts watch. Tests, which do not
/// change the binary, are not among them.
///
/// # Panics
/// When cargo's list is missing.
fn newer_source(binary: &Path, built: SystemTime) -> Option<PathBuf> {
    let list = std::fs::read_to_string(binary.with_extension("d"))
        .expect("cargo writes a list of sources beside each binary");
    let mut sources: Vec<PathBuf> = sources_in(&list);
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok);
            sources.extend(entries.map(|entry| entry.path()));
        } else if modified(&path).is_none_or(|changed| changed > built) {
            return Some(path);
        }
    }
    None
}

/// The prerequisites in a makefile of one rule, as cargo writes it: separated by spaces, those of a name escaped.
fn sources_in(list: &str) -> Vec<PathBuf> {
    let (_, sources) = list.split_once(": ").unwrap_or_default();
    let escaped = sources.trim_end().replace("\\ ", "\0");
    escaped.split(' ').map(|source| PathBuf::from(source.replace('\0', " "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_are_read_as_they_are() {
        let sources = sources_in("/x/target/release/mesos: /x/a.rs /x/my\\ house/b.rs\n");
        assert_eq!(sources, [Path::new("/x/a.rs"), Path::new("/x/my house/b.rs")]);
    }

    #[test]
    fn the_binary_knows_its_main_file() {
        let list = std::fs::read_to_string(mesos().with_extension("d")).expect("it was just built");
        assert!(sources_in(&list).contains(&workspace().join("cli/src/main.rs")));
    }
}
