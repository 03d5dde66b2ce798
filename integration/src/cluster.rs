//! A cluster of real processes in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libprocess::http::{Client, ClientRequest};
use libprocess::subprocess::kill_tree;
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::ports::Port;
use crate::{binary, wait};

/// What an agent of a test is like.
#[derive(Debug, Clone)]
pub struct AgentSpec {
    /// `--resources`
    pub resources: String,
    /// Further flags, as `--name=value`.
    pub flags: Vec<String>,
}

impl AgentSpec {
    /// An agent with these resources and the defaults for the rest.
    pub fn new(resources: &str) -> Self {
        Self { resources: resources.to_owned(), flags: Vec::new() }
    }

    /// The same with one more flag.
    pub fn with(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }
}

/// Masters and agents that a test started. Dropping it ends all of them, and every process that works in
/// the test's folder (an executor outlives its agent on purpose).
#[derive(Debug)]
pub struct Cluster {
    // Declared first, dropped first: daemons end before their folder goes.
    masters: Vec<(Daemon, Port)>,
    agents: Vec<(Daemon, Port)>,
    /// `--master` of the agents.
    leader_url: Option<String>,
    /// What all daemons find in their environment.
    environment: Vec<(String, String)>,
    /// How they are spoken to: `http` or `https`.
    scheme: &'static str,
    client: Client,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// A master with `master_flags` and these agents, all registered.
    pub async fn start(master_flags: &[&str], agents: &[AgentSpec]) -> Self {
        let mut cluster = Self::empty();
        cluster.add_master(master_flags).await;
        for agent in agents {
            cluster.add_agent(agent);
        }
        cluster.wait_for_agents(agents.len()).await;
        cluster
    }

    /// No process yet.
    pub fn empty() -> Self {
        Self {
            masters: Vec::new(),
            agents: Vec::new(),
            leader_url: None,
            environment: Vec::new(),
            scheme: "http",
            client: Client::new(),
            folder: tempfile::Builder::new().prefix("mesos-test-").tempdir().expect("a temporary folder"),
        }
    }

    /// One whose daemons speak TLS as `environment` tells them, and are asked by `client`.
    pub fn behind_tls(environment: Vec<(String, String)>, client: Client) -> Self {
        let mut cluster = Self::empty();
        (cluster.environment, cluster.scheme, cluster.client) = (environment, "https", client);
        cluster
    }

    /// A cluster whose masters are found at `url` (`zk://...`).
    pub fn found_at(url: &str) -> Self {
        let mut cluster = Self::empty();
        cluster.leader_url = Some(url.to_owned());
        cluster
    }

    /// Starts one more master and waits until it answers.
    pub async fn add_master(&mut self, flags: &[&str]) {
        let address = self.start_master(flags);
        wait::until("the master to answer", async || self.get_at(address, "/version").await.map(drop)).await;
    }

    /// Starts one more master, which may end before it ever answers, and says where it is to listen.
    pub fn start_master(&mut self, flags: &[&str]) -> SocketAddr {
        let index = self.masters.len();
        let port = Port::reserve().expect("the kernel has a port");
        let mut arguments = vec!["master".to_owned()];
        arguments.extend(listen_on(port.address()));
        arguments.push(format!("--work_dir={}", self.master_work_dir(index).display()));
        if let Some(url) = &self.leader_url {
            arguments.push(format!("--zk={url}"));
        }
        arguments.extend(flags.iter().map(ToString::to_string));
        let daemon = self.launch(&format!("master-{}", index + 1), arguments);
        let address = port.address();
        self.masters.push((daemon, port));
        address
    }

    /// Starts one more agent; does not wait for it.
    pub fn add_agent(&mut self, spec: &AgentSpec) {
        let index = self.agents.len();
        let port = Port::reserve().expect("the kernel has a port");
        let master = self.leader_url.clone().unwrap_or_else(|| self.master().to_string());
        let mut arguments = vec!["agent".to_owned(), format!("--master={master}")];
        arguments.extend(listen_on(port.address()));
        arguments.push(format!("--work_dir={}", self.agent_work_dir(index).display()));
        arguments.push("--hostname=localhost".to_owned());
        arguments.push(format!("--resources={}", spec.resources));
        arguments.extend(spec.flags.iter().cloned());
        let daemon = self.launch(&format!("agent-{}", index + 1), arguments);
        self.agents.push((daemon, port));
    }

    fn launch(&self, name: &str, arguments: Vec<String>) -> Daemon {
        Daemon::start(name, &binary::mesos(), arguments, self.environment.clone(), self.folder.path())
    }

    /// Waits until the leading master has `count` active agents.
    pub async fn wait_for_agents(&self, count: usize) {
        wait::until(&format!("{count} registered agents"), async || {
            let state = self.leader_state().await?;
            let active = state["activated_slaves"].as_f64().unwrap_or(-1.0);
            if active == count as f64 { Ok(()) } else { Err(format!("{active} active agents")) }
        })
        .await;
    }

    /// Which master leads; waits for one.
    pub async fn leader_index(&self) -> usize {
        wait::until("a leader", async || {
            for (index, (_, port)) in self.masters.iter().enumerate() {
                if matches!(self.get_text(port.address(), "/state").await, Ok((200, _))) {
                    return Ok(index);
                }
            }
            Err("nobody leads")
        })
        .await
    }

    /// `/state` of the first master that leads.
    pub async fn leader_state(&self) -> Result<Value, String> {
        let mut last = "there is no master".to_owned();
        for (_, port) in &self.masters {
            match self.get_at(port.address(), "/state").await {
                Ok(state) if state["elected_time"].is_number() => return Ok(state),
                Ok(_) => last = "the master has not been elected".to_owned(),
                Err(refusal) => last = refusal,
            }
        }
        Err(last)
    }

    /// Address of the first master.
    pub fn master(&self) -> SocketAddr {
        self.masters[0].1.address()
    }

    /// Address of master `index`, from 0.
    pub fn master_at(&self, index: usize) -> SocketAddr {
        self.masters[index].1.address()
    }

    /// Address of agent `index`, from 0.
    pub fn agent_at(&self, index: usize) -> SocketAddr {
        self.agents[index].1.address()
    }

    /// The process of master `index`.
    pub fn master_process(&mut self, index: usize) -> &mut Daemon {
        &mut self.masters[index].0
    }

    /// The process of agent `index`.
    pub fn agent_process(&mut self, index: usize) -> &mut Daemon {
        &mut self.agents[index].0
    }

    /// The folder that holds the work directories and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The work directory of master `index`.
    pub fn master_work_dir(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("master-{}", index + 1))
    }

    /// The work directory of agent `index`.
    pub fn agent_work_dir(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("agent-{}", index + 1))
    }

    /// The latest sandbox of an executor of the agent `index` (of a command task it has the task's id).
    ///
    /// # Panics
    /// When the agent knows no such executor.
    pub async fn sandbox(&self, index: usize, executor: &str) -> PathBuf {
        let state = self.get_at(self.agent_at(index), "/state").await.expect("the agent answers");
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let frameworks = [list(&state, "frameworks"), list(&state, "completed_frameworks")].concat();
        let executors = frameworks.iter().flat_map(|framework| {
            [list(framework, "executors"), list(framework, "completed_executors")].concat()
        });
        let found = executors.into_iter().find(|one| one["id"] == executor);
        let directory = found.and_then(|one| Some(PathBuf::from(one["directory"].as_str()?)));
        directory.expect("the agent has run the executor")
    }

    /// The HTTP client of the tests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// GETs JSON from a node.
    pub async fn get_at(&self, node: SocketAddr, path: &str) -> Result<Value, String> {
        let (status, body) = self.get_text(node, path).await?;
        if status != 200 {
            return Err(format!("{path} answered {status}: {body}"));
        }
        serde_json::from_str(&body).map_err(|error| format!("{path} is not JSON: {error}"))
    }

    /// GETs whatever is there: status and body.
    pub async fn get_text(&self, node: SocketAddr, path: &str) -> Result<(u16, String), String> {
        let request =
            ClientRequest::get(format!("{}://{node}{path}", self.scheme)).timeout(Duration::from_secs(10));
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        let status = response.status.as_u16();
        let body = response.bytes(64 << 20).await.map_err(|error| error.to_string())?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Cluster {
    /// The processes that work in the cluster's folder: executors and tasks in their sandboxes.
    pub fn in_sandboxes(&self) -> Vec<i32> {
        working_in(self.folder.path())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.agents.clear();
        self.masters.clear();
        for pid in self.in_sandboxes() {
            kill_tree(pid, Signal::KILL);
        }
    }
}

fn listen_on(address: SocketAddr) -> [String; 2] {
    [format!("--ip={}", address.ip()), format!("--port={}", address.port())]
}

/// The processes whose working directory lies in `folder`: executors and tasks in their sandboxes.
fn working_in(folder: &Path) -> Vec<i32> {
    libprocess::subprocess::process_table()
        .into_iter()
        .map(|entry| entry.pid)
        .filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|directory| directory.starts_with(folder))
        })
        .collect()
}
