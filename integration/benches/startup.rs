//! Start-up: from `exec` of a master to the first 200 on `/version`, and the memory of idle daemons.
//!
//! The comparator of the time is `mesos --version`, spawned and waited for: what the kernel, the loader
//! and the command line take before a master is anything. That of the memory is upstream's, written down.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use integration::bench::{self, Report, Target, median, quantile};
use integration::ports::Port;
use integration::{AgentSpec, Cluster, Daemon, binary};

const STARTS: usize = 20;
/// Between two tries to get an answer.
const LOOK: Duration = Duration::from_micros(200);
const DEADLINE: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let mut report =
        Report::new("startup", "exec of a master to the first 200 on /version; memory of idle daemons");
    let bare: Vec<f64> = (0..STARTS).map(|_| bare_start()).collect();
    report.figure("`mesos --version`, spawn to exit, median", median(&bare), "ms", Target::None);
    let starts: Vec<f64> = (0..STARTS).map(|_| master_start()).collect();
    report.figure("master, spawn to the first 200, median", median(&starts), "ms", Target::AtMost(50.0));
    report.figure("master, spawn to the first 200, slowest", quantile(&starts, 1.0), "ms", Target::None);

    let (master, agent) = libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:1024")]).await;
        let master = cluster.master_process(0).pid().expect("it answered");
        let agent = cluster.agent_process(0).pid().expect("it has registered");
        let mut sizes = Vec::new();
        for pid in [master, agent] {
            let resident = bench::settled_memory(pid, IDLE).await;
            sizes.push((resident, bench::memory(pid, "RssAnon").unwrap_or(f64::NAN)));
        }
        (sizes[0], sizes[1])
    });
    report.note("memory: one agent registered, unchanged for 3 s; upstream: 72 and 88 MB after a short test");
    for (name, (resident, own)) in [("master", master), ("agent", agent)] {
        report.figure(&format!("idle {name}, resident (VmRSS)"), resident, "MB", Target::AtMost(25.0));
        report.figure(&format!("idle {name}, of that its own (RssAnon)"), own, "MB", Target::None);
    }
    report.verdict()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn bare_start() -> f64 {
    let began = bench::now();
    let status = Command::new(binary::mesos()).arg("--version").stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "`mesos --version` ends well");
    milliseconds(began.elapsed())
}

/// A master with default settings and a new work directory.
fn master_start() -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = Port::reserve().expect("the kernel has a port");
    let address = port.address();
    let arguments = vec![
        "master".to_owned(),
        format!("--ip={}", address.ip()),
        format!("--port={}", address.port()),
        format!("--work_dir={}", folder.path().join("work").display()),
    ];
    let binary = binary::mesos();
    let began = bench::now();
    let _master = Daemon::start("master", &binary, arguments, Vec::new(), folder.path());
    while !answers(address) {
        assert!(began.elapsed() < DEADLINE, "no master answered within {DEADLINE:?}");
        std::thread::sleep(LOOK);
    }
    milliseconds(began.elapsed())
}

/// Whether `/version` is answered with 200.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(format!("GET /version HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
