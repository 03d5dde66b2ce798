//! [`EtcdUrl`]: `etcd://[user:password@]host1[:port][,host2[:port]...]/path`, or the same with `etcds://` for TLS, and
//! then perhaps `?cacert=FILE&cert=FILE&key=FILE`.
//!
//! Pure: the files are named, not read. It reads like `zk://...` (see [`crate::url`]), but for the port, which may be
//! left out. No text that is made of it shows the password.

use std::{fmt, str::FromStr};

use libprocess::tls::TlsError;
use thiserror::Error;

use super::tls::EtcdTls;

/// Where etcd listens for clients unless told otherwise.
pub const DEFAULT_PORT: u16 = 2379;

/// What such a URL begins with.
pub const SCHEME: &str = "etcd://";

/// What it begins with where etcd is behind TLS.
pub const SECURE_SCHEME: &str = "etcds://";

/// A place in etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUrl {
    /// The servers, each as `host:port`; at least one.
    pub servers: Vec<String>,
    /// What the keys of this cluster begin with, as `/mesos`; never `/`, never with a slash at its end.
    pub path: String,
    /// Who we are, where etcd asks for it.
    pub credentials: Option<Credentials>,
    /// Set for `etcds://`.
    pub tls: Option<EtcdTls>,
}

/// A user of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password; only etcd gets to see it.
    pub password: String,
}

/// An etcd URL that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EtcdUrlError {
    /// No path, or only `/`.
    #[error("expecting a path for etcd in '{0}' ('/' is not supported)")]
    NoPath(String),
    /// No server between `etcd://` and the path.
    #[error("no server in '{0}': expecting etcd://host[:port][,host[:port]...]/path")]
    NoServer(String),
    /// A server that is no `host` and no `host:port`.
    #[error("bad server '{server}' in '{url}': expecting host or host:port")]
    Server {
        /// The server.
        server: String,
        /// The URL.
        url: String,
    },
    /// Something before `@` that is not `user:password`.
    #[error(
        "bad credentials in the etcd URL: expecting user:password before '@' (in the name of a file it is %40)"
    )]
    Credentials,
    /// It does not begin with `etcd://` or `etcds://`.
    #[error("expecting etcd://host[:port][,host[:port]...]/path, or etcds:// for TLS")]
    Scheme,
    /// Files for TLS, and no TLS.
    #[error("what follows '?' in the etcd URL is for TLS: begin it with etcds://")]
    Plain,
    /// A parameter that is not known.
    #[error("there is no '{0}' in an etcds URL: allowed are cacert, cert and key")]
    Parameter(String),
    /// A parameter that names no file.
    #[error("expecting the path of a file for '{0}' in the etcds URL, once")]
    Value(String),
    /// A certificate without its key, or the other way round.
    #[error("'{missing}' is missing beside '{given}' in the etcds URL")]
    Incomplete {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// A file that the URL names cannot be used, in libprocess's words.
    #[error("no TLS to etcd: {0}")]
    Files(String),
}

impl FromStr for EtcdUrl {
    type Err = EtcdUrlError;

    fn from_str(text: &str) -> Result<Self, EtcdUrlError> {
        let text = text.trim();
        let (scheme, rest) = match (text.strip_prefix(SCHEME), text.strip_prefix(SECURE_SCHEME)) {
            (Some(rest), _) => (SCHEME, rest),
            (None, Some(rest)) => (SECURE_SCHEME, rest),
            (None, None) => return Err(EtcdUrlError::Scheme),
        };
        // The password may contain '/', '@' and ':': the servers begin after the last '@' and cannot contain it.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(read_credentials(credentials)?), rest),
            None => (None, rest),
        };
        let (rest, parameters) = match rest.split_once('?') {
            Some((rest, parameters)) => (rest, Some(parameters)),
            None => (rest, None),
        };
        let hidden = || format!("{scheme}{rest}");
        let (servers, path) = match rest.find('/') {
            Some(at) => (&rest[..at], rest[at..].trim_end_matches('/')),
            None => (rest, ""),
        };
        if servers.split(',').any(str::is_empty) {
            return Err(EtcdUrlError::NoServer(hidden()));
        }
        if path.is_empty() {
            return Err(EtcdUrlError::NoPath(hidden()));
        }
        let read = |server: &str| {
            read_server(server)
                .ok_or_else(|| EtcdUrlError::Server { server: server.to_owned(), url: hidden() })
        };
        let servers = servers.split(',').map(read).collect::<Result<_, _>>()?;
        let tls = match (scheme == SECURE_SCHEME, parameters) {
            (true, parameters) => Some(EtcdTls::read(parameters.unwrap_or_default())?),
            (false, Some(_)) => return Err(EtcdUrlError::Plain),
            (false, None) => None,
        };
        Ok(EtcdUrl { servers, path: path.to_owned(), credentials, tls })
    }
}

impl EtcdUrl {
    /// Whether a text is meant to be such a URL.
    pub(crate) fn is_meant_by(text: &str) -> bool {
        text.starts_with(SCHEME) || text.starts_with(SECURE_SCHEME)
    }

    /// Reads the files that it names, so that one that cannot be used stops a start.
    pub(crate) fn check_files(&self) -> Result<(), EtcdUrlError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let Err(error) = tls.client() else { return Ok(()) };
        Err(EtcdUrlError::Files(match error {
            // In the words of this URL.
            TlsError::NoAuthorities => {
                "this host has no certificates of authorities: name some with cacert".to_owned()
            }
            error => error.to_string(),
        }))
    }
}

fn read_credentials(text: &str) -> Result<Credentials, EtcdUrlError> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Ok(Credentials { user: user.to_owned(), password: password.to_owned() })
        }
        _ => Err(EtcdUrlError::Credentials),
    }
}

/// `host:port` of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn read_server(text: &str) -> Option<String> {
    let has_port = !text.ends_with(']') && text.contains(':');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if has_port => (host, port.parse().ok()?),
        _ => (text, DEFAULT_PORT),
    };
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let odd = host.is_empty() || bare_v6 || host.contains(char::is_whitespace);
    (!odd).then(|| format!("{host}:{port}"))
}

impl fmt::Display for EtcdUrl {
    /// Where it is, without the credentials and the files: it is made for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { SECURE_SCHEME } else { SCHEME };
        write!(f, "{scheme}{}{}", self.servers.join(","), self.path)
    }
}

impl fmt::Debug for EtcdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<EtcdUrl, EtcdUrlError> {
        text.parse()
    }

    #[test]
    fn it_has_servers_a_path_and_perhaps_credentials() {
        let url = url(" etcd://jake:p/w@h:x@host1,host2:12379,[::1],[::1]:5/mesos/prod/\n").unwrap();
        assert_eq!(url.servers, ["host1:2379", "host2:12379", "[::1]:2379", "[::1]:5"]);
        assert_eq!(url.path, "/mesos/prod");
        let credentials = url.credentials.clone().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("jake", "p/w@h:x"));
        assert_eq!(url.to_string(), "etcd://host1:2379,host2:12379,[::1]:2379,[::1]:5/mesos/prod");
    }

    #[test]
    fn behind_tls_it_may_name_files() {
        let url = url("etcds://jake:p?w@host1,host2:1/mesos/?cacert=/ca.pem&cert=/c.pem&key=/k.pem").unwrap();
        assert_eq!((url.servers.join(","), url.path.as_str()), ("host1:2379,host2:1".into(), "/mesos"));
        assert_eq!(url.credentials.as_ref().map(|one| one.password.as_str()), Some("p?w"));
        assert_eq!(url.tls.as_ref().unwrap().cacert.as_deref(), Some("/ca.pem".as_ref()));
        assert_eq!(url.to_string(), "etcds://host1:2379,host2:1/mesos");
        assert_eq!("etcds://host/mesos".parse::<EtcdUrl>().unwrap().tls, Some(EtcdTls::default()));
        assert_eq!("etcd://host/mesos".parse::<EtcdUrl>().unwrap().tls, None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(url("etcd://host/"), Err(EtcdUrlError::NoPath("etcd://host/".into())));
        assert_eq!(url("etcd://host:2379"), Err(EtcdUrlError::NoPath("etcd://host:2379".into())));
        assert_eq!(url("etcd:///mesos"), Err(EtcdUrlError::NoServer("etcd:///mesos".into())));
        assert_eq!(url("etcd://a,,b/mesos"), Err(EtcdUrlError::NoServer("etcd://a,,b/mesos".into())));
        assert_eq!(url("etcd://jake@host/mesos"), Err(EtcdUrlError::Credentials));
        assert_eq!(url("etcd://:secret@host/mesos"), Err(EtcdUrlError::Credentials));
        assert_eq!(url("zk://host:2181/mesos"), Err(EtcdUrlError::Scheme));
        assert_eq!(url("etcd://host/mesos?cacert=/ca.pem"), Err(EtcdUrlError::Plain));
        assert_eq!(url("etcds://host/mesos?cafile=/a"), Err(EtcdUrlError::Parameter("cafile".into())));
        assert_eq!(url("etcds://host?cacert=/a"), Err(EtcdUrlError::NoPath("etcds://host".into())));
        assert_eq!(url("etcds://host/mesos?cacert=/a@b"), Err(EtcdUrlError::Credentials));
        for server in ["host:", "host:x", "host:70000", ":2379", "::1", "a b"] {
            let text = format!("etcd://{server}/mesos");
            let expected = EtcdUrlError::Server { server: server.into(), url: text.clone() };
            assert_eq!(url(&text), Err(expected));
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let text = "etcd://jake:secret@host/mesos";
        let shown = format!("{0} {0:?} {1:?}", url(text).unwrap(), url(text).unwrap().credentials);
        assert!(!shown.contains("secret"), "{shown}");
        for bad in
            ["etcd://jake:secret@host/", "etcd://jake:secret@/mesos", "etcd://jake:secret@host:x/mesos"]
        {
            let error = url(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
