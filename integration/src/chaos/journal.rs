//! What a framework under fire knows and has been told: a line of JSON for each launch and each status update, in the
//! order in which they came, written before anything else is done about them. The framework itself begins with it
//! after it was killed, and the test judges by it ([`super::checker`]).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One line. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Record {
    /// The framework has subscribed, for the first time or again.
    Subscribed {
        /// When.
        at: f64,
        /// Its id.
        framework: String,
    },
    /// It is about to launch a task.
    Launched {
        /// When.
        at: f64,
        /// The task's id.
        task: String,
        /// The agent's id.
        agent: String,
    },
    /// It was told of a task, and has not acknowledged it yet.
    Told(Told),
    /// It was told to finish, and none of its tasks is alive to its knowledge.
    Done {
        /// When.
        at: f64,
    },
}

/// A status update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When it came.
    pub at: f64,
    /// The task's id.
    pub task: String,
    /// `TASK_RUNNING` ...
    pub state: String,
    /// Identifies an update that must be acknowledged, in hexadecimal digits.
    pub uuid: Option<String>,
    /// `REASON_RECONCILIATION` ...
    pub reason: Option<String>,
    /// `SOURCE_MASTER` ...
    pub source: Option<String>,
    /// In words.
    pub message: Option<String>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Opens it for further lines.
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self(file.expect("the test's folder is ours"))
    }

    /// Writes a line. It survives the end of this process.
    pub fn write(&mut self, record: &Record) {
        let line = serde_json::to_string(record).expect("a record is JSON") + "\n";
        self.0.write_all(line.as_bytes()).expect("the test's disk has room");
    }
}

/// All lines that there are; a last one that is just being written is left out.
pub fn read(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(|line| serde_json::from_str(line).expect("a journal's line is a record")).collect()
}

/// Whether a framework that is told this gives the task up and does not expect it back. A task that is unreachable is
/// expected; one that nobody knows was never launched, as far as its framework can tell.
pub fn gives_up(state: &str) -> bool {
    !matches!(state, "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE")
}
