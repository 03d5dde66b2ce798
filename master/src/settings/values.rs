//! The types of the master's settings that are not everybody's, and what else is asked of a value.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use allocator::SorterKind;
use election::{EtcdUrl, ZooKeeperUrl};
use mesos::settings::SettingValue;
use mesos::{duration, roles};

/// Less would take agents for lost that only restart (upstream: `MIN_AGENT_REREGISTER_TIMEOUT`).
pub(super) const MIN_AGENT_REREGISTER_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Where the registry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryKind {
    /// Only as long as the process lives.
    InMemory,
    /// In one file in the work directory.
    Local,
    /// In the ZooKeeper that elects the leader.
    ZooKeeper,
    /// In the etcd that elects the leader.
    Etcd,
}

impl RegistryKind {
    /// As `--registry` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InMemory => "in_memory",
            Self::Local => "local",
            Self::ZooKeeper => "zookeeper",
            Self::Etcd => "etcd",
        }
    }
}

/// A part of 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentage(pub f64);

/// So many in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub count: u32,
    /// In this time.
    pub period: Duration,
}

/// Roles, as `--roles` names them: separated by commas, empty places passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleList(pub BTreeSet<String>);

/// Weights of roles.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(pub BTreeMap<String, f64>);

/// See [`allocator::Options::min_allocatable_resources`]; the text is kept for `/flags`.
#[derive(Debug, Clone, PartialEq)]
pub struct MinAllocatable {
    text: String,
    pub(super) quantities: Vec<mesos::ResourceQuantities>,
}

/// The order of roles, or of the frameworks of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SorterChoice(pub SorterKind);

impl SettingValue for SorterChoice {
    const PLACEHOLDER: &'static str = "ORDER";
    const ALLOWED: &'static str = "drf or random";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "drf" => Ok(Self(SorterKind::Drf)),
            "random" => Ok(Self(SorterKind::Random)),
            _ => Err(String::new()),
        }
    }

    fn print(&self) -> Option<String> {
        let name = match self.0 {
            SorterKind::Drf => "drf",
            SorterKind::Random => "random",
        };
        Some(name.to_owned())
    }
}

impl Default for MinAllocatable {
    fn default() -> Self {
        let quantities = allocator::Options::default().min_allocatable_resources;
        Self { text: "cpus:0.01|mem:32".to_owned(), quantities }
    }
}

/// For `--agent_reregister_timeout`.
pub(super) fn at_least_ten_minutes(timeout: &Duration) -> Result<(), String> {
    match *timeout >= MIN_AGENT_REREGISTER_TIMEOUT {
        true => Ok(()),
        false => Err("expected at least 10mins".to_owned()),
    }
}

/// Upstream: `Master::initialize`. An offer that ends as it is made could not be used.
pub(super) fn longer_than_nothing(timeout: Option<Duration>) -> Result<(), String> {
    match timeout {
        Some(Duration::ZERO) => Err("expected more than 0".to_owned()),
        Some(_) | None => Ok(()),
    }
}

impl SettingValue for RegistryKind {
    const PLACEHOLDER: &'static str = "KIND";
    const ALLOWED: &'static str = "in_memory, local, zookeeper or etcd";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "in_memory" => Ok(Self::InMemory),
            "local" => Ok(Self::Local),
            "zookeeper" => Ok(Self::ZooKeeper),
            "etcd" => Ok(Self::Etcd),
            "replicated_log" => Err("there is no replicated log: several masters keep their registry in the \
                                     ZooKeeper or etcd of --zk, which is the default there; a single master uses \
                                     'local'"
                .to_owned()),
            _ => Err(String::new()),
        }
    }

    fn print(&self) -> Option<String> {
        Some(self.name().to_owned())
    }
}

impl SettingValue for Percentage {
    const PLACEHOLDER: &'static str = "PERCENT";
    const ALLOWED: &'static str = "a number from 0% to 100%";

    fn read(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().map_err(|_| String::new())?;
        if (0.0..=100.0).contains(&number) { Ok(Self(number)) } else { Err(String::new()) }
    }

    fn print(&self) -> Option<String> {
        Some(format!("{}%", self.0))
    }
}

impl SettingValue for Rate {
    const PLACEHOLDER: &'static str = "NUMBER/DURATION";
    const ALLOWED: &'static str = "a number and a duration, like 1/10mins";

    fn read(text: &str) -> Result<Self, String> {
        let (count, period) = text.split_once('/').ok_or_else(String::new)?;
        let count = count.trim().parse().map_err(|_| String::new())?;
        let period = duration::parse(period.trim()).map_err(|error| error.to_string())?;
        if count == 0 { Err("the number must not be 0".to_owned()) } else { Ok(Self { count, period }) }
    }

    fn print(&self) -> Option<String> {
        Some(format!("{}/{}", self.count, duration::format(self.period)))
    }
}

/// The URL of a ZooKeeper or an etcd as it was given. It is understood when the master starts, so that no message repeats
/// the password that may be in it; `/flags` shows it without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionText(pub String);

impl ElectionText {
    /// What is kept in the store that elects; `None` where the text is of neither.
    pub(super) fn registry(&self) -> Option<RegistryKind> {
        let scheme = self.0.trim_start().split_once("://")?.0;
        match scheme {
            "zk" => Some(RegistryKind::ZooKeeper),
            "etcd" | "etcds" => Some(RegistryKind::Etcd),
            _ => None,
        }
    }
}

impl SettingValue for ElectionText {
    const PLACEHOLDER: &'static str = "URL";
    const ALLOWED: &'static str = "zk://host1:port1,host2:port2/path or etcd://host1:port1,host2:port2/path";

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn print(&self) -> Option<String> {
        // The files that it may name are not looked at.
        match self.registry()? {
            RegistryKind::Etcd => self.0.parse::<EtcdUrl>().ok().map(|url| url.to_string()),
            _ => self.0.parse::<ZooKeeperUrl>().ok().map(|url| url.to_string()),
        }
    }
}

impl SettingValue for RoleList {
    const PLACEHOLDER: &'static str = "ROLES";
    const ALLOWED: &'static str = "roles separated by commas";

    fn read(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|role| !role.is_empty());
        let list: BTreeSet<String> = items.map(str::to_owned).collect();
        for role in &list {
            roles::validate(role).map_err(|error| error.to_string())?;
        }
        Ok(Self(list))
    }

    fn print(&self) -> Option<String> {
        Some(self.0.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    }
}

impl SettingValue for Weights {
    const PLACEHOLDER: &'static str = "WEIGHTS";
    const ALLOWED: &'static str = "role=weight pairs separated by commas";

    fn read(text: &str) -> Result<Self, String> {
        let mut weights = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (role, weight) = pair.split_once('=').ok_or_else(String::new)?;
            roles::validate(role).map_err(|error| error.to_string())?;
            let weight = weight.parse::<f64>().ok().filter(|weight| weight.is_finite() && *weight > 0.0);
            let weight = weight.ok_or_else(|| format!("the weight of '{role}' must be a positive number"))?;
            if weights.insert(role.to_owned(), weight).is_some() {
                return Err(format!("role '{role}' has two weights"));
            }
        }
        Ok(Self(weights))
    }

    fn print(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(role, weight)| format!("{role}={weight}")).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }
}

impl SettingValue for MinAllocatable {
    const PLACEHOLDER: &'static str = "RESOURCES";
    const ALLOWED: &'static str = "quantities like cpus:0.01|mem:32, or nothing";

    fn read(text: &str) -> Result<Self, String> {
        let quantities = allocator::Options::parse_min_allocatable_resources(text)?;
        Ok(Self { text: text.to_owned(), quantities })
    }

    fn print(&self) -> Option<String> {
        Some(self.text.clone())
    }
}

/// For `--logging_level`.
pub(super) fn level_is_known(level: &str) -> Result<(), String> {
    const LEVELS: [&str; 4] = ["DEBUG", "INFO", "WARNING", "ERROR"];
    if LEVELS.contains(&level) { Ok(()) } else { Err(format!("expected one of {}", LEVELS.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: `RoleTest.Parsing`.
    #[test]
    fn a_list_of_roles_may_have_empty_places_and_no_bad_role() {
        let list = RoleList(["abc", "edf", "hgi"].map(str::to_owned).into());
        for text in ["abc,edf,hgi", "abc,edf,hgi,", ",abc,edf,hgi", "abc,,edf,hgi"] {
            assert_eq!(RoleList::read(text).as_ref(), Ok(&list), "{text}");
        }
        assert!(RoleList::read("foo,.,*").is_err());
    }
}
