//! Offer constraints: which agents a framework wants to see in a role (upstream:
//! `offer_constraints_filter.cpp`).
//!
//! A role's constraints are groups, of which one must hold; in a group every constraint must hold. A
//! constraint selects a value of the agent (its host name, its region or zone, or the first attribute of
//! a name) and says what must be true of it:
//!
//! | predicate | value is a text | value is a number, ranges or a set | there is no value |
//! |---|---|---|---|
//! | Exists | holds | holds | does not hold |
//! | NotExists | does not hold | does not hold | holds |
//! | TextEquals, TextMatches | is compared | holds | does not hold |
//! | TextNotEquals, TextNotMatches | is compared | holds | holds |
//!
//! What is not text passes every question about text: a framework must look at such attributes itself.
//!
//! Knows agents' infos; does not know the allocator's books. Compiled once, at the boundary, since a
//! regular expression may be anything.

mod dialect;
mod pattern;
mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mesos::v1;
use mesos::v1::scheduler::attribute_constraint::selector::PseudoattributeType;
use mesos::v1::scheduler::{AttributeConstraint, OfferConstraints, attribute_constraint};

use pattern::Pattern;
pub use pattern::{PatternError, RegexLimits};
pub use report::{ConstraintsReport, FrameworkConstraints};

/// Why a framework's constraints are not accepted. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintsError {
    /// Of no groups none can hold.
    #[error("'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {0}")]
    NoGroups(String),
    /// A group that asks for nothing. (Upstream's text has no blank there.)
    #[error(
        "'OfferConstraints::RoleConstraints::groups' for role {0}contains an empty RoleConstraints::Group"
    )]
    EmptyGroup(String),
    /// One constraint is wrong.
    #[error("A role {role} has an invalid 'AttributeConstraint': {reason}")]
    Constraint {
        /// Whose constraint it is.
        role: String,
        /// What is wrong.
        reason: ConstraintError,
    },
}

/// What is wrong with one constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// Neither an attribute nor a pseudo-attribute is named, or both.
    #[error(
        "Exactly one of 'AttributeConstraint::Selector::name' or \
         'AttributeConstraint::Selector::pseudoattribute_type' must be set"
    )]
    Selector,
    /// Not a pseudo-attribute that this master knows.
    #[error("Unknown pseudoattribute type; known are HOSTNAME, REGION and ZONE")]
    UnknownPseudoattribute,
    /// No predicate, or one that this master does not know.
    #[error(
        "Unknown predicate type; exactly one of exists, not_exists, text_equals, text_not_equals, \
         text_matches and text_not_matches must be set"
    )]
    UnknownPredicate,
    /// The regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Which value of an agent a constraint is about.
#[derive(Clone, Debug, PartialEq)]
enum Selector {
    Hostname,
    Region,
    Zone,
    Attribute(String),
}

/// A value of an agent.
enum Value<'a> {
    Missing,
    Text(&'a str),
    /// An attribute that is a number, ranges or a set.
    NoText,
}

#[derive(Clone, Debug, PartialEq)]
enum Predicate {
    Exists,
    NotExists,
    TextEquals(String),
    TextNotEquals(String),
    TextMatches(Pattern),
    TextNotMatches(Pattern),
}

#[derive(Clone, Debug, PartialEq)]
struct Constraint {
    selector: Selector,
    predicate: Predicate,
}

/// Constraints that must all hold.
type Group = Vec<Constraint>;

/// A framework's constraints for one of its roles. Copies share the compiled constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleConstraints(Arc<[Group]>);

/// A framework's constraints, compiled. The default excludes no agent. Copies share the compiled constraints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfferConstraintsFilter {
    roles: BTreeMap<String, RoleConstraints>,
}

/// Why an agent is excluded: of each group the first constraint that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// One for each group; had one of them held, the agent would not be excluded.
    pub violations: Vec<Violation>,
}

/// A constraint that does not hold for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What the constraint is about: `hostname`, `region`, `zone`, or `attribute 'name'`.
    pub subject: String,
    /// What must be true of it: `must be 'x'`.
    pub rule: String,
    /// What it is: the text, or `None` if there is no such value.
    pub found: Option<String>,
}

impl OfferConstraintsFilter {
    /// Compiles what a framework sent.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order of the roles' names.
    pub fn new(constraints: &OfferConstraints, limits: RegexLimits) -> Result<Self, ConstraintsError> {
        let mut by_role: BTreeMap<&String, _> = BTreeMap::new();
        by_role.extend(constraints.role_constraints.iter());
        let mut roles = BTreeMap::new();
        for (role, constraints) in by_role {
            if constraints.groups.is_empty() {
                return Err(ConstraintsError::NoGroups(role.clone()));
            }
            let mut groups = Vec::with_capacity(constraints.groups.len());
            for group in &constraints.groups {
                if group.attribute_constraints.is_empty() {
                    return Err(ConstraintsError::EmptyGroup(role.clone()));
                }
                let compiled: Result<Group, _> = group
                    .attribute_constraints
                    .iter()
                    .map(|constraint| Constraint::new(constraint, limits))
                    .collect();
                groups.push(
                    compiled.map_err(|reason| ConstraintsError::Constraint { role: role.clone(), reason })?,
                );
            }
            roles.insert(role.clone(), RoleConstraints(groups.into()));
        }
        Ok(OfferConstraintsFilter { roles })
    }

    /// The constraints for a role; `None` if every agent will do.
    pub fn of_role(&self, role: &str) -> Option<&RoleConstraints> {
        self.roles.get(role)
    }

    /// Whether an agent is not to be offered to a role.
    pub fn is_agent_excluded(&self, role: &str, agent: &v1::AgentInfo) -> bool {
        self.of_role(role).is_some_and(|constraints| constraints.excludes(agent))
    }

    /// Why an agent is not to be offered to a role; `None` if it may be.
    pub fn why_excluded(&self, role: &str, agent: &v1::AgentInfo) -> Option<Exclusion> {
        self.of_role(role)?.why_excluded(agent)
    }
}

impl RoleConstraints {
    /// Whether an agent is not to be offered.
    pub fn excludes(&self, agent: &v1::AgentInfo) -> bool {
        !self.0.iter().any(|group| group.iter().all(|constraint| constraint.holds(agent)))
    }

    /// Why an agent is not to be offered; `None` if it may be.
    pub fn why_excluded(&self, agent: &v1::AgentInfo) -> Option<Exclusion> {
        let first_violation = |group: &Group| {
            group.iter().find(|constraint| !constraint.holds(agent)).map(|found| found.violation(agent))
        };
        let violations: Option<Vec<Violation>> = self.0.iter().map(first_violation).collect();
        violations.map(|violations| Exclusion { violations })
    }
}

impl Constraint {
    fn new(constraint: &AttributeConstraint, limits: RegexLimits) -> Result<Constraint, ConstraintError> {
        Ok(Constraint {
            selector: Selector::new(&constraint.selector)?,
            predicate: Predicate::new(&constraint.predicate, limits)?,
        })
    }

    fn holds(&self, agent: &v1::AgentInfo) -> bool {
        self.predicate.holds(&self.selector.value(agent))
    }

    fn violation(&self, agent: &v1::AgentInfo) -> Violation {
        let found = match self.selector.value(agent) {
            Value::Missing => None,
            Value::Text(text) => Some(format!("'{text}'")),
            Value::NoText => Some("not a text".to_owned()),
        };
        Violation { subject: self.selector.to_string(), rule: self.predicate.to_string(), found }
    }
}

impl Selector {
    fn new(selector: &attribute_constraint::Selector) -> Result<Selector, ConstraintError> {
        match (selector.pseudoattribute_type, &selector.attribute_name) {
            (Some(kind), None) => match PseudoattributeType::try_from(kind) {
                Ok(PseudoattributeType::Hostname) => Ok(Selector::Hostname),
                Ok(PseudoattributeType::Region) => Ok(Selector::Region),
                Ok(PseudoattributeType::Zone) => Ok(Selector::Zone),
                Ok(PseudoattributeType::Unknown) | Err(_) => Err(ConstraintError::UnknownPseudoattribute),
            },
            (None, Some(name)) => Ok(Selector::Attribute(name.clone())),
            _ => Err(ConstraintError::Selector),
        }
    }

    fn value<'a>(&self, agent: &'a v1::AgentInfo) -> Value<'a> {
        let domain = agent.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        let text = match self {
            Selector::Hostname => Some(&agent.hostname),
            Selector::Region => domain.map(|domain| &domain.region.name),
            Selector::Zone => domain.map(|domain| &domain.zone.name),
            Selector::Attribute(name) => {
                let Some(attribute) = agent.attributes.iter().find(|attribute| attribute.name == *name)
                else {
                    return Value::Missing;
                };
                if attribute.r#type() != v1::value::Type::Text {
                    return Value::NoText;
                }
                return Value::Text(attribute.text.as_ref().map_or("", |text| &text.value));
            }
        };
        text.map_or(Value::Missing, |text| Value::Text(text))
    }
}

impl Predicate {
    fn new(
        predicate: &attribute_constraint::Predicate,
        limits: RegexLimits,
    ) -> Result<Predicate, ConstraintError> {
        let attribute_constraint::Predicate {
            exists,
            not_exists,
            text_equals,
            text_not_equals,
            text_matches,
            text_not_matches,
        } = predicate;
        let mut set = Vec::new();
        set.extend(exists.as_ref().map(|_| Predicate::Exists));
        set.extend(not_exists.as_ref().map(|_| Predicate::NotExists));
        set.extend(text_equals.as_ref().map(|text| Predicate::TextEquals(text.value.clone())));
        set.extend(text_not_equals.as_ref().map(|text| Predicate::TextNotEquals(text.value.clone())));
        if let Some(pattern) = text_matches {
            set.push(Predicate::TextMatches(Pattern::new(&pattern.regex, limits)?));
        }
        if let Some(pattern) = text_not_matches {
            set.push(Predicate::TextNotMatches(Pattern::new(&pattern.regex, limits)?));
        }
        match set.pop() {
            Some(predicate) if set.is_empty() => Ok(predicate),
            _ => Err(ConstraintError::UnknownPredicate),
        }
    }

    /// See the table of the module.
    fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Predicate::Exists, Value::Missing) => false,
            (Predicate::Exists, _) => true,
            (Predicate::NotExists, Value::Missing) => true,
            (Predicate::NotExists, _) => false,
            (_, Value::NoText) => true,
            (Predicate::TextEquals(_) | Predicate::TextMatches(_), Value::Missing) => false,
            (Predicate::TextNotEquals(_) | Predicate::TextNotMatches(_), Value::Missing) => true,
            (Predicate::TextEquals(wanted), Value::Text(text)) => text == wanted,
            (Predicate::TextNotEquals(unwanted), Value::Text(text)) => text != unwanted,
            (Predicate::TextMatches(pattern), Value::Text(text)) => pattern.matches(text),
            (Predicate::TextNotMatches(pattern), Value::Text(text)) => !pattern.matches(text),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Hostname => f.write_str("hostname"),
            Selector::Region => f.write_str("region"),
            Selector::Zone => f.write_str("zone"),
            Selector::Attribute(name) => write!(f, "attribute '{name}'"),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predicate::Exists => f.write_str("must exist"),
            Predicate::NotExists => f.write_str("must not exist"),
            Predicate::TextEquals(text) => write!(f, "must be '{text}'"),
            Predicate::TextNotEquals(text) => write!(f, "must not be '{text}'"),
            Predicate::TextMatches(pattern) => write!(f, "must match '{}'", pattern.text()),
            Predicate::TextNotMatches(pattern) => write!(f, "must not match '{}'", pattern.text()),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.rule)?;
        match &self.found {
            Some(found) => write!(f, ", and is {found}"),
            None => f.write_str(", and is missing"),
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.violations.iter().enumerate() {
            if position > 0 {
                f.write_str("; or ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}
