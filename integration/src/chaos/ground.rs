//! What a cluster under fire stands on: hosts that can be cut off from each other, disks that can be full, and a world
//! that vanishes with the test, whatever becomes of it.
//!
//! As root, the test runs itself again in namespaces of its own (`unshare`): of processes, so that all that it has
//! started ends with it; of mounts, so that small disks go away by themselves; of networks, so that its bridge is seen
//! by nobody else. Each [`Host`] is a network namespace more, joined to the others by the bridge. The test's own
//! namespace has two addresses: the schedulers' and its own, and the store's, which can be lost alone. Another user
//! gets the loopback interface and the disk that is there: partitions and full disks are left out then.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::chaos::say;
use crate::disk::SmallDisk;
use crate::ports::{self, Port};

/// Set in the test that runs in namespaces of its own: the file that says that it has run.
const INSIDE: &str = "MESOS_TEST_INSIDE";

/// Programs that make namespaces and what is in them (Debian's packages util-linux and iproute2).
const TOOLS: [&str; 4] = ["unshare", "nsenter", "ip", "mount"];

/// Where the test itself is, and the schedulers: the first host of the hosts' network.
const TEST: Ipv4Addr = address(1);

/// Where the store's servers listen.
pub const STORE: Ipv4Addr = address(254);

/// Whose link layer address nobody has (locally administered).
const NOBODY: &str = "02:00:00:00:00:01";

/// The size of a disk that is to be full now and then, in MiB: enough for an agent until somebody fills it.
const SMALL_DISK: u32 = 32;

/// What [`on_ground`] gives a test.
#[derive(Debug)]
pub struct Ground {
    namespaces: bool,
    hosts: u8,
}

/// Runs a test on a ground: inside of namespaces of its own, where that is possible. `test` is its name as the harness has
/// it, with the modules that it is in.
///
/// # Panics
/// When the test fails there, or there is none of that name.
pub fn on_ground(test: &str, run: impl FnOnce(Ground)) {
    if let Some(has_run) = std::env::var_os(INSIDE) {
        run(Ground::within());
        return std::fs::write(has_run, test).expect("the folder is the test's");
    }
    if let Some(reason) = cannot_have_namespaces() {
        say(&format!("partitions and full disks are skipped: {reason}"));
        return run(Ground { namespaces: false, hosts: 0 });
    }
    let folder = tempfile::tempdir().expect("there is a folder for what is temporary");
    let has_run = folder.path().join("has-run");
    // The shell is the namespace's first process: when it ends all others do. It also waits for orphans.
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--"])
        .args(["bash", "-c", "\"$@\"; exit $?", "bash"])
        .arg(std::env::current_exe().expect("a test knows its own program"))
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, &has_run)
        .env(ports::ADDRESS, STORE.to_string())
        .status()
        .expect("unshare was there a moment ago");
    assert!(status.success(), "{test} failed in its namespaces; what it said stands above");
    // A harness that finds no test of a name is content.
    assert!(has_run.exists(), "{test} was not run in its namespaces: is that its name?");
}

/// Why there can be no namespaces, if so.
fn cannot_have_namespaces() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("they need root".into());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = |tool: &str| std::env::split_paths(&paths).any(|folder| folder.join(tool).exists());
    if let Some(missing) = TOOLS.into_iter().find(|tool| !there(tool)) {
        return Some(format!(
            "there is no program '{missing}' (Debian's packages util-linux and iproute2 have it)"
        ));
    }
    // Root of a container may not.
    let tried = Command::new("unshare").args(["--net", "--mount", "true"]).output();
    let tried = tried.expect("unshare was there a moment ago");
    (!tried.status.success()).then(|| String::from_utf8_lossy(&tried.stderr).trim().to_owned())
}

const fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host)
}

/// Runs a program that prepares the ground.
fn must(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split(' ')).stdin(Stdio::null()).output();
    let output = output.expect("the program was there a moment ago");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {errors}");
}

impl Ground {
    /// The bridge, in namespaces that are new.
    fn within() -> Self {
        must("mount", "-t tmpfs tmpfs /run");
        must("ip", "link set lo up");
        must("ip", "link add bridge type bridge");
        // Whoever calls from here has the first one.
        for address in [TEST, STORE] {
            must("ip", &format!("address add {address}/24 dev bridge"));
        }
        must("ip", "link set bridge up");
        Self { namespaces: true, hosts: 1 }
    }

    /// Whether there are hosts that can be cut off, and disks that can be full.
    pub fn is_divided(&self) -> bool {
        self.namespaces
    }

    /// One more host; of another user, the loopback interface again.
    pub fn host(&mut self) -> Host {
        if !self.namespaces {
            let port = Port::reserve().expect("the kernel has a port");
            return Host { number: None, address: port.address(), _port: Some(port) };
        }
        self.hosts += 1;
        let number = self.hosts;
        let ip = address(number);
        must("ip", &format!("netns add h{number}"));
        must("ip", &format!("link add v{number} type veth peer name eth0 netns h{number}"));
        must("ip", &format!("link set v{number} master bridge up"));
        must("ip", &format!("-n h{number} address add {ip}/24 dev eth0"));
        must("ip", &format!("-n h{number} link set eth0 up"));
        must("ip", &format!("-n h{number} link set lo up"));
        Host { number: Some(number), address: SocketAddr::from((ip, 5050)), _port: None }
    }

    /// Makes `folder` a disk of its own that is small, if the ground is divided.
    pub fn small_disk(&self, folder: &Path) -> Option<SmallDisk> {
        self.namespaces
            .then(|| SmallDisk::mount(folder, SMALL_DISK).expect("the namespace of mounts is the test's"))
    }
}

/// A host with one daemon.
#[derive(Debug)]
pub struct Host {
    /// Its number in the network, if it is a namespace.
    number: Option<u8>,
    /// Where its daemon listens.
    pub address: SocketAddr,
    _port: Option<Port>,
}

impl Host {
    /// What starts `program` on this host.
    pub fn program(&self, program: &Path, arguments: Vec<String>) -> (PathBuf, Vec<String>) {
        let Some(number) = self.number else { return (program.to_owned(), arguments) };
        let mut all = vec![format!("--net=/run/netns/h{number}"), "--".into(), program.display().to_string()];
        all.extend(arguments);
        (find("nsenter"), all)
    }

    /// Cuts it off from all others, without a word to anybody; [`Host::join`] ends it.
    pub fn cut_off(&self) {
        self.link("down");
    }

    /// Joins it to the others again.
    pub fn join(&self) {
        self.link("up");
    }

    fn link(&self, state: &str) {
        if let Some(number) = self.number {
            must("ip", &format!("link set v{number} {state}"));
        }
    }

    /// What it sends to this address gets lost from now on; what comes from there arrives. [`Host::find`] ends it.
    pub fn lose(&self, to: IpAddr) {
        if let Some(number) = self.number {
            must(
                "ip",
                &format!("-n h{number} neighbour replace {to} lladdr {NOBODY} nud permanent dev eth0"),
            );
        }
    }

    /// What it sends to this address arrives again.
    pub fn find(&self, to: IpAddr) {
        if let Some(number) = self.number {
            must("ip", &format!("-n h{number} neighbour del {to} dev eth0"));
        }
    }
}

fn find(program: &str) -> PathBuf {
    let paths: OsString = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| program.into())
}
