//! SUPPRESS: a framework wants no offers until it revives; for the roles that it names, or for all
//! (upstream: `suppress`).

use mesos::FrameworkId;
use mesos::v1::scheduler::call::Suppress;

use super::validate_roles;
use crate::master::Master;

/// Suppresses roles. One that is not the framework's voids the call.
pub(super) fn suppress(master: &mut Master, framework: &FrameworkId, call: Suppress) {
    master.metrics.messages_suppress_offers.increment();
    match validate_roles(master, framework, call.roles) {
        Err(error) => tracing::warn!(framework_id = %framework, error, "dropping a SUPPRESS call"),
        Ok(roles) => {
            let Some(state) = master.cluster.framework(framework) else { return };
            let suppressed = match roles.is_empty() {
                true => (*state.roles).clone(),
                false => state.suppressed_roles.union(&roles).cloned().collect(),
            };
            super::set_suppressed(master, framework, suppressed);
            master.allocation.suppress(framework, roles);
        }
    }
}
