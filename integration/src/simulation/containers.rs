//! The agents' hosts: containers that outlive agents, and in each of them an executor that is a process of its own, with
//! a node on the simulated network. It is the real executor library that speaks to the agent; only what a task does is
//! made up: it runs for a while, and ends as its labels say.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::containerizer::simulated::plan;
use agent::containerizer::{
    ContainerConfig, Containers, Destroy, Launch, Launched, Recover, RecoverError, Status, Termination,
    Update, UpdateError, Usage, Wait,
};
use frameworks::executor::{self, Driver, Executor, ExecutorEnvironment, Recovery, status};
use libprocess::disk::{Disk, Durability};
use libprocess::simulation::{Crash, Network, SimulatedDisk};
use libprocess::{Context, Handle, Pid, Process, Promise};
use mesos::capabilities::FrameworkCapabilities;
use mesos::v1::{self, TaskState};
use mesos::{ContainerId, ExecutorId, FrameworkId, Resources, TaskId};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::configuration::volume_path;
use super::invariant::Invariant;
use super::truth::Truth;

/// The label of a task that names all tasks of its group.
pub const GROUP_LABEL: &str = "group";
/// How long it takes to start a process.
const FORK: Duration = Duration::from_millis(20);
/// The first port of executors.
const PORTS: u16 = 10_000;

/// A host: its disk, and what runs on it beside the agent. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    network: Network,
    truth: Truth,
    name: Arc<str>,
    ip: IpAddr,
    disk: SimulatedDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    containers: BTreeMap<ContainerId, Container>,
    launched: u16,
}

struct Container {
    /// A framework's own executor; `None` if it was made for one task.
    executor: Option<(FrameworkId, ExecutorId)>,
    address: SocketAddr,
    pid: u32,
    tasks: Tasks,
    waiting: Vec<Promise<Option<Termination>>>,
    /// It was told to end before it had begun.
    doomed: bool,
}

/// The tasks that run in a container.
type Tasks = Arc<Mutex<BTreeSet<String>>>;

impl Host {
    /// A host without processes.
    pub fn new(network: &Network, truth: &Truth, name: &str, ip: IpAddr, disk: SimulatedDisk) -> Host {
        let (network, truth) = (network.clone(), truth.clone());
        Host { network, truth, name: name.into(), ip, disk, state: Arc::default() }
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Its disk.
    pub fn disk(&self) -> &SimulatedDisk {
        &self.disk
    }

    /// Every process on it ends; nobody is told.
    pub async fn lose_power(&self) {
        let containers = std::mem::take(&mut self.state.lock().containers);
        self.network.power_off(self.ip);
        for container in containers.into_values() {
            end_tasks(&self.truth, &container.tasks, "power lost");
            self.network.crash(container.address, Crash::Host).await;
        }
        for address in self.network.processes(self.ip) {
            self.network.crash(address, Crash::Host).await;
        }
    }

    /// Ends one of its executors, if there is any: that with the oldest container.
    pub async fn crash_executor(&self) -> bool {
        match self.addresses().first() {
            Some(address) => self.network.crash(*address, Crash::Process).await,
            None => false,
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.state.lock().containers.values().map(|container| container.address).collect()
    }

    /// Ends all of its executors.
    pub async fn crash_executors(&self) {
        for address in self.addresses() {
            self.network.crash(address, Crash::Process).await;
        }
    }

    /// How many containers there are.
    pub fn containers(&self) -> usize {
        self.state.lock().containers.len()
    }

    /// The frameworks' own executors that run on it.
    pub fn executors(&self) -> BTreeSet<(FrameworkId, ExecutorId)> {
        self.state.lock().containers.values().filter_map(|container| container.executor.clone()).collect()
    }

    fn launch(&self, id: &ContainerId, config: ContainerConfig) -> u32 {
        let mut state = self.state.lock();
        state.launched += 1;
        let address = SocketAddr::new(self.ip, PORTS + state.launched);
        let pid = u32::from(state.launched);
        let tasks = Tasks::default();
        let container = Container {
            executor: own_executor(&config),
            address,
            pid,
            tasks: tasks.clone(),
            waiting: Vec::new(),
            doomed: false,
        };
        state.containers.insert(id.clone(), container);
        drop(state);
        libprocess::simulation::spawn(self.clone().run(id.clone(), config, address, tasks));
        pid
    }

    /// The life of an executor's process.
    async fn run(self, id: ContainerId, config: ContainerConfig, address: SocketAddr, tasks: Tasks) {
        sleep(FORK).await;
        let is_wanted = self.state.lock().containers.get(&id).is_some_and(|container| !container.doomed);
        let mut status = 9;
        if is_wanted {
            match self.execute(config, address, tasks).await {
                Ok(exit) => status = exit,
                Err(error) => {
                    self.truth
                        .violation(Invariant::NothingPanics, format!("an executor could not start: {error}"));
                }
            }
        }
        self.finish(&id, status);
    }

    async fn execute(
        &self,
        config: ContainerConfig,
        address: SocketAddr,
        tasks: Tasks,
    ) -> Result<i32, String> {
        let environment =
            ExecutorEnvironment::from_map(&config.environment).map_err(|error| error.to_string())?;
        let name = format!("{}.e{}", self.name, address.port() - PORTS);
        let node = self.network.node(address, &name).start().await.map_err(|error| error.to_string())?;
        let played = SimulatedExecutor {
            truth: self.truth.clone(),
            host: self.name.clone(),
            single: config.task.is_some(),
            forgetful: environment.recovery == Recovery::None,
            tasks,
            updates: BTreeMap::new(),
            unacknowledged: 0,
            says_killing: false,
        };
        let ended = executor::run(&node, environment, played).await;
        // If it was killed, this is not there any more.
        self.network.crash(address, Crash::Process).await;
        Ok(if ended.is_ok() { 0 } else { 1 << 8 })
    }

    /// A container is over, unless its host is: then nobody is left to care.
    fn finish(&self, id: &ContainerId, status: i32) {
        let Some(container) = self.state.lock().containers.remove(id) else { return };
        end_tasks(&self.truth, &container.tasks, "its executor ended");
        for waiting in container.waiting {
            waiting.set(Some(Termination { status: Some(status), ..Termination::default() }));
        }
    }

    fn destroy(&self, id: &ContainerId) {
        let mut state = self.state.lock();
        let Some(container) = state.containers.get_mut(id) else { return };
        container.doomed = true;
        let (network, address) = (self.network.clone(), container.address);
        drop(state);
        libprocess::simulation::spawn(async move {
            network.crash(address, Crash::Process).await;
        });
    }
}

fn own_executor(config: &ContainerConfig) -> Option<(FrameworkId, ExecutorId)> {
    let framework = config.executor.framework_id.as_ref().filter(|_| config.task.is_none())?;
    Some((FrameworkId::from(framework), ExecutorId::from(&config.executor.executor_id)))
}

fn end_tasks(truth: &Truth, tasks: &Tasks, why: &str) {
    for task in std::mem::take(&mut *tasks.lock()) {
        truth.stopped(&task, why);
    }
}

fn write_pid(disk: &dyn Disk, path: &Path, pid: u32) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        disk.create_directory(directory, Durability::Process)?;
    }
    disk.write(path, pid.to_string().as_bytes(), Durability::Process)
}

/// The containerizer of one life of an agent: what it is asked, the host does.
pub struct HostContainerizer(pub Host);

impl Process for HostContainerizer {
    const NAME: &'static str = "simulated-containerizer";
}

impl Handle<Launch> for HostContainerizer {
    fn handle(&mut self, launch: Launch, _: &Pid, ctx: &mut Context<Self>) {
        let Launch { container_id, config, reply } = launch;
        if self.0.state.lock().containers.contains_key(&container_id) {
            return reply.set(Ok(Launched::AlreadyLaunched));
        }
        let pid_file = config.forked_pid_path.clone();
        let pid = self.0.launch(&container_id, config);
        if let Some(path) = pid_file {
            // As the launcher does; what cannot be written is not there after a restart.
            let _ = write_pid(&**ctx.node().disk(), &path, pid);
        }
        reply.set(Ok(Launched::Launched));
    }
}

impl Handle<Update> for HostContainerizer {
    fn handle(&mut self, update: Update, _: &Pid, _: &mut Context<Self>) {
        update.reply.set(Ok::<(), UpdateError>(()));
    }
}

impl Handle<Wait> for HostContainerizer {
    fn handle(&mut self, wait: Wait, _: &Pid, _: &mut Context<Self>) {
        match self.0.state.lock().containers.get_mut(&wait.container_id) {
            Some(container) => container.waiting.push(wait.reply),
            None => wait.reply.set(None),
        }
    }
}

impl Handle<Destroy> for HostContainerizer {
    fn handle(&mut self, destroy: Destroy, _: &Pid, _: &mut Context<Self>) {
        self.0.destroy(&destroy.container_id);
    }
}

impl Handle<Usage> for HostContainerizer {
    fn handle(&mut self, usage: Usage, _: &Pid, _: &mut Context<Self>) {
        usage.reply.set(None);
    }
}

impl Handle<Status> for HostContainerizer {
    fn handle(&mut self, status: Status, _: &Pid, _: &mut Context<Self>) {
        let state = self.0.state.lock();
        let container = state.containers.get(&status.container_id);
        status.reply.set(container.map(|container| v1::ContainerStatus {
            container_id: Some(status.container_id.to_proto()),
            executor_pid: Some(container.pid),
            ..v1::ContainerStatus::default()
        }));
    }
}

impl Handle<Containers> for HostContainerizer {
    fn handle(&mut self, _: Containers, _: &Pid, _: &mut Context<Self>) -> Vec<ContainerId> {
        self.0.state.lock().containers.keys().cloned().collect()
    }
}

impl Handle<Recover> for HostContainerizer {
    /// Those that still run are in the host's table; of the others `Wait` says that they are unknown. What the agent does
    /// not know is destroyed, as by a containerizer that finds its containers in cgroups.
    fn handle(&mut self, recover: Recover, _: &Pid, _: &mut Context<Self>) {
        let known: BTreeSet<&ContainerId> =
            recover.containers.iter().map(|container| &container.id).collect();
        let all: Vec<ContainerId> = self.0.state.lock().containers.keys().cloned().collect();
        all.iter().filter(|id| !known.contains(id)).for_each(|id| self.0.destroy(id));
        recover.reply.set(Ok::<(), RecoverError>(()));
    }
}

/// An executor that pretends.
struct SimulatedExecutor {
    truth: Truth,
    host: Arc<str>,
    /// It is for one task, and ends with it.
    single: bool,
    forgetful: bool,
    tasks: Tasks,
    /// How many updates were sent of each task.
    updates: BTreeMap<String, u32>,
    unacknowledged: usize,
    /// Its framework knows of tasks that are being killed: then that takes time.
    says_killing: bool,
}

impl SimulatedExecutor {
    fn update(&mut self, driver: &mut Driver<Self>, task: &v1::TaskId, state: TaskState) {
        let number = self.updates.entry(task.value.clone()).or_default();
        *number += 1;
        self.unacknowledged += 1;
        driver.update(v1::TaskStatus { data: Some(number.to_string().into_bytes()), ..status(task, state) });
    }

    fn end(&mut self, driver: &mut Driver<Self>, task: &v1::TaskId, state: TaskState) {
        if self.tasks.lock().remove(&task.value) {
            self.truth.stopped(&task.value, state.as_str_name());
            self.update(driver, task, state);
        }
    }

    fn stop_if_done(&self, driver: &mut Driver<Self>) {
        if self.single && self.unacknowledged == 0 && self.tasks.lock().is_empty() {
            driver.stop();
        }
    }
}

impl SimulatedExecutor {
    fn start(&mut self, driver: &mut Driver<Self>, task: &v1::TaskInfo) {
        let id = task.task_id.clone();
        self.truth.started(&id.value, &self.host, self.forgetful);
        let resources = Resources::from_valid_protos(&task.resources);
        let volumes = resources.iter().filter(|resource| resource.is_persistent_volume());
        let volumes = volumes.filter_map(|volume| Some((volume_path(volume)?, volume.is_shared())));
        self.truth.uses(&id.value, volumes.collect());
        self.tasks.lock().insert(id.value.clone());
        self.update(driver, &id, TaskState::TaskStarting);
        self.update(driver, &id, TaskState::TaskRunning);
        let (runs, state) = plan(task);
        let limit = task.max_completion_time.and_then(|limit| u64::try_from(limit.nanoseconds).ok());
        let (runs, state) = match limit.map(Duration::from_nanos) {
            Some(limit) if limit < runs => (limit, TaskState::TaskFailed),
            _ => (runs, state),
        };
        driver.after(runs, move |this, driver| this.end(driver, &id, state));
    }
}

/// The tasks of the group that a task belongs to, by its own account.
fn group_of(task: &v1::TaskInfo) -> Option<&str> {
    task.labels.as_ref()?.value(GROUP_LABEL)
}

impl Executor for SimulatedExecutor {
    fn subscribed(&mut self, _: &mut Driver<Self>, subscribed: &v1::executor::event::Subscribed) {
        let capabilities = FrameworkCapabilities::from_protos(&subscribed.framework_info.capabilities);
        self.says_killing = capabilities.task_killing_state;
    }

    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        if group_of(&task).is_some() {
            let text = format!("task {} of a group was started alone", task.task_id.value);
            self.truth.violation(Invariant::RunsOnce, text);
        }
        self.start(driver, &task);
    }

    fn launch_group(&mut self, driver: &mut Driver<Self>, group: v1::TaskGroupInfo) {
        let names: Vec<&str> = group.tasks.iter().map(|task| &*task.task_id.value).collect();
        let names = names.join(",");
        if group.tasks.iter().any(|task| group_of(task) != Some(&names)) {
            self.truth
                .violation(Invariant::RunsOnce, format!("{names} were started as a group, and are none"));
        }
        for task in &group.tasks {
            self.start(driver, task);
        }
    }

    fn message(&mut self, driver: &mut Driver<Self>, data: Vec<u8>) {
        driver.message(data);
    }

    fn kill(&mut self, driver: &mut Driver<Self>, task: v1::TaskId, policy: Option<v1::KillPolicy>) {
        let grace = policy.and_then(|policy| u64::try_from(policy.grace_period?.nanoseconds).ok());
        let is_there = self.tasks.lock().contains(&task.value);
        let Some(grace) = grace.filter(|_| self.says_killing && is_there) else {
            return self.end(driver, &task, TaskState::TaskKilled);
        };
        self.truth.count("tasks that take time to be killed");
        self.update(driver, &task, TaskState::TaskKilling);
        driver.after(Duration::from_nanos(grace), move |this, driver| {
            this.end(driver, &task, TaskState::TaskKilled);
        });
    }

    fn acknowledged(&mut self, driver: &mut Driver<Self>, status: &v1::TaskStatus) {
        let number = number_of(status).unwrap_or_default();
        self.truth.promised(TaskId::from(&status.task_id).as_str(), number);
        self.unacknowledged -= 1;
        self.stop_if_done(driver);
    }

    fn shutdown(&mut self, driver: &mut Driver<Self>) {
        let tasks: Vec<String> = self.tasks.lock().iter().cloned().collect();
        for value in tasks {
            self.end(driver, &v1::TaskId { value }, TaskState::TaskKilled);
        }
        driver.after(Duration::from_millis(500), |_, driver| driver.stop());
    }
}

/// Which update of its executor a status is, if it is one.
pub(super) fn number_of(status: &v1::TaskStatus) -> Option<u32> {
    std::str::from_utf8(status.data.as_deref()?).ok()?.parse().ok()
}
