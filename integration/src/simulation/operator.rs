//! The operator of a simulated cluster: sets quotas and weights through whoever leads, while things go wrong. When
//! everything is mended it takes all quotas away, so that every framework can have what it waits for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use allocator::Quota;
use http::Method;
use libprocess::Node;
use libprocess::http::ClientRequest;
use mesos::v1::quota::QuotaConfig;
use mesos::v1::value::Scalar;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::acknowledged::Setting;
use super::cluster::Cluster;
use super::workload::LIMITED_ROLES;

/// Where it is.
const ADDRESS: ([u8; 4], u16) = ([10, 4, 0, 1], 7000);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long something may be under way that was not answered.
const UNDER_WAY: Duration = Duration::from_secs(5);
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
        sleep(Duration::from_millis(random.random_range(4_000..24_000))).await;
        let settings = draw_all(&mut random, cluster.agents().len());
        let (path, method, body) = request(&settings, random.random());
        cluster.registry.told(|told| settings.iter().cloned().for_each(|setting| told.asked(setting)));
        let status = ask(&cluster, &node, method, path, &body).await;
        let done = status == Some(200);
        if done || matches!(status, Some(400..500)) {
            cluster.registry.told(|told| settings.iter().for_each(|setting| told.answered(setting, done)));
        }
        if done {
            cluster.network.note(format!("the operator has set {settings:?}"));
            let is_quota = matches!(settings[..], [Setting::Quota(..), ..]);
            cluster.truth.count(if is_quota { "quotas" } else { "weights" });
        }
    }
    // What it has asked before and was not answered may still be under way.
    sleep(UNDER_WAY).await;
    let none: Vec<Value> = LIMITED_ROLES.iter().map(|role| json!({ "role": role })).collect();
    while ask(&cluster, &node, Method::POST, "/api/v1", &update(true, none.clone())).await != Some(200) {
        sleep(RETRY).await;
    }
    cluster.network.note("the operator has taken all quotas away");
    cluster.set_quotas_reset();
    Ok(())
}

/// What it asks for next: mostly a quota, sometimes a weight, sometimes the quotas of all roles at once (which are more
/// than one transaction of the registry holds).
fn draw_all(random: &mut SmallRng, agents: usize) -> Vec<Setting> {
    let role = LIMITED_ROLES.choose(random).copied().unwrap_or_default();
    match random.random_range(0..6) {
        0 => vec![Setting::Weight(role.to_owned(), f64::from(random.random_range(1..=4)))],
        1 | 2 => LIMITED_ROLES.iter().map(|role| draw_quota(random, role, agents)).collect(),
        _ => vec![draw_quota(random, role, agents)],
    }
}

fn draw_quota(random: &mut SmallRng, role: &str, agents: usize) -> Setting {
    // A quarter of the cluster at most is guaranteed, and half of it is the limit.
    let most = f64::from(u32::try_from(agents).unwrap_or(u32::MAX));
    let mut part = |of: f64| Scalar { value: (random.random_range(0.0..of) * 4.0).round() / 4.0 };
    let (guarantee, limit, memory) = (part(most), part(2.0 * most), part(2048.0 * most));
    let map = |amounts: &[(&str, Scalar)]| {
        amounts.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
    };
    let (guarantees, limits) = match random.random_range(0..6) {
        0 => (map(&[]), map(&[])),
        1 | 2 => (map(&[("cpus", guarantee)]), map(&[])),
        3 => (map(&[]), map(&[("cpus", limit), ("mem", memory)])),
        4 => (map(&[("cpus", guarantee)]), map(&[("mem", memory)])),
        _ => (map(&[]), map(&[("cpus", limit)])),
    };
    let quota = Quota::from(&QuotaConfig { role: role.to_owned(), guarantees, limits });
    Setting::Quota(role.to_owned(), quota)
}

/// How it asks for it.
fn request(settings: &[Setting], force: bool) -> (&'static str, Method, Value) {
    let amounts = |amounts: BTreeMap<String, Scalar>| -> Value {
        amounts.into_iter().map(|(name, amount)| (name, json!({ "value": amount.value }))).collect()
    };
    let (mut weights, mut quotas) = (Vec::new(), Vec::new());
    for setting in settings {
        match setting {
            Setting::Weight(role, weight) => weights.push(json!({ "role": role, "weight": weight })),
            Setting::Quota(role, quota) => {
                let (guarantees, limits) = (quota.guarantees.to_protos(), quota.limits.to_protos());
                let (guarantees, limits) = (amounts(guarantees), amounts(limits));
                quotas.push(json!({ "role": role, "guarantees": guarantees, "limits": limits }));
            }
        }
    }
    if quotas.is_empty() {
        return ("/weights", Method::PUT, Value::Array(weights));
    }
    ("/api/v1", Method::POST, update(force, quotas))
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
