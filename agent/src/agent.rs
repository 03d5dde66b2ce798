//! The Agent, `slave(1)`: frameworks, executors and tasks on this host.
//!
//! | receives | from | in |
//! |---|---|---|
//! | `LeaderChanged` | the Detector | `registration/mod.rs` |
//! | `SlaveRegisteredMessage`, `SlaveReregisteredMessage`, `ShutdownMessage` | the master | `registration/mod.rs` |
//! | `PingSlaveMessage` | the observer that the master has for this agent | `registration/mod.rs` |
//! | a link that breaks: the connection to the master | its node | `agent.rs` notes it, `registration/mod.rs` acts on it |
//! | a link that breaks: StatusUpdateManager has ended | its node | `agent.rs` ends |
//! | `Register`, `PingOverdue` | its own clock | `registration/mod.rs` |
//! | `RunTaskMessage`, `RunTaskGroupMessage`; `Vacated` | the master; StatusUpdateManager | `tasks/run.rs` |
//! | `KillTaskMessage` | the master | `tasks/kill.rs` |
//! | `StatusUpdateAcknowledgementMessage`; `Forward`, `Stored`, `Acknowledged`, `StorageFailed` | the master; StatusUpdateManager | `tasks/update.rs` |
//! | `DrainSlaveMessage` | the master | `draining.rs` |
//! | `ApplyOperationMessage`, `AcknowledgeOperationStatusMessage`, `ReconcileOperationsMessage`; `RetryOperations` | the master; its own clock | `operations/` |
//! | `UpdateFrameworkMessage`, `ShutdownFrameworkMessage` | the master | `executors/frameworks.rs` |
//! | `FrameworkToExecutorMessage` | the master; schedulers on libmesos, directly | `executors/frameworks.rs` |
//! | `Leave` | the operator (SIGUSR1) | `executors/shutdown.rs` |
//! | `ShutdownExecutorMessage`; `ShutdownOverdue`, `RegistrationOverdue` | the master; its own clock | `executors/shutdown.rs`, `executors/launch.rs` |
//! | `POST /api/v1/executor`, [`ExecutorCall`] | executors | `executors/api.rs`, `executors/subscribe.rs` |
//! | `Heartbeat` | its own clock | `executors/subscribe.rs` |
//! | `ReregistrationOverdue` | its own clock | `recovery/recover.rs` |
//! | `GET /state`, `/flags`, `/health`, `/containers`, `/monitor/statistics`, `/containerizer/debug`; `POST /api/v1` | anybody | `http/` |
//! | `RefreshGauges` | its own clock | `metrics.rs` |
//! | `CheckDisk` | its own clock | `housekeeping.rs` |
//!
//! It does not know how containers are made (`containerizer`), how updates are retried
//! (`status_updates`), or what other agents do. Upstream: `slave/slave.cpp`.
//!
//! [`ExecutorCall`]: crate::executors::api::ExecutorCall

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use libprocess::{Address, Context, Exit, Install, Pid, Process, Promise, Recipient};
use mesos::v1::AgentInfo;
use mesos::{AgentId, ExecutorId, FrameworkId, Resources, internal};
use uuid::Uuid;

use crate::containerizer::Containerizer;
use crate::draining::Draining;
use crate::executors::command::CommandExecutor;
use crate::executors::executor::{Executor, Framework};
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::recovery::paths::Paths;
use crate::registration::Registration;
use crate::settings::Settings;
use crate::status_updates::manager::{Initialize, Owner, StatusUpdateManager};

/// How many frameworks that are over `/state` shows (upstream: `MAX_COMPLETED_FRAMEWORKS`).
pub const MAX_COMPLETED_FRAMEWORKS: usize = 50;

/// Where the agent is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reads its checkpoints and waits for its executors.
    Recovering,
    /// Has no master that knows it.
    Disconnected,
    /// Is registered.
    Running,
    /// Stops once its executors have.
    Terminating,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Recovering => "RECOVERING",
            Phase::Disconnected => "DISCONNECTED",
            Phase::Running => "RUNNING",
            Phase::Terminating => "TERMINATING",
        })
    }
}

/// Why an agent has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It could not go on; a line for the operator.
    Failed(String),
}

/// The actors that an agent works with.
pub struct Colleagues {
    /// Who finds the leading master.
    pub detector: Recipient<election::WatchLeader>,
    /// Who runs containers.
    pub containerizer: Containerizer,
    /// Who delivers status updates.
    pub updates: Address<StatusUpdateManager>,
    /// Who deletes what is no longer needed; nobody in some tests.
    pub gc: Option<crate::housekeeping::Gc>,
    /// Who shows sandboxes; nobody in some tests.
    pub files: Option<Address<libprocess::files::Files>>,
}

/// See the module.
pub struct Agent {
    pub(crate) settings: Arc<Settings>,
    pub(crate) paths: Paths,
    /// Where what must survive is kept.
    pub(crate) disk: Arc<dyn libprocess::disk::Disk>,
    pub(crate) phase: Phase,
    /// Whether executors may subscribe: not before the containerizer has recovered.
    pub(crate) executors_welcome: bool,
    /// It was told to leave before that: it does once it knows what it has to end.
    pub(crate) leaves: bool,
    /// What it registers with.
    pub(crate) info: AgentInfo,
    /// Given by a master, once and for all.
    pub(crate) id: Option<AgentId>,
    /// All that it has, with what was reserved and the volumes that were made at run time. Nobody is allocated it.
    pub(crate) total: Resources,
    /// Changes whenever the agent's resources do other than by the master's order, and whenever a master begins to be
    /// told what runs here: what it sends for earlier resources has missed that.
    pub(crate) resource_version: Uuid,
    pub(crate) registration: Registration,
    /// Set while the master has the tasks ended.
    pub(crate) draining: Option<Draining>,
    /// What was made of its resources.
    pub(crate) operations: Operations,
    pub(crate) frameworks: BTreeMap<FrameworkId, Framework>,
    /// Frameworks that are over, the oldest first; at most [`MAX_COMPLETED_FRAMEWORKS`].
    pub(crate) completed: VecDeque<Framework>,
    pub(crate) colleagues: Colleagues,
    pub(crate) command_executor: Option<CommandExecutor>,
    pub(crate) metrics: Metrics,
    pub(crate) started_at: SystemTime,
    /// What every executor finds in its environment.
    pub(crate) executor_variables: BTreeMap<String, String>,
    /// The address that executors' own servers should use.
    pub(crate) libprocess_ip: Option<String>,
    ended: Option<Promise<Ended>>,
    outcome: Ended,
}

/// What an agent is made of.
pub struct Parts {
    /// Its settings.
    pub settings: Arc<Settings>,
    /// Its description, without an id.
    pub info: AgentInfo,
    /// Its resources.
    pub total: Resources,
    /// The actors it works with.
    pub colleagues: Colleagues,
    /// How to start command executors; `None` if there is no way.
    pub command_executor: Option<CommandExecutor>,
    /// What every executor finds in its environment.
    pub executor_variables: BTreeMap<String, String>,
    /// `LIBPROCESS_IP` of executors.
    pub libprocess_ip: Option<String>,
}

impl Agent {
    /// An agent that begins to recover as soon as it is spawned. The promise is set when it ends.
    pub fn new(parts: Parts, node: &libprocess::Node, ended: Promise<Ended>) -> Agent {
        let Parts { settings, info, total, colleagues, command_executor, executor_variables, libprocess_ip } =
            parts;
        Agent {
            paths: Paths::new(&settings.work_dir),
            disk: node.disk().clone(),
            phase: Phase::Recovering,
            executors_welcome: false,
            leaves: false,
            info,
            id: None,
            total,
            resource_version: node.random().uuid(),
            registration: Registration::new(settings.registration_backoff_factor),
            draining: None,
            operations: Operations::default(),
            frameworks: BTreeMap::new(),
            completed: VecDeque::new(),
            colleagues,
            command_executor,
            metrics: Metrics::new(node),
            started_at: node.now(),
            executor_variables,
            libprocess_ip,
            ended: Some(ended),
            outcome: Ended::Stopped,
            settings,
        }
    }

    /// Ends the agent with a line for the operator: going on would break a promise.
    pub(crate) fn fail(&mut self, reason: impl Into<String>, ctx: &mut Context<Self>) {
        let reason = reason.into();
        tracing::error!(%reason, "the agent stops");
        if self.outcome == Ended::Stopped {
            self.outcome = Ended::Failed(reason);
        }
        ctx.terminate();
    }

    /// The id, or an empty one before the first registration (nothing that needs an id happens then).
    pub(crate) fn agent_id(&self) -> AgentId {
        self.id.clone().unwrap_or_else(|| AgentId::from(""))
    }

    /// The leading master, if messages may be sent to it.
    pub(crate) fn master(&self) -> Option<&Pid> {
        self.registration.master.as_ref()
    }

    /// Whether a message comes from the master that this agent follows.
    pub(crate) fn is_from_master(&self, from: &Pid, what: &str) -> bool {
        let expected = self.master() == Some(from);
        if !expected {
            tracing::warn!(%from, what, "ignoring a message that is not from the master this agent follows");
        }
        expected
    }

    pub(crate) fn executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> Option<&mut Executor> {
        self.frameworks.get_mut(framework)?.executors.get_mut(executor)
    }

    /// The run that an executor's directories are named after.
    pub(crate) fn run_of(&self, framework: &FrameworkId, executor: &Executor) -> crate::recovery::paths::Run {
        crate::recovery::paths::Run {
            agent: self.agent_id(),
            framework: framework.clone(),
            executor: executor.id.clone(),
            container: executor.container.clone(),
        }
    }
}

impl Process for Agent {
    const NAME: &'static str = "slave";

    fn install(install: &mut Install<Self>) {
        install.message::<internal::SlaveRegisteredMessage>();
        install.message::<internal::SlaveReregisteredMessage>();
        install.message::<internal::PingSlaveMessage>();
        install.message::<internal::ShutdownMessage>();
        install.message::<internal::RunTaskMessage>();
        install.message::<internal::RunTaskGroupMessage>();
        install.message::<internal::KillTaskMessage>();
        install.message::<internal::DrainSlaveMessage>();
        install.message::<internal::ApplyOperationMessage>();
        install.message::<internal::AcknowledgeOperationStatusMessage>();
        install.message::<internal::ReconcileOperationsMessage>();
        install.message::<internal::ShutdownExecutorMessage>();
        install.message::<internal::ShutdownFrameworkMessage>();
        install.message::<internal::FrameworkToExecutorMessage>();
        install.message::<internal::UpdateFrameworkMessage>();
        install.message::<internal::StatusUpdateAcknowledgementMessage>();
        crate::http::install(install);
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        let me = ctx.address();
        ctx.link(self.colleagues.updates.pid());
        self.colleagues.updates.tell(Initialize(Owner {
            forward: me.recipient(),
            stored: me.recipient(),
            vacated: me.recipient(),
            acknowledged: me.recipient(),
            failed: me.recipient(),
        }));
        self.begin_recovery(ctx);
        self.start_heartbeats(ctx);
        self.start_disk_watch(ctx);
    }

    fn stopping(&mut self, _: &Exit, _: &mut Context<Self>) {
        if let Some(ended) = self.ended.take() {
            ended.set(self.outcome.clone());
        }
    }

    fn exited(&mut self, pid: &Pid, ctx: &mut Context<Self>) {
        if pid == self.colleagues.updates.pid() {
            // No update would be promised, or delivered, any more. The next agent finds those that were promised.
            self.fail(
                "the actor that delivers status updates has ended; start the agent again: nothing is lost",
                ctx,
            );
        } else if self.master() == Some(pid) {
            tracing::warn!(%pid, "the master has disconnected; waiting for a new one, or for its ping");
            self.registration.broken = true;
        }
    }
}
