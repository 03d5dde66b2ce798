//! What an agent says that comes back, made ready where it is decoded.
//!
//! All agents come back to a new leader at once, each with all that runs on it. What can be done of that without the
//! master's books is done by the thread of the agent's connection, or beside it if it is much: resources are brought into
//! the form that the master works with, everything is checked, and tasks are made of their descriptions. (Upstream has all
//! but the decoding done by the master's process.)

use std::collections::BTreeMap;
use std::sync::Arc;

use libprocess::{DecodeError, Encoding, WireMessage};
use mesos::capabilities::AgentCapabilities;
use mesos::internal::{ReregisterSlaveMessage, archive};
use mesos::resources::CarriesResources;
use mesos::tasks::only_role;
use mesos::{resources, v1};

use crate::cluster::{AgentResources, Task};
use crate::validation::{self, Checked, Invalid};

/// A [`ReregisterSlaveMessage`] that was made ready.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) said: Said,
    /// What the agent has.
    pub(crate) resources: Result<AgentResources, Invalid>,
    /// Whether everything in it belongs together, and the agent is not too old.
    pub(crate) validity: Checked,
}

/// What the agent says.
#[derive(Debug)]
pub(crate) struct Said {
    /// Without what follows.
    pub(crate) message: ReregisterSlaveMessage,
    pub(crate) tasks: Vec<Arc<Task>>,
    pub(crate) completed: Vec<Completed>,
}

/// A framework that is over on the agent.
#[derive(Debug)]
pub(crate) struct Completed {
    /// Without its tasks.
    pub(crate) framework: archive::Framework,
    pub(crate) tasks: Vec<Arc<Task>>,
}

libprocess::messages! { Report; }

impl Report {
    /// Makes a report ready.
    pub(crate) fn of(mut message: ReregisterSlaveMessage) -> Self {
        upgrade(&mut message);
        let resources = validation::agent::resources(&message.slave, &message.checkpointed_resources);
        let validity = validate(&message);
        allocate_to_only_roles(&mut message);
        let tasks = ready(std::mem::take(&mut message.tasks));
        let completed = std::mem::take(&mut message.completed_frameworks);
        let completed = completed.into_iter().map(Completed::of).collect();
        Self { said: Said { message, tasks, completed }, resources, validity }
    }
}

/// Tasks as they enter the books. Those whose resources are not valid are left out: then the report as a whole is not.
fn ready(tasks: Vec<v1::Task>) -> Vec<Arc<Task>> {
    tasks.into_iter().filter_map(|task| Task::reported(task).ok()).map(Arc::new).collect()
}

fn validate(message: &ReregisterSlaveMessage) -> Checked {
    validation::agent::validate_reregistration(message)?;
    validation::agent::validate_version(message.version())
}

/// All resources in the form that the master works with.
fn upgrade(message: &mut ReregisterSlaveMessage) {
    resources::upgrade_all(&mut message.slave.resources);
    resources::upgrade_all(&mut message.checkpointed_resources);
    for executor in &mut message.executor_infos {
        resources::upgrade_all(&mut executor.resources);
    }
    let archived = message.completed_frameworks.iter_mut().flat_map(|framework| &mut framework.tasks);
    for task in message.tasks.iter_mut().chain(archived) {
        resources::upgrade_all(&mut task.resources);
    }
}

/// An agent without MULTI_ROLE does not keep which role resources were allocated to. It was the only one that the framework
/// had then, which the agent says; it may have others by now.
fn allocate_to_only_roles(message: &mut ReregisterSlaveMessage) {
    let ReregisterSlaveMessage { agent_capabilities, frameworks, tasks, executor_infos, .. } = message;
    if AgentCapabilities::from_protos(agent_capabilities).multi_role {
        return;
    }
    let role_of = |framework: &v1::FrameworkInfo| Some((framework.id.clone()?.value, only_role(framework)?));
    let roles: BTreeMap<String, String> = frameworks.iter().filter_map(role_of).collect();
    for task in tasks {
        if let Some(role) = roles.get(&task.framework_id.value) {
            task.inject_allocation(role);
        }
    }
    for executor in executor_infos {
        if let Some(role) = executor.framework_id.as_ref().and_then(|id| roles.get(&id.value)) {
            executor.inject_allocation(role);
        }
    }
}

impl Completed {
    fn of(mut framework: archive::Framework) -> Self {
        let tasks = ready(std::mem::take(&mut framework.tasks));
        Self { framework, tasks }
    }
}

impl Said {
    /// Whether the agent has only said the same once more.
    pub(crate) fn is_repeated_by(&self, newer: &Self) -> bool {
        self.message == newer.message
            && are_equal(&self.tasks, &newer.tasks)
            && self.completed.len() == newer.completed.len()
            && self.completed.iter().zip(&newer.completed).all(|(older, newer)| {
                older.framework == newer.framework && are_equal(&older.tasks, &newer.tasks)
            })
    }
}

/// Whether these are descriptions of the same tasks.
fn are_equal(left: &[Arc<Task>], right: &[Arc<Task>]) -> bool {
    left.iter().map(|task| &task.proto).eq(right.iter().map(|task| &task.proto))
}

impl WireMessage for Report {
    const NAME: &'static str = ReregisterSlaveMessage::NAME;

    /// As the agent said it, but for the form of its resources and the roles that they were allocated to.
    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let tasks = |tasks: &[Arc<Task>]| tasks.iter().map(|task| task.proto.clone()).collect();
        let completed = self.said.completed.iter().map(|completed| archive::Framework {
            tasks: tasks(&completed.tasks),
            ..completed.framework.clone()
        });
        ReregisterSlaveMessage {
            tasks: tasks(&self.said.tasks),
            completed_frameworks: completed.collect(),
            ..self.said.message.clone()
        }
        .encode(encoding)
    }

    fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        ReregisterSlaveMessage::decode(encoding, bytes).map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn message() -> ReregisterSlaveMessage {
        let agent = testing::agent("a", "cpus:4;mem(r):64");
        let mut message = ReregisterSlaveMessage {
            slave: (*agent.info).clone(),
            version: Some("1.11.0".into()),
            frameworks: vec![testing::framework_info("f")],
            tasks: vec![testing::task("t", "cpus:1").proto],
            completed_frameworks: vec![archive::Framework {
                framework_info: testing::framework_info("g"),
                tasks: vec![testing::task_of("u", "g", "a", "cpus:2").proto],
                ..Default::default()
            }],
            ..Default::default()
        };
        // As agents write it.
        resources::downgrade_all(&mut message.slave.resources).unwrap();
        message
    }

    #[test]
    fn what_arrives_is_ready_and_the_same_in_both_encodings() {
        for encoding in [Encoding::Protobuf, Encoding::Bincode] {
            let report = Report::decode(encoding, &message().encode(encoding)).unwrap();
            assert_eq!(report.validity.as_ref().map_err(|error| &*error.0), Ok(&()));
            assert_eq!(
                report.resources.as_ref().unwrap().total.to_string(),
                "cpus:4; mem(reservations: [(STATIC,r)]):64"
            );
            assert_eq!(report.said.message.slave.resources[1].role, None, "another form");
            let ready = |tasks: &[Arc<Task>]| {
                tasks.iter().map(|task| (task.id.to_string(), task.resources.clone())).collect::<Vec<_>>()
            };
            assert_eq!(ready(&report.said.tasks), [("t".to_owned(), testing::allocated("cpus:1"))]);
            let completed = &report.said.completed[0];
            assert_eq!(completed.framework.framework_info, testing::framework_info("g"));
            assert_eq!(ready(&completed.tasks), [("u".to_owned(), testing::allocated("cpus:2"))]);
            // Nothing is lost on another way.
            let again = Report::decode(encoding, &report.encode(encoding)).unwrap();
            assert!(report.said.is_repeated_by(&again.said));
        }
    }

    #[test]
    fn what_does_not_belong_together_is_said_in_the_report() {
        let stranger = testing::task_of("t", "stranger", "a", "cpus:1").proto;
        let report = Report::of(ReregisterSlaveMessage { tasks: vec![stranger], ..message() });
        assert_eq!(report.validity.unwrap_err().0, "Task has an invalid FrameworkID 'stranger'");
        let report = Report::of(ReregisterSlaveMessage { version: Some("0.28.0".into()), ..message() });
        assert!(report.validity.unwrap_err().0.contains("minimum supported agent version"));
        let volume = testing::allocated("disk:1").to_protos();
        let report = Report::of(ReregisterSlaveMessage { checkpointed_resources: volume, ..message() });
        assert!(report.resources.is_err(), "it has checkpointed what it does not have");
    }

    #[test]
    fn a_report_is_repeated_if_nothing_in_it_is_new() {
        let first = Report::of(message()).said;
        assert!(first.is_repeated_by(&Report::of(message()).said));
        let differs = |change: fn(&mut ReregisterSlaveMessage)| {
            let mut newer = message();
            change(&mut newer);
            !first.is_repeated_by(&Report::of(newer).said)
        };
        assert!(differs(|newer| newer.tasks[0].state = v1::TaskState::TaskRunning.into()));
        assert!(differs(|newer| newer.tasks.clear()));
        assert!(differs(|newer| newer.slave.hostname = "other".into()));
        assert!(differs(|newer| newer.completed_frameworks.clear()));
        assert!(differs(|newer| newer.completed_frameworks[0].tasks.clear()));
        assert!(differs(|newer| newer.completed_frameworks[0].framework_info.name = "other".into()));
    }
}
