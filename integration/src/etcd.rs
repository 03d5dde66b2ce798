//! A real etcd from Debian's package, one server or an ensemble, on ports that the kernel gave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libprocess::http::{Client, ClientRequest};
use serde_json::Value;

use crate::ports::Port;
use crate::{Daemon, wait};

/// Where Debian's package `etcd-server` has its program.
const BINARY: &str = "/usr/bin/etcd";

/// How long a server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// Servers of etcd that work together; dropping them kills them. Their data is in a folder of the test.
///
/// An etcd that runs on this host by itself (Debian starts one on port 2379) is none of the tests' business.
#[derive(Debug)]
pub struct Etcd {
    // Declared first, dropped first: they end before their folder goes.
    servers: Vec<Server>,
    client: Client,
    _folder: tempfile::TempDir,
}

/// One of them.
#[derive(Debug)]
struct Server {
    process: Daemon,
    /// For clients.
    port: Port,
    /// For the other servers.
    _peers: Port,
}

impl Etcd {
    /// Starts one server and waits until it answers. `None`, with the reason printed, where there is no etcd: the
    /// caller's test is skipped then.
    pub async fn start() -> Option<Self> {
        Self::ensemble(1).await
    }

    /// Starts so many servers and waits until each of them knows a leader. `None` as for [`Etcd::start`].
    pub async fn ensemble(count: usize) -> Option<Self> {
        if crate::mode::is_quick() {
            println!("skipped: ./test --quick leaves etcd out");
            return None;
        }
        if !Path::new(BINARY).exists() {
            println!("skipped: there is no etcd on this machine (Debian's package is called etcd-server)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("etcd-test-").tempdir().expect("a temporary folder");
        let port = || Port::reserve().expect("the kernel has a port");
        let ports: Vec<(Port, Port)> = (0..count).map(|_| (port(), port())).collect();
        let name = |index: usize| format!("etcd-{}", index + 1);
        let members: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(index, (_, peers))| format!("{}=http://{}", name(index), peers.address()))
            .collect();
        let servers = ports.into_iter().enumerate().map(|(index, (port, peers))| {
            let data = folder.path().join(name(index));
            let arguments = arguments(&name(index), &data, &port, &peers, &members.join(","));
            let process =
                Daemon::start(&name(index), &PathBuf::from(BINARY), arguments, Vec::new(), folder.path());
            Server { process, port, _peers: peers }
        });
        let etcd = Self { servers: servers.collect(), client: Client::new(), _folder: folder };
        for index in 0..count {
            etcd.wait_for(index).await;
        }
        Some(etcd)
    }

    /// Waits until server `index`, from 0, knows a leader and answers.
    pub async fn wait_for(&self, index: usize) {
        wait::until("etcd to answer", async || {
            let status = self.status(index).await?;
            if status["leader"].is_string() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }

    /// The server, from 0, that leads the others; waits for one.
    pub async fn leader(&self) -> usize {
        wait::until("a leader of etcd", async || {
            for index in 0..self.servers.len() {
                let Ok(status) = self.status(index).await else { continue };
                if status["leader"].is_string() && status["leader"] == status["header"]["member_id"] {
                    return Ok(index);
                }
            }
            Err("nobody leads")
        })
        .await
    }

    /// What a server says of itself; it need not agree with the others.
    async fn status(&self, index: usize) -> Result<Value, String> {
        let url = format!("http://{}/v3/maintenance/status", self.address(index));
        let request = ClientRequest::post(url).body("{}").timeout(PATIENCE);
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        let body = response.text(1 << 20).await.map_err(|error| error.to_string())?;
        serde_json::from_str(&body).map_err(|error| format!("{error} in '{body}'"))
    }

    /// How many servers there are, running or not.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// The process of server `index`, from 0: to be crashed, frozen, restarted.
    pub fn process(&mut self, index: usize) -> &mut Daemon {
        &mut self.servers[index].process
    }

    /// Where server `index`, from 0, listens for clients.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.servers[index].port.address()
    }

    /// `etcd://127.0.0.1:port,127.0.0.1:port/mesos`
    pub fn url(&self) -> String {
        let addresses = (0..self.count()).map(|index| self.address(index).to_string());
        format!("etcd://{}/mesos", addresses.collect::<Vec<_>>().join(","))
    }
}

fn arguments(name: &str, data: &Path, port: &Port, peers: &Port, members: &str) -> Vec<String> {
    let (client, peer) = (format!("http://{}", port.address()), format!("http://{}", peers.address()));
    vec![
        format!("--name={name}"),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={members}"),
        // What the kernel has survives the process; the power does not fail here, and the disk is slow.
        "--unsafe-no-fsync".to_owned(),
        "--logger=zap".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ensemble_goes_on_without_its_leader() {
        libprocess::run(async {
            let Some(mut etcd) = Etcd::ensemble(3).await else { return };
            let first = etcd.leader().await;
            etcd.process(first).crash();
            let second = wait::until("another leader of etcd", async || {
                let leader = etcd.leader().await;
                if leader == first { Err(leader) } else { Ok(leader) }
            })
            .await;
            assert_ne!(second, first);
            etcd.process(first).restart();
            etcd.wait_for(first).await;
        });
    }
}
