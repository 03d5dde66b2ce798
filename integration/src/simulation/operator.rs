//! The operator of a simulated cluster: sets quotas and weights through whoever leads, while things go wrong. When
//! everything is mended it takes all quotas away, so that every framework can have what it waits for.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use libprocess::Node;
use libprocess::http::ClientRequest;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster::Cluster;
use super::workload::LIMITED_ROLES;

/// Where it is.
const ADDRESS: ([u8; 4], u16) = ([10, 4, 0, 1], 7000);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// Works until the quotas are taken away, after everything is mended.
///
/// # Errors
/// If its node does not start.
pub async fn run(cluster: Rc<Cluster>, seed: u64) -> Result<(), String> {
    let address = SocketAddr::from(ADDRESS);
    let node = cluster.network.node(address, "op").start().await.map_err(|error| error.to_string())?;
    let mut random = SmallRng::seed_from_u64(seed);
    while !cluster.is_healing() {
        sleep(Duration::from_millis(random.random_range(5_000..40_000))).await;
        let (path, method, body, what) = draw(&mut random, cluster.agents().len());
        if ask(&cluster, &node, method, path, &body).await == Some(200) {
            cluster.network.note(format!("the operator has set {what} {body}"));
            cluster.truth.count(what);
        }
    }
    let none: Vec<Value> = LIMITED_ROLES.iter().map(|role| json!({ "role": role })).collect();
    while ask(&cluster, &node, Method::POST, "/api/v1", &update(true, none.clone())).await != Some(200) {
        sleep(RETRY).await;
    }
    cluster.network.note("the operator has taken all quotas away");
    cluster.set_quotas_reset();
    Ok(())
}

/// What it asks for next: mostly a quota, sometimes a weight.
fn draw(random: &mut SmallRng, agents: usize) -> (&'static str, Method, Value, &'static str) {
    let role = LIMITED_ROLES.choose(random).copied().unwrap_or_default();
    if random.random_range(0..6) == 0 {
        let weight = f64::from(random.random_range(1..=4));
        return ("/weights", Method::PUT, json!([{ "role": role, "weight": weight }]), "weights");
    }
    // A quarter of the cluster at most is guaranteed, and half of it is the limit.
    let most = f64::from(u32::try_from(agents).unwrap_or(u32::MAX));
    let mut part = |of: f64| json!({ "value": (random.random_range(0.0..of) * 4.0).round() / 4.0 });
    let (guarantee, limit) = (part(most), part(2.0 * most));
    let memory = part(2048.0 * most);
    let config = match random.random_range(0..5) {
        0 => json!({ "role": role }),
        1 => json!({ "role": role, "guarantees": { "cpus": guarantee } }),
        2 => json!({ "role": role, "limits": { "cpus": limit, "mem": memory } }),
        3 => json!({ "role": role, "guarantees": { "cpus": guarantee }, "limits": { "mem": memory } }),
        _ => json!({ "role": role, "limits": { "cpus": limit } }),
    };
    ("/api/v1", Method::POST, update(random.random(), vec![config]), "quotas")
}

fn update(force: bool, configs: Vec<Value>) -> Value {
    json!({ "type": "UPDATE_QUOTA", "update_quota": { "force": force, "quota_configs": configs } })
}

/// The status of the leader's answer, if it answered.
async fn ask(cluster: &Cluster, node: &Node, method: Method, path: &str, body: &Value) -> Option<u16> {
    let url = format!("http://{}{path}", cluster.leading_address());
    let request = ClientRequest::new(method, url)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .timeout(PATIENCE)
        .body(body.to_string());
    let answer = node.client().send(request).await.ok()?;
    Some(answer.status.as_u16())
}
