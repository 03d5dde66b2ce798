//! The demo's cluster: its daemons, how it comes up, and where to look at it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libprocess::http::{Client, ClientRequest};
use mesos::settings::{Declared, Outcome, Sources, Unsupported};
use serde_json::Value;

use super::COMMAND;
use super::children::Children;
use super::progress::ProgressLine;
use crate::settings::{Failure, own_binary};

/// How long the daemons may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A daemon that is to be started.
struct Plan {
    /// `master`, `agent-1` ...
    name: String,
    /// Its command line.
    words: Vec<String>,
    address: SocketAddr,
}

impl Plan {
    /// Says which port cannot be listened on before anything is started.
    fn check_port(&self) -> Result<(), Failure> {
        let Plan { name, address, .. } = self;
        TcpListener::bind(address).map(drop).map_err(|error| {
            let advice = "choose others with --ports=MASTER,AGENT,AGENT,...";
            Failure::of(COMMAND, format!("{name} cannot listen on {address}: {error} ({advice})"))
        })
    }
}

/// A master and agents as child processes, with a folder of their own for what they keep.
pub(super) struct DemoCluster {
    binary: PathBuf,
    client: Client,
    master: Plan,
    agents: Vec<Plan>,
    children: Children,
    folder: tempfile::TempDir,
}

impl DemoCluster {
    /// Reads the configuration files, so that what is wrong in them is said before anything starts.
    pub(super) fn prepare(client: Client, config: &Path, ports: Option<&[u16]>) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::of(
                COMMAND,
                format!("no temporary folder can be made: {error} (TMPDIR names another place)"),
            )
        };
        let folder = tempfile::Builder::new().prefix("mesos-demo-").tempdir().map_err(failed)?;
        let agents = agent_names(config);
        if agents.is_empty() {
            return Err(Failure::of(COMMAND, format!("no agent-1.toml in {}", config.display())));
        }
        if ports.is_some_and(|ports| ports.len() != agents.len() + 1) {
            return Err(Failure::of(COMMAND, format!("bad --ports: {} ports are needed", agents.len() + 1)));
        }
        let port = |index: usize| ports.and_then(|ports| ports.get(index).copied());
        let master = plan("master", config, folder.path(), port(0), None)?;
        let agents = agents
            .into_iter()
            .enumerate()
            .map(|(index, name)| plan(&name, config, folder.path(), port(index + 1), Some(master.address)))
            .collect::<Result<_, _>>()?;
        for plan in std::iter::once(&master).chain(&agents) {
            plan.check_port()?;
        }
        let children = Children::new().map_err(|error| Failure::of(COMMAND, error))?;
        Ok(Self { binary: own_binary()?, client, master, agents, children, folder })
    }

    /// Where the master listens.
    pub(super) fn master_address(&self) -> SocketAddr {
        self.master.address
    }

    /// Starts the daemons and waits until all agents are registered.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        say!("Starting a master and {} agents ...", self.agents.len());
        for plan in std::iter::once(&self.master).chain(&self.agents) {
            say!("  mesos {}", plan.words.join(" "));
            let log = self.folder.path().join(format!("{}.log", plan.name));
            self.children
                .start(&plan.name, &self.binary, &plan.words, log)
                .map_err(|error| Failure::of(COMMAND, error))?;
        }
        let expected = self.agents.len();
        let mut line = ProgressLine::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.check()?;
            let registered = self.registered().await;
            line.show(registered, expected, "agents registered");
            if registered == expected {
                line.finish();
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                line.finish();
                return Err(Failure::of(
                    COMMAND,
                    format!("only {registered} of {expected} agents registered within {PATIENCE:?}"),
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.children.check().map_err(|error| Failure::of(COMMAND, error))
    }

    /// Agents that the master counts as active; 0 while it does not answer.
    async fn registered(&self) -> usize {
        let request = ClientRequest::get(format!("http://{}/state", self.master.address))
            .timeout(Duration::from_secs(5));
        let Ok(response) = self.client.send(request).await else { return 0 };
        let Ok(body) = response.bytes(16 << 20).await else { return 0 };
        let state: Value = serde_json::from_slice(&body).unwrap_or_default();
        state["activated_slaves"].as_f64().unwrap_or(0.0) as usize
    }

    /// Runs `work`, but fails as soon as a daemon has ended by itself.
    pub(super) async fn watching<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(4 * LOOK, &mut work).await {
                return Ok(done);
            }
            self.check()?;
        }
    }

    /// Prints what a curious person may open while the cluster runs.
    pub(super) fn print_where_to_look(&self) {
        say!("\nWhere to look (with --keep the cluster stays up):");
        for plan in std::iter::once(&self.master).chain(&self.agents) {
            say!("  {}", plan.name);
            if plan.name == self.master.name {
                say!("    http://{0}/                for a browser", plan.address);
            }
            for path in ["/state", "/version", "/__processes__"] {
                say!("    http://{0}{path:<16}  curl http://{0}{path}", plan.address);
            }
        }
    }

    /// Ends everything that was started, and removes what it kept.
    pub(super) async fn stop(&mut self) {
        self.children.stop().await;
        // Not in one go if somebody has just written a last file; what is left even then the folder's end takes.
        for _ in 0..20 {
            let _ = std::fs::remove_dir_all(self.folder.path());
            if !self.folder.path().exists() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// `agent-1`, `agent-2`, ... as long as there is a file.
fn agent_names(config: &Path) -> Vec<String> {
    (1..)
        .map(|index| format!("agent-{index}"))
        .take_while(|name| config.join(format!("{name}.toml")).is_file())
        .collect()
}

/// The command line of a daemon: its file, a work directory of the demo's own, and other ports if some are given.
fn plan(
    name: &str,
    config: &Path,
    folder: &Path,
    port: Option<u16>,
    master: Option<SocketAddr>,
) -> Result<Plan, Failure> {
    let mut flags = vec![
        format!("--config={}", config.join(format!("{name}.toml")).display()),
        format!("--work_dir={}", folder.join(name).display()),
    ];
    if let Some(port) = port {
        flags.push(format!("--port={port}"));
        flags.extend(master.map(|master| format!("--master={master}")));
    }
    let (command, ip, port) = if master.is_none() {
        let settings: master::Settings = load(&flags, master::UNSUPPORTED)?;
        ("master", settings.ip.map(|ip| ip.to_string()), settings.port)
    } else {
        let settings: agent::Settings = load(&flags, agent::UNSUPPORTED)?;
        ("agent", settings.ip.clone(), settings.port)
    };
    let ip = ip.unwrap_or_else(|| "127.0.0.1".to_owned());
    let address = format!("{ip}:{port}")
        .parse()
        .map_err(|_| Failure::of(COMMAND, format!("bad ip '{ip}' in {name}.toml")))?;
    let words = std::iter::once(command.to_owned()).chain(flags).collect();
    Ok(Plan { name: name.to_owned(), words, address })
}

fn load<S: Declared>(flags: &[String], unsupported: &[Unsupported]) -> Result<S, Failure> {
    match mesos::settings::load::<S>(Sources::new(flags.iter().cloned(), Default::default()), unsupported) {
        Ok(Outcome::Run(loaded)) => Ok(loaded.settings),
        Ok(_) => Err(Failure::of(COMMAND, "the configuration asks for help")),
        Err(error) => Err(Failure::of(COMMAND, error)),
    }
}
