//! A real ZooKeeper from Debian's package, on ports that the kernel gave: one server, or an ensemble of three whose
//! servers can be frozen, killed and started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use libprocess::subprocess::send_signal;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ports::Port;
use crate::wait;

/// Where Debian's package `zookeeper` has its library, with what it needs named in its manifest.
const JAR: &str = "/usr/share/java/zookeeper.jar";

/// How long a server may take to answer one of its four-letter words.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether there is a ZooKeeper; else the reason is printed, and the caller's test is skipped.
fn is_there() -> bool {
    if crate::mode::is_quick() {
        println!("skipped: ./test --quick leaves ZooKeeper out");
        return false;
    }
    if !Path::new(JAR).exists() {
        println!("skipped: there is no ZooKeeper on this machine (Debian's package is called zookeeper)");
        return false;
    }
    true
}

/// A standalone ZooKeeper; dropping it kills it.
#[derive(Debug)]
pub struct ZooKeeper {
    server: Server,
    _folder: tempfile::TempDir,
}

impl ZooKeeper {
    /// Starts a server and waits until it answers. `None`, with the reason printed, where there is no
    /// ZooKeeper: the caller's test is skipped then.
    pub async fn start() -> Option<Self> {
        if !is_there() {
            return None;
        }
        let folder = temporary_folder();
        let mut server = Server::new(folder.path().to_owned(), "");
        server.start();
        wait::until("ZooKeeper to answer", async || server.is_well().await).await;
        Some(Self { server, _folder: folder })
    }

    /// `zk://127.0.0.1:port/mesos`
    pub fn url(&self) -> String {
        format!("zk://{}/mesos", self.server.port.address())
    }

    /// It stops answering, as on a host that hangs.
    pub fn freeze(&self) {
        self.server.signal(Signal::STOP);
    }

    /// It goes on.
    pub fn resume(&self) {
        self.server.signal(Signal::CONT);
    }

    /// Kills it at once; what it has acknowledged is on its disk.
    pub fn crash(&mut self) {
        self.server.crash();
    }

    /// Everything that it has stored is lost. It must not be running.
    pub fn forget(&self) {
        std::fs::remove_dir_all(self.server.home.join("data")).expect("the test's folder is ours");
    }

    /// Starts it again after [`Self::crash`], and waits until it answers.
    pub async fn restart(&mut self) {
        self.server.start();
        wait::until("ZooKeeper to answer", async || self.server.is_well().await).await;
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// Three servers, one of which leads the others. Two are enough for it to go on.
#[derive(Debug)]
pub struct Ensemble {
    servers: Vec<Server>,
    _folder: tempfile::TempDir,
}

impl Ensemble {
    /// How many servers there are.
    pub const SIZE: usize = 3;

    /// Starts three servers and waits until one of them leads and all serve. `None`, with the reason printed, where
    /// there is no ZooKeeper.
    pub async fn start() -> Option<Self> {
        if !is_there() {
            return None;
        }
        let folder = temporary_folder();
        // Where the servers talk to each other, and where they elect: these must be known before any of them starts.
        let among: Vec<(Port, Port)> = (0..Self::SIZE).map(|_| (reserve(), reserve())).collect();
        let mut others = String::from("initLimit=20\nsyncLimit=4\n");
        for (id, (peers, election)) in among.iter().enumerate() {
            let (peers, election) = (peers.address(), election.address().port());
            others += &format!("server.{}={peers}:{election}\n", id + 1);
        }
        let mut ensemble = Self { servers: Vec::new(), _folder: folder };
        for (id, ports) in among.into_iter().enumerate() {
            let home = ensemble._folder.path().join(format!("{}", id + 1));
            std::fs::create_dir_all(home.join("data")).expect("the test's folder is ours");
            std::fs::write(home.join("data/myid"), format!("{}\n", id + 1))
                .expect("the test's folder is ours");
            let mut server = Server::new(home, &others);
            server.peers = Some(ports);
            server.start();
            ensemble.servers.push(server);
        }
        for index in 0..Self::SIZE {
            ensemble.wait_for(index).await;
        }
        Some(ensemble)
    }

    /// `zk://127.0.0.1:port1,127.0.0.1:port2,127.0.0.1:port3/mesos`
    pub fn url(&self) -> String {
        let servers: Vec<String> =
            self.servers.iter().map(|server| server.port.address().to_string()).collect();
        format!("zk://{}/mesos", servers.join(","))
    }

    /// Which server leads the others now; `None` while they have not agreed on one that answers.
    pub async fn leader(&self) -> Option<usize> {
        for (index, server) in self.servers.iter().enumerate() {
            if server.mode().await.is_ok_and(|mode| mode == "leader") {
                return Some(index);
            }
        }
        None
    }

    /// Waits until this server serves as the leader or as a follower of one.
    pub async fn wait_for(&self, index: usize) {
        let what = format!("server {} of ZooKeeper to serve", index + 1);
        wait::until(&what, async || self.servers[index].mode().await).await;
    }

    /// Kills a server at once; what it has acknowledged is on its disk.
    pub fn crash(&mut self, index: usize) {
        self.servers[index].crash();
    }

    /// Starts a server again after [`Self::crash`], without waiting for it ([`Self::wait_for`]).
    pub fn restart(&mut self, index: usize) {
        self.servers[index].start();
    }

    /// A server stops answering, as on a host that hangs.
    pub fn freeze(&self, index: usize) {
        self.servers[index].signal(Signal::STOP);
    }

    /// It goes on.
    pub fn resume(&self, index: usize) {
        self.servers[index].signal(Signal::CONT);
    }

    /// What a server has printed.
    pub fn log(&self, index: usize) -> String {
        self.servers[index].log()
    }
}

/// One server; dropping it kills it.
#[derive(Debug)]
struct Server {
    /// For clients.
    port: Port,
    /// For the other servers, if there are any: kept for as long as the server may start again.
    peers: Option<(Port, Port)>,
    home: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// Writes its configuration, with `more` at its end.
    fn new(home: PathBuf, more: &str) -> Self {
        let port = reserve();
        // A session can be as short as two ticks.
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress={}\nadmin.enableServer=false\n\
             4lw.commands.whitelist=ruok,srvr\nmaxClientCnxns=0\n{more}",
            home.join("data").display(),
            port.address().port(),
            port.address().ip(),
        );
        std::fs::write(home.join("zoo.cfg"), text).expect("the test's folder is ours");
        Self { port, peers: None, home, process: None }
    }

    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.home.join("zookeeper.log"));
        let log = log.expect("the test's folder is ours");
        let main = match self.peers {
            Some(_) => "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            None => "org.apache.zookeeper.server.ZooKeeperServerMain",
        };
        let process = Command::new("java")
            // It is killed, but its disk is not: what the kernel has is safe.
            .args(["-Xmx128m", "-Dzookeeper.forceSync=no", "-cp", JAR, main])
            .arg(self.home.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file handle can be doubled"))
            .stdout(log)
            .spawn()
            .expect("java comes with the package");
        self.process = Some(process);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            i32::try_from(process.id()).map(|pid| send_signal(pid, signal)).ok();
        }
    }

    fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    async fn is_well(&self) -> Result<(), String> {
        let answer = self.ask("ruok").await?;
        if answer == "imok" { Ok(()) } else { Err(format!("it answered '{answer}'")) }
    }

    /// `leader`, `follower` or `standalone`; an error while it does not serve.
    async fn mode(&self) -> Result<String, String> {
        let answer = self.ask("srvr").await?;
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        mode.map(str::to_owned).ok_or_else(|| format!("it answered '{}'", answer.trim()))
    }

    /// What it answers to one of its four-letter words.
    async fn ask(&self, word: &str) -> Result<String, String> {
        let asking = async {
            let mut stream = TcpStream::connect(self.port.address()).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("nothing, for {PATIENCE:?}")),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("zookeeper.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}

fn temporary_folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("zookeeper-test-").tempdir().expect("a temporary folder")
}

fn reserve() -> Port {
    Port::reserve().expect("the kernel has a port")
}
