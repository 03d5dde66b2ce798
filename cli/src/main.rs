//! `mesos`: one binary for the daemons, the tools and the demo.
//!
//! Called as `mesos-master`, `mesos-agent`, `mesos-slave`, `mesos-execute`, `mesos-executor` or `mesos-fetcher` (a
//! symbolic link or a copy) it behaves as upstream's program of that name. What a command does is in `commands/`; this file
//! only finds out which one is meant, and prints the one line that is left when it fails.

#![warn(clippy::print_stdout)]

#[macro_use]
mod output;

mod commands;
mod demo;
mod logging;
mod settings;
mod signals;

use std::process::ExitCode;

use settings::{Call, Failure};

/// Messages are decoded on one thread and live on another. glibc's allocator has threads wait for each other there.
#[cfg(not(feature = "allocation-stats"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
mesos: a cluster manager

  mesos master     a master (also called mesos-master)
  mesos agent      an agent (also called mesos-agent)
  mesos local      a master and agents in one process
  mesos execute    runs one command on a cluster (also called mesos-execute)
  mesos run        runs an example framework: sum, integrate
  mesos explain    says why a framework gets no offers
  mesos registry   shows, exports and imports the masters' registry
  mesos demo       starts a cluster, runs the examples on it, and ends it
  mesos executor   runs the command of one task; agents start it (also called mesos-executor)
  mesos fetcher    brings the files of one task into its sandbox; agents start it (also called mesos-fetcher)

`mesos COMMAND --help` explains the settings of a command.";

fn main() -> ExitCode {
    let call = Call::of_process();
    match dispatch(call) {
        Ok(code) => code,
        Err(failure) => {
            complain!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(call: Call) -> Result<ExitCode, Failure> {
    // The name it is called by stands for the command's.
    let (command, call) = match call.program.strip_prefix("mesos-") {
        Some(name @ ("master" | "agent" | "slave" | "execute" | "executor" | "fetcher")) => {
            (Some(name.to_owned()), call)
        }
        _ => call.next_word(),
    };
    match command.as_deref() {
        Some("master") => commands::master::main(call),
        Some("agent" | "slave") => commands::agent::main(call),
        Some("local") => commands::local::main(call),
        Some("execute") => commands::execute::main(call),
        Some("explain") => commands::explain::main(call),
        Some("registry") => commands::registry::main(call),
        Some("executor") => commands::executors::command(call),
        Some("fetcher") => commands::fetcher::main(call),
        Some("run") => commands::run::main(call),
        Some("demo") => demo::main(call),
        Some("help" | "--help" | "-h") => {
            say!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some("version" | "--version") => {
            say!("mesos {}", mesos::version());
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(Failure::new(format!("mesos: there is no command '{other}' (see mesos --help)"))),
        None => Err(Failure::new("mesos: which command? (see mesos --help)")),
    }
}
