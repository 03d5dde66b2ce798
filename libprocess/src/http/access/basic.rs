//! `Authorization: Basic`: a name and a password (RFC 7617; upstream: authenticator.cpp).

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;

use super::{Authenticator, Principal, Refusal, credentials};
use crate::http::Request;

/// Knows names and their passwords. It answers a wrong password as it answers none.
#[derive(Clone)]
pub struct Basic {
    challenge: String,
    passwords: BTreeMap<String, String>,
}

impl Basic {
    /// For the realm of this name: passwords by name. A name must not hold a colon.
    pub fn new(realm: &str, passwords: BTreeMap<String, String>) -> Basic {
        Basic { challenge: format!("Basic realm=\"{realm}\""), passwords }
    }

    fn check(&self, request: &Request) -> Option<Principal> {
        let (scheme, encoded) = credentials(request)?.ok()?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        let known = self.passwords.get(name)?;
        equal(known.as_bytes(), password.as_bytes()).then(|| Principal::named(name))
    }
}

impl Authenticator for Basic {
    fn scheme(&self) -> String {
        "Basic".to_owned()
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a Request,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Principal, Refusal>> {
        let found = self.check(request).ok_or_else(|| Refusal::challenge(&self.challenge));
        Box::pin(std::future::ready(found))
    }
}

/// Passwords do not belong into a log.
impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Basic").field("names", &self.passwords.keys()).finish_non_exhaustive()
    }
}

/// Compares without telling by its time how much of a guess is right.
fn equal(known: &[u8], guess: &[u8]) -> bool {
    let differs = known.iter().zip(guess).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    known.len() == guess.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Method;
    use futures::FutureExt;

    fn check(authorization: Option<&str>) -> Result<Principal, Refusal> {
        let passwords = BTreeMap::from([("alice".to_owned(), "se:cret".to_owned())]);
        let mut request = Request::new(Method::GET, "/state");
        if let Some(value) = authorization {
            request.headers.insert("authorization", value.parse().unwrap());
        }
        Basic::new("realm", passwords).authenticate(&request, SystemTime::UNIX_EPOCH).now_or_never().unwrap()
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_name_with_its_password_is_let_in() {
        assert_eq!(check(Some(&basic("alice:se:cret"))), Ok(Principal::named("alice")));
        assert_eq!(
            check(Some(&basic("alice:se:cret").replace("Basic", "basic"))),
            Ok(Principal::named("alice"))
        );
    }

    #[test]
    fn all_else_is_challenged_with_the_realm() {
        let challenge = Err(Refusal::challenge("Basic realm=\"realm\""));
        assert_eq!(check(None), challenge);
        for text in ["alice:secret", "alice:se:cre", "alice:se:crets", "alice:", "alice", "bob:se:cret", ":"]
        {
            assert_eq!(check(Some(&basic(text))), challenge, "{text}");
        }
        for header in ["Basic", "Basic ", "Basic !!", "Bearer x", "Basic YQ== YQ==", ""] {
            assert_eq!(check(Some(header)), challenge, "{header}");
        }
    }
}
