//! Whom a node believes: the check of a peer's certificate during the handshake.
//!
//! [`Authorities`] follows the chain from a certificate to an authority that is trusted, through at most so many others
//! (rustls itself knows no such limit). A certificate that is itself among the trusted ones is believed as well, though
//! it may be an authority's: one that signs itself is how small clusters begin (upstream's docs/ssl.md makes such a
//! one). Names are looked for among the subject's alternative names; the common name is not looked at (RFC 9525, 2).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage};

/// Who vouches for others.
#[derive(Debug)]
pub(super) struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
    /// How many may stand between a certificate and a root.
    depth: usize,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Authorities {
    /// `None` if none of the certificates can be read.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        depth: usize,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Option<Authorities> {
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(certificates.iter().cloned());
        if ignored > 0 {
            tracing::warn!(added, ignored, "some certificates of authorities cannot be read");
        }
        (added > 0).then_some(Authorities { certificates, roots, depth, algorithms })
    }

    /// Checks that they vouch for a certificate.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let parsed = EndEntityCert::try_from(certificate).map_err(refusal)?;
        let is_short = |path: &webpki::VerifiedPath<'_>| match path.intermediate_certificates().count() {
            count if count > self.depth => Err(webpki::Error::MaximumPathDepthExceeded),
            _ => Ok(()),
        };
        let path = parsed.verify_for_usage(
            self.algorithms.all,
            &self.roots.roots,
            intermediates,
            now,
            usage,
            None,
            Some(&is_short),
        );
        match path {
            Ok(_) => Ok(()),
            // webpki looks at the time before this.
            Err(webpki::Error::CaUsedAsEndEntity)
                if self.certificates.iter().any(|one| one == certificate) =>
            {
                Ok(())
            }
            Err(error) => Err(refusal(error)),
        }
    }
}

/// Checks that a certificate carries a name.
pub(super) fn check_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let parsed = EndEntityCert::try_from(certificate).map_err(refusal)?;
    parsed.verify_is_valid_for_subject_name(name).map_err(refusal)
}

/// In the words of rustls, which makes an alert of them for the peer.
fn refusal(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::CertNotValidForName(names) => {
            CertificateError::NotValidForNameContext { expected: names.expected, presented: names.presented }
        }
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

/// The check of servers.
#[derive(Debug)]
pub(super) struct Servers {
    /// `None`: whoever has a certificate is believed to be the server.
    pub(super) authorities: Option<Arc<Authorities>>,
    /// Whether the certificate must carry the name that was asked for; otherwise another is looked for later.
    pub(super) by_name: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.check(certificate, intermediates, now, KeyUsage::server_auth())?;
            if self.by_name {
                check_name(certificate, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The check of clients. Each must have a certificate.
#[derive(Debug)]
pub(super) struct Clients {
    authorities: Arc<Authorities>,
    /// What clients are told of whom we believe.
    hints: Vec<DistinguishedName>,
}

impl Clients {
    pub(super) fn new(authorities: Arc<Authorities>) -> Clients {
        let hints = authorities.roots.subjects();
        Clients { authorities, hints }
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.authorities.check(certificate, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.authorities.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.authorities.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.algorithms.supported_schemes()
    }
}
