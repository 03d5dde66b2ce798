//! From settings to a running agent, in upstream's order (`slave/main.cpp`), to be read from top to
//! bottom. Flags, logging, the node with its firewall and `/version` come before it, in the binary.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libprocess::disk::{Disk, Durability};
use libprocess::files::{Attach, Files};
use libprocess::http::{Client, Proxies, UnixSocket, UnixSocketError, serve_unix};
use libprocess::{Address, Answer, Node, NodeBuilder, promise};
use mesos::v1::resource::disk_info::source;
use mesos::{Attributes, Resources, v1};

use crate::agent::{Agent, Colleagues, Ended, Parts};
use crate::containerizer::Containerizer;
use crate::containerizer::posix::PosixContainerizer;
use crate::containerizer::simulated::{ServeExecutorsOf, SimulatedContainerizer};
use crate::containerizer::volumes::Volumes;
use crate::executors::command::CommandExecutor;
use crate::executors::shutdown::Leave;
use crate::fetcher::{self, Fetcher};
use crate::gc::GarbageCollector;
use crate::housekeeping::Gc;
use crate::mounts;
use crate::recovery::paths::Paths;
use crate::resources::{Host, resources};
use crate::settings::{Containers, Settings};
use crate::status_updates::manager::StatusUpdateManager;

/// Why an agent does not start: one line, which says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It could not keep anything.
    #[error("cannot write to the work directory '{}': {reason} (choose another with --work_dir)", path.display())]
    WorkDir {
        /// Which directory.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// `--resources` cannot be understood.
    #[error(
        "bad --resources '{given}': {error} (the form is 'cpus:4;mem:2048;ports:[31000-32000]', or JSON)"
    )]
    Resources {
        /// What was given.
        given: String,
        /// What is wrong with it.
        error: mesos::ResourceError,
    },
    /// A MOUNT disk of `--resources` is not there.
    #[error(
        "the MOUNT disk '{}' of --resources {reason} (mount its file system before, or make it a PATH disk)",
        root.display()
    )]
    NotMounted {
        /// Where it was to be mounted.
        root: PathBuf,
        /// What is there.
        reason: String,
    },
    /// No volume could be on a disk of `--resources`.
    #[error("the disk '{disk}' of --resources {reason}")]
    Disk {
        /// Which one.
        disk: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `--attributes` cannot be understood.
    #[error("bad --attributes '{given}': {error} (the form is 'rack:a1;level:3')")]
    Attributes {
        /// What was given.
        given: String,
        /// What is wrong with it.
        error: mesos::attributes::AttributeError,
    },
    /// An address of the settings is none.
    #[error("bad --{flag}: '{value}' is not an IP address")]
    Address {
        /// Which setting.
        flag: &'static str,
        /// What it says.
        value: String,
    },
    /// Executors could not speak to it over a Unix socket.
    #[error("{0} (choose another path with --domain_socket_location)")]
    Socket(#[from] UnixSocketError),
}

/// An agent that runs.
pub struct Running {
    /// Its actor.
    pub agent: Address<Agent>,
    ended: Answer<Ended>,
}

impl Running {
    /// Waits for the end of the agent, and says why it ended. It can be dropped and called again.
    pub async fn wait(&mut self) -> Ended {
        let ended = (&mut self.ended).await;
        ended.unwrap_or_else(|_| Ended::Failed("the agent's actor has died".to_owned()))
    }

    /// Takes the agent out of its cluster: its executors are ended, and then it ends.
    pub fn leave(&self) {
        self.agent.tell(Leave);
    }

    /// Stops the agent at once. Executors of checkpointing frameworks run on, and will be found
    /// again; others notice that it is gone.
    pub fn stop(&self) {
        self.agent.terminate();
    }
}

/// The node that an agent with these settings runs on. Where they say nothing of addresses, the environment may
/// ([`NodeBuilder::environment`]).
///
/// # Errors
/// An address of the settings is none.
pub fn node(settings: &Settings) -> Result<NodeBuilder, StartError> {
    let parse = |flag: &'static str, value: &str| -> Result<IpAddr, StartError> {
        value.parse().map_err(|_| StartError::Address { flag, value: value.to_owned() })
    };
    let unsaid = IpAddr::from([0, 0, 0, 0]);
    let ip = settings.ip.as_deref().map(|ip| parse("ip", ip)).transpose()?;
    let known_ip = settings.advertise_ip.as_deref().map(|ip| parse("advertise_ip", ip)).transpose()?;
    let known_as = (known_ip.unwrap_or(unsaid), settings.advertise_port.unwrap_or(0));
    let mut builder = Node::builder()
        .bind(SocketAddr::new(ip.unwrap_or(unsaid), settings.port))
        .advertise(known_as.into())
        .delegate("slave(1)")
        .version(mesos::version::build().to_json())
        .schema(format!("{:016x}", mesos::schema_fingerprint()));
    if let Some(rules) = &settings.firewall_rules {
        builder = builder.firewall(rules.0.clone());
    }
    Ok(builder)
}

/// Starts an agent, with the containerizer that its settings name.
///
/// # Errors
/// [`StartError`].
pub async fn start(node: &Node, settings: Settings) -> Result<Running, StartError> {
    match settings.containerizers {
        Containers::Mesos => {
            let (settings, total) = prepare(node, settings).await?;
            let (disk, work_dir, roots) = (node.disk().clone(), settings.work_dir.clone(), total.clone());
            node.blocking(move || check_disks(&*disk, &work_dir, &roots)).await?;
            let home = PathBuf::from(&settings.frameworks_home);
            let fetcher = Fetcher::new(
                // Of servers elsewhere it believes those that the host believes, whatever the nodes of the cluster do; and
                // asks them as other programs of the host do.
                Client::new().through(Proxies::of(|name| std::env::var(name).ok())),
                node.metrics(),
                fetcher::Program::locate(&settings.launcher_dir, std::env::current_exe().ok()),
                Some(home).filter(|home| home.is_absolute()),
                settings.fetcher_stall_timeout,
            );
            let volumes = Volumes::new(node.disk().clone(), &settings.work_dir);
            let sandboxes = Paths::new(&settings.work_dir).slaves();
            let containerizer = node.spawn_numbered(PosixContainerizer::new(fetcher, volumes, sandboxes));
            begin(node, settings, total, Containerizer::from(&containerizer)).await
        }
        Containers::Simulated => {
            let containerizer = node.spawn_numbered(SimulatedContainerizer::new());
            let running = start_with(node, settings, Containerizer::from(&containerizer)).await?;
            containerizer.tell(ServeExecutorsOf(running.agent.recipient()));
            Ok(running)
        }
    }
}

/// Starts an agent, with a containerizer of the caller's.
///
/// # Errors
/// [`StartError`].
pub async fn start_with(
    node: &Node,
    settings: Settings,
    containerizer: Containerizer,
) -> Result<Running, StartError> {
    let (settings, total) = prepare(node, settings).await?;
    begin(node, settings, total, containerizer).await
}

/// Makes the work directory, which the settings call by its one name from now on, and sees what the agent has: the size of
/// the disk there, too.
async fn prepare(node: &Node, mut settings: Settings) -> Result<(Settings, Resources), StartError> {
    let (disk, work_dir) = (node.disk().clone(), settings.work_dir.clone());
    settings.work_dir = node.blocking(move || prepare_work_dir(&*disk, &work_dir)).await?;
    let total = agent_resources(node, &settings)?;
    Ok((settings, total))
}

/// Starts an agent whose work directory is there.
async fn begin(
    node: &Node,
    mut settings: Settings,
    total: Resources,
    containerizer: Containerizer,
) -> Result<Running, StartError> {
    if settings.http_executor_domain_sockets {
        settings.domain_socket_location.get_or_insert(settings.work_dir.join("agent.sock"));
    }
    let settings = Arc::new(settings);

    // What others may look at.
    let files = node.spawn_as("files", Files::new());
    if let Some(log) = log_file(&settings)
        && let Ok(Err(error)) = files.ask(Attach { virtual_path: LOG.to_owned(), path: log }).await
    {
        tracing::warn!(%error, "the log cannot be shown");
    }

    // Who leads.
    let url = settings.master.url.clone();
    let detector = node.spawn_numbered(election::Detector::with_timeout(url, settings.zk_session_timeout));

    // Authorizer: not there yet.

    // What is over is deleted some day.
    let collector = node.spawn_numbered(GarbageCollector::new(node.metrics(), settings.gc_delay));
    let gc = Gc::new(collector, Some(files.clone()), node.clone(), settings.gc_delay);

    let updates = node.spawn_numbered(StatusUpdateManager::new());

    // Resource estimator and QoS controller: not there yet.

    let info = agent_info(&settings, node, &total)?;
    tracing::info!(resources = %total, hostname = %info.hostname, "agent resources");
    let (ended, answer) = promise();
    let parts = Parts {
        info,
        total,
        colleagues: Colleagues {
            detector: detector.recipient(),
            containerizer,
            updates,
            gc: Some(gc),
            files: Some(files),
        },
        command_executor: CommandExecutor::locate(&settings.launcher_dir, std::env::current_exe().ok()),
        executor_variables: settings
            .executor_environment_variables
            .as_ref()
            .map_or_else(BTreeMap::new, |variables| variables.0.clone()),
        libprocess_ip: settings.ip.clone(),
        settings: settings.clone(),
    };
    let agent = node.spawn_numbered(Agent::new(parts, node, ended));
    open_to_executors(node, &settings, &agent)?;
    Ok(Running { agent, ended: answer })
}

/// The daemon's log in `--log_dir` is called so, and `.log`.
pub const LOG_NAME: &str = "mesos-agent";

/// The path of the log in `/files` (upstream: `Slave::initialize`).
const LOG: &str = "/slave/log";

/// The log that the daemon writes, if `--log_dir` says where.
fn log_file(settings: &Settings) -> Option<PathBuf> {
    settings.log_dir.as_ref().map(|directory| Path::new(directory).join(format!("{LOG_NAME}.log")))
}

/// How executors reach the agent besides its port: a Unix socket, if it shall be.
fn open_to_executors(node: &Node, settings: &Settings, agent: &Address<Agent>) -> Result<(), StartError> {
    let path = settings.domain_socket_location.clone().filter(|_| settings.http_executor_domain_sockets);
    let Some(path) = path else {
        let told = settings.executor_environment_variables.as_ref();
        let is_told = told.is_some_and(|variables| variables.0.contains_key("LIBPROCESS_SSL_ENABLED"));
        if node.scheme() == "https" && !is_told {
            tracing::warn!(
                "executors will not find this agent: they speak TLS only if --executor_environment_variables \
                 tells them LIBPROCESS_SSL_ENABLED; or use --http_executor_domain_sockets"
            );
        }
        return Ok(());
    };
    // As upstream (`Slave::initialize`): what executors need, and the operator API.
    let paths = ["/api/v1/executor", "/api/v1"].map(|path| format!("/{}{path}", agent.pid().id()));
    // Whoever runs a task may connect: executors run as any user.
    let mode = 0o666;
    tracing::info!(socket = %path.display(), "executors speak to this agent over a Unix socket");
    Ok(serve_unix(node, UnixSocket { path, mode, paths: paths.to_vec() })?)
}

/// Makes the work directory, and writes to it. Returns its one absolute name: sandboxes are known by their paths, to
/// executors as well, which run elsewhere, and to the next agent. A disk that is full is no reason not to start: it may be
/// this agent that makes room there.
fn prepare_work_dir(disk: &dyn Disk, path: &Path) -> Result<PathBuf, StartError> {
    let refuse =
        |error: std::io::Error| StartError::WorkDir { path: path.to_path_buf(), reason: error.to_string() };
    disk.create_directory(path, Durability::Host).map_err(refuse)?;
    let probe = path.join(".probe");
    if had_room(disk.write(&probe, b"", Durability::Process)).map_err(refuse)? {
        disk.remove(&probe).map_err(refuse)?;
    } else {
        tracing::warn!(work_dir = %path.display(), "there is no room on the disk of the work directory");
    }
    disk.canonicalize(path).map_err(refuse)
}

/// Whether there was room for something that was to be written.
fn had_room(written: std::io::Result<()>) -> std::io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Ok(false),
            _ => Err(error),
        },
    }
}

fn agent_resources(node: &Node, settings: &Settings) -> Result<Resources, StartError> {
    let host = Host::probe(&**node.disk(), &settings.work_dir);
    let given = settings.resources.as_deref();
    resources(given, &settings.default_role, host)
        .map_err(|error| StartError::Resources { given: given.unwrap_or_default().to_owned(), error })
}

/// Whether volumes have a place on each disk with a source (upstream: `Slave::initialize`). Else one could be made there,
/// and what its tasks keep would go with their sandboxes.
fn check_disks(disk: &dyn Disk, work_dir: &Path, total: &Resources) -> Result<(), StartError> {
    for resource in total.iter() {
        let Some(source) = resource.disk().and_then(|disk| disk.source.as_ref()) else { continue };
        let refuse = |reason: String| StartError::Disk { disk: resource.to_string(), reason };
        let rootless = || refuse("has no root: the directory where its volumes are".to_owned());
        match source.r#type() {
            source::Type::Path => {
                let root = source.path.as_ref().and_then(|path| path.root.as_deref()).ok_or_else(rootless)?;
                disk.create_directory(&work_dir.join(root), Durability::Host)
                    .map_err(|error| refuse(format!("has a root that cannot be made: {error}")))?;
            }
            source::Type::Mount => {
                let root =
                    source.mount.as_ref().and_then(|mount| mount.root.as_deref()).ok_or_else(rootless)?;
                check_mount(disk, &work_dir.join(root))?;
            }
            source::Type::Block | source::Type::Raw | source::Type::Unknown => {
                return Err(refuse(
                    "is neither a PATH nor a MOUNT disk: an agent has no other ones".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

/// Whether something is mounted where a MOUNT disk is. Else what tasks keep would be on the host's own disk, and out of
/// sight when the file system is mounted at last; and all that is in a volume's directory goes with the volume.
fn check_mount(disk: &dyn Disk, root: &Path) -> Result<(), StartError> {
    let refuse = |reason: String| StartError::NotMounted { root: root.to_path_buf(), reason };
    let real = disk.canonicalize(root).map_err(|error| refuse(format!("cannot be found: {error}")))?;
    let table =
        disk.read(Path::new(mounts::TABLE)).map_err(|error| refuse(format!("may be none: {error}")))?;
    if mounts::places(&table).any(|place| place == real) {
        Ok(())
    } else {
        Err(refuse("is no mount point".to_owned()))
    }
}

fn agent_info(settings: &Settings, node: &Node, total: &Resources) -> Result<v1::AgentInfo, StartError> {
    let given = settings.attributes.as_deref().unwrap_or_default();
    let attributes = Attributes::parse(given)
        .map_err(|error| StartError::Attributes { given: given.to_owned(), error })?;
    let address = node.address();
    Ok(v1::AgentInfo {
        hostname: hostname(settings, address.ip()),
        port: Some(i32::from(address.port())),
        resources: total.to_protos(),
        attributes: attributes.to_protos(),
        domain: settings.domain.as_ref().map(|domain| domain.0.clone()),
        id: None,
    })
}

/// The name that this agent is shown under.
fn hostname(settings: &Settings, ip: IpAddr) -> String {
    if let Some(hostname) = &settings.hostname {
        return hostname.clone();
    }
    if !settings.hostname_lookup {
        return ip.to_string();
    }
    if ip.is_loopback() {
        return "localhost".to_owned();
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { ip.to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libprocess::disk::HostDisk;

    /// What is said of a disk with this source.
    fn check_source(work_dir: &Path, source: &str) -> Result<(), String> {
        let text = format!(
            r#"[{{"name":"disk","type":"SCALAR","scalar":{{"value":8}},"disk":{{"source":{source}}}}}]"#
        );
        let total = Resources::parse(&text, "*").unwrap();
        check_disks(&HostDisk, work_dir, &total).map_err(|error| error.to_string())
    }

    #[test]
    fn no_volume_may_be_on_a_disk_that_is_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let below_a_file = format!(r#"{{"type":"PATH","path":{{"root":"{}/root"}}}}"#, file.display());
        for (source, reason) in [
            (r#"{"type":"PATH"}"#, "'disk[PATH]:8' of --resources has no root: "),
            (r#"{"type":"MOUNT","mount":{}}"#, "'disk[MOUNT]:8' of --resources has no root: "),
            (
                r#"{"type":"RAW","id":"i"}"#,
                "'disk[RAW(,i,)]:8' of --resources is neither a PATH nor a MOUNT disk: ",
            ),
            (r#"{"type":"BLOCK"}"#, "'disk[BLOCK]:8' of --resources is neither a PATH nor a MOUNT disk: "),
            (below_a_file.as_str(), "file/root]:8' of --resources has a root that cannot be made: "),
        ] {
            let error = check_source(directory.path(), source).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(check_source(directory.path(), r#"{"type":"PATH","path":{"root":"a/b"}}"#), Ok(()));
        assert!(directory.path().join("a/b").is_dir());
    }

    #[test]
    fn a_disk_of_its_own_must_be_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let check = |kind: &str, root: &Path| {
            let (name, root) = (kind.to_uppercase(), root.display());
            check_source(directory.path(), &format!(r#"{{"type":"{name}","{kind}":{{"root":"{root}"}}}}"#))
        };
        assert_eq!(check("mount", Path::new("/proc")), Ok(()));
        assert_eq!(check("path", directory.path()), Ok(()));
        let error = check("mount", directory.path()).unwrap_err();
        assert!(error.contains("' of --resources is no mount point (mount"), "{error}");
        let error = check("mount", Path::new("nothing")).unwrap_err();
        assert!(error.contains("/nothing' of --resources cannot be found: "), "{error}");
    }

    #[test]
    fn a_disk_that_is_full_is_told_from_one_that_cannot_be_written() {
        let had_room = |kind: ErrorKind| super::had_room(Err(kind.into())).map_err(|error| error.kind());
        assert_eq!(had_room(ErrorKind::StorageFull), Ok(false));
        assert_eq!(had_room(ErrorKind::QuotaExceeded), Ok(false));
        for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied, ErrorKind::NotADirectory] {
            assert_eq!(had_room(kind), Err(kind));
        }
    }

    #[test]
    fn a_work_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = prepare_work_dir(&HostDisk, &file.join("work")).unwrap_err().to_string();
        assert!(error.contains("file/work") && error.contains("--work_dir"), "{error}");
        let work = directory.path().join("x/../work");
        std::fs::create_dir(directory.path().join("x")).unwrap();
        assert_eq!(
            prepare_work_dir(&HostDisk, &work).unwrap(),
            directory.path().canonicalize().unwrap().join("work")
        );
    }
}
