//! Roles: slash-separated paths like `eng/ads`, and `*`, which reserves nothing. Owns their
//! validation and the ancestor relation (upstream: `src/common/roles.cpp`). Pure.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The role of resources that are reserved for nobody.
pub const UNRESERVED: &str = "*";

/// Why a text is not a role; upstream's texts, which schedulers see.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RoleError {
    /// `""`.
    #[error("Role names cannot be the empty string")]
    Empty,
    /// `/a`.
    #[error("Role '{0}' cannot start with a slash")]
    LeadingSlash(String),
    /// `a/`.
    #[error("Role '{0}' cannot end with a slash")]
    TrailingSlash(String),
    /// `a//b`.
    #[error("Role '{0}' cannot contain two adjacent slashes")]
    DoubleSlash(String),
    /// A component that is `.`, `..` or `*`.
    #[error("Role '{role}' cannot include '{component}' as a component")]
    Component {
        /// The whole role.
        role: String,
        /// The component that is not allowed.
        component: String,
    },
    /// `-a`.
    #[error("Role component '{0}' is invalid because it starts with a dash")]
    Dash(String),
    /// A blank, a tab, a line end or a delete character.
    #[error("Role component '{0}' is invalid because it contains backspace or whitespace")]
    Whitespace(String),
}

/// Checks that a text is a role.
///
/// # Errors
/// [`RoleError`], with upstream's text.
pub fn validate(role: &str) -> Result<(), RoleError> {
    if role == UNRESERVED {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(RoleError::LeadingSlash(role.to_owned()));
    }
    if role.ends_with('/') {
        return Err(RoleError::TrailingSlash(role.to_owned()));
    }
    if role.contains("//") {
        return Err(RoleError::DoubleSlash(role.to_owned()));
    }
    if role.is_empty() {
        return Err(RoleError::Empty);
    }
    role.split('/').try_for_each(|component| validate_component(role, component))
}

fn validate_component(role: &str, component: &str) -> Result<(), RoleError> {
    if matches!(component, "." | ".." | "*") {
        return Err(RoleError::Component { role: role.to_owned(), component: component.to_owned() });
    }
    if component.starts_with('-') {
        return Err(RoleError::Dash(component.to_owned()));
    }
    if component.bytes().any(|byte| matches!(byte, 0x09..=0x0d | b' ' | 0x7f)) {
        return Err(RoleError::Whitespace(component.to_owned()));
    }
    Ok(())
}

/// Whether `descendant` is a role below `ancestor` (`a/b` below `a`; never itself).
#[must_use]
pub fn is_strict_subrole_of(descendant: &str, ancestor: &str) -> bool {
    descendant.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

/// The roles above one, nearest first: `a/b/c` has `a/b` and `a`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/').map(move |(at, _)| &role[..at])
}

/// A valid role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Role(Arc<str>);

impl Role {
    /// A role with this path.
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn new(path: impl Into<Arc<str>>) -> Result<Self, RoleError> {
        let path = path.into();
        validate(&path)?;
        Ok(Self(path))
    }

    /// Checks that a text is a role; see [`validate`].
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn validate(role: &str) -> Result<(), RoleError> {
        validate(role)
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a role below `ancestor`.
    #[must_use]
    pub fn is_strict_subrole_of(&self, ancestor: &Self) -> bool {
        is_strict_subrole_of(&self.0, &ancestor.0)
    }

    /// The roles above it, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        ancestors(&self.0).map(|path| Self(path.into()))
    }

    /// The role itself when it has no parent, else the first component's role; quota and metrics
    /// are kept for these.
    #[must_use]
    pub fn top_level(&self) -> Self {
        self.ancestors().last().unwrap_or_else(|| self.clone())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(path: &str) -> Result<Self, RoleError> {
        Self::new(path)
    }
}

impl Borrow<str> for Role {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: `RoleTest.Validate`.
    #[test]
    fn ordinary_roles_are_accepted() {
        for role in ["*", "foo", "123", "foo_123", "eng/ads", "a.b", "...", "a-b", "foo/*bar", "..a/b"] {
            assert_eq!(validate(role), Ok(()), "{role}");
        }
    }

    /// Upstream: `RoleTest.Validate`.
    #[test]
    fn malformed_roles_are_refused_with_the_reason() {
        for (role, message) in [
            ("", "Role names cannot be the empty string"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("/", "Role '/' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            (".", "Role '.' cannot include '.' as a component"),
            ("a/../b", "Role 'a/../b' cannot include '..' as a component"),
            ("a/*", "Role 'a/*' cannot include '*' as a component"),
            ("-a", "Role component '-a' is invalid because it starts with a dash"),
            ("a b", "Role component 'a b' is invalid because it contains backspace or whitespace"),
            ("a/b\t", "Role component 'b\t' is invalid because it contains backspace or whitespace"),
        ] {
            assert_eq!(validate(role).unwrap_err().to_string(), message);
        }
    }

    /// Upstream: `RoleTest.isStrictSubroleOf`.
    #[test]
    fn a_subrole_is_a_longer_path_not_a_longer_word() {
        assert!(is_strict_subrole_of("foo/bar", "foo"));
        assert!(is_strict_subrole_of("foo/bar/baz", "foo"));
        assert!(!is_strict_subrole_of("foobar", "foo"));
        assert!(!is_strict_subrole_of("foo", "foo"));
        assert!(!is_strict_subrole_of("foo", "foo/bar"));
    }

    /// Upstream: `RoleTest.Ancestors`.
    #[test]
    fn ancestors_come_nearest_first() {
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
        assert_eq!(Role::new("a/b/c").unwrap().top_level().as_str(), "a");
        assert_eq!(Role::new("a").unwrap().top_level().as_str(), "a");
    }
}
