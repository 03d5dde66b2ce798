//! Authorities and certificates, made for one test and kept in a directory that goes with it.

use std::path::PathBuf;

use libprocess::tls::{HostnameValidation, Identity, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// Vouches for others.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The certificates between those that it makes and the root, as PEM.
    chain: String,
    home: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap();
        Authority::keep(issuer, String::new())
    }

    /// Another one that this one vouches for.
    pub(crate) fn below(&self, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(authority(name), key, &self.issuer).unwrap();
        let chain = issuer.pem() + &self.chain;
        Authority::keep(issuer, chain)
    }

    fn keep(issuer: CertifiedIssuer<'static, KeyPair>, chain: String) -> Authority {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, chain, home }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// The directory that its certificate is in, beside files that are none.
    pub(crate) fn directory(&self) -> PathBuf {
        std::fs::write(self.home.path().join("README"), "Nothing to see here.").unwrap();
        self.home.path().to_owned()
    }

    /// A certificate for names and addresses, with its key.
    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        self.identity_with(names, |_| {})
    }

    pub(crate) fn identity_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(owned(names)).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(certificate.pem() + &self.chain, &key.serialize_pem())
    }

    /// Files that nobody else has.
    pub(crate) fn write(&self, certificate: String, key: &str) -> Identity {
        let home = tempfile::Builder::new().disable_cleanup(true).tempdir_in(self.home.path()).unwrap();
        let files =
            Identity { certificate: home.path().join("certificate.pem"), key: home.path().join("key.pem") };
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    /// Of somebody who can prove to be 127.0.0.1, believes this authority, and wants proofs of everybody.
    pub(crate) fn strict(&self) -> TlsSettings {
        TlsSettings {
            identity: Some(self.identity(&["127.0.0.1"])),
            require_client_cert: true,
            ..self.believer()
        }
    }

    /// Of somebody who believes this authority and shows nothing.
    pub(crate) fn believer(&self) -> TlsSettings {
        TlsSettings {
            verify_server_cert: true,
            verify_ipadd: true,
            ca_file: Some(self.file()),
            hostname_validation: HostnameValidation::Openssl,
            ..TlsSettings::default()
        }
    }
}

pub(crate) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
