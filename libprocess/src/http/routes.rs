//! The routes of one actor, and which of them serves a path.
//!
//! Pure data: the node keeps one [`Routes`] for each living actor, the server asks it. A handler
//! here is already bound to its actor's mailbox; this module does not know how.
//! The rules are upstream's (3rdparty/libprocess/src/process.cpp, `ProcessBase::consume(HttpEvent)`):
//! the longest prefix of the path, whole segments at a time, that has a handler serves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::Method;
use futures::future::BoxFuture;

use super::request::Request;
use super::response::Response;

/// Gives a request to an actor. `None` means that the actor is gone.
pub type RouteHandler = Arc<dyn Fn(Request) -> BoxFuture<'static, Option<Response>> + Send + Sync>;

/// The path that serves what no other route does.
const ANYTHING: &str = "*";

/// One handler of a path.
#[derive(Clone)]
pub struct Endpoint {
    /// The methods that it takes; none means every method, as most of upstream's endpoints do.
    pub methods: Vec<Method>,
    /// What `/help` says about it, in Markdown.
    pub help: &'static str,
    /// Calls the actor.
    pub handler: RouteHandler,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("methods", &self.methods).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Whether this handler takes `method`. `HEAD` is taken wherever `GET` is.
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

/// The routes of one actor by path.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// Keyed by the path below the actor's id without slashes at its ends: `api/v1/scheduler`; the
    /// route of the id itself is the empty path.
    paths: BTreeMap<String, Vec<Endpoint>>,
}

/// What a look-up found.
#[derive(Debug)]
pub enum Found<'a> {
    /// The handler of the path and method.
    Handler(&'a Endpoint),
    /// The path exists, but takes only these methods.
    WrongMethod(Vec<Method>),
    /// No handler.
    Nothing,
}

impl Routes {
    /// An actor without routes.
    pub fn new() -> Routes {
        Routes::default()
    }

    /// Adds a handler for `path` (`/state`; `/` is the actor's id itself). Several handlers may share
    /// a path when they take different methods; the first that takes a method serves it. The path `/*`
    /// serves whatever no other route does.
    pub fn add(&mut self, path: &str, endpoint: Endpoint) {
        self.paths.entry(normalize(path)).or_default().push(endpoint);
    }

    /// Whether there is no route at all.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Finds what serves `path` (below the actor's id, decoded). Looks for the whole path, then for
    /// its parents: `/api/v1/operator` reaches `/api/v1`. The actor's own `/` serves only its id
    /// without anything behind, as upstream.
    pub fn find(&self, path: &str, method: &Method) -> Found<'_> {
        let wanted = normalize(path);
        let mut name = wanted.as_str();
        loop {
            if let Some(endpoints) = self.paths.get(name) {
                return match endpoints.iter().find(|e| e.takes(method)) {
                    Some(endpoint) => Found::Handler(endpoint),
                    None => Found::WrongMethod(endpoints.iter().flat_map(|e| e.methods.clone()).collect()),
                };
            }
            match name.rsplit_once('/') {
                Some((parent, _)) => name = parent,
                None if name != ANYTHING && self.paths.contains_key(ANYTHING) => name = ANYTHING,
                None => return Found::Nothing,
            }
        }
    }

    /// All routes: path (with its leading slash), methods and help text.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Endpoint)> {
        self.paths.iter().flat_map(|(path, endpoints)| endpoints.iter().map(move |e| (format!("/{path}"), e)))
    }
}

/// Without empty segments: `//state/` and `/state` are one.
fn normalize(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|s| !s.is_empty()) {
        if !clean.is_empty() {
            clean.push('/');
        }
        clean.push_str(segment);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(methods: &[Method], help: &'static str) -> Endpoint {
        Endpoint {
            methods: methods.to_vec(),
            help,
            handler: Arc::new(|_| Box::pin(async { Some(Response::accepted()) })),
        }
    }

    fn table() -> Routes {
        let mut routes = Routes::new();
        routes.add("/", endpoint(&[], "root"));
        routes.add("/state", endpoint(&[Method::GET], "state"));
        routes.add("/api/v1", endpoint(&[Method::POST], "operator"));
        routes.add("/api/v1/scheduler", endpoint(&[Method::POST], "scheduler"));
        routes.add("/quota", endpoint(&[Method::GET], "get quota"));
        routes.add("/quota", endpoint(&[Method::POST, Method::DELETE], "set quota"));
        routes
    }

    fn served(path: &str, method: Method) -> String {
        match table().find(path, &method) {
            Found::Handler(endpoint) => endpoint.help.to_owned(),
            Found::WrongMethod(methods) => format!("405 {methods:?}"),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_serves_a_path() {
        assert_eq!(served("/api/v1/scheduler", Method::POST), "scheduler");
        assert_eq!(served("/api/v1/scheduler/x", Method::POST), "scheduler");
        assert_eq!(served("/api/v1/operator", Method::POST), "operator");
        assert_eq!(served("/api/v1", Method::POST), "operator");
        assert_eq!(served("/api/v12", Method::POST), "404");
        assert_eq!(served("/state/foo", Method::GET), "state");
        assert_eq!(served("/state.json", Method::GET), "404");
        assert_eq!(served("/api", Method::GET), "404");
    }

    #[test]
    fn empty_segments_do_not_count() {
        assert_eq!(served("//state/", Method::GET), "state");
        assert_eq!(served("", Method::GET), "root");
        assert_eq!(served("/", Method::GET), "root");
        assert_eq!(served("/nope", Method::GET), "404");
    }

    #[test]
    fn a_star_serves_what_no_other_route_does() {
        let mut routes = table();
        routes.add("/*", endpoint(&[Method::GET], "anything"));
        let served = |path: &str| match routes.find(path, &Method::GET) {
            Found::Handler(endpoint) => endpoint.help,
            _ => "",
        };
        assert_eq!(served("/state"), "state");
        assert_eq!(served("/app/app.js"), "anything");
        assert_eq!(served("/"), "root");
    }

    #[test]
    fn a_wrong_method_names_all_that_the_path_takes() {
        assert_eq!(served("/quota", Method::PUT), "405 [GET, POST, DELETE]");
        assert_eq!(served("/quota/role", Method::DELETE), "set quota");
        assert_eq!(served("/state", Method::HEAD), "state");
        assert_eq!(served("/api/v1", Method::HEAD), "405 [POST]");
    }
}
