//! A real ZooKeeper from Debian's package, on a port that the kernel gave.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ports::Port;
use crate::wait;

/// Where Debian's package `zookeeper` has its library, with what it needs named in its manifest.
const JAR: &str = "/usr/share/java/zookeeper.jar";

/// A standalone ZooKeeper; dropping it kills it.
#[derive(Debug)]
pub struct ZooKeeper {
    server: Child,
    port: Port,
    folder: tempfile::TempDir,
}

impl ZooKeeper {
    /// Starts a server and waits until it answers. `None`, with the reason printed, where there is no
    /// ZooKeeper: the caller's test is skipped then.
    pub async fn start() -> Option<Self> {
        if crate::mode::is_quick() {
            println!("skipped: ./test --quick leaves ZooKeeper out");
            return None;
        }
        if !Path::new(JAR).exists() {
            println!("skipped: there is no ZooKeeper on this machine (Debian's package is called zookeeper)");
            return None;
        }
        let port = Port::reserve().expect("the kernel has a port");
        let folder =
            tempfile::Builder::new().prefix("zookeeper-test-").tempdir().expect("a temporary folder");
        let configuration = folder.path().join("zoo.cfg");
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=ruok\nmaxClientCnxns=0\n",
            folder.path().join("data").display(),
            port.address().port(),
        );
        std::fs::write(&configuration, text).expect("the test's folder is ours");
        let log =
            std::fs::File::create(folder.path().join("zookeeper.log")).expect("the test's folder is ours");
        let server = Command::new("java")
            .args(["-Xmx128m", "-cp", JAR, "org.apache.zookeeper.server.ZooKeeperServerMain"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file handle can be doubled"))
            .stdout(log)
            .spawn()
            .expect("java comes with the package");
        let zookeeper = Self { server, port, folder };
        wait::until("ZooKeeper to answer", async || zookeeper.ask_whether_it_is_well().await).await;
        Some(zookeeper)
    }

    async fn ask_whether_it_is_well(&self) -> Result<(), String> {
        let mut stream = TcpStream::connect(self.port.address()).await.map_err(|error| error.to_string())?;
        stream.write_all(b"ruok").await.map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
        if answer == "imok" { Ok(()) } else { Err(format!("it answered '{answer}'")) }
    }

    /// `zk://127.0.0.1:port/mesos`
    pub fn url(&self) -> String {
        format!("zk://{}/mesos", self.port.address())
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("zookeeper.log")).unwrap_or_default()
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
