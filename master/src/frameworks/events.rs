//! The events of the scheduler API, each made of what it says.

use std::time::Duration;

use mesos::v1::scheduler::{Event, event};
use mesos::{AgentId, ExecutorId, FrameworkId, OfferId, v1};

/// Between two heartbeats (upstream: `DEFAULT_HEARTBEAT_INTERVAL`).
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

fn of_type(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Default::default() }
}

/// The first event of a stream.
pub(crate) fn subscribed(framework: &FrameworkId, master: &v1::MasterInfo) -> Event {
    let subscribed = event::Subscribed {
        framework_id: framework.to_proto(),
        heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL.as_secs_f64()),
        master_info: Some(master.clone()),
    };
    Event { subscribed: Some(subscribed), ..of_type(event::Type::Subscribed) }
}

/// At once after the first event, and then at every interval: some clients see an event only when the
/// next one begins.
pub(crate) fn heartbeat() -> Event {
    of_type(event::Type::Heartbeat)
}

/// Resources to take.
pub(crate) fn offers(offers: Vec<v1::Offer>) -> Event {
    Event { offers: Some(event::Offers { offers }), ..of_type(event::Type::Offers) }
}

/// An offer is no longer valid.
pub(crate) fn rescind(offer: &OfferId) -> Event {
    let rescind = event::Rescind { offer_id: offer.to_proto() };
    Event { rescind: Some(rescind), ..of_type(event::Type::Rescind) }
}

/// Agents to leave.
pub(crate) fn inverse_offers(inverse_offers: Vec<v1::InverseOffer>) -> Event {
    Event {
        inverse_offers: Some(event::InverseOffers { inverse_offers }),
        ..of_type(event::Type::InverseOffers)
    }
}

/// An inverse offer is no longer valid.
pub(crate) fn rescind_inverse_offer(offer: &OfferId) -> Event {
    let rescind = event::RescindInverseOffer { inverse_offer_id: offer.to_proto() };
    Event { rescind_inverse_offer: Some(rescind), ..of_type(event::Type::RescindInverseOffer) }
}

/// A task's status.
pub(crate) fn update(status: v1::TaskStatus) -> Event {
    Event { update: Some(event::Update { status }), ..of_type(event::Type::Update) }
}

/// An operation's status.
pub(crate) fn operation_update(status: v1::OperationStatus) -> Event {
    Event {
        update_operation_status: Some(event::UpdateOperationStatus { status }),
        ..of_type(event::Type::UpdateOperationStatus)
    }
}

/// Something that an executor says to its scheduler.
pub(crate) fn message(agent: v1::AgentId, executor: v1::ExecutorId, data: Vec<u8>) -> Event {
    let message = event::Message { agent_id: agent, executor_id: executor, data };
    Event { message: Some(message), ..of_type(event::Type::Message) }
}

/// An agent is lost.
pub(crate) fn agent_failure(agent: &AgentId) -> Event {
    let failure = event::Failure { agent_id: Some(agent.to_proto()), ..Default::default() };
    Event { failure: Some(failure), ..of_type(event::Type::Failure) }
}

/// An executor ended.
pub(crate) fn executor_failure(agent: &AgentId, executor: &ExecutorId, status: i32) -> Event {
    let failure = event::Failure {
        agent_id: Some(agent.to_proto()),
        executor_id: Some(executor.to_proto()),
        status: Some(status),
    };
    Event { failure: Some(failure), ..of_type(event::Type::Failure) }
}

/// The last event of a stream: why the master will not talk any more.
pub(crate) fn error(message: impl Into<String>) -> Event {
    let error = event::Error { message: message.into() };
    Event { error: Some(error), ..of_type(event::Type::Error) }
}
