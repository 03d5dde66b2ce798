//! What an agent offers: what its operator says, and for the rest what the host has.
//!
//! Upstream: `Containerizer::resources` in `slave/containerizer/containerizer.cpp`.

use std::path::Path;

use libprocess::disk::Disk;
use mesos::internal::ResourceVersionUuid;
use mesos::{ResourceError, Resources};

const MEGABYTE: u64 = 1 << 20;
const GIGABYTE: u64 = 1 << 30;
/// What tasks may listen on, unless the operator says otherwise.
const PORTS: &str = "[31000-32000]";

/// What the host has; what could not be found out is upstream's guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// How many cpus.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the file system that the work directory is on.
    pub disk: u64,
}

impl Host {
    /// Asks the kernel. `work_dir` must exist.
    pub fn probe(disk: &dyn Disk, work_dir: &Path) -> Host {
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
        let info = rustix::system::sysinfo();
        let memory = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
        let disk = disk.usage(work_dir).map_or(20 * GIGABYTE, |usage| usage.total);
        Host { cpus, memory, disk }
    }

    /// Megabytes of memory to offer: all but a gigabyte, of little half.
    fn offered_memory(self) -> u64 {
        let leave = if self.memory >= 2 * GIGABYTE { GIGABYTE } else { self.memory / 2 };
        (self.memory - leave) / MEGABYTE
    }

    /// Megabytes of disk to offer: all but 5 gigabytes, of little half.
    fn offered_disk(self) -> u64 {
        let leave = if self.disk >= 10 * GIGABYTE { 5 * GIGABYTE } else { self.disk / 2 };
        (self.disk - leave) / MEGABYTE
    }
}

/// The resources of an agent.
///
/// # Errors
/// `--resources` cannot be understood.
pub fn resources(given: Option<&str>, default_role: &str, host: Host) -> Result<Resources, ResourceError> {
    let given = given.unwrap_or_default();
    let mut resources = Resources::parse(given, default_role)?;
    // "cpus:0" says that there are none: it is not found on the host. Empty resources vanish from
    // `resources`, so the names are looked for in what was given.
    let named = names(given);
    let found = [
        ("cpus", host.cpus.to_string()),
        ("mem", host.offered_memory().to_string()),
        ("disk", host.offered_disk().to_string()),
        ("ports", PORTS.to_owned()),
    ];
    for (name, value) in found {
        if !named.iter().any(|given| given == name) {
            resources += Resources::parse(&format!("{name}:{value}"), default_role)?;
        }
    }
    Ok(resources)
}

/// The names in a text of resources, in either form.
fn names(given: &str) -> Vec<String> {
    if let Ok(serde_json::Value::Array(list)) = serde_json::from_str(given) {
        let name = |resource: &serde_json::Value| resource.get("name")?.as_str().map(str::to_owned);
        return list.iter().filter_map(name).collect();
    }
    let name = |part: &str| part.split([':', '(']).next().unwrap_or_default().trim().to_owned();
    given.split(';').map(name).collect()
}

/// Whether a master knows the agent's resources as they are: `believed` are the versions that it sends with what it wants
/// done with them. One that does not say is believed.
pub(crate) fn versions_agree(ours: uuid::Uuid, believed: &[ResourceVersionUuid]) -> bool {
    let of_agent = believed.iter().find(|version| version.resource_provider_id.is_none());
    of_agent.is_none_or(|version| version.uuid.value.is_empty() || version.uuid.value == ours.as_bytes())
}

#[cfg(test)]
mod tests {
    use mesos::v1;

    use super::*;

    const HOST: Host = Host { cpus: 2, memory: 8 * GIGABYTE, disk: 100 * GIGABYTE };

    fn text(given: Option<&str>, host: Host) -> String {
        let resources = resources(given, "*", host).unwrap();
        format!(
            "{} {} {} {}",
            resources.scalar("cpus"),
            resources.scalar("mem"),
            resources.scalar("disk"),
            resources.ports().map(|ports| ports.to_string()).unwrap_or_default()
        )
    }

    #[test]
    fn what_is_not_given_is_found_on_the_host() {
        assert_eq!(text(None, HOST), "2 7168 97280 [31000-32000]");
        assert_eq!(text(Some("cpus:4;ports:[1-2]"), HOST), "4 7168 97280 [1-2]");
    }

    #[test]
    fn little_is_halved() {
        let little = Host { cpus: 1, memory: GIGABYTE, disk: 8 * GIGABYTE };
        assert_eq!(text(None, little), "1 512 4096 [31000-32000]");
    }

    #[test]
    fn nothing_is_something_that_was_given() {
        let none = text(Some("cpus:0;mem(role):64;disk:0;ports:[]"), HOST);
        assert_eq!(none, "0 64 0 ");
        assert_eq!(
            text(Some(r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":0}}]"#), HOST),
            "0 7168 97280 [31000-32000]"
        );
    }

    #[test]
    fn this_host_has_something() {
        let host = Host::probe(&libprocess::disk::HostDisk, Path::new("/"));
        assert!(host.cpus > 0 && host.memory > 0 && host.disk > 0, "{host:?}");
    }

    #[test]
    fn a_master_with_an_old_view_of_the_resources_is_recognised() {
        let ours = uuid::Uuid::from_u128(1);
        let version = |uuid: u128| ResourceVersionUuid {
            resource_provider_id: None,
            uuid: v1::Uuid { value: uuid::Uuid::from_u128(uuid).as_bytes().to_vec() },
        };
        assert!(versions_agree(ours, &[]));
        assert!(versions_agree(ours, &[version(1)]));
        assert!(!versions_agree(ours, &[version(2)]));
    }
}
