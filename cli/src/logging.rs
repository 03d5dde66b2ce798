//! Logging as the daemons and tools set it up: to standard error, readable for people.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use libprocess::system::LogControl;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// What each step of `/logging/toggle` shows, beyond what the daemon was started with.
const LEVELS: [LevelFilter; 3] = [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];

/// As [`start`], and to `<directory>/<program>.log` as well, if a directory is given (`--log_dir`).
pub(crate) fn start_with_file(
    level: &str,
    quiet: bool,
    directory: Option<&Path>,
    program: &str,
) -> Result<LogControl, String> {
    let Some(directory) = directory else { return Ok(start(level, quiet)) };
    let path = directory.join(format!("{program}.log"));
    let file = std::fs::create_dir_all(directory)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .map_err(|error| {
            format!("cannot log to {}: {error} (choose another with --log_dir)", path.display())
        })?;
    Ok(start_to(level, quiet, Some(file)))
}

/// Starts logging at this level (upstream's names; `quiet` logs nothing), and returns what changes the level
/// later. A second call in one process changes nothing.
pub(crate) fn start(level: &str, quiet: bool) -> LogControl {
    start_to(level, quiet, None)
}

fn start_to(level: &str, quiet: bool, file: Option<File>) -> LogControl {
    let level = if quiet { LevelFilter::OFF } else { level_of(level) };
    let (filter, handle) = reload::Layer::new(level);
    let ansi = std::io::stderr().is_terminal();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    let to_file =
        file.map(|file| tracing_subscriber::fmt::layer().with_writer(Arc::new(file)).with_ansi(false));
    // It calls it an error of ours when a client sends what is no HTTP.
    let ours = filter_fn(|metadata| !metadata.target().starts_with("actix_http"));
    let _ = tracing_subscriber::registry().with(filter).with(ours).with(format).with(to_file).try_init();
    LogControl::new(move |step| {
        let wanted = match step {
            0 => level,
            step => LEVELS.get(step as usize).copied().unwrap_or(LevelFilter::TRACE),
        };
        handle.reload(wanted).map_err(|error| error.to_string())
    })
}

/// Upstream's levels in tracing's words.
fn level_of(name: &str) -> LevelFilter {
    match name {
        "TRACE" => LevelFilter::TRACE,
        "DEBUG" => LevelFilter::DEBUG,
        "WARNING" => LevelFilter::WARN,
        "ERROR" | "FATAL" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}
