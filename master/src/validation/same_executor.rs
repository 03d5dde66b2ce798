//! Whether two descriptions are of one executor (upstream: `operator==` of `ExecutorInfo` and what it is made of, in
//! `common/type_utils.cpp`).
//!
//! Schedulers make descriptions anew for each task, often from maps: lists may come in any order, and what is left out is
//! its default. Some things do not count, as in upstream: labels and the grace period of the executor; `cache` of a URI;
//! type and secret of a variable; of a container all but its type, host name, volumes and Docker part. An executor that
//! runs keeps what it was started with.

use mesos::labels::Labels;
use mesos::v1::{
    CommandInfo, ContainerInfo, DiscoveryInfo, Environment, ExecutorInfo, Parameter, Port, Volume,
    command_info::Uri, container_info::DockerInfo, container_info::docker_info::PortMapping,
    environment::Variable,
};

/// Whether they are the same beside their resources.
pub(super) fn is_same_but_resources(one: &ExecutorInfo, other: &ExecutorInfo) -> bool {
    described(one) == described(other)
}

fn described(info: &ExecutorInfo) -> impl PartialEq + use<> {
    let executor = (info.r#type, info.executor_id.clone(), info.framework_id.clone());
    let texts = (info.data().to_vec(), info.name().to_owned(), info.source().to_owned());
    let command = command(info.command.as_ref().unwrap_or(&CommandInfo::default()));
    let container = container(info.container.as_ref().unwrap_or(&ContainerInfo::default()));
    let discovery = discovery(info.discovery.as_ref().unwrap_or(&DiscoveryInfo::default()));
    (executor, texts, command, container, discovery)
}

fn command(info: &CommandInfo) -> impl PartialEq + use<> {
    let uri = |uri: &Uri| (uri.value.clone(), uri.executable(), uri.extract(), uri.output_file().to_owned());
    let variable = |variable: &Variable| (variable.name.clone(), variable.value().to_owned());
    let variables = info.environment.as_ref().map_or(&[][..], |Environment { variables }| variables);
    let what = (info.value().to_owned(), info.arguments.clone(), info.shell(), info.user().to_owned());
    (what, sorted(&info.uris, uri), sorted(variables, variable))
}

fn container(info: &ContainerInfo) -> impl PartialEq + use<> {
    let volume =
        |volume: &Volume| (volume.container_path.clone(), volume.host_path().to_owned(), volume.mode);
    let docker = docker(info.docker.as_ref().unwrap_or(&DockerInfo::default()));
    (info.r#type, info.hostname().to_owned(), sorted(&info.volumes, volume), docker)
}

fn docker(info: &DockerInfo) -> impl PartialEq + use<> {
    let mapping = |port: &PortMapping| (port.host_port, port.container_port, port.protocol().to_owned());
    let parameter = |parameter: &Parameter| (parameter.key.clone(), parameter.value.clone());
    let flags = (info.network() as i32, info.privileged(), info.force_pull_image());
    (info.image.clone(), flags, sorted(&info.port_mappings, mapping), sorted(&info.parameters, parameter))
}

fn discovery(info: &DiscoveryInfo) -> impl PartialEq + use<> {
    let port = |port: &Port| {
        (port.number, port.name().to_owned(), port.protocol().to_owned(), port.visibility() as i32)
    };
    let ports = info.ports.as_ref().map_or(&[][..], |ports| &ports.ports);
    let texts = [info.name(), info.environment(), info.location(), info.version()].map(str::to_owned);
    (info.visibility, texts, sorted(ports, port), labels(info.labels.as_ref()))
}

fn labels(labels: Option<&Labels>) -> Vec<(String, String)> {
    let pairs = labels.into_iter().flat_map(Labels::iter);
    let mut pairs: Vec<_> =
        pairs.map(|label| (label.key.to_owned(), label.value.unwrap_or_default().to_owned())).collect();
    pairs.sort_unstable();
    pairs
}

/// What counts of each, in an order that does not depend on theirs.
fn sorted<T, K: Ord>(list: &[T], key: impl Fn(&T) -> K) -> Vec<K> {
    let mut keys: Vec<K> = list.iter().map(key).collect();
    keys.sort_unstable();
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn info(value: &Value) -> ExecutorInfo {
        mesos::json::from_slice(value.to_string().as_bytes()).unwrap()
    }

    fn full() -> Value {
        json!({
            "type": "CUSTOM",
            "executor_id": { "value": "e" },
            "framework_id": { "value": "f" },
            "name": "n",
            "labels": { "labels": [{ "key": "team", "value": "a" }] },
            "shutdown_grace_period": { "nanoseconds": 5 },
            "command": {
                "value": "run",
                "uris": [{ "value": "http://one", "cache": true }, { "value": "http://two" }],
                "environment": { "variables": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] },
                "arguments": ["x", "y"]
            },
            "container": {
                "type": "MESOS",
                "hostname": "h",
                "volumes": [
                    { "mode": "RW", "container_path": "p", "host_path": "/p" },
                    { "mode": "RO", "container_path": "q" }
                ]
            },
            "discovery": {
                "visibility": "CLUSTER",
                "name": "d",
                "ports": { "ports": [{ "number": 1, "name": "a" }, { "number": 2 }] },
                "labels": { "labels": [{ "key": "k", "value": "v" }, { "key": "l" }] }
            }
        })
    }

    fn with(path: &str, value: Value) -> ExecutorInfo {
        let mut changed = full();
        *changed.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        info(&changed)
    }

    fn reversed(path: &str) -> ExecutorInfo {
        let mut changed = full();
        changed.pointer_mut(path).unwrap().as_array_mut().unwrap().reverse();
        info(&changed)
    }

    #[test]
    fn order_does_not_matter_but_for_arguments() {
        for path in [
            "/command/uris",
            "/command/environment/variables",
            "/container/volumes",
            "/discovery/ports/ports",
            "/discovery/labels/labels",
        ] {
            assert!(is_same_but_resources(&info(&full()), &reversed(path)), "{path}");
        }
        assert!(!is_same_but_resources(&info(&full()), &reversed("/command/arguments")));
    }

    #[test]
    fn what_upstream_does_not_compare_may_change_and_defaults_may_be_left_out() {
        let same = |other: &ExecutorInfo| is_same_but_resources(&info(&full()), other);
        assert!(same(&with("/labels", json!({ "labels": [] }))));
        assert!(same(&with("/shutdown_grace_period", json!({ "nanoseconds": 6 }))));
        assert!(same(&with("/command/uris/0/cache", json!(false))));
        let mut spelled_out = full();
        spelled_out["command"]["shell"] = json!(true);
        spelled_out["command"]["uris"][0]["extract"] = json!(true);
        spelled_out["source"] = json!("");
        spelled_out["container"]["mesos"] = json!({});
        assert!(same(&info(&spelled_out)));
        let bare = json!({ "executor_id": { "value": "e" } });
        let empty =
            json!({ "executor_id": { "value": "e" }, "command": { "environment": { "variables": [] } } });
        assert!(is_same_but_resources(&info(&bare), &info(&empty)));
        // The type alone has no default.
        let mut untyped = full();
        untyped.as_object_mut().unwrap().remove("type");
        assert!(!same(&info(&untyped)));
    }

    #[test]
    fn everything_else_counts() {
        for (path, value) in [
            ("/executor_id/value", json!("other")),
            ("/framework_id/value", json!("other")),
            ("/name", json!("other")),
            ("/command/value", json!("other")),
            ("/command/uris/1/value", json!("http://other")),
            ("/command/environment/variables/1/value", json!("3")),
            ("/command/environment/variables", json!([{ "name": "A", "value": "1" }])),
            ("/container/type", json!("DOCKER")),
            ("/container/hostname", json!("other")),
            ("/container/volumes/1/mode", json!("RW")),
            ("/discovery/visibility", json!("EXTERNAL")),
            ("/discovery/ports/ports/0/name", json!("other")),
            ("/discovery/labels/labels/1/key", json!("other")),
        ] {
            assert!(!is_same_but_resources(&info(&full()), &with(path, value)), "{path}");
        }
    }
}
