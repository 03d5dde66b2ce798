//! Logging as the daemons and tools set it up: to standard error, readable for people or for programs.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use libprocess::system::LogControl;
use mesos::settings::LogFormat;
use mesos::text::printable;
use tracing::Subscriber;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output::is_capable;

/// What each step of `/logging/toggle` shows, beyond what the daemon was started with.
const LEVELS: [LevelFilter; 3] = [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];

/// As [`start`], and to `<directory>/<program>.log` as well, if a directory is given (`--log_dir`).
pub(crate) fn start_with_file(
    level: &str,
    quiet: bool,
    format: LogFormat,
    directory: Option<&Path>,
    program: &str,
) -> Result<LogControl, String> {
    let Some(directory) = directory else { return Ok(start(level, quiet, format)) };
    let path = directory.join(format!("{program}.log"));
    let file = std::fs::create_dir_all(directory)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .map_err(|error| {
            format!("cannot log to {}: {error} (choose another with --log_dir)", path.display())
        })?;
    Ok(start_to(level, quiet, format, Some(file)))
}

/// Starts logging at this level (upstream's names; `quiet` writes nothing to standard error), and returns what changes
/// the level later. A second call in one process changes nothing.
pub(crate) fn start(level: &str, quiet: bool, format: LogFormat) -> LogControl {
    start_to(level, quiet, format, None)
}

/// As [`start`], for a program that somebody sits in front of.
pub(crate) fn start_tool(level: &str) {
    start(level, false, LogFormat::Text);
}

fn start_to(level: &str, quiet: bool, format: LogFormat, file: Option<File>) -> LogControl {
    let level = if quiet && file.is_none() { LevelFilter::OFF } else { level_of(level) };
    let (filter, handle) = reload::Layer::new(level);
    let to_standard_error = (!quiet).then(|| lines(format, std::io::stderr, is_capable(&std::io::stderr())));
    let to_file = file.map(|file| lines(format, Arc::new(file), false));
    // It calls it an error of ours when a client sends what is no HTTP.
    let ours = filter_fn(|metadata| !metadata.target().starts_with("actix_http"));
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(ours)
        .with(to_standard_error)
        .with(to_file)
        .try_init();
    LogControl::new(move |step| {
        let wanted = match step {
            0 => level,
            step => LEVELS.get(step as usize).copied().unwrap_or(LevelFilter::TRACE),
        };
        handle.reload(wanted).map_err(|error| error.to_string())
    })
}

/// Writes each event as a line; `colours` are for terminals, and only for people.
fn lines<S, W>(format: LogFormat, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => {
            let lines = lines.fmt_fields(PrintableFields(DefaultFields::new()));
            // Where it may have colours, it has none all the same if NO_COLOR is in the environment.
            if colours { lines.boxed() } else { lines.with_ansi(false).boxed() }
        }
        LogFormat::Json => lines.with_ansi(false).json().boxed(),
    }
}

/// What is said of an event, on one line: ids and names are chosen by frameworks and agents, who are to add no lines of
/// their own, and to command no terminal.
struct PrintableFields(DefaultFields);

impl<'writer> FormatFields<'writer> for PrintableFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = String::new();
        self.0.format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&printable(&text))
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, move || writer.clone(), true));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(task = "a\"b", tries = 3, "cannot launch");
            tracing::info!("two\nlines");
        });
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(LogFormat::Json);
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 2, "{text}");
        assert_eq!(events[0]["level"], "WARN");
        assert_eq!(events[0]["target"], "mesos::logging::tests");
        assert_eq!(events[0]["fields"], json!({"message": "cannot launch", "task": "a\"b", "tries": 3}));
        assert!(events[0]["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{text}");
        assert_eq!(events[1]["fields"]["message"], "two\nlines");
    }

    /// A framework chooses the ids of its tasks.
    #[test]
    fn a_name_adds_no_line_and_commands_no_terminal() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::registry().with(lines(LogFormat::Text, move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(task_id = %"t\x1b[2J\n2026-01-01T00:00:00Z INFO master: all is well", "refused");
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let expected = r"refused task_id=t\u{1b}[2J\n2026-01-01T00:00:00Z INFO master: all is well";
        assert!(text.trim_end().ends_with(expected), "{text}");
    }

    #[test]
    fn people_get_text() {
        let text = logged(LogFormat::Text);
        let wants_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        assert!(text.contains("cannot launch"), "{text}");
        assert_eq!(text.contains("\u{1b}["), wants_colours, "{text}");
        assert!(serde_json::from_str::<Value>(text.lines().next().unwrap()).is_err());
    }
}
