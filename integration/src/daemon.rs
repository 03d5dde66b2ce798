//! One `mesos` process of a test: started, killed, restarted, and its log kept.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libprocess::subprocess::{descendants, kill_tree, send_signal};
use rustix::process::Signal;

/// A command in which the developer's shell has no say: without its `MESOS_*` and `LIBPROCESS_*`, and without its proxies,
/// which do not know a test's servers.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Whether this variable would change what a test does.
fn is_setting(name: &str) -> bool {
    const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
    name.starts_with("MESOS_")
        || name.starts_with("LIBPROCESS_")
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// A process that a test started. Dropping it kills it and everything below it.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Starts `binary` with `arguments`; what it prints is appended to `<logs>/<name>.log`.
    ///
    /// The environment is that of [`command`].
    pub fn start(
        name: &str,
        binary: &Path,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        logs: &Path,
    ) -> Self {
        let log = logs.join(format!("{name}.log"));
        let mut daemon = Self {
            name: name.to_owned(),
            binary: binary.to_owned(),
            arguments,
            environment,
            log,
            child: None,
        };
        daemon.launch();
        daemon
    }

    fn launch(&mut self) {
        let output =
            OpenOptions::new().create(true).append(true).open(&self.log).expect("the test's folder is ours");
        let errors = output.try_clone().expect("a file handle can be doubled");
        let mut command = command(&self.binary);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        self.child = Some(command.spawn().expect("the binary was there a moment ago"));
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok())
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has printed so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends this one process at once, as a crash would (SIGKILL). What it started lives on.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it in its tracks (SIGSTOP); [`Daemon::resume`] lets it go on.
    pub fn freeze(&self) {
        self.pid().map(|pid| send_signal(pid, Signal::STOP));
    }

    /// Lets a frozen process go on.
    pub fn resume(&self) {
        self.pid().map(|pid| send_signal(pid, Signal::CONT));
    }

    /// Asks it to end (SIGTERM) and waits for it. Returns the exit code, if it had one.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        if let Ok(pid) = i32::try_from(child.id()) {
            send_signal(pid, Signal::TERM);
        }
        child.wait().ok().and_then(|status| status.code())
    }

    /// Its exit code once it has ended by itself; an error while it runs.
    pub fn exit_code(&mut self) -> Result<i32, String> {
        let Some(child) = self.child.as_mut() else { return Err("it was ended by the test".into()) };
        match child.try_wait() {
            Ok(Some(status)) => status.code().ok_or_else(|| format!("ended by a signal: {status}")),
            Ok(None) => Err("it still runs".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether its process runs (or is stopped).
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts it again with the same command line, after it was ended.
    pub fn restart(&mut self) {
        self.crash();
        self.launch();
    }

    /// Starts it again with one more argument.
    pub fn restart_with(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
        self.restart();
    }

    /// Starts it again without an argument that it had.
    pub fn restart_without(&mut self, argument: &str) {
        self.arguments.retain(|it| it != argument);
        self.restart();
    }

    /// Starts it again from another binary, after it was ended.
    pub fn restart_from(&mut self, binary: &Path) {
        binary.clone_into(&mut self.binary);
        self.restart();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.pid().map(|pid| send_signal(pid, signal));
    }

    /// The processes below it.
    pub fn below(&self) -> Vec<i32> {
        self.pid().map(descendants).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The daemon first, so that it does not restart or report what is ended next.
        let below = self.below();
        self.crash();
        for pid in below {
            kill_tree(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("---- {} printed:\n{}", self.name, tail(&self.log(), 60));
        }
    }
}

/// The last `lines` lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_says_of_proxies_and_of_mesos_is_no_matter() {
        for name in ["http_proxy", "HTTPS_PROXY", "all_proxy", "NO_PROXY", "MESOS_IP", "LIBPROCESS_PORT"] {
            assert!(is_setting(name), "{name}");
        }
        for name in ["PATH", "HOME", "TMPDIR", "mesos_ip", "PROXY"] {
            assert!(!is_setting(name), "{name}");
        }
    }
}
