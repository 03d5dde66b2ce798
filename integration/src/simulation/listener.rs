//! An operator who listens: it subscribes to whoever leads, adds up what it is told from then on, and subscribes again when
//! its leader is gone. What it knows then must be what the leader has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use libprocess::Node;
use libprocess::http::{ClientRequest, ClientResponse};
use master::cluster::Snapshot;
use mesos::recordio::Decoder;
use mesos::tasks::is_terminal;
use mesos::v1::master::response::GetState;
use mesos::v1::master::{Event, event::Type};
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId, MediaType, TaskId, codec};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};

use super::cluster::Cluster;
use super::invariant::Invariant;
use super::operator::RETRY;

/// Where it is.
const ADDRESS: ([u8; 4], u16) = ([10, 4, 0, 3], 7000);
/// How long it waits for the beginning of an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A leader that says nothing for so long is gone: it has missed two heartbeats.
const SILENCE: Duration = Duration::from_secs(40);
/// The largest event that it reads, in bytes.
const LARGEST: usize = 1 << 26;

/// What it knows of the leader that it listens to.
#[derive(Debug, Default)]
pub struct Heard {
    /// Where that is. Before the first event it knows nothing.
    leader: Option<SocketAddr>,
    agents: BTreeSet<AgentId>,
    frameworks: BTreeSet<FrameworkId>,
    /// Tasks, with those that are over or unreachable, and their states.
    tasks: BTreeMap<(FrameworkId, TaskId), TaskState>,
    /// How it was not what the leader has, when they were compared last.
    difference: Option<String>,
}

/// Listens until the end.
///
/// # Errors
/// If its node does not start.
pub async fn run(cluster: Rc<Cluster>, seed: u64) -> Result<(), String> {
    let address = SocketAddr::from(ADDRESS);
    let node = cluster.network.node(address, "ear").start().await.map_err(|error| error.to_string())?;
    let mut random = SmallRng::seed_from_u64(seed);
    loop {
        let media = if random.random() { MediaType::Json } else { MediaType::Protobuf };
        let leader = cluster.leading_address();
        if let Some(stream) = subscribe(&node, leader, media).await {
            listen(&cluster, leader, media, stream).await;
            *cluster.heard.borrow_mut() = Heard::default();
        }
        sleep(RETRY).await;
    }
}

/// The leader's stream, if it gives one.
async fn subscribe(node: &Node, leader: SocketAddr, media: MediaType) -> Option<ClientResponse> {
    let request = ClientRequest::new(Method::POST, format!("http://{leader}/api/v1"))
        .header("Content-Type", "application/json")
        .header("Accept", media.as_str())
        .timeout(PATIENCE)
        .body(r#"{"type":"SUBSCRIBE"}"#);
    node.client().send(request).await.ok().filter(|answer| answer.status == 200)
}

/// Reads until the stream breaks.
async fn listen(cluster: &Cluster, leader: SocketAddr, media: MediaType, mut stream: ClientResponse) {
    cluster.truth.count("subscriptions of an operator");
    let mut decoder = Decoder::new(LARGEST);
    while let Ok(Ok(Some(chunk))) = timeout(SILENCE, stream.chunk()).await {
        let records = decoder.feed(&chunk).unwrap_or_else(|error| {
            let text = format!("the stream of events of {leader} is broken: {error}");
            cluster.truth.violation(Invariant::EventsAddUp, text);
            Vec::new()
        });
        for record in records {
            let heard = match codec::decode::<Event>(media, &record) {
                Ok(event) => cluster.heard.borrow_mut().event(leader, event),
                Err(error) => Err(format!("an event is none: {error}")),
            };
            match heard {
                Ok(()) => cluster.truth.count("events heard by an operator"),
                Err(text) => {
                    let text = format!("{leader} to an operator who listens: {text}");
                    cluster.truth.violation(Invariant::EventsAddUp, text);
                }
            }
        }
    }
}

impl Heard {
    /// Adds an event up.
    ///
    /// # Errors
    /// If it does not follow from those before it.
    fn event(&mut self, leader: SocketAddr, event: Event) -> Result<(), String> {
        let kind = event.r#type();
        if (kind == Type::Subscribed) != self.leader.is_none() {
            return Err(format!("{} at the wrong time", kind.as_str_name()));
        }
        self.leader = Some(leader);
        if let Some(state) = event.subscribed.and_then(|subscribed| subscribed.get_state) {
            self.begin(state);
        }
        if let Some(added) = event.agent_added {
            let id = added.agent.agent_info.id.as_ref().map(AgentId::from).ok_or("an agent without an id")?;
            is_new(self.agents.insert(id.clone()), id.as_str())?;
        }
        if let Some(removed) = event.agent_removed {
            is_known(self.agents.remove(&AgentId::from(&removed.agent_id)), &removed.agent_id.value)?;
        }
        if let Some(added) = event.framework_added {
            let id = id_of(&added.framework.framework_info)?;
            is_new(self.frameworks.insert(id.clone()), id.as_str())?;
        }
        if let Some(updated) = event.framework_updated {
            let id = id_of(&updated.framework.framework_info)?;
            is_known(self.frameworks.contains(&id), id.as_str())?;
        }
        if let Some(removed) = event.framework_removed {
            let id = id_of(&removed.framework_info)?;
            is_known(self.frameworks.remove(&id), id.as_str())?;
            self.tasks.retain(|(framework, _), _| *framework != id);
        }
        if let Some(added) = event.task_added {
            let framework = FrameworkId::from(&added.task.framework_id);
            is_known(self.frameworks.contains(&framework), framework.as_str())?;
            self.task(&added.task);
        }
        if let Some(updated) = event.task_updated {
            let task = TaskId::from(&updated.status.task_id);
            let known = self.tasks.get_mut(&(FrameworkId::from(&updated.framework_id), task.clone()));
            *known.ok_or_else(|| format!("{task} is updated, and was never added"))? = updated.state();
        }
        Ok(())
    }

    fn begin(&mut self, state: GetState) {
        let agents = state.get_agents.unwrap_or_default().agents;
        self.agents = agents.iter().filter_map(|agent| Some(agent.agent_info.id.as_ref()?.into())).collect();
        let frameworks = state.get_frameworks.unwrap_or_default().frameworks;
        let ids = frameworks.iter().filter_map(|framework| id_of(&framework.framework_info).ok());
        self.frameworks = ids.collect();
        let tasks = state.get_tasks.unwrap_or_default();
        tasks.tasks.iter().chain(&tasks.unreachable_tasks).for_each(|task| self.task(task));
    }

    fn task(&mut self, task: &v1::Task) {
        let key = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
        self.tasks.insert(key, task.state());
    }

    /// How what it knows is not what the leader has. What is on its way to it will be so the next time that it is asked.
    pub fn unlike(&mut self, leader: SocketAddr, snapshot: &Snapshot) -> Option<String> {
        let difference = self.difference(leader, snapshot);
        let is_still = difference == self.difference;
        self.difference = difference;
        self.difference.clone().filter(|_| is_still)
    }

    fn difference(&self, leader: SocketAddr, snapshot: &Snapshot) -> Option<String> {
        if self.leader != Some(leader) {
            return Some(format!("it listens to {:?}", self.leader));
        }
        let agents: BTreeSet<AgentId> = snapshot.agents.keys().cloned().collect();
        let frameworks: BTreeSet<FrameworkId> = snapshot.frameworks.keys().cloned().collect();
        if self.agents != agents {
            return Some(format!("it knows the agents {:?}, there are {agents:?}", self.agents));
        }
        if self.frameworks != frameworks {
            return Some(format!("it knows the frameworks {:?}, there are {frameworks:?}", self.frameworks));
        }
        let tasks = snapshot.frameworks.values().flat_map(|framework| {
            framework.tasks.values().map(|task| ((framework.id.clone(), task.id.clone()), task.state()))
        });
        let tasks: BTreeMap<_, _> = tasks.collect();
        let wrong = tasks.iter().find(|(key, state)| self.tasks.get(*key) != Some(*state));
        if let Some((key, state)) = wrong {
            return Some(format!("{} is {state:?}, it knows {:?}", key.1, self.tasks.get(key)));
        }
        let is_there = |(key, state): (&_, &TaskState)| {
            tasks.contains_key(key) || is_terminal(*state) || *state == TaskState::TaskUnreachable
        };
        let (key, state) = self.tasks.iter().find(|task| !is_there(*task))?;
        Some(format!("{} is not there, it knows {state:?}", key.1))
    }
}

fn id_of(info: &v1::FrameworkInfo) -> Result<FrameworkId, String> {
    info.id.as_ref().map(FrameworkId::from).ok_or_else(|| "a framework without an id".to_owned())
}

fn is_new(is_new: bool, id: &str) -> Result<(), String> {
    if is_new { Ok(()) } else { Err(format!("{id} is added, and was there")) }
}

fn is_known(is_known: bool, id: &str) -> Result<(), String> {
    if is_known { Ok(()) } else { Err(format!("{id} is not known")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: TaskState) -> v1::Task {
        v1::Task {
            framework_id: v1::FrameworkId { value: "f".into() },
            task_id: v1::TaskId { value: "t".into() },
            state: state.into(),
            ..Default::default()
        }
    }

    #[test]
    fn an_event_follows_from_those_before_it() {
        use v1::master::event::{FrameworkAdded, Subscribed, TaskAdded, TaskUpdated};
        let leader = SocketAddr::from(ADDRESS);
        let of = |kind: Type| Event { r#type: Some(kind.into()), ..Event::default() };
        let info =
            v1::FrameworkInfo { id: Some(task(TaskState::TaskStaging).framework_id), ..Default::default() };
        let framework =
            v1::master::response::get_frameworks::Framework { framework_info: info, ..Default::default() };
        let added = Event { framework_added: Some(FrameworkAdded { framework }), ..of(Type::FrameworkAdded) };
        let launched = Event {
            task_added: Some(TaskAdded { task: task(TaskState::TaskStaging) }),
            ..of(Type::TaskAdded)
        };
        let updated = TaskUpdated {
            framework_id: task(TaskState::TaskStaging).framework_id,
            status: v1::TaskStatus { task_id: task(TaskState::TaskStaging).task_id, ..Default::default() },
            state: TaskState::TaskRunning.into(),
        };
        let updated = Event { task_updated: Some(updated), ..of(Type::TaskUpdated) };
        let begins = Event { subscribed: Some(Subscribed::default()), ..of(Type::Subscribed) };

        let mut heard = Heard::default();
        assert!(heard.event(leader, added.clone()).is_err());
        assert!(heard.event(leader, begins.clone()).is_ok());
        assert!(heard.event(leader, begins).is_err());
        assert!(heard.event(leader, launched.clone()).is_err());
        assert!(heard.event(leader, added.clone()).is_ok());
        assert!(heard.event(leader, added).is_err());
        assert!(heard.event(leader, updated.clone()).is_err());
        assert!(heard.event(leader, launched).is_ok());
        assert!(heard.event(leader, updated).is_ok());
        assert_eq!(heard.tasks.values().collect::<Vec<_>>(), [&TaskState::TaskRunning]);
    }
}
