//! Whether the master accepts what it is sent. Pure: one file per thing that is validated.
//!
//! The texts are upstream's (`master/validation.cpp`, `common/validation.cpp`), because frameworks
//! show them to their users and tests of clients compare them. What is refused is named; nothing
//! here changes state.

pub mod agent;
pub mod call;
pub mod container;
pub mod executor;
pub mod framework;
pub mod group;
pub mod health;
pub mod maintenance;
pub mod offer;
pub mod operation;
pub mod operator;
pub mod quota;
pub mod resource;
mod same_executor;
pub mod task;
pub mod weight;

/// Why something was refused, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// Puts `context` before the reason.
    pub fn within(self, context: &str) -> Self {
        Self(format!("{context}: {}", self.0))
    }
}

impl From<&str> for Invalid {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Invalid {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<mesos::validation::Invalid> for Invalid {
    fn from(error: mesos::validation::Invalid) -> Self {
        Self(error.0)
    }
}

impl From<mesos::validation::IdError> for Invalid {
    fn from(error: mesos::validation::IdError) -> Self {
        Self(error.to_string())
    }
}

/// The outcome of a check.
pub type Checked = Result<(), Invalid>;

/// Refuses with `message` if `wrong`.
pub fn refuse_if(wrong: bool, message: impl Into<Invalid>) -> Checked {
    if wrong { Err(message.into()) } else { Ok(()) }
}

/// As [`refuse_if`], for a message that costs something to write: each task is checked against several
/// of them, and a tenth of the master's time went into amounts of resources that nobody read.
pub fn refuse_if_with<M: Into<Invalid>>(wrong: bool, message: impl FnOnce() -> M) -> Checked {
    if wrong { Err(message().into()) } else { Ok(()) }
}

/// How many bytes a message has on the wire, and as a record of the registry.
fn size_of(message: &impl mesos::Message) -> usize {
    message.encoded_len()
}

/// The longest name that operators can have the registry keep. (Upstream has no limit.)
const LONGEST_NAME: usize = 1024;

/// The rule for names that become part of the registry: of roles, resources and machines. They stand in the keys of
/// records, and a master whose store refuses a record would have to end. `what` begins the refusal.
pub fn name(what: &str, name: &str) -> Checked {
    refuse_if_with(name.len() > LONGEST_NAME, || {
        let beginning: String = name.chars().take(32).collect();
        let length = name.len();
        format!("{what} that begins with '{beginning}' has {length} bytes; at most {LONGEST_NAME} are kept")
    })
}

/// The rule for all ids that others choose.
pub fn id(id: &str) -> Checked {
    Ok(mesos::validation::validate_id(id)?)
}

/// Items as upstream prints a set of strings: `{ a, b }`.
pub fn listed<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.into_iter().collect();
    if items.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", items.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_listed_as_upstream_prints_them() {
        assert_eq!(listed(["a", "b"]), "{ a, b }");
        assert_eq!(listed([]), "{}");
    }

    #[test]
    fn a_context_stands_before_the_reason() {
        assert_eq!(id("").unwrap_err().within("Bad").0, "Bad: ID must not be empty");
    }
}
