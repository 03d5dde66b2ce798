//! The executors that agents start: they learn everything from the environment.

use std::process::ExitCode;

use frameworks::executor::ExecutorEnvironment;
use frameworks::{command_executor, integrate, sum};
use libprocess::{Node, NodeBuilder};

use super::{client, run, start_node};
use crate::logging;
use crate::settings::{Call, Failure};

const HELP: &str = "\
Runs the command of one task. Agents start it; it is told what to do by its environment (MESOS_AGENT_ENDPOINT,
MESOS_FRAMEWORK_ID, MESOS_EXECUTOR_ID ...) and by the agent, over the executor API.";

/// `mesos executor`, also called `mesos-executor`.
pub(crate) fn command(call: Call) -> Result<ExitCode, Failure> {
    if call.words.iter().any(|word| word == "--help" || word == "-h") {
        say!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    // It only calls its agent: no socket to listen on, no thread but this one.
    start("executor", &call, Node::builder().offline(), async |node, environment| {
        command_executor::run(&node, environment).await.map_err(|error| error.to_string())
    })
}

/// `mesos run sum-executor`.
pub(super) fn sum(call: &Call) -> Result<ExitCode, Failure> {
    start("run sum-executor", call, client(&call.environment), async |node, environment| {
        sum::executor::run(&node, environment).await.map_err(|error| error.to_string())
    })
}

/// `mesos run integrate-executor`.
pub(super) fn integrate(call: &Call) -> Result<ExitCode, Failure> {
    start("run integrate-executor", call, client(&call.environment), async |node, environment| {
        integrate::executor::run(&node, environment).await.map_err(|error| error.to_string())
    })
}

fn start(
    command: &str,
    call: &Call,
    builder: NodeBuilder,
    executor: impl AsyncFnOnce(Node, ExecutorEnvironment) -> Result<(), String>,
) -> Result<ExitCode, Failure> {
    let environment =
        ExecutorEnvironment::from_map(&call.environment).map_err(|error| Failure::of(command, error))?;
    logging::start_tool("INFO");
    run(async {
        let node = start_node(command, builder, &call.environment).await?;
        if let Err(error) = executor(node.clone(), environment).await {
            // A task that did not end in time may still compute on its thread: only the end of the process ends it.
            complain!("{}", Failure::of(command, error));
            std::process::exit(1);
        }
        node.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}
