//! The demo: what it shows, how it can be ended, and that nothing is left of it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use integration::ports::Port;
use integration::{bench, binary};
use libprocess::subprocess::send_signal;
use rustix::process::Signal;
use tempfile::TempDir;

/// How long a demo may take to end, once told to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo with ports and a folder for temporary files of its own: what it leaves is found in there.
struct Demo {
    ports: Vec<Port>,
    temporary: TempDir,
    words: Vec<String>,
    binary: PathBuf,
    /// Another user than the test's, as user and group.
    user: Option<u32>,
}

impl Demo {
    fn new(words: &[&str]) -> Self {
        // Its ports are those of config/, which another cluster on this machine may hold.
        let ports: Vec<Port> = (0..4).map(|_| Port::reserve().unwrap()).collect();
        let list = ports.iter().map(|port| port.address().port().to_string()).collect::<Vec<_>>().join(",");
        let mut all = vec!["demo".to_owned(), format!("--ports={list}")];
        all.extend(words.iter().map(ToString::to_string));
        let temporary = tempfile::Builder::new().prefix("demo-test-").tempdir().unwrap();
        Self { ports, temporary, words: all, binary: binary::mesos(), user: None }
    }

    fn command(&self) -> Command {
        let mut command = integration::command(&self.binary);
        command
            .args(&self.words)
            .env("TMPDIR", self.temporary.path())
            // Variables of a cluster by hand, which the demo's daemons must not inherit.
            .env("MESOS_RESOURCES", "cpus:1")
            .env("MESOS_ADVERTISE_IP", "10.9.9.9");
        if let Some(user) = self.user {
            command.uid(user).gid(user).current_dir("/");
        }
        command
    }

    fn spawn(&self) -> Child {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Asserts that neither a process nor a file of it is left.
    fn left_nothing(&self) {
        let processes = self.processes();
        assert!(processes.is_empty(), "processes are left: {processes:?}");
        let mut files = Vec::new();
        below(self.temporary.path(), &mut files);
        assert!(files.is_empty(), "files are left: {files:#?}");
    }

    /// All processes of it: daemons have its folder in their environment, and executors work in it.
    fn processes(&self) -> Vec<String> {
        let mark = format!("TMPDIR={}", self.temporary.path().display());
        let is_ours = |process: &Path| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
                || std::fs::read_link(process.join("cwd"))
                    .is_ok_and(|cwd| cwd.starts_with(self.temporary.path()))
        };
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        processes
            .filter(|process| is_ours(process))
            .map(|process| std::fs::read_to_string(process.join("cmdline")).unwrap_or_default())
            .collect()
    }
}

/// All that is below a folder.
fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().into_iter().flatten() {
        let path = entry.unwrap().path();
        files.push(path.clone());
        below(&path, files);
    }
}

fn signal(child: &Child, signal: Signal) {
    send_signal(i32::try_from(child.id()).unwrap(), signal);
}

/// Whether what these tests start ignores a signal until it has begun to heed it, as it does of SIGHUP under nohup, and of
/// SIGINT in the background of a script.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}

/// Waits for the end; what it wrote to standard output and standard error.
fn ended(mut child: Child) -> (Option<i32>, String, String) {
    let deadline = bench::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if bench::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let read = |pipe: Option<Box<dyn Read>>| {
        let mut text = String::new();
        pipe.map(|mut pipe| pipe.read_to_string(&mut text));
        text
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = read(out.map(|pipe| Box::new(pipe) as Box<dyn Read>));
    let err = read(err.map(|pipe| Box::new(pipe) as Box<dyn Read>));
    (child.wait().unwrap().code(), out, err)
}

fn shows_the_results(output: &Output) {
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    for part in [
        "3/3  agents registered",
        "sum = 1999999999000000000  (error 0)",
        "10/10  tasks done",
        "π = 3.14159",
        "ln 2 = 0.693147",
        "/                for a browser",
        "/state",
        "/version",
        "/__processes__",
        "curl http://127.0.0.1:",
        "Everything is stopped.",
    ] {
        assert!(printed.contains(part), "'{part}' is not in:\n{printed}");
    }
    assert_eq!(errors, "", "nothing went wrong");
}

#[test]
fn it_shows_three_results_and_leaves_nothing_behind() {
    let demo = Demo::new(&[]);
    shows_the_results(&demo.run());
    demo.left_nothing();
}

#[test]
fn it_works_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        // Then every test here is one.
        return;
    }
    const NOBODY: u32 = 65534;
    let mut demo = Demo::new(&[]);
    // What that user may not be able to reach where it is: the program and the configuration.
    let open = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    let folder = TempDir::new().unwrap();
    open(folder.path());
    demo.binary = folder.path().join("mesos");
    std::fs::copy(binary::mesos(), &demo.binary).unwrap();
    open(&demo.binary);
    for entry in binary::workspace().join("config").read_dir().unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    demo.words.push(format!("--config_dir={}", folder.path().display()));
    std::os::unix::fs::chown(demo.temporary.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    demo.user = Some(NOBODY);
    shows_the_results(&demo.run());
    demo.left_nothing();
}

#[test]
fn ctrl_c_ends_it_at_any_moment() {
    let mut printed = 0;
    for (wait, how) in [
        (5, Signal::INT),
        (30, Signal::INT),
        (90, Signal::HUP),
        (250, Signal::INT),
        (700, Signal::TERM),
        (1000, Signal::INT),
        (1200, Signal::HUP),
    ] {
        let demo = Demo::new(&["--keep"]);
        let child = demo.spawn();
        std::thread::sleep(Duration::from_millis(wait));
        let how = if is_ignored(how) { Signal::TERM } else { how };
        signal(&child, how);
        let (code, out, err) = ended(child);
        assert!(!err.contains("panicked"), "after {wait} ms: {err}");
        printed += usize::from(!out.is_empty());
        println!("{how:?} after {wait} ms: status {code:?}, {err:?}, {out:?}");
        demo.left_nothing();
    }
    assert!(printed > 0, "it was always ended before it had begun");
}

#[test]
fn with_keep_it_stays_until_ctrl_c() {
    let demo = Demo::new(&["--keep"]);
    let mut child = demo.spawn();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.by_ref().map(Result::unwrap).any(|line| line.contains("until Ctrl-C"));
    assert!(found, "{}", ended(child).2);
    // Everything is still there, and answers.
    let (address, state) = (demo.ports[0].address(), "GET /state HTTP/1.0\r\n\r\n");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, state.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"activated_slaves\":3.0"), "{answer}");
    assert!(demo.processes().len() >= 5, "{:?}", demo.processes());

    signal(&child, Signal::INT);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line == "Everything is stopped."), "{rest:?}");
    assert_eq!(ended(child).0, Some(0));
    demo.left_nothing();
}

#[test]
fn a_taken_port_is_named_before_anything_starts() {
    let demo = Demo::new(&[]);
    let taken = std::net::TcpListener::bind(demo.ports[2].address()).unwrap();
    let output = demo.run();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for part in ["agent-2", &taken.local_addr().unwrap().to_string(), "in use", "--ports"] {
        assert!(errors.contains(part), "'{part}' is not in: {errors}");
    }
    demo.left_nothing();
}

#[test]
fn a_reader_that_goes_away_does_no_harm() {
    let demo = Demo::new(&[]);
    let mut child = demo.spawn();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let (code, _, err) = ended(child);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    demo.left_nothing();
}
