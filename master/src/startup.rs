//! From settings to a master, in upstream's order (`master/main.cpp`). To be read from top to bottom.
//!
//! Before this, the program has read the flags, set up its log and started the node (libprocess, with
//! the version, the firewall and `master` as the delegate). Upstream's next two steps, modules and hooks, are not there.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allocator::Allocator;
use election::group::Group;
use election::{Contender, Detector, MasterUrl, StandaloneAppoint};
use libprocess::files::{Attach, Files};
use libprocess::{Address, Answer, Node, NodeBuilder, promise};
use mesos::v1;

use crate::authorization::{Authorizer, permits_all};
use crate::http::pages::Pages;
use crate::master::{EndReason, Master, Peers};
use crate::reads;
use crate::registrar::{
    InMemory, Local, Registrar, RegistrarHandle, Storage, StorageError, Timeouts, shared,
};
use crate::settings::{RegistryKind, Settings, SettingsProblem};

/// Why a master could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that do not go together.
    #[error(transparent)]
    Settings(#[from] SettingsProblem),
    /// `--zk` is not the address of a ZooKeeper or an etcd.
    #[error("--zk: {0}")]
    Election(String),
    /// The registry's storage could not be opened.
    #[error(transparent)]
    Registry(#[from] StorageError),
    /// The web pages could not be read.
    #[error("--webui_dir: {0}")]
    Pages(std::io::Error),
}

/// A master that runs. It leads when it is elected.
pub struct Running {
    /// The actor.
    pub master: Address<Master>,
    /// Who it is.
    pub info: v1::MasterInfo,
    ended: Answer<EndReason>,
    others: Others,
}

struct Others {
    allocator: Address<Allocator>,
    registrar: Address<Registrar>,
    contender: Address<Contender>,
    detector: Address<Detector>,
    files: Address<Files>,
}

impl Running {
    /// Waits until the master ends by itself. Then its process must end, too.
    pub async fn wait(&mut self) -> EndReason {
        match (&mut self.ended).await {
            Ok(reason) => reason,
            Err(error) => EndReason::Ended(error.to_string()),
        }
    }

    /// The master's allocator.
    pub fn allocator(&self) -> &Address<Allocator> {
        &self.others.allocator
    }

    /// Ends the master and what it works with. Leadership is given up.
    pub async fn shutdown(self) {
        self.master.terminate();
        self.master.wait().await;
        let Others { allocator, registrar, contender, detector, files } = self.others;
        files.terminate();
        files.wait().await;
        contender.terminate();
        contender.wait().await;
        detector.terminate();
        detector.wait().await;
        allocator.terminate();
        allocator.wait().await;
        // Last: what the master gave it is still stored.
        registrar.terminate();
        registrar.wait().await;
    }
}

/// Starts a master on a node.
///
/// # Errors
/// When the settings do not go together, or the registry's storage cannot be opened.
pub async fn start(node: &Node, settings: Settings) -> Result<Running, StartError> {
    start_with_authorizer(node, settings, Arc::new(permits_all)).await
}

/// The same, with rules of who may do what: `--acls` says nothing of that yet. The node is one of
/// [`node_with_authorizer`] with the same rules.
///
/// # Errors
/// As with [`start`].
pub async fn start_with_authorizer(
    node: &Node,
    settings: Settings,
    authorizer: Arc<dyn Authorizer>,
) -> Result<Running, StartError> {
    settings.check()?;
    let registry = settings.registry_kind()?;
    let timeout = settings.zk_session_timeout;
    let url = election_url(&settings)?;
    let storage = open_storage(node, registry, &settings, url.as_ref())?;
    let election = url.and_then(|url| url.group(timeout)).map_or(Election::Single, Election::Group);
    let pages = settings.webui_dir.as_deref().map(Pages::read).transpose().map_err(StartError::Pages)?;
    let means = Means { authorizer, storage, pages: pages.unwrap_or_else(Pages::ours) };
    Ok(start_with(node, settings, means, election).await)
}

/// Starts one of several masters that elect their leader in `group` and share the registry in `storage`, whatever
/// those are: simulations have their own.
pub async fn start_in_group(
    node: &Node,
    settings: Settings,
    group: Arc<dyn Group>,
    storage: Box<dyn Storage>,
) -> Running {
    let means = Means { authorizer: Arc::new(permits_all), storage, pages: Pages::ours() };
    start_with(node, settings, means, Election::Group(group)).await
}

/// How the leader is found.
enum Election {
    /// There is one master, and it leads.
    Single,
    /// Several masters elect one.
    Group(Arc<dyn Group>),
}

/// What was read or opened for a master before it starts.
struct Means {
    authorizer: Arc<dyn Authorizer>,
    storage: Box<dyn Storage>,
    pages: Pages,
}

async fn start_with(node: &Node, settings: Settings, means: Means, election: Election) -> Running {
    let info = describe(node, &settings).await;

    // What others may look at.
    let files = node.spawn_as("files", Files::new());
    if let Some(log) = log_file(&settings)
        && let Ok(Err(error)) = files.ask(Attach { virtual_path: LOG.to_owned(), path: log }).await
    {
        tracing::warn!(%error, "the log cannot be shown");
    }

    // The allocator.
    let allocator = node.spawn_numbered(Allocator::new());

    // The registrar, with its storage.
    let timeouts =
        Timeouts { fetch: settings.registry_fetch_timeout, store: settings.registry_store_timeout };
    let registrar = node.spawn_numbered(Registrar::new(means.storage, timeouts, node.metrics()));

    // The contender and the detector.
    let (contender, detector) = match &election {
        Election::Single => (Contender::standalone(info.clone()), Detector::standalone()),
        Election::Group(group) => {
            (Contender::with_group(group.clone(), info.clone()), Detector::with_group(group.clone()))
        }
    };
    let contender = node.spawn_numbered(contender);
    let detector = node.spawn_numbered(detector);
    if matches!(election, Election::Single) {
        detector.tell(StandaloneAppoint(Some(info.clone())));
    }

    // The master; the removal limiter is its own.
    let (promise, ended) = promise();
    let handle = RegistrarHandle { recover: registrar.recipient(), apply: registrar.recipient() };
    let peers = Peers {
        allocator: allocator.clone(),
        registrar: handle,
        detector: detector.clone(),
        contender: contender.clone(),
        files: files.clone(),
        authorizer: means.authorizer,
    };
    let master = Master::new(node, Arc::new(settings), info.clone(), peers, means.pages, promise);
    let master = node.spawn(master);

    let others = Others { allocator, registrar, contender, detector, files };
    Running { master, info, ended, others }
}

/// The node that a master with these settings runs on: where it listens, what it is called elsewhere, its
/// version, the firewall, and `master` as the actor that paths without an actor's name belong to. Where they say
/// nothing of addresses, the environment may ([`NodeBuilder::environment`]).
pub fn node(settings: &Settings) -> NodeBuilder {
    let unsaid = IpAddr::from([0, 0, 0, 0]);
    let known_as = (settings.advertise_ip.unwrap_or(unsaid), settings.advertise_port.unwrap_or(0));
    Node::builder()
        .bind(SocketAddr::new(settings.ip.unwrap_or(unsaid), settings.port))
        .advertise(known_as.into())
        .delegate("master")
        .version(mesos::version::build().to_json())
        .schema(format!("{:016x}", mesos::schema_fingerprint()))
        .firewall(settings.disabled_paths())
}

/// The same, with rules of who may read what the master does not show itself: its log, the registry, the metrics ...
/// They are also the master's ([`start_with_authorizer`]).
pub fn node_with_authorizer(settings: &Settings, authorizer: &Arc<dyn Authorizer>) -> NodeBuilder {
    reads::guard(node(settings), authorizer)
}

/// The daemon's log in `--log_dir` is called so, and `.log`.
pub const LOG_NAME: &str = "mesos-master";

/// The path of the log in `/files` (upstream: `Master::initialize`).
const LOG: &str = "/master/log";

/// The log that the daemon writes, if `--log_dir` says where.
fn log_file(settings: &Settings) -> Option<PathBuf> {
    settings.log_dir.as_ref().map(|directory| Path::new(directory).join(format!("{LOG_NAME}.log")))
}

/// Where the masters elect their leader.
fn election_url(settings: &Settings) -> Result<Option<MasterUrl>, StartError> {
    let Some(text) = &settings.zk else { return Ok(None) };
    match text.0.parse::<MasterUrl>() {
        Ok(url @ (MasterUrl::ZooKeeper(_) | MasterUrl::Etcd(_))) => Ok(Some(url)),
        Ok(MasterUrl::Standalone(_) | MasterUrl::File(_) | MasterUrl::Group(_)) => {
            Err(SettingsProblem::UnknownElection.into())
        }
        Err(error) => Err(StartError::Election(error.to_string())),
    }
}

/// Who this master is, from now until its process ends.
async fn describe(node: &Node, settings: &Settings) -> v1::MasterInfo {
    use v1::master_info::{Capability, capability::Type};
    let address = node.address();
    let hostname = match (&settings.hostname, settings.hostname_lookup) {
        (Some(hostname), _) => hostname.clone(),
        (None, false) => address.ip().to_string(),
        (None, true) => node.blocking(move || hostname_of(address.ip())).await,
    };
    let capabilities = [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2];
    let info = v1::MasterInfo {
        id: node.random().uuid().to_string(),
        pid: Some(node.pid("master").to_string()),
        hostname: Some(hostname),
        version: Some(mesos::version().to_owned()),
        domain: settings.domain.as_ref().map(|domain| domain.0.clone()),
        capabilities: capabilities.map(|kind| Capability { r#type: Some(kind.into()) }).to_vec(),
        ..Default::default()
    };
    election::info::complete(info, address)
}

/// The host's name, if it leads back to the address; for the loopback `localhost`; else the address.
fn hostname_of(ip: IpAddr) -> String {
    if ip.is_loopback() {
        return "localhost".to_owned();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let leads_back = |name: &str| {
        let found = (name, 0_u16).to_socket_addrs();
        found.is_ok_and(|mut addresses| addresses.any(|address: SocketAddr| address.ip() == ip))
    };
    if !name.is_empty() && leads_back(name) { name.to_owned() } else { ip.to_string() }
}

/// Opens the registry's storage. What elects the leader at `election` may keep the registry, too.
fn open_storage(
    node: &Node,
    kind: RegistryKind,
    settings: &Settings,
    election: Option<&MasterUrl>,
) -> Result<Box<dyn Storage>, StartError> {
    match (kind, election, &settings.work_dir) {
        (RegistryKind::InMemory, ..) => Ok(Box::new(InMemory)),
        (RegistryKind::Local, _, Some(directory)) => Ok(Box::new(Local::open(node, directory)?)),
        (RegistryKind::Local, _, None) => Err(SettingsProblem::LocalWithoutWorkDir.into()),
        // The kind and the URL agree: `Settings::registry_kind`.
        (RegistryKind::ZooKeeper | RegistryKind::Etcd, url, _) => url
            .and_then(|url| shared(node, url, settings.zk_session_timeout))
            .ok_or(SettingsProblem::UnknownElection.into()),
    }
}
