//! Typed ids, so that one kind cannot be passed for another: frameworks, agents, tasks, offers,
//! executors, operations, resource providers, containers. All share their text (`Arc<str>`): a clone
//! is one counter. Converted from and to the protocol's messages at the boundary. An id held here
//! need not be valid: what came from outside is checked with [`crate::validation::validate_id`].

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::v1;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// An id with this text; not checked.
            #[must_use]
            pub fn new(value: impl Into<Arc<str>>) -> Self {
                Self(value.into())
            }

            /// The id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The protocol's message for it.
            #[must_use]
            pub fn to_proto(&self) -> v1::$name {
                v1::$name { value: self.0.to_string() }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<v1::$name> for $name {
            fn from(id: v1::$name) -> Self {
                Self(id.value.into())
            }
        }

        impl From<&v1::$name> for $name {
            fn from(id: &v1::$name) -> Self {
                Self(id.value.as_str().into())
            }
        }

        impl From<$name> for v1::$name {
            fn from(id: $name) -> Self {
                id.to_proto()
            }
        }

        impl From<&$name> for v1::$name {
            fn from(id: &$name) -> Self {
                id.to_proto()
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into())
            }
        }

        /// Maps keyed by the id can be asked with a plain string.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

ids! {
    /// A framework, `<master id>-0000`; given by the master that first admitted it.
    FrameworkId;
    /// An agent, `<master id>-S0`; given by the master ("slave id" on the wire).
    AgentId;
    /// A task; chosen by its framework, unique among the framework's live tasks.
    TaskId;
    /// An offer, `<master id>-O0`; given by the master.
    OfferId;
    /// An executor; chosen by its framework, unique on an agent within the framework.
    ExecutorId;
    /// An operation on resources; chosen by its framework.
    OperationId;
    /// A provider of resources on an agent; given by the agent.
    ResourceProviderId;
}

/// A container on an agent: a name of its own and, when it runs inside another, that one's id.
/// Printed as upstream does: `parent.child`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId {
    value: Arc<str>,
    parent: Option<Arc<ContainerId>>,
}

impl ContainerId {
    /// A container that is in no other.
    #[must_use]
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self { value: value.into(), parent: None }
    }

    /// A container inside this one.
    #[must_use]
    pub fn nested(&self, value: impl Into<Arc<str>>) -> Self {
        Self { value: value.into(), parent: Some(Arc::new(self.clone())) }
    }

    /// Its own name, without its parents'.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// The container it is in.
    #[must_use]
    pub fn parent(&self) -> Option<&Self> {
        self.parent.as_deref()
    }

    /// The outermost container, perhaps itself.
    #[must_use]
    pub fn root(&self) -> &Self {
        let mut id = self;
        while let Some(parent) = id.parent() {
            id = parent;
        }
        id
    }

    /// The protocol's message for it.
    #[must_use]
    pub fn to_proto(&self) -> v1::ContainerId {
        v1::ContainerId {
            value: self.value.to_string(),
            parent: self.parent().map(|parent| Box::new(parent.to_proto())),
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent() {
            write!(f, "{parent}.")?;
        }
        f.write_str(&self.value)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As its text, `parent.child`.
impl Serialize for ContainerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<&v1::ContainerId> for ContainerId {
    fn from(id: &v1::ContainerId) -> Self {
        // The decoder limits how deep a message can nest, so this recursion is bounded.
        Self {
            value: id.value.as_str().into(),
            parent: id.parent.as_deref().map(|parent| Arc::new(parent.into())),
        }
    }
}

impl From<v1::ContainerId> for ContainerId {
    fn from(id: v1::ContainerId) -> Self {
        Self::from(&id)
    }
}

impl From<&ContainerId> for v1::ContainerId {
    fn from(id: &ContainerId) -> Self {
        id.to_proto()
    }
}

/// Whether bytes are a UUID whose version is known (upstream: `id::UUID::fromBytes`).
#[must_use]
pub fn is_uuid(bytes: &[u8]) -> bool {
    uuid::Uuid::from_slice(bytes).is_ok_and(|uuid| (1..=5).contains(&uuid.get_version_num()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn ids_go_to_the_protocol_and_back() {
        let id = FrameworkId::new("20200101-0000");
        assert_eq!(FrameworkId::from(id.to_proto()), id);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"20200101-0000\"");
        assert_eq!(serde_json::from_str::<FrameworkId>("\"20200101-0000\"").unwrap(), id);
    }

    #[test]
    fn a_map_by_id_can_be_asked_with_a_string() {
        let map = BTreeMap::from([(TaskId::from("t1"), 1)]);
        assert_eq!(map.get("t1"), Some(&1));
    }

    #[test]
    fn nested_containers_print_their_parents_first() {
        let child = ContainerId::new("p").nested("c").nested("d");
        assert_eq!(child.to_string(), "p.c.d");
        assert_eq!(child.root(), &ContainerId::new("p"));
        assert_eq!(ContainerId::from(child.to_proto()), child);
    }
}
