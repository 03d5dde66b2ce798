//! Upstream's flags that this agent does not have: refused with the reason where ignoring them would
//! change what the operator gets, accepted with a warning where it would not.

use mesos::settings::Policy::{Ignore, Refuse, RefuseOn};
use mesos::settings::{Policy, Unsupported};

const fn flag(name: &'static str, policy: Policy) -> Unsupported {
    Unsupported { name, aliases: &[], policy }
}

const fn renamed(name: &'static str, alias: &'static [&'static str], policy: Policy) -> Unsupported {
    Unsupported { name, aliases: alias, policy }
}

const CGROUPS: Policy = Ignore("there are no cgroups isolators yet, to which it belongs");
const CGROUPS_ON: Policy = RefuseOn("there are no cgroups isolators yet");
const IMAGES: Policy = Refuse("containers cannot have images of their own yet");
const IMAGE_DETAIL: Policy = Ignore("containers cannot have images of their own yet, to which it belongs");
const DOCKER: Policy = Ignore("there is no Docker containerizer, to which it belongs");
const NETWORK: Policy = Refuse("containers share the host's network; there are no network isolators");
const NETWORK_ON: Policy = RefuseOn("containers share the host's network; there are no network isolators");
const NETWORK_DETAIL: Policy = Ignore("there are no network isolators, to which it belongs");
const AUTHENTICATION: Policy = Refuse("this agent cannot authenticate itself or others yet");
const AUTHENTICATION_ON: Policy = RefuseOn("this agent cannot authenticate others yet");
const AUTHENTICATION_DETAIL: Policy = Ignore("this agent does not authenticate yet, to which it belongs");
const MODULES: Policy = Refuse("there are no loadable modules");
const PROVIDERS: Policy = Refuse("there are no resource providers yet");
const SECURITY: Policy = Refuse("containers cannot be given less than their user's rights yet");
const XFS: Policy = Ignore("there is no disk/xfs isolator, to which it belongs");
const OVERSUBSCRIPTION: Policy = Refuse("there is no oversubscription: no estimator and no controller");
const OVERSUBSCRIPTION_DETAIL: Policy = Ignore("there is no oversubscription, to which it belongs");
const DISK: Policy = Ignore("there are no disk isolators, to which it belongs");

/// See the module.
pub const UNSUPPORTED: &[Unsupported] = &[
    flag("resource_provider_config_dir", PROVIDERS),
    flag("csi_plugin_config_dir", PROVIDERS),
    flag("disk_profile_adaptor", PROVIDERS),
    flag("image_providers", IMAGES),
    flag("image_provisioner_backend", IMAGE_DETAIL),
    flag("image_gc_config", IMAGE_DETAIL),
    flag("appc_simple_discovery_uri_prefix", IMAGE_DETAIL),
    flag("appc_store_dir", IMAGE_DETAIL),
    flag("docker_registry", IMAGE_DETAIL),
    flag("docker_store_dir", IMAGE_DETAIL),
    flag("docker_volume_checkpoint_dir", DOCKER),
    flag("docker_volume_chown", DOCKER),
    flag("docker_ignore_runtime", DOCKER),
    flag("fetcher_cache_size", Ignore("files are fetched anew for each container; there is no cache yet")),
    flag("fetcher_cache_dir", Ignore("files are fetched anew for each container; there is no cache yet")),
    flag("runtime_dir", Ignore("what must be known of containers is in the work directory")),
    flag("hadoop_home", Ignore("files are not fetched from HDFS")),
    flag(
        "volume_gid_range",
        Refuse("a shared volume belongs to the user of its first task, not to a group of its own"),
    ),
    flag("http_heartbeat_interval", Ignore("there are no streaming operator calls yet, to which it belongs")),
    flag("authentication_backoff_factor", AUTHENTICATION_DETAIL),
    flag("authentication_timeout_min", AUTHENTICATION_DETAIL),
    flag("authentication_timeout_max", AUTHENTICATION_DETAIL),
    flag("executor_reregistration_retry_interval", Ignore("executors subscribe again by themselves")),
    renamed("jwt_secret_key", &["executor_secret_key"], AUTHENTICATION),
    flag("gc_non_executor_container_sandboxes", Ignore("there are no nested containers yet")),
    flag("container_logger", Ignore("stdout and stderr are files in the sandbox")),
    flag("cgroups_destroy_timeout", CGROUPS),
    flag("cgroups_hierarchy", CGROUPS),
    flag("cgroups_root", CGROUPS),
    flag("cgroups_enable_cfs", CGROUPS_ON),
    flag("cgroups_limit_swap", CGROUPS_ON),
    flag("cgroups_cpu_enable_pids_and_tids_count", CGROUPS_ON),
    flag("cgroups_net_cls_primary_handle", CGROUPS),
    flag("cgroups_net_cls_secondary_handles", CGROUPS),
    flag("allowed_devices", CGROUPS),
    renamed("agent_subsystems", &["slave_subsystems"], CGROUPS),
    flag(
        "host_path_volume_force_creation",
        Refuse("there is no volume/host_path isolator: the only volumes are persistent ones"),
    ),
    flag("nvidia_gpu_devices", Refuse("GPUs are not isolated; name them in --resources")),
    flag("perf_events", Refuse("there is no perf isolator")),
    flag("perf_interval", Ignore("there is no perf isolator, to which it belongs")),
    flag("perf_duration", Ignore("there is no perf isolator, to which it belongs")),
    flag("revocable_cpu_low_priority", Ignore("no resources are revocable")),
    flag("systemd_enable_support", Ignore("executors are found again by their pids, not by a systemd slice")),
    flag(
        "systemd_runtime_directory",
        Ignore("executors are found again by their pids, not by a systemd slice"),
    ),
    renamed("effective_capabilities", &["allowed_capabilities"], SECURITY),
    flag("bounding_capabilities", SECURITY),
    flag("default_container_shm_size", Refuse("containers share the host's /dev/shm")),
    flag("disallow_sharing_agent_ipc_namespace", RefuseOn("containers share the host's namespaces")),
    flag("disallow_sharing_agent_pid_namespace", RefuseOn("containers share the host's namespaces")),
    flag("agent_features", Refuse("the agent's capabilities cannot be chosen")),
    flag("credential", AUTHENTICATION),
    flag("acls", Refuse("this agent authorizes nothing yet; close paths with --firewall_rules")),
    flag("docker", DOCKER),
    flag("docker_remove_delay", DOCKER),
    flag("docker_kill_orphans", DOCKER),
    flag("docker_mesos_image", DOCKER),
    flag("docker_socket", DOCKER),
    flag("docker_config", DOCKER),
    flag("docker_stop_timeout", DOCKER),
    flag("sandbox_directory", Ignore("containers see the host's file system")),
    flag("default_container_dns", NETWORK),
    flag("default_container_info", Refuse("containers have no images, volumes or networks of their own yet")),
    flag("ephemeral_ports_per_container", NETWORK_DETAIL),
    flag("eth0_name", NETWORK_DETAIL),
    flag("lo_name", NETWORK_DETAIL),
    flag("egress_rate_limit_per_container", NETWORK),
    flag("egress_rate_per_cpu", NETWORK),
    flag("minimum_egress_rate_limit", NETWORK_DETAIL),
    flag("maximum_egress_rate_limit", NETWORK_DETAIL),
    flag("egress_ceil_limit", NETWORK_DETAIL),
    flag("egress_burst", NETWORK_DETAIL),
    flag("egress_unique_flow_per_container", NETWORK_ON),
    flag("egress_flow_classifier_parent", NETWORK_DETAIL),
    flag("ingress_rate_limit_per_container", NETWORK),
    flag("ingress_rate_per_cpu", NETWORK),
    flag("minimum_ingress_rate_limit", NETWORK_DETAIL),
    flag("maximum_ingress_rate_limit", NETWORK_DETAIL),
    flag("ingress_ceil_limit", NETWORK_DETAIL),
    flag("ingress_burst", NETWORK_DETAIL),
    flag("ingress_isolate_existing_containers", NETWORK_DETAIL),
    flag("network_link_speed", NETWORK_DETAIL),
    flag("network_enable_socket_statistics_summary", NETWORK_ON),
    flag("network_enable_socket_statistics_details", NETWORK_ON),
    flag("network_enable_snmp_statistics", NETWORK_ON),
    flag("network_enable_rate_statistics", NETWORK_ON),
    flag("network_rate_statistics_window", NETWORK_DETAIL),
    flag("network_rate_statistics_interval", NETWORK_DETAIL),
    flag("container_ports_watch_interval", NETWORK_DETAIL),
    flag("check_agent_port_range_only", NETWORK_DETAIL),
    flag("enforce_container_ports", NETWORK_ON),
    flag("container_ports_isolated_range", NETWORK_DETAIL),
    flag("network_cni_plugins_dir", NETWORK),
    flag("network_cni_config_dir", NETWORK),
    flag("network_cni_root_dir_persist", NETWORK_DETAIL),
    flag("network_cni_metrics", NETWORK_DETAIL),
    flag("container_disk_watch_interval", DISK),
    flag("enforce_container_disk_quota", RefuseOn("there are no disk isolators")),
    flag("modules", MODULES),
    flag("modules_dir", MODULES),
    flag("authenticatee", AUTHENTICATION_DETAIL),
    flag("authorizer", Ignore("this agent authorizes nothing yet")),
    flag("http_authenticators", AUTHENTICATION),
    flag("authenticate_http_readwrite", AUTHENTICATION_ON),
    flag("authenticate_http_readonly", AUTHENTICATION_ON),
    flag("authenticate_http_executors", AUTHENTICATION_ON),
    flag("http_credentials", AUTHENTICATION),
    flag("hooks", MODULES),
    flag("secret_resolver", MODULES),
    flag("resource_estimator", OVERSUBSCRIPTION),
    flag("qos_controller", OVERSUBSCRIPTION),
    flag("qos_correction_interval_min", OVERSUBSCRIPTION_DETAIL),
    flag("oversubscribed_resources_interval", OVERSUBSCRIPTION_DETAIL),
    flag("master_detector", MODULES),
    flag("xfs_project_range", XFS),
    flag("xfs_kill_containers", XFS),
    flag("xfs_quota_headroom", XFS),
    flag("seccomp_config_dir", SECURITY),
    flag("seccomp_profile_name", SECURITY),
    flag("ip6", Refuse("name an IPv6 address with --ip")),
    flag("ip_discovery_command", Refuse("run the command yourself, and pass its output to --ip")),
    flag("ip6_discovery_command", Refuse("run the command yourself, and pass its output to --ip")),
    flag("memory_profiling", RefuseOn("there is no memory profiler")),
    // Upstream's flags for logging (`logging/flags.cpp`).
    flag("external_log_file", Ignore("the log goes to standard error")),
    flag("logbufsecs", Ignore("the log is not buffered")),
    flag("initialize_driver_logging", Ignore("it belongs to upstream's C++ library")),
];
