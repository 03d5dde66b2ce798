//! The child that fetches as another user: `mesos fetcher`, with its orders in the environment.
//!
//! Nothing but the exit status and the last line of its standard error comes back.

use std::path::{Path, PathBuf};

use libprocess::http::Proxies;
use libprocess::subprocess::{Stream, Subprocess};
use mesos::fetcher::FetcherInfo;

use crate::containerizer::DEFAULT_PATH;
use crate::users::Identity;

/// The variable that holds the orders, a `FetcherInfo` in JSON (as upstream's `mesos-fetcher` has it).
pub const ENVIRONMENT: &str = "MESOS_FETCHER_INFO";

/// Of what the child prints, so much is kept; it prints a line.
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

/// Runs the child to its end, with these proxies. Whatever happens to the future, nothing of the child lives on.
pub(super) async fn fetch(
    program: &Program,
    info: &FetcherInfo,
    proxies: Option<&Proxies>,
    identity: Identity,
) -> Result<(), String> {
    let orders = String::from_utf8_lossy(&mesos::json::to_vec(info)).into_owned();
    let own = [
        ("PATH", DEFAULT_PATH),
        (ENVIRONMENT, orders.as_str()),
        // By the sandbox, an agent that finds this container without a process ends the child of the one before.
        ("MESOS_DIRECTORY", info.sandbox_directory.as_str()),
    ];
    let child = Subprocess::new(&program.path)
        .called(program.name)
        .arguments(program.argument)
        .environment(own.into_iter().chain(proxies.into_iter().flat_map(Proxies::variables)))
        .directory(&info.sandbox_directory)
        .stderr(Stream::Pipe)
        .session();
    // SAFETY: `assume` makes system calls on what was prepared before, and allocates nothing.
    #[allow(unsafe_code, reason = "a user can only be changed by the child itself")]
    let child = unsafe { child.before_exec(move || identity.assume()) };
    let output = child
        .output(MAX_OUTPUT)
        .await
        .map_err(|error| format!("'{}' cannot be executed: {error}", program.path.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let last = printed.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.map_or_else(|| format!("the fetcher ended: {}", output.status), str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_child_is_known_by_its_sandbox_and_asks_the_same_proxies() {
        let Some(identity) = Identity::of("nobody").ok().flatten() else {
            println!("skipped: only root can fetch as another user");
            return;
        };
        let sandbox = tempfile::tempdir().unwrap();
        let script = sandbox.path().join("script");
        std::fs::write(&script, "echo \"in $MESOS_DIRECTORY by $https_proxy\" >&2; exit 1\n").unwrap();
        for path in [sandbox.path(), &script] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let directory = sandbox.path().display().to_string();
        let info = FetcherInfo { sandbox_directory: directory.clone(), ..FetcherInfo::default() };
        let program = Program { path: "/bin/sh".into(), name: "sh", argument: Some("./script") };
        let proxies = Proxies::of(|name| (name == "https_proxy").then(|| "p:1".to_owned()));
        let ended = fetch(&program, &info, Some(&proxies), identity).await;
        assert_eq!(ended, Err(format!("in {directory} by p:1")));
    }
}
