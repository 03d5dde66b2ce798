//! A real etcd, one server or an ensemble, on ports that the kernel gave: the one of Debian's package, or another that
//! `MESOS_TEST_ETCD` names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libprocess::http::{Client, ClientRequest};
use libprocess::tls::TlsSettings;
use serde_json::{Value, json};

use crate::ports::Port;
use crate::{Daemon, wait};

/// Where Debian's package `etcd-server` has its program.
const BINARY: &str = "/usr/bin/etcd";

/// Names another program than that.
const OTHER: &str = "MESOS_TEST_ETCD";

/// How long a server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may take to do something: hashing a password is slow.
const LONG: Duration = Duration::from_secs(30);

/// Servers of etcd that work together; dropping them kills them. Their data is in a folder of the test.
///
/// An etcd that runs on this host by itself (Debian starts one on port 2379) is none of the tests' business.
#[derive(Debug)]
pub struct Etcd {
    // Declared first, dropped first: they end before their folder goes.
    servers: Vec<Server>,
    client: Client,
    /// Whether they speak TLS to clients.
    secured: bool,
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
        Self::launch(count, None).await
    }

    /// Starts one server that speaks TLS, shows the certificate of these settings, and lets in who shows one of their
    /// authority's. `None` as for [`Etcd::start`].
    pub async fn secured(tls: &TlsSettings) -> Option<Self> {
        Self::launch(1, Some(tls)).await
    }

    async fn launch(count: usize, tls: Option<&TlsSettings>) -> Option<Self> {
        if crate::mode::is_quick() {
            println!("skipped: ./test --quick leaves etcd out");
            return None;
        }
        let named = std::env::var_os(OTHER).map(PathBuf::from);
        let binary = named.clone().unwrap_or_else(|| PathBuf::from(BINARY));
        if !binary.exists() {
            assert_eq!(named, None, "what {OTHER} names is not there");
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
            let mut arguments =
                arguments(&name(index), &data, &port, &peers, &members.join(","), tls.is_some());
            arguments.extend(tls.map(files).unwrap_or_default());
            let process = Daemon::start(&name(index), &binary, arguments, Vec::new(), folder.path());
            Server { process, port, _peers: peers }
        });
        let client =
            tls.map_or_else(|| Ok(Client::new()), Client::secured).expect("the test's files are good");
        let etcd = Self { servers: servers.collect(), client, secured: tls.is_some(), _folder: folder };
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
        self.ask(index, "/v3/maintenance/status", "{}".to_owned(), PATIENCE).await
    }

    /// Calls server `index`, from 0, as an operator might.
    pub async fn call(&self, index: usize, path: &str, body: Value) -> Result<Value, String> {
        self.ask(index, path, body.to_string(), LONG).await
    }

    async fn ask(&self, index: usize, path: &str, body: String, patience: Duration) -> Result<Value, String> {
        let scheme = if self.secured { "https" } else { "http" };
        let url = format!("{scheme}://{}{path}", self.address(index));
        let request = ClientRequest::post(url).body(body).timeout(patience);
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        let body = response.text(1 << 20).await.map_err(|error| error.to_string())?;
        serde_json::from_str(&body).map_err(|error| format!("{error} in '{body}'"))
    }

    /// Asks for a password from now on: there is the user `root`, who may do everything.
    pub async fn ask_for(&self, password: &str) {
        for (call, body) in [
            ("user/add", json!({ "name": "root", "password": password })),
            ("role/add", json!({ "name": "root" })),
            ("user/grant", json!({ "user": "root", "role": "root" })),
            ("enable", json!({})),
        ] {
            let path = format!("/v3/auth/{call}");
            let answer = self.call(0, &path, body).await.expect("etcd answers");
            assert_eq!(answer["error"], Value::Null, "{path}: {answer}");
        }
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

    /// `etcd://127.0.0.1:port,127.0.0.1:port/mesos`; behind TLS the same with `etcds`, and without parameters.
    pub fn url(&self) -> String {
        let addresses = (0..self.count()).map(|index| self.address(index).to_string());
        let scheme = if self.secured { "etcds" } else { "etcd" };
        format!("{scheme}://{}/mesos", addresses.collect::<Vec<_>>().join(","))
    }
}

/// The flags of a server that speaks TLS to clients.
fn files(tls: &TlsSettings) -> Vec<String> {
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let mut flags = vec!["--client-cert-auth".to_owned()];
    flags.extend(tls.ca_file.iter().map(|file| flag("trusted-ca-file", file)));
    if let Some(files) = &tls.identity {
        flags.extend([flag("cert-file", &files.certificate), flag("key-file", &files.key)]);
    }
    flags
}

fn arguments(
    name: &str,
    data: &Path,
    port: &Port,
    peers: &Port,
    members: &str,
    secured: bool,
) -> Vec<String> {
    let scheme = if secured { "https" } else { "http" };
    let (client, peer) = (format!("{scheme}://{}", port.address()), format!("http://{}", peers.address()));
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
