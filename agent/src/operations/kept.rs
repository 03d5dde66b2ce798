//! What is kept of the agent's resources: its reservations and volumes, and the operations whose outcome nobody has
//! acknowledged, in one file.
//!
//! Volumes are directories: they cannot be changed together with the file. So what shall be is written beside it first;
//! then the directories are made and removed; then it takes the file's place. An agent that dies in between finds what
//! shall be, and does it again (upstream: `checkpointResourceState`, `resources_and_operations.target`).

use std::path::Path;

use libprocess::disk::{Disk, Durability};
use mesos::internal::slave::ResourceState;
use mesos::resources::upgrade_all;
use mesos::{AgentId, Resources, v1};

use super::{uuid_of, volumes};
use crate::agent::Agent;
use crate::recovery::checkpoint::{self, DiskError};
use crate::recovery::paths::Paths;

/// What was found on the disk.
#[derive(Debug, Default, PartialEq)]
pub struct KeptResources {
    /// Reservations and volumes.
    pub resources: Resources,
    /// Operations that somebody must still hear of.
    pub operations: Vec<v1::Operation>,
}

impl From<ResourceState> for KeptResources {
    fn from(mut state: ResourceState) -> Self {
        upgrade_all(&mut state.resources);
        Self { resources: Resources::from_valid_protos(&state.resources), operations: state.operations }
    }
}

/// Keeps this, in place of `before`.
///
/// # Errors
/// The disk's, with the name of the file or directory.
pub fn write(
    disk: &dyn Disk,
    paths: &Paths,
    before: &Resources,
    kept: &KeptResources,
) -> Result<(), DiskError> {
    let state = ResourceState { resources: kept.resources.to_protos(), operations: kept.operations.clone() };
    checkpoint::write_message(disk, &paths.resource_state_target(), &state, Durability::Host)?;
    commit(disk, paths, before, &kept.resources)
}

/// Makes true what was written down.
fn commit(disk: &dyn Disk, paths: &Paths, before: &Resources, after: &Resources) -> Result<(), DiskError> {
    volumes::sync(disk, paths.work_dir(), before, after)?;
    let (target, file) = (paths.resource_state_target(), paths.resource_state());
    disk.rename(&target, &file).map_err(DiskError::writing(&file))?;
    match file.parent() {
        Some(directory) => checkpoint::sync_directory(disk, directory),
        None => Ok(()),
    }
}

/// What one of the two files says; `None` if there is none. It was synced before it got its name: one that is empty was
/// emptied since.
fn read_state(disk: &dyn Disk, path: &Path) -> Result<Option<ResourceState>, DiskError> {
    match checkpoint::read_message(disk, path)? {
        None if disk.exists(path) => {
            Err(DiskError::Corrupt { path: path.to_path_buf(), reason: "it is empty".to_owned() })
        }
        read => Ok(read),
    }
}

/// What was kept; what an earlier agent had begun is brought to its end.
///
/// # Errors
/// The disk's, or that a file holds something else; with its name.
pub fn read(disk: &dyn Disk, paths: &Paths) -> Result<Option<KeptResources>, DiskError> {
    let kept = read_state(disk, &paths.resource_state())?.map(KeptResources::from);
    let Some(target) = read_state(disk, &paths.resource_state_target())? else { return Ok(kept) };
    let (before, target) = (kept.unwrap_or_default(), KeptResources::from(target));
    commit(disk, paths, &before.resources, &target.resources)?;
    Ok(Some(target))
}

impl Agent {
    /// Stores what the agent has now, with the operations that somebody must still hear of. Volumes that are new are made,
    /// those that are no more are removed with all that is in them.
    ///
    /// # Errors
    /// The disk's. Nothing may be promised then: the next agent will do what this one was to do.
    pub(crate) fn checkpoint_resources(&mut self) -> Result<(), DiskError> {
        let resources = self.total.filter(mesos::Resource::needs_checkpointing);
        let kept = KeptResources { resources, operations: self.operations.protos() };
        write(&*self.disk, &self.paths, &self.operations.checkpointed, &kept)?;
        self.operations.checkpointed = kept.resources;
        Ok(())
    }

    /// A restarted agent has what it had.
    ///
    /// # Errors
    /// Its settings give it less than what was made of it, in words for the operator.
    pub(crate) fn take_up_resources(&mut self, resources: Resources) -> Result<(), String> {
        self.total = self.total.apply_checkpointed(&resources).map_err(|error| {
            format!("the reservations and volumes that it has to remember do not fit --resources: {error}")
        })?;
        self.operations.checkpointed = resources;
        Ok(())
    }

    /// What somebody must still hear of. Operations of an earlier id of this agent are nobody's any more: no master would
    /// take them.
    pub(crate) fn take_up_operations(&mut self, operations: Vec<v1::Operation>) {
        for operation in operations {
            let agent = operation.agent_id.as_ref().map(AgentId::from);
            if let Some(uuid) = uuid_of(&operation.uuid).filter(|_| agent.is_some() && agent == self.id) {
                self.operations.add(uuid, operation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::volumes::testing::volume;
    use super::*;
    use libprocess::simulation::SimulatedDisk;
    use std::time::SystemTime;

    fn keeps(ids: &[&str]) -> KeptResources {
        let protos: Vec<v1::Resource> = ids.iter().map(|id| volume("r", id)).collect();
        KeptResources { resources: Resources::try_from_protos(&protos).unwrap(), operations: Vec::new() }
    }

    /// Upstream: what `syncCheckpointedResources` promises. The next agent may die, too, by a power failure.
    #[test]
    fn an_agent_that_dies_between_any_two_steps_leaves_volumes_that_the_next_one_knows() {
        let paths = Paths::new(Path::new("/work"));
        let of = |id: &str| Path::new("/work/volumes/roles/r").join(id);
        let (nothing, before, after) = (KeptResources::default(), keeps(&["a"]), keeps(&["b"]));
        for (from, to) in [(&nothing, &before), (&before, &after), (&before, &nothing)] {
            for (steps, seed) in (0..50).flat_map(|steps| (0..4).map(move |seed| (steps, seed))) {
                let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
                write(&disk.mount(), &paths, &Resources::default(), from).unwrap();
                if from == &before {
                    disk.mount().write(&of("a").join("data"), b"x", Durability::Host).unwrap();
                }
                disk.kill_after(steps, false, |_| {});
                let written = write(&disk.mount(), &paths, &from.resources, to);
                disk.spare();
                let read_by_next = |disk: &SimulatedDisk| read(&disk.mount(), &paths).unwrap().unwrap();
                let kept = read_by_next(&disk);
                assert!(written.is_err() || kept == *to, "after {steps} steps");
                disk.lose_power();
                assert_eq!(read_by_next(&disk), kept, "after {steps} steps");
                for (id, keeping) in [("a", &before), ("b", &after)] {
                    let exists = disk.mount().exists(&of(id));
                    assert_eq!(exists, kept == *keeping, "{id} after {steps} steps, seed {seed}");
                }
                assert!(!disk.mount().exists(&paths.resource_state_target()));
            }
        }
    }

    #[test]
    fn an_agent_that_has_kept_nothing_has_nothing() {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        assert_eq!(read(&disk.mount(), &Paths::new(Path::new("/work"))).unwrap(), None);
    }
}
