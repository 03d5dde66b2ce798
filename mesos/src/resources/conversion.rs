//! Operations on resources as conversions: what they consume and what they make of it (upstream:
//! `getResourceConversions` and `validateAndUpgradeResources` in `src/common/resources_utils.cpp`).
//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME convert here; LAUNCH,
//! LAUNCH_GROUP, CREATE_DISK and DESTROY_DISK do not.

use super::{CarriesResources as _, Resource, ResourceError, ResourceValue, Resources, validate};
use crate::{
    quantities::ResourceQuantities,
    v1::{self, offer::Operation, offer::operation},
    values::Scalar,
};

/// One step of an operation.
#[derive(Clone, PartialEq, Debug)]
pub struct ResourceConversion {
    /// What must be there and is taken away.
    pub consumed: Resources,
    /// What is there instead.
    pub converted: Resources,
    /// What must not be there afterwards: a destroyed volume of which there are more copies.
    pub gone: Option<Resource>,
}

impl ResourceConversion {
    /// Consumes one thing and makes another of it.
    #[must_use]
    pub fn new(consumed: Resources, converted: Resources) -> Self {
        Self { consumed, converted, gone: None }
    }

    /// Applies the step.
    ///
    /// # Errors
    /// [`ResourceError::NotContained`], [`ResourceError::SharedCopies`].
    pub fn apply(&self, resources: Resources) -> Result<Resources, ResourceError> {
        if !resources.contains(&self.consumed) {
            return Err(ResourceError::NotContained {
                resources: resources.to_string(),
                consumed: self.consumed.to_string(),
            });
        }
        let result = resources - &self.consumed + &self.converted;
        match &self.gone {
            Some(volume) if result.contains_resource(volume) => {
                Err(ResourceError::SharedCopies(volume.to_string()))
            }
            _ => Ok(result),
        }
    }
}

impl Resources {
    /// Applies an operation whose resources are valid and in the format after refinement (see
    /// [`validate_and_upgrade_operation`]).
    ///
    /// # Errors
    /// When the operation has no conversions, consumes what is not there, or would change an amount.
    pub fn apply(&self, operation: &Operation) -> Result<Self, ResourceError> {
        let conversions = conversions(operation)
            .map_err(|error| ResourceError::Operation(format!("Cannot get conversions: {error}")))?;
        let result = self.apply_conversions(&conversions)?;
        if ResourceQuantities::from_resources(&result) != ResourceQuantities::from_resources(self) {
            return Err(ResourceError::Operation(format!(
                "operation would change the amounts of {self} to {result}"
            )));
        }
        Ok(result)
    }

    /// Applies steps in order.
    ///
    /// # Errors
    /// The first step's that fails; nothing is changed then.
    pub fn apply_conversions(&self, conversions: &[ResourceConversion]) -> Result<Self, ResourceError> {
        conversions.iter().try_fold(self.clone(), |resources, step| step.apply(resources))
    }

    /// Finds the checkpointed dynamic reservations and volumes in the resources that an agent was
    /// started with (upstream: `applyCheckpointedResources`).
    ///
    /// # Errors
    /// When the agent's resources are no longer large enough for what was made of them.
    pub fn apply_checkpointed(&self, checkpointed: &Self) -> Result<Self, ResourceError> {
        let mut total = self.clone();
        for resource in checkpointed.iter() {
            if !resource.needs_checkpointing() {
                return Err(ResourceError::Operation(format!(
                    "Unexpected checkpointed resources {resource}"
                )));
            }
            let original = original_of(resource);
            if !total.contains_resource(&original) {
                return Err(ResourceError::Operation(format!(
                    "Incompatible agent resources: {total} does not contain {original}"
                )));
            }
            total -= &original;
            total += resource;
        }
        Ok(total)
    }
}

/// What the agent was started with before somebody reserved it and made a volume of it.
fn original_of(resource: &Resource) -> Resource {
    use v1::resource::reservation_info::Type;
    let mut original = resource.clone();
    if resource.is_dynamically_reserved() {
        let first = resource.reservations().first().filter(|r| r.r#type() == Type::Static);
        original = resource.with_reservations(first.cloned().into_iter().collect());
    }
    if resource.is_persistent_volume() { original.without_persistence() } else { original }
}

/// The steps of an operation. Its resources must be valid and in the format after refinement.
///
/// # Errors
/// For operations that are no conversions, and messages without their part.
pub fn conversions(operation: &Operation) -> Result<Vec<ResourceConversion>, ResourceError> {
    use operation::Type;
    let missing = || {
        ResourceError::Operation(format!("{} operation without its part", operation.r#type().as_str_name()))
    };
    match operation.r#type() {
        Type::Unknown => Err(ResourceError::Operation("Unknown operation".into())),
        Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            Err(ResourceError::Operation("Operation not supported".into()))
        }
        Type::Reserve => reserve(operation.reserve.as_ref().ok_or_else(missing)?),
        Type::Unreserve => {
            let reserved = &operation.unreserve.as_ref().ok_or_else(missing)?.resources;
            reserved.iter().map(unreserve).collect()
        }
        Type::Create => {
            let volumes = &operation.create.as_ref().ok_or_else(missing)?.volumes;
            volumes.iter().map(create).collect()
        }
        Type::Destroy => {
            let volumes = &operation.destroy.as_ref().ok_or_else(missing)?.volumes;
            volumes.iter().map(destroy).collect()
        }
        Type::GrowVolume => {
            let grow = operation.grow_volume.as_ref().ok_or_else(missing)?;
            grow_volume(&Resource::try_from(&grow.volume)?, &Resource::try_from(&grow.addition)?)
        }
        Type::ShrinkVolume => {
            let shrink = operation.shrink_volume.as_ref().ok_or_else(missing)?;
            shrink_volume(&Resource::try_from(&shrink.volume)?, Scalar::from(&shrink.subtract))
        }
    }
}

/// With a `source`, that is consumed; else one reservation is pushed.
fn reserve(reserve: &operation::Reserve) -> Result<Vec<ResourceConversion>, ResourceError> {
    let reserved = Resources::try_from_protos(&reserve.resources)?;
    let consumed = if reserve.source.is_empty() {
        popped(&reserved)?
    } else {
        Resources::try_from_protos(&reserve.source)?
    };
    Ok(vec![ResourceConversion::new(consumed, reserved)])
}

fn popped(reserved: &Resources) -> Result<Resources, ResourceError> {
    reserved.pop_reservation().ok_or_else(|| ResourceError::Operation(format!("{reserved} is not reserved")))
}

fn unreserve(reserved: &v1::Resource) -> Result<ResourceConversion, ResourceError> {
    let reserved = Resources::from(Resource::try_from(reserved)?);
    let converted = popped(&reserved)?;
    Ok(ResourceConversion::new(reserved, converted))
}

fn create(volume: &v1::Resource) -> Result<ResourceConversion, ResourceError> {
    let volume = Resource::try_from(volume)?;
    Ok(ResourceConversion::new(volume.without_persistence().into(), volume.into()))
}

fn destroy(volume: &v1::Resource) -> Result<ResourceConversion, ResourceError> {
    let volume = Resource::try_from(volume)?;
    let freed = volume.without_persistence();
    Ok(ResourceConversion { consumed: volume.clone().into(), converted: freed.into(), gone: Some(volume) })
}

fn agents_own(volume: &Resource) -> Result<Scalar, ResourceError> {
    if volume.provider_id().is_some() {
        return Err(ResourceError::Operation("Operation not supported for resource provider".into()));
    }
    volume.scalar().ok_or_else(|| ResourceError::Operation(format!("{volume} is not a scalar")))
}

fn grow_volume(volume: &Resource, addition: &Resource) -> Result<Vec<ResourceConversion>, ResourceError> {
    let size = agents_own(volume)? + addition.scalar().unwrap_or_default();
    let grown = volume.with_value(ResourceValue::Scalar(size));
    let consumed: Resources = [volume.clone(), addition.clone()].into_iter().collect();
    Ok(vec![ResourceConversion::new(consumed, grown.into())])
}

fn shrink_volume(volume: &Resource, subtract: Scalar) -> Result<Vec<ResourceConversion>, ResourceError> {
    let size = agents_own(volume)?;
    if !subtract.is_positive() || subtract >= size {
        return Err(ResourceError::Operation(format!("cannot shrink {volume} by {subtract}")));
    }
    let shrunk = volume.with_value(ResourceValue::Scalar(size - subtract));
    let freed = volume.without_persistence().with_value(ResourceValue::Scalar(subtract));
    Ok(vec![ResourceConversion::new(volume.clone().into(), [shrunk, freed].into_iter().collect())])
}

/// Checks that an operation from outside has its part, that its resources are valid, and brings
/// them into the format after refinement.
///
/// # Errors
/// [`ResourceError`], with upstream's texts.
pub fn validate_and_upgrade_operation(operation: &mut Operation) -> Result<(), ResourceError> {
    check_part(operation)?;
    for list in operation.resource_lists() {
        validate::validate_all(list)?;
    }
    operation.upgrade_resources();
    Ok(())
}

/// Each type needs the part that belongs to it. Upstream's texts differ a little from type to type.
fn check_part(operation: &Operation) -> Result<(), ResourceError> {
    use operation::Type;
    let kind = operation.r#type();
    let (there, article, noun, stop) = match kind {
        Type::Unknown => return Err(ResourceError::Operation("Unknown offer operation".into())),
        Type::Reserve => (operation.reserve.is_some(), "A", "offer operation", "."),
        Type::Unreserve => (operation.unreserve.is_some(), "An", "offer operation", "."),
        Type::Create => (operation.create.is_some(), "A", "offer operation", "."),
        Type::Destroy => (operation.destroy.is_some(), "A", "offer operation", "."),
        Type::GrowVolume => (operation.grow_volume.is_some(), "A", "operation", ""),
        Type::ShrinkVolume => (operation.shrink_volume.is_some(), "A", "offer operation", ""),
        Type::Launch => (operation.launch.is_some(), "A", "offer operation", "."),
        Type::LaunchGroup => (operation.launch_group.is_some(), "A", "offer operation", "."),
        Type::CreateDisk => (operation.create_disk.is_some(), "A", "offer operation", "."),
        Type::DestroyDisk => (operation.destroy_disk.is_some(), "A", "offer operation", "."),
    };
    if there {
        return Ok(());
    }
    let (name, field) = (kind.as_str_name(), kind.as_str_name().to_lowercase());
    Err(ResourceError::Operation(format!(
        "{article} {name} {noun} must have the Offer.Operation.{field} field set{stop}"
    )))
}
