//! Resource arithmetic: what an agent has, an offer holds, a task uses. [`Resources`] is a bag of
//! [`Resource`]s, each a value (scalar, ranges, set) with its identity: name, reservations, disk,
//! revocable, shared, provider, and the role it is allocated to. Only equal identities add up.
//! Always valid and without empty entries: what comes from outside is checked once, on conversion.
//! The rules are those of upstream's `src/common/resources.cpp`. Pure; talks to nobody.

mod arithmetic;
mod bag;
mod carriers;
mod conversion;
mod descriptor;
mod display;
mod error;
mod format;
mod lookup;
mod parse;
mod resource;
mod search;
mod summary;
mod validate;

pub use bag::Resources;
pub use carriers::{CarriesResources, operation_provider};
pub use conversion::{ResourceConversion, conversions, validate_and_upgrade_operation};
pub use error::ResourceError;
pub use format::{DowngradeError, downgrade, downgrade_all, to_endpoint, upgrade, upgrade_all};
pub use parse::{parse_unchecked, resource_from_text};
pub use resource::{Resource, ResourceValue};
pub use summary::Summary;
pub use validate::{validate, validate_all};

#[cfg(test)]
mod tests;
