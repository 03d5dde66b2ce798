//! `/__processes__`: all actors of the node, and what waits in their queues.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/`, `/<id>` | anybody | lists all actors, or one |
//!
//! The JSON is upstream's (3rdparty/libprocess/include/process/event.hpp). It owns nothing.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::envelope::{EventKind, QueuedEvent};
use crate::http::{Reply, Request, Response};
use crate::install::Install;
use crate::node::Node;
use crate::process::{Place, Process};

/// Events that are shown of one queue; a longer one says how many are left out.
const MAX_EVENTS: usize = 1000;

/// The actor.
pub(crate) struct Processes;

impl Process for Processes {
    const NAME: &'static str = "__processes__";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/", HELP, Processes::all);
        install.route(&[], "/*", HELP, Processes::one);
    }
}

impl Processes {
    fn all(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let node = ctx.node().clone();
        Reply::render_many(ctx.node(), node.population(), move || {
            let list: Vec<Value> = node.ids().iter().filter_map(|id| describe(&node, id)).collect();
            Response::jsonp(&request.query, Value::Array(list).to_string())
        })
    }

    fn one(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let id = request.path.strip_prefix("/__processes__").unwrap_or_default().trim_matches('/');
        match describe(ctx.node(), &Arc::from(id)) {
            Some(actor) => Response::jsonp(&request.query, actor.to_string()).into(),
            None => Response::not_found().into(),
        }
    }
}

/// `None` if the actor has ended meanwhile.
fn describe(node: &Node, id: &Arc<str>) -> Option<Value> {
    let (first, all) = node.events(id, MAX_EVENTS)?;
    let mut events: Vec<Value> = first.iter().map(|event| event_json(event, node, id)).collect();
    if all > MAX_EVENTS {
        events.push(json!({"type": "DISPATCH", "name": format!("... and {} more", all - MAX_EVENTS)}));
    }
    Some(json!({"events": events, "id": &**id}))
}

fn event_json(event: &QueuedEvent, node: &Node, id: &str) -> Value {
    let mut json = Map::new();
    let mut set = |key: &str, value: String| json.insert(key.to_owned(), Value::String(value));
    match event.kind {
        EventKind::Message => {
            set("type", "MESSAGE".to_owned());
            set("name", event.name.clone());
            set("to", node.pid(id).to_string());
        }
        EventKind::Http => {
            let (method, url) = event.name.split_once(' ').unwrap_or(("", &event.name));
            set("type", "HTTP".to_owned());
            set("method", method.to_owned());
            set("url", url.to_owned());
        }
        EventKind::Dispatch => {
            set("type", "DISPATCH".to_owned());
            set("name", event.name.clone());
        }
        EventKind::Exited => {
            set("type", "EXITED".to_owned());
            set("name", event.name.clone());
        }
        EventKind::Terminate => {
            set("type", "TERMINATE".to_owned());
        }
    }
    if let (Some(from), false) = (&event.from, event.kind == EventKind::Exited) {
        set("from", from.to_string());
    }
    Value::Object(json)
}

const HELP: &str = "\
### TL;DR; ###
Shows the actors of this node and what waits in their queues.

### DESCRIPTION ###
A JSON array with an object for each actor: its `id` and its `events`, each with its `type` (MESSAGE, HTTP,
DISPATCH, EXITED, TERMINATE) and what is known of it. `/__processes__/<id>` shows one actor.
";
