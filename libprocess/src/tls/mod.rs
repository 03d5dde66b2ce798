//! TLS: who a node is to others, whom it believes, and the two handshakes.
//!
//! [`TlsSettings`] say what is wanted; [`variables`] reads them from upstream's `LIBPROCESS_SSL_*` variables. `Tls` is
//! made of them once, with the files that they name, and turns TCP connections into streams. There are no sessions
//! to be resumed (upstream switches them off as well): each connection is checked anew. It knows neither HTTP nor
//! messages.

mod files;
mod handshakes;
mod settings;
pub mod variables;
mod verify;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, NamedGroup, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use settings::{HostnameValidation, Identity, TlsSettings};

use crate::stream::Stream;
use handshakes::Handshakes;
use verify::{Authorities, Clients, Servers, check_name};

/// The first byte of a TLS connection: a record with a handshake in it. No HTTP request begins with it.
pub(crate) const FIRST_BYTE: u8 = 0x16;

/// Handshakes of a server that may go on at once. One takes up to 80 KiB while its peer says things by halves.
const HANDSHAKES: usize = 2048;
/// How long a server's handshake may take: two round trips of an honest peer. Who is silent instead makes room soon.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a peer that is refused may take to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a node cannot speak TLS as it was told to.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("cannot use the {what} file '{}': {cause}", path.display())]
    File {
        /// What is in it.
        what: &'static str,
        /// The file (or directory).
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// Nobody is trusted.
    #[error(
        "there are no certificates of authorities on this host: name some (LIBPROCESS_SSL_CA_FILE or _CA_DIR)"
    )]
    NoAuthorities,
    /// A node that listens must have a certificate.
    #[error("a node that listens needs a certificate and its key (LIBPROCESS_SSL_CERT_FILE and _KEY_FILE)")]
    NoIdentity,
    /// Certificate and key, or the chosen versions and suites, do not go together.
    #[error("certificate, key, versions and suites do not go together: {0}")]
    Mismatch(#[from] rustls::Error),
}

/// What a node needs to speak TLS. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    /// `None` without an identity.
    acceptor: Option<TlsAcceptor>,
    handshakes: Arc<Handshakes>,
    settings: Arc<TlsSettings>,
}

impl Tls {
    /// Reads the files that the settings name.
    pub(crate) fn load(settings: &TlsSettings) -> Result<Tls, TlsError> {
        let provider = Arc::new(provider(settings));
        let versions = versions(settings);
        let authorities = match settings.verify_server_cert || settings.require_client_cert {
            true => Some(Arc::new(read_authorities(settings, &provider)?)),
            false => None,
        };
        let identity = settings.identity.as_ref().map(files::identity).transpose()?;

        let servers = Servers {
            authorities: authorities.clone().filter(|_| settings.verify_server_cert),
            by_name: settings.hostname_validation == HostnameValidation::Openssl,
            algorithms: provider.signature_verification_algorithms,
        };
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(servers));
        let mut client = match &identity {
            Some((chain, key)) => client.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => client.with_no_client_auth(),
        };
        client.resumption = Resumption::disabled();

        let acceptor = match identity {
            Some((chain, key)) => {
                let clients = match authorities.filter(|_| settings.require_client_cert) {
                    Some(authorities) => Arc::new(Clients::new(authorities)),
                    None => WebPkiClientVerifier::no_client_auth(),
                };
                let mut server = ServerConfig::builder_with_provider(provider)
                    .with_protocol_versions(&versions)?
                    .with_client_cert_verifier(clients)
                    .with_single_cert(chain, key)?;
                server.session_storage = Arc::new(NoServerSessionStorage {});
                server.send_tls13_tickets = 0;
                server.ignore_client_order = true;
                Some(TlsAcceptor::from(Arc::new(server)))
            }
            None => None,
        };
        Ok(Tls {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor,
            handshakes: Arc::new(Handshakes::new(HANDSHAKES)),
            settings: Arc::new(settings.clone()),
        })
    }

    /// Whether others may speak in the clear.
    pub(crate) fn supports_downgrade(&self) -> bool {
        self.settings.support_downgrade
    }

    /// Whether this node can be a server.
    pub(crate) fn can_accept(&self) -> bool {
        self.acceptor.is_some()
    }

    /// The handshake of a client with a server that is asked for as `host`, a name or an address.
    pub(crate) async fn connect(&self, stream: TcpStream, host: &str) -> io::Result<Stream> {
        // What stands in brackets in a URL is an address.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("'{host}' is no name of a host"))
        })?;
        let settings = &self.settings;
        let by_name = settings.hostname_validation == HostnameValidation::Openssl;
        if settings.verify_server_cert && by_name && !settings.verify_ipadd && is_address(&name) {
            let text = format!(
                "{host} is an address, and certificates are not looked through for addresses \
                                (LIBPROCESS_SSL_VERIFY_IPADD)"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let peer = stream.peer_addr()?.ip();
        let stream = self.connector.connect(name, stream).await?;
        self.check_peer(self.settings.verify_server_cert, stream.get_ref().1.peer_certificates(), peer)
            .await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// The handshake of a server, within its time.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        let Some(acceptor) = &self.acceptor else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "there is no certificate to show"));
        };
        let peer = stream.peer_addr()?.ip();
        let handshake = self.handshakes.begin();
        let accepted = tokio::select! {
            biased;
            accepted = within(HANDSHAKE, acceptor.accept(stream).into_fallible()) => accepted?,
            () = handshake.ousted() => {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it had to make room for newer ones"));
            }
        };
        drop(handshake);
        let stream = match accepted {
            Ok(stream) => stream,
            Err((error, stream)) => {
                // rustls has written why.
                refuse(stream, b"").await;
                return Err(error);
            }
        };
        let checked =
            self.check_peer(self.settings.require_client_cert, stream.get_ref().1.peer_certificates(), peer);
        within(HANDSHAKE, checked).await??;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// The scheme `legacy`: the certificate must carry the name that the peer's address resolves to, or (on demand)
    /// the address itself. Upstream does this after the handshake on both sides (`openssl.cpp`, `verify`).
    async fn check_peer(
        &self,
        verified: bool,
        certificates: Option<&[CertificateDer<'static>]>,
        peer: IpAddr,
    ) -> io::Result<()> {
        let settings = &self.settings;
        if !verified || settings.hostname_validation != HostnameValidation::Legacy {
            return Ok(());
        }
        let Some(certificate) = certificates.and_then(<[_]>::first) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer has shown no certificate"));
        };
        if settings.verify_ipadd && check_name(certificate, &ServerName::from(peer)).is_ok() {
            return Ok(());
        }
        let name = name_of(peer).await?;
        check_name(certificate, &ServerName::DnsName(name))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Says some last words to a peer, and closes. What it has sent is read and forgotten for a moment: closing with bytes
/// unread would reset the connection, and the peer might never know why it was refused.
pub(crate) async fn refuse(mut stream: TcpStream, words: &[u8]) {
    let farewell = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1 << 10];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // However it ends, the connection is closed.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// What takes too long is an error.
async fn within<T>(time: Duration, work: impl Future<Output = T>) -> io::Result<T> {
    tokio::time::timeout(time, work).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {} s", time.as_secs()))
    })
}

/// The name that an address resolves to.
async fn name_of(address: IpAddr) -> io::Result<DnsName<'static>> {
    #[allow(
        clippy::disallowed_methods,
        reason = "as tokio resolves names itself; simulated runs have no sockets and do not come here"
    )]
    let found = tokio::task::spawn_blocking(move || dns_lookup::lookup_addr(&address)).await?;
    let unknown = |cause: String| {
        let text =
            format!("the name of {address} cannot be found, which its certificate should carry: {cause}");
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let name = found.map_err(|error| unknown(error.to_string()))?;
    DnsName::try_from(name).map_err(|error| unknown(error.to_string()))
}

fn is_address(name: &ServerName<'_>) -> bool {
    matches!(name, ServerName::IpAddress(_))
}

fn read_authorities(settings: &TlsSettings, provider: &CryptoProvider) -> Result<Authorities, TlsError> {
    let certificates = files::authorities(settings)?;
    let algorithms = provider.signature_verification_algorithms;
    Authorities::new(certificates, settings.verification_depth, algorithms).ok_or(TlsError::NoAuthorities)
}

/// ring, with the suites and curves that may be used.
fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !settings.cipher_suites.is_empty() {
        provider.cipher_suites.retain(|suite| {
            // The suites of TLS 1.3 cannot be chosen, as with OpenSSL's list of ciphers.
            suite.tls13().is_some() || settings.cipher_suites.contains(&suite.suite())
        });
    }
    if !settings.curves.is_empty() {
        let known = std::mem::take(&mut provider.kx_groups);
        let find = |curve: &NamedGroup| known.iter().copied().find(|group| group.name() == *curve);
        provider.kx_groups = settings.curves.iter().filter_map(find).collect();
    }
    provider
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    if settings.enable_tls_v1_3 {
        versions.push(&version::TLS13);
    }
    if settings.enable_tls_v1_2 {
        versions.push(&version::TLS12);
    }
    versions
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}
