//! An authority that is made for one test, and what it vouches for: files in a folder that goes with them.

use std::path::PathBuf;

use libprocess::http::Client;
use libprocess::tls::{Identity, TlsSettings, variables};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::Cluster;

/// The files of an authority, and of a node that is known as 127.0.0.1.
pub struct Secrets {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new()
    }
}

impl Secrets {
    /// `ca.pem`, `node.pem` and `node.key` in a new folder.
    ///
    /// # Panics
    /// Like all of this, if they cannot be made.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder is ours");
        let secrets = Self { folder, authority };
        secrets.identity("node", Some("node"));
        secrets
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes `<name>.pem` and `<name>.key` for 127.0.0.1, in the place of those that there are.
    pub fn identity(&self, name: &str, common_name: Option<&str>) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        params.distinguished_name = DistinguishedName::new();
        if let Some(common_name) = common_name {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        let certificate = params.signed_by(&key, &self.authority).expect("a certificate");
        let files = Identity {
            certificate: self.file(&format!("{name}.pem")),
            key: self.file(&format!("{name}.key")),
        };
        std::fs::write(&files.certificate, certificate.pem()).expect("the folder is ours");
        std::fs::write(&files.key, key.serialize_pem()).expect("the folder is ours");
        files
    }

    /// Of somebody who shows the node's certificate, and believes servers that the authority vouches for.
    pub fn settings(&self) -> TlsSettings {
        let identity = Identity { certificate: self.file("node.pem"), key: self.file("node.key") };
        TlsSettings { identity: Some(identity), ca_file: Some(self.file("ca.pem")), ..TlsSettings::browser() }
    }

    /// The variables of a daemon to which everybody must prove who he is.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.file(name).display().to_string();
        [
            ("ENABLED", "1".to_owned()),
            ("CERT_FILE", path("node.pem")),
            ("KEY_FILE", path("node.key")),
            ("CA_FILE", path("ca.pem")),
            ("REQUIRE_CLIENT_CERT", "1".to_owned()),
            ("HOSTNAME_VALIDATION_SCHEME", "openssl".to_owned()),
            ("VERIFY_IPADD", "1".to_owned()),
        ]
        .map(|(name, value)| (format!("{}{name}", variables::PREFIX), value))
        .to_vec()
    }

    /// A cluster whose daemons have these variables, and whose client shows the same certificate.
    pub fn cluster(&self) -> Cluster {
        let client = Client::secured(&self.settings()).expect("the files are good");
        Cluster::behind_tls(self.environment(), client)
    }
}
