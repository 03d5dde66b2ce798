//! The variables that every executor finds in its environment.
//!
//! Pure. Upstream: `executorEnvironment` in `slave/slave.cpp`; what they mean for an executor is in
//! upstream's `docs/executor-http-api.md`. The executor's own `CommandInfo.environment` comes on top
//! (the containerizer adds it).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use libprocess::Pid;
use mesos::{AgentId, duration, v1};

/// What the variables are made of.
pub struct Facts<'a> {
    /// What every executor finds: `--executor_environment_variables`. Nothing of the agent's own environment, in
    /// which there may be secrets.
    pub common: &'a BTreeMap<String, String>,
    /// `LIBPROCESS_IP` of the agent itself, where it has one.
    pub libprocess_ip: Option<&'a str>,
    /// Which executor, of which framework.
    pub executor: &'a v1::ExecutorInfo,
    /// Its sandbox.
    pub directory: &'a Path,
    /// The agent.
    pub agent: &'a AgentId,
    /// Its actor, and so its address.
    pub pid: &'a Pid,
    /// The Unix socket that executors speak to the agent through, where there is one.
    pub domain_socket: Option<&'a Path>,
    /// Whether its framework checkpoints.
    pub checkpoint: bool,
    /// Whether a command executor is to speak HTTP: what `--http_command_executor` says, and always to one of the agent's.
    pub http_command_executor: bool,
    /// `--executor_shutdown_grace_period`.
    pub shutdown_grace_period: Duration,
    /// `--recovery_timeout`.
    pub recovery_timeout: Duration,
    /// `--executor_reregistration_timeout`: no attempt to subscribe again may wait longer.
    pub reregistration_timeout: Duration,
}

/// The variables.
pub fn environment(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        environment.insert(name.to_owned(), value);
    };
    if let Some(ip) = facts.libprocess_ip {
        set("LIBPROCESS_IP", ip.to_owned());
    }
    for (name, value) in facts.common {
        set(name, value.clone());
    }
    // A port of its own, whatever the variables say.
    set("LIBPROCESS_PORT", "0".to_owned());
    let framework = facts.executor.framework_id.as_ref();
    set("MESOS_FRAMEWORK_ID", framework.map(|id| id.value.clone()).unwrap_or_default());
    set("MESOS_EXECUTOR_ID", facts.executor.executor_id.value.clone());
    set("MESOS_DIRECTORY", facts.directory.display().to_string());
    // The containerizer replaces it where the sandbox is elsewhere inside a container.
    set("MESOS_SANDBOX", facts.directory.display().to_string());
    set("MESOS_SLAVE_ID", facts.agent.to_string());
    set("MESOS_SLAVE_PID", facts.pid.to_string());
    set("MESOS_AGENT_ENDPOINT", facts.pid.address().to_string());
    if let Some(socket) = facts.domain_socket {
        set("MESOS_DOMAIN_SOCKET", socket.display().to_string());
    }
    set("MESOS_CHECKPOINT", flag(facts.checkpoint));
    set("MESOS_HTTP_COMMAND_EXECUTOR", flag(facts.http_command_executor));
    let grace = grace_period(facts.executor).unwrap_or(facts.shutdown_grace_period);
    set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration::format(grace));
    if facts.checkpoint {
        set("MESOS_RECOVERY_TIMEOUT", duration::format(facts.recovery_timeout));
        set("MESOS_SUBSCRIPTION_BACKOFF_MAX", duration::format(facts.reregistration_timeout));
    }
    environment
}

/// The grace period that an executor asks for.
pub fn grace_period(executor: &v1::ExecutorInfo) -> Option<Duration> {
    let nanoseconds = executor.shutdown_grace_period.as_ref()?.nanoseconds;
    Some(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)))
}

fn flag(value: bool) -> String {
    if value { "1" } else { "0" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor() -> v1::ExecutorInfo {
        v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            framework_id: Some(v1::FrameworkId { value: "F".into() }),
            ..v1::ExecutorInfo::default()
        }
    }

    fn environment_of(executor: &v1::ExecutorInfo, checkpoint: bool) -> BTreeMap<String, String> {
        let common = BTreeMap::from([
            ("LIBPROCESS_PORT".to_owned(), "77".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ]);
        environment(&Facts {
            common: &common,
            libprocess_ip: None,
            executor,
            directory: Path::new("/w/run"),
            agent: &AgentId::from("S0"),
            pid: &"slave(1)@127.0.0.1:5051".parse().unwrap(),
            domain_socket: Some(Path::new("/w/agent.sock")),
            checkpoint,
            http_command_executor: true,
            shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_secs(15 * 60),
            reregistration_timeout: Duration::from_secs(2),
        })
    }

    /// Upstream: `SlaveTest.ExecutorEnvironmentVariables`.
    #[test]
    fn an_executor_finds_its_agent_and_itself() {
        let environment = environment_of(&executor(), false);
        for (name, value) in [
            ("LIBPROCESS_PORT", "0"),
            ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
            ("MESOS_CHECKPOINT", "0"),
            ("MESOS_DIRECTORY", "/w/run"),
            ("MESOS_DOMAIN_SOCKET", "/w/agent.sock"),
            ("MESOS_EXECUTOR_ID", "e"),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            ("MESOS_FRAMEWORK_ID", "F"),
            ("MESOS_HTTP_COMMAND_EXECUTOR", "1"),
            ("MESOS_SANDBOX", "/w/run"),
            ("MESOS_SLAVE_ID", "S0"),
            ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
            ("PATH", "/bin"),
        ] {
            assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!environment.contains_key("MESOS_RECOVERY_TIMEOUT"));
    }

    #[test]
    fn an_executor_that_may_outlive_its_agent_is_told_how_long_to_wait() {
        let environment = environment_of(&executor(), true);
        assert_eq!(environment["MESOS_CHECKPOINT"], "1");
        assert_eq!(environment["MESOS_RECOVERY_TIMEOUT"], "15mins");
        assert_eq!(environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"], "2secs");
    }

    #[test]
    fn an_executors_own_grace_period_comes_first() {
        let mut executor = executor();
        executor.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: 7_000_000_000 });
        let environment = environment_of(&executor, false);
        assert_eq!(environment["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"], "7secs");
    }
}
