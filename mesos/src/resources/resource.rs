//! One resource: a value and its identity. The identity that rarely changes (the descriptor) is
//! shared, so that resources clone cheaply and mostly compare by pointer; the role it is allocated to
//! stands beside it, because allocating is what happens most.

use std::sync::Arc;

use super::{
    ResourceError,
    descriptor::{Descriptor, SharedDescriptor},
    format, validate,
};
use crate::{
    ids::ResourceProviderId,
    roles,
    v1::{
        self,
        resource::{DiskInfo, ReservationInfo, disk_info::source, reservation_info},
    },
    values::{Ranges, Scalar, Set},
};

/// The amount of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResourceValue {
    /// `cpus`, `mem`, `disk`, ...
    Scalar(Scalar),
    /// `ports`, ...
    Ranges(Ranges),
    /// Named items.
    Set(Set),
}

impl ResourceValue {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }

    pub(super) fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether it is of the same kind, and as much or more.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => theirs <= mine,
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.contains(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.contains(theirs),
            _ => false,
        }
    }

    /// Values of different kinds have different identities and never meet here.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => *mine += *theirs,
            (Self::Ranges(mine), Self::Ranges(theirs)) => *mine += theirs,
            (Self::Set(mine), Self::Set(theirs)) => *mine += theirs,
            _ => {}
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => *mine = mine.minus_or_zero(*theirs),
            (Self::Ranges(mine), Self::Ranges(theirs)) => *mine -= theirs,
            (Self::Set(mine), Self::Set(theirs)) => *mine -= theirs,
            _ => {}
        }
    }
}

/// One valid resource. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(super) descriptor: SharedDescriptor,
    pub(super) allocation: Option<Arc<str>>,
    pub(super) value: ResourceValue,
    /// How often a shared resource is in the bag; 1 for others.
    pub(super) copies: u32,
}

impl Resource {
    /// `cpus`, `mem`, ...
    #[must_use]
    pub fn name(&self) -> &str {
        &self.descriptor.name
    }

    /// The amount.
    #[must_use]
    pub fn value(&self) -> &ResourceValue {
        &self.value
    }

    /// The amount of a scalar resource.
    #[must_use]
    pub fn scalar(&self) -> Option<Scalar> {
        if let ResourceValue::Scalar(scalar) = &self.value { Some(*scalar) } else { None }
    }

    /// The intervals of a ranges resource.
    #[must_use]
    pub fn ranges(&self) -> Option<&Ranges> {
        if let ResourceValue::Ranges(ranges) = &self.value { Some(ranges) } else { None }
    }

    /// The stack of reservations, outermost first.
    #[must_use]
    pub fn reservations(&self) -> &[ReservationInfo] {
        &self.descriptor.reservations
    }

    /// The role it is reserved for: that of the innermost reservation.
    #[must_use]
    pub fn reservation_role(&self) -> Option<&str> {
        self.descriptor.reservations.last().map(ReservationInfo::role)
    }

    /// Whether it is reserved, for the role if one is given.
    #[must_use]
    pub fn is_reserved(&self, role: Option<&str>) -> bool {
        self.reservation_role().is_some_and(|reserved| role.is_none_or(|role| role == reserved))
    }

    /// Whether it is reserved for nobody.
    #[must_use]
    pub fn is_unreserved(&self) -> bool {
        self.descriptor.reservations.is_empty()
    }

    /// Whether its innermost reservation was made at run time.
    #[must_use]
    pub fn is_dynamically_reserved(&self) -> bool {
        self.descriptor.reservations.last().is_some_and(|r| r.r#type() == reservation_info::Type::Dynamic)
    }

    /// Whether one reservation refines another.
    #[must_use]
    pub fn has_refined_reservations(&self) -> bool {
        self.descriptor.reservations.len() > 1
    }

    /// Whether a framework in the role can be offered it: unreserved, or reserved for the role or
    /// one above it.
    #[must_use]
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        self.reservation_role()
            .is_none_or(|reserved| reserved == role || roles::is_strict_subrole_of(role, reserved))
    }

    /// Whether it is reserved for the role or one below it.
    #[must_use]
    pub fn is_reserved_to_role_subtree(&self, role: &str) -> bool {
        self.reservation_role()
            .is_some_and(|reserved| reserved == role || roles::is_strict_subrole_of(reserved, role))
    }

    /// The role it is allocated to.
    #[must_use]
    pub fn allocation_role(&self) -> Option<&str> {
        self.allocation.as_deref()
    }

    /// Whether it is allocated to the role or one below it.
    #[must_use]
    pub fn is_allocated_to_role_subtree(&self, role: &str) -> bool {
        self.allocation_role()
            .is_some_and(|allocated| allocated == role || roles::is_strict_subrole_of(allocated, role))
    }

    /// Whether it may be taken back at any time.
    #[must_use]
    pub fn is_revocable(&self) -> bool {
        self.descriptor.revocable
    }

    /// Whether several tasks may use it at once.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.descriptor.shared
    }

    /// How often a shared resource is in its bag; 1 for others.
    #[must_use]
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// The disk's source, persistence and volume.
    #[must_use]
    pub fn disk(&self) -> Option<&DiskInfo> {
        self.descriptor.disk.as_deref()
    }

    /// The id of the persistent volume that it is.
    #[must_use]
    pub fn persistence_id(&self) -> Option<&str> {
        self.disk()?.persistence.as_ref().map(|persistence| persistence.id.as_str())
    }

    /// Whether it is a persistent volume.
    #[must_use]
    pub fn is_persistent_volume(&self) -> bool {
        self.persistence_id().is_some()
    }

    /// Whether it is a disk with a source of this type.
    #[must_use]
    pub fn is_disk(&self, kind: source::Type) -> bool {
        self.disk().and_then(|disk| disk.source.as_ref()).is_some_and(|source| source.r#type() == kind)
    }

    /// The resource provider that it comes from; none: the agent itself.
    #[must_use]
    pub fn provider_id(&self) -> Option<&ResourceProviderId> {
        self.descriptor.provider_id.as_ref()
    }

    /// Whether an agent must remember it across restarts: dynamic reservations and persistent
    /// volumes of its own (upstream: `needCheckpointing`).
    #[must_use]
    pub fn needs_checkpointing(&self) -> bool {
        self.provider_id().is_none() && (self.is_dynamically_reserved() || self.is_persistent_volume())
    }

    /// The same resource, reserved for nobody.
    #[must_use]
    pub fn to_unreserved(&self) -> Self {
        if self.is_unreserved() { self.clone() } else { self.with_reservations(Vec::new()) }
    }

    /// A plain scalar resource, unreserved.
    #[must_use]
    pub fn from_scalar(name: &str, amount: Scalar) -> Self {
        Self {
            descriptor: SharedDescriptor::plain(name),
            allocation: None,
            value: ResourceValue::Scalar(amount),
            copies: 1,
        }
    }

    /// The protocol's message, in the format after reservation refinement. A shared resource says
    /// nothing of its copies, as upstream's.
    #[must_use]
    pub fn to_proto(&self) -> v1::Resource {
        use v1::value::Type;
        let descriptor = &*self.descriptor;
        let mut proto = v1::Resource {
            name: descriptor.name.clone(),
            provider_id: descriptor.provider_id.as_ref().map(|id| Box::new(id.into())),
            reservations: descriptor.reservations.clone(),
            disk: descriptor.disk.clone(),
            revocable: descriptor.revocable.then(Default::default),
            shared: descriptor.shared.then(Default::default),
            allocation_info: self
                .allocation
                .as_ref()
                .map(|role| v1::resource::AllocationInfo { role: Some(role.to_string()) }),
            ..Default::default()
        };
        match &self.value {
            ResourceValue::Scalar(scalar) => {
                proto.set_type(Type::Scalar);
                proto.scalar = Some((*scalar).into());
            }
            ResourceValue::Ranges(ranges) => {
                proto.set_type(Type::Ranges);
                proto.ranges = Some(ranges.into());
            }
            ResourceValue::Set(set) => {
                proto.set_type(Type::Set);
                proto.set = Some(Box::new(set.into()));
            }
        }
        proto
    }

    pub(super) fn with_reservations(&self, reservations: Vec<ReservationInfo>) -> Self {
        let descriptor = Descriptor { reservations, ..(*self.descriptor).clone() };
        Self { descriptor: descriptor.into(), ..self.clone() }
    }

    pub(super) fn with_value(&self, value: ResourceValue) -> Self {
        Self { value, ..self.clone() }
    }

    /// The disk without its volume: what the volume was made of and leaves behind. Never shared.
    #[must_use]
    pub fn without_persistence(&self) -> Self {
        let mut descriptor = (*self.descriptor).clone();
        descriptor.disk = descriptor.disk.filter(|disk| disk.source.is_some()).map(|mut disk| {
            (disk.persistence, disk.volume) = (None, None);
            disk
        });
        descriptor.shared = false;
        Self { descriptor: descriptor.into(), copies: 1, ..self.clone() }
    }

    /// Whether everything but the value is equal (upstream: `compareResourceMetadata`).
    #[must_use]
    pub fn same_identity(&self, other: &Self) -> bool {
        self.value.same_kind(&other.value)
            && self.allocation == other.allocation
            && self.descriptor.same_as(&other.descriptor)
    }

    /// See [`super::Resources::is_alike`].
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        std::ptr::eq(&*self.descriptor, &*other.descriptor)
            && self.allocation == other.allocation
            && self.value == other.value
            && self.copies == other.copies
    }

    /// The same for all of one identity, whatever they are allocated to.
    pub(super) fn fingerprint(&self) -> u64 {
        self.descriptor.fingerprint()
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.descriptor.is_exclusive()
    }

    /// Whether the two become one entry in a bag.
    pub(super) fn is_addable(&self, other: &Self) -> bool {
        self.same_identity(other)
            && if self.is_shared() { self.value == other.value } else { !self.is_exclusive() }
    }

    /// Whether the other can be taken from this one. Whole things only as a whole.
    pub(super) fn is_subtractable(&self, other: &Self) -> bool {
        self.same_identity(other) && (!(self.is_shared() || self.is_exclusive()) || self.value == other.value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copies == 0 || self.value.is_empty()
    }

    /// Whether the other is part of this one.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.is_subtractable(other)
            && if self.is_shared() { self.copies >= other.copies } else { self.value.contains(&other.value) }
    }
}

/// The same identity, value and number of copies.
impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.copies == other.copies && self.value == other.value && self.same_identity(other)
    }
}

impl Eq for Resource {}

/// Checks the message, in either reservation format.
impl TryFrom<&v1::Resource> for Resource {
    type Error = ResourceError;

    fn try_from(proto: &v1::Resource) -> Result<Self, ResourceError> {
        Self::read(proto, &mut None)
    }
}

impl Resource {
    /// As `try_from`, for one of a list: they are mostly allocated to the same role, whose name then is there once.
    /// `role` is that of the one before.
    pub(super) fn read(proto: &v1::Resource, role: &mut Option<Arc<str>>) -> Result<Self, ResourceError> {
        let value = validate::checked_value(proto)?;
        let allocated = proto.allocation_info.as_ref().and_then(|info| info.role.as_deref());
        if role.as_deref() != allocated {
            *role = allocated.map(Arc::from);
        }
        let mut reservations = proto.reservations.clone();
        if reservations.is_empty() {
            reservations.extend(format::implied_reservation(proto));
        }
        let is_plain = reservations.is_empty()
            && proto.disk.is_none()
            && proto.revocable.is_none()
            && proto.shared.is_none()
            && proto.provider_id.is_none();
        let descriptor = if is_plain {
            SharedDescriptor::plain(&proto.name)
        } else {
            let descriptor = Descriptor {
                reservations,
                disk: proto.disk.clone(),
                revocable: proto.revocable.is_some(),
                shared: proto.shared.is_some(),
                provider_id: proto.provider_id.as_deref().map(Into::into),
                ..Descriptor::plain(&proto.name)
            };
            descriptor.into()
        };
        Ok(Self { descriptor, allocation: role.clone(), value, copies: 1 })
    }
}
