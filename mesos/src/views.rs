//! The JSON of tasks, executors and agents that `/state` and its like show: upstream's oldest API.
//!
//! It is not the protobufs' JSON: ids are plain strings, resources are sums by name, and what is shown was
//! chosen field by field. Master and agent show the same things, so their form has this one place. Each view
//! borrows what it shows and is serialised with serde; the order of the fields is upstream's
//! (`src/common/http.cpp`).

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::json::Double;
/// Resources as sums by name, always with `cpus`, `disk`, `gpus` and `mem`.
pub use crate::resources::Summary as Sums;
use crate::resources::to_endpoint;
use crate::{Attributes, Enum, ResourceLimits, ResourceQuantities, Resources, v1};

/// Each resource as it is in the protocol, with the old fields for reservations beside the new ones
/// (upstream's "endpoint" format).
#[derive(Debug, Clone, Copy)]
pub struct Full<'a>(pub &'a Resources);

impl Serialize for Full<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut protos = self.0.to_protos();
        protos.iter_mut().for_each(to_endpoint);
        protos.serialize(serializer)
    }
}

/// Quantities by name; those that are there.
#[derive(Debug, Clone)]
pub struct Quantities(pub ResourceQuantities);

impl Serialize for Quantities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, amount)| (name, amount.to_f64())))
    }
}

/// Limits by name; those that are there, which may be 0.
#[derive(Debug, Clone)]
pub struct Limits(pub ResourceLimits);

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, limit)| (name, limit.to_f64())))
    }
}

/// The reservations of `resources` as sums.
#[must_use]
pub fn reserved(resources: &Resources) -> impl Serialize {
    struct Reserved(BTreeMap<String, Resources>);
    impl Serialize for Reserved {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(role, part)| (role, Sums(part))))
        }
    }
    Reserved(resources.reservations())
}

/// The reservations of `resources`, each resource whole.
#[must_use]
pub fn reserved_full(resources: &Resources) -> BTreeMap<String, Vec<v1::Resource>> {
    let endpoint = |part: Resources| {
        let mut protos = part.to_protos();
        protos.iter_mut().for_each(to_endpoint);
        protos
    };
    resources.reservations().into_iter().map(|(role, part)| (role, endpoint(part))).collect()
}

/// Attributes by name: numbers, or ranges and texts as text. One that is none hides no other.
#[must_use]
pub fn attributes(attributes: &[v1::Attribute]) -> impl Serialize {
    Attributes::from_valid_protos(attributes).summary()
}

/// Names of enum values that came over the wire; unknown ones are left out.
#[must_use]
pub fn names<E: Enum>(values: impl IntoIterator<Item = i32>) -> Vec<&'static str> {
    values.into_iter().filter_map(name::<E>).collect()
}

/// Name of one enum value, if it is known.
#[must_use]
pub fn name<E: Enum>(value: i32) -> Option<&'static str> {
    E::try_from(value).ok().map(Enum::name)
}

/// A time as seconds since 1970, as upstream writes it.
#[must_use]
pub fn seconds(time: std::time::SystemTime) -> f64 {
    time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A task.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    proto: &'a v1::Task,
    resources: Resources,
}

impl<'a> Task<'a> {
    /// A task.
    pub fn of(proto: &'a v1::Task) -> Self {
        Self { proto, resources: Resources::from_valid_protos(&proto.resources) }
    }

    /// A task whose resources were read before.
    pub fn with(proto: &'a v1::Task, resources: Resources) -> Self {
        Self { proto, resources }
    }
}

impl Serialize for Task<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.proto;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &task.task_id.value)?;
        map.serialize_entry("name", &task.name)?;
        map.serialize_entry("framework_id", &task.framework_id.value)?;
        map.serialize_entry("executor_id", task.executor_id.as_ref().map_or("", |id| &id.value))?;
        map.serialize_entry("slave_id", &task.agent_id.value)?;
        map.serialize_entry("state", &name::<v1::TaskState>(task.state))?;
        map.serialize_entry("resources", &Sums(&self.resources))?;
        if !task.limits.is_empty() {
            let limits: BTreeMap<_, _> =
                task.limits.iter().map(|(name, limit)| (name, Double(limit.value))).collect();
            map.serialize_entry("limits", &limits)?;
        }
        map.serialize_entry("role", role(&task.resources))?;
        let statuses: Vec<_> = task.statuses.iter().map(Status).collect();
        map.serialize_entry("statuses", &statuses)?;
        optional(&mut map, "user", task.user.as_ref())?;
        optional(&mut map, "labels", task.labels.as_ref().map(v1::Labels::list))?;
        optional(&mut map, "discovery", task.discovery.as_ref())?;
        optional(&mut map, "container", task.container.as_ref())?;
        optional(&mut map, "health_check", task.health_check.as_ref())?;
        map.end()
    }
}

/// The role that a task's or executor's resources are allocated to: all of them to the same one.
fn role(resources: &[v1::Resource]) -> &str {
    let allocation = resources.first().and_then(|resource| resource.allocation_info.as_ref());
    allocation.and_then(|allocation| allocation.role.as_deref()).unwrap_or_default()
}

/// Writes a field that is there only if it has a value.
pub fn optional<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

/// One status of a task.
#[derive(Debug, Clone, Copy)]
pub struct Status<'a>(pub &'a v1::TaskStatus);

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("state", &name::<v1::TaskState>(status.state))?;
        map.serialize_entry("timestamp", &status.timestamp.unwrap_or_default())?;
        optional(&mut map, "labels", status.labels.as_ref().map(v1::Labels::list))?;
        optional(&mut map, "container_status", status.container_status.as_deref().map(ContainerStatus))?;
        optional(&mut map, "healthy", status.healthy)?;
        map.end()
    }
}

struct ContainerStatus<'a>(&'a v1::ContainerStatus);

impl Serialize for ContainerStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = self.0;
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "container_id", status.container_id.as_ref())?;
        if !status.network_infos.is_empty() {
            let networks: Vec<_> = status.network_infos.iter().map(Network).collect();
            map.serialize_entry("network_infos", &networks)?;
        }
        optional(&mut map, "cgroup_info", status.cgroup_info.as_ref())?;
        map.end()
    }
}

struct Network<'a>(&'a v1::NetworkInfo);

impl Serialize for Network<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let network = self.0;
        let some = |empty: bool| if empty { None } else { Some(()) };
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "groups", some(network.groups.is_empty()).map(|()| &network.groups))?;
        optional(&mut map, "labels", network.labels.as_ref().map(v1::Labels::list))?;
        let addresses = &network.ip_addresses;
        optional(&mut map, "ip_addresses", some(addresses.is_empty()).map(|()| addresses))?;
        optional(&mut map, "name", network.name.as_ref())?;
        let ports = &network.port_mappings;
        optional(&mut map, "port_mappings", some(ports.is_empty()).map(|()| ports))?;
        map.end()
    }
}

/// A command.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a>(pub &'a v1::CommandInfo);

impl Serialize for Command<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Uri<'a> {
            value: &'a str,
            executable: bool,
        }
        let command = self.0;
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "shell", command.shell)?;
        optional(&mut map, "value", command.value.as_ref())?;
        map.serialize_entry("argv", &command.arguments)?;
        optional(&mut map, "environment", command.environment.as_ref())?;
        let uris = command.uris.iter();
        let uris: Vec<_> =
            uris.map(|uri| Uri { value: &uri.value, executable: uri.executable.unwrap_or(false) }).collect();
        map.serialize_entry("uris", &uris)?;
        map.end()
    }
}

/// An executor, with the agent that it runs on where that is not clear from the place.
#[derive(Debug, Clone, Copy)]
pub struct Executor<'a> {
    /// As its framework described it.
    pub info: &'a v1::ExecutorInfo,
    /// Shown as `slave_id`.
    pub agent: Option<&'a str>,
}

impl Serialize for Executor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = self.info;
        let resources = Resources::from_valid_protos(&info.resources);
        let unset = v1::CommandInfo::default();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("executor_id", &info.executor_id.value)?;
        map.serialize_entry("name", info.name.as_deref().unwrap_or_default())?;
        map.serialize_entry("framework_id", info.framework_id.as_ref().map_or("", |id| &id.value))?;
        map.serialize_entry("command", &Command(info.command.as_ref().unwrap_or(&unset)))?;
        map.serialize_entry("resources", &Sums(&resources))?;
        if !info.resources.is_empty() {
            map.serialize_entry("role", role(&info.resources))?;
        }
        optional(&mut map, "labels", info.labels.as_ref().map(v1::Labels::list))?;
        optional(&mut map, "type", info.r#type.and_then(name::<v1::executor_info::Type>))?;
        optional(&mut map, "slave_id", self.agent)?;
        map.end()
    }
}

/// A master, as `/state` names the leader.
#[derive(Debug, Clone, Copy)]
pub struct Leader<'a>(pub &'a v1::MasterInfo);

impl Serialize for Leader<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &info.id)?;
        map.serialize_entry("pid", info.pid.as_deref().unwrap_or_default())?;
        map.serialize_entry("port", &info.port)?;
        map.serialize_entry("hostname", info.hostname.as_deref().unwrap_or_default())?;
        optional(&mut map, "domain", info.domain.as_ref())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn json(view: impl Serialize) -> Value {
        serde_json::to_value(view).unwrap()
    }

    /// Upstream: `MasterSlaveReconciliationTest.SlaveReregisterTaskExecutorIds`; `HTTPTest.ModelTask`,
    /// `HTTP.SerializeNetworkInfo`.
    #[test]
    fn a_task_looks_as_genuine_mesos_shows_it() {
        // From a recorded /tasks of upstream.
        let shown = json!({
            "id": "sleep3", "name": "sleep3", "framework_id": "f-0007", "executor_id": "", "slave_id": "f-S0",
            "state": "TASK_RUNNING", "resources": {"disk": 0.0, "mem": 32.0, "gpus": 0.0, "cpus": 0.5}, "role": "*",
            "statuses": [{"state": "TASK_STARTING", "timestamp": 1795469073.5, "container_status": {
                "container_id": {"value": "c"},
                "network_infos": [{"ip_addresses": [{"protocol": "IPv4", "ip_address": "127.0.0.1"}],
                    "groups": ["foo", "bar"]}]}}],
            "labels": [{"key": "k", "value": "v"}]});
        let proto = json!({
            "task_id": {"value": "sleep3"}, "name": "sleep3", "framework_id": {"value": "f-0007"},
            "agent_id": {"value": "f-S0"}, "state": "TASK_RUNNING",
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}, "allocation_info": {"role": "*"}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}, "allocation_info": {"role": "*"}}],
            "statuses": [{"task_id": {"value": "sleep3"}, "state": "TASK_STARTING", "timestamp": 1795469073.5,
                "container_status": {"container_id": {"value": "c"},
                    "network_infos": [{"ip_addresses": [{"protocol": "IPv4", "ip_address": "127.0.0.1"}],
                        "groups": ["foo", "bar"]}]}}],
            "labels": {"labels": [{"key": "k", "value": "v"}]}});
        let task: v1::Task = crate::json::from_slice(proto.to_string().as_bytes()).unwrap();
        assert_eq!(json(Task::of(&task)), shown);
    }

    /// Upstream: `HTTPTest.ModelTask`.
    #[test]
    fn a_limit_is_a_number_or_says_that_there_is_none() {
        let limits = [("cpus", 1.0), ("mem", f64::INFINITY)];
        let limits = limits.map(|(name, value)| (name.to_owned(), v1::value::Scalar { value }));
        let task = v1::Task { limits: limits.into(), ..Default::default() };
        assert_eq!(json(Task::of(&task))["limits"], json!({ "cpus": 1.0, "mem": "Infinity" }));
    }

    #[test]
    fn an_executor_has_a_role_only_with_resources() {
        let mut info = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            command: Some(v1::CommandInfo { value: Some("run".into()), ..Default::default() }),
            ..Default::default()
        };
        let shown = json(Executor { info: &info, agent: Some("S0") });
        assert_eq!(shown["role"], Value::Null);
        assert_eq!(shown["slave_id"], "S0");
        assert_eq!(shown["command"], json!({"value": "run", "argv": [], "uris": []}));
        info.resources = Resources::parse("cpus:1", "*").unwrap().allocated_to("a/b").to_protos();
        info.r#type = Some(v1::executor_info::Type::Custom as i32);
        let shown = json(Executor { info: &info, agent: None });
        assert_eq!((&shown["role"], &shown["type"]), (&json!("a/b"), &json!("CUSTOM")));
        assert_eq!(shown["slave_id"], Value::Null);
    }

    #[test]
    fn an_attribute_that_is_none_hides_no_other() {
        let mut protos = Attributes::parse("rack:r1;ports:[1-3];level:2").unwrap().to_protos();
        let ports = protos[1].ranges.as_mut().unwrap();
        (ports.range[0].begin, ports.range[0].end) = (3, 1);
        assert_eq!(json(attributes(&protos)), json!({ "rack": "r1", "level": 2.0 }));
    }

    /// Upstream: `ReservationEndpointsTest.AgentStateEndpointResources`; `HTTP.ModelRoleResources`.
    #[test]
    fn reservations_are_shown_by_role() {
        let resources = Resources::parse("cpus(ads):2;cpus:1", "*").unwrap();
        assert_eq!(json(reserved(&resources))["ads"]["cpus"], 2.0);
        assert_eq!(reserved_full(&resources)["ads"].len(), 1);
        assert_eq!(json(Full(&resources.unreserved()))[0]["role"], "*");
    }
}
