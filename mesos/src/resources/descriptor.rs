//! What makes a resource this one, and how that is shared.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Deref,
    sync::{Arc, LazyLock, OnceLock},
};

use crate::{
    ids::ResourceProviderId,
    v1::{
        LabelRef, Labels,
        resource::{DiskInfo, ReservationInfo, disk_info::source},
    },
};

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

/// A descriptor and all resources that it describes. Most resources of most tasks are plain and have a usual name: what
/// describes these is there once, and nobody counts who looks at it.
#[derive(Clone, Debug)]
pub(super) enum SharedDescriptor {
    /// One of [`USUAL`].
    Usual(&'static Descriptor),
    /// Any other, and what became plain because something was taken from it.
    Counted(Arc<Descriptor>),
}

/// The plain resources that an agent finds by itself (upstream: `Containerizer::resources`).
static USUAL: LazyLock<[Descriptor; 5]> =
    LazyLock::new(|| ["cpus", "mem", "disk", "ports", "gpus"].map(Descriptor::plain));

impl SharedDescriptor {
    /// That of a resource of this name that is nothing else.
    pub(super) fn plain(name: &str) -> Self {
        match USUAL.iter().find(|usual| usual.name == name) {
            Some(usual) => Self::Usual(usual),
            None => Self::Counted(Arc::new(Descriptor::plain(name))),
        }
    }
}

impl Deref for SharedDescriptor {
    type Target = Descriptor;

    fn deref(&self) -> &Descriptor {
        match self {
            Self::Usual(descriptor) => descriptor,
            Self::Counted(descriptor) => descriptor,
        }
    }
}

impl From<Descriptor> for SharedDescriptor {
    fn from(descriptor: Descriptor) -> Self {
        Self::Counted(Arc::new(descriptor))
    }
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
    pub(super) fn fingerprint(&self) -> u64 {
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

    /// A resource of this name that is nothing else.
    pub(super) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            reservations: Vec::new(),
            disk: None,
            revocable: false,
            shared: false,
            provider_id: None,
            fingerprint: Fingerprint::default(),
        }
    }

    /// Whether both are the same in all that counts.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
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
    pub(super) fn is_exclusive(&self) -> bool {
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
    fn sorted(labels: &Labels) -> Vec<(&str, &str)> {
        let mut sorted: Vec<_> = labels.iter().map(said).collect();
        sorted.sort_unstable();
        sorted
    }
    fn says_nothing(labels: &Labels) -> bool {
        labels.iter().any(|label| said(label).1.is_empty())
    }
    if left == right {
        return true;
    }
    // In another order they take as many bytes, but for values that may be lacking.
    let as_many_bytes = left.encoded().len() == right.encoded().len();
    (as_many_bytes || says_nothing(left) || says_nothing(right)) && sorted(left) == sorted(right)
}

/// What of a label counts: none is the same as an empty value, which is what some clients make of it (upstream:
/// `operator==` of `Label`).
fn said(label: LabelRef<'_>) -> (&str, &str) {
    (label.key, label.value.unwrap_or_default())
}

/// The same whatever the order of the labels.
fn labels_fingerprint(labels: Option<&Labels>) -> Option<u64> {
    let fingerprint = |label: LabelRef<'_>| {
        let mut hasher = DefaultHasher::new();
        said(label).hash(&mut hasher);
        hasher.finish()
    };
    labels.map(|labels| labels.iter().map(fingerprint).fold(0, u64::wrapping_add))
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

#[cfg(test)]
mod tests {
    use crate::{Resource, Scalar};

    #[test]
    fn plain_resources_with_usual_names_have_their_descriptors_in_common() {
        let one = |name: &str| Resource::from_scalar(name, Scalar::from_millis(1));
        let read = Resource::try_from(&one("mem").to_proto()).unwrap();
        assert!(std::ptr::eq(&*read.descriptor, &*one("mem").descriptor));
        assert_eq!(read, one("mem"));
        assert!(!std::ptr::eq(&*one("bananas").descriptor, &*one("bananas").descriptor));
        assert_eq!(one("bananas"), one("bananas"));
        assert_ne!(one("mem"), one("disk"));
    }
}
