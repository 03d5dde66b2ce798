//! How a node is made: its address, its settings, and what can go wrong.
//!
//! A node whose start succeeds listens, has the actors that every node has, and is reached under its pids. What a builder
//! is not told has a default that its setter names; inside of [`crate::testing::run`] the defaults of time and chance are
//! fixed. It reads no environment and no files but those of TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::arbiters::Arbiters;
use crate::disk::{Disk, HostDisk};
use crate::environment::Environment;
use crate::http::access::{Authenticator, AuthorizationHook};
use crate::http::normalize;
use crate::limits::Limits;
use crate::node::{Node, Parts, Settings};
use crate::random::Random;
use crate::simulation::Site;
use crate::testing;
use crate::tls::{Tls, TlsError, TlsSettings};
use crate::transport::{DEFAULT_QUEUE_LIMIT, Listener, Transport};

/// Connections that the kernel may hold for us. Upstream asks for 500,000; the kernel caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 65_535;

/// Where the wall clock of a node in [`crate::testing::run`] begins: 2020-09-13 12:26:40 UTC.
const TEST_EPOCH: Duration = Duration::from_secs(1_600_000_000);

/// Settings of a node; see [`Node::builder`].
#[derive(Default)]
pub struct NodeBuilder {
    bind: Option<SocketAddr>,
    advertise: Option<SocketAddr>,
    environment: Environment,
    seed: Option<u64>,
    epoch: Option<SystemTime>,
    disk: Option<Arc<dyn Disk>>,
    offline: bool,
    queue_limit: Option<usize>,
    tls: Option<TlsSettings>,
    settings: Settings,
}

impl NodeBuilder {
    /// Where to listen; port 0 lets the kernel choose. Default: `0.0.0.0:0`.
    #[must_use]
    pub fn bind(mut self, address: SocketAddr) -> NodeBuilder {
        self.bind = Some(address);
        self
    }

    /// What the pids carry, if others reach this node under another address. Port 0 means the bound port, the unspecified
    /// address the bound address.
    #[must_use]
    pub fn advertise(mut self, address: SocketAddr) -> NodeBuilder {
        self.advertise = Some(address);
        self
    }

    /// What the operator says in the environment. Where [`NodeBuilder::bind`] and [`NodeBuilder::advertise`] say nothing
    /// (no address or an unspecified one, port 0), it counts.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> NodeBuilder {
        self.settings.require_peer_match |= environment.require_peer_address_ip_match;
        if let Some(rate) = environment.snapshot_rate {
            self.settings.snapshot_rate = crate::system::SnapshotRate(rate);
        }
        self.environment = environment;
        self
    }

    /// Messages from other nodes are refused with 400 if the pid of their sender has another address than their
    /// connection comes from (upstream: `LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH`). Nobody can so speak in the name of
    /// actors on other hosts; nodes behind address translation cannot speak at all.
    #[must_use]
    pub fn require_peer_address_ip_match(mut self, require: bool) -> NodeBuilder {
        self.settings.require_peer_match = require;
        self
    }

    /// The actor that serves paths which name no actor.
    #[must_use]
    pub fn delegate(mut self, id: impl Into<String>) -> NodeBuilder {
        self.settings.delegate = Some(id.into());
        self
    }

    /// The seed of the node's random generator. Default: the operating system's, or 0 in a test.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> NodeBuilder {
        self.seed = Some(seed);
        self
    }

    /// Wall time at the start, with which the node's clock goes on by itself. Default: the machine's clock, or a fixed
    /// time in a test.
    #[must_use]
    pub fn epoch(mut self, epoch: SystemTime) -> NodeBuilder {
        self.epoch = Some(epoch);
        self
    }

    /// What `/version` says.
    #[must_use]
    pub fn version(mut self, version: serde_json::Value) -> NodeBuilder {
        self.settings.version = version;
        self
    }

    /// Another disk for what must survive. Default: [`HostDisk`].
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> NodeBuilder {
        self.disk = Some(disk);
        self
    }

    /// No socket, no other nodes, one thread: for unit tests. Links to other nodes break at once.
    #[must_use]
    pub fn offline(mut self) -> NodeBuilder {
        self.offline = true;
        self
    }

    /// Paths that are answered with 403 (upstream: `--firewall_rules`, `disabled_endpoints`), with the actor's id first:
    /// `/master/state`. They are meant however a request writes them, and with what the same route serves below.
    #[must_use]
    pub fn firewall(mut self, paths: Vec<String>) -> NodeBuilder {
        let clean = |path: String| format!("/{}", normalize(&path));
        self.settings.firewall = paths.into_iter().map(clean).collect();
        self
    }

    /// The names of the realms that libprocess's own routes, and others, belong to ([`Realm::ReadOnly`],
    /// [`Realm::ReadWrite`]). Without names, they are not authenticated.
    ///
    /// [`Realm::ReadOnly`]: crate::http::Realm::ReadOnly
    /// [`Realm::ReadWrite`]: crate::http::Realm::ReadWrite
    #[must_use]
    pub fn realms(mut self, read_only: impl Into<String>, read_write: impl Into<String>) -> NodeBuilder {
        self.settings.access.read_only = Some(read_only.into());
        self.settings.access.read_write = Some(read_write.into());
        self
    }

    /// Who sends the requests for routes of this realm is found out by `authenticator`; the last one given counts.
    #[must_use]
    pub fn authenticator(
        mut self,
        realm: impl Into<String>,
        authenticator: impl Authenticator,
    ) -> NodeBuilder {
        self.settings.access.authenticate(realm.into(), Arc::new(authenticator));
        self
    }

    /// Requests for the route of this path (`/logging/toggle`: the actor's id first, also if it is the delegate) go on
    /// only if the hook says so.
    #[must_use]
    pub fn authorization(mut self, path: impl Into<String>, hook: AuthorizationHook) -> NodeBuilder {
        self.settings.access.authorize(format!("/{}", normalize(&path.into())), hook);
        self
    }

    /// The fingerprint of the message schema. Two nodes with equal fingerprints speak bincode; without one, a node
    /// speaks protobuf to everybody.
    #[must_use]
    pub fn schema(mut self, fingerprint: impl Into<String>) -> NodeBuilder {
        self.settings.schema = Some(fingerprint.into());
        self
    }

    /// How `/logging/toggle` changes what is logged.
    #[must_use]
    pub fn log_control(mut self, control: crate::system::LogControl) -> NodeBuilder {
        self.settings.log_control = Some(control);
        self
    }

    /// How often `/metrics/snapshot` is answered; more requests wait for their turn. `None`: as often as it is asked.
    /// Default: twice a second (upstream: `LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT`).
    #[must_use]
    pub fn snapshot_rate(mut self, rate: Option<crate::Rate>) -> NodeBuilder {
        self.settings.snapshot_rate = crate::system::SnapshotRate(rate);
        self
    }

    /// Bytes that may wait for one other node; more breaks the connection to it, drops what waits, and breaks the links
    /// (the transport's module says more). Default: 256 MiB.
    #[must_use]
    pub fn queue_limit(mut self, bytes: usize) -> NodeBuilder {
        self.queue_limit = Some(bytes);
        self
    }

    /// Speak TLS: whoever connects to this node must, and other nodes are connected to with it. The files that the
    /// settings name are read when the node starts.
    #[must_use]
    pub fn tls(mut self, settings: TlsSettings) -> NodeBuilder {
        self.tls = Some(settings);
        self
    }

    /// What the connections that others open may cost. Default: [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> NodeBuilder {
        self.settings.limits = limits;
        self
    }

    /// A place on a simulated network, instead of the host's.
    pub(crate) fn site(mut self, site: Site) -> NodeBuilder {
        self.settings.site = Some(site);
        self
    }

    /// Opens the socket and starts the node. Call it inside of [`crate::run`] or [`crate::testing::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(mut self) -> Result<Node, StartError> {
        self.settings.tls = self.tls.as_ref().map(Tls::load).transpose()?;
        let single = self.offline || testing::is_inside();
        let arbiters = Arbiters::new(single).ok_or(StartError::NoSystem)?;
        let bind = bind_address(self.bind, &self.environment);
        let (bound, transport) = if self.offline {
            (bind, None)
        } else {
            if self.settings.tls.as_ref().is_some_and(|tls| !tls.can_accept()) {
                return Err(TlsError::NoIdentity.into());
            }
            let (bound, listener) = match &self.settings.site {
                Some(site) => (site.address(), Listener::Simulated(site.clone())),
                None => listen(bind)?,
            };
            let limit = self.queue_limit.unwrap_or(DEFAULT_QUEUE_LIMIT);
            (bound, Some(Arc::new(Transport::new(listener, limit))))
        };
        let (ip, port) = parts(self.advertise);
        let Environment { advertise_ip, advertise_port, .. } = self.environment;
        let address = advertised(ip.or(advertise_ip), port.or(advertise_port), bound, self.offline);
        if !self.offline && leads_nowhere(address, bound) {
            tracing::warn!(
                %address,
                "this node tells other hosts an address of the loopback, by which they reach themselves: give it another \
                 (--ip, or --advertise_ip)"
            );
        }
        let random = match self.seed {
            Some(seed) => Random::seeded(seed),
            None if testing::is_inside() => Random::seeded(0),
            None => Random::from_os(),
        };
        let epoch = self.epoch.or_else(|| testing::is_inside().then(|| SystemTime::UNIX_EPOCH + TEST_EPOCH));
        let settings = self.settings;
        let node = Node::assemble(Parts {
            address,
            settings,
            arbiters,
            random,
            epoch,
            transport: transport.clone(),
            disk: self.disk.unwrap_or_else(|| Arc::new(HostDisk)),
        });
        if let Some(transport) = transport {
            crate::system::start(&node);
            transport.start(&node);
        }
        Ok(node)
    }
}

fn listen(address: SocketAddr) -> Result<(SocketAddr, Listener), StartError> {
    let open = || -> io::Result<(SocketAddr, Listener)> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        // A restarted daemon may take its port back while old connections are in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = std::net::TcpListener::from(socket);
        Ok((listener.local_addr()?, Listener::Tcp(listener)))
    };
    open().map_err(|cause| StartError::Bind { address, cause })
}

/// The parts of an address that say something: not the unspecified address, not the port 0.
fn parts(address: Option<SocketAddr>) -> (Option<IpAddr>, Option<u16>) {
    let ip = address.map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
    let port = address.map(|address| address.port()).filter(|port| *port != 0);
    (ip, port)
}

fn bind_address(said: Option<SocketAddr>, environment: &Environment) -> SocketAddr {
    let (ip, port) = parts(said);
    // It may be that of IPv6.
    let unspecified = said.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    SocketAddr::new(ip.or(environment.ip).unwrap_or(unspecified), port.or(environment.port).unwrap_or(0))
}

/// The address that pids carry, if `ip` and `port` are said. Who listens on all interfaces is known by the address of
/// its host name, as upstream does (src/process.cpp, `initialize`), or else by loopback; who does not listen, by loopback
/// (a name may take long to look up).
fn advertised(ip: Option<IpAddr>, port: Option<u16>, bound: SocketAddr, offline: bool) -> SocketAddr {
    let heard_on = || match bound.ip() {
        ip if !ip.is_unspecified() => ip,
        _ if offline => IpAddr::V4(Ipv4Addr::LOCALHOST),
        unspecified => host_ip(unspecified),
    };
    SocketAddr::new(ip.unwrap_or_else(heard_on), port.unwrap_or(bound.port()))
}

/// Whether a node that listens for other hosts tells them an address under which they find themselves (upstream's master
/// and agent warn of it in `initialize`).
fn leads_nowhere(address: SocketAddr, bound: SocketAddr) -> bool {
    bound.ip().is_unspecified() && address.ip().is_loopback()
}

/// An address that the host's name leads to.
fn host_ip(bound: IpAddr) -> IpAddr {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let found = (name.as_str(), 0).to_socket_addrs();
    best_of(found.into_iter().flatten().map(|address| address.ip()), bound)
}

/// Of the addresses of a host, the one for who listens on all of `bound`'s kind: those of IPv6 hear both. One that others
/// reach goes first, then one of IPv4. One that is good on a link only leads nowhere without the name of that link, which
/// differs from host to host; and getaddrinfo puts it before the others (RFC 6724, rule 8).
fn best_of(found: impl Iterator<Item = IpAddr>, bound: IpAddr) -> IpAddr {
    let heard = found.filter(|ip| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => bound.is_ipv6() && !ip.is_unicast_link_local(),
    });
    let best = heard.min_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    best.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// It cannot speak TLS as it was told to.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// No System runs on this thread.
    #[error("a node must be started inside of `libprocess::run` or `libprocess::testing::run`")]
    NoSystem,
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("bind", &self.bind)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else who listens with `--ip=::` on a host that has no address of IPv4 would be known as 127.0.0.1.
    #[test]
    fn a_node_is_known_by_an_address_of_its_host_that_others_reach() {
        let best_of = |found: &[&str], bound: &str| {
            let found = found.iter().map(|ip| ip.parse().unwrap());
            super::best_of(found, bound.parse().unwrap()).to_string()
        };
        assert_eq!(best_of(&["2001:db8::1", "10.0.0.1", "10.0.0.2"], "0.0.0.0"), "10.0.0.1");
        assert_eq!(best_of(&["2001:db8::1", "10.0.0.1"], "::"), "10.0.0.1");
        assert_eq!(best_of(&["::1", "127.0.1.1", "2001:db8::1"], "::"), "2001:db8::1");
        assert_eq!(best_of(&["fe80::1", "2001:db8::1"], "::"), "2001:db8::1");
        assert_eq!(best_of(&["fe80::1"], "::"), "127.0.0.1");
        assert_eq!(best_of(&["127.0.1.1", "10.0.0.1"], "0.0.0.0"), "10.0.0.1");
        assert_eq!(best_of(&["127.0.1.1"], "0.0.0.0"), "127.0.1.1");
        assert_eq!(best_of(&["2001:db8::1"], "0.0.0.0"), "127.0.0.1");
    }

    #[test]
    fn who_listens_for_others_and_is_known_as_the_loopback_is_not_found() {
        let leads_nowhere = |address: &str, bound: &str| {
            leads_nowhere(format!("{address}:1").parse().unwrap(), format!("{bound}:1").parse().unwrap())
        };
        // The host name of a usual Debian.
        assert!(leads_nowhere("127.0.1.1", "0.0.0.0") && leads_nowhere("127.0.0.1", "[::]"));
        assert!(!leads_nowhere("10.0.0.1", "0.0.0.0"));
        assert!(!leads_nowhere("127.0.0.1", "127.0.0.1"), "it does not want to be found");
    }
}
