//! `mesos agent`.

use std::path::Path;
use std::process::ExitCode;

use agent::{Settings, UNSUPPORTED};

use super::{run_daemon, start_node};
use crate::settings::{Call, Failure};
use crate::{logging, signals};

const COMMAND: &str = "agent";

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
    run_daemon(async move {
        let builder = agent::node(&settings).map_err(|error| Failure::of(COMMAND, error))?;
        let node = start_node(COMMAND, builder.log_control(control), &call.environment).await?;
        let mut running = agent::start(&node, settings).await.map_err(|error| Failure::of(COMMAND, error))?;
        tracing::info!(address = %node.address(), "the agent runs");
        let result = tokio::select! {
            biased;
            () = signals::end_requested() => Ok(ExitCode::SUCCESS),
            ended = running.wait() => ending(COMMAND, &ended),
            () = signals::leave_requested() => {
                running.leave();
                tokio::select! {
                    biased;
                    () = signals::end_requested() => Ok(ExitCode::SUCCESS),
                    ended = running.wait() => ending(COMMAND, &ended),
                }
            }
        };
        running.stop();
        node.shutdown().await;
        result
    })
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
