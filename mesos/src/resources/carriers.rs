//! Messages that carry resources, so that all of them can be brought into another format or given
//! a role at once (upstream: `upgradeResources(Message*)`, `injectAllocationInfo`,
//! `stripAllocationInfo`).

use super::{DowngradeError, ResourceError, Resources, format};
use crate::{
    ids::ResourceProviderId,
    v1::{self, offer::Operation, offer::operation::Type, resource::AllocationInfo},
};

/// A message with resources in it.
pub trait CarriesResources {
    /// All of its resources, in the order of the message's fields.
    fn resource_lists(&mut self) -> Vec<&mut [v1::Resource]>;

    /// Brings them into the format after reservation refinement.
    fn upgrade_resources(&mut self) {
        self.resource_lists().into_iter().for_each(format::upgrade_all);
    }

    /// Brings them into the format before reservation refinement.
    ///
    /// # Errors
    /// When one is refined; those before it are converted by then.
    fn downgrade_resources(&mut self) -> Result<(), DowngradeError> {
        self.resource_lists().into_iter().try_for_each(format::downgrade_all)
    }

    /// Says that those which say nothing are allocated to the role.
    fn inject_allocation(&mut self, role: &str) {
        for resource in self.resource_lists().into_iter().flatten() {
            resource.allocation_info.get_or_insert_with(|| AllocationInfo { role: Some(role.to_owned()) });
        }
    }

    /// Forgets to whom they are allocated.
    fn strip_allocation(&mut self) {
        for resource in self.resource_lists().into_iter().flatten() {
            resource.allocation_info = None;
        }
    }
}

macro_rules! carry_their_own {
    ($($message:ty)*) => {$(
        impl CarriesResources for $message {
            fn resource_lists(&mut self) -> Vec<&mut [v1::Resource]> {
                vec![&mut self.resources]
            }
        }
    )*};
}

carry_their_own! { v1::ExecutorInfo v1::Task v1::Offer v1::AgentInfo }

impl CarriesResources for v1::TaskInfo {
    fn resource_lists(&mut self) -> Vec<&mut [v1::Resource]> {
        let executor = self.executor.as_mut().map(|executor| &mut executor.resources[..]);
        std::iter::once(&mut self.resources[..]).chain(executor).collect()
    }
}

/// What the operation's type says, not what stands in other parts.
impl CarriesResources for Operation {
    fn resource_lists(&mut self) -> Vec<&mut [v1::Resource]> {
        fn one(resource: &mut v1::Resource) -> &mut [v1::Resource] {
            std::slice::from_mut(resource)
        }
        let lists = match self.r#type() {
            Type::Reserve => self.reserve.as_mut().map(|p| vec![&mut p.resources[..], &mut p.source[..]]),
            Type::Unreserve => self.unreserve.as_mut().map(|p| vec![&mut p.resources[..]]),
            Type::Create => self.create.as_mut().map(|p| vec![&mut p.volumes[..]]),
            Type::Destroy => self.destroy.as_mut().map(|p| vec![&mut p.volumes[..]]),
            Type::GrowVolume => {
                self.grow_volume.as_mut().map(|p| vec![one(&mut p.volume), one(&mut p.addition)])
            }
            Type::ShrinkVolume => self.shrink_volume.as_mut().map(|p| vec![one(&mut p.volume)]),
            Type::CreateDisk => self.create_disk.as_mut().map(|p| vec![one(&mut p.source)]),
            Type::DestroyDisk => self.destroy_disk.as_mut().map(|p| vec![one(&mut p.source)]),
            Type::Launch => self
                .launch
                .as_mut()
                .map(|p| p.task_infos.iter_mut().flat_map(CarriesResources::resource_lists).collect()),
            Type::LaunchGroup => self.launch_group.as_mut().map(|p| {
                let tasks = p.task_group.tasks.iter_mut().flat_map(CarriesResources::resource_lists);
                std::iter::once(&mut p.executor.resources[..]).chain(tasks).collect()
            }),
            Type::Unknown => None,
        };
        lists.unwrap_or_default()
    }
}

/// The resource provider of the resources that an operation is about; `None`: the agent itself.
///
/// # Errors
/// For launches, which can be about several, and operations without resources.
pub fn operation_provider(operation: &Operation) -> Result<Option<ResourceProviderId>, ResourceError> {
    let wrong = |text: String| Err(ResourceError::Operation(text));
    let first = match operation.r#type() {
        kind @ (Type::Launch | Type::LaunchGroup) => {
            return wrong(format!("Unexpected {} operation", kind.as_str_name()));
        }
        Type::Unknown => return wrong("Unknown offer operation".into()),
        Type::Reserve => operation.reserve.as_ref().and_then(|p| p.resources.first()),
        Type::Unreserve => operation.unreserve.as_ref().and_then(|p| p.resources.first()),
        Type::Create => operation.create.as_ref().and_then(|p| p.volumes.first()),
        Type::Destroy => operation.destroy.as_ref().and_then(|p| p.volumes.first()),
        Type::GrowVolume => operation.grow_volume.as_ref().map(|p| &p.volume),
        Type::ShrinkVolume => operation.shrink_volume.as_ref().map(|p| &p.volume),
        Type::CreateDisk => operation.create_disk.as_ref().map(|p| &p.source),
        Type::DestroyDisk => operation.destroy_disk.as_ref().map(|p| &p.source),
    };
    let Some(first) = first else { return wrong("Operation contains no resources".into()) };
    Ok(first.provider_id.as_deref().map(Into::into))
}

impl Resources {
    /// The one resource provider of all of them; `None`: the agent itself.
    ///
    /// # Errors
    /// When there is nothing, or they are of several.
    pub fn provider(&self) -> Result<Option<&ResourceProviderId>, ResourceError> {
        let wrong = |text: &str| Err(ResourceError::Operation(text.to_owned()));
        let Some(first) = self.iter().next() else {
            return wrong("Cannot determine resource provider for empty resources");
        };
        if self.iter().any(|resource| resource.provider_id() != first.provider_id()) {
            return wrong("Resources are from multiple resource providers");
        }
        Ok(first.provider_id())
    }

    /// The reservations that both bags begin with, on the same resources otherwise: what stays when
    /// one is made of the other (upstream: `getReservationAncestor`). `None` when the bags differ in
    /// more than their reservations, or are empty.
    #[must_use]
    pub fn reservation_ancestor(&self, other: &Self) -> Option<Self> {
        let bare = self.to_unreserved();
        if bare != other.to_unreserved() {
            return None;
        }
        let (mine, theirs) = (self.iter().next()?.reservations(), other.iter().next()?.reservations());
        let common = mine.iter().zip(theirs).take_while(|(a, b)| super::descriptor::same_reservation(a, b));
        common.map(|(reservation, _)| reservation).try_fold(bare, |bag, r| bag.push_reservation(r).ok())
    }
}
