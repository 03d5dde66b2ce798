//! Persistent volumes as directories (upstream: `getPersistentVolumePath` in `slave/paths.cpp`,
//! `syncCheckpointedResources`).
//!
//! ```text
//! <work_dir>/volumes/roles/<role>/<id>     on the disk that the agent works on
//! <root>/volumes/roles/<role>/<id>         on a PATH disk
//! <root>                                   on a MOUNT disk
//! ```
//!
//! A role within a role has a blank where its name has a slash. Role and id were validated by the master, when the volume
//! was created: they are names of directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk, Durability};
use mesos::v1::resource::disk_info::source;
use mesos::validation::validate_id;
use mesos::{Resource, Resources};

use crate::recovery::checkpoint::{self, DiskError};

/// How many directories are made for a volume at most: the root of its disk, `volumes`, `roles`, the role's, and its own.
const MADE: usize = 5;

/// Where a volume is; `None` for what is no volume, or on a disk that is not mounted.
pub fn path_of(work_dir: &Path, volume: &Resource) -> Option<PathBuf> {
    let role = volume.reservation_role()?.replace('/', " ");
    // Nothing outside of the agent's directories, whatever it was told.
    let id = volume.persistence_id().filter(|id| validate_id(id).is_ok())?;
    let below = |root: &Path| root.join("volumes").join("roles").join(&role).join(id);
    let Some(source) = volume.disk().and_then(|disk| disk.source.as_ref()) else {
        return Some(below(work_dir));
    };
    // A root that is relative is so to the work directory.
    match source.r#type() {
        source::Type::Path => Some(below(&work_dir.join(source.path.as_ref()?.root.as_deref()?))),
        source::Type::Mount => Some(work_dir.join(source.mount.as_ref()?.root.as_deref()?)),
        source::Type::Unknown | source::Type::Block | source::Type::Raw => None,
    }
}

/// Makes the directories of new volumes, and removes those of volumes that are no more, with all that is in them. What
/// is there already stays. All names are synced.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn sync(
    disk: &dyn Disk,
    work_dir: &Path,
    before: &Resources,
    after: &Resources,
) -> Result<(), DiskError> {
    let (before, after) = (paths(work_dir, before), paths(work_dir, after));
    for (path, is_mount) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
        checkpoint::make_directory(disk, path, Durability::Host)?;
        // The mount point itself belongs to the host.
        checkpoint::sync_names(disk, path, if *is_mount { 0 } else { MADE })?;
    }
    for (path, is_mount) in before.iter().filter(|(path, _)| !after.contains_key(*path)) {
        tracing::info!(path = %path.display(), "removing a persistent volume");
        if *is_mount {
            // The mount point itself belongs to the host.
            for name in disk.list(path).map_err(DiskError::reading(path))? {
                remove(disk, &path.join(name))?;
            }
            checkpoint::sync_directory(disk, path)?;
        } else {
            remove(disk, path)?;
            if let Some(parent) = path.parent().filter(|parent| disk.exists(parent)) {
                checkpoint::sync_directory(disk, parent)?;
            }
        }
    }
    Ok(())
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DiskError::writing(path)(error)),
        _ => Ok(()),
    }
}

/// The directories of volumes, and whether each is a disk of its own.
fn paths(work_dir: &Path, resources: &Resources) -> BTreeMap<PathBuf, bool> {
    let volumes = resources.iter().filter(|resource| resource.is_persistent_volume());
    let path = |volume| Some((path_of(work_dir, volume)?, volume.is_disk(source::Type::Mount)));
    volumes.filter_map(path).collect()
}

/// Volumes for tests.
#[cfg(test)]
pub(crate) mod testing {
    use mesos::v1;
    use mesos::v1::resource::{DiskInfo, ReservationInfo, disk_info, reservation_info};

    /// A volume of 64 MB, which a task finds at `path`.
    pub(crate) fn volume(role: &str, id: &str) -> v1::Resource {
        let mut volume = reserved_disk(role);
        let mut place = v1::Volume { container_path: "path".into(), ..v1::Volume::default() };
        place.set_mode(v1::volume::Mode::Rw);
        let persistence = disk_info::Persistence { id: id.into(), principal: None };
        volume.disk =
            Some(DiskInfo { persistence: Some(persistence), volume: Some(place), source: None }.into());
        volume
    }

    /// 64 MB that were reserved at run time.
    pub(crate) fn reserved_disk(role: &str) -> v1::Resource {
        let mut disk = v1::Resource {
            name: "disk".into(),
            scalar: Some(v1::value::Scalar { value: 64.0 }),
            reservations: vec![ReservationInfo {
                r#type: Some(reservation_info::Type::Dynamic.into()),
                role: Some(role.into()),
                ..ReservationInfo::default()
            }],
            ..v1::Resource::default()
        };
        disk.set_type(v1::value::Type::Scalar);
        disk
    }
}

#[cfg(test)]
mod tests {
    use super::testing::volume;
    use super::*;
    use libprocess::simulation::SimulatedDisk;
    use mesos::v1;
    use mesos::v1::resource::disk_info;
    use std::time::SystemTime;

    fn on(kind: source::Type, root: &str) -> Resource {
        let mut volume = volume("a/b", "v");
        let source = disk_info::Source {
            r#type: kind.into(),
            path: Some(source::Path { root: Some(root.into()) }),
            mount: Some(source::Mount { root: Some(root.into()) }),
            ..disk_info::Source::default()
        };
        if let Some(disk) = &mut volume.disk {
            disk.source = Some(source);
        }
        Resource::try_from(&without_other(volume, kind)).unwrap()
    }

    fn without_other(mut volume: v1::Resource, kind: source::Type) -> v1::Resource {
        if let Some(source) = volume.disk.as_mut().and_then(|disk| disk.source.as_mut()) {
            match kind {
                source::Type::Path => source.mount = None,
                _ => source.path = None,
            }
        }
        volume
    }

    /// Upstream: `PathsTest.PersistentVolume`.
    #[test]
    fn volumes_are_where_upstream_has_them() {
        let work = Path::new("/w");
        let path = |volume: &Resource| path_of(work, volume).unwrap();
        let root = Resource::try_from(&volume("a/b", "v")).unwrap();
        assert_eq!(path(&root), Path::new("/w/volumes/roles/a b/v"));
        assert_eq!(path(&on(source::Type::Path, "/d")), Path::new("/d/volumes/roles/a b/v"));
        assert_eq!(path(&on(source::Type::Path, "d")), Path::new("/w/d/volumes/roles/a b/v"));
        assert_eq!(path(&on(source::Type::Mount, "/m")), Path::new("/m"));
        let outside = Resource::try_from(&volume("r", "../../v")).unwrap();
        assert_eq!(path_of(work, &outside), None);
    }

    #[test]
    fn a_volume_on_a_mount_is_emptied_and_its_mount_point_stays() {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH).mount();
        let (work, before) = (Path::new("/w"), Resources::from(on(source::Type::Mount, "/m")));
        sync(&disk, work, &Resources::default(), &before).unwrap();
        disk.write(Path::new("/m/data"), b"x", Durability::Host).unwrap();
        sync(&disk, work, &before, &Resources::default()).unwrap();
        assert!(disk.exists(Path::new("/m")) && !disk.exists(Path::new("/m/data")));
    }

    /// Upstream: `RoleTest.VolumesInOverlappingHierarchies`.
    #[test]
    fn a_volume_of_a_role_does_not_hold_that_of_a_role_below() {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH).mount();
        let work = Path::new("/w");
        let of = |role: &str, id: &str| Resource::try_from(&volume(role, id)).unwrap();
        let (below, above) = (of("a/b/c/d", "id"), of("a/b/c", "d"));
        let place = |volume: &Resource| path_of(work, volume).unwrap();
        let only = Resources::from(below.clone());
        let both = &only + &Resources::from(above.clone());
        sync(&disk, work, &Resources::default(), &only).unwrap();
        disk.write(&place(&below).join("data"), b"x", Durability::Host).unwrap();
        sync(&disk, work, &only, &both).unwrap();
        assert!(disk.list(&place(&above)).unwrap().is_empty());
        sync(&disk, work, &both, &only).unwrap();
        assert!(!disk.exists(&place(&above)) && disk.exists(&place(&below).join("data")));
    }
}
