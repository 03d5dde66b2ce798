//! The processes of the demo: started, watched, and ended without exception.
//!
//! The demo adopts whatever loses its parent below it (a sub-reaper in Linux's words), so that an executor
//! whose agent is gone is still found and ended. Should the demo itself be killed, the kernel ends its
//! daemons. What the daemons print goes to one log file each.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use libprocess::subprocess::{descendants, send_signal};
use rustix::process::Signal;

/// How long the daemons may take to end by themselves before they are killed.
const GRACE: Duration = Duration::from_secs(5);

/// One daemon of the cluster.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// What it is called in messages: `master`, `agent-1`.
    pub(crate) name: String,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    child: Child,
}

/// The daemons that the demo has started.
#[derive(Debug, Default)]
pub(crate) struct Children {
    daemons: Vec<Daemon>,
}

/// Why a daemon could not be started or did not stay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    #[error("{name} could not be started: {source}")]
    Start { name: String, source: std::io::Error },
    #[error("{name} ended ({status}){reason}")]
    Ended { name: String, status: ExitStatus, reason: String },
}

impl Children {
    /// Makes this process the one that orphans below it are handed to.
    pub(crate) fn new() -> std::io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self::default())
    }

    /// Starts `binary` with `arguments`; its output goes to `log`.
    pub(crate) fn start(
        &mut self,
        name: &str,
        binary: &Path,
        arguments: &[String],
        log: PathBuf,
    ) -> Result<(), ChildError> {
        let failed = |source| ChildError::Start { name: name.to_owned(), source };
        let output = File::create(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut command = Command::new(binary);
        // What the shell sets for other daemons would win over the files that the demo shows.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MESOS_") || name.starts_with("LIBPROCESS_") {
                command.env_remove(&*name);
            }
        }
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        // A group of its own: Ctrl-C at the terminal reaches the demo alone, which then ends the cluster in order.
        command.process_group(0);
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl is one.
        #[allow(
            unsafe_code,
            reason = "asking the kernel to end the daemon with us has to happen in the child"
        )]
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok(())
            });
        }
        let child = command.spawn().map_err(failed)?;
        self.daemons.push(Daemon { name: name.to_owned(), log, child });
        Ok(())
    }

    /// An error for the first daemon that has ended although nobody asked it to.
    pub(crate) fn check(&mut self) -> Result<(), ChildError> {
        for daemon in &mut self.daemons {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(ChildError::Ended {
                    name: daemon.name.clone(),
                    status,
                    reason: reason(&daemon.log),
                });
            }
        }
        Ok(())
    }

    /// Ends every daemon and everything that they started: asked first, killed after [`GRACE`].
    pub(crate) async fn stop(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            let began = tokio::time::Instant::now();
            let mut was_empty = false;
            loop {
                self.reap();
                let left = descendants(own_pid());
                // Seen twice: one whose parent ends while all processes are being looked at is nobody's just then.
                if left.is_empty() && was_empty {
                    self.daemons.clear();
                    return;
                }
                was_empty = left.is_empty();
                // Said again in each round: what was forked meanwhile has not heard it yet.
                for pid in left {
                    send_signal(pid, signal);
                }
                if began.elapsed() > GRACE {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Takes the exit statuses of what has ended, of the adopted processes as well.
    fn reap(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.child.try_wait();
        }
        while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Why a daemon ended, if it said so: a daemon that gives up ends with a line `mesos agent: why`.
fn reason(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if last.starts_with("mesos ") { format!(": {last}") } else { String::new() }
}
