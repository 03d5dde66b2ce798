//! Unix sockets that a node serves HTTP on, beside its port: for processes of the same host.
//!
//! Owns the socket's file. What is served on it is a list of paths (upstream serves executors on one so,
//! `Slave::initialize` in `slave/slave.cpp`, and puts everything else off with 403); messages between actors are not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::net::UnixListener;

use super::server::Origin;
use crate::node::Node;
use crate::process::Place;
use crate::stream::Stream;
use crate::transport::converse;

/// Bytes that the path of a socket must stay below: what `sockaddr_un` holds.
pub const MAX_SOCKET_PATH: usize = 108;

/// Where all connections of a Unix socket come from.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A Unix socket to serve on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its file.
    pub path: PathBuf,
    /// Who may connect: the permissions of the file.
    pub mode: u32,
    /// The paths that are served, such as `/slave(1)/api/v1`. Others are answered with 403.
    pub paths: Vec<String>,
}

/// Why there is no such socket.
#[derive(Debug, thiserror::Error)]
pub enum UnixSocketError {
    /// The kernel has no room for such a path.
    #[error("the path of a socket must have less than {MAX_SOCKET_PATH} bytes, but '{}' has more", .0.display())]
    Long(PathBuf),
    /// Another process serves there.
    #[error("another process listens on '{}'", .0.display())]
    Taken(PathBuf),
    /// The system refuses.
    #[error("cannot listen on '{}': {cause}", path.display())]
    Listen {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Serves on a socket until the node stops. A socket that was left behind by a process that is gone is replaced; the
/// file stays when the node ends, as it does after a crash.
///
/// # Errors
/// [`UnixSocketError`].
pub fn serve_unix(node: &Node, socket: UnixSocket) -> Result<(), UnixSocketError> {
    let listener = listen(&socket)?;
    let (node, paths) = (node.clone(), socket.paths);
    node.clone().start_at(Place::Http, move || {
        actix_rt::spawn(accept(node, listener, paths.into()));
    });
    Ok(())
}

fn listen(socket: &UnixSocket) -> Result<std::os::unix::net::UnixListener, UnixSocketError> {
    let path = &socket.path;
    if path.as_os_str().len() >= MAX_SOCKET_PATH {
        return Err(UnixSocketError::Long(path.clone()));
    }
    if is_socket(path) && std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(UnixSocketError::Taken(path.clone()));
    }
    let open = || {
        if is_socket(path) {
            std::fs::remove_file(path)?;
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(socket.mode))?;
        Ok(listener)
    };
    open().map_err(|cause| UnixSocketError::Listen { path: path.clone(), cause })
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

async fn accept(node: Node, listener: std::os::unix::net::UnixListener, paths: Rc<[String]>) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections on a Unix socket");
            return;
        }
    };
    let next = async || listener.accept().await.map(|(stream, _)| Some((stream, NOWHERE)));
    let serve = |stream, peer, visit| {
        let origin = Origin { node: node.clone(), peer, paths: Some(Rc::clone(&paths)) };
        converse(origin, Stream::Unix(stream), visit)
    };
    crate::accept::accept(&node, next, |_| (), serve).await;
}
