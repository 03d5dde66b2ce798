//! REVIVE: a framework wants offers again, whatever it refused before; for the roles that it names, or
//! for all (upstream: `revive`).

use mesos::FrameworkId;
use mesos::v1::scheduler::call::Revive;

use super::validate_roles;
use crate::master::Master;

/// Revives roles. One that is not the framework's voids the call.
pub(super) fn revive(master: &mut Master, framework: &FrameworkId, call: Revive) {
    master.metrics.messages_revive_offers.increment();
    match validate_roles(master, framework, call.roles) {
        Err(error) => tracing::warn!(framework_id = %framework, error, "dropping a REVIVE call"),
        Ok(roles) => {
            let Some(state) = master.cluster.framework(framework) else { return };
            let suppressed = match roles.is_empty() {
                true => Default::default(),
                false => state.suppressed_roles.difference(&roles).cloned().collect(),
            };
            super::set_suppressed(master, framework, suppressed);
            master.allocation.revive(framework, roles);
        }
    }
}
