//! `mesos agent`: an agent as a process of its own, with a log, a work directory that it alone uses, and signals that end
//! it. What it is made of is in `agent::startup`.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use agent::{Settings, UNSUPPORTED};
use libprocess::disk::{Disk, Durability, HostDisk};

use super::{must_end, run_daemon, start_node};
use crate::settings::{Call, Failure};
use crate::{logging, signals};

const COMMAND: &str = "agent";

/// How many tenths of a second an agent waits for a work directory that another one holds.
const PATIENCE: u32 = 10;

/// Runs an agent until it is told to end, or has to.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let loaded = match call.load::<Settings>(COMMAND, UNSUPPORTED)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let settings = loaded.settings;
    let control = logging::start_with_file(
        &settings.logging_level,
        settings.quiet,
        settings.logging_format,
        settings.log_dir.as_deref().map(Path::new),
        agent::startup::LOG_NAME,
    )
    .map_err(|error| Failure::of(COMMAND, error))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // Until the process ends.
    let _held = hold(&settings.work_dir).map_err(|error| Failure::of(COMMAND, error))?;
    run_daemon(async move {
        let told_to_leave = signals::leave_requested();
        let builder = agent::node(&settings).map_err(|error| Failure::of(COMMAND, error))?;
        let node = start_node(COMMAND, builder.log_control(control), &call.environment).await?;
        let mut running = agent::start(&node, settings).await.map_err(|error| Failure::of(COMMAND, error))?;
        tracing::info!(address = %node.address(), "the agent runs");
        let result = tokio::select! {
            biased;
            signal = signals::end_requested() => Ok(told_to_end(signal)),
            ended = running.wait() => ending(COMMAND, &ended),
            () = told_to_leave => {
                running.leave();
                tokio::select! {
                    biased;
                    signal = signals::end_requested() => Ok(told_to_end(signal)),
                    ended = running.wait() => ending(COMMAND, &ended),
                }
            }
        };
        must_end(&result);
        running.stop();
        node.shutdown().await;
        result
    })
}

fn told_to_end(signal: &str) -> ExitCode {
    tracing::info!(signal, "the agent was told to end");
    ExitCode::SUCCESS
}

/// Holds a work directory as long as the result lives. A second agent there would end the executors of the first, which
/// do not subscribe to it, and write over what it has checkpointed. What is no directory is left to the start to refuse.
fn hold(work_dir: &Path) -> Result<Option<File>, String> {
    let made = HostDisk.create_directory(work_dir, Durability::Host);
    let Ok(directory) = made.and_then(|()| File::open(work_dir)) else { return Ok(None) };
    let mut locked = directory.try_lock();
    // One that was killed a moment ago may not be quite gone.
    for _ in 0..PATIENCE {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        locked = directory.try_lock();
    }
    match locked {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another agent uses the work directory '{}'; end that one, or choose another with --work_dir",
            work_dir.display()
        )),
        // Not every file system has locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "the work directory cannot be locked: a second agent there would not be noticed");
            Ok(None)
        }
    }
}

/// What an agent's end means for its process.
pub(super) fn ending(command: &str, ended: &agent::Ended) -> Result<ExitCode, Failure> {
    match ended {
        agent::Ended::Failed(reason) => Err(Failure::of(command, reason)),
        other => {
            tracing::info!(?other, "the agent has ended");
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_directory_is_held_by_one_agent() {
        let folder = tempfile::tempdir().unwrap();
        let work_dir = folder.path().join("a/b");
        let first = hold(&work_dir).unwrap();
        assert!(first.is_some());
        let refused = hold(&work_dir).unwrap_err();
        assert!(refused.contains("another agent") && refused.contains("a/b"), "{refused}");
        assert!(hold(folder.path()).unwrap().is_some(), "another directory");
        drop(first);
        assert!(hold(&work_dir).unwrap().is_some());
        // As the start says.
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(hold(&folder.path().join("file/below")).unwrap().is_none());
    }
}
