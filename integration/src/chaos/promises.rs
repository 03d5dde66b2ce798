//! What agents have promised to executors: an update that an agent has on its disk was, or was about to be, acknowledged
//! to its executor, which forgets it then. So the framework must be told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent::recovery::checkpoint::DiskError;
use agent::recovery::paths::Paths;
use agent::status_updates::journal;
use agent::status_updates::log::{self, Replay};
use libprocess::disk::HostDisk;

/// An update that an agent has promised to deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// In hexadecimal digits.
    pub uuid: String,
    /// `TASK_RUNNING` ...
    pub state: String,
}

/// The promises of the agent with this work directory, in order, by task. The agent must not run: its files are brought
/// into the state that its next start would bring them into.
///
/// # Panics
/// When they cannot be read: the agent could not start again.
pub fn read(work_dir: &Path) -> BTreeMap<String, Vec<Promise>> {
    let mut promises: BTreeMap<String, Vec<Promise>> = BTreeMap::new();
    for (path, replay) in replays(work_dir).expect("an agent's checkpoints can be read") {
        for update in replay.updates {
            let status = update.status;
            let uuid = status.uuid.as_deref().and_then(|bytes| uuid::Uuid::from_slice(bytes).ok());
            let uuid = uuid.map(|uuid| uuid.simple().to_string());
            let promise = Promise {
                uuid: uuid.unwrap_or_else(|| format!("none, in {}", path.display())),
                state: status.state().as_str_name().into(),
            };
            promises.entry(status.task_id.value).or_default().push(promise);
        }
    }
    promises
}

/// What the logs of all tasks say, under all ids that the agent has had.
fn replays(work_dir: &Path) -> Result<Vec<(PathBuf, Replay)>, DiskError> {
    let slaves = Paths::new(work_dir).meta_dir().join("slaves");
    let mut replays = Vec::new();
    for agent in directories(&slaves) {
        // What was synced in the journal may not be in the logs yet.
        journal::redo(&HostDisk, &agent, false, &mut Err)?;
        for path in logs(&agent) {
            let replay = log::read_back(&HostDisk, &path)?;
            replays.push((path, replay));
        }
    }
    Ok(replays)
}

/// The directories in one; links are not followed.
fn directories(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// All logs of updates below a folder.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let log = folder.join("task.updates");
    let deeper = directories(folder).into_iter().flat_map(|folder| logs(&folder));
    log.exists().then_some(log).into_iter().chain(deeper).collect()
}
