//! The child that fetches as another user: `mesos fetcher`, with its orders in the environment.
//!
//! Nothing but the exit status and the last line of its standard error comes back.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use libprocess::subprocess::kill_tree;
use mesos::fetcher::FetcherInfo;
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::containerizer::DEFAULT_PATH;
use crate::users::Identity;

/// The variable that holds the orders, a `FetcherInfo` in JSON (as upstream's `mesos-fetcher` has it).
pub const ENVIRONMENT: &str = "MESOS_FETCHER_INFO";

/// Of what the child prints, so much is read; it prints a line.
const MAX_OUTPUT: u64 = 64 << 10;

/// How the child is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    /// What it is called (`argv[0]`), and its argument.
    name: &'static str,
    argument: Option<&'static str>,
}

impl Program {
    /// `<launcher_dir>/mesos-fetcher` if it is there, else `this` (the running binary) with the argument `fetcher`.
    pub fn locate(launcher_dir: &Path, this: Option<PathBuf>) -> Option<Program> {
        match launcher_dir.join("mesos-fetcher").canonicalize() {
            Ok(path) => Some(Program { path, name: "mesos-fetcher", argument: None }),
            Err(_) => this.map(|path| Program { path, name: "mesos", argument: Some("fetcher") }),
        }
    }
}

/// Whatever happens to the future, nothing of the child lives on.
struct Session(i32);

impl Drop for Session {
    fn drop(&mut self) {
        kill_tree(self.0, Signal::KILL);
    }
}

/// Runs the child to its end.
pub(super) async fn fetch(program: &Program, info: &FetcherInfo, identity: Identity) -> Result<(), String> {
    let mut command = Command::new(&program.path);
    command
        .arg0(program.name)
        .args(program.argument)
        .env_clear()
        .env("PATH", DEFAULT_PATH)
        .env(ENVIRONMENT, String::from_utf8_lossy(&mesos::json::to_vec(info)).into_owned())
        .current_dir(&info.sandbox_directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // SAFETY: between fork and exec only async-signal-safe calls may be made: these are system calls, on what was
    // prepared before.
    #[allow(unsafe_code, reason = "a session and a user can only be changed by the child itself")]
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            identity.assume()
        });
    }
    let failed = |error: std::io::Error| format!("'{}' cannot be executed: {error}", program.path.display());
    let mut child = command.spawn().map_err(failed)?;
    let _session = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Session);
    let mut printed = Vec::new();
    if let Some(errors) = child.stderr.take() {
        // What it could not say it did not say; its status counts.
        let _ = errors.take(MAX_OUTPUT).read_to_end(&mut printed).await;
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&printed);
    let last = printed.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.map_or_else(|| format!("the fetcher ended: {status}"), str::to_owned))
}
