//! A line of a recording.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What is to be done next.
#[derive(Debug, Clone)]
pub enum Step {
    /// A request that genuine Mesos answered.
    Pair(Pair),
    /// What the recording left out, or what makes the run independent of the machine's speed.
    Ours(Own),
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    /// The master.
    Master,
    /// The agent.
    Agent,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who is asked.
    pub node: Node,
    /// As it is sent.
    pub method: String,
    /// With the query.
    pub path: String,
    /// `Name: value` each; one without a value is not sent.
    pub headers: Vec<String>,
    /// What is sent after the headers.
    pub body: Vec<u8>,
    /// All bytes of a request that no client would make, instead of the above.
    pub raw: Option<String>,
}

/// An answer of genuine Mesos, with the request.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The group of the recording.
    pub group: String,
    /// The name within the group; the number is that of the recording, which has gaps.
    pub name: String,
    /// What was asked.
    pub request: Request,
    /// The status; 0 where upstream closed the connection without an answer.
    pub status: u16,
    /// `Name: value` each.
    pub headers: Vec<String>,
    /// What was answered.
    pub body: Vec<u8>,
    /// The body was prose, or was altered so that it cannot be read, and is not compared.
    pub left_out: bool,
    /// It acknowledges an update that does not come from us yet.
    pub no_update: bool,
}

/// A step of ours.
#[derive(Debug, Clone)]
pub struct Own {
    /// Why it is there.
    pub why: String,
    /// What it does.
    pub action: Action,
    /// Why it does not succeed yet.
    pub fails: Option<String>,
}

/// What the recording calls a stream that a step of ours opens.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The stream's id.
    pub stream: String,
    /// Of a scheduler's stream the framework's id.
    pub framework: Option<String>,
}

/// What a step of ours does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends a request, which must succeed. The stream that it opens, if any, is kept.
    Request(Request, Option<Kept>),
    /// Closes a stream.
    Close(String),
    /// Acknowledges the updates of a task up to this state.
    Acknowledge {
        /// The id of the task.
        task: String,
        /// The last state that is acknowledged.
        state: String,
    },
    /// Waits for an update, and leaves it unacknowledged.
    Await {
        /// The id of the task or operation.
        task: String,
        /// The state to wait for.
        state: String,
    },
    /// Takes all offers from the framework, until it asks for some by REVIVE.
    NoOffers,
    /// Lets the tasks end that wait for this name.
    LetGo(String),
    /// Asks until a value in the answer is as expected.
    Until {
        /// Who is asked.
        node: Node,
        /// What is asked (GET).
        path: String,
        /// Where in the answer (a JSON pointer).
        pointer: String,
        /// What is to be there.
        is: serde_json::Value,
    },
}

/// Text, or bytes in base64.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Bytes { base64: String },
}

impl Default for Content {
    fn default() -> Self {
        Content::Text(String::new())
    }
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        match self {
            Content::Text(text) => text.into_bytes(),
            Content::Bytes { base64 } => STANDARD.decode(base64).expect("the recording is valid base64"),
        }
    }
}

/// A line as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    ours: Option<String>,
    #[serde(default)]
    group: String,
    #[serde(default)]
    name: String,
    #[serde(default = "master")]
    node: Node,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    body: Content,
    raw: Option<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    response_headers: Vec<String>,
    #[serde(default)]
    response: Content,
    response_left_out: Option<String>,
    #[serde(default)]
    no_update: bool,
    // Of steps of ours.
    fails: Option<String>,
    keep: Option<String>,
    framework: Option<String>,
    close: Option<String>,
    acknowledge: Option<String>,
    #[serde(rename = "await")]
    awaited: Option<String>,
    state: Option<String>,
    let_go: Option<String>,
    #[serde(default)]
    no_offers: bool,
    until: Option<String>,
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    is: serde_json::Value,
}

fn master() -> Node {
    Node::Master
}

impl From<Line> for Step {
    fn from(line: Line) -> Self {
        let request = Request {
            node: line.node,
            method: line.method,
            path: line.path,
            headers: line.headers,
            body: line.body.bytes(),
            raw: line.raw,
        };
        let Some(why) = line.ours else {
            return Step::Pair(Pair {
                group: line.group,
                name: line.name,
                request,
                status: status_of(&line.status),
                headers: line.response_headers,
                body: line.response.bytes(),
                left_out: line.response_left_out.is_some(),
                no_update: line.no_update,
            });
        };
        let state = line.state.unwrap_or_default();
        let action = if let Some(stream) = line.close {
            Action::Close(stream)
        } else if let Some(task) = line.acknowledge {
            Action::Acknowledge { task, state }
        } else if let Some(task) = line.awaited {
            Action::Await { task, state }
        } else if line.no_offers {
            Action::NoOffers
        } else if let Some(name) = line.let_go {
            Action::LetGo(name)
        } else if let Some(path) = line.until {
            Action::Until { node: line.node, path, pointer: line.pointer, is: line.is }
        } else {
            let framework = line.framework;
            Action::Request(request, line.keep.map(|stream| Kept { stream, framework }))
        };
        Step::Ours(Own { why, action, fails: line.fails })
    }
}

/// `404` of `HTTP/1.1 404 Not Found`; 0 of nothing.
pub fn status_of(line: &str) -> u16 {
    line.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// The steps of a file.
///
/// # Panics
/// When the file is not there, or a line is none.
pub fn read(path: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(path).expect("the recording is in the repository");
    let parse = |(number, line): (usize, &str)| {
        let line: Line = serde_json::from_str(line)
            .map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))
            .expect("each line is a step");
        Step::from(line)
    };
    text.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> Step {
        serde_json::from_str::<Line>(text).unwrap().into()
    }

    #[test]
    fn a_line_is_a_pair_or_says_why_it_is_ours() {
        let Step::Pair(pair) = step(
            r#"{"group": "g", "name": "n", "node": "agent", "method": "GET", "path": "/x", "status": "HTTP/1.1 404 Not Found",
                "response": {"base64": "CAE="}}"#,
        ) else {
            panic!("a pair")
        };
        assert_eq!((pair.status, pair.body.as_slice(), pair.request.node), (404, &[8, 1][..], Node::Agent));
        let Step::Ours(own) = step(r#"{"ours": "because", "acknowledge": "t", "state": "TASK_RUNNING"}"#)
        else {
            panic!("a step of ours")
        };
        assert!(matches!(own.action, Action::Acknowledge { task, .. } if task == "t"));
    }

    #[test]
    fn an_answer_that_never_came_has_no_status() {
        assert_eq!(status_of(""), 0);
    }
}
