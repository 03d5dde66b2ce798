//! What the tests of the containerizer without isolation share.

use std::path::Path;
use std::time::Duration;

use libprocess::Node;
use libprocess::http::Client;

use super::Containerizer;
use super::posix::PosixContainerizer;
use super::volumes::Volumes;
use crate::fetcher::Fetcher;

/// A node without a network.
pub(super) async fn node() -> Node {
    Node::builder().offline().start().await.unwrap()
}

/// A containerizer of an agent that makes its sandboxes below `sandboxes`.
pub(super) fn containerizer(node: &Node, sandboxes: &Path) -> Containerizer {
    let fetcher = Fetcher::new(Client::new(), node.metrics(), None, None, Duration::from_secs(5));
    let volumes = Volumes::new(node.disk().clone(), Path::new("/nowhere"));
    let process = PosixContainerizer::new(fetcher, volumes, sandboxes.to_owned());
    Containerizer::from(&node.spawn_numbered(process))
}

/// Waits until something is so; for a minute at most.
pub(super) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it comes within a minute");
}
