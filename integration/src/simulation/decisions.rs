//! What operators of a simulated cluster decide, how they ask for it, and how the registry has it.

use std::collections::BTreeMap;

use allocator::Quota;
use http::Method;
use master::cluster::Snapshot;
use master::registrar::Activation;
use mesos::internal::registry;
use mesos::v1::maintenance::Schedule;
use mesos::v1::quota::QuotaConfig;
use mesos::v1::value::Scalar;
use mesos::{AgentId, FrameworkId, MediaType, json as dialect, v1, wire};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::reserving::STEP;

/// The records of the registry, by key.
pub type Records = BTreeMap<String, Vec<u8>>;

/// What an operator has asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// The quota of a role.
    Quota(String, Quota),
    /// The weight of a role.
    Weight(String, f64),
    /// What becomes of an agent.
    Agent(AgentId, Fate),
    /// The maintenance of machines, in place of what was planned before.
    Schedule(Schedule),
}

/// What becomes of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is as any other again.
    Active,
    /// It is offered to nobody.
    Deactivated,
    /// It is emptied.
    Drained,
    /// It is emptied, and will not be back then.
    DrainedAndGone,
    /// It will not be back.
    Gone,
}

impl Fate {
    /// Whether an agent's activation is as was decided.
    fn is(self, activation: Activation) -> bool {
        let marked = activation.drain.map(|drain| drain.config.mark_gone());
        match self {
            Fate::Active => activation == Activation::default(),
            Fate::Deactivated => activation.deactivated,
            Fate::Drained => activation.deactivated && marked == Some(false),
            Fate::DrainedAndGone => activation.deactivated && marked == Some(true),
            Fate::Gone => false,
        }
    }

    /// Whether the agent will not be back in the end.
    pub fn ends(self) -> bool {
        matches!(self, Fate::Gone | Fate::DrainedAndGone)
    }
}

impl Setting {
    /// What it is about: a later one about the same takes its place.
    pub fn subject(&self) -> String {
        match self {
            Setting::Quota(role, _) => format!("quota/{role}"),
            Setting::Weight(role, _) => format!("weight/{role}"),
            Setting::Agent(id, _) => format!("agent/{id}"),
            Setting::Schedule(_) => "schedule".to_owned(),
        }
    }

    /// Whether the registry says so.
    pub fn is_in(&self, records: &Records) -> bool {
        let value = |key: String| records.get(&key).map(Vec::as_slice);
        match self {
            Setting::Quota(_, quota) => quota_in(value(self.subject())) == *quota,
            Setting::Weight(_, weight) => weight_in(value(self.subject())) == *weight,
            Setting::Agent(id, fate) => {
                let is_gone = fate.ends() && records.contains_key(&format!("gone/{id}"));
                is_gone || activation_of(id, records).is_some_and(|activation| fate.is(activation))
            }
            Setting::Schedule(schedule) => schedule_in(value(self.subject())) == *schedule,
        }
    }

    /// Whether the books of a leader say so, as far as they must. (Quotas and weights are compared with the registry.)
    pub fn is_in_books(&self, snapshot: &Snapshot) -> bool {
        match self {
            Setting::Agent(id, fate) => {
                let is_gone = fate.ends() && snapshot.gone_agents.contains_key(id);
                is_gone || fate.is(snapshot.activation(id))
            }
            Setting::Quota(..) | Setting::Weight(..) | Setting::Schedule(_) => true,
        }
    }
}

/// The quota that a record holds.
pub fn quota_in(value: Option<&[u8]>) -> Quota {
    let config = value.and_then(|bytes| wire::decode::<QuotaConfig>(bytes).ok());
    config.map(|config| Quota::from(&config)).unwrap_or_default()
}

/// A role without a weight weighs 1.
pub fn weight_in(value: Option<&[u8]>) -> f64 {
    let weight = value.and_then(|bytes| wire::decode::<registry::Weight>(bytes).ok());
    weight.map_or(1.0, |weight| weight.info.weight)
}

fn schedule_in(value: Option<&[u8]>) -> Schedule {
    value.and_then(|bytes| wire::decode(bytes).ok()).unwrap_or_default()
}

/// What the record of an agent says that is admitted or unreachable, and of which kind it is.
pub fn activation_in(kind: &str, value: &[u8]) -> Option<Activation> {
    let (drain, deactivated) = match kind {
        "agent" => {
            let agent: registry::Slave = wire::decode(value).ok()?;
            (agent.drain_info, agent.deactivated())
        }
        "unreachable" => {
            let agent: registry::UnreachableSlave = wire::decode(value).ok()?;
            (agent.drain_info, agent.deactivated())
        }
        _ => return None,
    };
    Some(Activation { drain, deactivated })
}

/// The host of an agent that a record admits.
pub fn host_in(value: Option<&[u8]>) -> Option<String> {
    let agent: registry::Slave = wire::decode(value?).ok()?;
    Some(agent.info.hostname)
}

/// Whether an agent that is admitted or unreachable may have tasks.
pub fn activation_of(id: &AgentId, records: &Records) -> Option<Activation> {
    let of_kind = |kind: &str| activation_in(kind, records.get(&format!("{kind}/{id}"))?);
    of_kind("agent").or_else(|| of_kind("unreachable"))
}

/// What an operator makes of an agent's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// It is reserved.
    Reserve,
    /// It is not reserved any more.
    Unreserve,
    /// A volume on what is reserved.
    Create,
    /// The volume is not there any more.
    Destroy,
}

/// Where calls of the operator API go.
const CALLS: &str = "/api/v1";

/// Where schedulers subscribe.
pub const SCHEDULERS: &str = "/master/api/v1/scheduler";

/// A request to a master. For most of what changes something there are two: a call, and a request to an older endpoint.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Of the endpoint.
    pub path: String,
    /// The method.
    pub method: Method,
    /// What the body is.
    pub content: &'static str,
    /// What it says.
    pub body: Vec<u8>,
}

impl Ask {
    /// A call of the operator API.
    pub fn call(body: Value) -> Ask {
        Ask::endpoint(Method::POST, CALLS, body)
    }

    /// A request that says something in JSON.
    fn endpoint(method: Method, path: impl Into<String>, body: Value) -> Ask {
        Ask { path: path.into(), method, content: "application/json", body: body.to_string().into_bytes() }
    }

    /// A request that says something as a form.
    fn form(path: impl Into<String>, fields: &[(&str, &str)]) -> Ask {
        let field =
            |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        let body: Vec<String> = fields.iter().map(field).collect();
        let content = "application/x-www-form-urlencoded";
        Ask { path: path.into(), method: Method::POST, content, body: body.join("&").into_bytes() }
    }

    /// A request without a body.
    pub fn bare(method: Method, path: impl Into<String>) -> Ask {
        Ask { path: path.into(), method, content: "text/plain", body: Vec::new() }
    }

    /// The same, in protobuf if it is a call.
    pub fn in_protobuf(self) -> Ask {
        match dialect::from_slice::<v1::master::Call>(&self.body) {
            Ok(call) if self.is_call() => {
                Ask { content: MediaType::Protobuf.as_str(), body: wire::encode(&call), ..self }
            }
            _ => self,
        }
    }

    /// Whether it is a call of the operator API, and not a request to an older endpoint.
    pub fn is_call(&self) -> bool {
        self.path == CALLS
    }

    /// For quotas, all at once.
    pub fn quotas(force: bool, quotas: &[(String, Quota)]) -> Ask {
        let amounts = |amounts: BTreeMap<String, Scalar>| -> Value {
            amounts.into_iter().map(|(name, amount)| (name, json!({ "value": amount.value }))).collect()
        };
        let config = |(role, quota): &(String, Quota)| {
            let (guarantees, limits) = (quota.guarantees.to_protos(), quota.limits.to_protos());
            json!({ "role": role, "guarantees": amounts(guarantees), "limits": amounts(limits) })
        };
        let configs: Vec<Value> = quotas.iter().map(config).collect();
        Ask::call(
            json!({ "type": "UPDATE_QUOTA", "update_quota": { "force": force, "quota_configs": configs } }),
        )
    }

    /// For a quota, in the older form: what a role is guaranteed is its limit, too.
    pub fn set_quota(role: &str, quota: &Quota, is_call: bool) -> Ask {
        let resource = |(name, amount): (String, Scalar)| json!({ "name": name, "type": "SCALAR", "scalar": { "value": amount.value } });
        let guarantee: Vec<Value> = quota.guarantees.to_protos().into_iter().map(resource).collect();
        let request = json!({ "force": true, "role": role, "guarantee": guarantee });
        if is_call {
            return Ask::call(json!({ "type": "SET_QUOTA", "set_quota": { "quota_request": request } }));
        }
        Ask::endpoint(Method::POST, "/master/quota", request)
    }

    /// For no quota.
    pub fn remove_quota(role: &str, is_call: bool) -> Ask {
        if is_call {
            return Ask::call(json!({ "type": "REMOVE_QUOTA", "remove_quota": { "role": role } }));
        }
        Ask::bare(Method::DELETE, format!("/master/quota/{role}"))
    }

    /// For a weight.
    pub fn weight(role: &str, weight: f64, is_call: bool) -> Ask {
        let infos = json!([{ "role": role, "weight": weight }]);
        if is_call {
            return Ask::call(
                json!({ "type": "UPDATE_WEIGHTS", "update_weights": { "weight_infos": infos } }),
            );
        }
        Ask::endpoint(Method::PUT, "/weights", infos)
    }

    /// For what shall become of an agent, whose tasks get so many seconds to end if it is drained.
    pub fn fate(id: &AgentId, fate: Fate, seconds: u64) -> Ask {
        let id = json!({ "value": id.as_str() });
        let drain = |mark_gone: bool| {
            json!({ "type": "DRAIN_AGENT", "drain_agent": {
                "agent_id": id, "max_grace_period": { "seconds": seconds }, "mark_gone": mark_gone
            } })
        };
        Ask::call(match fate {
            Fate::Active => json!({ "type": "REACTIVATE_AGENT", "reactivate_agent": { "agent_id": id } }),
            Fate::Deactivated => {
                json!({ "type": "DEACTIVATE_AGENT", "deactivate_agent": { "agent_id": id } })
            }
            Fate::Drained => drain(false),
            Fate::DrainedAndGone => drain(true),
            Fate::Gone => json!({ "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": id } }),
        })
    }

    /// For the maintenance of machines.
    pub fn schedule(schedule: &Schedule, is_call: bool) -> Ask {
        let schedule = dialect::to_value(schedule);
        if is_call {
            return Ask::call(json!({
                "type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": { "schedule": schedule }
            }));
        }
        Ask::endpoint(Method::POST, "/maintenance/schedule", schedule)
    }

    /// For the beginning of a machine's maintenance.
    pub fn start_maintenance(machine: &v1::MachineId, is_call: bool) -> Ask {
        let machines = json!([dialect::to_value(machine)]);
        if is_call {
            return Ask::call(
                json!({ "type": "START_MAINTENANCE", "start_maintenance": { "machines": machines } }),
            );
        }
        Ask::endpoint(Method::POST, "/machine/down", machines)
    }

    /// For the end of it.
    pub fn stop_maintenance(machine: &v1::MachineId, is_call: bool) -> Ask {
        let machines = json!([dialect::to_value(machine)]);
        if is_call {
            return Ask::call(
                json!({ "type": "STOP_MAINTENANCE", "stop_maintenance": { "machines": machines } }),
            );
        }
        Ask::endpoint(Method::POST, "/machine/up", machines)
    }

    /// For a reservation or a volume, or the end of one.
    pub fn conversion(kind: Conversion, agent: &v1::AgentId, resource: &v1::Resource, is_call: bool) -> Ask {
        let (call, path, list) = match kind {
            Conversion::Reserve => ("RESERVE_RESOURCES", "/master/reserve", "resources"),
            Conversion::Unreserve => ("UNRESERVE_RESOURCES", "/master/unreserve", "resources"),
            Conversion::Create => ("CREATE_VOLUMES", "/master/create-volumes", "volumes"),
            Conversion::Destroy => ("DESTROY_VOLUMES", "/master/destroy-volumes", "volumes"),
        };
        let resources = json!([dialect::to_value(resource)]);
        if !is_call {
            return Ask::form(path, &[("slaveId", &agent.value), (list, &resources.to_string())]);
        }
        let part = json!({ "agent_id": { "value": agent.value }, list: resources });
        Ask::call(json!({ "type": call, call.to_lowercase(): part }))
    }

    /// For a reservation in the place of another one.
    pub fn rename(agent: &v1::AgentId, from: &v1::Resource, to: &v1::Resource, is_call: bool) -> Ask {
        let (source, resources) = (json!([dialect::to_value(from)]), json!([dialect::to_value(to)]));
        if !is_call {
            let (source, resources) = (source.to_string(), resources.to_string());
            let form = [("slaveId", &*agent.value), ("source", &source), ("resources", &resources)];
            return Ask::form("/master/reserve", &form);
        }
        Ask::call(json!({ "type": "RESERVE_RESOURCES", "reserve_resources": {
            "agent_id": { "value": agent.value }, "source": source, "resources": resources
        } }))
    }

    /// For a volume that has this more, or so much less.
    pub fn resize(agent: &v1::AgentId, volume: &v1::Resource, addition: Option<&v1::Resource>) -> Ask {
        let (agent, volume) = (json!({ "value": agent.value }), dialect::to_value(volume));
        Ask::call(match addition {
            Some(addition) => json!({ "type": "GROW_VOLUME", "grow_volume": {
                "agent_id": agent, "volume": volume, "addition": dialect::to_value(addition)
            } }),
            None => json!({ "type": "SHRINK_VOLUME", "shrink_volume": {
                "agent_id": agent, "volume": volume, "subtract": { "value": STEP }
            } }),
        })
    }

    /// For a subscription as a framework of this role.
    pub fn subscription(role: &str) -> Ask {
        let info = json!({
            "user": "nobody", "name": role, "roles": [role], "capabilities": [{ "type": "MULTI_ROLE" }]
        });
        let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info } });
        Ask::endpoint(Method::POST, SCHEDULERS, call)
    }

    /// For the end of a framework.
    pub fn teardown(framework: &FrameworkId, is_call: bool) -> Ask {
        let id = framework.as_str();
        if !is_call {
            return Ask::form("/master/teardown", &[("frameworkId", id)]);
        }
        Ask::call(json!({ "type": "TEARDOWN", "teardown": { "framework_id": { "value": id } } }))
    }

    /// For what is planned.
    pub fn what_is_planned() -> Ask {
        Ask::call(json!({ "type": "GET_MAINTENANCE_SCHEDULE" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_asked_for_what_a_call_asks_for() {
        let (agent, disk) = (v1::AgentId { value: "a-1".into() }, super::super::reserving::disk());
        let ask = |kind, is_call| Ask::conversion(kind, &agent, &disk, is_call);
        let call = ask(Conversion::Create, true);
        assert!(call.is_call());
        let said: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        assert_eq!(said["type"], "CREATE_VOLUMES");
        let form = ask(Conversion::Create, false);
        assert_eq!((form.path.as_str(), form.is_call()), ("/master/create-volumes", false));
        let fields = libprocess::http::Query::parse(std::str::from_utf8(&form.body).unwrap_or_default());
        assert_eq!(fields.get("slaveId"), said["create_volumes"]["agent_id"]["value"].as_str());
        let volumes = fields.get("volumes").and_then(|text| serde_json::from_str::<Value>(text).ok());
        assert_eq!(volumes.as_ref(), said["create_volumes"].get("volumes"));
        let bare = Ask::remove_quota("a", false);
        assert_eq!((bare.method, bare.path.as_str()), (Method::DELETE, "/master/quota/a"));
        let decoded: v1::master::Call = wire::decode(&call.in_protobuf().body).unwrap_or_default();
        assert_eq!(decoded.create_volumes.map(|part| part.agent_id.value), Some("a-1".to_owned()));
        assert_eq!(form.clone().in_protobuf().body, form.body);
    }
}
