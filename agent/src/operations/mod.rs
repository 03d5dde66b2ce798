//! Operations on the agent's resources: reservations and volumes, as the master has them made.
//!
//! ```text
//! ApplyOperationMessage -> what it makes of the resources is stored, with the operation and its outcome
//!     -> its outcome is told to the master, again and again, until somebody has acknowledged it -> forgotten
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `apply` | `ApplyOperationMessage` |
//! | [`deliver`] | the outcome is told; `AcknowledgeOperationStatusMessage`, `RetryOperations` |
//! | `reconcile` | `ReconcileOperationsMessage` |
//! | [`kept`] | what is on the disk |
//! | [`volumes`] | the directories of volumes |
//!
//! An operation has one outcome, and the file that has the resources has the outcome, too: there is no log of updates
//! beside it. Upstream: `Slave::applyOperation`, `checkpointResourceState`, `operationStatusAcknowledgement`,
//! `reconcileOperations`; `status_update_manager/operation.cpp`.

mod apply;
pub mod deliver;
pub mod kept;
mod reconcile;
pub mod volumes;

use std::collections::BTreeMap;
use std::time::Duration;

use libprocess::Timer;
use mesos::{Resources, v1};
use uuid::Uuid;

/// The operations of an agent.
#[derive(Default)]
pub(crate) struct Operations {
    /// Those whose outcome nobody has acknowledged, by uuid.
    known: BTreeMap<Uuid, Known>,
    /// The reservations and volumes that are on the disk.
    checkpointed: Resources,
    /// Set while something is to be told again: for when, and the timer.
    retry: Option<(Duration, Timer)>,
}

/// An operation, and when its outcome is told again (time since the node started).
struct Known {
    operation: v1::Operation,
    due: Duration,
    delay: Duration,
}

impl Operations {
    /// The reservations and volumes that a master is told of when the agent registers.
    pub(crate) fn checkpointed(&self) -> &Resources {
        &self.checkpointed
    }

    /// All that are known.
    pub(crate) fn protos(&self) -> Vec<v1::Operation> {
        self.known.values().map(|known| known.operation.clone()).collect()
    }

    /// Whether anybody must still hear of any.
    pub(crate) fn are_known(&self) -> bool {
        !self.known.is_empty()
    }

    fn add(&mut self, uuid: Uuid, operation: v1::Operation) {
        let known = Known { operation, due: Duration::ZERO, delay: deliver::FIRST_DELAY };
        self.known.insert(uuid, known);
    }
}

/// The sixteen bytes of a uuid, if they are sixteen.
fn uuid_of(uuid: &v1::Uuid) -> Option<Uuid> {
    Uuid::from_slice(&uuid.value).ok()
}

fn uuid_proto(uuid: Uuid) -> v1::Uuid {
    v1::Uuid { value: uuid.as_bytes().to_vec() }
}
