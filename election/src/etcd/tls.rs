//! TLS to etcd: what an `etcds://` URL says of it, and the HTTP client that is made of that.
//!
//! etcd's TLS has nothing to do with that of our own nodes (`LIBPROCESS_SSL_*`): others make its certificates, and its
//! servers are always checked. The names of the parameters are those of `etcdctl`. Certificates are renewed while we
//! run, so the files are read again after no server has answered (`Door::closed`).

use std::path::PathBuf;
use std::sync::Arc;

use libprocess::http::Client as HttpClient;
use libprocess::tls::{Identity, TlsError, TlsSettings};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use super::url::EtcdUrlError;

/// What stands behind `?` in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdTls {
    /// The authorities that vouch for etcd (PEM); without it those that this host trusts.
    pub cacert: Option<PathBuf>,
    /// What we show where etcd asks for it (`--client-cert-auth`).
    pub identity: Option<Identity>,
}

impl EtcdTls {
    /// Reads `cacert=FILE&cert=FILE&key=FILE`, of which each may be left out, but a certificate needs its key. What a
    /// URL would not take in the name of a file is percent-encoded.
    pub(super) fn read(parameters: &str) -> Result<EtcdTls, EtcdUrlError> {
        let (mut cacert, mut cert, mut key) = (None, None, None);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let place = match name {
                "cacert" => &mut cacert,
                "cert" => &mut cert,
                "key" => &mut key,
                _ => return Err(EtcdUrlError::Parameter(name.to_owned())),
            };
            let path = percent_decode_str(value).decode_utf8().ok().filter(|path| !path.is_empty());
            let Some(path) = path.filter(|_| place.is_none()) else {
                return Err(EtcdUrlError::Value(name.to_owned()));
            };
            *place = Some(PathBuf::from(path.into_owned()));
        }
        let identity = match (cert, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(EtcdUrlError::Incomplete { given: "cert", missing: "key" }),
            (None, Some(_)) => return Err(EtcdUrlError::Incomplete { given: "key", missing: "cert" }),
        };
        Ok(EtcdTls { cacert, identity })
    }

    /// A client that speaks to servers only whose certificate carries the name or address of the URL.
    ///
    /// # Errors
    /// [`TlsError`] names the file that cannot be used.
    pub fn client(&self) -> Result<HttpClient, TlsError> {
        HttpClient::secured(&TlsSettings {
            identity: self.identity.clone(),
            ca_file: self.cacert.clone(),
            ..TlsSettings::browser()
        })
    }
}

/// The way to the servers of etcd: an HTTP client that is made when it is needed.
#[derive(Clone, Debug)]
pub(super) struct Door {
    tls: Option<EtcdTls>,
    http: Arc<Mutex<Option<HttpClient>>>,
}

impl Door {
    pub(super) fn new(tls: Option<EtcdTls>) -> Door {
        Door { tls, http: Arc::default() }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The client; the files are read, if they have not been yet.
    pub(super) fn open(&self) -> Result<HttpClient, TlsError> {
        let mut http = self.http.lock();
        if let Some(http) = &*http {
            return Ok(http.clone());
        }
        let made = self.tls.as_ref().map_or_else(|| Ok(HttpClient::new()), EtcdTls::client)?;
        Ok(http.insert(made).clone())
    }

    /// No server has answered. Perhaps our certificate is too old, and there is a new one.
    pub(super) fn closed(&self) {
        if self.tls.is_some() {
            *self.http.lock() = None;
        }
    }

    /// What to do about an error where TLS may be the reason.
    pub(super) fn hint(&self, error: &str) -> &'static str {
        let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
        match self.tls.is_some() {
            false if says(&["closed the connection", "reset by peer"]) => {
                "; if it speaks TLS, begin the URL with etcds://"
            }
            // Which alert it is depends on the version of Go that etcd was built with.
            true if says(&["fatal alert: BadCert", "fatal alert: Certificate", "fatal alert: UnknownC"]) => {
                "; etcd wants a certificate that it believes: put it into the URL, etcds://host/path?cert=FILE&key=FILE"
            }
            // The second is of an authority that has the right name and another key.
            true if says(&["UnknownIssuer", "InvalidSignatureForPublicKey"]) => {
                "; name the authority of its certificate in the URL, etcds://host/path?cacert=FILE"
            }
            true if says(&["InvalidContentType", "handshake eof"]) => {
                "; does it speak TLS? if not, begin the URL with etcd://"
            }
            // Of the gateway, which shows the server's own certificate to the server.
            true if says(&["connection closed", "remote error: tls"]) => {
                "; with --client-cert-auth etcd's own certificate must be good for clients, too"
            }
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// The file of an authority that vouches for nobody.
    fn authority(folder: &TempDir) -> PathBuf {
        let (file, key) = (folder.path().join("ca.pem"), rcgen::KeyPair::generate().unwrap());
        let authority = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        std::fs::write(&file, authority.pem()).unwrap();
        file
    }

    #[test]
    fn each_file_has_a_parameter() {
        let read =
            EtcdTls::read("key=/etc/mesos/our%20key.pem&cacert=ca.pem&cert=/run/agent%401/cert%26.pem")
                .unwrap();
        let identity =
            Identity { certificate: "/run/agent@1/cert&.pem".into(), key: "/etc/mesos/our key.pem".into() };
        assert_eq!(read, EtcdTls { cacert: Some("ca.pem".into()), identity: Some(identity) });
        assert_eq!(EtcdTls::read(""), Ok(EtcdTls::default()));
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (parameters, part) in [
            ("ca=/a", "there is no 'ca'"),
            ("cacert", "'cacert'"),
            ("cacert=", "'cacert'"),
            ("cacert=/a&cacert=/b", "'cacert'"),
            ("cert=%ff&key=/k", "'cert'"),
            ("cert=/c", "'key' is missing beside 'cert'"),
            ("key=/k", "'cert' is missing beside 'key'"),
        ] {
            let error = EtcdTls::read(parameters).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "nothing to see here").unwrap();
        let identity = Some(Identity { certificate: text.clone(), key: text.clone() });
        for (cacert, identity, part) in [
            (PathBuf::from("/nowhere/ca"), None, "CA file '/nowhere/ca': No such file"),
            (text, None, "text': there is no certificate in it"),
            (authority(&folder), identity, "certificate file '"),
        ] {
            let tls = EtcdTls { cacert: Some(cacert), identity };
            let error = tls.client().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_error_says_what_may_be_wrong() {
        let (plain, secure) = (Door::new(None), Door::new(Some(EtcdTls::default())));
        for (door, error, part) in [
            (&plain, "h:1 closed the connection before its answer was complete", "with etcds://"),
            (&secure, "h:1 closed the connection before its answer was complete", ""),
            (&secure, "received fatal alert: BadCertificate", "?cert=FILE&key=FILE"),
            (&secure, "received fatal alert: CertificateRequired", "?cert=FILE&key=FILE"),
            (&secure, "TLS: invalid peer certificate: UnknownIssuer", "?cacert=FILE"),
            (&secure, "TLS: received corrupt message of type InvalidContentType", "with etcd://"),
            (&secure, "TLS: tls handshake eof", "with etcd://"),
            (&secure, "h:1 answered /v3/kv/range: connection closed", "good for clients"),
            (&plain, "h:1 answered /v3/kv/range: connection closed", ""),
        ] {
            let hint = door.hint(error);
            assert!(hint.contains(part) && part.is_empty() == hint.is_empty(), "{error}{hint}");
        }
    }

    #[test]
    fn the_files_are_read_again_only_after_no_server_has_answered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let door = Door::new(Some(EtcdTls { cacert: Some(file.clone()), identity: None }));
        assert!(door.open().is_err(), "there is no file");
        authority(&folder);
        door.open().unwrap();
        std::fs::remove_file(&file).unwrap();
        door.open().unwrap();
        door.closed();
        assert!(door.open().is_err(), "there is no file any more");
    }
}
