//! `mesos execute`: runs one command as a task, prints what becomes of it, and says where its output
//! can be read (upstream: `src/cli/execute.cpp`).
//!
//! It owns the one task. Lines go to the sink that it is given. The table of upstream's flags that
//! are refused is [`REFUSED_FLAGS`].

use std::{collections::BTreeMap, io::Write, time::Duration};

use election::MasterUrl;
use libprocess::Node;
use mesos::{
    FrameworkId, MediaType, ResourceError, Resources,
    tasks::is_terminal,
    text::{in_url, printable},
    v1,
};
use thiserror::Error;

use crate::{
    ledger::ASK_EVERY,
    scheduler::{self, Driver, Scheduler},
};

/// Flags of upstream's `mesos-execute` that are refused, each with the reason.
pub const REFUSED_FLAGS: &[(&str, &str)] = &[
    ("task_group", "task groups need the default executor, which is not there yet"),
    ("hadoop", "packages are not copied into HDFS"),
    ("hdfs", "packages are not copied into HDFS"),
    ("package", "packages are not copied into HDFS"),
    ("overwrite", "packages are not copied into HDFS"),
    ("appc_image", "container images are not supported yet"),
    ("docker_image", "container images are not supported yet"),
    ("effective_capabilities", "Linux capabilities are not supported yet"),
    ("bounding_capabilities", "Linux capabilities are not supported yet"),
    ("rlimits", "resource limits of processes are not supported yet"),
    ("networks", "container networks are not supported yet"),
    ("volumes", "volumes are not supported yet"),
    ("tty", "terminals are not supported yet"),
    ("principal", "frameworks are not authenticated yet"),
    ("secret", "frameworks are not authenticated yet"),
];

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    /// `--master`.
    pub master: MasterUrl,
    /// The user that the command runs as: who runs us.
    pub user: String,
    /// What is to be run.
    pub what: What,
    /// `--role`; `*` unless set.
    pub role: String,
    /// `--checkpoint`.
    pub checkpoint: bool,
    /// `--kill_after`: the task is killed so long after it has begun to run.
    pub kill_after: Option<Duration>,
    /// `--content_type`.
    pub media: MediaType,
    /// `--framework_capabilities`, beyond those that are always there.
    pub capabilities: Vec<v1::framework_info::capability::Type>,
    /// `--partition_aware`.
    pub partition_aware: bool,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub enum What {
    /// `--name`, `--command` and the like.
    Command {
        /// `--name`: the task's name and id.
        name: String,
        /// `--command`.
        command: String,
        /// `--shell`: the command is a shell's, not a program's name.
        shell: bool,
        /// `--env`.
        environment: BTreeMap<String, String>,
        /// `--resources`; upstream's default is `cpus:1;mem:128`.
        resources: String,
    },
    /// `--task`: all of it; its agent is filled in.
    Task(Box<v1::TaskInfo>),
}

/// `--resources` when it is not given.
pub const DEFAULT_RESOURCES: &str = "cpus:1;mem:128";

impl ExecuteOptions {
    /// Upstream's defaults, for a shell command.
    pub fn new(
        master: MasterUrl,
        user: impl Into<String>,
        name: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        let what = What::Command {
            name: name.into(),
            command: command.into(),
            shell: true,
            environment: BTreeMap::new(),
            resources: DEFAULT_RESOURCES.into(),
        };
        Self::of(master, user, what)
    }

    /// Upstream's defaults, for anything.
    pub fn of(master: MasterUrl, user: impl Into<String>, what: What) -> Self {
        ExecuteOptions {
            master,
            user: user.into(),
            what,
            role: "*".into(),
            checkpoint: false,
            kill_after: None,
            media: MediaType::Protobuf,
            capabilities: Vec::new(),
            partition_aware: true,
        }
    }

    fn framework(&self) -> v1::FrameworkInfo {
        use v1::framework_info::capability::Type;
        let mut types = vec![Type::MultiRole, Type::ReservationRefinement, Type::TaskKillingState];
        types.extend(self.partition_aware.then_some(Type::PartitionAware));
        types.extend(self.capabilities.iter().filter(|wanted| **wanted != Type::Unknown));
        types.sort();
        types.dedup();
        v1::FrameworkInfo {
            user: self.user.clone(),
            name: "mesos-execute instance".into(),
            roles: vec![self.role.clone()],
            checkpoint: Some(self.checkpoint),
            capabilities: types
                .into_iter()
                .map(|r#type| v1::framework_info::Capability { r#type: Some(r#type.into()) })
                .collect(),
            ..Default::default()
        }
    }

    fn task(&self) -> Result<v1::TaskInfo, ExecuteError> {
        let (name, command, shell, environment, resources) = match &self.what {
            What::Task(task) => return Ok((**task).clone()),
            What::Command { name, command, shell, environment, resources } => {
                (name, command, shell, environment, resources)
            }
        };
        let bad = |source| ExecuteError::Resources { text: resources.clone(), source };
        let variables = environment.iter().map(|(name, value)| v1::environment::Variable {
            name: name.clone(),
            value: Some(value.clone()),
            ..Default::default()
        });
        let environment =
            (!environment.is_empty()).then(|| v1::Environment { variables: variables.collect() });
        Ok(v1::TaskInfo {
            name: name.clone(),
            task_id: v1::TaskId { value: name.clone() },
            resources: Resources::parse(resources, "*").map_err(bad)?.to_protos(),
            command: Some(v1::CommandInfo {
                shell: Some(*shell),
                value: Some(command.clone()),
                environment,
                ..Default::default()
            }),
            ..Default::default()
        })
    }
}

/// How the task ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteOutcome {
    /// The last state.
    pub state: v1::TaskState,
    /// Where the sandbox can be read, if the task was launched.
    pub sandbox: Option<Sandbox>,
}

impl ExecuteOutcome {
    /// The exit status for the command: 0 if the task finished, else 1.
    pub fn exit_status(&self) -> u8 {
        u8::from(self.state != v1::TaskState::TaskFinished)
    }
}

/// Why nothing was run.
#[derive(Debug, Error, PartialEq)]
pub enum ExecuteError {
    /// `--resources` cannot be read.
    #[error("cannot read the resources '{text}': {source}")]
    Resources {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: ResourceError,
    },
    /// The scheduler was stopped.
    #[error(transparent)]
    Scheduler(#[from] scheduler::Error),
    /// The scheduler stopped without a last state.
    #[error("the task's end was not seen")]
    Unknown,
}

/// Where a task's sandbox can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The agent's `host:port`.
    pub agent: String,
    /// How it is spoken to: `http` or `https`.
    pub scheme: String,
    /// The virtual path, as `/files/browse` of the agent understands it.
    pub path: String,
}

impl Sandbox {
    /// The command's executor has the task's id (upstream: `Slave::getExecutorInfo`); the path is
    /// `paths::getExecutorVirtualPath`'s.
    fn of(offer: &v1::Offer, framework: &FrameworkId, task: &v1::TaskInfo) -> Option<Sandbox> {
        let executor =
            task.executor.as_ref().map_or(&task.task_id.value, |executor| &executor.executor_id.value);
        let address = &offer.url.as_ref()?.address;
        let host = address.ip.as_ref().or(address.hostname.as_ref())?;
        Some(Sandbox {
            agent: format!("{}:{}", in_url(host), address.port),
            scheme: offer.url.as_ref()?.scheme.clone(),
            path: format!("/frameworks/{framework}/executors/{executor}/runs/latest"),
        })
    }

    /// A URL that answers with a whole file of the sandbox.
    pub fn download_url(&self, file: &str) -> String {
        let path = escape(&format!("{}/{file}", self.path));
        format!("{}://{}/files/download?path={path}", self.scheme, self.agent)
    }
}

/// For a query: everything but letters, digits and `-_.~/` is escaped.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// Runs the task, and prints each update to `out`.
///
/// # Errors
/// When the options are impossible, or the master refuses.
pub async fn run(
    node: &Node,
    options: ExecuteOptions,
    out: impl Write + Send + 'static,
) -> Result<ExecuteOutcome, ExecuteError> {
    let execute = Execute::new(&options, out)?;
    let framework = options.framework();
    let mut library = scheduler::Options::new(options.master, framework);
    library.media = options.media;
    library.teardown_on_drop = true;
    let execute = scheduler::run(node, library, execute).await?;
    let state = execute.last.ok_or(ExecuteError::Unknown)?;
    Ok(ExecuteOutcome { state, sandbox: execute.sandbox })
}

/// Launches one task, and watches it to its end.
struct Execute<W> {
    task: v1::TaskInfo,
    role: String,
    kill_after: Option<Duration>,
    connected: bool,
    /// It was said that the offers so far were too small.
    starved: bool,
    launched: bool,
    /// The time until the kill runs.
    killing: bool,
    /// That time is over: the kill is repeated until the task ends, since the one that was sent may be lost.
    overdue: bool,
    sandbox: Option<Sandbox>,
    /// The newest state.
    state: Option<v1::TaskState>,
    last: Option<v1::TaskState>,
    out: W,
}

/// Nothing more is wanted from an offer that does not fit for so long (upstream's default filter).
const REFUSE: Duration = Duration::from_secs(5);

impl<W: Write + Send + 'static> Scheduler for Execute<W> {
    fn subscribed(&mut self, driver: &mut Driver<Self>, framework: &FrameworkId) {
        self.say(format_args!("Subscribed with ID {framework}"));
        self.connected = true;
        if self.launched {
            self.ask(driver);
        }
    }

    fn disconnected(&mut self, _: &mut Driver<Self>) {
        self.connected = false;
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        for offer in offers {
            match self.place(&offer) {
                Some(task) if !self.launched => self.launch(driver, &offer, task),
                _ => driver.decline([&offer.id], REFUSE),
            }
        }
        if !self.launched && !self.starved {
            self.starved = true;
            let needed = Resources::try_from_protos(&self.task.resources).unwrap_or_default();
            self.say(format_args!("No offer so far is large enough: the task needs {needed}"));
        }
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        if status.task_id != self.task.task_id {
            return;
        }
        let state = status.state();
        let asked = status.reason() == v1::task_status::Reason::Reconciliation;
        if self.state.replace(state) != Some(state) || !asked {
            self.tell(&status);
        }
        if state == v1::TaskState::TaskRunning && !self.killing {
            self.kill_later(driver);
        }
        if is_terminal(state) && self.last.is_none() {
            self.last = Some(state);
            // What was refused, or did not reach its agent, has none.
            let began = !matches!(state, v1::TaskState::TaskError | v1::TaskState::TaskDropped);
            if let Some(sandbox) = self.sandbox.clone().filter(|_| began) {
                self.say(format_args!("Sandbox: {} on {}", sandbox.path, sandbox.agent));
                self.say(format_args!("  stdout: {}", sandbox.download_url("stdout")));
                self.say(format_args!("  stderr: {}", sandbox.download_url("stderr")));
            }
            driver.teardown();
        }
    }

    fn error(&mut self, _: &mut Driver<Self>, message: &str) {
        self.say(format_args!("Received an ERROR event: {}", printable(message)));
    }
}

impl<W: Write + Send + 'static> Execute<W> {
    fn new(options: &ExecuteOptions, out: W) -> Result<Self, ExecuteError> {
        Ok(Execute {
            task: options.task()?,
            role: options.role.clone(),
            kill_after: options.kill_after,
            connected: false,
            starved: false,
            launched: false,
            killing: false,
            overdue: false,
            sandbox: None,
            state: None,
            last: None,
            out,
        })
    }

    /// Lines are for people; a closed pipe is no reason to leave the task alone.
    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    /// The resources to use from an offer: first those that are reserved to our role.
    fn place(&self, offer: &v1::Offer) -> Option<Vec<v1::Resource>> {
        let offered = Resources::try_from_protos(&offer.resources).ok()?.unallocated();
        let mut wanted = Resources::try_from_protos(&self.task.resources).ok()?;
        if self.role != "*" {
            let reservation = v1::resource::ReservationInfo {
                r#type: Some(v1::resource::reservation_info::Type::Static.into()),
                role: Some(self.role.clone()),
                ..Default::default()
            };
            wanted = wanted.push_reservation(&reservation).ok()?;
        }
        Some(offered.find(&wanted)?.to_protos())
    }

    fn launch(&mut self, driver: &mut Driver<Self>, offer: &v1::Offer, resources: Vec<v1::Resource>) {
        self.launched = true;
        self.task.agent_id = offer.agent_id.clone();
        let mut task = self.task.clone();
        task.resources = resources;
        if let Some(framework) = driver.framework() {
            self.sandbox = Sandbox::of(offer, framework, &task);
        }
        self.say(format_args!("Submitted task '{}' to agent '{}'", task.name, offer.agent_id.value));
        driver.launch(&offer.id, vec![task], REFUSE);
        driver.suppress(&[]);
        driver.after(ASK_EVERY, Self::ask_again);
    }

    /// What became of the task? Did the kill reach it?
    fn ask(&mut self, driver: &mut Driver<Self>) {
        driver.reconcile([(self.task.task_id.clone(), Some(self.task.agent_id.clone()))]);
        if self.overdue {
            self.kill(driver);
        }
    }

    /// See [`ASK_EVERY`].
    fn ask_again(&mut self, driver: &mut Driver<Self>) {
        if self.connected {
            self.ask(driver);
        }
        driver.after(ASK_EVERY, Self::ask_again);
    }

    fn tell(&mut self, status: &v1::TaskStatus) {
        let (state, id) = (status.state().as_str_name(), &status.task_id.value);
        self.say(format_args!("Received status update {state} for task '{id}'"));
        if let Some(message) = &status.message {
            self.say(format_args!("  message: '{}'", printable(message)));
        }
        if status.source.is_some() {
            self.say(format_args!("  source: {}", status.source().as_str_name()));
        }
        if status.reason.is_some() {
            self.say(format_args!("  reason: {}", status.reason().as_str_name()));
        }
        if let Some(healthy) = status.healthy {
            self.say(format_args!("  healthy?: {}", u8::from(healthy)));
        }
    }

    fn kill_later(&mut self, driver: &mut Driver<Self>) {
        let Some(delay) = self.kill_after else { return };
        self.killing = true;
        driver.after(delay, |execute, driver| {
            execute.overdue = true;
            if execute.connected {
                execute.kill(driver);
            }
        });
    }

    fn kill(&mut self, driver: &mut Driver<Self>) {
        let (task, agent) = (self.task.task_id.clone(), self.task.agent_id.clone());
        self.say(format_args!("Asked to kill task '{}' on agent '{}'", task.value, agent.value));
        driver.kill(&task, Some(&agent), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos::v1::{TaskState, scheduler::call::Type, task_status::Reason};

    fn launched() -> (Execute<Vec<u8>>, Driver<Execute<Vec<u8>>>) {
        let options = ExecuteOptions::new("127.0.0.1:5050".parse().unwrap(), "nobody", "t", "true");
        let mut execute = Execute::new(&options, Vec::new()).unwrap();
        let mut driver = Driver::detached(Some("f".into()));
        execute.subscribed(&mut driver, &"f".into());
        let offer = v1::Offer {
            resources: Resources::parse(DEFAULT_RESOURCES, "*").unwrap().to_protos(),
            ..Default::default()
        };
        execute.offers(&mut driver, vec![offer]);
        assert_eq!(types(&driver), [Type::Accept, Type::Suppress]);
        (execute, driver)
    }

    fn types(driver: &Driver<Execute<Vec<u8>>>) -> Vec<Type> {
        driver.calls().map(|call| call.r#type()).collect()
    }

    fn status(state: TaskState, reason: Option<Reason>) -> v1::TaskStatus {
        let reason = reason.map(i32::from);
        v1::TaskStatus { reason, ..crate::executor::status(&v1::TaskId { value: "t".into() }, state) }
    }

    #[test]
    fn the_task_is_asked_for_again_while_there_is_a_master() {
        let (mut execute, mut driver) = launched();
        execute.disconnected(&mut driver);
        execute.ask_again(&mut driver);
        assert_eq!(types(&driver).len(), 2);
        execute.subscribed(&mut driver, &"f".into());
        execute.ask_again(&mut driver);
        assert_eq!(types(&driver)[2..], [Type::Reconcile, Type::Reconcile]);
        execute.update(&mut driver, status(TaskState::TaskGone, Some(Reason::Reconciliation)));
        assert_eq!(execute.last, Some(TaskState::TaskGone));
        assert!(driver.is_ending());
    }

    #[test]
    fn an_answer_that_says_nothing_new_is_not_shown() {
        let (mut execute, mut driver) = launched();
        for reason in [None, Some(Reason::Reconciliation), None] {
            execute.update(&mut driver, status(TaskState::TaskRunning, reason));
        }
        let text = String::from_utf8(execute.out).unwrap();
        assert_eq!(text.matches("TASK_RUNNING").count(), 2, "{text}");
    }

    /// An executor may say anything.
    #[test]
    fn a_message_is_one_line_and_commands_no_terminal() {
        let (mut execute, mut driver) = launched();
        let message = Some("\x1b[2J'\nReceived status update TASK_FINISHED for task 't'".to_owned());
        execute.update(&mut driver, v1::TaskStatus { message, ..status(TaskState::TaskRunning, None) });
        let text = String::from_utf8(execute.out).unwrap();
        let shown = "  message: '\\u{1b}[2J'\\nReceived status update TASK_FINISHED for task 't''\n";
        assert!(text.contains(shown), "{text}");
    }

    #[test]
    fn a_kill_that_is_due_is_repeated() {
        let (mut execute, mut driver) = launched();
        execute.disconnected(&mut driver);
        execute.overdue = true;
        execute.subscribed(&mut driver, &"f".into());
        assert_eq!(types(&driver)[2..], [Type::Reconcile, Type::Kill]);
        execute.ask_again(&mut driver);
        assert_eq!(types(&driver)[4..], [Type::Reconcile, Type::Kill]);
    }

    #[test]
    fn that_all_offers_are_too_small_is_said_once() {
        let options = ExecuteOptions::new("127.0.0.1:5050".parse().unwrap(), "nobody", "t", "true");
        let mut execute = Execute::new(&options, Vec::new()).unwrap();
        let mut driver = Driver::detached(Some("f".into()));
        for _ in 0..2 {
            execute.offers(&mut driver, vec![v1::Offer::default()]);
        }
        assert_eq!(types(&driver), [Type::Decline, Type::Decline]);
        let text = String::from_utf8(execute.out).unwrap();
        assert_eq!(text, "No offer so far is large enough: the task needs cpus:1; mem:128\n");
    }

    #[test]
    fn a_task_that_never_began_has_no_sandbox_to_show() {
        for (state, shown) in [(TaskState::TaskError, false), (TaskState::TaskFailed, true)] {
            let (mut execute, mut driver) = launched();
            execute.sandbox = Some(Sandbox { agent: "a:1".into(), scheme: "http".into(), path: "/p".into() });
            execute.update(&mut driver, status(state, None));
            let text = String::from_utf8(execute.out).unwrap();
            assert_eq!(text.contains("Sandbox: /p on a:1"), shown, "{text}");
            let output = "\n  stderr: http://a:1/files/download?path=/p/stderr\n";
            assert_eq!(text.contains(output), shown, "{text}");
        }
    }

    #[test]
    fn a_sandbox_is_read_at_the_address_of_its_agent() {
        for (ip, url) in [
            (
                "10.0.0.1",
                "http://10.0.0.1:5051/files/download?path=/frameworks/f/executors/a%26b/runs/latest/out",
            ),
            ("::1", "http://[::1]:5051/files/download?path=/frameworks/f/executors/a%26b/runs/latest/out"),
        ] {
            let address = v1::Address { ip: Some(ip.to_owned()), port: 5051, ..Default::default() };
            let url_of_agent = v1::Url { scheme: "http".to_owned(), address, ..Default::default() };
            let offer = v1::Offer { url: Some(url_of_agent), ..Default::default() };
            let task_id = v1::TaskId { value: "a&b".to_owned() };
            let task = v1::TaskInfo { task_id, ..Default::default() };
            let sandbox = Sandbox::of(&offer, &FrameworkId::new("f"), &task).unwrap();
            assert_eq!(sandbox.download_url("out"), url);
        }
    }
}
