//! Upstream's flags that this master does not have: refused with the reason where ignoring them would change what the
//! master does, accepted with a warning where it would not.

use mesos::settings::{Policy, Unsupported};

/// Settings of upstream's that this master does not have, and what is done about each.
pub const UNSUPPORTED: &[Unsupported] = &[
    refuse(
        "quorum",
        "there is no replicated log: several masters keep their registry in the ZooKeeper or etcd of --zk, a single \
         one in --work_dir; leave it out",
    ),
    ignore("log_auto_initialize", "there is no replicated log to initialize"),
    refuse_on("registry_strict", "it was experimental in upstream and is not implemented"),
    with_aliases(
        refuse_on("authenticate_frameworks", "authentication is not implemented yet"),
        &["authenticate"],
    ),
    with_aliases(
        refuse_on("authenticate_agents", "authentication is not implemented yet"),
        &["authenticate_slaves"],
    ),
    ignore("authentication_v0_timeout", "there is no authentication of the v0 API yet"),
    with_aliases(
        refuse_on("authenticate_http_readwrite", "authentication is not implemented yet"),
        &["authenticate_http"],
    ),
    refuse_on("authenticate_http_readonly", "authentication is not implemented yet"),
    refuse_on("authenticate_http_frameworks", "authentication is not implemented yet"),
    refuse("credentials", "authentication is not implemented yet"),
    refuse("acls", "authorization is not implemented yet"),
    refuse("rate_limits", "rate limits of frameworks are not implemented yet"),
    refuse("modules", "there are no loadable modules"),
    refuse("modules_dir", "there are no loadable modules"),
    only("authenticators", &["crammd5"], "there is no authentication yet"),
    only("allocator", &["hierarchical", "HierarchicalDRF"], "the hierarchical allocator is the only one"),
    refuse("hooks", "there are no loadable modules"),
    only("authorizers", &["local"], "there is no authorization yet"),
    only("http_authenticators", &["basic"], "there is no authentication yet"),
    refuse("http_framework_authenticators", "there is no authentication yet"),
    refuse("master_contender", "there are no loadable modules: use --zk"),
    refuse("master_detector", "there are no loadable modules: use --zk"),
    refuse_on("memory_profiling", "there is no memory profiler"),
    refuse("ip_discovery_command", "use --ip or --advertise_ip"),
    ignore("logbufsecs", "logs are never buffered"),
    ignore("initialize_driver_logging", "it concerns upstream's drivers"),
    ignore("external_log_file", "logs of others are not shown"),
];

const fn refuse(name: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { name, aliases: &[], policy: Policy::Refuse(reason) }
}

const fn refuse_on(name: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { name, aliases: &[], policy: Policy::RefuseOn(reason) }
}

const fn ignore(name: &'static str, warning: &'static str) -> Unsupported {
    Unsupported { name, aliases: &[], policy: Policy::Ignore(warning) }
}

/// What one of `values` asks for is done anyway.
const fn only(name: &'static str, values: &'static [&'static str], reason: &'static str) -> Unsupported {
    Unsupported { name, aliases: &[], policy: Policy::Only(values, reason) }
}

const fn with_aliases(setting: Unsupported, aliases: &'static [&'static str]) -> Unsupported {
    Unsupported { aliases, ..setting }
}
