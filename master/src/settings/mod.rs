//! The settings of a master: upstream's flags (`master/flags.cpp`), typed, with their defaults.
//!
//! The types of those that are not everybody's are in `values.rs`. What upstream has and we do not stands in
//! [`UNSUPPORTED`]: refused where ignoring it would change what the master does, else accepted with a warning.

mod unsupported;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use allocator::SorterKind;
use allocator::core::constraints::RegexLimits;
use mesos::settings::{Declared, DisabledEndpoints, LogFormat, ProtoJson, Values, within};
use mesos::{bytes, v1};

pub use unsupported::UNSUPPORTED;
pub use values::{
    ElectionText, MinAllocatable, Percentage, Rate, RegistryKind, RoleList, SorterChoice, Weights,
};

use crate::agents::limiter::RemovalLimiter;
use crate::agents::observer::PingLimits;
use crate::agents::prune::PruneLimits;
use crate::cluster::Limits;

mesos::settings! {
    /// The settings of a master.
    pub struct Settings for "mesos-master" {
        "Network" {
            /// IP address to listen on; all addresses of the host if unset.
            ip: Option<IpAddr>,
            /// Port to listen on.
            port: u16 = 5050,
            /// IP address that others reach this master at, if it is not the one it listens on.
            advertise_ip: Option<IpAddr>,
            /// Port that others reach this master at, if it is not the one it listens on.
            advertise_port: Option<u16>,
            /// Host name that this master advertises: redirected clients use it. Found out from the address
            /// if unset.
            hostname: Option<String>,
            /// Find out the host name from the address, if none is given. Off: use the address itself.
            hostname_lookup: bool = true,
            /// Paths that are answered with 403, as JSON: {"disabled_endpoints": {"paths": ["/master/teardown"]}}. A
            /// path begins with the actor: /teardown alone closes nothing. A closed path is closed in its short form,
            /// too.
            firewall_rules: Option<DisabledEndpoints>,
        }
        "Election" {
            /// ZooKeeper or etcd that elects one of several masters: zk://host1:port1,host2:port2/path, or
            /// etcd://host1:port1,host2:port2/path (behind TLS etcds://, see docs/tls.md); each with user:password@
            /// before the hosts, if it wants them. Without it this master is the only one and leads.
            zk: Option<ElectionText>,
            /// After how long without contact ZooKeeper or etcd takes this master for dead.
            zk_session_timeout: Duration = Duration::from_secs(10),
        }
        "State" {
            /// Directory for what this master keeps, such as the registry.
            work_dir: Option<PathBuf>,
            /// Where the registry is kept: 'zookeeper' or 'etcd' (of several masters, in what elects them: the
            /// default with --zk), 'local' (of a single master, one file in --work_dir: the default without --zk)
            /// or 'in_memory' (nowhere: the default without --zk and without --work_dir).
            registry: Option<RegistryKind>,
            /// How long reading the registry may take.
            registry_fetch_timeout: Duration = Duration::from_secs(60),
            /// How long writing the registry may take.
            registry_store_timeout: Duration = Duration::from_secs(20),
            /// How often old entries of the registry are looked for.
            registry_gc_interval: Duration = Duration::from_secs(15 * 60),
            /// How long unreachable and gone agents are remembered.
            registry_max_agent_age: Duration = Duration::from_secs(14 * 24 * 3600),
            /// How many unreachable, and how many gone agents are remembered.
            registry_max_agent_count: usize = 102_400,
            /// How many operators may follow events; for one more, the oldest is disconnected.
            max_operator_event_stream_subscribers: usize = 1000 => |count| within(count, 1..=usize::MAX),
            /// How many removed frameworks are remembered.
            max_completed_frameworks: usize = 50,
            /// How many completed tasks of a framework are remembered.
            max_completed_tasks_per_framework: usize = 1000,
            /// How many unreachable tasks of a framework are remembered.
            max_unreachable_tasks_per_framework: usize = 1000,
        }
        "Agents" {
            /// How long an agent may take to answer a ping. From 1secs to 15mins.
            agent_ping_timeout | slave_ping_timeout: Duration = Duration::from_secs(15)
                => |timeout| within(timeout, Duration::from_secs(1)..=Duration::from_secs(15 * 60)),
            /// How many pings in a row an agent may fail to answer before it is unreachable. At least 1.
            max_agent_ping_timeouts | max_slave_ping_timeouts: u32 = 5 => |count| within(count, 1..=u32::MAX),
            /// How long agents may take to re-register after their connection broke, or after a new master
            /// was elected, before they are unreachable. At least 10mins.
            agent_reregister_timeout | slave_reregister_timeout: Duration = values::MIN_AGENT_REREGISTER_TIMEOUT
                => values::at_least_ten_minutes,
            /// If more than this part of the agents in the registry does not re-register after an election,
            /// the master ends instead of taking them for lost.
            recovery_agent_removal_limit | recovery_slave_removal_limit: Percentage = Percentage(100.0),
            /// How many agents may be marked unreachable in which time, like 1/10mins; without limit if unset.
            agent_removal_rate_limit | slave_removal_rate_limit: Option<Rate>,
            /// Accept only agents with a domain.
            require_agent_domain: bool = false,
            /// The fault domain of this master, as JSON of a DomainInfo.
            domain: Option<ProtoJson<v1::DomainInfo>>,
            /// File with the host names of the agents that may be offered, one a line. It is read again every 5secs. All
            /// agents if unset.
            whitelist: Option<PathBuf>,
            /// An agent with so many executors that frameworks have described is not offered; no limit if unset.
            max_executors_per_agent | max_executors_per_slave: Option<usize>,
        }
        "Frameworks" {
            /// Accept frameworks of user root.
            root_submissions: bool = true,
            /// Roles that frameworks may have, separated by commas; all if unset.
            roles: Option<RoleList>,
            /// Weights of roles, like 'web=2,batch=1'. Used only if the registry has none.
            weights: Weights = Weights::default(),
            /// After how long an offer that is not answered is taken back; never if unset.
            offer_timeout: Option<Duration> => |timeout| values::longer_than_nothing(*timeout),
        }
        "Allocation" {
            /// How often all agents are looked at.
            allocation_interval: Duration = Duration::from_secs(1),
            /// Offer what ended tasks free at once, instead of at the next interval. (Not in upstream.)
            allocation_on_recovery: bool = true,
            /// An offer must have at least these quantities; '|' separates alternatives.
            min_allocatable_resources: MinAllocatable = MinAllocatable::default(),
            /// In which order roles are asked: 'drf', by dominant share, or 'random', by lot.
            role_sorter | user_sorter: SorterChoice = SorterChoice(SorterKind::Drf),
            /// In which order the frameworks of a role are asked: 'drf' or 'random'.
            framework_sorter: SorterChoice = SorterChoice(SorterKind::Drf),
            /// How much memory a regular expression in offer constraints may take, once compiled.
            offer_constraints_re2_max_mem: bytes::Size = bytes::Size(4096),
            /// How many states (upstream: RE2 instructions) a regular expression in offer constraints may have.
            offer_constraints_re2_max_program_size: u32 = 100,
            /// Resources that do not count in shares, separated by commas.
            fair_sharing_excluded_resource_names: Option<String>,
            /// Keep agents with GPUs for frameworks that say they use them.
            filter_gpu_resources: bool = true,
            /// With quotas: the part of the agents in the registry that must be back before anything is offered.
            allocator_agent_recovery_factor: f64 = 0.8 => |factor| within(factor, 0.0..=1.0),
            /// With quotas: how long to wait for them at most.
            allocator_recovery_timeout: Duration = Duration::from_secs(10 * 60),
        }
        "Information" {
            /// A name for the cluster, shown to its users.
            cluster: Option<String>,
            /// Directory with other web pages than the master's own: index.html, and the directories app and assets. It
            /// is read once.
            webui_dir: Option<PathBuf>,
            /// Show the metrics below master/frameworks/, dozens for each framework.
            publish_per_framework_metrics: bool = true,
            /// Directory for log files.
            log_dir: Option<String>,
            /// Log nothing to standard error.
            quiet: bool = false,
            /// The least important messages that are logged: DEBUG, INFO, WARNING or ERROR.
            logging_level: String = "INFO".to_owned() => |level| values::level_is_known(level),
            /// How the log is written: text, for people, or json, an object a line. (Not in upstream.)
            logging_format: LogFormat = LogFormat::Text,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::build(&Values::default()).expect("every setting of a master has a default")
    }
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsProblem {
    /// Neither ZooKeeper nor etcd. (Without the text: there may be a password in it.)
    #[error("--zk: expected zk://host:port/path or etcd://host:port/path")]
    UnknownElection,
    /// Each master would have a registry of its own.
    #[error(
        "--registry=local cannot be used with --zk: each master would keep its own; leave --registry out, and it is \
         in what elects the leader ({})", .0.name()
    )]
    LocalWithElection(RegistryKind),
    /// Only what elects the leader can refuse a deposed leader's write.
    #[error(
        "--registry={} needs --zk={}://host:port/path: the registry is kept in what elects the leader{}",
        .asked.name(),
        if *.asked == RegistryKind::Etcd { "etcd" } else { "zk" },
        .possible.map(|kind| format!("; with this --zk it can be {} or in_memory", kind.name())).unwrap_or_default()
    )]
    OtherElection {
        /// What was asked for.
        asked: RegistryKind,
        /// What goes with `--zk`, if there is one.
        possible: Option<RegistryKind>,
    },
    /// Nobody may use such a role.
    #[error("bad --weights: '{0}' is none of the --roles")]
    WeightOfForeignRole(String),
    /// Where should it be?
    #[error("--registry=local needs --work_dir, the directory for its file")]
    LocalWithoutWorkDir,
}

impl Settings {
    /// Where the registry is kept, when nothing is said of it.
    ///
    /// # Errors
    /// Settings that do not go together.
    pub fn registry_kind(&self) -> Result<RegistryKind, SettingsProblem> {
        use RegistryKind::{Etcd, InMemory, Local, ZooKeeper};
        let elected = match &self.zk {
            Some(text) => Some(text.registry().ok_or(SettingsProblem::UnknownElection)?),
            None => None,
        };
        match (self.registry, elected) {
            (None, Some(elected)) => Ok(elected),
            (None, None) => Ok(if self.work_dir.is_some() { Local } else { InMemory }),
            (Some(Local), Some(elected)) => Err(SettingsProblem::LocalWithElection(elected)),
            (Some(Local), None) if self.work_dir.is_none() => Err(SettingsProblem::LocalWithoutWorkDir),
            (Some(asked @ (ZooKeeper | Etcd)), possible) if possible != Some(asked) => {
                Err(SettingsProblem::OtherElection { asked, possible })
            }
            (Some(kind), _) => Ok(kind),
        }
    }

    /// Whether the settings go together, but for the registry's.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), SettingsProblem> {
        let Some(roles) = &self.roles else { return Ok(()) };
        let mut weighted = self.weights.0.keys();
        match weighted.find(|role| *role != "*" && !roles.0.contains(*role)) {
            Some(role) => Err(SettingsProblem::WeightOfForeignRole(role.clone())),
            None => Ok(()),
        }
    }

    /// All settings that are set, as text.
    pub fn to_flags(&self) -> BTreeMap<String, String> {
        self.effective()
    }

    pub(crate) fn ping_limits(&self) -> PingLimits {
        PingLimits { interval: self.agent_ping_timeout, missed: self.max_agent_ping_timeouts }
    }

    pub(crate) fn removal_limiter<T>(&self) -> Option<RemovalLimiter<T>> {
        self.agent_removal_rate_limit.map(|rate| RemovalLimiter::new(rate.count, rate.period))
    }

    pub(crate) fn prune_limits(&self) -> PruneLimits {
        PruneLimits { age: self.registry_max_agent_age, count: self.registry_max_agent_count }
    }

    pub(crate) fn history_limits(&self) -> Limits {
        Limits {
            completed_frameworks: self.max_completed_frameworks,
            completed_tasks: self.max_completed_tasks_per_framework,
            unreachable_tasks: self.max_unreachable_tasks_per_framework,
        }
    }

    pub(crate) fn allocator_options(&self) -> allocator::Options {
        let names = self.fair_sharing_excluded_resource_names.iter().flat_map(|names| names.split(','));
        let excluded = names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let domain = self.domain.as_ref().and_then(|domain| domain.0.fault_domain.as_ref());
        allocator::Options {
            allocation_interval: self.allocation_interval,
            allocation_on_recovery: self.allocation_on_recovery,
            excluded_from_shares: excluded,
            filter_gpu_resources: self.filter_gpu_resources,
            min_allocatable_resources: self.min_allocatable_resources.quantities.clone(),
            region: domain.map(|domain| domain.region.name.clone()),
            role_sorter: self.role_sorter.0,
            framework_sorter: self.framework_sorter.0,
            agent_recovery_factor: self.allocator_agent_recovery_factor,
            recovery_timeout: self.allocator_recovery_timeout,
        }
    }

    /// How large regular expressions in offer constraints may be.
    pub(crate) fn regex_limits(&self) -> RegexLimits {
        RegexLimits {
            max_mem: usize::try_from(self.offer_constraints_re2_max_mem.0).unwrap_or(usize::MAX),
            max_program_size: self.offer_constraints_re2_max_program_size as usize,
        }
    }

    /// Paths that are answered with 403.
    pub fn disabled_paths(&self) -> Vec<String> {
        self.firewall_rules.as_ref().map_or_else(Vec::new, |rules| rules.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos::settings::{Outcome, SettingValue as _, Sources, load};

    fn from(args: &[&str]) -> Result<Settings, String> {
        let sources = Sources::new(args.iter().map(ToString::to_string), BTreeMap::new());
        match load::<Settings>(sources, UNSUPPORTED) {
            Ok(Outcome::Run(loaded)) => Ok(loaded.settings),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn upstreams_flags_have_their_meaning() {
        let args = [
            "--port=5051",
            "--slave_ping_timeout=10secs",
            "--recovery_slave_removal_limit=20%",
            "--agent_removal_rate_limit=1/10mins",
            "--weights=a=2,b=0.5",
            "--roles=a,b",
            "--no-root_submissions",
            "--user_sorter=random",
            "--offer_constraints_re2_max_mem=8KB",
            "--whitelist=file:///etc/agents",
            "--no-publish_per_framework_metrics",
        ];
        let settings = from(&args).unwrap();
        assert_eq!(settings.port, 5051);
        assert_eq!(settings.ping_limits().total(), Duration::from_secs(50));
        assert_eq!(settings.recovery_agent_removal_limit, Percentage(20.0));
        assert_eq!(settings.weights.0.get("b"), Some(&0.5));
        assert!(settings.removal_limiter::<()>().is_some());
        assert!(!settings.root_submissions);
        assert_eq!(settings.allocator_options().role_sorter, SorterKind::Random);
        assert_eq!(settings.allocator_options().framework_sorter, SorterKind::Drf);
        assert_eq!(settings.regex_limits(), RegexLimits { max_mem: 8192, max_program_size: 100 });
        assert_eq!(settings.whitelist, Some(PathBuf::from("/etc/agents")));
        assert!(!settings.publish_per_framework_metrics);
        assert_eq!(settings.to_flags()["agent_removal_rate_limit"], "1/10mins");
        let zk = Settings { zk: Some(ElectionText("zk://jake:secret@h:1/m".into())), ..Settings::default() };
        assert_eq!(zk.to_flags()["zk"], "zk://h:1/m");
        // Whatever has become of the file.
        let etcd = ElectionText("etcds://jake:secret@h/m?cacert=/nowhere".into());
        assert_eq!(etcd.print().as_deref(), Some("etcds://h:2379/m"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        // What an operator of Mesos is to use instead.
        let instead = "there is no replicated log: several masters keep their registry in the ZooKeeper or etcd of --zk";
        for (flag, said) in [
            ("--agent_reregister_timeout=1mins", "10mins"),
            ("--weights=a=-1", "'a'"),
            ("--registry=replicated_log", instead),
            ("--quorum=1", instead),
            ("--authenticate_frameworks", "not implemented"),
            ("--recovery_agent_removal_limit=120%", "recovery_agent_removal_limit"),
            ("--prot=1", "prot"),
            ("--role_sorter=fair", "drf or random"),
            ("--offer_timeout=0secs", "more than 0"),
            (r#"--firewall_rules={"disabled_endpoints":{"paths":"/files/browse"}}"#, "firewall_rules"),
            (r#"--firewall_rules=["/teardown"]"#, "firewall_rules"),
        ] {
            let message = from(&[flag]).unwrap_err();
            assert!(message.contains(said), "{flag}: {message}");
        }
    }

    #[test]
    fn only_roles_that_can_be_used_have_weights() {
        let check = |args: &[&str]| from(args).unwrap().check();
        assert_eq!(check(&["--weights=a=2"]), Ok(()));
        assert_eq!(check(&["--roles=a,b", "--weights=a=2,*=3"]), Ok(()));
        let foreign = check(&["--roles=a,b", "--weights=a=2,c=3"]).unwrap_err();
        assert_eq!(foreign.to_string(), "bad --weights: 'c' is none of the --roles");
    }

    #[test]
    fn the_registry_is_where_it_can_be() {
        let kind = |args: &[&str]| from(args).unwrap().registry_kind();
        let refused = |args: &[&str]| kind(args).unwrap_err().to_string();
        let (zk, etcd) = ("--zk=zk://h:1/m", "--zk=etcd://u:p@h:1/m");
        assert_eq!(kind(&[]), Ok(RegistryKind::InMemory));
        assert_eq!(kind(&["--work_dir=/x"]), Ok(RegistryKind::Local));
        assert_eq!(kind(&["--work_dir=/x", zk]), Ok(RegistryKind::ZooKeeper));
        assert_eq!(kind(&["--work_dir=/x", etcd]), Ok(RegistryKind::Etcd));
        assert_eq!(kind(&["--work_dir=/x", "--zk=etcds://h/m?cacert=/c"]), Ok(RegistryKind::Etcd));
        assert_eq!(kind(&[zk, "--registry=zookeeper"]), Ok(RegistryKind::ZooKeeper));
        assert_eq!(kind(&[etcd, "--registry=in_memory"]), Ok(RegistryKind::InMemory));

        assert_eq!(kind(&["--registry=local"]), Err(SettingsProblem::LocalWithoutWorkDir));
        let local = refused(&["--work_dir=/x", etcd, "--registry=local"]);
        assert!(local.contains("leave --registry out") && local.contains("(etcd)"), "{local}");
        assert_eq!(
            refused(&[etcd, "--registry=zookeeper"]),
            "--registry=zookeeper needs --zk=zk://host:port/path: the registry is kept in what elects the leader; with \
             this --zk it can be etcd or in_memory"
        );
        assert_eq!(
            refused(&["--work_dir=/x", "--registry=etcd"]),
            "--registry=etcd needs --zk=etcd://host:port/path: the registry is kept in what elects the leader"
        );
        assert_eq!(kind(&["--zk=u:secret@h:1/m"]), Err(SettingsProblem::UnknownElection));
    }

    #[test]
    fn each_of_upstreams_flags_is_known() {
        let ours: Vec<&str> = Settings::declarations().iter().map(|setting| setting.name).collect();
        let known = |flag: &str| ours.contains(&flag) || UNSUPPORTED.iter().any(|other| other.name == flag);
        // Those of `master/flags.cpp` and `logging/flags.cpp` (`version` and `config` belong to every daemon).
        for flag in "hostname hostname_lookup root_submissions work_dir registry quorum zk_session_timeout \
            registry_strict registry_fetch_timeout registry_store_timeout log_auto_initialize \
            agent_reregister_timeout recovery_agent_removal_limit agent_removal_rate_limit webui_dir whitelist \
            role_sorter framework_sorter allocation_interval cluster roles weights authenticate_frameworks \
            authenticate_agents authentication_v0_timeout authenticate_http_readwrite authenticate_http_readonly \
            authenticate_http_frameworks credentials acls firewall_rules rate_limits max_executors_per_agent \
            offer_timeout modules modules_dir authenticators allocator allocator_agent_recovery_factor \
            allocator_recovery_timeout fair_sharing_excluded_resource_names filter_gpu_resources \
            min_allocatable_resources hooks agent_ping_timeout max_agent_ping_timeouts authorizers \
            http_authenticators http_framework_authenticators max_operator_event_stream_subscribers \
            max_completed_frameworks max_completed_tasks_per_framework max_unreachable_tasks_per_framework \
            master_contender master_detector registry_gc_interval registry_max_agent_age \
            registry_max_agent_count ip port advertise_ip advertise_port memory_profiling zk \
            ip_discovery_command require_agent_domain publish_per_framework_metrics domain \
            offer_constraints_re2_max_mem offer_constraints_re2_max_program_size quiet logging_level log_dir \
            logbufsecs initialize_driver_logging external_log_file"
            .split_whitespace()
        {
            assert!(known(flag), "{flag}");
        }
    }
}
