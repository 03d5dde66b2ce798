//! One resource: a value and its identity. The identity that rarely changes (the descriptor) is
//! shared behind an `Arc`, so that resources clone cheaply and mostly compare by pointer; the role
//! it is allocated to stands beside it, because allocating is what happens most.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, OnceLock},
};

use super::{ResourceError, format, validate};
use crate::{
    ids::ResourceProviderId,
    roles,
    v1::{
        self, Labels,
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

/// What makes a resource this one, apart from its value and its allocation.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    pub(super) name: String,
    /// Outermost first; each is a refinement of the one before.
    pub(super) reservations: Vec<ReservationInfo>,
    pub(super) disk: Option<Box<DiskInfo>>,
    pub(super) revocable: bool,
    pub(super) shared: bool,
    pub(super) provider_id: Option<ResourceProviderId>,
    pub(super) fingerprint: Fingerprint,
}

/// A number that equal identities have in common, and different ones hardly ever: large bags look at
/// it before they compare. Worked out when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Fingerprint(OnceLock<u64>);

/// A descriptor is copied to be changed: the copy has none yet.
impl Clone for Fingerprint {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Descriptor {
    /// See [`Fingerprint`]. Must not look at anything that [`Self::same_as`] does not look at.
    fn fingerprint(&self) -> u64 {
        *self.fingerprint.0.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            (&self.name, self.revocable, self.shared, self.provider_id.is_some()).hash(&mut hasher);
            for reservation in &self.reservations {
                (reservation.r#type() as i32, &reservation.role, &reservation.principal).hash(&mut hasher);
                labels_fingerprint(reservation.labels.as_ref()).hash(&mut hasher);
            }
            if let Some(disk) = &self.disk {
                disk.persistence.as_ref().map(|persistence| &persistence.id).hash(&mut hasher);
                let source = disk.source.as_ref();
                source.map(|source| (source.r#type() as i32, &source.id, &source.profile)).hash(&mut hasher);
            }
            hasher.finish()
        })
    }

    fn same_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.revocable == other.revocable
            && self.shared == other.shared
            && self.reservations.len() == other.reservations.len()
            && self.reservations.iter().zip(&other.reservations).all(|(a, b)| same_reservation(a, b))
            && same_disk(self.disk.as_deref(), other.disk.as_deref())
            && self.provider_id == other.provider_id
    }

    /// Whether equal identities are nevertheless different things that do not add up: whole disks
    /// and persistent volumes.
    fn is_exclusive(&self) -> bool {
        let Some(disk) = &self.disk else { return false };
        let whole_disk = disk.source.as_ref().is_some_and(|source| match source.r#type() {
            source::Type::Mount | source::Type::Block => true,
            source::Type::Raw => source.id.is_some(),
            source::Type::Path | source::Type::Unknown => false,
        });
        whole_disk || disk.persistence.is_some()
    }
}

/// Reservations are equal whatever the order of their labels.
pub(super) fn same_reservation(left: &ReservationInfo, right: &ReservationInfo) -> bool {
    left.r#type() == right.r#type()
        && left.role == right.role
        && left.principal == right.principal
        && same_labels(left.labels.as_ref(), right.labels.as_ref())
}

pub(super) fn same_labels(left: Option<&Labels>, right: Option<&Labels>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return left.is_none() && right.is_none() };
    if left.labels.len() != right.labels.len() {
        return false;
    }
    let sorted = |labels: &Labels| {
        let mut pairs: Vec<_> = labels.labels.iter().map(|l| (l.key.clone(), l.value.clone())).collect();
        pairs.sort_unstable();
        pairs
    };
    left.labels == right.labels || sorted(left) == sorted(right)
}

/// The same whatever the order of the labels.
fn labels_fingerprint(labels: Option<&Labels>) -> Option<u64> {
    let fingerprint = |label: &v1::Label| {
        let mut hasher = DefaultHasher::new();
        (&label.key, &label.value).hash(&mut hasher);
        hasher.finish()
    };
    labels.map(|labels| labels.labels.iter().map(fingerprint).fold(0, u64::wrapping_add))
}

/// The volume says how a task uses the disk, not which disk it is: it does not count. Of the
/// persistence only the id does (upstream: `operator==` of `DiskInfo`).
fn same_disk(left: Option<&DiskInfo>, right: Option<&DiskInfo>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return left.is_none() && right.is_none() };
    let persistence = |disk: &DiskInfo| disk.persistence.as_ref().map(|p| p.id.clone());
    let source = match (&left.source, &right.source) {
        (None, None) => true,
        (Some(l), Some(r)) => {
            l.r#type() == r.r#type()
                && l.path == r.path
                && l.mount == r.mount
                && l.vendor == r.vendor
                && l.id == r.id
                && same_labels(l.metadata.as_ref(), r.metadata.as_ref())
                && l.profile == r.profile
        }
        _ => false,
    };
    source && persistence(left) == persistence(right)
}

/// One valid resource. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(super) descriptor: Arc<Descriptor>,
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
        let descriptor = Descriptor {
            name: name.to_owned(),
            reservations: Vec::new(),
            disk: None,
            revocable: false,
            shared: false,
            provider_id: None,
            fingerprint: Fingerprint::default(),
        };
        Self {
            descriptor: Arc::new(descriptor),
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
            provider_id: descriptor.provider_id.as_ref().map(Into::into),
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
                proto.set = Some(set.into());
            }
        }
        proto
    }

    pub(super) fn with_reservations(&self, reservations: Vec<ReservationInfo>) -> Self {
        Self {
            descriptor: Arc::new(Descriptor { reservations, ..(*self.descriptor).clone() }),
            ..self.clone()
        }
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
        Self { descriptor: Arc::new(descriptor), copies: 1, ..self.clone() }
    }

    /// Whether everything but the value is equal.
    pub(super) fn same_identity(&self, other: &Self) -> bool {
        self.value.same_kind(&other.value)
            && self.allocation == other.allocation
            && (Arc::ptr_eq(&self.descriptor, &other.descriptor)
                || self.descriptor.same_as(&other.descriptor))
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
        let value = validate::checked_value(proto)?;
        let mut reservations = proto.reservations.clone();
        if reservations.is_empty() {
            reservations.extend(format::implied_reservation(proto));
        }
        let descriptor = Descriptor {
            name: proto.name.clone(),
            reservations,
            disk: proto.disk.clone(),
            revocable: proto.revocable.is_some(),
            shared: proto.shared.is_some(),
            provider_id: proto.provider_id.as_ref().map(Into::into),
            fingerprint: Fingerprint::default(),
        };
        let allocation = proto.allocation_info.as_ref().and_then(|info| info.role.as_deref()).map(Arc::from);
        Ok(Self { descriptor: Arc::new(descriptor), allocation, value, copies: 1 })
    }
}
