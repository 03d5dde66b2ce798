//! REQUEST: a framework says what it would like to be offered. The allocator need not heed it, and ours
//! does not (upstream: `request`).

use mesos::FrameworkId;
use mesos::v1::scheduler::call::Request;

use crate::master::Master;

/// Passes the wish on to the allocator.
pub(super) fn request(master: &mut Master, framework: &FrameworkId, call: Request) {
    master.metrics.messages_resource_request.increment();
    master.allocation.request(framework, call.requests);
}
