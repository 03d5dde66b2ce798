//! TEARDOWN: a framework is over. Its tasks are killed, its executors shut down, its id cannot be used
//! again (upstream: `teardown`).

use libprocess::Context;
use mesos::FrameworkId;

use crate::frameworks::remove;
use crate::master::Master;

/// Removes the framework.
pub(super) fn teardown(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    master.metrics.messages_unregister_framework.increment();
    remove::remove(master, framework, ctx);
}
