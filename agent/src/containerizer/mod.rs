//! The seam between the agent and whatever runs containers: the messages, and a handle that
//! carries one recipient for each of them.
//!
//! The Agent holds a [`Containerizer`] and knows nothing else: not whether containers are
//! processes (`mesos-containerizer(1)`), or only entries in a table (`simulated`).
//!
//! | message | answer | meaning |
//! |---|---|---|
//! | [`Launch`] | `Result<Launched, LaunchError>` | start one container; answered once its process was forked and recorded |
//! | [`Update`] | `Result<(), UpdateError>` | new resources of a running container; unknown containers are skipped |
//! | [`Wait`] | `Option<Termination>` | answered when the container is gone and cleaned up; `None` if never known |
//! | [`Destroy`] | nothing | kill everything in it; its `Wait`s are answered |
//! | [`Usage`] | `Option<ResourceStatistics>` | what it uses now |
//! | [`Status`] | `Option<ContainerStatus>` | its pid, addresses |
//! | [`Containers`] | the ids | all that run |
//! | [`Recover`] | `Result<(), RecoverError>` | after a restart of the agent: adopt these |
//!
//! Rules that both sides keep (upstream: `slave/containerizer/containerizer.hpp`): the Agent asks
//! `Wait` only after `Launch` was answered, whatever the answer was; a failed launch is followed by
//! a `Destroy`; an id is never reused.

mod launcher;
pub mod posix;
pub mod simulated;
mod statistics;
mod strays;
#[cfg(test)]
mod testing;
pub mod volumes;

pub(crate) use launcher::DEFAULT_PATH;

use std::collections::BTreeMap;
use std::path::PathBuf;

use libprocess::{Address, Answer, Handle, Message, Process, Promise, Recipient, promise};
use mesos::{ContainerId, Resources, v1};

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct ContainerConfig {
    /// The command of the executor, with its URIs and its own environment.
    pub command: v1::CommandInfo,
    /// The variables that the agent gives to every executor (`MESOS_*`, `LIBPROCESS_*`). Those of
    /// `command.environment` come on top of them.
    pub environment: BTreeMap<String, String>,
    /// The executor's and its first tasks' resources.
    pub resources: Resources,
    /// Limits by resource name, where tasks asked for some; `f64::INFINITY` means none.
    pub limits: BTreeMap<String, f64>,
    /// The sandbox. It exists, and belongs to `user`.
    pub directory: PathBuf,
    /// Run as this user; `None` means the user that runs the agent (`--no-switch_user`).
    pub user: Option<String>,
    /// Write the pid of the container here before it may run; set for checkpointing frameworks
    /// (upstream: `forked.pid`). Whoever recovers finds the container by it.
    pub forked_pid_path: Option<PathBuf>,
    /// The executor that will run.
    pub executor: v1::ExecutorInfo,
    /// The task, when the executor was generated for one command task.
    pub task: Option<v1::TaskInfo>,
    /// Image, volumes, networks.
    pub container: Option<v1::ContainerInfo>,
}

/// How a launch ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launched {
    /// The process was forked.
    Launched,
    /// There is a container of this id already.
    AlreadyLaunched,
    /// No containerizer of this agent can run such a container.
    NotSupported,
}

/// Why a container did not start. The text becomes the message of `TASK_FAILED`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file that the command needs could not be fetched.
    #[error("failed to fetch '{uri}': {reason}")]
    Fetch {
        /// Where from.
        uri: String,
        /// Why not.
        reason: String,
    },
    /// The sandbox, an isolator or the launcher refused.
    #[error("{0}")]
    Prepare(String),
    /// It was destroyed before it ran.
    #[error("container destroyed during launching")]
    Destroyed,
    /// The containerizer has gone away.
    #[error("the containerizer ended before it answered")]
    Abandoned,
}

/// Why resources of a container could not be changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct UpdateError(pub String);

/// Why containers could not be recovered. The agent stops with this text.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RecoverError(pub String);

/// How a container ended.
#[derive(Clone, Debug, Default)]
pub struct Termination {
    /// The status that `wait(2)` gave, if it is known.
    pub status: Option<i32>,
    /// The state for its live tasks, if the containerizer has an opinion (`TASK_FAILED` otherwise).
    pub state: Option<v1::TaskState>,
    /// The reason for them (`REASON_EXECUTOR_TERMINATED` otherwise).
    pub reason: Option<v1::task_status::Reason>,
    /// Text for them.
    pub message: Option<String>,
    /// What limit was exceeded, if one was.
    pub limited_resources: Resources,
}

/// A container that ran when the agent stopped.
#[derive(Clone, Debug)]
pub struct RecoveredContainer {
    /// Its id.
    pub id: ContainerId,
    /// The pid that `forked.pid` held; `None` if it was not written, or the host has rebooted:
    /// then the container is gone.
    pub pid: Option<u32>,
    /// Its sandbox.
    pub directory: PathBuf,
    /// As in [`ContainerConfig::user`].
    pub user: Option<String>,
    /// What runs in it.
    pub executor: v1::ExecutorInfo,
    /// Its resources.
    pub resources: Resources,
}

/// Start a container.
pub struct Launch {
    /// Its id, chosen by the agent.
    pub container_id: ContainerId,
    /// What to run.
    pub config: ContainerConfig,
    /// Answered when it was forked or has failed.
    pub reply: Promise<Result<Launched, LaunchError>>,
}

/// Change the resources of a container.
pub struct Update {
    /// Which.
    pub container_id: ContainerId,
    /// All that it has from now on.
    pub resources: Resources,
    /// As in [`ContainerConfig::limits`].
    pub limits: BTreeMap<String, f64>,
    /// Answered when the isolators have applied it.
    pub reply: Promise<Result<(), UpdateError>>,
}

/// Tell when a container has ended.
pub struct Wait {
    /// Which.
    pub container_id: ContainerId,
    /// Answered when it has ended.
    pub reply: Promise<Option<Termination>>,
}

/// Kill a container and all that runs in it.
pub struct Destroy {
    /// Which.
    pub container_id: ContainerId,
}

/// What a container uses.
pub struct Usage {
    /// Which.
    pub container_id: ContainerId,
    /// `None` if there is no such container.
    pub reply: Promise<Option<v1::ResourceStatistics>>,
}

/// What the containerizer knows of a container.
pub struct Status {
    /// Which.
    pub container_id: ContainerId,
    /// `None` if there is no such container.
    pub reply: Promise<Option<v1::ContainerStatus>>,
}

/// All containers.
pub struct Containers;

/// Adopt the containers of an earlier run of this agent.
pub struct Recover {
    /// Those that the agent knows, and that were not over. Others of this agent are destroyed: cgroups tell of them, or what
    /// their processes have in their environment.
    pub containers: Vec<RecoveredContainer>,
    /// The sandboxes of those that were over. What runs there was left by tasks, and an agent has let it run on.
    pub over: Vec<PathBuf>,
    /// Answered when `Wait` and the others can be asked for them.
    pub reply: Promise<Result<(), RecoverError>>,
}

impl Message for Launch {
    type Answer = ();
}
impl Message for Update {
    type Answer = ();
}
impl Message for Wait {
    type Answer = ();
}
impl Message for Destroy {
    type Answer = ();
}
impl Message for Usage {
    type Answer = ();
}
impl Message for Status {
    type Answer = ();
}
impl Message for Containers {
    type Answer = Vec<ContainerId>;
}
impl Message for Recover {
    type Answer = ();
}

/// What an actor must handle to be a containerizer.
pub trait ContainerizerProcess:
    Process
    + Handle<Launch>
    + Handle<Update>
    + Handle<Wait>
    + Handle<Destroy>
    + Handle<Usage>
    + Handle<Status>
    + Handle<Containers>
    + Handle<Recover>
{
}

impl<P> ContainerizerProcess for P where
    P: Process
        + Handle<Launch>
        + Handle<Update>
        + Handle<Wait>
        + Handle<Destroy>
        + Handle<Usage>
        + Handle<Status>
        + Handle<Containers>
        + Handle<Recover>
{
}

/// A containerizer, whichever it is.
#[derive(Clone)]
pub struct Containerizer {
    launch: Recipient<Launch>,
    update: Recipient<Update>,
    wait: Recipient<Wait>,
    destroy: Recipient<Destroy>,
    usage: Recipient<Usage>,
    status: Recipient<Status>,
    containers: Recipient<Containers>,
    recover: Recipient<Recover>,
}

impl<P: ContainerizerProcess> From<&Address<P>> for Containerizer {
    fn from(address: &Address<P>) -> Containerizer {
        Containerizer {
            launch: address.recipient(),
            update: address.recipient(),
            wait: address.recipient(),
            destroy: address.recipient(),
            usage: address.recipient(),
            status: address.recipient(),
            containers: address.recipient(),
            recover: address.recipient(),
        }
    }
}

impl Containerizer {
    /// See [`Launch`].
    pub fn launch(
        &self,
        container_id: ContainerId,
        config: ContainerConfig,
    ) -> Answer<Result<Launched, LaunchError>> {
        let (reply, answer) = promise();
        self.launch.tell(Launch { container_id, config, reply });
        answer
    }

    /// See [`Update`].
    pub fn update(
        &self,
        container_id: ContainerId,
        resources: Resources,
        limits: BTreeMap<String, f64>,
    ) -> Answer<Result<(), UpdateError>> {
        let (reply, answer) = promise();
        self.update.tell(Update { container_id, resources, limits, reply });
        answer
    }

    /// See [`Wait`].
    pub fn wait(&self, container_id: ContainerId) -> Answer<Option<Termination>> {
        let (reply, answer) = promise();
        self.wait.tell(Wait { container_id, reply });
        answer
    }

    /// See [`Destroy`].
    pub fn destroy(&self, container_id: ContainerId) {
        self.destroy.tell(Destroy { container_id });
    }

    /// See [`Usage`].
    pub fn usage(&self, container_id: ContainerId) -> Answer<Option<v1::ResourceStatistics>> {
        let (reply, answer) = promise();
        self.usage.tell(Usage { container_id, reply });
        answer
    }

    /// See [`Status`].
    pub fn status(&self, container_id: ContainerId) -> Answer<Option<v1::ContainerStatus>> {
        let (reply, answer) = promise();
        self.status.tell(Status { container_id, reply });
        answer
    }

    /// See [`Containers`]. Empty if the containerizer has gone.
    pub async fn containers(&self) -> Vec<ContainerId> {
        self.containers.ask(Containers).await.unwrap_or_default()
    }

    /// See [`Recover`].
    pub fn recover(
        &self,
        containers: Vec<RecoveredContainer>,
        over: Vec<PathBuf>,
    ) -> Answer<Result<(), RecoverError>> {
        let (reply, answer) = promise();
        self.recover.tell(Recover { containers, over, reply });
        answer
    }
}
