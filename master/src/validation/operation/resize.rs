//! GROW_VOLUME and SHRINK_VOLUME.

use mesos::v1::offer::operation::{GrowVolume, ShrinkVolume};
use mesos::v1::resource::disk_info::source;
use mesos::{Resource, Resources, Scalar, v1};

use super::super::{Checked, Invalid, refuse_if, refuse_if_with};
use super::validate_volumes;
use crate::cluster::Agent;

fn read(resource: &v1::Resource, field: &str) -> Result<Resource, Invalid> {
    Resource::try_from(resource)
        .map_err(|error| Invalid(format!("Invalid resource in the '{field}' field: {error}")))
}

pub(super) fn grow(grow: &GrowVolume, agent: &Agent) -> Checked {
    let volume = read(&grow.volume, "GrowVolume.volume")?;
    // An addition of nothing is no resource; what is wrong with it is said in upstream's later words.
    let size = grow.addition.scalar.as_ref().map(Scalar::from).unwrap_or_default();
    refuse_if(!size.is_positive(), "The size of 'GrowVolume.addition' field must be greater than zero")?;
    let addition = read(&grow.addition, "GrowVolume.addition")?;
    refuse_if(volume.provider_id().is_some(), "Growing a volume from a resource provider is not supported")?;
    validate_volumes(std::slice::from_ref(&volume))
        .map_err(|error| error.within("Invalid persistent volume in the 'GrowVolume.volume' field"))?;
    refuse_if(volume.is_shared(), "Growing a shared persistent volume is not supported")?;
    let together: Resources = [volume.without_persistence(), addition].into_iter().collect();
    refuse_if(
        together.len() != 1,
        "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields",
    )?;
    refuse_if_with(!agent.capabilities.resize_volume, || {
        format!("Volume {volume} cannot be grown on an agent without RESIZE_VOLUME capability")
    })
}

pub(super) fn shrink(shrink: &ShrinkVolume, agent: &Agent) -> Checked {
    let volume = read(&shrink.volume, "ShrinkVolume.volume")?;
    let subtract = Scalar::from(&shrink.subtract);
    refuse_if(!subtract.is_positive(), "Value of 'ShrinkVolume.subtract' must be greater than zero")?;
    refuse_if(
        volume.scalar().is_none_or(|size| size <= subtract),
        "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'",
    )?;
    refuse_if(
        volume.provider_id().is_some(),
        "Shrinking a volume from a resource provider is not supported",
    )?;
    refuse_if(volume.is_disk(source::Type::Mount), "Shrinking a volume on a MOUNT disk is not supported")?;
    validate_volumes(std::slice::from_ref(&volume))
        .map_err(|error| error.within("Invalid persistent volume in the 'ShrinkVolume.volume' field"))?;
    refuse_if(volume.is_shared(), "Shrinking a shared persistent volume is not supported")?;
    refuse_if_with(!agent.capabilities.resize_volume, || {
        format!("Volume {volume} cannot be shrunk on an agent without RESIZE_VOLUME capability")
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn provided(resource: v1::Resource) -> v1::Resource {
        v1::Resource { provider_id: Some(Box::new(v1::ResourceProviderId { value: "p".into() })), ..resource }
    }

    fn grown(volume: v1::Resource, addition: v1::Resource) -> Result<(), String> {
        grow(&GrowVolume { volume, addition }, &agent()).map_err(|error| error.0)
    }

    fn shrunk(volume: v1::Resource, subtract: f64) -> Result<(), String> {
        let subtract = v1::value::Scalar { value: subtract };
        shrink(&ShrinkVolume { volume, subtract }, &agent()).map_err(|error| error.0)
    }

    /// Upstream: `GrowVolumeOperationValidationTest`: `Valid`, `NonPersistentVolume`, `ZeroAddition`, `IncompatibleDisk`,
    /// `Shared`, `ResourceProvider`, `Mount`.
    #[test]
    fn a_volume_grows_by_free_disk_of_the_same_kind() {
        let own = || volume("a", "v", 64.0);
        assert_eq!(grown(own(), disk("a", 8.0)), Ok(()));
        for (volume, addition, expected) in [
            (disk("a", 64.0), disk("a", 8.0), "does not have DiskInfo"),
            (own(), disk("a", 0.0), "must be greater than zero"),
            (own(), disk("b", 8.0), "Incompatible resources in the"),
            (shared(own()), disk("a", 8.0), "Growing a shared persistent volume is not supported"),
            (provided(own()), disk("a", 8.0), "from a resource provider is not supported"),
            (on_mount(own()), on_mount(disk("a", 8.0)), "Incompatible resources in the"),
        ] {
            let text = grown(volume, addition).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
    }

    /// Upstream: `ShrinkVolumeOperationValidationTest`: `Valid`, `NonPersistentVolume`, `ZeroSubtract`, `EmptyAfterShrink`,
    /// `Mount`, `Shared`, `ResourceProvider`.
    #[test]
    fn a_volume_shrinks_by_less_than_it_has() {
        let own = || volume("a", "v", 64.0);
        assert_eq!(shrunk(own(), 8.0), Ok(()));
        for (volume, subtract, expected) in [
            (disk("a", 64.0), 8.0, "does not have DiskInfo"),
            (own(), 0.0, "must be greater than zero"),
            (own(), 64.0, "must be smaller than the size"),
            (on_mount(own()), 8.0, "on a MOUNT disk is not supported"),
            (shared(own()), 8.0, "Shrinking a shared persistent volume is not supported"),
            (provided(own()), 8.0, "from a resource provider is not supported"),
        ] {
            let text = shrunk(volume, subtract).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
    }

    /// Upstream: `MissingCapability` (of both).
    #[test]
    fn an_agent_must_know_how_to_resize() {
        let (volume, addition) = (volume("a", "v", 64.0), disk("a", 8.0));
        let subtract = v1::value::Scalar { value: 8.0 };
        for text in [
            grow(&GrowVolume { volume: volume.clone(), addition }, &old_agent()),
            shrink(&ShrinkVolume { volume, subtract }, &old_agent()),
        ] {
            assert!(text.unwrap_err().0.contains("without RESIZE_VOLUME capability"));
        }
    }
}
