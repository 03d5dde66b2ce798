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

use super::access::Realm;
use super::request::Request;
use super::response::Response;

/// Gives a request to an actor. `None` means that the actor is gone.
pub(crate) type RouteHandler = Arc<dyn Fn(Request) -> BoxFuture<'static, Option<Response>> + Send + Sync>;

/// The path that serves what no other route does.
const ANYTHING: &str = "*";

/// One handler of a path.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// The methods that it takes; none means every method, as most of upstream's endpoints do.
    pub(crate) methods: Vec<Method>,
    /// Who must be known before it is called.
    pub(crate) realm: Option<Realm>,
    /// What `/help` says about it, in Markdown.
    pub(crate) help: &'static str,
    /// Calls the actor.
    pub(crate) handler: RouteHandler,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("methods", &self.methods).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Whether this handler takes `method`. `HEAD` is taken wherever `GET` is.
    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

/// The routes of one actor by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    /// Keyed by the path below the actor's id without slashes at its ends: `api/v1/scheduler`; the
    /// route of the id itself is the empty path.
    paths: BTreeMap<String, Vec<Endpoint>>,
}

/// The route that serves a path.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Its own path, without slashes at its ends.
    pub(crate) path: &'a str,
    /// Its handlers; at least one.
    endpoints: &'a [Endpoint],
}

impl<'a> Found<'a> {
    /// The handler that takes a method.
    ///
    /// # Errors
    /// The methods that the path takes, if this is none of them.
    pub(crate) fn handler(&self, method: &Method) -> Result<&'a Endpoint, Vec<Method>> {
        let taking = self.endpoints.iter().find(|endpoint| endpoint.takes(method));
        taking.ok_or_else(|| self.endpoints.iter().flat_map(|endpoint| endpoint.methods.clone()).collect())
    }

    /// The realm of a request with this method, also if no handler takes it: who is not known is told nothing.
    pub(crate) fn realm(&self, method: &Method) -> Option<Realm> {
        match self.endpoints.iter().find(|endpoint| endpoint.takes(method)) {
            Some(endpoint) => endpoint.realm,
            None => self.endpoints.iter().find_map(|endpoint| endpoint.realm),
        }
    }
}

impl Routes {
    /// An actor without routes.
    pub(crate) fn new() -> Routes {
        Routes::default()
    }

    /// Adds a handler for `path` (`/state`; `/` is the actor's id itself). Several handlers may share
    /// a path when they take different methods; the first that takes a method serves it. The path `/*`
    /// serves whatever no other route does.
    pub(crate) fn add(&mut self, path: &str, endpoint: Endpoint) {
        self.paths.entry(normalize(path)).or_default().push(endpoint);
    }

    /// Finds what serves `path` (below the actor's id, decoded). Looks for the whole path, then for
    /// its parents: `/api/v1/operator` reaches `/api/v1`. The actor's own `/` serves only its id
    /// without anything behind, as upstream.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_>> {
        let wanted = normalize(path);
        let mut name = wanted.as_str();
        loop {
            if let Some((path, endpoints)) = self.paths.get_key_value(name) {
                return Some(Found { path, endpoints });
            }
            match name.rsplit_once('/') {
                Some((parent, _)) => name = parent,
                None if name != ANYTHING && self.paths.contains_key(ANYTHING) => name = ANYTHING,
                None => return None,
            }
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// All routes: path (with its leading slash) and handler.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (String, &Endpoint)> {
        self.paths.iter().flat_map(|(path, endpoints)| endpoints.iter().map(move |e| (format!("/{path}"), e)))
    }
}

/// Without empty segments: `//state/` and `/state` are one.
pub(crate) fn normalize(path: &str) -> String {
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
            realm: None,
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
        match table().find(path).map(|found| found.handler(&method)) {
            Some(Ok(endpoint)) => endpoint.help.to_owned(),
            Some(Err(methods)) => format!("405 {methods:?}"),
            None => "404".to_owned(),
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
        let served = |path: &str| routes.find(path).unwrap().handler(&Method::GET).unwrap().help;
        assert_eq!(served("/state"), "state");
        assert_eq!(served("/app/app.js"), "anything");
        assert_eq!(served("/"), "root");
    }

    #[test]
    fn the_realm_is_the_methods_or_else_the_paths() {
        let mut routes = Routes::new();
        let of_realm = |method, realm| Endpoint { realm, ..endpoint(&[method], "") };
        routes.add("/quota", of_realm(Method::GET, Some(Realm::ReadOnly)));
        routes.add("/quota", of_realm(Method::POST, Some(Realm::ReadWrite)));
        routes.add("/health", of_realm(Method::GET, None));
        let realm = |path: &str, method| routes.find(path).unwrap().realm(&method);
        assert_eq!(realm("/quota/role", Method::HEAD), Some(Realm::ReadOnly));
        assert_eq!(realm("/quota", Method::POST), Some(Realm::ReadWrite));
        assert_eq!(realm("/quota", Method::DELETE), Some(Realm::ReadOnly));
        assert_eq!(realm("/health", Method::GET), None);
    }

    #[test]
    fn a_wrong_method_names_all_that_the_path_takes() {
        assert_eq!(served("/quota", Method::PUT), "405 [GET, POST, DELETE]");
        assert_eq!(served("/quota/role", Method::DELETE), "set quota");
        assert_eq!(served("/state", Method::HEAD), "state");
        assert_eq!(served("/api/v1", Method::HEAD), "405 [POST]");
    }
}
