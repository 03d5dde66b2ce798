//! [`EtcdUrl`]: `etcd://[user:password@]host1[:port][,host2[:port]...]/path`.
//!
//! Pure. It reads like `zk://...` (see [`crate::url`]), but for the port, which may be left out. No text that is made of
//! it shows the password.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where etcd listens for clients unless told otherwise.
pub const DEFAULT_PORT: u16 = 2379;

/// What such a URL begins with.
pub const SCHEME: &str = "etcd://";

/// A place in etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdUrl {
    /// The servers, each as `host:port`; at least one.
    pub servers: Vec<String>,
    /// What the keys of this cluster begin with, as `/mesos`; never `/`, never with a slash at its end.
    pub path: String,
    /// Who we are, where etcd asks for it.
    pub credentials: Option<Credentials>,
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
    #[error("bad credentials in the etcd URL: expecting user:password before '@'")]
    Credentials,
    /// It does not begin with `etcd://`.
    #[error("expecting etcd://host[:port][,host[:port]...]/path")]
    Scheme,
}

impl FromStr for EtcdUrl {
    type Err = EtcdUrlError;

    fn from_str(text: &str) -> Result<Self, EtcdUrlError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(EtcdUrlError::Scheme)?;
        // The password may contain '/', '@' and ':': the servers begin after the last '@' and cannot contain it.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(read_credentials(credentials)?), rest),
            None => (None, rest),
        };
        let hidden = || format!("{SCHEME}{rest}");
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
        Ok(EtcdUrl { servers, path: path.to_owned(), credentials })
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
    /// Without the credentials: it is made for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.servers.join(","), self.path)
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
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(url("etcd://host/"), Err(EtcdUrlError::NoPath("etcd://host/".into())));
        assert_eq!(url("etcd://host:2379"), Err(EtcdUrlError::NoPath("etcd://host:2379".into())));
        assert_eq!(url("etcd:///mesos"), Err(EtcdUrlError::NoServer("etcd:///mesos".into())));
        assert_eq!(url("etcd://a,,b/mesos"), Err(EtcdUrlError::NoServer("etcd://a,,b/mesos".into())));
        assert_eq!(url("etcd://jake@host/mesos"), Err(EtcdUrlError::Credentials));
        assert_eq!(url("etcd://:secret@host/mesos"), Err(EtcdUrlError::Credentials));
        assert_eq!(url("zk://host:2181/mesos"), Err(EtcdUrlError::Scheme));
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
