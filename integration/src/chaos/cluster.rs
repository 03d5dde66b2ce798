//! The cluster under fire: three masters, five agents and three frameworks, each a process of its own that an
//! [`Init`] keeps running, masters and agents each on a [`Host`] of its own.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::{LocalBoxFuture, select_ok};
use libprocess::http::{Client, ClientRequest};
use libprocess::subprocess::{kill_tree, process_table};
use rustix::process::Signal;
use serde_json::Value;

use super::ground::{Ground, Host};
use super::init::{Init, Name};
use super::journal::{self, Record};
use super::say;
use super::scheduler::Orders;
use crate::disk::SmallDisk;
use crate::{Daemon, binary, wait};

const MASTERS: usize = 3;
const AGENTS: usize = 5;

/// How long a master's session outlives it.
pub const SESSION: Duration = Duration::from_secs(2);
/// After so long an agent that does not answer is unreachable: pings of 1 s, of which three are missed.
pub const PINGS: Duration = Duration::from_secs(4);
/// How long anybody may take to answer.
const GLANCE: Duration = Duration::from_secs(2);
/// How many tasks each framework keeps alive.
const WIDTH: usize = 10;

/// Short times, so that much happens in a minute.
const MASTER_FLAGS: [&str; 3] =
    ["--zk_session_timeout=2secs", "--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=3"];
/// The witness of agents' promises is what they keep on their disks: it must not be collected because the host's disk is
/// nearly full.
const AGENT_FLAGS: [&str; 5] = [
    "--gc_disk_headroom=0",
    "--zk_session_timeout=2secs",
    "--resources=cpus:4;mem:2048;disk:1024",
    "--registration_backoff_factor=200ms",
    "--executor_reregistration_timeout=2secs",
];

/// One daemon and where it is.
#[derive(Debug)]
pub struct Place {
    /// What keeps it running knows it by this.
    pub name: Name,
    /// Its host.
    pub host: Host,
    /// Its work directory.
    pub work_dir: PathBuf,
}

/// The programs of frameworks.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `chaos_scheduler`, built beside the test.
    pub scheduler: PathBuf,
    /// A Python that has PyMesos, if there is one.
    pub python: Option<OsString>,
}

/// The cluster. Dropping it ends all that belongs to it.
#[derive(Debug)]
pub struct Cluster {
    /// What keeps its daemons running.
    pub init: Init,
    /// The masters.
    pub masters: Vec<Place>,
    /// The agents. The last one's work directory may be filled.
    pub agents: Vec<Place>,
    /// The frameworks' schedulers, and their journals.
    pub schedulers: Vec<(Name, PathBuf)>,
    client: Client,
    /// Where tasks write what they do.
    pub ran: PathBuf,
    finish: PathBuf,
    // Before the folder that they are in.
    disks: Vec<SmallDisk>,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts masters and agents that find each other at `url`.
    pub fn start(ground: &mut Ground, url: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("chaos-test-").tempdir().expect("a temporary folder");
        let (ran, finish) = (folder.path().join("ran"), folder.path().join("finish"));
        std::fs::create_dir(&ran).expect("the test's folder is ours");
        let mut cluster = Self {
            init: Init::default(),
            masters: Vec::new(),
            agents: Vec::new(),
            schedulers: Vec::new(),
            client: Client::new(),
            ran,
            finish,
            disks: Vec::new(),
            folder,
        };
        for index in 1..=MASTERS {
            let mut arguments = vec!["master".to_owned(), format!("--zk={url}")];
            arguments.extend(MASTER_FLAGS.map(String::from));
            let master = cluster.place(ground, &format!("master-{index}"), arguments, false);
            cluster.masters.push(master);
        }
        for index in 1..=AGENTS {
            let mut arguments = vec!["agent".to_owned(), format!("--master={url}")];
            arguments.extend(AGENT_FLAGS.map(String::from));
            let agent = cluster.place(ground, &format!("agent-{index}"), arguments, index == AGENTS);
            cluster.agents.push(agent);
        }
        cluster
    }

    fn place(
        &mut self,
        ground: &mut Ground,
        name: &str,
        mut arguments: Vec<String>,
        small_disk: bool,
    ) -> Place {
        let host = ground.host();
        let work_dir = self.folder.path().join(name);
        if small_disk {
            self.disks.extend(ground.small_disk(&work_dir));
        }
        arguments.push(format!("--work_dir={}", work_dir.display()));
        arguments.push(format!("--ip={}", host.address.ip()));
        arguments.push(format!("--hostname={}", host.address.ip()));
        arguments.push(format!("--port={}", host.address.port()));
        let (program, arguments) = host.program(&binary::mesos(), arguments);
        let daemon = Daemon::start(name, &program, arguments, Vec::new(), self.folder.path());
        Place { name: self.init.add(daemon), host, work_dir }
    }

    /// Starts the frameworks: two on our library, one of them without PARTITION_AWARE, and one on PyMesos.
    pub fn add_frameworks(&mut self, url: &str, programs: &Programs) {
        self.add_framework(url, "aware", true, &programs.scheduler, Vec::new());
        self.add_framework(url, "plain", false, &programs.scheduler, Vec::new());
        if let Some(python) = &programs.python {
            let script = binary::workspace().join("integration/src/chaos/scheduler.py");
            self.add_framework(url, "pymesos", true, Path::new(python), vec![script.display().to_string()]);
        }
    }

    fn add_framework(&mut self, url: &str, name: &str, aware: bool, program: &Path, first: Vec<String>) {
        let journal = self.folder.path().join(format!("{name}.journal"));
        let orders = Orders {
            master: url.to_owned(),
            masters: self.masters.iter().map(|master| master.host.address.to_string()).collect(),
            name: name.to_owned(),
            partition_aware: aware,
            width: WIDTH,
            journal: journal.clone(),
            ran: self.ran.clone(),
            finish: self.finish.clone(),
        };
        let mut arguments = first;
        arguments.push(serde_json::to_string(&orders).expect("orders are JSON"));
        let daemon = Daemon::start(name, program, arguments, Vec::new(), self.folder.path());
        self.schedulers.push((self.init.add(daemon), journal));
    }

    /// Waits until all agents are registered.
    pub async fn wait_for_agents(&self) {
        wait::until_within(wait::PATIENCE * 2, "all agents to be registered", async || {
            let leader = self.leader().await.ok_or("nobody leads")?;
            let state = self.get(self.masters[leader].host.address, "/state").await?;
            let active = state["activated_slaves"].as_f64().unwrap_or(-1.0);
            if active == AGENTS as f64 { Ok(()) } else { Err(format!("{active} active agents")) }
        })
        .await;
    }

    /// Waits until all frameworks have subscribed for the first time.
    pub async fn wait_for_frameworks(&self) {
        self.wait_for_journals("all frameworks to subscribe", |record| {
            matches!(record, Record::Subscribed { .. })
        })
        .await;
    }

    /// Tells the frameworks to finish, and waits until they have.
    pub async fn finish(&self) {
        std::fs::write(&self.finish, "").expect("the test's folder is ours");
        self.wait_for_journals("all frameworks to finish", |record| matches!(record, Record::Done { .. }))
            .await;
    }

    async fn wait_for_journals(&self, what: &str, is: impl Fn(&Record) -> bool) {
        wait::until_within(wait::PATIENCE * 2, what, async || {
            let waiting = |journal: &&PathBuf| !journal::read(journal).iter().any(&is);
            let late: Vec<&PathBuf> =
                self.schedulers.iter().map(|(_, journal)| journal).filter(waiting).collect();
            if late.is_empty() { Ok(()) } else { Err(format!("waiting for {late:?}: {}", self.believed())) }
        })
        .await;
    }

    /// The tasks that frameworks believe in, for a message.
    fn believed(&self) -> String {
        let mut tasks = std::collections::BTreeMap::new();
        for record in self.journals().into_iter().flatten() {
            match record {
                Record::Launched { task, .. } => drop(tasks.insert(task, "launched".to_owned())),
                Record::Told(told) if journal::gives_up(&told.state) => drop(tasks.remove(&told.task)),
                Record::Told(told) => {
                    tasks.entry(told.task).and_modify(|state| *state = told.state);
                }
                _ => {}
            }
        }
        format!("{tasks:?}")
    }

    /// What the frameworks have written down.
    pub fn journals(&self) -> Vec<Vec<Record>> {
        self.schedulers.iter().map(|(_, path)| journal::read(path)).collect()
    }

    /// Which master leads, if one does.
    pub async fn leader(&self) -> Option<usize> {
        let asked = self.masters.iter().enumerate().map(|(index, master)| {
            let asked: LocalBoxFuture<'_, _> =
                async move { self.get(master.host.address, "/state-summary").await.map(|_| index) }
                    .boxed_local();
            asked
        });
        select_ok(asked).await.ok().map(|(index, _)| index)
    }

    /// Waits until the leader's books have no task any more: frameworks have acknowledged all ends.
    pub async fn wait_for_empty_books(&self) {
        wait::until_within(wait::PATIENCE * 2, "the master to have no task", async || {
            let leader = self.leader().await.ok_or("nobody leads")?;
            let state = self.get(self.masters[leader].host.address, "/state").await?;
            let frameworks = state["frameworks"].as_array().cloned().unwrap_or_default();
            let tasks = frameworks.iter().flat_map(|framework| framework["tasks"].as_array().cloned());
            let tasks: Vec<String> = tasks.flatten().map(|task| task["id"].to_string()).collect();
            if tasks.is_empty() { Ok(()) } else { Err(tasks.join(", ")) }
        })
        .await;
    }

    async fn get(&self, node: SocketAddr, path: &str) -> Result<Value, String> {
        let request = ClientRequest::get(format!("http://{node}{path}")).timeout(GLANCE);
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        let status = response.status.as_u16();
        let body = response.bytes(64 << 20).await.map_err(|error| error.to_string())?;
        if status != 200 {
            return Err(format!("{path} answered {status}"));
        }
        serde_json::from_slice(&body).map_err(|error| format!("{path} is not JSON: {error}"))
    }

    /// How often a master was elected.
    pub fn elections(&self) -> usize {
        let logs = self.masters.iter().map(|master| self.init.log(master.name));
        logs.map(|log| log.matches("elected as the leading master").count()).sum()
    }

    /// How often a master ended because it led no longer.
    pub fn deposed(&self) -> usize {
        let logs = self.masters.iter().map(|master| self.init.log(master.name));
        logs.map(|log| log.matches("the master ends reason=lost leadership").count()).sum()
    }

    /// Notes something that the test does, with the time, beside the daemons' logs: for whoever asks why they say what
    /// they say.
    #[allow(
        clippy::disallowed_methods,
        reason = "the daemons whose logs it explains have the host's clock, too"
    )]
    pub fn note(&self, what: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let [hours, minutes] = [now / 3600.0 % 24.0, now / 60.0 % 60.0].map(f64::floor);
        let line = format!("{hours:02}:{minutes:02}:{:06.3} {what}\n", now % 60.0);
        let file = OpenOptions::new().create(true).append(true).open(self.folder.path().join("faults.log"));
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the test's folder is ours");
    }

    /// The executors and tasks: processes in sandboxes, each with its sandbox.
    pub fn in_sandboxes(&self) -> Vec<(i32, PathBuf)> {
        let in_sandbox = |pid: i32| {
            let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
            self.agents.iter().any(|agent| folder.starts_with(&agent.work_dir)).then_some((pid, folder))
        };
        process_table()
            .into_iter()
            .filter(|entry| !entry.zombie)
            .filter_map(|entry| in_sandbox(entry.pid))
            .collect()
    }

    /// The executors: processes of our program in sandboxes.
    pub fn executors(&self) -> Vec<i32> {
        let is_executor = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"executor")
        };
        self.in_sandboxes().into_iter().map(|(pid, _)| pid).filter(is_executor).collect()
    }
}

impl Cluster {
    /// Leaves its folder, with logs and journals, to whoever wants to know what went wrong.
    pub fn keep(&mut self) {
        say(&format!("logs and journals are kept in {}", self.folder.path().display()));
        self.folder.disable_cleanup(true);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.init.end();
        for (pid, _) in self.in_sandboxes() {
            kill_tree(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            self.keep();
        }
    }
}
