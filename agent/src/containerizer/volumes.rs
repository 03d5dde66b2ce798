//! Persistent volumes in sandboxes: links to the volumes' directories, since this containerizer mounts nothing
//! (upstream: `isolators/filesystem/posix.cpp`).
//!
//! A volume is linked when a container is launched with it, or is given it with a task, and the link goes with it. The
//! volume belongs to whom the container runs as, unless it is shared and another container has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libprocess::disk::Disk;
use mesos::{Resource, Resources};

use crate::executors::sandbox;
use crate::operations::volumes::path_of;

/// Links volumes of one agent.
#[derive(Clone)]
pub struct Volumes {
    disk: Arc<dyn Disk>,
    work_dir: PathBuf,
}

/// The container whose sandbox has the links.
pub(super) struct Sandbox<'a> {
    pub(super) directory: &'a Path,
    pub(super) user: Option<&'a str>,
}

impl Volumes {
    /// Volumes below this work directory.
    pub fn new(disk: Arc<dyn Disk>, work_dir: &Path) -> Self {
        Self { disk, work_dir: work_dir.to_path_buf() }
    }

    /// A container has other resources than before. How many copies it has of a shared volume does not matter: its tasks
    /// find one link. `shared_by_others` says of a shared volume whether another container
    /// has it.
    ///
    /// # Errors
    /// What stands in the way, with names.
    pub(super) fn change(
        &self,
        sandbox: &Sandbox<'_>,
        before: &Resources,
        after: &Resources,
        shared_by_others: impl Fn(&Resource) -> bool,
    ) -> Result<(), String> {
        for volume in before.iter().filter(|volume| after.count(volume) == 0) {
            if let Some(link) = link_of(sandbox, volume)
                && self.disk.read_link(&link).is_ok()
            {
                self.disk.remove(&link).map_err(|error| cannot("remove the link", &link, &error))?;
            }
        }
        for volume in after.iter().filter(|volume| before.count(volume) == 0) {
            let others = volume.is_shared() && shared_by_others(volume);
            self.link(sandbox, volume, others)?;
        }
        Ok(())
    }

    fn link(&self, sandbox: &Sandbox<'_>, volume: &Resource, shared: bool) -> Result<(), String> {
        let (Some(link), Some(path)) = (link_of(sandbox, volume), path_of(&self.work_dir, volume)) else {
            return Ok(());
        };
        // The link must be one from wherever it is followed.
        let path = self.disk.canonicalize(&path).map_err(|error| cannot("find the volume", &path, &error))?;
        if let Some(user) = sandbox.user.filter(|_| !shared) {
            sandbox::give(&*self.disk, &path, user).map_err(|reason| {
                format!("cannot give the volume '{}' to '{user}': {reason}", path.display())
            })?;
        }
        match self.disk.read_link(&link) {
            // A restarted agent, or another task with the same volume.
            Ok(target) if target == path => Ok(()),
            Ok(target) => Err(format!(
                "the link '{}' to the volume '{}' is there already, and points to '{}'",
                link.display(),
                path.display(),
                target.display()
            )),
            Err(_) => {
                tracing::info!(link = %link.display(), volume = %path.display(), "linking a persistent volume");
                self.disk.create_link(&path, &link).map_err(|error| cannot("make the link", &link, &error))
            }
        }
    }
}

/// Where a volume shall be; `None` for what is no volume. As in upstream, only names within the sandbox itself are
/// linked: without a file system of its own, a container finds nothing at an absolute path.
fn link_of(sandbox: &Sandbox<'_>, volume: &Resource) -> Option<PathBuf> {
    let place = volume.disk()?.volume.as_ref().filter(|_| volume.is_persistent_volume())?;
    let name = place.container_path.as_str();
    if name.contains('/') || matches!(name, "" | "." | "..") {
        tracing::warn!(volume = %volume, "not linking a volume whose container path is no name within the sandbox");
        return None;
    }
    Some(sandbox.directory.join(name))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} '{}': {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::volumes::testing::volume;
    use libprocess::disk::{Durability, HostDisk};

    fn volumes(ids: &[&str]) -> Resources {
        let protos: Vec<_> = ids.iter().map(|id| volume("r", id)).collect();
        Resources::try_from_protos(&protos).unwrap()
    }

    #[test]
    fn a_volume_is_linked_while_the_container_has_it() {
        let root = tempfile::tempdir().unwrap();
        let work = root.path().canonicalize().unwrap();
        let [sandbox, place] = [work.join("sandbox"), work.join("volumes/roles/r/v")];
        for path in [&sandbox, &place, &work.join("volumes/roles/r/w")] {
            HostDisk.create_directory(path, Durability::Process).unwrap();
        }
        let linker = Volumes::new(Arc::new(HostDisk), &work);
        let sandbox = Sandbox { directory: &sandbox, user: None };
        let change =
            |before: &Resources, after: &Resources| linker.change(&sandbox, before, after, |_| false);
        let (none, one) = (Resources::default(), volumes(&["v"]));
        change(&none, &one).unwrap();
        assert_eq!(std::fs::read_link(sandbox.directory.join("path")).unwrap(), place);
        change(&none, &one).unwrap();
        let text = change(&one, &volumes(&["v", "w"])).unwrap_err();
        assert!(text.contains("is there already, and points to"), "{text}");
        change(&one, &none).unwrap();
        assert!(!HostDisk.exists(&sandbox.directory.join("path")) && HostDisk.exists(&place));
    }

    #[test]
    fn a_shared_volume_stays_linked_while_one_of_two_tasks_has_it() {
        let root = tempfile::tempdir().unwrap();
        let work = root.path().canonicalize().unwrap();
        let [sandbox, place] = [work.join("sandbox"), work.join("volumes/roles/r/v")];
        for path in [&sandbox, &place] {
            HostDisk.create_directory(path, Durability::Process).unwrap();
        }
        let linker = Volumes::new(Arc::new(HostDisk), &work);
        let sandbox = Sandbox { directory: &sandbox, user: None };
        let shared = mesos::v1::Resource { shared: Some(Default::default()), ..volume("r", "v") };
        let copies = |count: usize| Resources::try_from_protos(&vec![shared.clone(); count]).unwrap();
        for (before, after, is_linked) in [(0, 2, true), (2, 1, true), (1, 2, true), (2, 0, false)] {
            linker.change(&sandbox, &copies(before), &copies(after), |_| false).unwrap();
            let link = std::fs::read_link(sandbox.directory.join("path")).ok();
            assert_eq!(link, is_linked.then(|| place.clone()), "{before} to {after}");
        }
    }

    #[test]
    fn only_names_within_the_sandbox_are_linked() {
        let sandbox = Sandbox { directory: Path::new("/s"), user: None };
        for (path, expected) in [("p", Some("/s/p")), ("/p", None), ("a/p", None), ("..", None)] {
            let mut proto = volume("r", "v");
            if let Some(place) = proto.disk.as_mut().and_then(|disk| disk.volume.as_mut()) {
                place.container_path = path.into();
            }
            let volume = Resource::try_from(&proto).unwrap();
            assert_eq!(link_of(&sandbox, &volume), expected.map(PathBuf::from), "{path}");
        }
    }
}
