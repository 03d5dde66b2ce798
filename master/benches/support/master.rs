//! A master in the benchmark's own process.

use std::time::Duration;

use libprocess::Node;
use libprocess::http::{Client, ClientRequest};
use master::{Running, Settings};

/// A master that leads and has read its registry, which is in memory, on this thread; with its node.
pub(crate) async fn master() -> (Node, Running) {
    let settings = Settings { ip: Some([127, 0, 0, 1].into()), port: 0, ..Settings::default() };
    let node = master::node(&settings).start().await.expect("a port is free");
    let running = master::start(&node, settings).await.expect("a master starts");
    let client = Client::new();
    let url = format!("http://{}/state", node.address());
    while !client.send(ClientRequest::get(&url)).await.is_ok_and(|answer| answer.status.is_success()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (node, running)
}
