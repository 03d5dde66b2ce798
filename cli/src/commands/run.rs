//! `mesos run sum` and `mesos run integrate`: the example frameworks, and their executors.

use std::io::stderr;
use std::process::ExitCode;

use election::{MasterUrl, UrlError};
use frameworks::integrate::{self, IntegrateOptions};
use frameworks::progress::TextProgress;
use frameworks::sum::{self, SumOptions};
use mesos::settings::SettingValue;
use mesos::text::without_password;

use super::{client_node, executors, run};
use crate::logging;
use crate::output::print;
use crate::settings::{Call, Failure, own_binary, own_user};
use crate::signals;

mesos::settings! {
    /// How to add.
    struct SumSettings for "mesos run sum" {
        "What to add, and where" {
            /// Where the masters are: host:port, zk://host1:port1,host2:port2/path,
            /// etcd[s]://host1:port1,host2:port2/path, or file:///path.
            master: Masters,
            /// How many tasks share the work: at most 10000.
            tasks: u32 = 10,
            /// How many terms in all: 0 + 1 + ... + (terms - 1). At most 6074001000, so that the sum fits into 64 bits.
            terms: u64 = 2_000_000_000,
        }
    }
}

mesos::settings! {
    /// What to integrate.
    struct IntegrateSettings for "mesos run integrate" {
        "What to integrate, and where" {
            /// Where the masters are: host:port, zk://host1:port1,host2:port2/path,
            /// etcd[s]://host1:port1,host2:port2/path, or file:///path.
            master: Masters,
            /// An expression in x, such as 4*sqrt(1-x*x): + - * / % ^ ( ), pi, e, sqrt, exp, ln, log (base 10),
            /// log2, abs, sign, floor, ceil, round, min, max, sin, cos, tan and their inverses.
            expression: String,
            /// Where the range begins.
            from: f64,
            /// Where the range ends.
            to: f64,
            /// Into how many steps the range is cut; a task takes at most 500000.
            steps: u64 = 1_000_000,
        }
    }
}

/// Runs the framework or executor that the next word names.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let (name, call) = call.next_word();
    match name.as_deref() {
        Some("sum") => run_sum(&call),
        Some("integrate") => run_integrate(&call),
        Some("sum-executor") => executors::sum(&call),
        Some("integrate-executor") => executors::integrate(&call),
        Some("--help" | "-h") => {
            say!(
                "mesos run sum        adds 0 + 1 + 2 + ... on a cluster\nmesos run integrate  integrates an expression on a cluster\n\nEach explains its settings with --help."
            );
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => {
            Err(Failure::of("run", format!("there is no example '{other}'; allowed are sum and integrate")))
        }
        None => Err(Failure::of("run", "which example? allowed are sum and integrate")),
    }
}

fn run_sum(call: &Call) -> Result<ExitCode, Failure> {
    const COMMAND: &str = "run sum";
    let settings = match call.load::<SumSettings>(COMMAND, &[])? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    let options = SumOptions {
        tasks: settings.tasks,
        terms: settings.terms,
        ..SumOptions::new(master(COMMAND, &settings.master)?, own_user()?, own_binary()?)
    };
    logging::start_tool("WARNING");
    run(async {
        let node = client_node(COMMAND, &call.environment).await?;
        let result = tokio::select! {
            biased;
            outcome = sum::run(&node, options, TextProgress::new(stderr())) => match outcome {
                Ok(outcome) => show(COMMAND, &outcome.sum.to_string()),
                Err(error) => Err(Failure::of(COMMAND, error)),
            },
            () = signals::interrupted() => Err(Failure::of(COMMAND, "interrupted")),
        };
        node.shutdown().await;
        result
    })
}

fn run_integrate(call: &Call) -> Result<ExitCode, Failure> {
    const COMMAND: &str = "run integrate";
    let settings = match call.load::<IntegrateSettings>(COMMAND, &[])? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    let range = (settings.expression, settings.from, settings.to);
    let options = IntegrateOptions {
        steps: settings.steps,
        ..IntegrateOptions::new(master(COMMAND, &settings.master)?, range, own_user()?, own_binary()?)
    };
    logging::start_tool("WARNING");
    run(async {
        let node = client_node(COMMAND, &call.environment).await?;
        let result = tokio::select! {
            biased;
            outcome = integrate::run(&node, options, TextProgress::new(stderr())) => match outcome {
                Ok(outcome) => show(COMMAND, &outcome.integral.to_string()),
                Err(error) => Err(Failure::of(COMMAND, error)),
            },
            () = signals::interrupted() => Err(Failure::of(COMMAND, "interrupted")),
        };
        node.shutdown().await;
        result
    })
}

/// Prints a result.
fn show(command: &str, result: &str) -> Result<ExitCode, Failure> {
    print(result).map_err(|error| Failure::of(command, format!("standard output: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the masters are, as it was given.
#[derive(Clone, Debug)]
pub(super) struct Masters(pub(super) String);

impl SettingValue for Masters {
    const PLACEHOLDER: &'static str = "MASTER";
    const ALLOWED: &'static str =
        "host:port, zk://host1:port1,host2:port2/path, etcd://host1:port1,host2:port2/path, or file:///path";
    /// The file may change while a framework runs, which moves then: its content is not the value.
    const FROM_FILE: bool = false;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn print(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// Reads the address of the masters.
pub(super) fn master(command: &str, Masters(text): &Masters) -> Result<MasterUrl, Failure> {
    let bad = |error| format!("bad --master '{}': {error}", without_password(text));
    text.parse().map_err(|error: UrlError| Failure::of(command, bad(error)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesos::settings::{Outcome, Sources, load};

    use super::*;

    #[test]
    fn a_file_that_says_where_the_masters_are_is_followed_and_not_read_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "127.0.0.1:5050\n").unwrap();
        let arguments = vec![format!("--master=file://{}", file.path().display())];
        let loaded = load::<SumSettings>(Sources::new(arguments, BTreeMap::new()), &[]).unwrap();
        let Outcome::Run(loaded) = loaded else { panic!("it only prints something") };
        assert!(matches!(master("run sum", &loaded.settings.master), Ok(MasterUrl::File(_))));
    }
}
