//! `mesos registry show|export|import`: reads and moves a registry while no master uses it (not in upstream).
//!
//! A registry is in a master's work directory, or in the ZooKeeper or etcd where several masters elect their leader. Its
//! form outside is JSON (`master/src/registrar/transfer.rs`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use election::{DEFAULT_SESSION_TIMEOUT, MASTER_INFO_LABEL, MasterUrl};
use libprocess::Node;
use master::registrar::transfer::{Records, import, is_empty, parse, read};
use master::registrar::{FILE, Local, Storage, shared};
use mesos::internal::Registry;

use super::{client_node, run};
use crate::output::print;
use crate::settings::{Call, Failure};
use crate::{logging, signals};

const COMMAND: &str = "registry";
const USAGE: &str = "mesos registry export FILE, mesos registry import FILE";
const HELP: &str = "\
mesos registry show           prints a registry as JSON
mesos registry export FILE    writes it into a file
mesos registry import FILE    puts the content of such a file into an empty registry

Each explains its settings with --help.";
/// How long a store may take.
const PATIENCE: Duration = Duration::from_secs(60);

mesos::settings! {
    /// Where a registry is.
    struct Settings for "mesos registry show|export FILE|import FILE" {
        "Where the registry is: one of these" {
            /// The work directory of a single master. The master must have ended: it keeps the file to itself.
            work_dir: Option<PathBuf>,
            /// Where several masters elect their leader: zk://host1:port1,host2:port2/path, or
            /// etcd://host1:port1,host2:port2/path; as in their --zk.
            zk: Option<String>,
        }
        "Only for import" {
            /// Delete what is there before.
            replace: bool = false,
        }
    }
}

/// What is to be done.
enum Task {
    Show,
    Export(PathBuf),
    Import(PathBuf),
}

/// Does what the next word says.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let (word, call) = call.next_word();
    let (task, call) = match word.as_deref() {
        Some("show") => (Task::Show, call),
        Some(word @ ("export" | "import")) => {
            let named = call.words.first().is_some_and(|word| !word.starts_with('-'));
            let (file, call) = if named { call.next_word() } else { (None, call) };
            // Without a file only --help makes sense, which is found out next.
            let file = PathBuf::from(file.unwrap_or_default());
            (if word == "export" { Task::Export(file) } else { Task::Import(file) }, call)
        }
        Some("--help" | "-h") => {
            say!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => {
            return Err(failed(format!("there is no '{other}'; allowed are show, export and import")));
        }
        None => return Err(failed("what about it? allowed are show, export and import")),
    };
    let needs_file = matches!(&task, Task::Export(file) | Task::Import(file) if file.as_os_str().is_empty());
    // A file that comes after the settings is taken for one of them.
    let loaded = call.load_tool::<Settings>(COMMAND, &[]);
    let settings = match loaded.map_err(|failure| if needs_file { failure.hint(USAGE) } else { failure })? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    if needs_file {
        return Err(failed(format!("which file? ({USAGE})")));
    }
    if settings.replace && !matches!(task, Task::Import(_)) {
        return Err(failed("--replace is only for import"));
    }
    let place = Place::of(&settings)?;
    logging::start_tool("WARNING");
    run(async {
        let node = client_node(COMMAND, &call.environment).await?;
        let result = tokio::select! {
            biased;
            done = tokio::time::timeout(PATIENCE, perform(&node, task, &place, settings.replace)) => match done {
                Ok(result) => result,
                Err(_) => Err(failed(format!("{place} did not answer within {PATIENCE:?}"))),
            },
            () = signals::interrupted() => Err(failed("interrupted")),
        };
        node.shutdown().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::of(COMMAND, error)
}

async fn perform(node: &Node, task: Task, place: &Place, replace: bool) -> Result<(), Failure> {
    match task {
        Task::Show => {
            let registry = place.read(node).await?;
            let text = mesos::json::to_string(&registry);
            print(&text).map_err(|error| failed(format!("standard output: {error}")))?;
        }
        Task::Export(file) => {
            let registry = place.read(node).await?;
            write(&file, &mesos::json::to_vec(&registry)).map_err(|error| about(&file, error))?;
            let told = format!("{} from {place} into {}", amount(&registry), file.display());
            // A pipe may be the standard output, whose reader wants the registry and nothing else.
            if file.is_file() {
                say!("{told}");
            } else {
                complain!("{told}");
            }
        }
        Task::Import(file) => {
            let text = std::fs::read(&file).map_err(|error| about(&file, error))?;
            let registry = parse(&text).map_err(|error| about(&file, error))?;
            let amount = amount(&registry);
            // Before anything is opened: that makes a file where there is none.
            let records = Records::try_from(registry).map_err(|error| about(&file, error))?;
            place.refuse_if_masters_are_there().await?;
            import(&mut *place.open(node)?, records, replace).await.map_err(failed)?;
            say!("{amount} from {} into {place}", file.display());
        }
    }
    Ok(())
}

fn about(file: &Path, error: impl std::fmt::Display) -> Failure {
    failed(format!("{}: {error}", file.display()))
}

/// Writes a file that is there as a whole or not at all, and survives a power failure. Where a link leads is meant, not
/// the link; and a device or a pipe (`/dev/stdout`) is given the text, not replaced by it.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut there = std::fs::File::options().write(true).open(path)?;
        there.write_all(text)?;
        return there.write_all(b"\n");
    }
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// How much a registry holds, for people.
fn amount(registry: &Registry) -> String {
    let agents = registry.slaves.as_ref().map_or(0, |list| list.slaves.len());
    let unreachable = registry.unreachable.as_ref().map_or(0, |list| list.slaves.len());
    let gone = registry.gone.as_ref().map_or(0, |list| list.slaves.len());
    let machines = registry.machines.as_ref().map_or(0, |list| list.machines.len());
    format!(
        "agents: {agents}, unreachable: {unreachable}, gone: {gone}, weights: {}, quotas: {}, machines in maintenance: \
         {machines}",
        registry.weights.len(),
        registry.quota_configs.len()
    )
}

/// Where a registry is.
enum Place {
    WorkDir(PathBuf),
    Election(MasterUrl),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WorkDir(directory) => directory.display().fmt(f),
            Self::Election(url) => url.fmt(f),
        }
    }
}

impl Place {
    fn of(settings: &Settings) -> Result<Self, Failure> {
        match (&settings.work_dir, &settings.zk) {
            (Some(directory), None) => Ok(Self::WorkDir(directory.clone())),
            (None, Some(text)) => match text.parse() {
                Ok(url @ (MasterUrl::ZooKeeper(_) | MasterUrl::Etcd(_))) => Ok(Self::Election(url)),
                Ok(_) => Err(failed("bad --zk: expected zk://host:port/path or etcd://host:port/path")),
                Err(error) => Err(failed(format!("bad --zk: {error}"))),
            },
            (None, None) => Err(failed("where is it? --work_dir=DIR, or --zk=URL")),
            (Some(_), Some(_)) => Err(failed("it is in one place: either --work_dir or --zk")),
        }
    }

    fn open(&self, node: &Node) -> Result<Box<dyn Storage>, Failure> {
        match self {
            Self::WorkDir(directory) => Ok(Box::new(Local::open(node, directory).map_err(failed)?)),
            Self::Election(url) => shared(node, url, DEFAULT_SESSION_TIMEOUT)
                .ok_or_else(|| failed(format!("there is no registry in {url}"))),
        }
    }

    /// What is there. Where nothing was ever stored, as at a path that was misspelt, there is no registry: a copy of that
    /// would look like one.
    async fn read(&self, node: &Node) -> Result<Registry, Failure> {
        let registry = read(&mut *self.open_existing(node)?).await.map_err(failed)?;
        match self {
            Self::Election(url) if is_empty(&registry) => {
                Err(failed(format!("there is no registry in {url} (nothing is stored there)")))
            }
            _ => Ok(registry),
        }
    }

    /// Opening a file that is not there, or is empty, would make a registry.
    fn open_existing(&self, node: &Node) -> Result<Box<dyn Storage>, Failure> {
        if let Self::WorkDir(directory) = self {
            let none = |why| failed(format!("there is no registry in {} ({why})", directory.display()));
            match std::fs::metadata(directory.join(FILE)) {
                Ok(file) if file.len() == 0 => return Err(none(format!("{FILE} is empty"))),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(none(format!("no file {FILE}")));
                }
                Err(error) => return Err(about(&directory.join(FILE), error)),
            }
        }
        self.open(node)
    }

    /// Masters that elect would read half of a registry, or write into it. (A work directory belongs to one process at
    /// a time anyway.)
    async fn refuse_if_masters_are_there(&self) -> Result<(), Failure> {
        let Self::Election(url) = self else { return Ok(()) };
        let Some(group) = url.group(DEFAULT_SESSION_TIMEOUT) else { return Ok(()) };
        let session = group.connect().await.map_err(failed)?;
        let (members, _) = session.members().await.map_err(failed)?;
        match members.iter().find(|member| member.label == MASTER_INFO_LABEL) {
            Some(member) => Err(failed(format!(
                "masters use {url} ('{}'): end all of them first, or wait until their sessions have ended",
                member.name
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    #[test]
    fn a_link_stays_and_its_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "before, and longer").unwrap();
        symlink("file", &link).unwrap();
        write(&link, b"{}").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_pipe_is_written_into_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let name = pipe.clone();
        let reader = std::thread::spawn(move || std::fs::read_to_string(name).unwrap());
        write(&pipe, b"{}").unwrap();
        assert_eq!(reader.join().unwrap(), "{}\n");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), b"{}").is_err());
    }
}
