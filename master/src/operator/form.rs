//! Agents, frameworks and executors as the v1 API shows them (upstream: `createAgentResponse` in
//! `common/protobuf_utils.cpp`, `model` in `master/http.cpp`). A task is its own protobuf.

use std::time::SystemTime;

use mesos::resources::to_endpoint;
use mesos::tasks::time_info;
use mesos::v1::master::response::{get_agents, get_executors, get_frameworks};
use mesos::{AgentId, MediaType, Resources, codec, v1};

use crate::cluster::{Agent, Executor, Framework, Offer, Task};
use crate::registrar::Activation;
use crate::rendering::document::{element, separator};
use crate::rendering::parts::{Form, Tasks};

/// The form of the v1 API: each entity is an element of the list that it has in `GetAgents`, `GetTasks` and the like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct V1(pub(crate) MediaType);

/// The lists in `mesos.v1.master.Response`; [`OFFERS`](field::OFFERS) are those of a framework.
pub(super) mod field {
    use crate::rendering::document::Field;

    pub(in super::super) const AGENTS: Field = ("agents", 1);
    pub(in super::super) const RECOVERED_AGENTS: Field = ("recovered_agents", 2);
    pub(in super::super) const FRAMEWORKS: Field = ("frameworks", 1);
    pub(in super::super) const COMPLETED_FRAMEWORKS: Field = ("completed_frameworks", 2);
    pub(in super::super) const OFFERS: Field = ("offers", 7);
    pub(in super::super) const EXECUTORS: Field = ("executors", 1);
    pub(in super::super) const TASKS: Field = ("tasks", 2);
    pub(in super::super) const UNREACHABLE_TASKS: Field = ("unreachable_tasks", 5);
    pub(in super::super) const COMPLETED_TASKS: Field = ("completed_tasks", 3);
}

impl Form for V1 {
    fn separator(&self) -> &'static [u8] {
        separator(self.0)
    }

    fn agent(&self, of: &Agent, activation: Activation, out: &mut Vec<u8>) {
        element(self.0, field::AGENTS.1, &agent(of, activation), out);
    }

    fn recovered(&self, info: &v1::AgentInfo, out: &mut Vec<u8>) {
        element(self.0, field::RECOVERED_AGENTS.1, info, out);
    }

    fn task(&self, task: &Task, list: Tasks, out: &mut Vec<u8>) {
        let (_, number) = match list {
            Tasks::Live => field::TASKS,
            Tasks::Unreachable => field::UNREACHABLE_TASKS,
            Tasks::Completed => field::COMPLETED_TASKS,
        };
        element(self.0, number, &task.proto, out);
    }

    fn executor(&self, of: &Executor, agent: &AgentId, out: &mut Vec<u8>) {
        let executor = get_executors::Executor { executor_info: of.info.clone(), agent_id: agent.to_proto() };
        element(self.0, field::EXECUTORS.1, &executor, out);
    }

    fn offer(&self, offer: &Offer, out: &mut Vec<u8>) {
        element(self.0, field::OFFERS.1, &offer.proto, out);
    }

    fn framework(&self, of: &Framework, out: &mut Vec<u8>) {
        out.extend(codec::encode(self.0, &framework(of)));
    }
}

/// Resources with what older readers expect beside reservations.
fn endpoint(resources: &Resources) -> Vec<v1::Resource> {
    let mut protos = resources.to_protos();
    protos.iter_mut().for_each(to_endpoint);
    protos
}

/// An agent.
pub(super) fn agent(of: &Agent, activation: Activation) -> get_agents::Agent {
    let allocated: Resources = of.used.values().cloned().sum();
    let drain_started = of.drain_started.filter(|_| activation.drain.is_some());
    get_agents::Agent {
        agent_info: (*of.info).clone(),
        active: of.active,
        deactivated: Some(activation.deactivated),
        version: of.version.clone(),
        pid: Some(of.pid.to_string()),
        registered_time: Some(time_info(of.registered)),
        reregistered_time: of.reregistered.map(time_info),
        total_resources: endpoint(&of.total),
        allocated_resources: endpoint(&allocated),
        offered_resources: endpoint(&of.offered),
        capabilities: (*of.capability_list).clone(),
        resource_providers: Vec::new(),
        drain_info: activation.drain,
        estimated_drain_start_time: drain_started.map(time_info),
    }
}

/// A framework with what it holds, without its offers.
fn framework(of: &Framework) -> get_frameworks::Framework {
    let known = |time: SystemTime| Some(time_info(time)).filter(|time| time.nanoseconds != 0);
    get_frameworks::Framework {
        registered_time: known(of.registered),
        reregistered_time: known(of.reregistered),
        unregistered_time: of.unregistered.and_then(known),
        inverse_offers: of.inverse_offers.values().map(|offer| (**offer).clone()).collect(),
        allocated_resources: endpoint(&of.used),
        offered_resources: endpoint(&of.offered),
        offer_constraints: Some((*of.offer_constraints).clone()),
        ..described(of)
    }
}

/// A framework as events show it: without what it holds (upstream: `createFrameworkAdded`).
pub(super) fn described(of: &Framework) -> get_frameworks::Framework {
    get_frameworks::Framework {
        framework_info: (*of.info).clone(),
        active: of.is_active(),
        connected: of.is_connected(),
        recovered: of.is_recovered(),
        registered_time: Some(time_info(of.registered)),
        reregistered_time: Some(time_info(of.reregistered)),
        unregistered_time: Some(time_info(of.unregistered.unwrap_or(SystemTime::UNIX_EPOCH))),
        ..Default::default()
    }
}
