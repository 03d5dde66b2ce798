//! The stream of events to one executor.
//!
//! An HTTP executor gets RecordIO records, one HTTP chunk each, in the encoding it asked for. An
//! executor inside this process (the simulated container) gets the events themselves.

use bytes::Bytes;
use libprocess::http::StreamSender;
use libprocess::{Message, Recipient};
use mesos::v1::executor::{Event, event};
use mesos::{MediaType, TaskId, recordio, v1};

/// An event for an executor in this process. `None` says that the stream has ended.
pub struct LocalEvent(pub Option<Event>);

impl Message for LocalEvent {
    type Answer = ();
}

/// See the module.
#[derive(Clone)]
pub enum Connection {
    /// Over HTTP.
    Http {
        /// The response's body.
        sender: StreamSender,
        /// What the executor accepts.
        media: MediaType,
    },
    /// In this process.
    Local(Recipient<LocalEvent>),
}

impl Connection {
    /// Sends an event; `false` if the executor no longer listens (it will subscribe again, or its
    /// container will end).
    pub fn send(&self, event: Event) -> bool {
        match self {
            Connection::Http { sender, media } => {
                let record = match media {
                    MediaType::Protobuf => recordio::encode(&mesos::wire::encode(&event)),
                    _ => recordio::encode(&mesos::json::to_vec(&event)),
                };
                sender.send(Bytes::from(record)).is_ok()
            }
            Connection::Local(executor) => {
                executor.tell(LocalEvent(Some(event)));
                true
            }
        }
    }

    /// Whether the executor, as far as anybody knows, still listens.
    pub fn is_open(&self) -> bool {
        match self {
            Connection::Http { sender, .. } => !sender.is_closed(),
            Connection::Local(_) => true,
        }
    }

    /// Ends the stream.
    pub fn close(&self) {
        match self {
            Connection::Http { sender, .. } => sender.close(),
            Connection::Local(executor) => executor.tell(LocalEvent(None)),
        }
    }
}

fn of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

/// `SUBSCRIBED`.
pub fn subscribed(
    executor: &v1::ExecutorInfo,
    framework: &v1::FrameworkInfo,
    agent: &v1::AgentInfo,
    container: &mesos::ContainerId,
) -> Event {
    let subscribed = event::Subscribed {
        executor_info: executor.clone(),
        framework_info: framework.clone(),
        agent_info: agent.clone(),
        container_id: Some(container.to_proto()),
    };
    Event { subscribed: Some(subscribed), ..of(event::Type::Subscribed) }
}

/// `LAUNCH`.
pub fn launch(task: &v1::TaskInfo) -> Event {
    Event { launch: Some(event::Launch { task: task.clone() }), ..of(event::Type::Launch) }
}

/// `LAUNCH_GROUP`.
pub fn launch_group(tasks: &[std::sync::Arc<v1::TaskInfo>]) -> Event {
    let tasks = tasks.iter().map(|task| (**task).clone()).collect();
    let group = event::LaunchGroup { task_group: v1::TaskGroupInfo { tasks } };
    Event { launch_group: Some(group), ..of(event::Type::LaunchGroup) }
}

/// `KILL`.
pub fn kill(task: &TaskId, policy: Option<v1::KillPolicy>) -> Event {
    let kill = event::Kill { task_id: task.to_proto(), kill_policy: policy };
    Event { kill: Some(kill), ..of(event::Type::Kill) }
}

/// `ACKNOWLEDGED`.
pub fn acknowledged(task: &TaskId, uuid: uuid::Uuid) -> Event {
    let acknowledged = event::Acknowledged { task_id: task.to_proto(), uuid: uuid.as_bytes().to_vec() };
    Event { acknowledged: Some(acknowledged), ..of(event::Type::Acknowledged) }
}

/// `MESSAGE`.
pub fn message(data: Vec<u8>) -> Event {
    Event { message: Some(event::Message { data }), ..of(event::Type::Message) }
}

/// `ERROR`.
pub fn error(text: &str) -> Event {
    Event { error: Some(event::Error { message: text.to_owned() }), ..of(event::Type::Error) }
}

/// `SHUTDOWN`.
pub fn shutdown() -> Event {
    of(event::Type::Shutdown)
}

/// `HEARTBEAT`.
pub fn heartbeat() -> Event {
    of(event::Type::Heartbeat)
}
