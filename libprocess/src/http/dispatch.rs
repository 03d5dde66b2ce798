//! From a request to the actor that answers it.
//!
//! Knows the node's registry, the delegate, the firewall and who may call what; it knows no socket. The rules are upstream's
//! (3rdparty/libprocess/src/process.cpp, `ProcessManager::handle` and `ProcessBase::consume`): the first
//! segment of the path names the actor; a path that names no living actor belongs to the delegate, so that
//! `/state` is `/master/state`; within the actor the longest matching route serves it.

use std::str::FromStr;

use ::http::{Method, StatusCode};

use super::request::Request;
use super::response::Response;
use crate::node::Node;
use crate::pid::Pid;
use crate::transport::Delivery;
use crate::wire::Encoding;

/// Answers a request as the node's server would, without a socket: for tests of routes on an offline node,
/// and for transports that carry requests themselves.
pub async fn dispatch(node: &Node, mut request: Request) -> Response {
    if !request.path.starts_with('/') {
        return Response::bad_request("Request URL path must start with '/'");
    }
    if is_message(&request) {
        return deliver(node, &request).await;
    }
    if request.path.contains("/..") {
        return Response::not_found();
    }
    let delegate = node.settings().delegate.as_deref();
    let Some(target) = Target::of(&request.path, delegate, |id| node.is_alive(id)) else {
        return Response::not_found();
    };
    let whole = target.whole_path();
    if node.settings().firewall.contains(&whole) {
        return disabled(&whole);
    }
    let Some(routes) = node.routes(target.actor) else {
        // The delegate is not there yet, or not any more: clients that are told 404 do not come again.
        return Response::service_unavailable("503 Service Unavailable.");
    };
    let Some(found) = routes.find(target.rest) else { return Response::not_found() };
    let route = route_path(target.actor, found.path);
    // What serves a disabled path is not reached by a path below it, either (upstream lets that through).
    if node.settings().firewall.contains(&route) {
        return disabled(&route);
    }
    request.path = whole;
    let realm = found.realm(&request.method);
    if let Err(refusal) = node.settings().access.admit(realm, &route, &mut request, node.now()).await {
        return refusal;
    }
    match found.handler(&request.method) {
        Ok(endpoint) => {
            let answer = (endpoint.handler)(request).await;
            // The actor ended before it answered.
            answer.unwrap_or_else(|| Response::service_unavailable("503 Service Unavailable."))
        }
        Err(allowed) if request.method == Method::OPTIONS => {
            let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
            Response::new(StatusCode::OK).header("allow", names.join(", "))
        }
        Err(allowed) => Response::method_not_allowed_for(&allowed, &request.method),
    }
}

fn disabled(path: &str) -> Response {
    Response::forbidden(format!("Endpoint '{path}' is disabled"))
}

/// The path of an actor's route, as authorization hooks are named by.
pub(crate) fn route_path(actor: &str, route: &str) -> String {
    let route = route.trim_matches('/');
    if route.is_empty() { format!("/{actor}") } else { format!("/{actor}/{route}") }
}

/// Which actor a path belongs to, and the rest of the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) actor: &'a str,
    pub(crate) rest: &'a str,
}

impl<'a> Target<'a> {
    pub(crate) fn of(
        path: &'a str,
        delegate: Option<&'a str>,
        is_alive: impl Fn(&str) -> bool,
    ) -> Option<Target<'a>> {
        let trimmed = path.trim_start_matches('/');
        let (first, rest) = match trimmed.find('/') {
            Some(at) => trimmed.split_at(at),
            None => (trimmed, ""),
        };
        if !first.is_empty() && is_alive(first) {
            return Some(Target { actor: first, rest });
        }
        delegate.map(|actor| Target { actor, rest: if trimmed.is_empty() { "" } else { path } })
    }

    /// The path as the actor sees it: it begins with the actor's id, has no empty segments and no slash
    /// at its end.
    pub(crate) fn whole_path(&self) -> String {
        let mut whole = format!("/{}", self.actor);
        for segment in self.rest.split('/').filter(|s| !s.is_empty()) {
            whole.push('/');
            whole.push_str(segment);
        }
        whole
    }
}

/// Whether a request is a message from an actor (upstream: `libprocess(Request*)`). Peers have their own
/// loop ([`crate::transport`]); this is the way of an ordinary HTTP client.
fn is_message(request: &Request) -> bool {
    request.method == Method::POST
        && (request.headers.contains_key("libprocess-from")
            || request.header("user-agent").is_some_and(|agent| agent.starts_with("libprocess/")))
}

/// Gives a message to its actor: 202, or 404 if there is none. `/<id>/<message name>`.
async fn deliver(node: &Node, request: &Request) -> Response {
    let sender = request
        .header("libprocess-from")
        .or_else(|| request.header("user-agent").and_then(|agent| agent.strip_prefix("libprocess/")));
    let Some(from) = sender.and_then(|text| Pid::from_str(text.trim()).ok()) else {
        return Response::bad_request("Failed to determine the sender of the message");
    };
    if !node.believes(&from, request.peer) {
        return Response::bad_request(format!(
            "UPID IP address validation failed: Message from {from} was sent from IP {}",
            request.peer
        ));
    }
    let Some((id, name)) = request.path[1..].split_once('/') else { return Response::not_found() };
    let body = request.body.clone();
    match node.deliver_when_read(id, name, from, Encoding::Protobuf, body, || true).await {
        None | Some(Delivery::Accepted) => Response::accepted(),
        Some(Delivery::NoActor) => Response::not_found(),
        Some(Delivery::Undecodable(error)) => Response::bad_request(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Option<(String, String)> {
        let alive = |id: &str| ["master", "slave(1)", "metrics"].contains(&id);
        Target::of(path, Some("master"), alive).map(|t| (t.actor.to_owned(), t.whole_path()))
    }

    #[test]
    fn the_first_segment_names_the_actor_and_else_the_delegate_serves() {
        for (path, actor, whole) in [
            ("/master/state", "master", "/master/state"),
            ("/state", "master", "/master/state"),
            ("//state/", "master", "/master/state"),
            ("/", "master", "/master"),
            ("/master", "master", "/master"),
            ("/master//state", "master", "/master/state"),
            ("/slave(1)/api/v1", "slave(1)", "/slave(1)/api/v1"),
            ("/slave/state", "master", "/master/slave/state"),
            ("/metrics/snapshot", "metrics", "/metrics/snapshot"),
        ] {
            assert_eq!(target(path), Some((actor.to_owned(), whole.to_owned())), "{path}");
        }
        assert_eq!(Target::of("/state", None, |_| false), None);
    }
}
