//! Who sends a request.
//!
//! A plain value. It says who somebody is, not what they may do.

use std::collections::BTreeMap;
use std::fmt;

/// Who an [`super::Authenticator`] found: somebody with a name, with claims, or with both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    value: Option<String>,
    claims: BTreeMap<String, String>,
}

impl Principal {
    /// Somebody with a name.
    pub fn named(value: impl Into<String>) -> Principal {
        Principal { value: Some(value.into()), claims: BTreeMap::new() }
    }

    /// Somebody who is known by claims alone; nobody, if there are none.
    pub fn claiming(claims: BTreeMap<String, String>) -> Option<Principal> {
        (!claims.is_empty()).then_some(Principal { value: None, claims })
    }

    /// The name, if there is one.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What else is known, such as the content of a token.
    pub fn claims(&self) -> &BTreeMap<String, String> {
        &self.claims
    }
}

/// The name alone, or JSON of everything that is known (upstream: authenticator.cpp, `operator<<`).
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, self.claims.is_empty()) {
            (Some(value), true) => f.write_str(value),
            (Some(value), false) => {
                write!(f, "{}", serde_json::json!({"value": value, "claims": self.claims}))
            }
            (None, _) => write!(f, "{}", serde_json::json!({"claims": self.claims})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_shown_by_name_or_as_json() {
        assert_eq!(Principal::named("ops").to_string(), "ops");
        let claims = BTreeMap::from([("cid".to_owned(), "c1".to_owned())]);
        let executor = Principal::claiming(claims.clone()).unwrap();
        assert_eq!(executor.to_string(), r#"{"claims":{"cid":"c1"}}"#);
        let both = Principal { value: Some("e".into()), claims };
        assert_eq!(both.to_string(), r#"{"claims":{"cid":"c1"},"value":"e"}"#);
        assert_eq!(Principal::claiming(BTreeMap::new()), None);
    }
}
