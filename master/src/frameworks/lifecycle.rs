//! How a framework's scheduler goes away, and what then (upstream: `_exited`, `disconnect`,
//! `deactivate`, `frameworkFailoverTimeout`).

use libprocess::{Context, Pid};
use mesos::FrameworkId;
use mesos::sabotage::{Bug, is_on};

use super::{events, remove};
use crate::cluster::Connection;
use crate::master::{Master, StreamBroken, Timeout};
use crate::{inverse_offers, offers};

/// A stream broke. It may not be its framework's any more: then that has subscribed again.
pub(crate) fn stream_broken(master: &mut Master, message: StreamBroken, ctx: &mut Context<Master>) {
    let StreamBroken { framework, stream } = message;
    if master.streams.get(&framework).is_some_and(|current| current.id == stream) {
        away(master, framework, ctx);
    }
}

/// The link to a pid broke: a driver may have been there. Nothing happens if that is not its framework's any more. If it
/// lives, and only the connection broke, it would not notice, since drivers get no heartbeats: it is told to abort.
pub(crate) fn link_broke(master: &mut Master, pid: &Pid, ctx: &mut Context<Master>) {
    let framework = master.cluster.framework_at(pid).filter(|state| state.is_connected());
    let Some(framework) = framework.map(|state| state.id.clone()) else { return };
    master.send(&framework, events::error("Framework disconnected"), ctx);
    away(master, framework, ctx);
}

/// The scheduler is away, and has its failover timeout to come back.
fn away(master: &mut Master, framework: FrameworkId, ctx: &mut Context<Master>) {
    disconnect(master, &framework, ctx);
    let Some(state) = master.cluster.framework(&framework) else { return };
    let timeout = state.failover_timeout();
    tracing::info!(framework_id = %framework, ?timeout, "the framework disconnected; it may fail over");
    let timer = ctx.after(timeout, Timeout::Failover(framework.clone()));
    if let Some(previous) = master.failover_timers.insert(framework, timer) {
        ctx.cancel(previous);
    }
}

/// The scheduler is back, or its framework is no more. (Upstream's timers run on, and find that out: those of a scheduler
/// that comes and goes pile up, for a week each, say.)
pub(crate) fn end_absence(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    if let Some(timer) = master.failover_timers.swap_remove(framework) {
        ctx.cancel(timer);
    }
}

/// The scheduler is not there: its offers are taken back, and nothing is sent to it.
fn disconnect(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    if let Some(stream) = master.streams.swap_remove(framework) {
        stream.close();
    }
    let offers = master.cluster.framework(framework).map_or(0, |state| state.offers.size());
    let metrics = master.metrics.framework(framework);
    metrics.set_subscribed(false);
    metrics.offers_rescinded.add(offers as u64);
    deactivate(master, framework, false, ctx);
    master.cluster.set_connection(framework, Connection::Disconnected);
}

/// No more offers for a framework; those it has are taken back, and it is told so if they are to be rescinded.
pub(crate) fn deactivate(
    master: &mut Master,
    framework: &FrameworkId,
    rescind: bool,
    ctx: &mut Context<Master>,
) {
    let Some(state) = master.cluster.framework(framework).filter(|state| state.is_active()) else { return };
    let outstanding: Vec<_> = state.offers.keys().cloned().collect();
    master.cluster.set_connection(framework, Connection::Connected { active: false });
    // First, so that what the offers held is not offered to it again.
    master.allocation.deactivate_framework(framework);
    for offer in outstanding.into_iter().filter(|_| !is_on(Bug::LeavesOffers)) {
        if rescind {
            offers::rescind(master, &offer, ctx);
        } else {
            offers::discard(master, &offer, None, ctx);
        }
    }
    inverse_offers::rescind_of_framework(master, framework, ctx);
}

/// The failover timeout is over.
pub(crate) fn failover_timed_out(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    master.failover_timers.swap_remove(framework);
    if master.cluster.framework(framework).is_some_and(|state| !state.is_connected()) {
        tracing::info!(framework_id = %framework, "the framework did not fail over in time; removing it");
        remove::remove(master, framework, ctx);
    }
}
