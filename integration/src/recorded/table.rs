//! `docs/compatibility.md`: what genuine Mesos answers to each call and at each endpoint, and where we differ.
//!
//! It is made of the recording and of the list of differences, which a test holds against our daemons.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use mesos::{Enum, Message, codec, v1};
use serde_json::Value;

use super::compare::{api, meaning_of, recorded_header};
use super::differences::{Difference, Differences};
use super::shape::Shape;
use super::step::{Node, Pair};
use super::stream::Api;

const BEGINNING: &str = "\
# What Mesos answers, and what we answer

Genuine Apache Mesos (its last commit, which calls itself 1.12.0; for `successes` and a scheduler's `TEARDOWN` 1.11.0) was
asked what stands below; its answers are in `integration/recorded`. A test (`integration/tests/recorded.rs`) asks our
master and our agent the same, in the same order, and compares status, headers, the words of each error, and the keys and
types of each JSON or protobuf body; of a stream those of every event, and the order of the events, as far as it does not
depend on time (`integration/src/recorded/events.rs` says how far). What differs is listed in
`integration/recorded/differences.tsv`, and nothing else may differ. This file is made of the two:
`UPDATE_DOCS=1 cargo test -p integration --test processes recorded` writes it anew.

- *Answers*: status and content type of Mesos's answers, and headers that only some have. *Keys*: those at the top of the
  body. *Texts*: what errors say.
- *Ours*: *same*, or how many of the recorded answers differ, and why: *on purpose*, or *pending*.
- Texts have the recording's ids, addresses and ports in them. Which flags `flags` shows is told in
  [differences.md](differences.md).
";

/// The sections, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    MasterEndpoints,
    SchedulerApi,
    MasterApi,
    AgentEndpoints,
    ExecutorApi,
    AgentApi,
    Raw,
    Crashes,
}

impl Section {
    fn title(self) -> &'static str {
        match self {
            Section::MasterEndpoints => "The master's endpoints",
            Section::SchedulerApi => "The scheduler API (`POST /api/v1/scheduler`)",
            Section::MasterApi => "The master's operator API (`POST /api/v1`)",
            Section::AgentEndpoints => "The agent's endpoints",
            Section::ExecutorApi => "The executor API (`POST /api/v1/executor`)",
            Section::AgentApi => "The agent's operator API (`POST /api/v1`)",
            Section::Raw => "Requests that no client makes",
            Section::Crashes => "Requests at which Mesos aborts",
        }
    }

    fn of(pair: &Pair) -> Self {
        if pair.group == "crashes" {
            return Section::Crashes;
        }
        if pair.request.raw.is_some() {
            return Section::Raw;
        }
        match (api(pair), pair.request.node) {
            (Some(Api::Scheduler), _) => Section::SchedulerApi,
            (Some(Api::Executor), _) => Section::ExecutorApi,
            (Some(Api::Master), _) => Section::MasterApi,
            (Some(Api::Agent), _) => Section::AgentApi,
            (None, Node::Master) => Section::MasterEndpoints,
            (None, Node::Agent) => Section::AgentEndpoints,
        }
    }
}

/// What is asked: a call, or a path.
fn subject(pair: &Pair) -> String {
    if pair.group == "crashes" || pair.request.raw.is_some() {
        let name = pair.name.split_once('-').map_or(pair.name.as_str(), |(_, name)| name);
        return name.trim_start_matches("raw-").to_owned();
    }
    match api(pair) {
        Some(api) => call(pair, api).unwrap_or_else(|| "any, or none that is known".to_owned()),
        None => format!("`{}`", path(pair)),
    }
}

/// The type of a call that is one.
fn call(pair: &Pair, api: Api) -> Option<String> {
    let name = match api {
        Api::Scheduler => {
            named::<v1::scheduler::Call, v1::scheduler::call::Type>(pair, |call| call.r#type?.try_into().ok())
        }
        Api::Executor => {
            named::<v1::executor::Call, v1::executor::call::Type>(pair, |call| call.r#type?.try_into().ok())
        }
        Api::Master => {
            named::<v1::master::Call, v1::master::call::Type>(pair, |call| call.r#type?.try_into().ok())
        }
        Api::Agent => {
            named::<v1::agent::Call, v1::agent::call::Type>(pair, |call| call.r#type?.try_into().ok())
        }
    }?;
    (name != "UNKNOWN").then(|| format!("`{name}`"))
}

/// In JSON the name is taken as it stands there, since what is around it may be wrong.
fn named<C: Message, T: Enum>(pair: &Pair, of: impl Fn(&C) -> Option<T>) -> Option<&'static str> {
    let body = &pair.request.body;
    let found = match serde_json::from_slice::<Value>(body) {
        Ok(json) => T::from_name(json["type"].as_str()?)?,
        Err(_) => of(&codec::decode(mesos::MediaType::Protobuf, body).ok()?)?,
    };
    Some(found.name())
}

/// The path without its query, and without the actor's id before it.
fn path(pair: &Pair) -> String {
    let path = pair.request.path.split('?').next().unwrap_or_default().replace("//", "/");
    let short = path.strip_prefix("/master/").or_else(|| path.strip_prefix("/slave(1)/"));
    let path = short.map_or(path.clone(), |short| format!("/{short}"));
    let short = path.trim_end_matches('/');
    if short.is_empty() { "/".to_owned() } else { short.to_owned() }
}

/// What is said of a call or a path.
#[derive(Debug, Default)]
struct Row {
    pairs: usize,
    methods: BTreeSet<String>,
    /// Status, content type, and other headers.
    answers: BTreeSet<(u16, String, Vec<String>)>,
    keys: BTreeSet<String>,
    texts: BTreeSet<String>,
    /// Kind and reason, and how many pairs differ for it.
    differences: BTreeMap<(String, String), usize>,
}

/// The headers of an answer that tell more than how its body is sent. Of one that is another each time, the name.
fn telling_headers(pair: &Pair) -> Vec<String> {
    const PLAIN: [&str; 3] = ["Content-Type", "Content-Length", "Transfer-Encoding"];
    let mut telling: Vec<String> = pair
        .headers
        .iter()
        .map(|header| match header.split_once(':') {
            Some((name, _)) if name.eq_ignore_ascii_case("Mesos-Stream-Id") => name,
            _ => header,
        })
        .filter(|header| {
            let name = header.split(':').next().unwrap_or_default();
            !PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(name))
        })
        .map(str::to_owned)
        .collect();
    telling.sort();
    telling
}

/// More keys than these are counted.
const SHOWN_KEYS: usize = 40;

impl Row {
    fn add(&mut self, pair: &Pair, differs: Option<&Difference>) {
        self.pairs += 1;
        self.methods.insert(pair.request.method.clone());
        let content_type = recorded_header(pair, "Content-Type").unwrap_or_default();
        let content_type = content_type.trim_end_matches("; charset=utf-8").to_owned();
        self.answers.insert((pair.status, content_type, telling_headers(pair)));
        let text = String::from_utf8_lossy(&pair.body).trim().to_owned();
        if pair.status >= 400 && !pair.left_out && !text.is_empty() {
            self.texts.insert(text);
        } else if let Ok(value) = meaning_of(pair) {
            let inner = value.get(0).unwrap_or(&value);
            let keys = Shape::of(inner);
            self.keys.extend(keys.keys().map(str::to_owned));
            self.texts.extend(inner["error"]["message"].as_str().map(str::to_owned));
        }
        if let Some(Difference { kind, reason, .. }) = differs {
            *self.differences.entry((kind.clone(), reason.clone())).or_default() += 1;
        }
    }

    fn render(&self, subject: &str, with_methods: bool) -> String {
        let list = |items: Vec<String>, separator: &str| items.join(separator);
        let methods = list(self.methods.iter().cloned().collect(), ", ");
        let subject = if with_methods { format!("{methods} {subject}") } else { subject.to_owned() };
        let answers = self.answers.iter().map(|(status, content_type, headers)| {
            let headers: String = headers.iter().map(|header| format!(" {}", escape(header))).collect();
            match status {
                0 => "none".to_owned(),
                _ => format!("{status} {content_type}").trim_end().to_owned() + &headers,
            }
        });
        let keys: Vec<String> = self.keys.iter().map(|key| format!("`{key}`")).collect();
        let keys = if keys.len() > SHOWN_KEYS { format!("{} names", keys.len()) } else { keys.join(" ") };
        let texts: Vec<String> = self.texts.iter().map(|text| escape(text)).collect();
        let ours = self.differences.iter().map(|((kind, reason), count)| {
            let count =
                if *count == self.pairs { String::new() } else { format!("{count} of {}, ", self.pairs) };
            format!("{count}{kind}: {reason}")
        });
        let ours = if self.differences.is_empty() { "same".to_owned() } else { list(ours.collect(), "<br>") };
        format!(
            "| {subject} | {} | {keys} | {} | {ours} |\n",
            list(answers.collect(), "<br>"),
            list(texts, "<br>")
        )
    }
}

/// A text as it can stand in a table.
fn escape(text: &str) -> String {
    let text = text.replace(['\r', '\n'], " ").replace('|', "\\|");
    format!("`{text}`")
}

/// The document: these pairs, and the list of differences.
pub fn render(pairs: &[Pair], list: &Differences) -> String {
    let mut sections: BTreeMap<Section, BTreeMap<String, Row>> = BTreeMap::new();
    for pair in pairs {
        let differs = list.get(&(pair.group.clone(), pair.name.clone()));
        let rows = sections.entry(Section::of(pair)).or_default();
        rows.entry(subject(pair)).or_default().add(pair, differs);
    }
    let mut out = BEGINNING.to_owned();
    out.push_str(&groups(pairs, list));
    for (section, rows) in &sections {
        let with_methods = matches!(section, Section::MasterEndpoints | Section::AgentEndpoints);
        let head = "| what is asked | answers | keys | texts | ours |\n|---|---|---|---|---|\n";
        let _ = write!(out, "\n## {}\n\n{head}", section.title());
        out.extend(rows.iter().map(|(subject, row)| row.render(subject, with_methods)));
    }
    out
}

/// How many answers of each group are the same.
fn groups(pairs: &[Pair], list: &Differences) -> String {
    let head = "| group | answers | same | on purpose | pending |\n|---|---|---|---|---|\n";
    let mut out = format!("\n## The groups of the recording\n\n{head}");
    let names: BTreeSet<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
    for name in names {
        let of_group: Vec<&Pair> = pairs.iter().filter(|pair| pair.group == name).collect();
        let kinds = of_group.iter().filter_map(|pair| list.get(&(pair.group.clone(), pair.name.clone())));
        let kinds: Vec<&str> = kinds.map(|listed| listed.kind.as_str()).collect();
        let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
        let same = of_group.len() - kinds.len();
        let _ = writeln!(
            out,
            "| `{name}` | {} | {same} | {} | {} |",
            of_group.len(),
            count("on purpose"),
            count("pending")
        );
    }
    out
}

/// The pairs of the files, in their order.
pub fn pairs(steps: impl IntoIterator<Item = super::step::Step>) -> Vec<Pair> {
    let pair = |step| if let super::step::Step::Pair(pair) = step { Some(pair) } else { None };
    steps.into_iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::super::step::Request;
    use super::*;

    fn pair(path: &str, body: &str, status: u16, answer: &str) -> Pair {
        let request = Request {
            node: Node::Master,
            method: "POST".into(),
            path: path.into(),
            headers: vec![],
            body: body.into(),
            raw: None,
        };
        let headers = match status {
            405 => vec!["Content-Type: text/plain; charset=utf-8".to_owned(), "Allow: POST".to_owned()],
            _ => vec!["Content-Type: application/json".to_owned(), format!("Mesos-Stream-Id: {body}")],
        };
        let (group, name) = ("g".into(), format!("001-{body}"));
        let body = answer.into();
        Pair { group, name, request, status, headers, body, left_out: false, no_update: false }
    }

    #[test]
    fn calls_are_named_by_their_type_and_paths_without_their_query() {
        assert_eq!(subject(&pair("/api/v1", r#"{"type":"GET_STATE"}"#, 200, "{}")), "`GET_STATE`");
        assert_eq!(subject(&pair("/api/v1", "\u{8}\u{a}", 200, "{}")), "`GET_AGENTS`");
        assert_eq!(subject(&pair("/api/v1", r#"{"type":"NOPE"}"#, 400, "")), "any, or none that is known");
        assert_eq!(subject(&pair("/master//state/?jsonp=cb", "", 200, "{}")), "`/state`");
    }

    #[test]
    fn a_row_says_what_differs_and_why() {
        let pairs = [
            pair("/x", "a", 200, r#"{"k":1}"#),
            pair("/x", "b", 400, "bad | worse"),
            pair("/x", "c", 405, ""),
        ];
        let id = ("g".to_owned(), "001-b".to_owned());
        let differs = Difference { kind: "pending".into(), reason: "Because.".into(), what: "x".into() };
        let out = render(&pairs, &Differences::from([(id, differs)]));
        let row = "| POST `/x` | 200 application/json `Mesos-Stream-Id`<br>400 application/json `Mesos-Stream-Id`\
            <br>405 text/plain `Allow: POST` | `k` | `bad \\| worse` | 1 of 3, pending: Because. |";
        assert!(out.contains(row), "{out}");
        assert!(out.contains("| `g` | 3 | 2 | 0 | 1 |"), "{out}");
    }
}
