//! The operators of a simulated cluster, and how they ask whoever leads. This one sets quotas and weights while things
//! go wrong, and reserves disk, also within what is reserved, creates volumes, resizes and destroys them, its own and
//! those of frameworks, and tears frameworks down, by calls and by the older endpoints in turn; when everything is
//! mended it takes all quotas away, so that every framework can have what it waits for. The other one is the
//! [caretaker](super::caretaker).

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use allocator::Quota;
use libprocess::Node;
use libprocess::http::{ClientRequest, ClientResponse};
use mesos::v1::quota::QuotaConfig;
use mesos::v1::value::Scalar;
use mesos::{FrameworkId, MediaType, v1};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};

use super::cluster::Cluster;
use super::decisions::{Ask, Conversion, SCHEDULERS, Setting};
use super::invariant::Invariant;
use super::ledger::Thing;
use super::reserving;
use super::workload::{LIMITED_ROLES, Style};

/// Where it is.
const ADDRESS: ([u8; 4], u16) = ([10, 4, 0, 1], 7000);
/// How long an operator waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long something may be under way that was not answered.
pub(super) const UNDER_WAY: Duration = Duration::from_secs(5);
/// Instead of so many settings, a framework is torn down.
const TEARS_DOWN: u32 = 30;
/// A role that the masters do not know.
const STRANGER: &str = "stranger";
/// Instead of so many settings, one is asked for that is refused.
const REFUSED: u32 = 12;
/// How often to look whether one is back that was torn down.
const BURY: Duration = Duration::from_secs(10);
/// How long an operator waits before it asks again.
pub(super) const RETRY: Duration = Duration::from_secs(2);

/// Works until the end. The quotas are taken away when everything is mended.
///
/// # Errors
/// If its node does not start.
pub async fn run(cluster: Rc<Cluster>, seed: u64) -> Result<(), String> {
    let address = SocketAddr::from(ADDRESS);
    let node = cluster.network.node(address, "op").start().await.map_err(|error| error.to_string())?;
    let mut random = SmallRng::seed_from_u64(seed);
    while !cluster.is_healing() {
        sleep(Duration::from_millis(random.random_range(4_000..24_000))).await;
        if random.random_range(0..3) == 0 {
            reserve(&cluster, &node, &mut random).await;
            continue;
        }
        if random.random_range(0..REFUSED) == 0 {
            ask_for_a_stranger(&cluster, &node, &mut random).await;
        }
        if random.random_range(0..TEARS_DOWN) == 0 {
            tear_down(&cluster, &node, &mut random).await;
        }
        let (settings, ask) = draw(&mut random, cluster.agents().len());
        if decide(&cluster, &node, &settings, ask).await.is_some_and(|status| status == 200) {
            let is_quota = matches!(settings[..], [Setting::Quota(..), ..]);
            cluster.truth.count(if is_quota { "quotas" } else { "weights" });
        }
    }
    // What it has asked before and was not answered may still be under way.
    sleep(UNDER_WAY).await;
    let none = LIMITED_ROLES.map(|role| (role.to_owned(), Quota::default()));
    while send(&cluster, &node, &Ask::quotas(true, &none)).await.is_none_or(|answer| answer.status != 200) {
        sleep(RETRY).await;
    }
    cluster.network.note("the operator has taken all quotas away");
    cluster.set_quotas_reset();
    bury(&cluster, &node, &mut random).await
}

/// TEARDOWN of a framework. Not of one with a driver, which nobody tells of it: it would wait for ever.
async fn tear_down(cluster: &Cluster, node: &Node, random: &mut SmallRng) {
    let ids = cluster.books().enumerate().filter(|(number, _)| !Style::of(*number).driver);
    let ids: Vec<FrameworkId> = ids.filter_map(|(_, (book, _))| book.lock().framework.clone()).collect();
    let Some(id) = ids.choose(random) else { return };
    cluster.truth.tears_down(id);
    let answer = send(cluster, node, &Ask::teardown(id, random.random())).await;
    cluster.truth.count(match answer.map(|answer| answer.status.as_u16()) {
        Some(200) => "frameworks torn down by the operator",
        _ => "frameworks that the operator may not have torn down",
    });
}

/// A leader knows only of those who were torn down while it led: the tasks of others, on agents that come back to it, bring
/// a framework back of which there is no scheduler.
async fn bury(cluster: &Cluster, node: &Node, random: &mut SmallRng) -> Result<(), String> {
    loop {
        for id in cluster.truth.torn() {
            let answer = send(cluster, node, &Ask::teardown(&id, random.random())).await;
            if answer.is_some_and(|answer| answer.status == 200) {
                cluster.truth.count("frameworks torn down again");
            }
        }
        sleep(BURY).await;
    }
}

/// Asks for what concerns a role that no `--roles` names, which everybody is refused who leads.
async fn ask_for_a_stranger(cluster: &Cluster, node: &Node, random: &mut SmallRng) {
    let (agents, is_call) = (cluster.agents().len(), random.random());
    let ask = match random.random_range(0..4) {
        0 => Ask::weight(STRANGER, 2.0, is_call),
        1 => Ask::set_quota(STRANGER, &draw_older_quota(random, agents), is_call),
        2 => Ask::quotas(true, &[(STRANGER.to_owned(), draw_quota(random, STRANGER, agents))]),
        _ => Ask::subscription(STRANGER),
    };
    let answer = request(node, cluster.leading_address(), &ask, MediaType::Json).await;
    let Some(mut answer) = answer else { return };
    let is_done = if ask.path == SCHEDULERS {
        // The first event says it.
        let mut events = String::new();
        while let Ok(Ok(Some(chunk))) = timeout(PATIENCE, answer.chunk()).await {
            events += &String::from_utf8_lossy(&chunk);
            if events.contains("SUBSCRIBED") {
                break;
            }
        }
        events.contains("SUBSCRIBED")
    } else {
        answer.status.is_success()
    };
    if is_done {
        let text = format!("{} did something for the role {STRANGER}, which is not listed", ask.path);
        cluster.truth.violation(Invariant::NothingPanics, text);
    }
    cluster.truth.count("requests for a role that is not listed");
}

/// Asks for something, and notes what is known of it then. The status of the leader's answer, if it answered.
pub(super) async fn decide(cluster: &Cluster, node: &Node, settings: &[Setting], ask: Ask) -> Option<u16> {
    cluster.registry.told(|told| settings.iter().cloned().for_each(|setting| told.asked(setting)));
    let status = send(cluster, node, &ask).await.map(|answer| answer.status.as_u16());
    let done = status == Some(200);
    if done || matches!(status, Some(400..500)) {
        cluster.registry.told(|told| settings.iter().for_each(|setting| told.answered(setting, done)));
    }
    if done {
        cluster.network.note(format!("an operator has set {settings:?}"));
    }
    status
}

/// What it asks for next: mostly a quota, sometimes a weight, sometimes the quotas of all roles at once (which are more
/// than one transaction of the registry holds); now and then in the older form.
fn draw(random: &mut SmallRng, agents: usize) -> (Vec<Setting>, Ask) {
    let role = LIMITED_ROLES.choose(random).copied().unwrap_or_default();
    let quotas = match random.random_range(0..8) {
        0 => {
            let weight = f64::from(random.random_range(1..=4));
            let ask = Ask::weight(role, weight, random.random());
            return (vec![Setting::Weight(role.to_owned(), weight)], ask);
        }
        1 => {
            let quota = draw_older_quota(random, agents);
            let ask = Ask::set_quota(role, &quota, random.random());
            return (vec![Setting::Quota(role.to_owned(), quota)], ask);
        }
        2 => {
            let ask = Ask::remove_quota(role, random.random());
            return (vec![Setting::Quota(role.to_owned(), Quota::default())], ask);
        }
        3 | 4 => {
            LIMITED_ROLES.iter().map(|role| ((*role).to_owned(), draw_quota(random, role, agents))).collect()
        }
        _ => vec![(role.to_owned(), draw_quota(random, role, agents))],
    };
    let ask = Ask::quotas(random.random(), &quotas);
    (quotas.into_iter().map(|(role, quota)| Setting::Quota(role, quota)).collect(), ask)
}

/// Reserves something, or makes something else of what somebody has reserved.
async fn reserve(cluster: &Cluster, node: &Node, random: &mut SmallRng) {
    let things = cluster.ledger.things();
    let (kind, agent, resource) = match things.choose(random).filter(|_| random.random_range(0..3) > 0) {
        Some((name, thing)) if reserving::volume_id(&thing.resource).is_some() => {
            if random.random() {
                return resize(cluster, node, random, name, thing).await;
            }
            cluster.ledger.asks_for_end_of(name);
            (Conversion::Destroy, thing.agent.clone(), thing.resource.clone())
        }
        Some((name, thing)) if random.random_range(0..4) == 0 => {
            return rename(cluster, node, random, name, thing).await;
        }
        Some((_, thing)) if random.random() && below(&thing.resource).is_some() => {
            return refine(cluster, node, random, thing).await;
        }
        Some((name, thing)) if random.random() => {
            cluster.ledger.asks_for_end_of(name);
            (Conversion::Unreserve, thing.agent.clone(), thing.resource.clone())
        }
        Some((name, thing)) => {
            let id = format!("v-{name}.{}", random.random_range(0..1_000_000));
            let volume = reserving::volume_on(&thing.resource, &id);
            cluster.ledger.asks_for(&id, &volume, &thing.host, &thing.agent);
            (Conversion::Create, thing.agent.clone(), volume)
        }
        None => {
            let mut known = Vec::new();
            cluster.registry.told(|told| {
                known.extend(told.agents().filter_map(|id| Some((id.clone(), told.host_of(id)?.to_owned()))));
            });
            let Some((agent, host)) = known.choose(random) else { return };
            let role = LIMITED_ROLES.choose(random).copied().unwrap_or_default();
            let name = format!("rop.{}", random.random_range(0..1_000_000));
            let disk = reserving::reserved(&reserving::disk(), role, &name);
            cluster.ledger.asks_for(&name, &disk, host, &agent.to_proto());
            (Conversion::Reserve, agent.to_proto(), disk)
        }
    };
    let ask = Ask::conversion(kind, &agent, &resource, random.random());
    let answer = send(cluster, node, &ask).await;
    cluster.truth.count(match answer.map(|answer| answer.status.as_u16()) {
        Some(202) => "conversions by the operator",
        _ => "conversions that the operator may not have made",
    });
}

/// The role below that of a reservation in which there are frameworks.
fn below(disk: &v1::Resource) -> Option<&'static str> {
    match reserving::reserved_for(disk)? {
        "a" => Some("a/x"),
        "b" => Some("b/y"),
        _ => None,
    }
}

/// Reserves part of a reservation for a role below it.
async fn refine(cluster: &Cluster, node: &Node, random: &mut SmallRng, thing: &Thing) {
    let Some(role) = below(&thing.resource) else { return };
    let name = format!("rop.{}", random.random_range(0..1_000_000));
    let refined = reserving::reserved(&thing.resource, role, &name);
    cluster.ledger.asks_for(&name, &refined, &thing.host, &thing.agent);
    let ask = Ask::conversion(Conversion::Reserve, &thing.agent, &refined, random.random());
    let answer = send(cluster, node, &ask).await;
    cluster.truth.count(match answer.map(|answer| answer.status.as_u16()) {
        Some(202) => "reservations refined by the operator",
        _ => "reservations that the operator may not have refined",
    });
}

/// Gives a reservation another name.
async fn rename(cluster: &Cluster, node: &Node, random: &mut SmallRng, name: &str, thing: &Thing) {
    let new = format!("rop.{}", random.random_range(0..1_000_000));
    let renamed = reserving::renamed(&thing.resource, &new);
    cluster.ledger.asks_for_end_of(name);
    cluster.ledger.asks_for(&new, &renamed, &thing.host, &thing.agent);
    let ask = Ask::rename(&thing.agent, &thing.resource, &renamed, random.random());
    let answer = send(cluster, node, &ask).await;
    cluster.truth.count(match answer.map(|answer| answer.status.as_u16()) {
        Some(202) => "reservations changed by the operator",
        _ => "reservations that the operator may not have changed",
    });
}

/// Makes a volume larger or smaller.
async fn resize(cluster: &Cluster, node: &Node, random: &mut SmallRng, name: &str, thing: &Thing) {
    let (addition, resized) = reserving::resized(&thing.resource, random);
    let ask = Ask::resize(&thing.agent, &thing.resource, addition.as_ref());
    let answer = send(cluster, node, &ask).await;
    cluster.truth.count(match answer.map(|answer| answer.status.as_u16()) {
        Some(202) => {
            cluster.ledger.is_now(name, resized);
            "volumes resized by the operator"
        }
        _ => "volumes that the operator may not have resized",
    });
}

/// Up to so much, in quarters.
fn part(random: &mut SmallRng, of: f64) -> Scalar {
    Scalar { value: (random.random_range(0.0..of) * 4.0).round() / 4.0 }
}

fn draw_quota(random: &mut SmallRng, role: &str, agents: usize) -> Quota {
    // A quarter of the cluster at most is guaranteed, and half of it is the limit.
    let most = f64::from(u32::try_from(agents).unwrap_or(u32::MAX));
    let (guarantee, limit) = (part(random, most), part(random, 2.0 * most));
    let memory = part(random, 2048.0 * most);
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
    Quota::from(&QuotaConfig { role: role.to_owned(), guarantees, limits })
}

/// What is guaranteed is the limit, too.
fn draw_older_quota(random: &mut SmallRng, agents: usize) -> Quota {
    let most = f64::from(u32::try_from(agents).unwrap_or(u32::MAX));
    let cpus = Scalar { value: part(random, most).value + 0.25 };
    let amounts = std::collections::BTreeMap::from([("cpus".to_owned(), cpus)]);
    Quota::from(&QuotaConfig { role: String::new(), guarantees: amounts.clone(), limits: amounts })
}

/// The leader's answer, if it answers. Calls are in either form.
pub(super) async fn send(cluster: &Cluster, node: &Node, ask: &Ask) -> Option<ClientResponse> {
    let ask = ask.clone();
    let ask = if cluster.random.borrow_mut().random() { ask.in_protobuf() } else { ask };
    let answer = request(node, cluster.leading_address(), &ask, MediaType::Json).await?;
    if answer.status.is_success() && !ask.is_call() {
        cluster.truth.count("older endpoints asked");
    }
    Some(answer)
}

/// The answer of this master in this form, if it answers.
pub(super) async fn request(
    node: &Node,
    master: SocketAddr,
    ask: &Ask,
    accepted: MediaType,
) -> Option<ClientResponse> {
    let request = ClientRequest::new(ask.method.clone(), format!("http://{master}{}", ask.path))
        .header("Content-Type", ask.content)
        .header("Accept", accepted.as_str())
        .timeout(PATIENCE)
        .body(ask.body.clone());
    node.client().send(request).await.ok()
}
