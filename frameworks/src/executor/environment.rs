//! What an agent tells an executor through its environment, read once into a typed struct.
//!
//! Pure: the binary collects the variables, nobody here reads them. Upstream: `executorEnvironment`
//! in `src/slave/slave.cpp` writes them, `src/executor/executor.cpp` reads them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use libprocess::http::unix_url;
use mesos::{AgentId, ExecutorId, FrameworkId, duration};
use thiserror::Error;

/// The environment of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorEnvironment {
    /// `MESOS_AGENT_ENDPOINT`, else the address in `MESOS_SLAVE_PID`: the agent's `host:port`.
    pub agent_endpoint: String,
    /// The name of the agent's actor in `MESOS_SLAVE_PID`. In a process with other actors, such as upstream's
    /// `mesos-local`, the paths that do not begin with it may be another one's.
    pub agent_actor: Option<String>,
    /// `MESOS_DOMAIN_SOCKET`: the Unix socket that the agent is spoken to through, instead of its address.
    pub domain_socket: Option<String>,
    /// `MESOS_FRAMEWORK_ID`.
    pub framework_id: FrameworkId,
    /// `MESOS_EXECUTOR_ID`.
    pub executor_id: ExecutorId,
    /// `MESOS_SLAVE_ID`.
    pub agent_id: Option<AgentId>,
    /// `MESOS_SANDBOX`, else `MESOS_DIRECTORY`.
    pub sandbox: Option<PathBuf>,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`; 5 s if absent.
    pub shutdown_grace_period: Duration,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`.
    pub authentication_token: Option<String>,
    /// What to do when the agent is gone.
    pub recovery: Recovery,
}

/// What to do when the connection to the agent breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// `MESOS_CHECKPOINT` is not `1`: shut down.
    None,
    /// `MESOS_CHECKPOINT=1`: try to come back.
    Checkpointed {
        /// `MESOS_RECOVERY_TIMEOUT`: shut down when the agent has been gone for so long.
        timeout: Duration,
        /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`, but 100 ms if that is shorter: between tries, a random part of half of it
        /// passes.
        backoff_max: Duration,
    },
}

impl Recovery {
    /// No attempt to come back waits for longer. An agent that is back kills who was not heard within `backoff_max`: the
    /// other half is for asking, and for an agent that has many to hear. (Upstream's library may wait for all of it.)
    pub(super) fn longest_wait(self) -> Duration {
        match self {
            Recovery::None => Duration::MAX,
            Recovery::Checkpointed { backoff_max, .. } => backoff_max / 2,
        }
    }
}

/// An environment that is not an executor's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EnvironmentError {
    /// A variable is missing.
    #[error("expecting '{0}' to be set in the environment: an executor is started by an agent")]
    Missing(&'static str),
    /// A variable has a value that is not understood.
    #[error("cannot read the environment variable {name}='{value}': expecting {expected}")]
    Bad {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// An agent with `--executor_reregistration_timeout=0ns` says 0: the executor would ask all the time, until the agent is
/// back. (Upstream's does.)
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);

impl ExecutorEnvironment {
    /// The URL of the executor API. `scheme` is how the agent's port is spoken to: `http` or `https`.
    pub fn url(&self, scheme: &str) -> String {
        match (&self.domain_socket, &self.agent_actor) {
            // Nothing is served on it but what begins with the name of the agent's actor.
            (Some(socket), actor) => {
                let actor = actor.as_deref().unwrap_or("slave(1)");
                unix_url(socket, &format!("/{actor}/api/v1/executor"))
            }
            (None, Some(actor)) => format!("{scheme}://{}/{actor}/api/v1/executor", self.agent_endpoint),
            (None, None) => format!("{scheme}://{}/api/v1/executor", self.agent_endpoint),
        }
    }

    /// Reads the variables; those of others are ignored.
    ///
    /// # Errors
    /// When a required variable is missing, or one cannot be read.
    pub fn from_map(variables: &BTreeMap<String, String>) -> Result<Self, EnvironmentError> {
        let get = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let need = |name| get(name).ok_or(EnvironmentError::Missing(name));
        let period = |name| get(name).map(|value| read_duration(name, value)).transpose();
        let recovery = if get("MESOS_CHECKPOINT").is_some_and(|value| value == "1") {
            let needed = |name| period(name)?.ok_or(EnvironmentError::Missing(name));
            Recovery::Checkpointed {
                timeout: needed("MESOS_RECOVERY_TIMEOUT")?,
                backoff_max: needed("MESOS_SUBSCRIPTION_BACKOFF_MAX")?.max(SHORTEST_BACKOFF),
            }
        } else {
            Recovery::None
        };
        Ok(ExecutorEnvironment {
            agent_endpoint: match get("MESOS_AGENT_ENDPOINT") {
                Some(endpoint) => endpoint.clone(),
                None => endpoint_of_pid(need("MESOS_SLAVE_PID")?)?,
            },
            agent_actor: get("MESOS_SLAVE_PID").and_then(|pid| actor_of_pid(pid)),
            domain_socket: get("MESOS_DOMAIN_SOCKET").cloned(),
            framework_id: need("MESOS_FRAMEWORK_ID")?.as_str().into(),
            executor_id: need("MESOS_EXECUTOR_ID")?.as_str().into(),
            agent_id: get("MESOS_SLAVE_ID").map(|id| id.as_str().into()),
            sandbox: get("MESOS_SANDBOX").or_else(|| get("MESOS_DIRECTORY")).map(PathBuf::from),
            shutdown_grace_period: period("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD")?.unwrap_or(DEFAULT_GRACE),
            authentication_token: get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN").cloned(),
            recovery,
        })
    }
}

fn read_duration(name: &'static str, value: &str) -> Result<Duration, EnvironmentError> {
    duration::parse(value).map_err(|_| EnvironmentError::Bad {
        name,
        value: value.to_owned(),
        expected: "a duration such as 5secs",
    })
}

fn endpoint_of_pid(pid: &str) -> Result<String, EnvironmentError> {
    let endpoint = pid.split_once('@').map(|(_, endpoint)| endpoint.to_owned());
    endpoint.ok_or_else(|| EnvironmentError::Bad {
        name: "MESOS_SLAVE_PID",
        value: pid.to_owned(),
        expected: "slave(1)@ip:port",
    })
}

fn actor_of_pid(pid: &str) -> Option<String> {
    let (actor, _) = pid.split_once('@')?;
    (!actor.is_empty()).then(|| actor.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let upstream = [
            ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
            ("MESOS_FRAMEWORK_ID", "f"),
            ("MESOS_EXECUTOR_ID", "e"),
            ("MESOS_SLAVE_ID", "s"),
            ("MESOS_DIRECTORY", "/sandbox"),
            ("MESOS_CHECKPOINT", "0"),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "3secs"),
            ("PATH", "/bin"),
        ];
        upstream.iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn an_agents_environment_is_read() {
        let env = ExecutorEnvironment::from_map(&variables(&[])).unwrap();
        assert_eq!(env.agent_endpoint, "127.0.0.1:5051");
        assert_eq!(env.framework_id.as_str(), "f");
        assert_eq!(env.executor_id.as_str(), "e");
        assert_eq!(env.shutdown_grace_period, Duration::from_secs(3));
        assert_eq!(env.sandbox, Some("/sandbox".into()));
        assert_eq!(env.recovery, Recovery::None);
    }

    #[test]
    fn the_endpoint_comes_before_the_pid() {
        let env = ExecutorEnvironment::from_map(&variables(&[("MESOS_AGENT_ENDPOINT", "host:1")])).unwrap();
        assert_eq!(env.agent_endpoint, "host:1");
    }

    #[test]
    fn the_socket_comes_before_the_endpoint() {
        let env = ExecutorEnvironment::from_map(&variables(&[])).unwrap();
        assert_eq!(env.url("https"), "https://127.0.0.1:5051/slave(1)/api/v1/executor");
        let env =
            ExecutorEnvironment::from_map(&variables(&[("MESOS_DOMAIN_SOCKET", "/run/a.sock")])).unwrap();
        assert_eq!(env.url("https"), "http+unix://%2Frun%2Fa%2Esock/slave(1)/api/v1/executor");
    }

    #[test]
    fn the_agents_actor_is_addressed_by_its_name_if_that_is_known() {
        let mut second = variables(&[("MESOS_SLAVE_PID", "slave(2)@127.0.0.1:5051")]);
        let env = ExecutorEnvironment::from_map(&second).unwrap();
        assert_eq!(env.url("http"), "http://127.0.0.1:5051/slave(2)/api/v1/executor");
        second.insert("MESOS_AGENT_ENDPOINT".into(), "host:1".into());
        let env = ExecutorEnvironment::from_map(&second).unwrap();
        assert_eq!(env.url("http"), "http://host:1/slave(2)/api/v1/executor");
        second.remove("MESOS_SLAVE_PID");
        let env = ExecutorEnvironment::from_map(&second).unwrap();
        assert_eq!(env.url("http"), "http://host:1/api/v1/executor");
    }

    #[test]
    fn a_checkpointing_executor_must_be_told_how_long_to_wait() {
        let missing = ExecutorEnvironment::from_map(&variables(&[("MESOS_CHECKPOINT", "1")]));
        assert_eq!(missing, Err(EnvironmentError::Missing("MESOS_RECOVERY_TIMEOUT")));
        // It does not ask without a pause, whatever the agent says.
        for (backoff, millis) in [("2secs", 2000), ("150ms", 150), ("0ns", 100)] {
            let env = ExecutorEnvironment::from_map(&variables(&[
                ("MESOS_CHECKPOINT", "1"),
                ("MESOS_RECOVERY_TIMEOUT", "15mins"),
                ("MESOS_SUBSCRIPTION_BACKOFF_MAX", backoff),
            ]));
            let expected = Recovery::Checkpointed {
                timeout: Duration::from_secs(900),
                backoff_max: Duration::from_millis(millis),
            };
            let recovery = env.unwrap().recovery;
            assert_eq!(recovery, expected);
            assert_eq!(recovery.longest_wait(), Duration::from_millis(millis / 2));
        }
    }

    #[test]
    fn an_error_names_the_variable() {
        let error = ExecutorEnvironment::from_map(&BTreeMap::new()).unwrap_err();
        assert_eq!(error, EnvironmentError::Missing("MESOS_SLAVE_PID"));
        let bad = variables(&[("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "soon")]);
        let error = ExecutorEnvironment::from_map(&bad).unwrap_err().to_string();
        assert!(error.contains("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD='soon'"), "{error}");
    }
}
