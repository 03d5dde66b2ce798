//! The types of the agent's settings that are not everybody's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use election::MasterUrl;
use libprocess::http::MAX_SOCKET_PATH;
use mesos::settings::SettingValue;
use serde_json::Value;

use crate::recovery::compatible::Policy;

/// What to do with executors from before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recover {
    /// Wait for them to subscribe again.
    Reconnect,
    /// End them, and then the agent.
    Cleanup,
}

/// What runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containers {
    /// Processes of this host.
    Mesos,
    /// Nothing: tasks end by the clock.
    Simulated,
}

/// The path of a Unix socket.
pub(super) fn socket(path: Option<&Path>) -> Result<(), String> {
    match path {
        Some(path) if path.to_string_lossy().starts_with("systemd:") => {
            Err("a path; sockets of systemd are not taken over".to_owned())
        }
        Some(path) if !path.is_absolute() => Err("an absolute path".to_owned()),
        Some(path) if path.as_os_str().len() >= MAX_SOCKET_PATH => {
            Err(format!("a path of less than {MAX_SOCKET_PATH} bytes"))
        }
        _ => Ok(()),
    }
}

/// Names of one value each.
macro_rules! choice {
    ($type:ty, $allowed:literal, $($value:path = $name:literal),+) => {
        impl SettingValue for $type {
            const PLACEHOLDER: &'static str = "CHOICE";
            const ALLOWED: &'static str = $allowed;

            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok($value),)+
                    _ => Err(String::new()),
                }
            }

            fn print(&self) -> Option<String> {
                Some(match self { $($value => $name,)+ }.to_owned())
            }
        }
    };
}

choice!(Recover, "reconnect or cleanup", Recover::Reconnect = "reconnect", Recover::Cleanup = "cleanup");
choice!(Policy, "equal or additive", Policy::Equal = "equal", Policy::Additive = "additive");
choice!(
    Containers,
    "mesos, or simulated for tests (docker containers are not there)",
    Containers::Mesos = "mesos",
    Containers::Simulated = "simulated"
);

/// Where the masters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Understood.
    pub url: MasterUrl,
    text: String,
}

impl SettingValue for Master {
    const PLACEHOLDER: &'static str = "MASTER";
    const ALLOWED: &'static str =
        "host:port, zk://host1:port1,host2:port2/path, etcd://host1:port1,host2:port2/path, or file:///path";
    /// The file may change: its content is not the value.
    const FROM_FILE: bool = false;

    fn read(text: &str) -> Result<Self, String> {
        let url = text.parse().map_err(|error: election::UrlError| error.to_string())?;
        Ok(Master { url, text: text.trim().to_owned() })
    }

    fn print(&self) -> Option<String> {
        Some(match &self.url {
            // Without the password that may be in it: anybody may ask for `/flags`.
            url @ (MasterUrl::ZooKeeper(_) | MasterUrl::Etcd(_) | MasterUrl::Group(_)) => url.to_string(),
            MasterUrl::Standalone(_) | MasterUrl::File(_) => self.text.clone(),
        })
    }
}

impl From<MasterUrl> for Master {
    fn from(url: MasterUrl) -> Self {
        Master { text: url.to_string(), url }
    }
}

/// Variables of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(pub BTreeMap<String, String>);

impl SettingValue for Variables {
    const PLACEHOLDER: &'static str = "JSON";
    const ALLOWED: &'static str = "a JSON object of texts, or /path or file:///path of a file with it";
    const IS_JSON: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Value::Object(fields) = value else { return Err(String::new()) };
        let mut variables = BTreeMap::new();
        for (name, value) in fields {
            let Value::String(value) = value else {
                return Err(format!("the value of '{name}' is not a text"));
            };
            variables.insert(name, value);
        }
        Ok(Variables(variables))
    }

    fn print(&self) -> Option<String> {
        serde_json::to_string(&self.0).ok()
    }
}

/// Checks that a text, if there is one, is an IP address.
pub(super) fn address(text: Option<&str>) -> Result<(), String> {
    match text.map(str::parse::<IpAddr>) {
        Some(Err(_)) => Err("expected an IP address, like 10.0.0.1".to_owned()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Checks that a text is one of those.
pub(super) fn one_of(text: &str, allowed: &[&str]) -> Result<(), String> {
    if allowed.contains(&text) { Ok(()) } else { Err(format!("expected {}", allowed.join(", "))) }
}

/// Checks that each part of a list is one of those.
pub(super) fn each_of(list: &str, allowed: &[&str]) -> Result<(), String> {
    match list.split(',').find(|part| !allowed.contains(part)) {
        Some(part) => Err(format!("'{part}' is not there; expected some of {}", allowed.join(", "))),
        None => Ok(()),
    }
}
