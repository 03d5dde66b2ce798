//! SUBSCRIBE of a driver, and the messages that were there before it (upstream: `subscribe` and `_subscribe` with a pid,
//! `registerFramework`, `reregisterFramework`).
//!
//! A driver repeats its subscription until it is answered. Its pid never comes twice, so one that subscribes without an id
//! from the pid of a framework's driver is repeating itself. With an id there are two cases. A *failover* (`force`)
//! takes the framework over from whoever has it. Without `force` only the framework's own driver gets it back: one that
//! was cut off, while another took its place, must not take it back.
//!
//! | the framework | `force` | its own driver | another |
//! |---|---|---|---|
//! | recovered, or unknown to this master | either | | registered |
//! | known | yes | registered | registered, the other one ends |
//! | known | no | reregistered | refused |

use libprocess::{Context, Pid};
use mesos::FrameworkId;
use mesos::internal::{RegisterFrameworkMessage, ReregisterFrameworkMessage};
use mesos::v1::scheduler::call::Subscribe;

use super::events;
use crate::calls::subscribe::{self as calls, id_of};
use crate::frameworks::scheduler::Scheduler;
use crate::master::Master;

fn refuse(name: &str, from: &Pid, error: &str, ctx: &Context<Master>) {
    tracing::info!(name, driver = %from, error, "refusing a subscription");
    events::refuse(from, error, ctx);
}

/// A driver wants to be a new framework.
pub(crate) fn register(
    master: &mut Master,
    message: RegisterFrameworkMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let framework_info = message.framework;
    if id_of(&framework_info).is_some() {
        return refuse(&framework_info.name, from, "Registering with 'id' already set", ctx);
    }
    subscribe(master, Subscribe { framework_info, ..Default::default() }, false, from, ctx);
}

/// A driver wants to be a framework again, or in another's place.
pub(crate) fn reregister(
    master: &mut Master,
    message: ReregisterFrameworkMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let framework_info = message.framework;
    if id_of(&framework_info).is_none() {
        return refuse(&framework_info.name, from, "Re-registering without an 'id'", ctx);
    }
    subscribe(master, Subscribe { framework_info, ..Default::default() }, message.failover, from, ctx);
}

/// Subscribes a driver.
pub(super) fn subscribe(
    master: &mut Master,
    call: Subscribe,
    force: bool,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let name = call.framework_info.name.clone();
    let id = id_of(&call.framework_info);
    let said = match calls::examine(master, call) {
        Ok(said) => said,
        Err(error) => return refuse(&name, from, &error.0, ctx),
    };
    let own = master.cluster.framework_at(from).map(|state| state.id.clone());
    match (id, own) {
        (None, None) => {
            let driver = Scheduler::Driver { pid: from.clone(), again: false };
            calls::register(master, said, driver, ctx);
        }
        (None, Some(own)) => {
            tracing::info!(framework_id = %own, driver = %from, "the driver has subscribed already; telling it again");
            events::registered(master, &own, from, false, ctx);
        }
        // An error would go to the driver that speaks for the other one.
        (Some(id), Some(own)) if id != own => {
            tracing::error!(name, framework_id = %own, driver = %from, "dropping a subscription: its driver is another framework's");
        }
        (Some(id), _) => resume(master, id, said, force, from, ctx),
    }
}

fn resume(
    master: &mut Master,
    id: FrameworkId,
    said: calls::Said,
    force: bool,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let name = said.info.name.clone();
    let said = match calls::prepare(master, &id, said) {
        Ok(said) => said,
        Err(error) => return refuse(&name, from, &error.0, ctx),
    };
    let Some(state) = master.cluster.framework(&id) else { return };
    let known = !state.is_recovered();
    if known && !force && state.pid.as_ref() != Some(from) {
        return refuse(&name, from, "Framework failed over", ctx);
    }
    let driver = Scheduler::Driver { pid: from.clone(), again: known && !force };
    calls::resume(master, &id, said, driver, ctx);
}
