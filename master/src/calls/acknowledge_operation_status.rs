//! ACKNOWLEDGE_OPERATION_STATUS: a framework has seen the status of an operation (upstream:
//! `acknowledgeOperationStatus`). No operation is known to this master: they are refused in ACCEPT, and
//! what the master sends itself is not acknowledged.

use mesos::FrameworkId;
use mesos::v1::scheduler::call::AcknowledgeOperationStatus;

use crate::master::Master;

/// Counts the acknowledgement as invalid.
pub(super) fn acknowledge(master: &Master, framework: &FrameworkId, call: &AcknowledgeOperationStatus) {
    master.metrics.messages_operation_status_update_acknowledgement.increment();
    master.metrics.invalid_operation_status_update_acknowledgements.increment();
    tracing::warn!(
        framework_id = %framework,
        operation_id = %call.operation_id.value,
        "ignoring the acknowledgement of an unknown operation"
    );
}
