//! `Authorization: Bearer`: a token that says who its bearer is (RFC 6750; upstream: jwt_authenticator.cpp).

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Authenticator, Principal, Refusal, credentials, jwt};
use crate::http::Request;

/// Believes tokens that are signed with its secret ([`jwt`]); their claims are the principal's.
#[derive(Clone)]
pub struct Bearer {
    realm: String,
    secret: Vec<u8>,
}

impl Bearer {
    /// For the realm of this name.
    pub fn new(realm: impl Into<String>, secret: impl Into<Vec<u8>>) -> Bearer {
        Bearer { realm: realm.into(), secret: secret.into() }
    }

    fn check(&self, request: &Request, now: SystemTime) -> Result<Principal, Refusal> {
        let Some(credentials) = credentials(request) else {
            // Who sends nothing is told of no error (RFC 6750, 3.1).
            return Err(Refusal::challenge(format!("Bearer realm=\"{}\"", self.realm)));
        };
        let (scheme, token) = credentials.map_err(|()| self.refusal("Malformed 'Authorization' header"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(self.refusal(&format!("Scheme '{scheme}' unsupported")));
        }
        let claims = jwt::verify(token, &self.secret, now)
            .map_err(|error| self.refusal(&format!("Invalid JWT: {error}")))?;
        Principal::claiming(as_texts(claims)).ok_or_else(|| self.refusal("JWT claims missing"))
    }

    fn refusal(&self, description: &str) -> Refusal {
        Refusal::challenge(format!(
            "Bearer realm=\"{}\", error=\"invalid_token\", error_description=\"{description}\"",
            self.realm
        ))
    }
}

/// A text is a claim as it is, everything else as JSON.
fn as_texts(claims: jwt::Claims) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    claims.into_iter().map(|(name, value)| (name, text(value))).collect()
}

impl Authenticator for Bearer {
    fn scheme(&self) -> String {
        "Bearer".to_owned()
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a Request,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Principal, Refusal>> {
        Box::pin(std::future::ready(self.check(request, now)))
    }
}

/// The secret does not belong into a log.
impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer").field("realm", &self.realm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Method;
    use serde_json::json;

    fn check(authorization: Option<&str>) -> Result<Principal, Refusal> {
        let mut request = Request::new(Method::GET, "/state");
        if let Some(value) = authorization {
            request.headers.insert("authorization", value.parse().unwrap());
        }
        Bearer::new("realm", "secret").check(&request, SystemTime::UNIX_EPOCH)
    }

    fn bearer(claims: Value) -> String {
        format!("Bearer {}", jwt::sign(claims.as_object().unwrap(), b"secret"))
    }

    #[test]
    fn the_claims_of_a_token_are_its_bearers() {
        let principal = check(Some(&bearer(json!({"fid": "f-1", "level": 2, "on": true})))).unwrap();
        assert_eq!(principal.value(), None);
        let claims: Vec<(&str, &str)> =
            principal.claims().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(claims, [("fid", "f-1"), ("level", "2"), ("on", "true")]);
    }

    #[test]
    fn all_else_is_told_why_it_is_refused() {
        assert_eq!(check(None), Err(Refusal::challenge("Bearer realm=\"realm\"")));
        for (header, description) in [
            ("Bearer".to_owned(), "Malformed 'Authorization' header"),
            ("Bearer a b".to_owned(), "Malformed 'Authorization' header"),
            ("Basic YTpi".to_owned(), "Scheme 'Basic' unsupported"),
            ("Bearer a.b".to_owned(), "Invalid JWT: Expected 3 components in token, got 2"),
            (bearer(json!({})), "JWT claims missing"),
        ] {
            let challenge = format!(
                "Bearer realm=\"realm\", error=\"invalid_token\", error_description=\"{description}\""
            );
            assert_eq!(check(Some(&header)), Err(Refusal::challenge(challenge)));
        }
    }
}
