//! One file for each command: its settings, and how it is run.

pub(crate) mod agent;
pub(crate) mod execute;
pub(crate) mod executors;
pub(crate) mod explain;
pub(crate) mod fetcher;
pub(crate) mod local;
pub(crate) mod master;
pub(crate) mod registry;
pub(crate) mod run;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use libprocess::tls::variables;
use libprocess::{Node, NodeBuilder};

use crate::settings::Failure;

/// The variables that a command finds.
pub(crate) type Environment = BTreeMap<String, String>;

/// A node for a command that only calls others: it listens on a port that the kernel gives, of this host alone if
/// `LIBPROCESS_IP` does not say otherwise.
pub(crate) async fn client_node(command: &str, environment: &Environment) -> Result<Node, Failure> {
    start_node(command, client(environment), environment).await
}

/// See [`client_node`].
pub(crate) fn client(environment: &Environment) -> NodeBuilder {
    let builder = Node::builder();
    if environment.contains_key("LIBPROCESS_IP") {
        return builder;
    }
    builder.bind(([127, 0, 0, 1], 0).into())
}

/// Starts a node, as the variables `LIBPROCESS_*` say, or says why it cannot listen.
pub(crate) async fn start_node(
    command: &str,
    mut builder: NodeBuilder,
    environment: &Environment,
) -> Result<Node, Failure> {
    let read = libprocess::Environment::read(environment).map_err(|error| Failure::of(command, error))?;
    let secure = variables::read(environment).map_err(|error| Failure::of(command, error))?;
    for warning in read.warnings.iter().chain(&secure.warnings) {
        tracing::warn!("{warning}");
    }
    builder = builder.environment(read);
    if let Some(settings) = secure.tls {
        builder = builder.tls(settings);
    }
    builder.start().await.map_err(|error| {
        let advice = if error.to_string().contains("in use") { " (choose another with --port)" } else { "" };
        Failure::of(command, format!("{error}{advice}"))
    })
}

/// Runs a daemon to its end on libprocess's runtime, with as many open files as the system allows.
pub(crate) fn run_daemon<F>(future: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    if let Err(error) = libprocess::raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is, and with it that of connections");
    }
    run(future)
}

/// How long a daemon that ends may take. Actors that do not end by themselves are killed after 5 s.
const LONGEST_END: Duration = Duration::from_secs(10);

/// A daemon ends with this result, from now on. A thread that waits for a disk (that of a server which is gone, say) may never
/// come back, and the runtime waits for its threads: nobody would start the daemon anew. It ends without them then, as if it
/// had been killed.
pub(crate) fn must_end(result: &Result<ExitCode, Failure>) {
    let failure = result.as_ref().err().map(ToString::to_string);
    end_after(LONGEST_END, failure, |code| {
        std::process::exit(code);
    });
}

/// See [`must_end`]. What ends the process gets its exit code.
fn end_after(time: Duration, failure: Option<String>, exit: impl FnOnce(i32) + Send + 'static) {
    let wait = move || {
        std::thread::sleep(time);
        tracing::warn!("ending without a thread that does not come back from a disk, it seems");
        if let Some(failure) = &failure {
            complain!("{failure}");
        }
        exit(i32::from(failure.is_some()));
    };
    // Without a thread for it, it may take longer.
    let _ = std::thread::Builder::new().name("end".to_owned()).spawn(wait);
}

/// Runs a command to its end on libprocess's runtime.
pub(crate) fn run<F>(future: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    libprocess::run(future)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_daemon_that_does_not_end_is_ended_with_the_code_that_it_has() {
        for (failure, expected) in [(None, 0), (Some("mesos agent: it had to end".to_owned()), 1)] {
            let (ended, code) = mpsc::channel();
            end_after(Duration::from_millis(1), failure, move |code| ended.send(code).unwrap());
            assert_eq!(code.recv(), Ok(expected));
        }
    }
}
