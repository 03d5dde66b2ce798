//! The actor behind the library: finds the master, keeps the subscription, calls the scheduler.
//!
//! | receives | from | does |
//! |---|---|---|
//! | `LeaderChanged` | Detector | leaves the old master, connects to the new one after a random delay |
//! | `Connect` | itself, after a delay | subscribes |
//! | `Unconfirmed` | itself | reconnects when the master has taken the subscription and not confirmed it |
//! | `Watch` | itself, every heartbeat interval | reconnects when nothing was heard for five of them |
//! | `GiveUp` | itself | ends when there has been no subscription for too long |
//! | `Linger` | itself | ends although calls are not answered yet |
//! | [`Act`] | anybody who holds the address | runs a function on the scheduler |
//! | events | the master, over HTTP: the answer to SUBSCRIBE | calls the scheduler's method for each; HEARTBEAT says only that the master is there |
//!
//! It owns the subscription, the ordered connection for other calls, and the scheduler itself. Calls
//! made while there is no subscription are dropped, as upstream does: offers are void then, and
//! unacknowledged updates come again. SUPPRESS and REVIVE are part of the next subscription.

use std::time::Duration;

use election::{Detector, LeaderChanged, WatchLeader, info};
use libprocess::{
    Address, Backoff, Context, Exit, Handle, Message, Pid, Process, Promise, Timer,
    http::{ClientError, PipelineResponse},
};
use mesos::{
    FrameworkId, codec,
    v1::{
        TaskStatus,
        scheduler::{
            Call, Event,
            call::{self, Type},
            event,
        },
    },
};
use tracing::{debug, info, warn};

use super::{Driver, Error, Options, Scheduler, driver::typed, gauges::QueueGauges, suppressed::Suppressed};
use crate::{
    later::Then,
    link::{Link, Phase},
    stream::{self, Opened, StreamError, Subscription},
};

/// Redirections that are followed in a row before waiting.
const MAX_REDIRECTIONS: u32 = 5;
/// So many heartbeats may be missed (as upstream's own clients do).
const MISSED_HEARTBEATS: u32 = 5;
/// A call may take as long at least, whatever the master's heartbeats are.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(30);
/// At the end, how long to wait for the answers to the last calls.
const LINGER: Duration = Duration::from_secs(2);
/// The longest wait between two tries to connect.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Runs a function on the scheduler, as if it were a callback: for timers and signals of who
/// started it.
pub struct Act<S>(Then<S, Driver<S>>);

impl<S: Scheduler> Act<S> {
    /// To be sent to the address that [`super::start`] gives.
    pub fn new(act: impl FnOnce(&mut S, &mut Driver<S>) + Send + 'static) -> Self {
        Act(Box::new(act))
    }
}

impl<S: Scheduler> Message for Act<S> {
    type Answer = ();
}

/// What a master says to the stream that another one has replaced (upstream: `Master::failoverFramework`).
const FAILED_OVER: &str = "Framework failed over";

struct Connect(u64);
struct Unconfirmed(u64);
#[derive(Clone)]
struct Watch(u64);
struct GiveUp(u64);
struct Linger;

libprocess::messages! { Connect; Unconfirmed; Watch; GiveUp; Linger; }

/// Drives one scheduler.
pub struct SchedulerDriver<S: Scheduler> {
    options: Options,
    suppressed: Suppressed,
    /// Until it is given back.
    scheduler: Option<S>,
    driver: Driver<S>,
    result: Option<Promise<Result<S, Error>>>,
    detector: Option<Address<Detector>>,
    gauges: Option<QueueGauges>,
    /// The URL of the detected master's scheduler API.
    master: Option<String>,
    /// The id of the master that was detected last. Each process has its own.
    master_id: Option<String>,
    /// Where that master sent us, until something fails.
    elsewhere: Option<String>,
    redirections: u32,
    link: Link,
    stream_id: Option<String>,
    /// Subscriptions that this master was asked for and has not answered. Each may still reach it, late.
    unanswered: u32,
    /// The process that has confirmed a subscription last, by its id, and how many of them there were then.
    confirmed: Option<(String, u32)>,
    backoff: Backoff,
    /// When the stream last gave anything, by the node's clock.
    heard: Duration,
    watch: Option<Timer>,
    /// Between two heartbeats, as the master said.
    interval: Duration,
    /// Counts what ends or begins a time without subscription.
    droughts: u64,
    /// What went wrong last, for the error that says so.
    trouble: String,
    ending: bool,
}

impl<S: Scheduler> SchedulerDriver<S> {
    pub(super) fn new(options: Options, scheduler: S, result: Promise<Result<S, Error>>) -> Self {
        let framework = options.framework.id.as_ref().map(FrameworkId::from);
        SchedulerDriver {
            suppressed: Suppressed::new(&options.suppressed_roles),
            backoff: Backoff::new(options.connection_delay_max.max(Duration::from_millis(100)), LONGEST_WAIT),
            options,
            scheduler: Some(scheduler),
            driver: Driver::detached(framework),
            result: Some(result),
            detector: None,
            gauges: None,
            master: None,
            master_id: None,
            elsewhere: None,
            redirections: 0,
            link: Link::new(),
            stream_id: None,
            unanswered: 0,
            confirmed: None,
            heard: Duration::ZERO,
            watch: None,
            interval: Duration::ZERO,
            droughts: 0,
            trouble: "no leading master is known".into(),
            ending: false,
        }
    }

    /// Calls the scheduler, then does what it wants.
    fn with(&mut self, ctx: &mut Context<Self>, act: impl FnOnce(&mut S, &mut Driver<S>)) {
        self.only(act);
        self.carry_out(ctx);
    }

    /// Calls the scheduler; what it wants waits.
    fn only(&mut self, act: impl FnOnce(&mut S, &mut Driver<S>)) {
        if let (Some(scheduler), false) = (&mut self.scheduler, self.ending) {
            act(scheduler, &mut self.driver);
        }
    }

    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        while self.link.has_room()
            && let Some(call) = self.driver.calls.pop_front()
        {
            self.send(call, ctx);
        }
        for later in std::mem::take(&mut self.driver.later) {
            let node = ctx.node().clone();
            ctx.defer(later.run(&node), |this: &mut Self, then, ctx| this.with(ctx, then));
        }
        if self.driver.end && !self.ending {
            self.ending = true;
            ctx.after(LINGER, Linger);
            self.finish_if_answered(ctx);
        }
    }

    fn finish_if_answered(&mut self, ctx: &mut Context<Self>) {
        if self.ending && self.link.in_flight == 0 && self.driver.calls.is_empty() {
            self.finish(None, ctx);
        }
    }

    fn finish(&mut self, error: Option<Error>, ctx: &mut Context<Self>) {
        self.ending = true;
        self.link.close();
        if let (Some(promise), Some(scheduler)) = (self.result.take(), self.scheduler.take()) {
            promise.set(match error {
                None => Ok(scheduler),
                Some(error) => Err(error),
            });
        }
        ctx.terminate();
    }

    // ---- connecting

    fn url(&self, ctx: &Context<Self>) -> Option<String> {
        let scheme = ctx.node().scheme();
        let at = |authority: &str| format!("{scheme}://{authority}/master/api/v1/scheduler");
        self.elsewhere.as_deref().map(at).or_else(|| self.master.clone())
    }

    fn subscribe(&mut self, ctx: &mut Context<Self>) {
        let Some(url) = self.url(ctx) else { return };
        self.link.close();
        self.link.phase = Phase::Subscribing;
        self.unanswered += 1;
        let epoch = self.link.epoch;
        let suppressed_roles = self.suppressed.subscribe(&mut self.options);
        let mut framework_info = self.options.framework.clone();
        framework_info.id = self.driver.framework.as_ref().map(FrameworkId::to_proto);
        let framework_id = framework_info.id.clone();
        let subscribe = call::Subscribe {
            framework_info,
            suppressed_roles,
            offer_constraints: self.options.offer_constraints.clone(),
        };
        let subscribe = Call { framework_id, subscribe: Some(subscribe), ..typed(Type::Subscribe) };
        let media = self.options.media;
        let request = stream::subscribe(&url, media, codec::encode(media, &subscribe));
        debug!(%url, "subscribing");
        let opening = Subscription::<Event>::open(ctx.node().client().clone(), request, media);
        ctx.defer(opening, move |this: &mut Self, opened, ctx| {
            if !this.link.is_current(epoch) {
                return;
            }
            match opened {
                Ok(opened) => this.opened(opened, &url, ctx),
                Err(error) => {
                    if error.is_unsent() {
                        this.unanswered = this.unanswered.saturating_sub(1);
                    }
                    this.lost(&error.to_string(), ctx);
                }
            }
        });
    }

    fn opened(&mut self, opened: Opened<Event>, url: &str, ctx: &mut Context<Self>) {
        self.unanswered = self.unanswered.saturating_sub(1);
        match opened {
            Opened::Stream(stream, stream_id) => {
                self.stream_id = stream_id;
                self.link.pipeline = Some(ctx.node().client().pipeline(url));
                ctx.after(self.options.subscription_timeout, Unconfirmed(self.link.epoch));
                self.read(stream, ctx);
            }
            Opened::Elsewhere(leader) if self.redirections < MAX_REDIRECTIONS => {
                self.redirections += 1;
                info!(%leader, "the master names another leader");
                self.elsewhere = Some(leader);
                self.subscribe(ctx);
            }
            Opened::Elsewhere(_) => self.lost("redirected in circles", ctx),
            // Not leading yet, recovering, or its routes are not set up yet: it will change.
            Opened::Refused(status @ (404 | 429 | 500..), text) => {
                self.lost(&format!("{status}: {text}"), ctx)
            }
            Opened::Refused(status, text) => {
                let message = format!("{status}: {text}");
                self.only(|scheduler, driver| scheduler.error(driver, &message));
                self.finish(Some(Error::Refused(message)), ctx);
            }
        }
    }

    /// The connection is gone: tries again later.
    fn lost(&mut self, why: &str, ctx: &mut Context<Self>) {
        self.leave(why, ctx);
        if self.ending {
            return self.finish(None, ctx);
        }
        let wait = ctx.node().random().duration_up_to(self.backoff.wait());
        warn!(%why, ?wait, "no subscription with the master, connecting again");
        ctx.after(wait, Connect(self.link.epoch));
    }

    /// Drops the connection, and tells the scheduler if there was one.
    fn leave(&mut self, why: &str, ctx: &mut Context<Self>) {
        self.trouble = why.to_owned();
        self.elsewhere = None;
        self.redirections = 0;
        self.stream_id = None;
        if let Some(watch) = self.watch.take() {
            ctx.cancel(watch);
        }
        if self.link.close() {
            self.be_patient(ctx);
            self.with(ctx, |scheduler, driver| scheduler.disconnected(driver));
        }
    }

    fn be_patient(&mut self, ctx: &mut Context<Self>) {
        self.droughts += 1;
        if let Some(patience) = self.options.patience {
            ctx.after(patience, GiveUp(self.droughts));
        }
    }

    // ---- events

    /// Waits for the next events; they are handled before more are read.
    fn read(&mut self, mut stream: Box<Subscription<Event>>, ctx: &mut Context<Self>) {
        let epoch = self.link.epoch;
        let reading = async move { (stream.next().await, stream) };
        ctx.defer(reading, move |this: &mut Self, (events, stream), ctx| {
            if this.link.is_current(epoch) {
                this.arrived(events, stream, ctx);
            }
        });
    }

    fn arrived(
        &mut self,
        events: Result<Vec<Event>, StreamError>,
        stream: Box<Subscription<Event>>,
        ctx: &mut Context<Self>,
    ) {
        let epoch = self.link.epoch;
        match events {
            Ok(events) => {
                self.heard = ctx.node().elapsed();
                for event in events {
                    self.event(event, ctx);
                }
                self.carry_out(ctx);
                // Unless one of them ended it.
                if self.link.is_current(epoch) {
                    self.read(stream, ctx);
                }
            }
            Err(error) => self.lost(&error.to_string(), ctx),
        }
    }

    fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        // The type says which member counts; an event without its member is skipped.
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = event.subscribed {
                    self.subscribed(subscribed, ctx);
                }
            }
            event::Type::Offers => {
                if let Some(offers) = event.offers {
                    self.only(|scheduler, driver| scheduler.offers(driver, offers.offers));
                }
            }
            event::Type::InverseOffers => {
                if let Some(offers) = event.inverse_offers {
                    self.only(|scheduler, driver| scheduler.inverse_offers(driver, offers.inverse_offers));
                }
            }
            event::Type::Rescind => {
                if let Some(rescind) = event.rescind {
                    self.only(|scheduler, driver| scheduler.rescind(driver, rescind.offer_id));
                }
            }
            event::Type::RescindInverseOffer => {
                if let Some(rescind) = event.rescind_inverse_offer {
                    let offer = rescind.inverse_offer_id;
                    self.only(|scheduler, driver| scheduler.rescind_inverse_offer(driver, offer));
                }
            }
            event::Type::Update => {
                if let Some(update) = event.update {
                    self.update(update.status);
                }
            }
            event::Type::UpdateOperationStatus => {
                if let Some(update) = event.update_operation_status {
                    self.only(|scheduler, driver| scheduler.operation_update(driver, update.status));
                }
            }
            event::Type::Message => {
                if let Some(message) = event.message {
                    self.only(|scheduler, driver| scheduler.message(driver, message));
                }
            }
            event::Type::Failure => {
                if let Some(failure) = event.failure {
                    self.only(|scheduler, driver| scheduler.failure(driver, failure));
                }
            }
            event::Type::Error => {
                let message = event.error.map(|error| error.message).unwrap_or_default();
                if message == FAILED_OVER && self.unanswered > 0 {
                    // It is ourselves that failed over to an attempt that had been given up: found by simulation.
                    // Its connection is closed, so that the framework must subscribe again.
                    self.unanswered -= 1;
                    if let Some((_, before)) = &mut self.confirmed {
                        *before = before.saturating_sub(1);
                    }
                    return self.lost("an earlier attempt to subscribe arrived late", ctx);
                }
                self.only(|scheduler, driver| scheduler.error(driver, &message));
                self.finish(Some(Error::Ended(message)), ctx);
            }
            event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    fn subscribed(&mut self, subscribed: event::Subscribed, ctx: &mut Context<Self>) {
        let id = FrameworkId::from(subscribed.framework_id);
        info!(framework_id = %id, "subscribed");
        if let Some(master) = subscribed.master_info {
            self.confirmed_by(master.id);
        }
        self.driver.framework = Some(id.clone());
        self.link.phase = Phase::Subscribed;
        self.droughts += 1;
        self.redirections = 0;
        self.backoff.reset();
        let seconds = subscribed.heartbeat_interval_seconds.filter(|seconds| (0.001..1e6).contains(seconds));
        if let Some(seconds) = seconds {
            self.interval = Duration::from_secs_f64(seconds);
            self.watch = Some(ctx.every(self.interval, Watch(self.link.epoch)));
        }
        self.driver.calls.extend(self.suppressed.missed());
        self.only(|scheduler, driver| scheduler.subscribed(driver, &id));
    }

    /// Each process of a master has an id of its own. If this one is not the one that confirmed a subscription last, it was
    /// started since, at the same address: what was asked for until then was asked of others, and will not arrive.
    fn confirmed_by(&mut self, master: String) {
        if let Some((known, before)) = &self.confirmed
            && *known != master
        {
            self.unanswered = self.unanswered.saturating_sub(*before);
        }
        self.confirmed = Some((master, self.unanswered));
    }

    fn update(&mut self, status: TaskStatus) {
        if self.ending {
            // Nobody sees it any more: it is for the next scheduler of this framework.
            return;
        }
        let (task_id, agent_id, uuid) =
            (status.task_id.clone(), status.agent_id.clone(), status.uuid.clone());
        let before = self.driver.calls.len();
        self.only(|scheduler, driver| scheduler.update(driver, status));
        if !self.options.explicit_acknowledgements {
            let after = self.driver.calls.len();
            self.driver.acknowledge(&TaskStatus { task_id, agent_id, uuid, ..Default::default() });
            // Before what the scheduler said: it may have torn the framework down.
            if self.driver.calls.len() > after {
                self.driver.calls.make_contiguous()[before..].rotate_right(1);
            }
        }
    }

    /// How long the master may be silent.
    fn patience(&self) -> Duration {
        self.interval * MISSED_HEARTBEATS
    }

    // ---- calls

    fn send(&mut self, mut call: Call, ctx: &mut Context<Self>) {
        let name = call.r#type().as_str_name();
        let (Phase::Subscribed, Some(url)) = (self.link.phase, self.url(ctx)) else {
            self.suppressed.unsent(&call, &mut self.options);
            return match call.r#type() {
                Type::Suppress | Type::Revive => debug!(call = name, "left to the next subscription"),
                _ => warn!(call = name, "dropping a call: not subscribed"),
            };
        };
        call.framework_id = self.driver.framework.as_ref().map(FrameworkId::to_proto);
        let media = self.options.media;
        let body = codec::encode(media, &call);
        let bytes = body.len();
        // Not before a silent master is left: one that only stands still takes a break of the stream for our end.
        let mut request = stream::call(&url, media, body).timeout(self.patience().max(SHORTEST_PATIENCE));
        if let Some(stream_id) = &self.stream_id {
            request = request.header(stream::STREAM_ID, stream_id);
        }
        let Some(pipeline) = self.link.calls(|| ctx.node().client().pipeline(&url)) else { return };
        let (epoch, answer) = (self.link.epoch, pipeline.send(request));
        self.link.sent(bytes);
        let is_about_roles = self.suppressed.sent(&call);
        ctx.defer(answer, move |this: &mut Self, answer, ctx| {
            if !this.link.is_current(epoch) {
                return;
            }
            if let (true, Ok(response)) = (is_about_roles, &answer) {
                this.suppressed.answered(response.status.is_success(), &mut this.options);
            }
            this.link.answered(bytes);
            this.answered(name, answer, ctx);
        });
    }

    fn answered(
        &mut self,
        name: &str,
        answer: Result<PipelineResponse, ClientError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(response) if response.status.is_success() => {}
            Ok(response) => {
                let reason = stream::reason(&response);
                warn!(call = name, status = %response.status, %reason, "the master refused a call");
            }
            Err(error) => return self.lost(&error.to_string(), ctx),
        }
        self.carry_out(ctx);
        self.finish_if_answered(ctx);
    }
}

impl<S: Scheduler> Process for SchedulerDriver<S> {
    const NAME: &'static str = "scheduler";

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.gauges = Some(QueueGauges::register(ctx.node().metrics(), &ctx.address()));
        let detector = ctx.node().spawn_numbered(Detector::new(self.options.master.clone()));
        detector.tell(WatchLeader(ctx.address().recipient()));
        self.detector = Some(detector);
        self.be_patient(ctx);
    }

    fn stopping(&mut self, _: &Exit, _: &mut Context<Self>) {
        if let Some(detector) = self.detector.take() {
            detector.terminate();
        }
    }
}

impl<S: Scheduler> Handle<LeaderChanged> for SchedulerDriver<S> {
    fn handle(&mut self, LeaderChanged { leader, .. }: LeaderChanged, _: &Pid, ctx: &mut Context<Self>) {
        self.master = leader.as_ref().and_then(|leader| {
            let id = leader.pid.as_deref().and_then(|pid| Some(pid.split_once('@')?.0)).unwrap_or("master");
            let scheme = ctx.node().scheme();
            Some(format!("{scheme}://{}/{id}/api/v1/scheduler", info::address(leader)?))
        });
        self.leave("there is no leading master", ctx);
        if let Some(leader) = leader
            && self.master_id.as_ref() != Some(&leader.id)
        {
            // What an earlier leader was asked for never reaches this one.
            self.unanswered = 0;
            self.confirmed = None;
            self.master_id = Some(leader.id);
        }
        if self.master.is_some() {
            let wait = ctx.node().random().duration_up_to(self.options.connection_delay_max);
            ctx.after(wait, Connect(self.link.epoch));
        }
    }
}

impl<S: Scheduler> Handle<Connect> for SchedulerDriver<S> {
    fn handle(&mut self, Connect(epoch): Connect, _: &Pid, ctx: &mut Context<Self>) {
        if self.link.is_current(epoch) && !self.ending {
            self.subscribe(ctx);
        }
    }
}

impl<S: Scheduler> Handle<Unconfirmed> for SchedulerDriver<S> {
    fn handle(&mut self, Unconfirmed(epoch): Unconfirmed, _: &Pid, ctx: &mut Context<Self>) {
        if self.link.is_current(epoch) && self.link.phase == Phase::Subscribing {
            let patience = self.options.subscription_timeout;
            self.lost(&format!("the master has not confirmed the subscription within {patience:?}"), ctx);
        }
    }
}

impl<S: Scheduler> Handle<Watch> for SchedulerDriver<S> {
    fn handle(&mut self, Watch(epoch): Watch, _: &Pid, ctx: &mut Context<Self>) {
        if !self.link.is_current(epoch) {
            return;
        }
        let silence = ctx.node().elapsed().saturating_sub(self.heard);
        if silence > self.patience() {
            self.lost(&format!("nothing was heard from the master for {silence:?}"), ctx);
        }
    }
}

impl<S: Scheduler> Handle<GiveUp> for SchedulerDriver<S> {
    fn handle(&mut self, GiveUp(drought): GiveUp, _: &Pid, ctx: &mut Context<Self>) {
        if self.droughts != drought {
            return;
        }
        let error = Error::NoMaster {
            master: self.options.master.to_string(),
            patience: self.options.patience.unwrap_or_default(),
            reason: self.trouble.clone(),
        };
        self.finish(Some(error), ctx);
    }
}

impl<S: Scheduler> Handle<Linger> for SchedulerDriver<S> {
    fn handle(&mut self, _: Linger, _: &Pid, ctx: &mut Context<Self>) {
        warn!("the master did not answer the last calls");
        self.finish(None, ctx);
    }
}

impl<S: Scheduler> Handle<Act<S>> for SchedulerDriver<S> {
    fn handle(&mut self, Act(act): Act<S>, _: &Pid, ctx: &mut Context<Self>) {
        self.with(ctx, act);
    }
}
