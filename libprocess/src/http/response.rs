//! Answers, and how a route gives them.
//!
//! Owns the standard texts and headers of libprocess's answers (upstream:
//! 3rdparty/libprocess/include/process/http.hpp). It does not know how an answer is written.

use std::future::Future;

use ::http::header::{ALLOW, CONTENT_TYPE, HeaderName, LOCATION};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use futures::future::BoxFuture;

use super::body::Body;
use super::request::Query;
use crate::node::Node;

/// What upstream says of every text that has no other type.
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer. `Date`, `Content-Length` and `Transfer-Encoding` are written by the server.
#[derive(Debug, Default)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those that belong to the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Response {
    /// An answer without headers and body.
    pub fn new(status: StatusCode) -> Response {
        Response { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// 200 with a body of `content_type`.
    pub fn ok(content_type: &str, body: impl Into<Bytes>) -> Response {
        Response { body: Body::Bytes(body.into()), ..Response::new(StatusCode::OK) }
            .header("content-type", content_type)
    }

    /// 200 with a JSON document (`application/json`).
    pub fn json(body: impl Into<Bytes>) -> Response {
        Response::ok("application/json", body)
    }

    /// 200 with a JSON document, or with a call of the function that `?jsonp=` names (upstream: the
    /// second argument of `http::OK`). Pages of other origins may read it ([`Response::readable`]).
    pub fn jsonp(query: &Query, body: impl Into<Bytes>) -> Response {
        let answer = match query.get("jsonp") {
            Some(function) => {
                let body: Bytes = body.into();
                let mut text = Vec::with_capacity(function.len() + body.len() + 3);
                text.extend_from_slice(function.as_bytes());
                text.push(b'(');
                text.extend_from_slice(&body);
                text.push(b')');
                Response::ok("text/javascript", text)
            }
            None => Response::json(body),
        };
        answer.readable()
    }

    /// Lets scripts of every origin read this answer (Fetch Standard, `Access-Control-Allow-Origin`): the page that a
    /// master has served shows what its agents say. What has `jsonp` can be had by every page anyway, which then runs
    /// what it is sent; so it only need not run it.
    pub fn readable(self) -> Response {
        self.header("access-control-allow-origin", "*")
    }

    /// A text of any status (`text/plain; charset=utf-8`).
    pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
        let mut response = Response::new(status);
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
        response.body = Body::Bytes(Bytes::from(text.into()));
        response
    }

    /// 200 with an open-ended body.
    pub fn streaming(content_type: &str, body: Body) -> Response {
        Response { body, ..Response::new(StatusCode::OK) }.header("content-type", content_type)
    }

    /// 400 with the reason.
    pub fn bad_request(message: impl Into<String>) -> Response {
        Response::text(StatusCode::BAD_REQUEST, message)
    }

    /// 404 with upstream's text.
    pub fn not_found() -> Response {
        Response::text(StatusCode::NOT_FOUND, "404 Not Found.")
    }

    /// 403 with the reason.
    pub fn forbidden(message: impl Into<String>) -> Response {
        Response::text(StatusCode::FORBIDDEN, message)
    }

    /// 405 with an `Allow` header and upstream's text, with the method that was received.
    pub fn method_not_allowed_for(allowed: &[Method], received: &Method) -> Response {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let expected = names.join("', '");
        let text = format!(
            "405 Method Not Allowed. Expecting one of {{ '{expected}' }}, but received '{received}'."
        );
        let mut response = Response::text(StatusCode::METHOD_NOT_ALLOWED, text);
        if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
            response.headers.insert(ALLOW, value);
        }
        response
    }

    /// 307 to `location`, which may be relative to the scheme (`//host:port/path`).
    pub fn temporary_redirect(location: impl AsRef<str>) -> Response {
        let mut response = Response::new(StatusCode::TEMPORARY_REDIRECT);
        if let Ok(value) = HeaderValue::from_str(location.as_ref()) {
            response.headers.insert(LOCATION, value);
        }
        response
    }

    /// 503 with the reason.
    pub fn service_unavailable(message: impl Into<String>) -> Response {
        Response::text(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500 with the reason.
    pub fn internal_server_error(message: impl Into<String>) -> Response {
        Response::text(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 202 without a body.
    pub fn accepted() -> Response {
        Response::new(StatusCode::ACCEPTED)
    }

    /// The answer with one header set. A name or value that HTTP does not allow is left out, since
    /// it may have come from outside.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Response {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.as_ref())) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            _ => tracing::warn!(name, "left out a header that HTTP does not allow"),
        }
        self
    }
}

/// What a route gives: an answer, or a future that the connection's thread waits for.
pub enum Reply {
    /// The answer.
    Now(Response),
    /// The answer will be here; the future runs on the HTTP worker.
    Later(BoxFuture<'static, Response>),
}

impl Reply {
    /// Makes the answer on the HTTP worker, so that the actor goes on with its next message.
    pub fn render(make: impl FnOnce() -> Response + Send + 'static) -> Reply {
        Reply::Later(Box::pin(async move { make() }))
    }

    /// As [`Reply::render`], of so many things: see [`Node::beside`]. While an answer about very many is made, the HTTP
    /// worker goes on with other requests.
    pub fn render_many(
        node: &Node,
        things: usize,
        make: impl FnOnce() -> Response + Send + 'static,
    ) -> Reply {
        let node = node.clone();
        Reply::later(async move { node.beside(things, make).await })
    }

    /// An answer that comes later.
    pub fn later(future: impl Future<Output = Response> + Send + 'static) -> Reply {
        Reply::Later(Box::pin(future))
    }

    /// The answer, waited for.
    pub async fn wait(self) -> Response {
        match self {
            Reply::Now(response) => response,
            Reply::Later(future) => future.await,
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Reply::Now(response)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Now(response) => f.debug_tuple("Now").field(response).finish(),
            Reply::Later(_) => f.write_str("Later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::beside::MANY;

    #[test]
    fn an_answer_about_very_many_things_is_made_beside_other_requests() {
        crate::run(async {
            // A node that is offline keeps to one thread.
            let node = Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
            let here = thread::current().id();
            for (things, is_here) in [(MANY - 1, "true"), (MANY, "false")] {
                let make = move || Response::json((thread::current().id() == here).to_string());
                let answer = Reply::render_many(&node, things, make).wait().await;
                assert_eq!(answer.body.as_bytes(), Some(is_here.as_bytes()), "{things} things");
            }
            node.shutdown().await;
        });
    }
}
