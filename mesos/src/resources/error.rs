//! Why something is not a resource, or an operation cannot be applied. The texts are upstream's
//! where schedulers and operators see them (`Resources::validate`, `Resources::parse`).

use crate::{
    roles::RoleError,
    values::{RangesError, SetError, ValueParseError},
};

/// See the module.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ResourceError {
    /// `name` is empty.
    #[error("Empty resource name")]
    EmptyName,
    /// `type` is no known value type.
    #[error("Invalid resource type")]
    UnknownType,
    /// `type` is TEXT.
    #[error("Unsupported resource type")]
    UnsupportedType,
    /// The value of the type is missing, or another one is set. Holds the type's word.
    #[error("Invalid {0} resource")]
    WrongValue(&'static str),
    /// Negative, too small to count, too large, or not a number.
    #[error("Invalid scalar resource: value <= 0")]
    ScalarRange,
    /// See [`RangesError`].
    #[error(transparent)]
    Ranges(#[from] RangesError),
    /// See [`SetError`].
    #[error(transparent)]
    Set(#[from] SetError),
    /// `disk` is set on something that is no disk.
    #[error("DiskInfo should not be set for {0} resource")]
    DiskInfoOnOther(String),
    /// A BLOCK or RAW disk has no mount point and no path.
    #[error("{what} should not be set for {source_type} disk source")]
    DiskSource {
        /// `Mount` or `Path`.
        what: &'static str,
        /// `BLOCK` or `RAW`.
        source_type: &'static str,
    },
    /// The disk's source has an unknown type.
    #[error("Unsupported 'DiskInfo.Source.Type' in '{0}'")]
    DiskSourceType(String),
    /// A role in it is not a role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The two reservation formats contradict each other, or one of them itself; the text says how.
    #[error("{0}")]
    Reservation(String),
    /// Only persistent volumes can be shared.
    #[error("Resource {0} cannot be shared")]
    SharedOther(String),
    /// Only persistent volumes can be shared.
    #[error("Only persistent volumes can be shared")]
    SharedDisk,
    /// One of several resources is invalid.
    #[error("Resource '{resource}' is invalid: {error}")]
    InList {
        /// The resource, as printed.
        resource: String,
        /// What is wrong with it.
        error: Box<ResourceError>,
    },
    /// One message has more resources than any agent could.
    #[error("{0} resources are more than the {max} that one message may have", max = super::bag::MAX_IN_MESSAGE)]
    TooMany(usize),
    /// Text form: `name:value` expected.
    #[error("Bad value for resources, missing or extra ':' in {0}")]
    Colon(String),
    /// Text form: `name(role)` expected.
    #[error("Bad value for resources, mismatched parentheses in {0}")]
    Parentheses(String),
    /// Text form: the value does not read.
    #[error("Failed to parse resource {name} value {value} error {error}")]
    Value {
        /// The resource's name.
        name: String,
        /// What stands behind the colon.
        value: String,
        /// What is wrong with it.
        error: ValueParseError,
    },
    /// Text form: the value is text.
    #[error("Bad type for resource {name} value {value} type {type_name}")]
    TextValue {
        /// The resource's name.
        name: String,
        /// What stands behind the colon.
        value: String,
        /// `TEXT`.
        type_name: &'static str,
    },
    /// JSON form: not an array of resources.
    #[error("Some JSON resources were not formatted properly: {0}")]
    Json(String),
    /// Not allowed when resources are given to a daemon; the text says what.
    #[error("{0}")]
    CommandLine(String),
    /// An operation's message lacks its part, or cannot be converted; the text says what.
    #[error("{0}")]
    Operation(String),
    /// An operation consumes what is not there.
    #[error("{resources} does not contain {consumed}")]
    NotContained {
        /// What there is.
        resources: String,
        /// What was wanted.
        consumed: String,
    },
    /// A shared volume is still used by others.
    #[error("Persistent volume {0} cannot be removed due to additional shared copies")]
    SharedCopies(String),
}
