//! `/logging/toggle`: more logging for a while.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/toggle` | anybody | says the level, or raises it for a time |
//! | [`GetLevel`], [`SetLevel`] | operator calls | the same |
//! | `Revert` | itself, when the time is over | sets the level back |
//!
//! It does not know how logging is set up: the daemon gives the node a [`LogControl`]. Texts are upstream's
//! (3rdparty/libprocess/src/logging.cpp).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::duration;
use crate::http::{Query, Realm, Reply, Request, Response};
use crate::install::Install;
use crate::pid::Pid;
use crate::process::{Handle, Place, Process};

/// Changes how much is logged: 0 is what the daemon started with, each level above shows more.
#[derive(Clone)]
pub struct LogControl(Arc<dyn Fn(u32) -> Result<(), String> + Send + Sync>);

impl LogControl {
    /// `set` applies a level, or says why it cannot (reloading a `tracing` filter, say).
    pub fn new(set: impl Fn(u32) -> Result<(), String> + Send + Sync + 'static) -> LogControl {
        LogControl(Arc::new(set))
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogControl")
    }
}

/// The actor; [`crate::Node::logging`] is its address.
#[derive(Debug)]
pub struct Logging {
    control: Option<LogControl>,
    level: u32,
    /// Counts the changes: only the last one's time sets the level back.
    changes: u64,
}

/// Which level is set?
#[derive(Debug, Clone, Copy)]
pub struct GetLevel;

/// Sets a level for a time; afterwards it is 0 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLevel {
    /// 0 is what the daemon started with, each level above shows more.
    pub level: u32,
    /// For how long.
    pub duration: Duration,
}

/// Why a level was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// The daemon gave the node no [`LogControl`].
    #[error("The level of this program's logs cannot be changed while it runs.")]
    Fixed,
    /// The daemon's log refused.
    #[error("{0}.")]
    Refused(String),
}

/// The time of a change is over.
#[derive(Debug)]
pub struct Revert(u64);

crate::messages! {
    Revert;
    GetLevel => u32;
    SetLevel => Result<(), LevelError>;
}

impl Logging {
    pub(crate) fn new(control: Option<LogControl>) -> Logging {
        Logging { control, level: 0, changes: 0 }
    }

    fn toggle(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let change = match SetLevel::of(&request.query) {
            Ok(Some(change)) => change,
            Ok(None) => {
                return Response::text(http::StatusCode::OK, format!("{}\n", self.level)).into();
            }
            Err(text) => return Response::bad_request(text).into(),
        };
        match self.change(change, ctx) {
            Ok(()) => Response::new(http::StatusCode::OK).into(),
            Err(error @ LevelError::Fixed) => {
                Response::text(http::StatusCode::NOT_IMPLEMENTED, format!("{error}\n")).into()
            }
            Err(error) => Response::internal_server_error(format!("{error}\n")).into(),
        }
    }

    fn change(&mut self, change: SetLevel, ctx: &mut Context<Self>) -> Result<(), LevelError> {
        self.set(change.level)?;
        self.changes += 1;
        if change.level != 0 {
            ctx.after(change.duration, Revert(self.changes));
        }
        Ok(())
    }

    fn set(&mut self, level: u32) -> Result<(), LevelError> {
        let control = self.control.as_ref().ok_or(LevelError::Fixed)?;
        (control.0)(level).map_err(LevelError::Refused)?;
        self.level = level;
        Ok(())
    }
}

impl Process for Logging {
    const NAME: &'static str = "logging";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/toggle", HELP, Logging::toggle).realm(Realm::ReadWrite);
    }
}

impl Handle<Revert> for Logging {
    fn handle(&mut self, message: Revert, _: &Pid, _: &mut Context<Self>) {
        if message.0 == self.changes && self.set(0).is_err() {
            tracing::warn!("cannot set the log level back");
        }
    }
}

impl Handle<GetLevel> for Logging {
    fn handle(&mut self, _: GetLevel, _: &Pid, _: &mut Context<Self>) -> u32 {
        self.level
    }
}

impl Handle<SetLevel> for Logging {
    fn handle(&mut self, message: SetLevel, _: &Pid, ctx: &mut Context<Self>) -> Result<(), LevelError> {
        self.change(message, ctx)
    }
}

impl SetLevel {
    /// What a request asks for; `None` without parameters. The error is the answer's text.
    fn of(query: &Query) -> Result<Option<SetLevel>, String> {
        let (level, duration) = match (query.get("level"), query.get("duration")) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err("Expecting 'duration=value' in query.\n".to_owned()),
            (None, Some(_)) => return Err("Expecting 'level=value' in query.\n".to_owned()),
            (Some(level), Some(duration)) => (level, duration),
        };
        let number: i64 = level.parse().map_err(|_| format!("Failed to convert '{level}' to number.\n"))?;
        let level = u32::try_from(number).map_err(|_| format!("Invalid level '{number}'.\n"))?;
        let duration = duration::parse(duration).map_err(|error| format!("{error}.\n"))?;
        Ok(Some(SetLevel { level, duration }))
    }
}

const HELP: &str = "\
### TL;DR; ###
Logs more for a while.

### DESCRIPTION ###
Without parameters it answers with the level.

>        level=VALUE         0 is the level of the start; 1, 2, 3 show more.
>        duration=VALUE      How long (10secs, 15mins).
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: `LoggingTest.Toggle`.
    #[test]
    fn parameters_are_checked_with_upstreams_texts() {
        let change = |text: &str| SetLevel::of(&Query::parse(text));
        assert_eq!(change(""), Ok(None));
        assert_eq!(
            change("level=2&duration=5secs"),
            Ok(Some(SetLevel { level: 2, duration: Duration::from_secs(5) }))
        );
        for (query, text) in [
            ("level=1", "Expecting 'duration=value' in query.\n"),
            ("duration=1secs", "Expecting 'level=value' in query.\n"),
            ("level=x&duration=1secs", "Failed to convert 'x' to number.\n"),
            ("level=-1&duration=1secs", "Invalid level '-1'.\n"),
            ("level=1&duration=1", "Invalid duration '1'.\n"),
        ] {
            assert_eq!(change(query), Err(text.to_owned()), "{query}");
        }
    }
}
