//! `mesos execute`, also called `mesos-execute`: one command as a task (upstream: `cli/execute.cpp`).

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use frameworks::execute::{self, DEFAULT_RESOURCES, ExecuteOptions, REFUSED_FLAGS, What};
use mesos::settings::{Policy, ProtoJson, Unsupported};
use mesos::v1::framework_info::capability::Type as Capability;
use mesos::{Enum, MediaType, v1};

use super::run::{Masters, master};
use super::{Environment, client_node, run};
use crate::settings::{Call, Failure, own_user};
use crate::{logging, signals};

const COMMAND: &str = "execute";
/// So long nothing is said of masters that do not answer.
const SILENCE: Duration = Duration::from_secs(5);

mesos::settings! {
    /// What to execute.
    struct Settings for "mesos-execute" {
        "What to run" {
            /// A name for the task.
            name: Option<String>,
            /// The command.
            command: Option<String>,
            /// Whether the command is for a shell; otherwise it is the path of a program.
            shell: bool = true,
            /// Environment of the command, as a JSON object: {"NAME": "value"}.
            env: Option<serde_json::Value>,
            /// What the task may use.
            resources: String = DEFAULT_RESOURCES.to_owned(),
            /// The whole task as a TaskInfo in JSON, instead of all the above. It must have an agent_id, which is
            /// replaced: {"value": ""}.
            task: Option<ProtoJson<v1::TaskInfo>>,
        }
        "Where and how" {
            /// Where the masters are: host:port, zk://host1:port1,host2:port2/path,
            /// etcd[s]://host1:port1,host2:port2/path, or file:///path.
            master: Masters,
            /// The role to run in.
            role: String = "*".to_owned(),
            /// Whether the task outlives a restart of its agent.
            checkpoint: bool = false,
            /// Kill the task when it has run for so long.
            kill_after: Option<Duration>,
            /// How to speak to the master: protobuf or json.
            content_type: String = "protobuf".to_owned(),
            /// What the framework can do beyond the usual, as upstream names it, separated by commas: such as
            /// GPU_RESOURCES,REVOCABLE_RESOURCES.
            framework_capabilities: Option<String>,
            /// What runs the task's container: mesos is the only one.
            containerizer: String = "mesos".to_owned(),
            /// Whether the task is reported as unreachable, not lost, when its agent does not answer.
            partition_aware: bool = true,
        }
    }
}

/// Runs the task; fails unless it finished.
pub(crate) fn main(mut call: Call) -> Result<ExitCode, Failure> {
    forget_own_executor(&mut call.environment);
    let refused: Vec<Unsupported> = REFUSED_FLAGS
        .iter()
        .map(|(name, reason)| Unsupported { name, aliases: &[], policy: Policy::Refuse(reason) })
        .collect();
    let settings = match call.load::<Settings>(COMMAND, &refused)? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    let options = options(settings)?;
    logging::start_tool("WARNING");
    let awaited = format!(
        "mesos {COMMAND}: no master at {} has taken the framework yet; still waiting",
        options.master
    );
    let has_begun = Arc::<AtomicBool>::default();
    let out = Noted { out: stdout(), has_begun: has_begun.clone() };
    run(async {
        let node = client_node(COMMAND, &call.environment).await?;
        let running = execute::run(&node, options, out);
        let result = tokio::select! {
            biased;
            outcome = unless_silent(running, &has_begun, || complain!("{awaited}")) => match outcome {
                Ok(outcome) if outcome.state == v1::TaskState::TaskFinished => Ok(ExitCode::SUCCESS),
                Ok(_) => Ok(ExitCode::FAILURE),
                Err(error) => Err(Failure::of(COMMAND, error)),
            },
            () = signals::interrupted() => Err(Failure::of(
                COMMAND,
                "interrupted; if the task was launched, the master ends it (one that takes over just now does not: tear \
                 the framework down there)",
            )),
        };
        node.shutdown().await;
        result
    })
}

/// Notes whether anything was written: what is first written says that a master has taken the framework.
struct Noted<W> {
    out: W,
    has_begun: Arc<AtomicBool>,
}

impl<W: Write> Write for Noted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.has_begun.store(true, Relaxed);
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What comes of `running`. If it has not begun after [`SILENCE`], that is said, once: whoever waits sees otherwise nothing
/// while no master leads.
async fn unless_silent<T>(running: impl Future<Output = T>, has_begun: &AtomicBool, say: impl FnOnce()) -> T {
    let mut running = pin!(running);
    if let Ok(outcome) = tokio::time::timeout(SILENCE, running.as_mut()).await {
        return outcome;
    }
    if !has_begun.load(Relaxed) {
        say();
    }
    running.await
}

/// In a task, `MESOS_CHECKPOINT` is what an agent has told the task's executor. It says nothing of the task to run.
fn forget_own_executor(environment: &mut Environment) {
    if environment.contains_key("MESOS_EXECUTOR_ID") {
        environment.remove("MESOS_CHECKPOINT");
    }
}

fn options(settings: Settings) -> Result<ExecuteOptions, Failure> {
    let wrong = |text: &str| Failure::of(COMMAND, text);
    let environment = environment(settings.env)?;
    let what = match (settings.task, settings.name, settings.command) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            return Err(wrong("--task says everything: --name and --command cannot be given with it"));
        }
        (Some(task), None, None) => What::Task(Box::new(task.0)),
        (None, Some(name), Some(command)) => {
            What::Command { name, command, shell: settings.shell, environment, resources: settings.resources }
        }
        (None, None, _) => return Err(wrong("--name is missing: a name for the task")),
        (None, _, None) => return Err(wrong("--command is missing: what to run")),
    };
    let media = match settings.content_type.as_str() {
        "protobuf" => MediaType::Protobuf,
        "json" => MediaType::Json,
        other => return Err(wrong(&format!("bad --content_type '{other}': allowed are protobuf and json"))),
    };
    if settings.containerizer != "mesos" {
        return Err(wrong(&format!("bad --containerizer '{}': allowed is mesos", settings.containerizer)));
    }
    let capabilities = settings.framework_capabilities.as_deref().map_or(Ok(Vec::new()), capabilities)?;
    let base = ExecuteOptions::of(master(COMMAND, &settings.master)?, own_user()?, what);
    Ok(ExecuteOptions {
        role: settings.role,
        checkpoint: settings.checkpoint,
        kill_after: settings.kill_after,
        media,
        capabilities,
        partition_aware: settings.partition_aware,
        ..base
    })
}

/// `GPU_RESOURCES,MULTI_ROLE`
fn capabilities(text: &str) -> Result<Vec<Capability>, Failure> {
    let named = |name: &str| {
        Capability::from_name(name.trim()).ok_or_else(|| {
            Failure::of(
                COMMAND,
                format!("bad --framework_capabilities: there is no capability '{}'", name.trim()),
            )
        })
    };
    text.split(',').map(named).collect()
}

/// An object whose values are text, numbers or booleans.
fn environment(value: Option<serde_json::Value>) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |what: &str| Failure::of(COMMAND, format!("bad --env: {what}"));
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let object = value.as_object().ok_or_else(|| wrong("expected a JSON object"))?;
    object
        .iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => Ok((name.clone(), text.clone())),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => {
                Ok((name.clone(), value.to_string()))
            }
            _ => Err(wrong(&format!("'{name}' must be text"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[test]
    fn that_no_master_answers_is_said_once_after_a_while() {
        libprocess::testing::run(async {
            for (begins, ends, told) in [(None, 4, 0), (Some(4), 60, 0), (Some(6), 60, 1), (None, 60, 1)] {
                let has_begun = Arc::<AtomicBool>::default();
                let mut out = Noted { out: Vec::new(), has_begun: has_begun.clone() };
                let running = async move {
                    if let Some(begins) = begins {
                        sleep(Duration::from_secs(begins)).await;
                        writeln!(out, "Subscribed").unwrap();
                    }
                    sleep(Duration::from_secs(ends)).await;
                    out.out.len()
                };
                let mut said = 0;
                let written = unless_silent(running, &has_begun, || said += 1).await;
                assert_eq!((said, written > 0), (told, begins.is_some()), "{begins:?} {ends}");
            }
        });
    }

    #[test]
    fn what_an_agent_has_told_an_executor_is_no_setting() {
        let variable = |name: &str| (name.to_owned(), "1".to_owned());
        let mut environment = Environment::from([variable("MESOS_CHECKPOINT")]);
        forget_own_executor(&mut environment);
        assert!(environment.contains_key("MESOS_CHECKPOINT"), "somebody has set it");
        environment.extend([variable("MESOS_EXECUTOR_ID")]);
        forget_own_executor(&mut environment);
        assert!(!environment.contains_key("MESOS_CHECKPOINT"));
    }
}
