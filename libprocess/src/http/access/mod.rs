//! Who may call a route: realms, authenticators, authorization hooks.
//!
//! A route may belong to a [`Realm`]. If the node has an [`Authenticator`] for that realm, it finds out who sends a
//! request ([`Principal`]) or refuses it with 401 or 403. Then, if the node has an [`AuthorizationHook`] for the
//! route's path, that allows the request or not (403). Only then does the actor see it. Both may take their time;
//! requests of one connection are still answered in their order.
//!
//! The table is the node's, made by [`crate::NodeBuilder`] before the first connection, so that no request comes too
//! early. It knows no actor: an authorizer that is one is asked by its hook. The rules are upstream's
//! (3rdparty/libprocess/src/process.cpp, `ProcessBase::_consume`, and authenticator_manager.cpp).

mod basic;
mod bearer;
mod combined;
pub mod jwt;
mod principal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use ::http::header::WWW_AUTHENTICATE;
use ::http::{HeaderValue, StatusCode};
use futures::future::BoxFuture;

pub use basic::Basic;
pub use bearer::Bearer;
pub use combined::Combined;
pub use principal::Principal;

use super::request::Request;
use super::response::Response;

/// The group that a route belongs to: its requests are authenticated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// Routes that only show something. Its name is the node's ([`crate::NodeBuilder::realms`]).
    ReadOnly,
    /// Routes that change something. Its name is the node's, too.
    ReadWrite,
    /// Any other, by its name.
    Named(&'static str),
}

/// Finds out who sends a request.
pub trait Authenticator: Send + Sync + 'static {
    /// The scheme that it speaks, as in `Authorization: Basic ...`.
    fn scheme(&self) -> String;

    /// Says who sends the request. `now` is the node's wall time.
    ///
    /// # Errors
    /// [`Refusal`]: the request is not let in.
    fn authenticate<'a>(
        &'a self,
        request: &'a Request,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Principal, Refusal>>;
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 401: the sender must show who it is.
    Unauthorized {
        /// How, as `WWW-Authenticate` says it.
        challenges: Vec<String>,
        /// The body of the answer.
        text: String,
    },
    /// 403: the sender is known, and not welcome. The text is the body.
    Forbidden(String),
    /// 500: it cannot be told who the sender is.
    Failed(String),
}

impl Refusal {
    /// 401 with one challenge and the usual text.
    pub fn challenge(challenge: impl Into<String>) -> Refusal {
        Refusal::Unauthorized { challenges: vec![challenge.into()], text: "401 Unauthorized.".to_owned() }
    }

    /// 403 with the usual text.
    pub fn forbidden() -> Refusal {
        Refusal::Forbidden("403 Forbidden.".to_owned())
    }

    /// The one line of all challenges (upstream: `http::Unauthorized`).
    fn header(challenges: &[String]) -> HeaderValue {
        // A challenge may quote the request: what no header may hold is replaced, so that the rest still arrives.
        let allowed = |byte: u8| if (0x20..0x7f).contains(&byte) { byte } else { b'?' };
        let line: Vec<u8> = challenges.join(", ").bytes().map(allowed).collect();
        HeaderValue::from_bytes(&line).expect("visible ASCII is a header's value")
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        match refusal {
            Refusal::Unauthorized { challenges, text } => {
                let mut response = Response::text(StatusCode::UNAUTHORIZED, text);
                response.headers.insert(WWW_AUTHENTICATE, Refusal::header(&challenges));
                response
            }
            Refusal::Forbidden(text) => Response::forbidden(text),
            Refusal::Failed(text) => Response::internal_server_error(text),
        }
    }
}

/// Says whether a request, whose [`Request::principal`] is known by then, may go on to its route: `Ok(false)` is
/// answered with 403, an error with 500 and its text.
pub type AuthorizationHook = Arc<dyn Fn(&Request) -> BoxFuture<'static, Result<bool, String>> + Send + Sync>;

/// Who may call what, on one node.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) read_only: Option<String>,
    pub(crate) read_write: Option<String>,
    authenticators: BTreeMap<String, Arc<dyn Authenticator>>,
    /// By the path of a route: `/logging/toggle`.
    hooks: BTreeMap<String, AuthorizationHook>,
}

impl Access {
    pub(crate) fn authenticate(&mut self, realm: String, authenticator: Arc<dyn Authenticator>) {
        self.authenticators.insert(realm, authenticator);
    }

    pub(crate) fn authorize(&mut self, path: String, hook: AuthorizationHook) {
        self.hooks.insert(path, hook);
    }

    /// The name of a realm on this node, if the node has one for it.
    pub(crate) fn name_of(&self, realm: Realm) -> Option<&str> {
        match realm {
            Realm::ReadOnly => self.read_only.as_deref(),
            Realm::ReadWrite => self.read_write.as_deref(),
            Realm::Named(name) => Some(name),
        }
    }

    /// How the senders of a realm's requests show who they are, if they must.
    pub(crate) fn scheme_of(&self, realm: &str) -> Option<String> {
        self.authenticators.get(realm).map(|authenticator| authenticator.scheme())
    }

    /// Whether requests for the route of this path are authorized.
    pub(crate) fn has_hook(&self, path: &str) -> bool {
        self.hooks.contains_key(path)
    }

    /// Lets a request in, with its principal, or answers it. `path` is the route's, beginning with the actor's id.
    pub(crate) async fn admit(
        &self,
        realm: Option<Realm>,
        path: &str,
        request: &mut Request,
        now: SystemTime,
    ) -> Result<(), Response> {
        let realm = realm.and_then(|realm| self.name_of(realm));
        if let Some(authenticator) = realm.and_then(|realm| self.authenticators.get(realm)) {
            request.principal = Some(authenticator.authenticate(request, now).await?);
        }
        let Some(hook) = self.hooks.get(path) else { return Ok(()) };
        match hook(request).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::forbidden().into()),
            Err(text) => Err(Refusal::Failed(text).into()),
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("realms", &self.authenticators.keys())
            .field("authorized", &self.hooks.keys())
            .finish_non_exhaustive()
    }
}

/// The parts of an `Authorization` header: the scheme and what follows it. `Err` if it has not exactly these.
fn credentials(request: &Request) -> Option<Result<(&str, &str), ()>> {
    let header = request.header("authorization")?;
    let mut parts = header.split(' ');
    Some(match (parts.next(), parts.next(), parts.next()) {
        (Some(scheme), Some(rest), None) => Ok((scheme, rest)),
        _ => Err(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_share_a_header_and_lose_what_no_header_may_hold() {
        let challenges = vec!["Basic realm=\"a\"".to_owned(), "Bearer realm=\"b\r\nX: ü\"".to_owned()];
        let response = Response::from(Refusal::Unauthorized { challenges, text: "no".to_owned() });
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        let header = response.headers.get(WWW_AUTHENTICATE).unwrap();
        assert_eq!(header, "Basic realm=\"a\", Bearer realm=\"b??X: ??\"");
    }
}
