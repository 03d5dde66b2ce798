//! A framework that is known only from what an agent runs of it, or from its own re-subscription
//! after this master took over (upstream: `recoverFramework`).

use std::collections::BTreeMap;
use std::time::SystemTime;

use allocator::FrameworkOptions;
use mesos::{FrameworkId, v1};

use crate::calls;
use crate::cluster::{Connection, Framework};
use crate::master::Master;
use crate::operator::news;

/// Adds the framework as recovered: it is neither connected nor active, and has registered at no time that
/// this master knows (0 in what readers get). Its tasks and executors are added as agents report them.
pub(crate) fn recover(master: &mut Master, info: v1::FrameworkInfo) -> Option<FrameworkId> {
    let id = info.id.as_ref().map(FrameworkId::from)?;
    tracing::info!(framework_id = %id, "recovering the framework");
    let framework = Framework::new(id.clone(), info, Connection::Recovered, SystemTime::UNIX_EPOCH);
    master.allocation.add_framework(&framework, FrameworkOptions::default(), BTreeMap::new());
    master.metrics.add_framework(&framework);
    master.cluster.add_framework(framework);
    news::framework_added(master, &id);
    calls::show_roles(master, &id);
    Some(id)
}
