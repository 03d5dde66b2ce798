//! [`MasterUrl`]: how a user names the masters, in upstream's forms.
//!
//! Pure, but for `file://`, whose content is read while parsing (upstream does the same, in
//! `src/master/detector/detector.cpp`), and the files that `etcds://` names: so a bad file stops the start with its name.
//! What happens when the file changes later stands in [`crate::file`].

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use mesos::text::without_password;
use thiserror::Error;

use crate::etcd::EtcdGroup;
use crate::etcd::url::{EtcdUrl, EtcdUrlError};
use crate::group::Group;
use crate::zookeeper::ZooKeeperGroup;

/// Where the masters are to be found.
#[derive(Clone, PartialEq, Eq)]
pub enum MasterUrl {
    /// One master, as `host:port` or `master@host:port`. The host is resolved when it is used.
    Standalone(String),
    /// A group of masters in ZooKeeper.
    ZooKeeper(ZooKeeperUrl),
    /// A group of masters in etcd.
    Etcd(EtcdUrl),
    /// A file that says one of the above, and may change.
    File(MasterFile),
    /// A group that the caller has (simulations). No text means it.
    Group(SharedGroup),
}

/// A file that says where the masters are.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterFile {
    /// The file.
    pub path: PathBuf,
    /// What it said when it was read first; never a file again.
    pub first: Box<MasterUrl>,
}

/// A group in the place of an address. Equal to its clones only.
#[derive(Clone)]
pub struct SharedGroup(pub Arc<dyn Group>);

impl PartialEq for SharedGroup {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedGroup {}

/// `zk://[user:password@]host:port[,host:port...]/path`
/// (upstream: `src/zookeeper/url.hpp`).
#[derive(Clone, PartialEq, Eq)]
pub struct ZooKeeperUrl {
    /// The servers, as `host:port,host:port`.
    pub servers: String,
    /// The node below which the masters join, as `/mesos`; never `/`, never with a slash at its end.
    pub path: String,
    /// `user:password` for ZooKeeper's digest scheme.
    pub credentials: Option<String>,
}

/// A master URL that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UrlError {
    /// No path, or only `/`.
    #[error("expecting a (chroot) path for ZooKeeper in '{0}' ('/' is not supported)")]
    NoPath(String),
    /// No server between `zk://` and the path.
    #[error("no server in '{0}': expecting zk://host:port[,host:port...]/path")]
    NoServer(String),
    /// Something before `@` that is not `user:password`.
    #[error("bad credentials in the ZooKeeper URL: expecting user:password before '@'")]
    Credentials,
    /// A server that is no `host` and no `host:port`.
    #[error("bad server '{server}' in '{url}': expecting host or host:port")]
    Server {
        /// The server.
        server: String,
        /// The URL.
        url: String,
    },
    /// ZooKeeper has no such node.
    #[error(
        "bad path '{path}' in '{url}': expecting names without control characters, none of them empty, '.' or '..'"
    )]
    Path {
        /// The path.
        path: String,
        /// The URL.
        url: String,
    },
    /// Neither of the known forms.
    #[error(
        "cannot tell a master from '{0}': expecting host:port, zk://host:port/path, etcd[s]://host:port/path or file:///path"
    )]
    Form(String),
    /// Of an etcd URL.
    #[error(transparent)]
    Etcd(#[from] EtcdUrlError),
    /// `file://` names a file that cannot be read.
    #[error("cannot read the master's address from '{path}': {reason}")]
    File {
        /// The file.
        path: String,
        /// What the operating system said.
        reason: String,
    },
}

impl FromStr for MasterUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file://") {
            return Self::from_file(PathBuf::from(path));
        }
        Self::from_text(text)
    }
}

impl MasterUrl {
    /// The group in which the masters elect their leader, with sessions of this timeout; `None` where there is but one
    /// master.
    pub fn group(&self, timeout: Duration) -> Option<Arc<dyn Group>> {
        match self {
            // Who may be told to go elsewhere elects nobody.
            MasterUrl::Standalone(_) | MasterUrl::File(_) => None,
            MasterUrl::ZooKeeper(url) => Some(Arc::new(ZooKeeperGroup::new(url.clone(), timeout))),
            MasterUrl::Etcd(url) => Some(Arc::new(EtcdGroup::new(url.clone(), timeout))),
            MasterUrl::Group(group) => Some(group.0.clone()),
        }
    }

    /// A file holds one of the other forms; it may not name another file.
    fn from_file(path: PathBuf) -> Result<Self, UrlError> {
        let content = std::fs::read_to_string(&path).map_err(|error| UrlError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let first = Box::new(Self::from_text(content.trim())?);
        Ok(MasterUrl::File(MasterFile { path, first }))
    }

    /// Any form but `file://`.
    pub(crate) fn from_text(text: &str) -> Result<Self, UrlError> {
        if text.starts_with("zk://") {
            return text.parse().map(MasterUrl::ZooKeeper);
        }
        if EtcdUrl::is_meant_by(text) {
            let url: EtcdUrl = text.parse()?;
            url.check_files()?;
            return Ok(MasterUrl::Etcd(url));
        }
        let address = text.strip_prefix("master@").unwrap_or(text);
        let unknown = || UrlError::Form(without_password(text));
        let (host, port) = address.rsplit_once(':').ok_or_else(unknown)?;
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | ',');
        if host.is_empty() || bare_v6 || host.contains(odd) || port.parse::<u16>().is_err() {
            return Err(unknown());
        }
        Ok(MasterUrl::Standalone(address.to_owned()))
    }
}

impl FromStr for ZooKeeperUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let rest = text.strip_prefix("zk://").ok_or_else(|| UrlError::Form(text.into()))?;
        // The password may contain '/' and '@': the servers begin after the last '@' and cannot
        // contain either.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) if credentials.contains(':') => (Some(credentials.to_owned()), rest),
            Some(_) => return Err(UrlError::Credentials),
            None => (None, rest),
        };
        let hidden = || format!("zk://{rest}");
        let (servers, path) = match rest.find('/') {
            Some(at) => (&rest[..at], rest[at..].trim_end_matches('/')),
            None => (rest, ""),
        };
        if servers.split(',').any(str::is_empty) {
            return Err(UrlError::NoServer(hidden()));
        }
        if path.is_empty() {
            return Err(UrlError::NoPath(hidden()));
        }
        if let Some(server) = servers.split(',').find(|server| !is_server(server)) {
            return Err(UrlError::Server { server: server.into(), url: hidden() });
        }
        if !path[1..].split('/').all(is_node) {
            return Err(UrlError::Path { path: path.into(), url: hidden() });
        }
        Ok(ZooKeeperUrl { servers: servers.into(), path: path.into(), credentials })
    }
}

/// Whether this is `host`, `host:port`, `[v6]` or `[v6]:port`, as ZooKeeper's client reads it (it takes an address of
/// version 6 without brackets, too).
fn is_server(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some(parts) if !text.ends_with(']') => parts,
        _ => (text, ""),
    };
    let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port != 0);
    let has_brackets = host.starts_with('[') == host.ends_with(']') && host != "[]";
    is_port && has_brackets && !host.is_empty() && !host.contains(char::is_whitespace)
}

/// Whether ZooKeeper may have a node of this name.
fn is_node(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(char::is_control)
}

impl fmt::Display for ZooKeeperUrl {
    /// Without the credentials: it is made for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zk://{}{}", self.servers, self.path)
    }
}

impl fmt::Debug for ZooKeeperUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for MasterUrl {
    /// Without the credentials: it is made for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MasterUrl::Standalone(address) => f.write_str(address),
            MasterUrl::ZooKeeper(url) => url.fmt(f),
            MasterUrl::Etcd(url) => url.fmt(f),
            MasterUrl::File(file) => write!(f, "file://{}", file.path.display()),
            MasterUrl::Group(SharedGroup(group)) => f.write_str(&group.name()),
        }
    }
}

impl fmt::Debug for MasterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zk(text: &str) -> Result<ZooKeeperUrl, UrlError> {
        match text.parse::<MasterUrl>()? {
            MasterUrl::ZooKeeper(url) => Ok(url),
            other => panic!("{other} is no ZooKeeper URL"),
        }
    }

    #[test]
    fn an_address_may_carry_the_masters_id() {
        for text in ["localhost:5050", "master@localhost:5050", " localhost:5050\n"] {
            assert_eq!(text.parse(), Ok(MasterUrl::Standalone("localhost:5050".into())));
        }
        assert_eq!("[::1]:5050".parse(), Ok(MasterUrl::Standalone("[::1]:5050".into())));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost",
            ":5050",
            "localhost:port",
            "localhost:70000",
            "http://localhost:5050",
            "::1:5050",
        ] {
            assert_eq!(text.parse::<MasterUrl>(), Err(UrlError::Form(text.into())), "{text}");
        }
    }

    /// Upstream: `ZooKeeperURLTest.URL`.
    #[test]
    fn a_zookeeper_url_has_servers_a_path_and_perhaps_credentials() {
        let url = zk("zk://jake:p/w@h@host1:2181,host2:2181/mesos/prod/").unwrap();
        assert_eq!(url.servers, "host1:2181,host2:2181");
        assert_eq!(url.path, "/mesos/prod");
        assert_eq!(url.credentials.as_deref(), Some("jake:p/w@h"));
        assert_eq!(url.to_string(), "zk://host1:2181,host2:2181/mesos/prod");
    }

    /// Upstream: `ZooKeeperURLTest.URL`.
    #[test]
    fn a_zookeeper_url_needs_a_path_and_a_server() {
        assert_eq!(zk("zk://host:2181/"), Err(UrlError::NoPath("zk://host:2181/".into())));
        assert_eq!(zk("zk://host:2181"), Err(UrlError::NoPath("zk://host:2181".into())));
        assert_eq!(zk("zk:///mesos"), Err(UrlError::NoServer("zk:///mesos".into())));
        assert_eq!(zk("zk://jake@host:2181/mesos"), Err(UrlError::Credentials));
    }

    /// An agent would go on without a master, and a list with a blank in it with the first of its servers only.
    #[test]
    fn a_zookeeper_url_names_servers_and_nodes_that_there_may_be() {
        for server in
            ["host:x", "host:99999", "host:0", ":2181", "a:1, b:1", "a:1,b :1", "[::1", "[]:1", "[::1]x:1"]
        {
            let text = format!("zk://jake:secret@{server}/mesos");
            let error = zk(&text).unwrap_err().to_string();
            let bad = server.rsplit_once(',').map_or(server, |(_, second)| second);
            let expected =
                format!("bad server '{bad}' in 'zk://{server}/mesos': expecting host or host:port");
            assert_eq!(error, expected);
        }
        for servers in ["host", "host:1", "[::1]", "[::1]:1", "::1:2181", "a,b:1,10.0.0.1:65535"] {
            assert_eq!(zk(&format!("zk://{servers}/mesos")).unwrap().servers, servers);
        }
        for path in ["//mesos", "/a//b", "/a/./b", "/a/..", "/a\tb"] {
            let error = zk(&format!("zk://host:1{path}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("bad path '{path}' in 'zk://host:1{path}': ")), "{error}");
        }
        assert_eq!(zk("zk://host:1/a b/.c/d..//").unwrap().path, "/a b/.c/d..");
    }

    #[test]
    fn an_error_does_not_show_the_password() {
        for text in [
            "zk://jake:secret@host:x/mesos",
            "zk://jake:secret@host:1/a//b",
            "zk://jake:secret@host:2181/",
            "etcd://jake:secret@host",
            "etcds://jake:secret@host/mesos?cacert=/nowhere/ca",
            "ectd://jake:secret@host/mesos",
            "jake:secret@host",
        ] {
            let error = text.parse::<MasterUrl>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_etcd_url_is_one_of_the_forms() {
        let url = "etcd://jake:secret@host1,host2:1/mesos".parse::<MasterUrl>().unwrap();
        assert_eq!(url.to_string(), "etcd://host1:2379,host2:1/mesos");
        let group = url.group(Duration::from_secs(1)).unwrap();
        assert_eq!(group.name(), url.to_string());
        assert!("localhost:5050".parse::<MasterUrl>().unwrap().group(Duration::from_secs(1)).is_none());
        let error = "etcd://host".parse::<MasterUrl>().unwrap_err();
        assert_eq!(error.to_string(), "expecting a path for etcd in 'etcd://host' ('/' is not supported)");
        let error = "etcds://jake:secret@host/mesos?cacert=/nowhere/ca".parse::<MasterUrl>().unwrap_err();
        assert!(error.to_string().contains("'/nowhere/ca': No such file"), "{error}");
    }

    #[test]
    fn a_file_holds_one_of_the_other_forms() {
        let file = std::env::temp_dir().join(format!("mesos-election-url-{}", std::process::id()));
        std::fs::write(&file, "zk://host:2181/mesos\n").unwrap();
        let url = format!("file://{}", file.display()).parse::<MasterUrl>();
        std::fs::remove_file(&file).unwrap();
        let url = url.unwrap();
        assert_eq!(url.to_string(), format!("file://{}", file.display()));
        let MasterUrl::File(MasterFile { first, .. }) = url else { panic!("{url} is no file") };
        assert_eq!(first.to_string(), "zk://host:2181/mesos");

        let gone = "file:///nowhere/master".parse::<MasterUrl>().unwrap_err();
        assert!(gone.to_string().contains("/nowhere/master"), "{gone}");
    }
}
