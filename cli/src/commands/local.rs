//! `mesos local`: a master and agents in one process, each a node with its own port.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use libprocess::Node;
use libprocess::disk::{Disk, Durability, HostDisk};
use mesos::settings::{Declared, LogFormat, Sources, Unsupported};
use tempfile::TempDir;

use super::{Environment, must_end, run_daemon, start_node};
use crate::settings::{Call, Failure};
use crate::{logging, signals};

const COMMAND: &str = "local";
/// The file with an agent's port, in its work directory.
const PORT: &str = "port";
/// How long agents whose work directories are removed may take to end what they run.
const LEAVE: Duration = Duration::from_secs(10);

mesos::settings! {
    /// A cluster in one process.
    struct Settings for "mesos local" {
        "Cluster" {
            /// How many agents: at most 1000.
            agents | num_slaves: u16 = 1 => |count| mesos::settings::within(count, 1..=1000),
            /// The address to listen on.
            ip: std::net::IpAddr = std::net::IpAddr::from([127, 0, 0, 1]),
            /// The master's port. The agents listen on ports that the kernel gives, the next time on the same.
            port: u16 = 5050,
            /// Directory for what the master and the agents keep, each in a directory of its own. Without it, one
            /// that is removed at the end; tasks are ended then.
            work_dir: Option<PathBuf>,
            /// What each agent offers, as for mesos agent. Without it, each offers all that the host has.
            resources: Option<String>,
        }
        "Logging" {
            /// The least important messages that are logged: DEBUG, INFO, WARNING or ERROR.
            logging_level: String = "INFO".to_owned(),
            /// How the log is written: text, for people, or json, an object a line.
            logging_format: LogFormat = LogFormat::Text,
            /// Log nothing.
            quiet: bool = false,
        }
    }
}

/// Runs the cluster until it is told to end.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let settings = match call.load::<Settings>(COMMAND, &[])? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    let control = logging::start(&settings.logging_level, settings.quiet, settings.logging_format);
    let temporary = match &settings.work_dir {
        Some(_) => None,
        None => Some(temporary_folder()?),
    };
    let folder =
        temporary.as_ref().map(TempDir::path).or(settings.work_dir.as_deref()).unwrap_or(Path::new("."));
    run_daemon(async {
        let flags = [
            format!("--ip={}", settings.ip),
            format!("--port={}", settings.port),
            work_dir(folder, "master"),
        ];
        let master_settings = derived::<master::Settings>(flags.into(), master::UNSUPPORTED)?;
        let node = start_node(
            COMMAND,
            master::startup::node(&master_settings).log_control(control),
            &call.environment,
        )
        .await?;
        let mut running_master =
            master::start(&node, master_settings).await.map_err(|error| Failure::of(COMMAND, error))?;
        let mut agents = Vec::new();
        for index in 1..=settings.agents {
            agents.push(start_agent(&settings, folder, &node, index, &call.environment).await?);
        }
        let address = node.address();
        let count =
            if agents.len() == 1 { "an agent".to_owned() } else { format!("{} agents", agents.len()) };
        say!("a master at {address} and {count}; Ctrl-C ends them. See {}://{address}/", node.scheme());
        let mut interrupted = false;
        let result = tokio::select! {
            biased;
            () = signals::interrupted() => {
                interrupted = true;
                Ok(ExitCode::SUCCESS)
            }
            reason = running_master.wait() => Err(Failure::of(COMMAND, reason)),
            failed = failure(&mut agents) => Err(failed),
        };
        if interrupted && temporary.is_some() {
            // Executors that wait for an agent to come back would wait in a sandbox that is removed.
            agents.iter().for_each(|(_, running)| running.leave());
            let gone = agents.iter_mut().map(|(_, running)| running.wait());
            let _ = tokio::time::timeout(LEAVE, futures::future::join_all(gone)).await;
        }
        must_end(&result);
        for (agent_node, running) in agents {
            running.stop();
            agent_node.shutdown().await;
        }
        running_master.shutdown().await;
        node.shutdown().await;
        result
    })
}

/// Waits until an agent has failed. Without one that was told to end, since it is gone, say, the cluster goes on.
async fn failure(agents: &mut Vec<(Node, agent::Running)>) -> Failure {
    while !agents.is_empty() {
        let each = agents.iter_mut().map(|(_, running)| Box::pin(running.wait()));
        let (ended, index, _) = futures::future::select_all(each).await;
        if let Err(failed) = super::agent::ending(COMMAND, &ended) {
            return failed;
        }
        let (node, _) = agents.swap_remove(index);
        node.shutdown().await;
    }
    std::future::pending().await
}

async fn start_agent(
    settings: &Settings,
    folder: &Path,
    master: &Node,
    index: u16,
    environment: &Environment,
) -> Result<(Node, agent::Running), Failure> {
    let name = format!("agent-{index}");
    let directory = folder.join(&name);
    let kept = kept_port(&directory);
    let mut flags = vec![
        format!("--master={}", master.address()),
        format!("--ip={}", settings.ip),
        format!("--port={}", kept.unwrap_or(0)),
        work_dir(folder, &name),
    ];
    flags.extend(settings.resources.iter().map(|resources| format!("--resources={resources}")));
    let agent_settings = derived::<agent::Settings>(flags, agent::UNSUPPORTED)?;
    let builder = agent::node(&agent_settings).map_err(|error| Failure::of(COMMAND, error))?;
    // The master has them.
    let mut environment = environment.clone();
    environment.retain(|name, _| !matches!(name.as_str(), "LIBPROCESS_PORT" | "LIBPROCESS_ADVERTISE_PORT"));
    let node = start_node(COMMAND, builder, &environment).await.map_err(|failure| match kept {
        // It was not chosen with --port.
        Some(_) => Failure::new(format!("{failure}; the port is that of {name}, kept in its work directory")),
        None => failure,
    })?;
    if kept.is_none() {
        let failed = |error| Failure::of(COMMAND, format!("{}: {error}", directory.display()));
        keep_port(&directory, node.address().port()).map_err(failed)?;
    }
    let running = agent::start(&node, agent_settings).await.map_err(|error| Failure::of(COMMAND, error))?;
    Ok((node, running))
}

/// The port that an agent had here: its executors know it by that, and it is another agent with another one.
fn kept_port(directory: &Path) -> Option<u16> {
    let kept = HostDisk.read(&directory.join(PORT)).ok()?;
    String::from_utf8(kept).ok()?.parse().ok()
}

fn keep_port(directory: &Path, port: u16) -> std::io::Result<()> {
    HostDisk.create_directory(directory, Durability::Host)?;
    HostDisk.write(&directory.join(PORT), port.to_string().as_bytes(), Durability::Process)
}

fn work_dir(folder: &Path, name: &str) -> String {
    format!("--work_dir={}", folder.join(name).display())
}

fn temporary_folder() -> Result<TempDir, Failure> {
    let made = tempfile::Builder::new().prefix("mesos-local-").tempdir();
    made.map_err(|error| {
        Failure::of(COMMAND, format!("no temporary folder can be made: {error} (choose one with --work_dir)"))
    })
}

/// Settings of a daemon as if it had been started with these flags alone.
fn derived<S: Declared>(flags: Vec<String>, unsupported: &[Unsupported]) -> Result<S, Failure> {
    match mesos::settings::load::<S>(Sources::new(flags, Default::default()), unsupported) {
        Ok(mesos::settings::Outcome::Run(loaded)) => Ok(loaded.settings),
        Ok(_) => Err(Failure::of(COMMAND, "no settings")),
        Err(error) => Err(Failure::of(COMMAND, error)),
    }
}
