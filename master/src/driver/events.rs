//! What a driver hears: events of the scheduler API as the messages of the first API.
//!
//! | event | message |
//! |---|---|
//! | SUBSCRIBED | `FrameworkRegisteredMessage`, `FrameworkReregisteredMessage` ([`registered`]) |
//! | OFFERS | `ResourceOffersMessage`, with the agents' pids |
//! | RESCIND | `RescindResourceOfferMessage` |
//! | INVERSE_OFFERS, RESCIND_INVERSE_OFFER | `InverseOffersMessage`, `RescindInverseOfferMessage` |
//! | UPDATE | `StatusUpdateMessage`, with the pid of the agent if it is to be acknowledged |
//! | MESSAGE | `ExecutorToFrameworkMessage` |
//! | FAILURE | `ExitedExecutorMessage` or `LostSlaveMessage` |
//! | ERROR | `FrameworkErrorMessage`: the driver aborts |
//! | HEARTBEAT, UPDATE_OPERATION_STATUS | none: drivers know neither |
//!
//! (Upstream makes the messages first, and events of them: `internal/evolve.cpp`.) Nothing says whether a message has
//! arrived. A connection that breaks is noticed by the link to the driver.

use libprocess::{Context, Pid};
use mesos::internal::{
    ExecutorToFrameworkMessage, ExitedExecutorMessage, FrameworkErrorMessage, FrameworkRegisteredMessage,
    FrameworkReregisteredMessage, InverseOffersMessage, LostSlaveMessage, RescindInverseOfferMessage,
    RescindResourceOfferMessage, ResourceOffersMessage, StatusUpdate, StatusUpdateMessage,
};
use mesos::v1::scheduler::{Event, event};
use mesos::{AgentId, FrameworkId, v1};

use crate::cluster::Cluster;
use crate::master::Master;

/// Tells a driver that it is the framework's scheduler. `again`: it was before, and only its connection was lost.
pub(crate) fn registered(
    master: &mut Master,
    framework: &FrameworkId,
    pid: &Pid,
    again: bool,
    ctx: &Context<Master>,
) {
    master.metrics.framework(framework).event(event::Type::Subscribed);
    let (framework_id, master_info) = (framework.to_proto(), master.info.clone());
    if again {
        ctx.post(pid, FrameworkReregisteredMessage { framework_id, master_info });
    } else {
        ctx.post(pid, FrameworkRegisteredMessage { framework_id, master_info });
    }
}

/// Tells a driver why the master does not deal with it. It aborts.
pub(crate) fn refuse(pid: &Pid, message: impl Into<String>, ctx: &Context<Master>) {
    ctx.post(pid, FrameworkErrorMessage { message: message.into() });
}

/// Sends an event to a framework's driver.
pub(crate) fn post(
    cluster: &Cluster,
    framework: &FrameworkId,
    pid: &Pid,
    event: Event,
    ctx: &Context<Master>,
) {
    let Event {
        offers, inverse_offers, rescind, rescind_inverse_offer, update, message, failure, error, ..
    } = event;
    if let Some(event) = offers {
        ctx.post(pid, with_pids(cluster, event.offers));
    }
    if let Some(event) = inverse_offers {
        ctx.post(pid, inverse_with_pids(cluster, event.inverse_offers));
    }
    if let Some(event) = rescind {
        ctx.post(pid, RescindResourceOfferMessage { offer_id: event.offer_id });
    }
    if let Some(event) = rescind_inverse_offer {
        ctx.post(pid, RescindInverseOfferMessage { inverse_offer_id: event.inverse_offer_id });
    }
    if let Some(event) = update {
        ctx.post(pid, status_update(cluster, framework, event.status));
    }
    if let Some(event::Message { agent_id, executor_id, data }) = message {
        let framework_id = framework.to_proto();
        ctx.post(pid, ExecutorToFrameworkMessage { slave_id: agent_id, framework_id, executor_id, data });
    }
    match failure.map(|event| (event.agent_id, event.executor_id, event.status)) {
        Some((Some(slave_id), Some(executor_id), status)) => {
            let (framework_id, status) = (framework.to_proto(), status.unwrap_or_default());
            ctx.post(pid, ExitedExecutorMessage { slave_id, framework_id, executor_id, status });
        }
        Some((Some(slave_id), None, _)) => ctx.post(pid, LostSlaveMessage { slave_id }),
        Some((None, ..)) | None => {}
    }
    if let Some(event) = error {
        refuse(pid, event.message, ctx);
    }
}

/// The pid of an agent, or nobody's if it is not registered (any more).
fn pid_of(cluster: &Cluster, agent: &v1::AgentId) -> String {
    let agent = cluster.agent(&AgentId::from(agent));
    agent.map_or_else(|| Pid::nobody().to_string(), |agent| agent.pid.to_string())
}

/// Drivers send messages for executors to their agents directly, and learn from offers where these are: there is a pid for
/// each offer.
fn with_pids(cluster: &Cluster, offers: Vec<v1::Offer>) -> ResourceOffersMessage {
    let pids = offers.iter().map(|offer| pid_of(cluster, &offer.agent_id)).collect();
    ResourceOffersMessage { offers, pids }
}

fn inverse_with_pids(cluster: &Cluster, inverse_offers: Vec<v1::InverseOffer>) -> InverseOffersMessage {
    let agents = inverse_offers.iter().filter_map(|offer| offer.agent_id.as_ref());
    let pids = agents.map(|agent| pid_of(cluster, agent)).collect();
    InverseOffersMessage { inverse_offers, pids }
}

/// A driver acknowledges what has a uuid and the pid of who waits for the acknowledgement. It sends it to the master all
/// the same. What the master says of a task by itself has neither.
fn status_update(cluster: &Cluster, framework: &FrameworkId, status: v1::TaskStatus) -> StatusUpdateMessage {
    let waits = status.uuid.as_ref().and(status.agent_id.as_ref());
    let pid = waits.map_or_else(|| Pid::nobody().to_string(), |agent| pid_of(cluster, agent));
    let update = StatusUpdate {
        framework_id: framework.to_proto(),
        executor_id: status.executor_id.clone(),
        slave_id: status.agent_id.clone(),
        timestamp: status.timestamp(),
        uuid: status.uuid.clone(),
        latest_state: None,
        status,
    };
    StatusUpdateMessage { update, pid: Some(pid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn status(uuid: Option<Vec<u8>>) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            agent_id: Some(v1::AgentId { value: "a".into() }),
            timestamp: Some(7.0),
            uuid,
            ..Default::default()
        }
    }

    #[test]
    fn an_update_that_is_to_be_acknowledged_says_where_its_agent_is() {
        let cluster = testing::cluster(&["f"], &["a"]);
        let agent = cluster.agent(&AgentId::from("a")).unwrap().pid.to_string();
        let message = status_update(&cluster, &FrameworkId::from("f"), status(Some(vec![1; 16])));
        assert_eq!(message.pid, Some(agent));
        assert_eq!(message.update.uuid, Some(vec![1; 16]));
        assert_eq!(message.update.timestamp, 7.0);
        assert_eq!(message.update.slave_id, message.update.status.agent_id);
    }

    #[test]
    fn an_update_of_the_master_is_nobodys() {
        let cluster = testing::cluster(&["f"], &["a"]);
        let message = status_update(&cluster, &FrameworkId::from("f"), status(None));
        assert_eq!(message.pid, Some(Pid::nobody().to_string()));
        assert_eq!(message.update.uuid, None);
    }

    #[test]
    fn each_offer_has_the_pid_of_its_agent() {
        let cluster = testing::cluster(&["f"], &["a", "b"]);
        let offer =
            |agent: &str| v1::Offer { agent_id: v1::AgentId { value: agent.into() }, ..Default::default() };
        let message = with_pids(&cluster, vec![offer("b"), offer("a"), offer("gone")]);
        let pid = |agent: &str| cluster.agent(&AgentId::from(agent)).unwrap().pid.to_string();
        assert_eq!(message.pids, [pid("b"), pid("a"), Pid::nobody().to_string()]);
    }
}
