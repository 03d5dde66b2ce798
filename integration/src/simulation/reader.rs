//! An operator who reads: now and then it asks some master for one of the things that there are to be read, by a call in
//! either form or at an older endpoint. Who leads must answer, and nobody else must answer calls; what is answered must be
//! readable, and must agree with [itself](super::readings).
//!
//! Metrics are not asked for: some tell of the machine that the simulation runs on, and a seed's trace would not be the
//! same again.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use libprocess::http::ClientResponse;
use master::TakeSnapshot;
use mesos::v1::master::Response;
use mesos::{Enum, MediaType, codec};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster::{Cluster, RunningMaster};
use super::decisions::Ask;
use super::invariant::Invariant;
use super::operator::request;
use super::readings::Reading;

/// Where it is.
const ADDRESS: ([u8; 4], u16) = ([10, 4, 0, 4], 7000);
/// How long until it asks again, in milliseconds. Reading all of a cluster is the most expensive thing in a simulation.
const PAUSE: std::ops::Range<u64> = 10_000..40_000;
/// The largest answer that it reads, in bytes.
const LARGEST: usize = 1 << 24;

/// The calls that change nothing of the cluster.
const CALLS: [&str; 19] = [
    "GET_HEALTH",
    "GET_FLAGS",
    "GET_VERSION",
    "GET_LOGGING_LEVEL",
    "GET_STATE",
    "GET_AGENTS",
    "GET_FRAMEWORKS",
    "GET_EXECUTORS",
    "GET_OPERATIONS",
    "GET_TASKS",
    "GET_ROLES",
    "GET_WEIGHTS",
    "GET_MASTER",
    "GET_MAINTENANCE_STATUS",
    "GET_MAINTENANCE_SCHEDULE",
    "GET_QUOTA",
    "LIST_FILES",
    "READ_FILE",
    "SET_LOGGING_LEVEL",
];

/// The older endpoints that change nothing, and answer in JSON.
const ENDPOINTS: [&str; 21] = [
    "/master/state",
    "/master/state-summary",
    "/master/slaves",
    "/master/slaves?slave_id={agent}",
    "/master/frameworks",
    "/master/frameworks?framework_id={framework}",
    "/master/tasks",
    "/master/tasks?limit=7&offset=3&order=asc&framework_id={framework}",
    "/master/roles",
    "/master/quota",
    "/master/weights",
    "/master/maintenance/schedule",
    "/master/maintenance/status",
    "/master/allocator/explain?framework={framework}",
    "/master/allocator/offer_constraints_debug",
    "/master/flags",
    "/version",
    "/registrar(1)/registry",
    "/files/browse?path=/master/log",
    "/files/read?path=/master/log&offset=0&length=100",
    "/files/debug",
];

/// Those that say something by their status alone.
const SIGNS: [&str; 3] = ["/master/health", "/master/redirect", "/files/download?path=/master/log"];

/// The end of the one that is no script in any case, as upstream's.
const NO_SCRIPT: &str = "_debug";
/// What browsers call that ask for scripts.
const CALLBACK: &str = "show";

/// What it asks.
enum Question {
    /// A call, and the form in which it wants the answer.
    Call(&'static str, MediaType),
    /// An endpoint, with the query, and whether it is to be answered as a script.
    Endpoint(String, bool),
    /// An endpoint without an answer to read.
    Sign(&'static str),
}

/// Reads until the end.
///
/// # Errors
/// If its node does not start.
pub async fn run(cluster: Rc<Cluster>, seed: u64) -> Result<(), String> {
    let address = SocketAddr::from(ADDRESS);
    let node = cluster.network.node(address, "eye").start().await.map_err(|error| error.to_string())?;
    let mut random = SmallRng::seed_from_u64(seed);
    loop {
        sleep(Duration::from_millis(random.random_range(PAUSE))).await;
        let question = Question::draw(&cluster, &mut random);
        let masters = cluster.master_addresses();
        let any = masters.choose(&mut random).copied().filter(|_| random.random_range(0..4) == 0);
        let master = any.unwrap_or_else(|| cluster.leading_address());
        let asked = running_at(&cluster, master).map(|asked| asked.life);
        let Some(answer) = request(&node, master, &question.ask(), question.media()).await else { continue };
        let is_answered = answer.status == 200 && matches!(question, Question::Call(..));
        if is_answered && is_standby(&cluster, master, asked).await {
            let text = format!("{master} answers {question}, and does not lead");
            cluster.truth.violation(Invariant::ReadsAgree, text);
        }
        match question.read(answer).await {
            Ok(what) => cluster.truth.count(what),
            Err(wrong) => {
                let text = format!("{master} answers {question}: {wrong}");
                cluster.truth.violation(Invariant::ReadsAgree, text);
            }
        }
    }
}

/// The master that runs at this address.
fn running_at(cluster: &Cluster, address: SocketAddr) -> Option<RunningMaster> {
    cluster.masters().into_iter().find(|running| running.address == address)
}

/// Whether the master that was asked at this address, in this life, still runs and was not elected so far. Such a one answers
/// no calls. What a leader has answered may come when it has ended and the next one runs in its place.
async fn is_standby(cluster: &Cluster, address: SocketAddr, asked: Option<u64>) -> bool {
    let Some(running) = running_at(cluster, address).filter(|running| Some(running.life) == asked) else {
        return false;
    };
    running.master.ask(TakeSnapshot).await.is_ok_and(|snapshot| snapshot.master.elected.is_none())
}

impl Question {
    fn draw(cluster: &Cluster, random: &mut SmallRng) -> Question {
        if random.random_range(0..12) == 0 {
            return Question::Sign(SIGNS.choose(random).copied().unwrap_or_default());
        }
        if random.random() {
            let media = if random.random() { MediaType::Json } else { MediaType::Protobuf };
            return Question::Call(CALLS.choose(random).copied().unwrap_or_default(), media);
        }
        let mut agents = Vec::new();
        cluster.registry.told(|told| agents.extend(told.agents().map(ToString::to_string)));
        let frameworks = cluster.books().filter_map(|(book, _)| book.lock().framework.clone());
        let frameworks: Vec<String> = frameworks.map(|id| id.to_string()).collect();
        let any = |ids: &[String], random: &mut SmallRng| ids.choose(random).cloned().unwrap_or_default();
        let (agent, framework) = (any(&agents, random), any(&frameworks, random));
        let path = ENDPOINTS.choose(random).copied().unwrap_or_default();
        let path = path.replace("{agent}", &agent).replace("{framework}", &framework);
        let is_script = !path.ends_with(NO_SCRIPT) && random.random_range(0..4) == 0;
        Question::Endpoint(path, is_script)
    }

    fn ask(&self) -> Ask {
        match self {
            Question::Call(kind @ "LIST_FILES", _) => {
                Ask::call(json!({ "type": kind, "list_files": { "path": "/master" } }))
            }
            Question::Call(kind @ "READ_FILE", _) => Ask::call(
                json!({ "type": kind, "read_file": { "path": "/master/log", "offset": 0, "length": 100 } }),
            ),
            Question::Call(kind @ "SET_LOGGING_LEVEL", _) => {
                let duration = json!({ "nanoseconds": 5_000_000_000_u64 });
                Ask::call(json!({ "type": kind, "set_logging_level": { "level": 1, "duration": duration } }))
            }
            Question::Call(kind, _) => Ask::call(json!({ "type": kind })),
            Question::Endpoint(path, false) => Ask::bare(Method::GET, path.clone()),
            Question::Endpoint(path, true) => {
                let and = if path.contains('?') { '&' } else { '?' };
                Ask::bare(Method::GET, format!("{path}{and}jsonp={CALLBACK}"))
            }
            Question::Sign(path) => Ask::bare(Method::GET, *path),
        }
    }

    /// In which form it is answered.
    fn media(&self) -> MediaType {
        match self {
            Question::Call(_, media) => *media,
            Question::Endpoint(..) | Question::Sign(_) => MediaType::Json,
        }
    }

    /// How an answer is to say what it is.
    fn content(&self) -> &'static str {
        match self {
            Question::Endpoint(_, true) => "text/javascript",
            _ => self.media().as_str(),
        }
    }

    /// The framework that it asks to be explained may not be known, or not any more; and simulated masters write no files.
    fn may_be_of_nobody(&self) -> bool {
        match self {
            Question::Endpoint(path, _) => path.contains("/explain") || path.contains("/master/log"),
            Question::Call(kind, _) => matches!(*kind, "LIST_FILES" | "READ_FILE"),
            Question::Sign(path) => path.contains("/master/log"),
        }
    }

    /// All processes of a simulation share one log.
    fn may_be_fixed(&self) -> bool {
        matches!(self, Question::Call("SET_LOGGING_LEVEL", _))
    }

    /// What an answer is to be counted as.
    ///
    /// # Errors
    /// What is wrong with it. That it breaks off is not.
    async fn read(&self, answer: ClientResponse) -> Result<&'static str, String> {
        match answer.status.as_u16() {
            200 => {}
            307 if answer.header("Location").is_some_and(|to| to.starts_with("//")) => {
                return Ok("reads that were led on");
            }
            404 if self.may_be_of_nobody() => return Ok("reads of what is not there"),
            501 if self.may_be_fixed() => return Ok("logging levels that stay as they are"),
            503 => return Ok("reads that came too early"),
            other => {
                let text = answer.text(LARGEST).await.unwrap_or_default();
                return Err(format!("{other} {text}"));
            }
        }
        if let Question::Sign(path) = self {
            return match answer.bytes(LARGEST).await {
                Ok(body) if !body.is_empty() => Err(format!("something: {} bytes", body.len())),
                _ if *path == "/master/health" => Ok("signs of life"),
                _ => Err("although there is nothing to be read".to_owned()),
            };
        }
        let (content, wanted) = (answer.header("Content-Type").map(str::to_owned), self.content());
        if content.as_deref() != Some(wanted) {
            return Err(format!("in the form {content:?}, asked for was {wanted}"));
        }
        let Ok(body) = answer.bytes(LARGEST).await else { return Ok("reads that broke off") };
        let reading = match self {
            Question::Call(kind, media) => {
                let response: Response = codec::decode(*media, &body).map_err(|error| error.to_string())?;
                if response.r#type().name() != *kind {
                    return Err(format!("with {}", response.r#type().name()));
                }
                Reading::of_call(response)
            }
            Question::Endpoint(_, is_script) => {
                let body = if *is_script { argument_of(&body)? } else { &body };
                let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
                Reading::of_endpoint(&answer)
            }
            Question::Sign(_) => Reading::default(),
        };
        reading.contradiction().map_or(Ok("reads"), Err)
    }
}

/// What a script calls [`CALLBACK`] with.
fn argument_of(script: &[u8]) -> Result<&[u8], String> {
    let call = script.strip_prefix(CALLBACK.as_bytes()).and_then(|call| call.strip_prefix(b"("));
    call.and_then(|call| call.strip_suffix(b")"))
        .ok_or_else(|| "without the call that was asked for".to_owned())
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Question::Call(kind, media) => write!(f, "{kind} as {}", media.as_str()),
            Question::Endpoint(path, false) => f.write_str(path),
            Question::Endpoint(path, true) => write!(f, "{path} as a script"),
            Question::Sign(path) => f.write_str(path),
        }
    }
}
