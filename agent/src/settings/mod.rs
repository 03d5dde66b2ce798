//! What an operator can set of an agent: upstream's flags (`slave/flags.cpp`), declared once.
//!
//! The flags that this agent does not have are in `unsupported.rs`, each with what is done about it.

mod unsupported;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use mesos::settings::{self, DisabledEndpoints, LogFormat, ProtoJson};
use mesos::v1::DomainInfo;

pub use unsupported::UNSUPPORTED;
pub use values::{Containers, Master, Recover, Variables};

use crate::recovery::compatible::Policy;

/// The longest time that executors are waited for (upstream: `MAX_EXECUTOR_REREGISTRATION_TIMEOUT`).
const REREGISTRATION_MAX: Duration = Duration::from_secs(15);

mesos::settings! {
    /// The settings of an agent.
    pub struct Settings for "mesos-agent" {
        "Network" {
            /// The address to listen on.
            ip: Option<String> => |ip| values::address(ip.as_deref()),
            /// The port to listen on.
            port: u16 = 5051,
            /// The address that others reach this agent under, if it differs from `ip`.
            advertise_ip: Option<String> => |ip| values::address(ip.as_deref()),
            /// The port that others reach this agent under, if it differs from `port`.
            advertise_port: Option<u16>,
            /// The name that is shown for this agent. Without it, the host's.
            hostname: Option<String>,
            /// Whether to look the host's name up; without it, the address is the name.
            hostname_lookup: bool = true,
            /// Which paths are answered with 403: {"disabled_endpoints": {"paths": ["/files/browse"]}}. A path begins
            /// with the actor, as /slave(1)/api/v1; a closed path is closed in its short form, too.
            firewall_rules: Option<DisabledEndpoints>,
        }
        "Masters" {
            /// Where the masters are: host:port, zk://host1:port1,host2:port2/path,
            /// etcd[s]://host1:port1,host2:port2/path, or file:///path of a file that says one of these, and may
            /// change while the agent runs.
            master: Master,
            /// How long a session with ZooKeeper or etcd outlives its connection.
            zk_session_timeout: Duration = Duration::from_secs(10),
            /// How long to wait before registering with a new master: a random time up to this; later
            /// attempts wait longer, up to 1mins.
            registration_backoff_factor: Duration = Duration::from_secs(1)
                => |factor| settings::within(factor, Duration::ZERO..=Duration::from_secs(60)),
            /// The fault domain of this agent, as JSON.
            domain: Option<ProtoJson<DomainInfo>>,
        }
        "Resources" {
            /// What this agent offers: "cpus:4;mem:2048;disk:10240;ports:[31000-32000]", or JSON. What
            /// is not named is found on the host: all cpus, the memory but 1 GB, the disk but 5 GB (of
            /// little, half), the ports 31000 to 32000.
            resources: Option<String>,
            /// What frameworks may want to know of this agent: "rack:abc;zone:west".
            attributes: Option<String>,
            /// The role that resources belong to which `resources` does not give to one.
            default_role: String = "*".to_owned()
                => |role: &String| mesos::roles::validate(role).map_err(|error| error.to_string()),
        }
        "Directories" {
            /// Where sandboxes are, and what must survive a restart. It is not cleaned up when the
            /// host boots: /tmp is a bad place.
            work_dir: PathBuf,
            /// Where mesos-executor is. If it is not there, this program is used.
            launcher_dir: PathBuf = PathBuf::from("/usr/libexec/mesos"),
            /// Where files are that `CommandInfo.uris` name by a relative path. It is absolute itself.
            frameworks_home: String = String::new(),
        }
        "Executors" {
            /// How long an executor has to subscribe after its launch.
            executor_registration_timeout: Duration = Duration::from_secs(60),
            /// How long executors have to subscribe again after the agent has restarted.
            executor_reregistration_timeout: Duration = Duration::from_secs(2)
                => |timeout| settings::within(timeout, Duration::ZERO..=REREGISTRATION_MAX),
            /// How long an executor has to end after it was asked to.
            executor_shutdown_grace_period: Duration = Duration::from_secs(5),
            /// What executors find in their environment, as a JSON object: {"PATH": "/bin:/usr/bin"}. They
            /// inherit nothing of the agent's; without a PATH here they get the usual one.
            executor_environment_variables: Option<Variables>,
            /// Whether executors run as their framework's user (or their command's) or as the agent's.
            switch_user: bool = true,
            /// Told to executors; command executors speak HTTP in any case.
            http_command_executor: bool = false,
            /// Whether executors speak to this agent over a Unix socket instead of TCP.
            http_executor_domain_sockets: bool = false,
            /// That socket. Without it, agent.sock in the work directory.
            domain_socket_location: Option<PathBuf> => |path| values::socket(path.as_deref()),
            /// How many executors that are over /state shows of each framework.
            max_completed_executors_per_framework: usize = 150,
        }
        "Containers" {
            /// What runs containers: mesos, or simulated (for tests and benchmarks: nothing runs).
            containerizers: Containers = Containers::Mesos,
            /// How processes of containers are kept together: posix is the only way.
            launcher: String = "posix".to_owned() => |launcher| values::one_of(launcher, &["posix"]),
            /// What isolates containers from each other: posix/cpu, posix/mem and filesystem/posix, none of which limits what
            /// they use.
            isolation: String = "posix/cpu,posix/mem".to_owned()
                => |isolation| values::each_of(isolation, &["posix/cpu", "posix/mem", "filesystem/posix"]),
            /// How long a download may stand still. Downloads go through the proxies that the agent's environment names
            /// (http_proxy, https_proxy, all_proxy, no_proxy), as those of curl do.
            fetcher_stall_timeout: Duration = Duration::from_secs(60),
        }
        "Garbage collection" {
            /// How long directories of what is over are kept, while there is room.
            gc_delay: Duration = Duration::from_secs(7 * 24 * 3600),
            /// The part of the disk that should be free. The fuller the disk, the shorter directories are
            /// kept: gc_delay * max(0, 1 - gc_disk_headroom - usage).
            gc_disk_headroom: f64 = 0.1 => |headroom| settings::within(headroom, 0.0..=1.0),
            /// How often to look how full the disk is.
            disk_watch_interval: Duration = Duration::from_secs(60),
        }
        "Recovery" {
            /// What to do with executors from before a restart: reconnect, or cleanup (end them, and
            /// then this agent).
            recover: Recover = Recover::Reconnect,
            /// How long executors live without an agent.
            recovery_timeout: Duration = Duration::from_secs(15 * 60),
            /// Which changes of resources, attributes and domain an agent may come back with: equal
            /// (none), or additive (more of them, and a domain where there was none). Its hostname and
            /// port must be the same.
            reconfiguration_policy: Policy = Policy::Equal,
            /// Whether to stop when something that was kept cannot be read; otherwise it is left out.
            strict: bool = true,
        }
        "Logging" {
            /// What is logged: DEBUG, INFO, WARNING or ERROR, and whatever is worse.
            logging_level: String = "INFO".to_owned()
                => |level| values::one_of(level, &["DEBUG", "INFO", "WARNING", "ERROR"]),
            /// How the log is written: text, for people, or json, an object a line. (Not in upstream.)
            logging_format: LogFormat = LogFormat::Text,
            /// Directory for log files.
            log_dir: Option<String>,
            /// Log nothing to standard error.
            quiet: bool = false,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Settings for tests.
    use super::*;
    use mesos::settings::{Outcome, Sources, load};

    pub(crate) fn settings(arguments: &[&str]) -> Settings {
        match try_settings(arguments).unwrap() {
            Outcome::Run(loaded) => loaded.settings,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn try_settings(
        arguments: &[&str],
    ) -> Result<Outcome<Settings>, mesos::settings::SettingsError> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        load(Sources::new(arguments, std::collections::BTreeMap::new()), UNSUPPORTED)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{settings, try_settings};
    use super::*;
    use mesos::settings::{Declared as _, Outcome};

    /// All flags of upstream's agent (`slave/flags.cpp`).
    const UPSTREAM: &str = include_str!("upstream_flags.txt");

    #[test]
    fn every_flag_of_upstream_is_there_or_answered() {
        let ours = Settings::declarations();
        for flag in UPSTREAM.lines().filter(|flag| !flag.is_empty() && *flag != "version") {
            let declared = ours.iter().any(|setting| setting.is_called(flag));
            let answered =
                UNSUPPORTED.iter().any(|other| other.name == flag || other.aliases.contains(&flag));
            assert!(declared != answered, "{flag}: declared {declared}, answered {answered}");
        }
    }

    #[test]
    fn defaults_are_upstreams() {
        let settings = settings(&["--master=127.0.0.1:5050", "--work_dir=/w"]);
        let flags = settings.effective();
        for (flag, value) in [
            ("executor_registration_timeout", "1mins"),
            ("executor_reregistration_timeout", "2secs"),
            ("executor_shutdown_grace_period", "5secs"),
            ("gc_delay", "1weeks"),
            ("gc_disk_headroom", "0.1"),
            ("disk_watch_interval", "1mins"),
            ("max_completed_executors_per_framework", "150"),
            ("port", "5051"),
            ("recover", "reconnect"),
            ("recovery_timeout", "15mins"),
            ("reconfiguration_policy", "equal"),
            ("registration_backoff_factor", "1secs"),
            ("strict", "true"),
            ("switch_user", "true"),
            ("isolation", "posix/cpu,posix/mem"),
            ("default_role", "*"),
            ("containerizers", "mesos"),
            ("master", "127.0.0.1:5050"),
        ] {
            assert_eq!(flags.get(flag).map(String::as_str), Some(value), "{flag}");
        }
    }

    #[test]
    fn a_value_that_is_not_allowed_is_refused_with_what_is() {
        let refused = |argument: &str| {
            let mut arguments = vec!["--work_dir=/w", argument];
            if !argument.starts_with("--master") {
                arguments.push("--master=127.0.0.1:5050");
            }
            try_settings(&arguments).unwrap_err().to_string()
        };
        for (argument, allowed) in [
            ("--recover=perhaps", "cleanup"),
            ("--executor_reregistration_timeout=1mins", "15secs"),
            ("--containerizers=docker", "mesos"),
            ("--isolation=cgroups/cpu", "posix/cpu"),
            ("--executor_environment_variables={\"A\":1}", "A"),
            ("--master=nowhere", "host:port"),
            ("--gc_disk_headroom=2", "1"),
            ("--cgroups_enable_cfs", "cgroup"),
        ] {
            let error = refused(argument);
            assert!(error.contains(allowed), "{argument}: {error}");
        }
    }

    #[test]
    fn variables_and_rules_are_read_from_json() {
        let settings = settings(&[
            "--master=127.0.0.1:5050",
            "--work_dir=/w",
            "--executor_environment_variables={\"PATH\":\"/bin\"}",
            "--firewall_rules={\"disabled_endpoints\":{\"paths\":[\"/files/browse\"]}}",
        ]);
        assert_eq!(settings.executor_environment_variables.unwrap().0["PATH"], "/bin");
        assert_eq!(settings.firewall_rules.unwrap().0, ["/files/browse"]);
    }

    #[test]
    fn ignored_flags_are_accepted_with_a_warning() {
        let outcome =
            try_settings(&["--master=127.0.0.1:5050", "--work_dir=/w", "--systemd_enable_support=false"]);
        let Outcome::Run(loaded) = outcome.unwrap() else { panic!("it does not run") };
        assert_eq!(loaded.warnings.len(), 1);
    }
}
