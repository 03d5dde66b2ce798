//! `GET /openapi.json`: the HTTP surface of this master, described in OpenAPI 3.1 (not in upstream).
//!
//! Paths and texts are those of the routes that the actors of this node have declared, bodies those of the protocol's
//! messages, out of their descriptors. Only what neither says stands here: which methods change something, and what they
//! take; and in `answers` what the endpoints answer that are older than these messages. Nothing is asked of the Master but
//! what its node serves.

mod answers;
#[cfg(test)]
pub(crate) mod check;

use ::http::Method;
use libprocess::http::{Described, Reply, Response};
use mesos::json::schema::{self, Schemas};
use mesos::{MediaType, v1};
use serde_json::{Map, Value, json};

use crate::reads::Routes;

const SCHEMAS: &str = "#/components/schemas/";

/// Registers the route.
pub(crate) fn install(routes: &mut Routes<'_>) {
    routes.read(
        &[Method::GET],
        "/openapi.json",
        "This description of what the master serves.",
        |_, _, ctx| {
            // It is long, however small the cluster is.
            let (node, described) = (ctx.node().clone(), ctx.node().clone());
            let make = move || Response::json(mesos::json::to_vec(&document(&described.endpoints())));
            Reply::later(async move { node.background(make).await })
        },
    );
}

/// What a method of a path takes.
struct Change {
    path: &'static str,
    method: Method,
    takes: Takes,
    /// The path can be read (GET), too.
    is_read: bool,
}

/// Gives a reference to a message's schema.
type Refer = fn(&str, &mut Schemas) -> Value;

/// What a call is answered (200), where it is a message, and what is said of it. Calls and their answers are JSON or
/// protobuf, as `Content-Type` and `Accept` say.
const ANSWERS: &[(&str, Refer, &str)] = &[
    (
        "/api/v1",
        schema::reference::<v1::master::Response>,
        "What was asked for. SUBSCRIBE is answered with a stream of mesos.v1.master.Event that has no end, in RecordIO: \
         before each its length in bytes, in decimal digits, and a line feed.",
    ),
    (
        "/api/v1/scheduler",
        schema::reference::<v1::scheduler::Event>,
        "SUBSCRIBE is answered with a stream of these that has no end, in RecordIO: before each its length in bytes, in \
         decimal digits, and a line feed.",
    ),
];

/// Where a call belongs to a stream of events, which this header names; all but those that open one have it.
const STREAM_ID: (&str, &str) = ("/api/v1/scheduler", "Mesos-Stream-Id");

/// A body.
enum Takes {
    Json(fn(&mut Schemas) -> Value),
    /// `name=value&...`: those that are needed, and those that may be there.
    Form(&'static [&'static str], &'static [&'static str]),
    Nothing,
}

/// What each status means that is said of a path.
const MEANINGS: &[(u16, &str)] = &[
    (200, "Done, or what was asked for."),
    (202, "Accepted. What comes of it is seen later."),
    (307, "Another master leads, which is to be asked; or what is asked for is elsewhere."),
    (400, "What was sent is not understood, or not valid; the text says why."),
    (403, "Not allowed to who asks."),
    (404, "There is no such thing."),
    (405, "Not with this method."),
    (406, "No media type that is accepted can be given."),
    (409, "It cannot be done as things are; the text says why."),
    (415, "The media type of what was sent is not understood."),
    (501, "This master does not know the call."),
    (503, "No master leads, or this one is not ready yet."),
];

/// What a path may be answered that is read, or that changes something, by the way in which that is asked.
const OF_READS: &[u16] = &[200, 307, 400, 403, 503];
const OF_CALLS: &[u16] = &[200, 202, 307, 400, 403, 405, 406, 409, 415, 501, 503];
const OF_CHANGES: &[u16] = &[200, 202, 307, 400, 403, 409, 503];
/// Beside these.
const ALSO: &[(&str, &[u16])] =
    &[("/allocator/explain", &[404]), ("/files/", &[404]), ("/app", &[404]), ("/assets", &[404])];

/// What changes something, or is asked by POST.
fn changes() -> Vec<Change> {
    let change = |path, method, is_read, takes| Change { path, method, takes, is_read };
    let form = |path, names| change(path, Method::POST, false, Takes::Form(names, &[]));
    let post = |path, is_read, body| change(path, Method::POST, is_read, Takes::Json(body));
    vec![
        post("/api/v1", false, |schemas| schema::by_type::<v1::master::Call>(SCHEMAS, schemas)),
        post("/api/v1/scheduler", false, |schemas| schema::by_type::<v1::scheduler::Call>(SCHEMAS, schemas)),
        post("/quota", true, |schemas| schema::reference::<v1::quota::QuotaRequest>(SCHEMAS, schemas)),
        change("/quota/{role}", Method::DELETE, false, Takes::Nothing),
        change("/weights", Method::PUT, true, Takes::Json(list::<v1::WeightInfo>)),
        post("/maintenance/schedule", true, |schemas| {
            schema::reference::<v1::maintenance::Schedule>(SCHEMAS, schemas)
        }),
        post("/machine/down", false, list::<v1::MachineId>),
        post("/machine/up", false, list::<v1::MachineId>),
        form("/teardown", &["frameworkId"]),
        change("/reserve", Method::POST, false, Takes::Form(&["slaveId", "resources"], &["source"])),
        form("/unreserve", &["slaveId", "resources"]),
        form("/create-volumes", &["slaveId", "volumes"]),
        form("/destroy-volumes", &["slaveId", "volumes"]),
    ]
}

fn list<T: mesos::Message>(schemas: &mut Schemas) -> Value {
    json!({ "type": "array", "items": schema::reference::<T>(SCHEMAS, schemas) })
}

/// What a query of a path may hold, beside `jsonp` where the route's text says so.
const QUERIES: &[(&str, &[&str])] = &[
    ("/tasks", &["limit", "offset", "order", "framework_id", "task_id"]),
    ("/frameworks", &["framework_id"]),
    ("/slaves", &["slave_id"]),
    ("/allocator/explain", &["framework", "role", "limit", "offset"]),
    ("/metrics/snapshot", &["timeout", "jsonp"]),
    ("/metrics", &["timeout"]),
    ("/files/browse", &["path", "jsonp"]),
    ("/files/read", &["path", "offset", "length", "jsonp"]),
    ("/files/download", &["path"]),
    ("/files/debug", &["jsonp"]),
    ("/logging/toggle", &["level", "duration"]),
    ("/profiler/start", &["frequency", "duration"]),
    ("/profiler/stop", &["format"]),
    ("/memory-profiler/statistics", &["jsonp"]),
    ("/system/stats.json", &["jsonp"]),
    ("/version", &["jsonp"]),
    ("/__processes__", &["jsonp"]),
    ("/help", &["format"]),
];

/// The description of these endpoints.
fn document(endpoints: &[Described]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    let changes = changes();
    for endpoint in endpoints {
        let below = format!("{}/{{", endpoint.path);
        let concerned = |change: &&Change| change.path == endpoint.path || change.path.starts_with(&below);
        let mut is_read = true;
        for change in changes.iter().filter(concerned) {
            is_read &= change.is_read || change.path != endpoint.path;
            let operation = operation(change, endpoint, &mut schemas);
            insert(&mut paths, change.path, &change.method, operation);
        }
        let takes_get = endpoint.methods.is_empty() || endpoint.methods.contains(&Method::GET);
        if is_read && takes_get {
            insert(&mut paths, &endpoint.path, &Method::GET, read(endpoint, &mut schemas));
        }
        for method in endpoint.methods.iter().filter(|method| **method != Method::GET) {
            insert(&mut paths, &endpoint.path, method, described(endpoint, OF_CHANGES));
        }
    }
    answers::add_types(SCHEMAS, &mut schemas);
    // What the stream holds that an operator's SUBSCRIBE opens.
    schema::reference::<v1::master::Event>(SCHEMAS, &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Mesos master", "version": mesos::version() },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn insert(paths: &mut Map<String, Value>, path: &str, method: &Method, mut operation: Value) {
    let of_path = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    let method = method.as_str().to_lowercase();
    operation["operationId"] = name(&method, path).into();
    of_path[method] = operation;
}

/// What generated clients call an operation: `getStateSummary` for GET `/state-summary`.
fn name(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

fn described(endpoint: &Described, statuses: &[u16]) -> Value {
    let also =
        ALSO.iter().find(|(path, _)| endpoint.path.starts_with(path)).map_or(&[][..], |(_, also)| also);
    let may_be = |status: &u16| statuses.contains(status) || also.contains(status);
    let responses = MEANINGS.iter().filter(|(status, _)| may_be(status));
    let mut responses: Map<String, Value> =
        responses.map(|(status, meaning)| (status.to_string(), json!({ "description": meaning }))).collect();
    // What HTTP itself has: a body that is too large, a head that comes too slowly ...
    responses.insert("default".into(), json!({ "description": "What is wrong, in words." }));
    let mut operation = json!({ "summary": endpoint.help, "responses": responses });
    // libprocess says in Markdown what its endpoints do, in one line first.
    if let Some((first, _)) =
        endpoint.help.strip_prefix("### TL;DR; ###\n").and_then(|text| text.split_once('\n'))
    {
        operation["summary"] = first.into();
        operation["description"] = endpoint.help.into();
    }
    operation
}

/// Bytes of which nothing is said, as descriptions have named them since OpenAPI 3.0.
fn binary() -> Value {
    json!({ "type": "string", "format": "binary" })
}

/// A message in both forms in which it is read and written.
fn either(schema: &Value) -> Value {
    let [json, protobuf] = [MediaType::Json, MediaType::Protobuf].map(MediaType::as_str);
    json!({ json: { "schema": schema }, protobuf: { "schema": binary() } })
}

fn read(endpoint: &Described, schemas: &mut Schemas) -> Value {
    let mut operation = described(endpoint, OF_READS);
    let of_path = QUERIES.iter().find(|(path, _)| *path == endpoint.path);
    let mut names: Vec<&str> = of_path.map(|(_, names)| names.to_vec()).unwrap_or_default();
    if endpoint.help.contains("jsonp") {
        names.push("jsonp");
    }
    let parameters =
        names.iter().map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
    operation["parameters"] = parameters.collect();
    let mut content = answers::content(&endpoint.path, SCHEMAS, schemas).unwrap_or_default();
    if names.contains(&"jsonp") {
        // A call of the function that it names.
        content.insert("text/javascript".into(), json!({ "schema": { "type": "string" } }));
    }
    if !content.is_empty() {
        operation["responses"]["200"]["content"] = content.into();
    }
    operation
}

fn operation(change: &Change, endpoint: &Described, schemas: &mut Schemas) -> Value {
    let answer = ANSWERS.iter().find(|(path, _, _)| *path == change.path);
    let mut operation = described(endpoint, if answer.is_some() { OF_CALLS } else { OF_CHANGES });
    match &change.takes {
        Takes::Json(body) => {
            let body = body(schemas);
            let content = match answer {
                Some(_) => either(&body),
                None => json!({ "application/json": { "schema": body } }),
            };
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        Takes::Form(needed, optional) => {
            let names = needed.iter().chain(*optional);
            let properties: Map<String, Value> =
                names.map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
            let schema = json!({ "type": "object", "properties": properties, "required": needed });
            operation["requestBody"] = json!({
                "required": true, "content": { "application/x-www-form-urlencoded": { "schema": schema } }
            });
        }
        Takes::Nothing => {}
    }
    if let Some((_, answer, description)) = answer {
        let content = either(&answer(SCHEMAS, schemas));
        operation["responses"]["200"] = json!({ "description": description, "content": content });
    }
    if STREAM_ID.0 == change.path {
        operation["responses"]["200"]["headers"] = json!({ STREAM_ID.1: { "schema": { "type": "string" } } });
        operation["parameters"] =
            json!([{ "name": STREAM_ID.1, "in": "header", "schema": { "type": "string" } }]);
    }
    if let Some((_, name)) = change.path.split_once('{') {
        let name = name.trim_end_matches('}');
        operation["parameters"] = json!([{ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }]);
    }
    operation
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use libprocess::{Node, testing};

    use super::*;
    use crate::authorization::permits_all;
    use crate::tests::Cluster;

    fn endpoint(path: &str, methods: &[Method]) -> Described {
        Described { path: path.to_owned(), methods: methods.to_vec(), help: "Something (jsonp)." }
    }

    fn methods(document: &Value, path: &str) -> BTreeSet<String> {
        document["paths"][path].as_object().into_iter().flat_map(|path| path.keys().cloned()).collect()
    }

    /// What all references in a value lead to.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn a_path_is_described_with_what_it_takes() {
        let document = document(&[
            endpoint("/state", &[]),
            endpoint("/quota", &[]),
            endpoint("/api/v1", &[]),
            endpoint("/api/v1/scheduler", &[]),
            endpoint("/teardown", &[]),
            endpoint("/reserve", &[]),
            endpoint("/files/read", &[]),
            endpoint("/logging/toggle", &[Method::GET, Method::POST]),
        ]);
        assert_eq!(methods(&document, "/state"), BTreeSet::from(["get".to_owned()]));
        assert_eq!(document["paths"]["/state"]["get"]["parameters"][0]["name"], "jsonp");
        assert_eq!(methods(&document, "/quota"), BTreeSet::from(["get".to_owned(), "post".to_owned()]));
        assert_eq!(methods(&document, "/quota/{role}"), BTreeSet::from(["delete".to_owned()]));
        assert_eq!(methods(&document, "/api/v1"), BTreeSet::from(["post".to_owned()]));
        assert_eq!(methods(&document, "/teardown"), BTreeSet::from(["post".to_owned()]));
        assert_eq!(methods(&document, "/logging/toggle").len(), 2);
        assert_eq!(methods(&document, "/weights"), BTreeSet::new(), "it is not served");
        let form = &document["paths"]["/reserve"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
        assert_eq!(form["schema"]["required"], json!(["slaveId", "resources"]));
        assert_eq!(form["schema"]["properties"]["source"], json!({ "type": "string" }));
        let statuses = |path: &str, method: &str| -> Vec<String> {
            document["paths"][path][method]["responses"].as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(statuses("/state", "get"), ["200", "307", "400", "403", "503", "default"]);
        assert_eq!(statuses("/files/read", "get"), ["200", "307", "400", "403", "404", "503", "default"]);
        assert!(statuses("/api/v1/scheduler", "post").contains(&"415".to_owned()));
        let call =
            &document["paths"]["/api/v1"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert!(call["anyOf"].as_array().unwrap().iter().any(|choice| choice["title"] == "UPDATE_QUOTA"));
        let answer = &document["paths"]["/api/v1"]["post"]["responses"]["200"]["content"]["application/json"];
        let scheduler = &document["paths"]["/api/v1/scheduler"]["post"];
        assert_eq!(scheduler["parameters"][0]["name"], "Mesos-Stream-Id");
        for of_body in [&document["paths"]["/api/v1"]["post"]["requestBody"], &scheduler["responses"]["200"]]
        {
            assert_eq!(of_body["content"]["application/x-protobuf"]["schema"], binary());
        }
        let state = &document["paths"]["/state"]["get"]["responses"]["200"]["content"];
        assert_eq!(state["application/json"]["schema"]["$ref"], "#/components/schemas/State");
        assert_eq!(state["text/javascript"]["schema"]["type"], "string");
        let of_answer = answer["schema"]["$ref"].as_str().unwrap().trim_start_matches(SCHEMAS);
        assert!(document["components"]["schemas"][of_answer].is_object(), "{of_answer}");
    }

    /// What is said of a path that nobody serves would be said in vain.
    #[test]
    fn all_that_is_said_of_paths_is_said_of_a_route_and_all_routes_say_what_they_answer() {
        testing::run(async {
            let address = "127.0.0.1:0".parse().unwrap();
            let node = Node::builder().bind(address).delegate("master").start().await.unwrap();
            let cluster =
                Cluster::of(node, crate::Settings::default(), std::sync::Arc::new(permits_all)).await;
            let document = cluster.get("/openapi.json").await;
            let paths = document["paths"].as_object().unwrap();
            for served in ["/state", "/api/v1/scheduler", "/files/read", "/registrar(1)/registry"] {
                assert!(paths.contains_key(served), "{served}: {:?}", paths.keys());
            }
            let said = changes().into_iter().map(|change| change.path);
            let said = said.chain(QUERIES.iter().map(|(path, _)| *path)).map(str::to_owned);
            // What is served only with these features of libprocess.
            let of_features = |path: &String| path.starts_with("/profiler/") || path.starts_with("/memory-");
            let said = said.chain(answers::paths()).filter(|path| !of_features(path));
            let missing: Vec<String> = said.filter(|path| !paths.contains_key(path)).collect();
            assert_eq!(missing, Vec::<String>::new());
            let silent = paths.iter().filter(|(_, of_path)| of_path.get("get").is_some());
            let silent = silent.filter(|(path, _)| !answers::paths().any(|described| described == **path));
            assert_eq!(silent.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<&String>::new());
            let mut found = BTreeSet::new();
            references(&document, &mut found);
            let types = document["components"]["schemas"].as_object().unwrap();
            found.retain(|reference| !types.contains_key(&reference[SCHEMAS.len()..]));
            assert_eq!(found, BTreeSet::new(), "these are nowhere");
            let operations = paths.values().flat_map(|of_path| of_path.as_object().unwrap().values());
            let names: Vec<&str> = operations.filter_map(|it| it["operationId"].as_str()).collect();
            assert!(names.contains(&"getStateSummary") && names.contains(&"deleteQuotaRole"), "{names:?}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        });
    }
}
