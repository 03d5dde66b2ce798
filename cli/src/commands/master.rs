//! `mesos master`: a master as a process of its own, with a log, and signals that end it. What it is made of is in
//! `master::startup`.

use std::path::Path;
use std::process::ExitCode;

use master::{Settings, UNSUPPORTED};

use super::{must_end, run_daemon, start_node};
use crate::settings::{Call, Failure};
use crate::{logging, signals};

const COMMAND: &str = "master";

/// Runs a master until it is told to end, or has to.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let loaded = match call.load::<Settings>(COMMAND, UNSUPPORTED)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let settings = loaded.settings;
    let directory = settings.log_dir.as_deref().map(Path::new);
    let control = logging::start_with_file(
        &settings.logging_level,
        settings.quiet,
        settings.logging_format,
        directory,
        master::startup::LOG_NAME,
    )
    .map_err(|error| Failure::of(COMMAND, error))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    run_daemon(async move {
        let node =
            start_node(COMMAND, master::startup::node(&settings).log_control(control), &call.environment)
                .await?;
        let mut running =
            master::start(&node, settings).await.map_err(|error| Failure::of(COMMAND, error))?;
        tracing::info!(address = %node.address(), "the master runs");
        let result = tokio::select! {
            biased;
            signal = signals::end_requested() => {
                tracing::info!(signal, "the master was told to end");
                Ok(ExitCode::SUCCESS)
            }
            reason = running.wait() => Err(Failure::of(COMMAND, reason)),
        };
        must_end(&result);
        running.shutdown().await;
        node.shutdown().await;
        result
    })
}
