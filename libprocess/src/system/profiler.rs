//! `/profiler/start` and `/profiler/stop`: where this program spends its CPU time. Only with the cargo feature `profiler`.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/start` | an operator | begins to sample all threads |
//! | GET `/stop` | an operator | ends it, and answers with the profile |
//! | `Expired` | itself, when the longest time is over | ends it, and drops the profile |
//!
//! The crate `pprof` samples: each thread that uses the CPU is interrupted by a signal, and its stack is counted. There is
//! one profile for a process, whatever number of nodes it has. (Upstream: 3rdparty/libprocess/src/profiler.cpp, with
//! gperftools, and likewise only if it was built in.)

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use pprof::protos::Message as _;
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Report};

use crate::context::Context;
use crate::duration;
use crate::http::{Query, Realm, Reply, Request, Response};
use crate::install::Install;
use crate::pid::Pid;
use crate::process::{Handle, Place, Process};
use crate::timers::Timer;

/// Samples in a second of CPU time, if nothing is said: not 100, so as not to beat in time with what runs every 10 ms.
const FREQUENCY: u32 = 99;
/// More would measure the measuring.
const MAX_FREQUENCY: u32 = 1000;
/// A profile that nobody stops is stopped after this time, if nothing is said.
const DURATION: Duration = Duration::from_secs(5 * 60);
/// What may be said.
const MAX_DURATION: Duration = Duration::from_secs(60 * 60);

/// Code that holds locks while it unwinds or starts threads; unwinding from its middle could wait for itself.
const NOT_UNWOUND: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// The actor.
#[derive(Default)]
pub(crate) struct Profiler {
    running: Option<Running>,
}

/// A profile in the making. Dropping it ends the sampling.
struct Running {
    sampling: ProfilerGuard<'static>,
    expiry: Timer,
}

/// Nobody has stopped the profile.
#[derive(Debug)]
struct Expired;

crate::messages! { Expired; }

impl Process for Profiler {
    const NAME: &'static str = "profiler";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/start", START_HELP, Profiler::start).realm(Realm::ReadWrite);
        install.route(&[], "/stop", STOP_HELP, Profiler::stop).realm(Realm::ReadWrite);
    }
}

impl Profiler {
    fn start(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let wanted = match Wanted::of(&request.query) {
            Ok(wanted) => wanted,
            Err(text) => return Response::bad_request(text).into(),
        };
        let builder = ProfilerGuardBuilder::default().frequency(wanted.frequency.cast_signed());
        match builder.blocklist(&NOT_UNWOUND).build() {
            Ok(sampling) => {
                tracing::info!(frequency = wanted.frequency, "profiling begins");
                let expiry = ctx.after(wanted.duration, Expired);
                self.running = Some(Running { sampling, expiry });
                Response::text(StatusCode::OK, "Profiler started.\n").into()
            }
            // By us, or by another node of this process.
            Err(pprof::Error::Running) => Response::bad_request("Profiler already started.\n").into(),
            Err(error) => {
                Response::internal_server_error(format!("Failed to start profiler: {error}.\n")).into()
            }
        }
    }

    fn stop(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let form = match Form::of(&request.query) {
            Ok(form) => form,
            Err(text) => return Response::bad_request(text).into(),
        };
        let Some(Running { sampling, expiry }) = self.running.take() else {
            return Response::bad_request("Profiler not running.\n").into();
        };
        ctx.cancel(expiry);
        tracing::info!("profiling ends");
        let node = ctx.node().clone();
        // Finding the names of all frames takes seconds.
        Reply::later(async move { node.blocking(move || answer(&sampling, form)).await })
    }
}

impl Handle<Expired> for Profiler {
    fn handle(&mut self, _: Expired, _: &Pid, _: &mut Context<Self>) {
        if self.running.take().is_some() {
            tracing::warn!("nobody stopped the profile: it is dropped");
        }
    }
}

/// What a start asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    frequency: u32,
    duration: Duration,
}

impl Wanted {
    /// The error is the answer's text.
    fn of(query: &Query) -> Result<Wanted, String> {
        let frequency = match query.get("frequency") {
            None => FREQUENCY,
            Some(text) => match text.parse() {
                Ok(frequency @ 1..=MAX_FREQUENCY) => frequency,
                _ => return Err(format!("Invalid frequency '{text}': expected 1 to {MAX_FREQUENCY}.\n")),
            },
        };
        let duration = match query.get("duration") {
            None => DURATION,
            Some(text) => match duration::parse(text) {
                Ok(duration) if duration <= MAX_DURATION => duration,
                Ok(_) => return Err(format!("Invalid duration '{text}': expected at most 1hrs.\n")),
                Err(error) => return Err(format!("{error}.\n")),
            },
        };
        Ok(Wanted { frequency, duration })
    }
}

/// How a profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For `pprof`, and all that reads what it reads.
    Pprof,
    /// A line for each stack, which tools make flame graphs of.
    Folded,
}

impl Form {
    fn of(query: &Query) -> Result<Form, String> {
        match query.get("format") {
            None | Some("pprof") => Ok(Form::Pprof),
            Some("folded") => Ok(Form::Folded),
            Some(other) => Err(format!("Invalid format '{other}': expected pprof or folded.\n")),
        }
    }
}

fn answer(sampling: &ProfilerGuard<'_>, form: Form) -> Response {
    let written =
        sampling.report().build().map_err(|error| error.to_string()).and_then(|report| match form {
            Form::Pprof => {
                let profile = report.pprof().map_err(|error| error.to_string())?;
                let bytes = profile.write_to_bytes().map_err(|error| error.to_string())?;
                Ok(Response::ok("application/octet-stream", bytes)
                    .header("Content-Disposition", "attachment; filename=profile.pb"))
            }
            Form::Folded => Ok(Response::ok("text/plain", folded(&report))),
        });
    written.unwrap_or_else(|error| Response::internal_server_error(format!("No profile: {error}.\n")))
}

/// `thread;outermost;...;innermost samples`, sorted.
fn folded(report: &Report) -> String {
    let mut stacks: BTreeMap<String, isize> = BTreeMap::new();
    for (frames, samples) in &report.data {
        let mut stack = frames.thread_name_or_id();
        // A frame stands for several functions if the compiler put them into one another; the innermost comes first.
        for function in frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev()) {
            stack.push(';');
            stack.push_str(&function.name().replace([';', '\n'], ":"));
        }
        *stacks.entry(stack).or_default() += samples;
    }
    stacks.into_iter().map(|(stack, samples)| format!("{stack} {samples}\n")).collect()
}

const START_HELP: &str = "\
### TL;DR; ###
Starts profiling.

### DESCRIPTION ###
All threads of this process are sampled while they use the CPU, until `/profiler/stop` is called.

>        frequency=VALUE     Samples in a second of CPU time: 1 to 1000 (99, if nothing is said).
>        duration=VALUE      The profile is dropped if it is not stopped in this time (5mins; at most 1hrs).
";

const STOP_HELP: &str = "\
### TL;DR; ###
Stops profiling, and answers with the profile.

### DESCRIPTION ###
>        format=pprof        For `go tool pprof` and others (this, if nothing is said).
>        format=folded       Text: a line for each stack, outermost function first, and how often it was seen; for
>                            tools that draw flame graphs.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked() {
        let wanted = |text: &str| Wanted::of(&Query::parse(text));
        assert_eq!(wanted(""), Ok(Wanted { frequency: 99, duration: Duration::from_secs(300) }));
        assert_eq!(
            wanted("frequency=500&duration=1hrs"),
            Ok(Wanted { frequency: 500, duration: Duration::from_secs(3600) })
        );
        for (query, text) in [
            ("frequency=0", "Invalid frequency '0': expected 1 to 1000.\n"),
            ("frequency=1001", "Invalid frequency '1001': expected 1 to 1000.\n"),
            ("duration=61mins", "Invalid duration '61mins': expected at most 1hrs.\n"),
            ("duration=1", "Invalid duration '1'.\n"),
        ] {
            assert_eq!(wanted(query), Err(text.to_owned()), "{query}");
        }
        assert_eq!(Form::of(&Query::parse("")), Ok(Form::Pprof));
        assert!(Form::of(&Query::parse("format=svg")).is_err());
    }
}
