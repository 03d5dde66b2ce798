//! Resources as upstream prints them in logs and error texts (`operator<<` in
//! `src/common/resources.cpp`):
//! `disk(allocated: r)(reservations: [(DYNAMIC,r,principal)])[MOUNT:/m,id:path]{REV}<SHARED>:10`.

use std::fmt;

use super::{Resource, ResourceValue, Resources};
use crate::{
    v1::{
        self, Labels, Volume,
        resource::{DiskInfo, ReservationInfo, disk_info, disk_info::source},
        value, volume,
    },
    values::Scalar,
};

/// `{key: value, key}`.
pub(super) struct LabelList<'a>(pub(super) &'a Labels);

impl fmt::Display for LabelList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, label) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            f.write_str(label.key)?;
            if let Some(value) = label.value {
                write!(f, ": {value}")?;
            }
        }
        f.write_str("}")
    }
}

/// `MOUNT:/path`, `RAW(vendor,id,profile)`.
pub(super) struct Source<'a>(pub(super) &'a disk_info::Source);

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0;
        let kind = source.r#type();
        f.write_str(kind.as_str_name())?;
        if kind == source::Type::Unknown {
            return Ok(());
        }
        if source.id.is_some() || source.profile.is_some() {
            return write!(f, "({},{},{})", source.vendor(), source.id(), source.profile());
        }
        let root = match kind {
            source::Type::Mount => source.mount.as_ref().and_then(|mount| mount.root.as_ref()),
            source::Type::Path => source.path.as_ref().and_then(|path| path.root.as_ref()),
            _ => None,
        };
        root.map_or(Ok(()), |root| write!(f, ":{root}"))
    }
}

struct Disk<'a>(&'a DiskInfo);

impl fmt::Display for Disk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.0.source {
            write!(f, "{}", Source(source))?;
        }
        if let Some(persistence) = &self.0.persistence {
            f.write_str(if self.0.source.is_some() { "," } else { "" })?;
            f.write_str(&persistence.id)?;
        }
        self.0.volume.as_ref().map_or(Ok(()), |volume| write!(f, ":{}", VolumePath(volume)))
    }
}

struct VolumePath<'a>(&'a Volume);

impl fmt::Display for VolumePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Volume { host_path, container_path, .. } = self.0;
        let Some(host_path) = host_path else { return f.write_str(container_path) };
        let mode = match volume::Mode::try_from(self.0.mode) {
            Ok(volume::Mode::Rw) => ":rw",
            Ok(volume::Mode::Ro) => ":ro",
            Err(_) => "",
        };
        write!(f, "{host_path}:{container_path}{mode}")
    }
}

struct Reservation<'a>(&'a ReservationInfo);

impl fmt::Display for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.0.r#type().as_str_name(), self.0.role())?;
        if let Some(principal) = &self.0.principal {
            write!(f, ",{principal}")?;
        }
        self.0.labels.as_ref().map_or(Ok(()), |labels| write!(f, ",{}", LabelList(labels)))
    }
}

/// Everything before the value.
struct Identity<'a> {
    name: &'a str,
    allocation: Option<&'a str>,
    reservations: &'a [ReservationInfo],
    disk: Option<&'a DiskInfo>,
    revocable: bool,
    shared: bool,
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(role) = self.allocation {
            write!(f, "(allocated: {role})")?;
        }
        for (index, reservation) in self.reservations.iter().enumerate() {
            f.write_str(if index == 0 { "(reservations: [" } else { "," })?;
            write!(f, "({})", Reservation(reservation))?;
        }
        f.write_str(if self.reservations.is_empty() { "" } else { "])" })?;
        if let Some(disk) = self.disk {
            write!(f, "[{}]", Disk(disk))?;
        }
        f.write_str(if self.revocable { "{REV}" } else { "" })?;
        f.write_str(if self.shared { "<SHARED>" } else { "" })
    }
}

/// A message that need not be valid.
pub(super) struct Proto<'a>(pub(super) &'a v1::Resource);

impl fmt::Display for Proto<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.0;
        let allocation = resource.allocation_info.as_ref().map(v1::resource::AllocationInfo::role);
        let identity = Identity {
            name: &resource.name,
            allocation,
            reservations: &resource.reservations,
            disk: resource.disk.as_deref(),
            revocable: resource.revocable.is_some(),
            shared: resource.shared.is_some(),
        };
        write!(f, "{identity}:")?;
        match value::Type::try_from(resource.r#type) {
            Ok(value::Type::Scalar) => {
                write!(f, "{}", resource.scalar.as_ref().map_or(Scalar::ZERO, Scalar::from))
            }
            Ok(value::Type::Ranges) => {
                let ranges = resource.ranges.as_ref().map_or(&[][..], |ranges| &ranges.range);
                let ranges: Vec<String> = ranges.iter().map(|r| format!("{}-{}", r.begin, r.end)).collect();
                write!(f, "[{}]", ranges.join(", "))
            }
            Ok(value::Type::Set) => {
                write!(f, "{{{}}}", resource.set.as_ref().map_or(&[][..], |set| &set.item).join(", "))
            }
            Ok(value::Type::Text) | Err(_) => f.write_str("?"),
        }
    }
}

impl fmt::Display for ResourceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => write!(f, "{scalar}"),
            Self::Ranges(ranges) => write!(f, "{ranges}"),
            Self::Set(set) => write!(f, "{set}"),
        }
    }
}

/// A shared resource says how often it is there: `...<SHARED>:10<2>`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = Identity {
            name: self.name(),
            allocation: self.allocation_role(),
            reservations: self.reservations(),
            disk: self.disk(),
            revocable: self.is_revocable(),
            shared: self.is_shared(),
        };
        write!(f, "{identity}:{}", self.value)?;
        if self.is_shared() { write!(f, "<{}>", self.copies) } else { Ok(()) }
    }
}

/// `cpus:4; mem:1024`, `{}` for nothing.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (index, resource) in self.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{resource}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Resources {
    /// As upstream prints it; the same as `to_string()`.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}
