//! What agents have promised to executors: an update that is in an agent's log on disk (`task.updates`) was, or was
//! about to be, acknowledged to its executor, which forgets it then. So the framework must be told.

use std::collections::BTreeMap;
use std::path::Path;

use agent::status_updates::log;
use libprocess::disk::HostDisk;
use mesos::v1::TaskState;

/// An update that an agent has promised to deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// In hexadecimal digits.
    pub uuid: String,
    /// `TASK_RUNNING` ...
    pub state: String,
}

/// The promises of the agent with this work directory, in order, by task. The agent must not run: a record that is
/// being written would be taken for a torn one, and cut off.
pub fn read(work_dir: &Path) -> BTreeMap<String, Vec<Promise>> {
    let mut promises = BTreeMap::new();
    for path in logs(&work_dir.join("meta")) {
        let replay = log::read_back(&HostDisk, &path);
        let replay = replay.unwrap_or_else(|error| fail(&error.to_string()));
        for update in replay.updates {
            let status = update.status;
            let uuid = status.uuid.as_deref().and_then(|bytes| uuid::Uuid::from_slice(bytes).ok());
            let promise = Promise {
                uuid: uuid.map(|uuid| uuid.simple().to_string()).unwrap_or_default(),
                state: TaskState::try_from(status.state).map_or("?", |state| state.as_str_name()).into(),
            };
            promises.entry(status.task_id.value).or_insert_with(Vec::new).push(promise);
        }
    }
    promises
}

#[allow(clippy::panic, reason = "an agent's log that cannot be read is a failure of the test")]
fn fail(error: &str) -> log::Replay {
    panic!("a log of status updates: {error}")
}

/// All logs of updates below a folder.
fn logs(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => logs(&entry.path()),
            Ok(_) if entry.file_name() == "task.updates" => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
