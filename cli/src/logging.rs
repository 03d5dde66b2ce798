//! Logging as the daemons and tools set it up: to standard error, readable for people.

use std::io::IsTerminal;

use libprocess::system::LogControl;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// What each step of `/logging/toggle` shows, beyond what the daemon was started with.
const LEVELS: [&str; 3] = ["info", "debug", "trace"];

/// Starts logging at this level (upstream's names; `quiet` logs nothing), and returns what changes the level
/// later. A second call in one process changes nothing.
pub(crate) fn start(level: &str, quiet: bool) -> LogControl {
    let level = if quiet { "off" } else { level_of(level) };
    let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
    let ansi = std::io::stderr().is_terminal();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    let _ = tracing_subscriber::registry().with(filter).with(format).try_init();
    LogControl::new(move |step| {
        let wanted = match step {
            0 => level,
            step => LEVELS.get(step as usize).copied().unwrap_or("trace"),
        };
        handle.reload(EnvFilter::new(wanted)).map_err(|error| error.to_string())
    })
}

/// Upstream's levels in tracing's words.
fn level_of(name: &str) -> &'static str {
    match name {
        "TRACE" => "trace",
        "DEBUG" => "debug",
        "WARNING" => "warn",
        "ERROR" | "FATAL" => "error",
        _ => "info",
    }
}
