//! `mesos explain FRAMEWORK`: why a framework gets no offers (not in upstream).
//!
//! Asks the leading master (`/allocator/explain`), and puts the answer into words (`words.rs`).

mod words;

use std::process::ExitCode;
use std::time::Duration;

use election::{Detector, LeaderChanged, MasterUrl, WatchLeader, info};
use libprocess::http::ClientRequest;
use libprocess::{Context, Handle, Node, Pid, Process, Promise, promise};
use mesos::text::printable;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::run::{Masters, master};
use super::{client_node, run};
use crate::output::print;
use crate::settings::{Call, Failure};
use crate::{logging, signals};

const COMMAND: &str = "explain";
const USAGE: &str = "mesos explain FRAMEWORK [--role=ROLE] [--master=HOST:PORT]";
/// How long a leading master is looked for.
const SEARCH: Duration = Duration::from_secs(10);
/// How long the master may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// From a master to the leading one, and one more if that has changed meanwhile.
const REDIRECTS: u8 = 2;
/// How many agents the master lists at most.
const MOST_AGENTS: u32 = 10_000;
/// The largest answer that is read.
const LARGEST: usize = 64 * 1024 * 1024;

mesos::settings! {
    /// What to explain.
    struct Settings for "mesos explain FRAMEWORK" {
        "What to explain, and who knows (FRAMEWORK, the first word, is an id or a name)" {
            /// One of the framework's roles; all of them if it is not given.
            role: Option<String>,
            /// Where the masters are: host:port, zk://host1:port1,host2:port2/path,
            /// etcd[s]://host1:port1,host2:port2/path, or file:///path.
            master: Masters = Masters("127.0.0.1:5050".to_owned()),
        }
        "How to tell it" {
            /// How many agents to list one by one, for each role; at most 10000, and 500 without --role.
            agents: u32 = 0,
            /// Print the master's answer, which has all figures, as JSON.
            json: bool = false,
        }
    }
}

/// Asks and prints.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let named = call.words.first().is_some_and(|word| !word.starts_with('-'));
    let (framework, call) = if named { call.next_word() } else { (None, call) };
    // A name that comes after the settings is taken for one of them.
    let loaded = call.load::<Settings>(COMMAND, &[]);
    let settings = match loaded.map_err(|failure| if named { failure } else { failure.hint(USAGE) })? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    let Some(framework) = framework else {
        return Err(Failure::of(COMMAND, format!("which framework? ({USAGE})")));
    };
    if settings.agents > MOST_AGENTS {
        let told = settings.agents;
        return Err(Failure::of(COMMAND, format!("bad --agents '{told}': at most {MOST_AGENTS} are listed")));
    }
    let url = master(COMMAND, &settings.master)?;
    logging::start_tool("WARNING");
    run(async {
        let node = client_node(COMMAND, &call.environment).await?;
        let result = tokio::select! {
            biased;
            answer = ask(&node, url, &framework, &settings) => answer.and_then(|body| show(&body, &settings)),
            () = signals::interrupted() => Err(Failure::of(COMMAND, "interrupted")),
        };
        node.shutdown().await;
        result
    })
}

/// The master's answer.
async fn ask(node: &Node, url: MasterUrl, framework: &str, settings: &Settings) -> Result<String, Failure> {
    let address = leader(node, url).await?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut url = format!(
        "{}://{address}/master/allocator/explain?framework={}&limit={}",
        node.scheme(),
        encoded(framework),
        settings.agents
    );
    if let Some(role) = &settings.role {
        url.push_str(&format!("&role={}", encoded(role)));
    }
    let failed = |error: &dyn std::fmt::Display| Failure::of(COMMAND, error);
    let request = ClientRequest::get(url).timeout(PATIENCE).follow_redirects(REDIRECTS);
    let response = node.client().send(request).await.map_err(|error| failed(&error))?;
    let status = response.status;
    let body = response.text(LARGEST).await.map_err(|error| failed(&error))?;
    match status.as_u16() {
        200 => Ok(body),
        // What the master says of a question that it cannot answer is made to be read.
        400 | 404 if !body.starts_with("404 Not Found") => Err(failed(&body.trim_end())),
        404 => Err(failed(&format!("the master at {address} does not explain: it is none of mesos-rs"))),
        _ => Err(failed(&format!("the master at {address} answered {status}: {body}"))),
    }
}

/// `host:port` of a master that leads or knows who does.
async fn leader(node: &Node, url: MasterUrl) -> Result<String, Failure> {
    if let MasterUrl::Standalone(address) = url {
        return Ok(address.rsplit_once('@').map_or(address.clone(), |(_, address)| address.to_owned()));
    }
    let place = url.to_string();
    let (found, answer) = promise();
    let watcher = node.spawn_numbered(Watcher { found: Some(found) });
    let detector = node.spawn_numbered(Detector::new(url));
    detector.tell(WatchLeader(watcher.recipient()));
    match tokio::time::timeout(SEARCH, answer).await {
        Ok(Ok(address)) => Ok(address),
        _ => Err(Failure::of(COMMAND, format!("no leading master was found at {place} within {SEARCH:?}"))),
    }
}

/// Waits for the first leader.
struct Watcher {
    found: Option<Promise<String>>,
}

impl Process for Watcher {
    const NAME: &'static str = "watcher";
}

impl Handle<LeaderChanged> for Watcher {
    fn handle(&mut self, LeaderChanged { leader, .. }: LeaderChanged, _: &Pid, _: &mut Context<Self>) {
        if let Some(address) = leader.as_ref().and_then(info::address)
            && let Some(found) = self.found.take()
        {
            found.set(address.to_string());
        }
    }
}

fn show(body: &str, settings: &Settings) -> Result<ExitCode, Failure> {
    let unreadable = |error| Failure::of(COMMAND, format!("the master's answer cannot be read: {error}"));
    let answer: Value = serde_json::from_str(body).map_err(unreadable)?;
    let text = if settings.json {
        format!("{answer:#}")
    } else {
        words::of(&serde_json::from_value(shown(answer)).map_err(unreadable)?)
    };
    print(&text).map_err(|error| Failure::of(COMMAND, format!("standard output: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

/// An answer with its texts as they may be shown: frameworks and agents choose their names themselves.
fn shown(answer: Value) -> Value {
    match answer {
        Value::String(text) => printable(&text).into(),
        Value::Array(values) => values.into_iter().map(shown).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(name, value)| (printable(&name).into_owned(), shown(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_cannot_command_the_terminal() {
        let names = json!({ "m-0001": "batch\x1b[2J\n  0 of 9 agents" });
        let answer = json!({ "framework_id": "m-0001", "roles": [], "more_roles": 0, "names": names });
        assert_eq!(
            words::of(&serde_json::from_value(shown(answer)).unwrap()),
            r"Framework 'batch\u{1b}[2J\n  0 of 9 agents' (m-0001): no offers, because it subscribes to no role"
        );
    }
}
