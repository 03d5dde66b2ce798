//! Upstream's own scheduler driver in a test's hands, if there is one on this machine:
//! `integration/libmesos/framework.py` on upstream's Python binding of libmesos, a process that prints what the
//! driver's callbacks are called with, and makes the driver's calls.
//!
//! [`PYTHON`] names the Python 2.7 that can `import mesos.scheduler`, version 1.11, of PyPI (or a script that sets its
//! paths). It is not in this repository, nor do Debian's packages have it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::binary;
use crate::daemon::command;
use crate::ports::Port;
use crate::wait::PATIENCE;
use crate::wire::Wire;

/// The variable that names the Python.
pub const PYTHON: &str = "MESOS_TEST_LIBMESOS";

/// The Python, or `None` with the reason printed: the caller's test is skipped then.
pub fn python() -> Option<OsString> {
    let python = std::env::var_os(PYTHON);
    if python.is_none() {
        println!("skipped: {PYTHON} does not name a Python 2.7 with upstream's mesos.scheduler");
    }
    python
}

/// A driver that was started. Dropping it kills its process, as a crash of the scheduler would.
#[derive(Debug)]
pub struct LibmesosDriver {
    process: Child,
    calls: ChildStdin,
    callbacks: UnboundedReceiver<Value>,
    /// `FrameworkID.value`, once it is registered.
    pub framework_id: String,
}

impl LibmesosDriver {
    /// Starts a driver of the framework; does not wait until it is registered. `master` is `host:port` or `zk://...`.
    /// With `acknowledges` it acknowledges each update by itself.
    pub fn start(python: &OsString, master: &str, framework_info: &Value, acknowledges: bool) -> Self {
        Self::spawn(driver(python, master, framework_info, acknowledges))
    }

    /// [`Self::start`] of one that acknowledges by itself, with a way to it: it listens on `port`, and says that it does so
    /// where `wire` begins, which leads to `port`. What the master sends comes through it; what the driver sends does not.
    pub fn behind(python: &OsString, master: &str, framework_info: &Value, port: &Port, wire: &Wire) -> Self {
        let mut command = driver(python, master, framework_info, true);
        command.env("LIBPROCESS_PORT", port.address().port().to_string());
        command.env("LIBPROCESS_ADVERTISE_PORT", wire.address().port().to_string());
        command.env("LIBPROCESS_ADVERTISE_IP", wire.address().ip().to_string());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = command.spawn().expect("the Python can be started");
        let calls = process.stdin.take().expect("it was asked for");
        let printed = process.stdout.take().expect("it was asked for");
        let (sender, callbacks) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                let callback = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(callback).is_err() {
                    break;
                }
            }
        });
        Self { process, calls, callbacks, framework_id: String::new() }
    }

    /// [`Self::start`], and waits until it is registered.
    pub async fn registered(
        python: &OsString,
        master: &str,
        framework_info: &Value,
        acknowledges: bool,
    ) -> Self {
        let mut driver = Self::start(python, master, framework_info, acknowledges);
        driver.is_registered().await;
        driver
    }

    /// Waits until it is registered for the first time.
    pub async fn is_registered(&mut self) {
        let registered = self.hears("registered").await;
        self.framework_id = registered["framework"].as_str().expect("it has an id").to_owned();
    }

    /// The next callback, whichever it is.
    #[allow(clippy::panic, reason = "a callback that does not come fails the test")]
    pub async fn any(&mut self) -> Value {
        match tokio::time::timeout(PATIENCE, self.callbacks.recv()).await {
            Ok(Some(callback)) => callback,
            Ok(None) => panic!("the driver's process has ended"),
            Err(_) => panic!("the driver hears nothing for {PATIENCE:?}"),
        }
    }

    /// The next callback of this name; others before it are passed over, an unexpected error fails the test.
    pub async fn hears(&mut self, name: &str) -> Value {
        loop {
            let callback = self.any().await;
            if callback["event"] == name {
                return callback;
            }
            assert_ne!(callback["event"], "error", "waiting for {name}: {callback}");
        }
    }

    /// All callbacks up to the next one of this name, which is the last of them.
    pub async fn up_to(&mut self, name: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last: &Value| last["event"] != name) {
            heard.push(self.any().await);
        }
        heard
    }

    /// All that it hears before the master's answer to what it asks now: what becomes of a task that there never was.
    pub async fn before_an_answer(&mut self) -> Vec<Value> {
        let asked = json!({ "task_id": { "value": "there is none" }, "state": "TASK_STAGING" });
        self.call("reconcileTasks", json!({ "statuses": [asked] }));
        let mut heard = Vec::new();
        loop {
            let callback = self.any().await;
            if callback["status"]["task_id"] == asked["task_id"] {
                return heard;
            }
            heard.push(callback);
        }
    }

    /// The next offer.
    pub async fn offer(&mut self) -> Value {
        self.hears("resourceOffers").await["offers"][0].take()
    }

    /// Waits until the task is in this state; the status. With `acknowledge` each update is acknowledged.
    pub async fn state(&mut self, task: &str, state: &str, acknowledge: bool) -> Value {
        loop {
            let status = self.hears("statusUpdate").await["status"].take();
            if acknowledge {
                self.call("acknowledgeStatusUpdate", json!({ "status": status }));
            }
            if status["task_id"]["value"] == task && status["state"] == state {
                return status;
            }
        }
    }

    /// Makes a call; `arguments` are those that `framework.py` knows.
    pub fn call(&mut self, name: &str, mut arguments: Value) {
        arguments["call"] = json!(name);
        writeln!(self.calls, "{arguments}").expect("the driver's process listens");
    }

    /// Launches these tasks on an offer; what they leave is declined for an hour.
    pub fn launch(&mut self, offer: &Value, tasks: &[Value]) {
        let filters = json!({ "refuse_seconds": 3600.0 });
        self.call(
            "launchTasks",
            json!({ "offers": [offer["id"]["value"]], "tasks": tasks, "filters": filters }),
        );
    }
}

fn driver(python: &OsString, master: &str, framework_info: &Value, acknowledges: bool) -> Command {
    let mut command = command(python);
    command
        .arg(binary::workspace().join("integration/libmesos/framework.py"))
        .arg(master)
        .arg(framework_info.to_string())
        .arg(if acknowledges { "implicit" } else { "explicit" })
        .env("LIBPROCESS_IP", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

impl Drop for LibmesosDriver {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
