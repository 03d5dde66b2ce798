//! The Allocator: hears from the master what happens, and tells it what to offer to whom.
//!
//! | receives | from | does |
//! |---|---|---|
//! | `Initialize` | the master, first | makes the core, starts the interval |
//! | `Recover` | the master, when it has read the registry | sets quotas; if there are any, holds allocation until enough agents are back, or the time for that is over |
//! | `AddFramework`, `ActivateFramework`, `ReviveOffers`, `UpdateFramework` | the master | changes the books; all agents are looked at at once, if somebody wants offers who did not before, or constrains them otherwise |
//! | `RemoveFramework`, `DeactivateFramework`, `SuppressOffers` | the master | changes the books; what a removed framework held is offered at once |
//! | `AddAgent`, `UpdateAgent`, `AddResourceProvider`, `ActivateAgent`, `UpdateUnavailability` | the master | changes the books; the agent is looked at at once |
//! | `RemoveAgent`, `DeactivateAgent` | the master | changes the books |
//! | `UpdateWhitelist` | the master's whitelist watcher | changes the books |
//! | `RecoverResources` | the master | frees resources, sets a filter; those of ended tasks are offered at once |
//! | `UpdateAllocation`, `TransitionOfferedToAllocated`, `TrackAllocatedResources`, `UpdateWeights`, `UpdateQuota` | the master | changes the books |
//! | `Pause`, `Resume` | the master | stops allocation; goes on, and serves at once what happened meanwhile |
//! | `UpdateInverseOffer` | the master | notes the answer to an inverse offer |
//! | `GetInverseOfferStatuses` | the master | answers with those answers |
//! | `UpdateAvailable` | the master | changes what is free of an agent; answers whether that was possible |
//! | `RequestResources` | the master | logs it |
//! | `ExplainedRoles` | the master, for an operator | answers which roles there are to explain |
//! | `Explain` | the master, for an operator | answers why a framework gets offers or not; changes nothing |
//! | `ReportConstraints`, `GET /offer_constraints_debug` | the master, operators | says which agents offer constraints exclude |
//! | `TakeHoldings` | whoever compares books | answers with what everybody holds |
//! | `Tick` | itself, every `allocation_interval` | runs over all agents |
//! | `Measure` | itself, each second, or each `allocation_interval` that is shorter | updates the gauges |
//! | `RunMarked` | itself, after events | runs over the agents that events marked |
//!
//! A run that offers something ends in one `MakeOffers` to the master; one that looked at agents with
//! maintenance, in one `MakeInverseOffers`.
//!
//! **When it runs.** Upstream's events wait for nothing, but what came back waits for the interval, up to
//! a second. Here both are served within milliseconds (`PAUSE`), by one run for all events that wait in the
//! queue: an event marks agents, and asks for a run unless one is asked for already. What was declined is not
//! marked; it waits for the interval, or a framework that refuses for 0 seconds would be offered the same again as
//! fast as messages travel.
//!
//! It decides nothing itself (the core does), and knows neither tasks nor offers.

use std::collections::BTreeMap;
use std::time::Duration;

use libprocess::http::{Realm, Reply, Response};
use libprocess::{Context, Handle, Install, Pid, Place, Process, Recipient, messages};

use crate::core::constraints::ConstraintsReport;
use crate::core::explain::{ExplainError, Explanation};
use crate::core::{Core, EventError, Holdings, InverseOfferStatuses, Scope};
use crate::messages::*;
use crate::metrics::AllocatorMetrics;

/// The least time from the end of a run to the beginning of the next.
///
/// A run costs the master more than the allocator: for each offer a message, and often an answer. Tasks
/// that end one by one, thousands a second, would be served by as many runs with one agent each. With
/// 5 ms between them there are at most 200 runs a second, and each serves what gathered meanwhile. From
/// a task's end to its resources' next offer the goal is 20 ms: the pause may take a quarter of it.
const PAUSE: Duration = Duration::from_millis(5);

/// How old the gauges may be. Upstream's are computed for each reader, who waits until the allocator has time.
const GAUGES_INTERVAL: Duration = Duration::from_secs(1);

/// What `/help` says of the route.
const CONSTRAINTS_HELP: &str = "Agents that offer constraints exclude, for each framework and role.";

/// The allocator. See the module.
#[derive(Debug, Default)]
pub struct Allocator {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    core: Core,
    offers: Recipient<MakeOffers>,
    inverse_offers: Option<Recipient<MakeInverseOffers>>,
    metrics: AllocatorMetrics,
    /// When a run of the marked agents was asked for, if it has not begun.
    asked: Option<Duration>,
    /// Before this the next run of marked agents does not begin.
    rest_until: Duration,
}

#[derive(Clone, Debug)]
struct Tick;

#[derive(Clone, Debug)]
struct Measure;

#[derive(Clone, Debug)]
struct RunMarked;

messages! {
    Tick;
    Measure;
    RunMarked;
}

impl Process for Allocator {
    const NAME: &'static str = "hierarchical-allocator";
    const PLACE: Place = Place::Own("allocator");

    fn install(install: &mut Install<Self>) {
        // Upstream's path, `/allocator/offer_constraints_debug`, is the master's, which asks the allocator.
        install
            .route(&[], "/offer_constraints_debug", CONSTRAINTS_HELP, |allocator, _, ctx| {
                let report = allocator.constraints_report();
                let things = report.size();
                let make = move || Response::json(mesos::json::to_vec(&report));
                Reply::render_many(ctx.node(), things, make)
            })
            .realm(Realm::ReadOnly);
    }
}

impl Allocator {
    /// An allocator that waits for [`Initialize`].
    pub fn new() -> Allocator {
        Allocator::default()
    }

    fn constraints_report(&self) -> ConstraintsReport {
        self.running.as_ref().map(|running| running.core.constraints_report()).unwrap_or_default()
    }

    /// Applies an event to the core, and asks for a run if agents are marked.
    fn event<T>(
        &mut self,
        event: &'static str,
        ctx: &mut Context<Self>,
        apply: impl FnOnce(&mut Core, Duration) -> Result<T, EventError>,
    ) -> Option<Result<T, EventError>> {
        let Some(running) = &mut self.running else {
            tracing::warn!(event, "the allocator is not initialized yet; the event is dropped");
            return None;
        };
        let now = ctx.node().elapsed();
        let result = apply(&mut running.core, now);
        if let Err(error) = &result {
            note(event, error);
        }
        let may_run = !running.core.is_held(now) && !running.core.is_paused();
        if may_run && running.core.has_marked() && running.asked.is_none() {
            running.asked = Some(now);
            if now >= running.rest_until {
                // Behind what waits in the queue, so that one run serves it all.
                ctx.address().tell(RunMarked);
            } else {
                ctx.after(running.rest_until - now, RunMarked);
            }
        }
        Some(result)
    }

    fn run(&mut self, scope: Scope, ctx: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        let began = ctx.node().elapsed();
        if running.core.is_paused() || running.core.is_held(began) {
            return;
        }
        let grants = running.core.allocate(began, scope);
        let offers = running.core.offers(&grants);
        let took = ctx.node().elapsed().saturating_sub(began);
        let latency = running.asked.map_or(Duration::ZERO, |asked| began.saturating_sub(asked));
        running.metrics.note_run(latency, took);
        tracing::trace!(offers = grants.len(), ?took, ?scope, "allocation run");
        if !offers.is_empty() {
            ctx.send(&running.offers, MakeOffers(offers));
        }
        if let Some(recipient) = &running.inverse_offers {
            let inverse_offers = running.core.inverse_offers(began);
            if !inverse_offers.is_empty() {
                ctx.send(recipient, MakeInverseOffers(inverse_offers));
            }
        }
        // Without allocation on recovery the timing is upstream's, which knows no pause. A run that takes
        // longer than the pause rests as long as it took: half of the time is left for events.
        let pause =
            if running.core.options().allocation_on_recovery { PAUSE.max(took) } else { Duration::ZERO };
        running.rest_until = began + took + pause;
    }
}

/// A message about something that was removed while it was on its way is nothing unusual where offers
/// come back; everything else means that the master's view and the allocator's differ.
fn note(event: &'static str, error: &EventError) {
    let usual = matches!(error, EventError::UnknownFramework(_) | EventError::UnknownAgent(_));
    if event == "RecoverResources" && usual {
        tracing::debug!(event, %error, "nothing to do");
    } else {
        tracing::warn!(event, %error, "the event was not applied");
    }
}

impl Handle<Initialize> for Allocator {
    fn handle(&mut self, message: Initialize, _: &Pid, ctx: &mut Context<Self>) {
        if self.running.is_some() {
            tracing::warn!("the allocator is initialized already");
            return;
        }
        // The timers' grain; an interval of 0 would leave no time for anything else.
        let interval = message.options.allocation_interval.max(Duration::from_millis(1));
        self.running = Some(Running {
            core: Core::new(message.options, ctx.node().random().seed()),
            offers: message.offers,
            inverse_offers: message.inverse_offers,
            metrics: AllocatorMetrics::new(ctx.node().metrics(), &ctx.address()),
            asked: None,
            rest_until: Duration::ZERO,
        });
        ctx.every(interval, Tick);
        ctx.every(interval.min(GAUGES_INTERVAL), Measure);
    }
}

impl Handle<Tick> for Allocator {
    fn handle(&mut self, _: Tick, _: &Pid, ctx: &mut Context<Self>) {
        self.run(Scope::All, ctx);
    }
}

impl Handle<Measure> for Allocator {
    fn handle(&mut self, _: Measure, _: &Pid, ctx: &mut Context<Self>) {
        if let Some(running) = &mut self.running {
            running.metrics.update(&running.core, ctx.node().elapsed());
        }
    }
}

impl Handle<RunMarked> for Allocator {
    fn handle(&mut self, _: RunMarked, _: &Pid, ctx: &mut Context<Self>) {
        let now = ctx.node().elapsed();
        if let Some(running) = self.running.as_ref().filter(|running| now < running.rest_until) {
            // A tick ran meanwhile, and the pause begins after it.
            ctx.after(running.rest_until - now, RunMarked);
            return;
        }
        // A tick may have served the marks meanwhile.
        if self.running.as_ref().is_some_and(|running| running.core.has_marked()) {
            self.run(Scope::Marked, ctx);
        }
        if let Some(running) = &mut self.running {
            running.asked = None;
        }
    }
}

impl Handle<UpdateAvailable> for Allocator {
    fn handle(
        &mut self,
        message: UpdateAvailable,
        _: &Pid,
        ctx: &mut Context<Self>,
    ) -> Result<(), EventError> {
        let agent = message.agent.clone();
        let applied = self.event("UpdateAvailable", ctx, |core, _| {
            Ok(core.update_available(&message.agent, &message.operations))
        });
        match applied {
            Some(Ok(result)) => result,
            _ => Err(EventError::UnknownAgent(agent)),
        }
    }
}

impl Handle<GetInverseOfferStatuses> for Allocator {
    fn handle(&mut self, _: GetInverseOfferStatuses, _: &Pid, _: &mut Context<Self>) -> InverseOfferStatuses {
        self.running.as_ref().map(|running| running.core.inverse_offer_statuses()).unwrap_or_default()
    }
}

impl Handle<Explain> for Allocator {
    fn handle(
        &mut self,
        Explain(question): Explain,
        _: &Pid,
        ctx: &mut Context<Self>,
    ) -> Result<Explanation, ExplainError> {
        let running = self.running.as_mut().ok_or(ExplainError::NotInitialized)?;
        running.core.explain(&question, ctx.node().elapsed())
    }
}

impl Handle<ExplainedRoles> for Allocator {
    fn handle(
        &mut self,
        ExplainedRoles(framework): ExplainedRoles,
        _: &Pid,
        _: &mut Context<Self>,
    ) -> Result<(Vec<String>, usize), ExplainError> {
        let running = self.running.as_ref().ok_or(ExplainError::NotInitialized)?;
        running.core.explained_roles(&framework)
    }
}

impl Handle<ReportConstraints> for Allocator {
    fn handle(&mut self, _: ReportConstraints, _: &Pid, _: &mut Context<Self>) -> ConstraintsReport {
        self.constraints_report()
    }
}

impl Handle<TakeHoldings> for Allocator {
    fn handle(&mut self, _: TakeHoldings, _: &Pid, _: &mut Context<Self>) -> Holdings {
        self.running.as_ref().map(|running| running.core.holdings()).unwrap_or_default()
    }
}

impl Handle<RequestResources> for Allocator {
    fn handle(&mut self, message: RequestResources, _: &Pid, _: &mut Context<Self>) {
        tracing::info!(
            framework_id = %message.framework,
            requests = message.requests.len(),
            "a framework requests resources; requests are not heeded"
        );
    }
}

/// Handlers that do no more than apply an event to the core.
macro_rules! events {
    ($($message:ident => |$core:ident, $m:ident, $now:ident| $apply:expr;)*) => {$(
        impl Handle<$message> for Allocator {
            fn handle(&mut self, $m: $message, _: &Pid, ctx: &mut Context<Self>) {
                self.event(stringify!($message), ctx, |$core, $now| $apply);
            }
        }
    )*};
}

events! {
    Recover => |core, m, now| {
        core.recover(m.expected_agents, &m.quotas, now);
        if core.is_held(now) {
            tracing::info!(expected_agents = m.expected_agents, "allocation is held until agents are back");
        }
        Ok(())
    };
    AddFramework => |core, m, _now| core.add_framework(&m.id, &m.info, &m.used, m.active, &m.options);
    RemoveFramework => |core, m, _now| core.remove_framework(&m.id);
    ActivateFramework => |core, m, _now| core.activate_framework(&m.id);
    DeactivateFramework => |core, m, _now| core.deactivate_framework(&m.id);
    UpdateFramework => |core, m, _now| core.update_framework(&m.id, &m.info, &m.options);
    AddAgent => |core, m, _now|
        core.add_agent(&m.id, m.info, &m.capabilities, m.unavailability, &m.total, &m.used);
    RemoveAgent => |core, m, _now| core.remove_agent(&m.id);
    UpdateAgent => |core, m, _now|
        core.update_agent(&m.id, m.info, m.total.as_ref(), m.capabilities.as_deref());
    AddResourceProvider => |core, m, _now| core.add_resource_provider(&m.agent, &m.total, &m.used);
    ActivateAgent => |core, m, _now| core.activate_agent(&m.id);
    DeactivateAgent => |core, m, _now| core.deactivate_agent(&m.id);
    UpdateAllocation => |core, m, _now|
        core.update_allocation(&m.framework, &m.agent, &m.offered, &m.conversions);
    RecoverResources => |core, m, now|
        core.recover_resources(&m.framework, &m.agent, &m.resources, m.filters.as_ref(), m.is_allocated, now);
    TransitionOfferedToAllocated => |core, m, _now| core.transition_offered_to_allocated(&m.agent, &m.resources);
    TrackAllocatedResources => |core, m, _now|
        core.track_allocated_resources(&m.agent, &m.framework, &m.resources);
    SuppressOffers => |core, m, _now| core.suppress_offers(&m.framework, &m.roles);
    ReviveOffers => |core, m, _now| core.revive_offers(&m.framework, &m.roles);
    UpdateWeights => |core, m, _now| {
        let weights = m.0.into_iter().filter_map(|weight| Some((weight.role?, weight.weight)));
        core.update_weights(&weights.collect::<BTreeMap<_, _>>());
        Ok(())
    };
    UpdateQuota => |core, m, _now| {
        core.update_quota(&m.role, &m.quota);
        Ok(())
    };
    UpdateWhitelist => |core, m, _now| {
        if m.0.as_ref().is_some_and(|listed| listed.is_empty()) {
            tracing::warn!("the agent whitelist is empty: no offers will be made");
        }
        core.update_whitelist(m.0);
        Ok(())
    };
    UpdateUnavailability => |core, m, _now| core.update_unavailability(&m.agent, m.unavailability);
    Pause => |core, _m, _now| {
        core.pause();
        Ok(())
    };
    Resume => |core, _m, _now| {
        core.resume();
        Ok(())
    };
    UpdateInverseOffer => |core, m, now|
        core.update_inverse_offer(&m.agent, &m.framework, m.status, m.filters.as_ref(), now);
}
