//! How the processes of a simulated cluster are configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::operations::volumes::path_of;
use agent::recovery::checkpoint;
use agent::recovery::paths::Paths;
use election::simulated::SimulatedGroup;
use election::{MasterUrl, SharedGroup};
use libprocess::simulation::Mount;
use master::settings::{Rate, RoleList};
use mesos::internal::slave::ResourceState;
use mesos::settings::{Outcome, ProtoJson, Sources, load};
use mesos::{Resource, Resources, v1};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::whitelist;
use super::workload::{Book, KINDS_OF_ROLES, Style, roles, roles_now};

/// How long masters wait for agents to come back. (No operator can say less than ten minutes; the run is over by then.)
pub const AGENT_REREGISTER_TIMEOUT: Duration = Duration::from_secs(45);

/// How many executors of frameworks an agent may have, where not any number.
const EXECUTORS: usize = 2;
/// In one of so many runs it may not.
const LIMITED: u32 = 3;

/// The settings of every master of a cluster, from a seed.
pub fn master_settings(seed: u64) -> master::Settings {
    let mut random = SmallRng::seed_from_u64(seed);
    master::Settings {
        max_executors_per_agent: (random.random_range(0..LIMITED) == 0).then_some(EXECUTORS),
        allocation_on_recovery: random.random(),
        hostname_lookup: false,
        agent_reregister_timeout: AGENT_REREGISTER_TIMEOUT,
        // The two are equal by default: who has not come back then is not waited for either.
        allocator_recovery_timeout: AGENT_REREGISTER_TIMEOUT,
        // Schedulers that stand still keep offers for longer.
        offer_timeout: Some(Duration::from_secs(30)),
        agent_removal_rate_limit: Some(Rate { count: 1, period: Duration::from_secs(2) }),
        domain: Some(ProtoJson(domain(HOME, 0))),
        roles: Some(RoleList((0..KINDS_OF_ROLES).flat_map(roles).map(|role| (*role).to_owned()).collect())),
        whitelist: Some(whitelist::FILE.into()),
        ..master::Settings::default()
    }
}

/// What an offer must have at least for a framework that [demands](Style::demands) something.
const LEAST_CPUS: f64 = 0.5;

/// For how long schedulers may be away that have not said otherwise.
const PATIENT: Duration = Duration::from_secs(24 * 3600);

const WORK_DIR: &str = "/var/lib/mesos";

/// What tells an agent that it has an id, and which: it is a new agent without.
pub fn agent_id_link() -> PathBuf {
    [WORK_DIR, "meta", "slaves", "latest"].iter().collect()
}

/// The directory of a volume.
pub fn volume_path(volume: &Resource) -> Option<PathBuf> {
    path_of(Path::new(WORK_DIR), volume)
}

/// The reservations and volumes that an agent remembers.
pub fn kept_on(disk: &Mount) -> Resources {
    let path = Paths::new(Path::new(WORK_DIR)).resource_state();
    let state = checkpoint::read_message::<ResourceState>(disk, &path).ok().flatten();
    let mut resources = state.map(|state| state.resources).unwrap_or_default();
    mesos::resources::upgrade_all(&mut resources);
    Resources::from_valid_protos(&resources)
}

/// What an agent reserves for roles.
fn reservations(number: usize) -> &'static str {
    match number % 4 {
        1 => ";cpus(a):1;mem(a):512",
        3 => ";cpus(b/y):0.5;mem(b/y):256;disk(b/y):100",
        _ => "",
    }
}

/// The attribute of an agent that says its name once more.
pub const NAME_ATTRIBUTE: &str = "name";

/// The region of the masters and of most agents.
pub const HOME: &str = "home";

fn domain(region: &str, zone: usize) -> v1::DomainInfo {
    use v1::domain_info::FaultDomain;
    use v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
    let (region, zone) = (RegionInfo { name: region.to_owned() }, ZoneInfo { name: format!("z{zone}") });
    v1::DomainInfo { fault_domain: Some(FaultDomain { region, zone }) }
}

/// Where an agent is: one in seven in another region, and one in seven nowhere that it would know of.
fn domain_of_agent(number: usize) -> Option<v1::DomainInfo> {
    match number % 7 {
        6 => Some(domain("abroad", 0)),
        2 => None,
        _ => Some(domain(HOME, number % 3)),
    }
}

/// The GPUs of an agent.
fn gpus(number: usize) -> &'static str {
    if number % 7 == 5 { ";gpus:2" } else { "" }
}

/// The settings of the agent of this number, which was given more resources so many times.
///
/// # Errors
/// If they are none.
pub fn agent_settings(group: &SimulatedGroup, number: usize, grown: u32) -> Result<agent::Settings, String> {
    let (cpus, memory) = (4 + grown, 4096 + 512 * grown);
    let mut arguments = vec![
        "--master=127.0.0.1:5050".to_owned(),
        format!("--work_dir={WORK_DIR}"),
        format!(
            "--resources=cpus:{cpus};mem:{memory};disk:8192;ports:[31000-32000]{}{}",
            gpus(number),
            reservations(number)
        ),
        format!("--hostname=a{number}"),
        format!("--attributes={NAME_ATTRIBUTE}:a{number}"),
        "--no-switch_user".to_owned(),
        "--containerizers=simulated".to_owned(),
        format!("--reconfiguration_policy={}", if grown > 0 { "additive" } else { "equal" }),
    ];
    arguments.extend(
        domain_of_agent(number).map(|domain| format!("--domain={}", mesos::json::to_string(&domain))),
    );
    match load(Sources::arguments(arguments), agent::UNSUPPORTED).map_err(|error| error.to_string())? {
        Outcome::Run(loaded) => {
            let url = MasterUrl::Group(SharedGroup(Arc::new(group.clone())));
            Ok(agent::Settings { master: url.into(), ..loaded.settings })
        }
        _ => Err("an agent's settings are no settings".to_owned()),
    }
}

/// Where the pages of a framework are: elsewhere each time that it has described itself anew.
pub fn pages(number: usize, book: &Book) -> String {
    format!("http://f{number}/{}", book.described)
}

/// The description of the framework of this number, with the id that it has by now.
pub fn framework(number: usize, style: Style, book: &Book) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    let mut capabilities = Vec::new();
    if style.multi_role {
        capabilities.push(Type::MultiRole);
    }
    if style.partition_aware {
        capabilities.push(Type::PartitionAware);
    }
    if style.killing {
        capabilities.push(Type::TaskKillingState);
    }
    if style.refines {
        capabilities.push(Type::ReservationRefinement);
    }
    if style.gpus {
        capabilities.push(Type::GpuResources);
    }
    if style.shares {
        capabilities.push(Type::SharedResources);
    }
    if style.region_aware {
        capabilities.push(Type::RegionAware);
    }
    let least = v1::offer_filters::ResourceQuantities {
        quantities: [("cpus".to_owned(), v1::value::Scalar { value: LEAST_CPUS })].into(),
    };
    let filters = v1::OfferFilters {
        min_allocatable_resources: Some(v1::offer_filters::MinAllocatableResources {
            quantities: vec![least],
        }),
    };
    let mut roles: Vec<String> = roles_now(number, book).into_iter().map(str::to_owned).collect();
    let role = if style.multi_role { None } else { roles.pop() };
    v1::FrameworkInfo {
        user: "nobody".to_owned(),
        name: format!("f{number}"),
        webui_url: Some(pages(number, book)),
        id: book.framework.as_ref().map(mesos::FrameworkId::to_proto),
        failover_timeout: Some(book.brief.unwrap_or(PATIENT).as_secs_f64()),
        checkpoint: Some(style.checkpoint),
        offer_filters: roles
            .iter()
            .filter(|_| style.demands)
            .map(|role| (role.clone(), filters.clone()))
            .collect(),
        role,
        roles,
        capabilities: capabilities.into_iter().map(|kind| Capability { r#type: Some(kind.into()) }).collect(),
        ..Default::default()
    }
}
