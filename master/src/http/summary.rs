//! `/state-summary`: agents and frameworks with their tasks counted, not listed.

use std::collections::{BTreeMap, BTreeSet};

use libprocess::breath;
use mesos::v1::TaskState;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{agents, frameworks};
use crate::cluster::{Agent, Framework, Snapshot, Task};
use crate::registrar::Activation;

/// What it costs to find out, or to count, what belongs to an agent or a framework, in [`breath`]'s measure.
const LOOKED_UP: usize = 8;

/// The states that are counted, in upstream's order.
const COUNTED: [(TaskState, &str); 10] = [
    (TaskState::TaskStaging, "TASK_STAGING"),
    (TaskState::TaskStarting, "TASK_STARTING"),
    (TaskState::TaskRunning, "TASK_RUNNING"),
    (TaskState::TaskKilling, "TASK_KILLING"),
    (TaskState::TaskFinished, "TASK_FINISHED"),
    (TaskState::TaskKilled, "TASK_KILLED"),
    (TaskState::TaskFailed, "TASK_FAILED"),
    (TaskState::TaskLost, "TASK_LOST"),
    (TaskState::TaskError, "TASK_ERROR"),
    (TaskState::TaskUnreachable, "TASK_UNREACHABLE"),
];

/// Tasks by state, and who they connect a framework or an agent with.
#[derive(Default)]
struct Tally<'a> {
    tasks: [usize; COUNTED.len()],
    peers: BTreeSet<&'a str>,
}

impl<'a> Tally<'a> {
    fn count(&mut self, task: &Task, peer: &'a str) {
        self.peers.insert(peer);
        if let Some(index) = COUNTED.iter().position(|(state, _)| *state == task.state()) {
            self.tasks[index] += 1;
        }
    }

    fn serialize<M: SerializeMap>(&self, map: &mut M, peers: &str) -> Result<(), M::Error> {
        for ((_, name), count) in COUNTED.iter().zip(self.tasks) {
            map.serialize_entry(name, &count)?;
        }
        map.serialize_entry(peers, &self.peers)
    }
}

/// The body of `/state-summary`.
pub(super) struct StateSummary<'a> {
    snapshot: &'a Snapshot,
    by_agent: BTreeMap<&'a str, Tally<'a>>,
    by_framework: BTreeMap<&'a str, Tally<'a>>,
}

impl<'a> StateSummary<'a> {
    /// Counts live, unreachable and completed tasks of the registered frameworks.
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut summary = Self { snapshot, by_agent: BTreeMap::new(), by_framework: BTreeMap::new() };
        for framework in snapshot.frameworks.values() {
            let over = framework.unreachable_tasks.iter().chain(framework.completed_tasks.iter());
            for task in framework.tasks.values().chain(over) {
                breath::spend(LOOKED_UP);
                let (agent, framework) = (task.agent.as_str(), framework.id.as_str());
                summary.by_agent.entry(agent).or_default().count(task, framework);
                summary.by_framework.entry(framework).or_default().count(task, agent);
            }
        }
        summary
    }
}

impl Serialize for StateSummary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = Tally::default();
        let master = &self.snapshot.master;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("hostname", master.info.hostname.as_deref().unwrap_or_default())?;
        mesos::views::optional(&mut map, "cluster", master.cluster.as_ref())?;
        let agent = |agent: &'_ std::sync::Arc<Agent>| {
            breath::spend(LOOKED_UP);
            let tally = self.by_agent.get(agent.id.as_str()).unwrap_or(&none);
            AgentSummary(agent.clone(), self.snapshot.activation(&agent.id), tally)
        };
        map.serialize_entry("slaves", &self.snapshot.agents.values().map(agent).collect::<Vec<_>>())?;
        let framework = |framework: &'_ std::sync::Arc<Framework>| {
            breath::spend(LOOKED_UP);
            FrameworkSummary(framework.clone(), self.by_framework.get(framework.id.as_str()).unwrap_or(&none))
        };
        map.serialize_entry(
            "frameworks",
            &self.snapshot.frameworks.values().map(framework).collect::<Vec<_>>(),
        )?;
        map.end()
    }
}

struct AgentSummary<'a>(std::sync::Arc<Agent>, Activation, &'a Tally<'a>);

impl Serialize for AgentSummary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        agents::common(&mut map, &self.0, self.1)?;
        self.2.serialize(&mut map, "framework_ids")?;
        map.end()
    }
}

struct FrameworkSummary<'a>(std::sync::Arc<Framework>, &'a Tally<'a>);

impl Serialize for FrameworkSummary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        frameworks::summary(&mut map, &self.0)?;
        self.1.serialize(&mut map, "slave_ids")?;
        map.end()
    }
}
