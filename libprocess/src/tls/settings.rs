//! How a node speaks TLS. Plain data, with upstream's defaults (`3rdparty/libprocess/src/openssl.cpp`, `Flags`).

use std::path::PathBuf;

use rustls::{CipherSuite, NamedGroup};

/// How a node speaks TLS to whoever connects to it and whomever it connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Who this node is. One that listens must have it; one that only calls needs it where servers ask for it.
    pub identity: Option<Identity>,
    /// Accepts connections in the clear as well, told apart by their first byte; and tries again in the clear where the
    /// handshake with another node fails. Anybody between two nodes can bring that about.
    pub support_downgrade: bool,
    /// Believes a server only if an authority that this node trusts vouches for its certificate and its name.
    pub verify_server_cert: bool,
    /// Lets clients in only with a certificate that an authority vouches for that this node trusts.
    pub require_client_cert: bool,
    /// Takes the address of a peer for a name of it, to be found in its certificate.
    pub verify_ipadd: bool,
    /// How many certificates of authorities may stand between a peer's own and one that is trusted. (More than 6 are
    /// never believed.)
    pub verification_depth: usize,
    /// Authorities that are trusted, in one PEM file.
    pub ca_file: Option<PathBuf>,
    /// A directory of PEM files with such authorities. Without either, those of the host are trusted.
    pub ca_dir: Option<PathBuf>,
    /// Which name a certificate must carry.
    pub hostname_validation: HostnameValidation,
    /// The cipher suites that may be used; all that there are if empty.
    pub cipher_suites: Vec<CipherSuite>,
    /// The curves that keys are agreed on with, the best first; all that there are if empty.
    pub curves: Vec<NamedGroup>,
    /// Whether TLS 1.2 is spoken.
    pub enable_tls_v1_2: bool,
    /// Whether TLS 1.3 is spoken.
    pub enable_tls_v1_3: bool,
}

/// Who somebody is, and the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those of the authorities between it and one that others trust: a PEM file.
    pub certificate: PathBuf,
    /// Its private key: a PEM file, without a password.
    pub key: PathBuf,
}

/// Which name the certificate of a peer must carry (`LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostnameValidation {
    /// The name that the address of a peer, server or client, resolves to in reverse. It is as sure as the DNS is.
    Legacy,
    /// The name or address that a client connects to. What is in a client's certificate does not matter.
    Openssl,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            identity: None,
            support_downgrade: false,
            verify_server_cert: false,
            require_client_cert: false,
            verify_ipadd: false,
            verification_depth: 4,
            ca_file: None,
            ca_dir: None,
            hostname_validation: HostnameValidation::Legacy,
            cipher_suites: Vec::new(),
            curves: Vec::new(),
            enable_tls_v1_2: true,
            enable_tls_v1_3: true,
        }
    }
}

impl TlsSettings {
    /// For a client without settings of its own, as browsers do it: servers must have a certificate for the name that
    /// they are asked for under, from an authority that this host trusts.
    pub fn browser() -> TlsSettings {
        TlsSettings {
            verify_server_cert: true,
            verify_ipadd: true,
            hostname_validation: HostnameValidation::Openssl,
            ..TlsSettings::default()
        }
    }
}
