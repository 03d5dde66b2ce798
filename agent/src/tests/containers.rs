//! Containers in the test's hands: what was asked for is noted, and nothing runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use libprocess::{Context, Handle, Pid, Process, Promise};
use mesos::{ContainerId, Resources, v1};
use parking_lot::Mutex;

use crate::containerizer::{
    ContainerConfig, Containers, Destroy, Launch, LaunchError, Launched, Recover, RecoverError,
    RecoveredContainer, Status, Termination, Update, UpdateError, Usage, Wait,
};

/// What a containerizer was asked, and what runs in it.
#[derive(Default)]
pub(super) struct ContainerBook {
    pub(super) launched: Vec<(ContainerId, ContainerConfig)>,
    pub(super) updates: Vec<(ContainerId, Resources)>,
    pub(super) destroyed: Vec<ContainerId>,
    pub(super) recovered: Vec<RecoveredContainer>,
    /// Sandboxes in which it is to leave alone what runs.
    pub(super) over: Vec<PathBuf>,
    waits: BTreeMap<ContainerId, Vec<Promise<Option<Termination>>>>,
    /// Launches fail with this.
    pub(super) refuse: Option<String>,
    /// Changes of resources fail with this.
    pub(super) refuse_updates: Option<String>,
    /// Destroying does not end a container.
    pub(super) immortal: bool,
    /// Nobody knows what containers use.
    pub(super) no_usage: bool,
    /// While there is something here, what asks for these waits in it.
    pub(super) held_launches: Option<Vec<Promise<Result<Launched, LaunchError>>>>,
    pub(super) held_updates: Option<Vec<Promise<Result<(), UpdateError>>>>,
    pub(super) held_recovery: Option<Vec<Promise<Result<(), RecoverError>>>>,
}

/// A containerizer whose containers are entries in a book that the test has, too.
pub(super) struct FakeContainerizer(pub(super) Arc<Mutex<ContainerBook>>);

impl Process for FakeContainerizer {
    const NAME: &'static str = "fake-containerizer";
}

impl Handle<Launch> for FakeContainerizer {
    fn handle(&mut self, launch: Launch, _: &Pid, _: &mut Context<Self>) {
        let mut book = self.0.lock();
        book.waits.insert(launch.container_id.clone(), Vec::new());
        book.launched.push((launch.container_id, launch.config));
        if let Some(held) = &mut book.held_launches {
            return held.push(launch.reply);
        }
        launch.reply.set(match book.refuse.clone() {
            Some(refusal) => Err(LaunchError::Prepare(refusal)),
            None => Ok(Launched::Launched),
        });
    }
}

impl Handle<Update> for FakeContainerizer {
    fn handle(&mut self, update: Update, _: &Pid, _: &mut Context<Self>) {
        let mut book = self.0.lock();
        book.updates.push((update.container_id, update.resources));
        if let Some(held) = &mut book.held_updates {
            return held.push(update.reply);
        }
        update.reply.set(match book.refuse_updates.clone() {
            Some(refusal) => Err(UpdateError(refusal)),
            None => Ok(()),
        });
    }
}

impl Handle<Wait> for FakeContainerizer {
    fn handle(&mut self, wait: Wait, _: &Pid, _: &mut Context<Self>) {
        match self.0.lock().waits.get_mut(&wait.container_id) {
            Some(waits) => waits.push(wait.reply),
            None => wait.reply.set(None),
        }
    }
}

impl Handle<Destroy> for FakeContainerizer {
    fn handle(&mut self, destroy: Destroy, _: &Pid, _: &mut Context<Self>) {
        let mut book = self.0.lock();
        book.destroyed.push(destroy.container_id.clone());
        if !book.immortal {
            book.end(&destroy.container_id, Termination { status: Some(9), ..Termination::default() });
        }
    }
}

impl Handle<Usage> for FakeContainerizer {
    fn handle(&mut self, usage: Usage, _: &Pid, _: &mut Context<Self>) {
        let known = !self.0.lock().no_usage;
        usage.reply.set(known.then(|| v1::ResourceStatistics { timestamp: 1.0, ..Default::default() }));
    }
}

impl Handle<Status> for FakeContainerizer {
    fn handle(&mut self, status: Status, _: &Pid, _: &mut Context<Self>) {
        status.reply.set(Some(v1::ContainerStatus { executor_pid: Some(42), ..Default::default() }));
    }
}

impl Handle<Containers> for FakeContainerizer {
    fn handle(&mut self, _: Containers, _: &Pid, _: &mut Context<Self>) -> Vec<ContainerId> {
        self.0.lock().waits.keys().cloned().collect()
    }
}

impl Handle<Recover> for FakeContainerizer {
    fn handle(&mut self, recover: Recover, _: &Pid, _: &mut Context<Self>) {
        let mut book = self.0.lock();
        for container in &recover.containers {
            book.waits.insert(container.id.clone(), Vec::new());
        }
        book.recovered = recover.containers;
        book.over = recover.over;
        if let Some(held) = &mut book.held_recovery {
            return held.push(recover.reply);
        }
        recover.reply.set(Ok(()));
    }
}

impl ContainerBook {
    /// The containers of before are not known yet.
    pub(super) fn recovering() -> ContainerBook {
        ContainerBook { held_recovery: Some(Vec::new()), ..ContainerBook::default() }
    }

    /// A container ends.
    pub(super) fn end(&mut self, container: &ContainerId, termination: Termination) {
        for wait in self.waits.remove(container).unwrap_or_default() {
            wait.set(Some(termination.clone()));
        }
    }
}
