//! The actor behind the library: keeps the subscription with the agent, calls the executor.
//!
//! | receives | from | does |
//! |---|---|---|
//! | `Connect` | itself, after a delay | subscribes |
//! | `Heartbeat` | itself, every 30 min | tells the agent that the executor lives |
//! | `RecoveryTimeout` | itself | shuts the executor down: the agent has been gone for too long |
//! | `GraceOver` | itself | ends although the executor has not stopped |
//! | `Linger` | itself | ends although calls are not answered yet |
//! | events | the agent, over HTTP: the answer to SUBSCRIBE | calls the executor's method for each; after ACKNOWLEDGED an update is forgotten, after SHUTDOWN the executor has its grace period to stop |
//!
//! It owns the subscription, the ordered connection for calls, the updates that are not acknowledged,
//! and the executor itself. The agent is always the same one: nothing is detected.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use libprocess::{
    Context, Handle, Pid, Process, Promise, Timer,
    http::{ClientError, ClientRequest, PipelineResponse},
};
use mesos::{
    MediaType, codec,
    v1::{
        TaskStatus,
        executor::{
            Call, Event,
            call::{self, Type},
            event,
        },
        task_status::Source,
    },
};
use tracing::{debug, info, warn};

use super::{
    Driver, Error, Executor, ExecutorEnvironment, Recovery, driver::Saying, unacknowledged::Unacknowledged,
};
use crate::{
    link::{Link, Phase},
    stream::{self, Opened, StreamError, Subscription},
};

/// Protobuf is the cheaper of the two for both sides.
const MEDIA: MediaType = MediaType::Protobuf;
/// The agent answers, but is not ready yet (upstream: `doReliableRegistration`).
const NOT_READY_WAIT: Duration = Duration::from_secs(1);
/// Upstream: `DEFAULT_HEARTBEAT_CALL_INTERVAL`.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// At the end, how long to wait for the answers to the last calls.
const LINGER: Duration = Duration::from_secs(1);

struct Connect(u64);
#[derive(Clone)]
struct Heartbeat;
struct RecoveryTimeout;
struct GraceOver;
struct Linger;

libprocess::messages! { Connect; Heartbeat; RecoveryTimeout; GraceOver; Linger; }

/// Drives one executor.
pub struct ExecutorDriver<E: Executor> {
    url: String,
    /// Until it is given back.
    executor: Option<E>,
    driver: Driver<E>,
    result: Option<Promise<Result<E, Error>>>,
    link: Link,
    unacknowledged: Unacknowledged,
    /// The agent has been reached: it may come back.
    reached: bool,
    /// Runs while the agent is gone.
    recovery: Option<Timer>,
    /// Why the agent did not let it subscribe (again).
    refusal: Option<String>,
    shutting_down: bool,
    ending: bool,
}

impl<E: Executor> ExecutorDriver<E> {
    pub(super) fn new(
        environment: ExecutorEnvironment,
        scheme: &str,
        executor: E,
        result: Promise<Result<E, Error>>,
    ) -> Self {
        ExecutorDriver {
            url: environment.url(scheme),
            executor: Some(executor),
            driver: Driver::detached(environment),
            result: Some(result),
            link: Link::new(),
            unacknowledged: Unacknowledged::default(),
            reached: false,
            recovery: None,
            refusal: None,
            shutting_down: false,
            ending: false,
        }
    }

    /// Calls the executor, then does what it wants.
    fn with(&mut self, ctx: &mut Context<Self>, act: impl FnOnce(&mut E, &mut Driver<E>)) {
        if let (Some(executor), false) = (&mut self.executor, self.ending) {
            act(executor, &mut self.driver);
        }
        self.carry_out(ctx);
    }

    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        while self.link.has_room()
            && let Some(saying) = self.driver.sayings.pop_front()
        {
            match saying {
                Saying::Update(status) => self.update(*status, ctx),
                Saying::Message(data) => {
                    self.send(
                        Call { message: Some(call::Message { data }), ..self.typed(Type::Message) },
                        ctx,
                    );
                }
            }
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
        if self.ending && self.link.in_flight == 0 && self.driver.sayings.is_empty() {
            self.finish(None, ctx);
        }
    }

    fn finish(&mut self, error: Option<Error>, ctx: &mut Context<Self>) {
        self.ending = true;
        self.link.close();
        let error = self.refusal.take().map(Error::Refused).or(error);
        if let (Some(promise), Some(executor)) = (self.result.take(), self.executor.take()) {
            promise.set(match error {
                None => Ok(executor),
                Some(error) => Err(error),
            });
        }
        ctx.terminate();
    }

    // ---- connecting

    fn subscribe(&mut self, ctx: &mut Context<Self>) {
        self.link.close();
        self.link.phase = Phase::Subscribing;
        let epoch = self.link.epoch;
        let subscribe = self.unacknowledged.subscribe(epoch);
        let call = Call { subscribe: Some(subscribe), ..self.typed(Type::Subscribe) };
        let request = self.request(codec::encode(MEDIA, &call));
        debug!(url = %self.url, "subscribing");
        let opening = Subscription::<Event>::open(ctx.node().client().clone(), request, MEDIA);
        ctx.defer(opening, move |this: &mut Self, opened, ctx| {
            if !this.link.is_current(epoch) {
                return;
            }
            this.reached |= opened.as_ref().err().is_none_or(|error| !error.is_unsent());
            match opened {
                Ok(opened) => this.opened(opened, ctx),
                Err(error) => this.lost(&error.to_string(), ctx),
            }
        });
    }

    fn opened(&mut self, opened: Opened<Event>, ctx: &mut Context<Self>) {
        match opened {
            Opened::Stream(stream, _) => {
                self.link.pipeline = Some(ctx.node().client().pipeline(&self.url));
                self.read(stream, ctx);
            }
            // The agent recovers, or its routes are not set up yet.
            Opened::Refused(status @ (404 | 503), text) => {
                debug!(status, %text, "the agent is not ready");
                self.link.close();
                let wait = NOT_READY_WAIT.min(self.driver.environment().recovery.longest_wait());
                ctx.after(wait, Connect(self.link.epoch));
            }
            Opened::Refused(status, text) => self.refused(format!("{status}: {text}"), ctx),
            Opened::Elsewhere(place) => self.refused(format!("it redirects to {place}"), ctx),
        }
    }

    /// An agent that came back does not know the executor any more, or never knew it. What it runs must not outlive it.
    fn refused(&mut self, message: String, ctx: &mut Context<Self>) {
        warn!(%message, "the agent refused the subscription");
        self.with(ctx, |executor, driver| executor.error(driver, &message));
        self.refusal = Some(message);
        match self.recovery {
            Some(_) => {
                self.link.close();
                self.shut_down(ctx);
            }
            None => self.finish(None, ctx),
        }
    }

    /// The agent is gone. With checkpoints it may come back; without, this is the end.
    fn lost(&mut self, why: &str, ctx: &mut Context<Self>) {
        let was_subscribed = self.link.close();
        if self.ending {
            return self.finish(None, ctx);
        }
        warn!(%why, "no connection with the agent");
        if was_subscribed {
            self.with(ctx, |executor, driver| executor.disconnected(driver));
        }
        let recovery = self.driver.environment().recovery;
        match recovery {
            // One that was never there will not be.
            Recovery::Checkpointed { timeout, .. } if self.reached => {
                if self.recovery.is_none() {
                    self.recovery = Some(ctx.after(timeout, RecoveryTimeout));
                }
                let wait = ctx.node().random().duration_up_to(recovery.longest_wait());
                ctx.after(wait, Connect(self.link.epoch));
            }
            _ => self.shut_down(ctx),
        }
    }

    fn shut_down(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.shutting_down, true) {
            return;
        }
        let grace = self.driver.environment().shutdown_grace_period;
        info!(?grace, "shutting down");
        ctx.after(grace, GraceOver);
        self.with(ctx, |executor, driver| executor.shutdown(driver));
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
                for event in events {
                    self.event(event, ctx);
                }
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
                    self.subscribed(&subscribed, ctx);
                }
            }
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.unacknowledged.launched(launch.task.clone());
                    self.with(ctx, |executor, driver| executor.launch(driver, launch.task));
                }
            }
            event::Type::LaunchGroup => {
                if let Some(group) = event.launch_group.map(|launch| launch.task_group) {
                    group.tasks.iter().for_each(|task| self.unacknowledged.launched(task.clone()));
                    self.with(ctx, |executor, driver| executor.launch_group(driver, group));
                }
            }
            event::Type::Kill => {
                if let Some(kill) = event.kill {
                    self.with(ctx, |executor, driver| executor.kill(driver, kill.task_id, kill.kill_policy));
                }
            }
            event::Type::Acknowledged => self.acknowledged(event.acknowledged, ctx),
            event::Type::Message => {
                if let Some(message) = event.message {
                    self.with(ctx, |executor, driver| executor.message(driver, message.data));
                }
            }
            event::Type::Shutdown => self.shut_down(ctx),
            event::Type::Error => {
                let message = event.error.map(|error| error.message).unwrap_or_default();
                warn!(%message, "the agent reports an error");
                self.with(ctx, |executor, driver| executor.error(driver, &message));
            }
            event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    fn subscribed(&mut self, subscribed: &event::Subscribed, ctx: &mut Context<Self>) {
        debug!(hostname = %subscribed.agent_info.hostname, "subscribed");
        self.link.phase = Phase::Subscribed;
        if let Some(timer) = self.recovery.take() {
            ctx.cancel(timer);
        }
        for update in self.unacknowledged.missed(self.link.epoch) {
            self.send(Call { update: Some(update), ..self.typed(Type::Update) }, ctx);
        }
        self.with(ctx, |executor, driver| executor.subscribed(driver, subscribed));
    }

    fn acknowledged(&mut self, acknowledged: Option<event::Acknowledged>, ctx: &mut Context<Self>) {
        let Some(acknowledged) = acknowledged else { return };
        match self.unacknowledged.acknowledged(&acknowledged.uuid) {
            Some(status) => self.with(ctx, |executor, driver| executor.acknowledged(driver, &status)),
            None => debug!(task_id = %acknowledged.task_id.value, "acknowledgement of an unknown update"),
        }
    }

    // ---- calls

    fn typed(&self, r#type: Type) -> Call {
        let environment = self.driver.environment();
        Call {
            executor_id: environment.executor_id.to_proto(),
            framework_id: environment.framework_id.to_proto(),
            r#type: Some(r#type.into()),
            ..Default::default()
        }
    }

    fn update(&mut self, mut status: TaskStatus, ctx: &mut Context<Self>) {
        let uuid = ctx.node().random().uuid().as_bytes().to_vec();
        status.uuid.get_or_insert(uuid);
        status.source.get_or_insert(Source::Executor.into());
        status.executor_id.get_or_insert_with(|| self.driver.environment().executor_id.to_proto());
        let since_epoch = ctx.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        status.timestamp.get_or_insert(since_epoch.as_secs_f64());
        // While a subscription is being opened the update belongs to no connection yet.
        let subscribed = self.link.phase == Phase::Subscribed;
        self.unacknowledged.keep(status.clone(), if subscribed { self.link.epoch } else { u64::MAX });
        if subscribed {
            self.send(Call { update: Some(call::Update { status }), ..self.typed(Type::Update) }, ctx);
        }
    }

    fn send(&mut self, call: Call, ctx: &mut Context<Self>) {
        let name = call.r#type().as_str_name();
        if self.link.phase != Phase::Subscribed {
            return warn!(call = name, "dropping a call: not subscribed");
        }
        let body = codec::encode(MEDIA, &call);
        let bytes = body.len();
        let request = self.request(body);
        let Some(pipeline) = self.link.calls(|| ctx.node().client().pipeline(&self.url)) else { return };
        let (epoch, answer) = (self.link.epoch, pipeline.send(request));
        self.link.sent(bytes);
        ctx.defer(answer, move |this: &mut Self, answer, ctx| {
            if this.link.is_current(epoch) {
                this.link.answered(bytes);
                this.answered(name, answer, ctx);
            }
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
            // An agent that recovers: what it did not take is sent again with the subscription.
            Ok(response) if response.status.as_u16() == 503 => {
                return self.lost("the agent is not ready", ctx);
            }
            Ok(response) => {
                let reason = stream::reason(&response);
                warn!(call = name, status = %response.status, %reason, "the agent refused a call");
            }
            Err(error) => return self.lost(&error.to_string(), ctx),
        }
        self.carry_out(ctx);
        self.finish_if_answered(ctx);
    }

    /// A call. Its answer is waited for without a limit: an agent that has died closes its connection, and one that
    /// stands still may go on.
    fn request(&self, body: Bytes) -> ClientRequest {
        let request = stream::call(&self.url, MEDIA, body).without_timeout();
        match &self.driver.environment().authentication_token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }
}

impl<E: Executor> Process for ExecutorDriver<E> {
    const NAME: &'static str = "executor";

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.every(HEARTBEAT_INTERVAL, Heartbeat);
        self.subscribe(ctx);
    }
}

impl<E: Executor> Handle<Connect> for ExecutorDriver<E> {
    fn handle(&mut self, Connect(epoch): Connect, _: &Pid, ctx: &mut Context<Self>) {
        // Also one that is to end: an agent that was restarted meanwhile would kill who does not come back, and not hear how
        // its tasks end.
        if self.link.is_current(epoch) && !self.ending {
            self.subscribe(ctx);
        }
    }
}

impl<E: Executor> Handle<Heartbeat> for ExecutorDriver<E> {
    fn handle(&mut self, _: Heartbeat, _: &Pid, ctx: &mut Context<Self>) {
        if self.link.phase == Phase::Subscribed {
            self.send(self.typed(Type::Heartbeat), ctx);
        }
    }
}

impl<E: Executor> Handle<RecoveryTimeout> for ExecutorDriver<E> {
    fn handle(&mut self, _: RecoveryTimeout, _: &Pid, ctx: &mut Context<Self>) {
        warn!("the agent did not come back within the recovery timeout");
        self.shut_down(ctx);
    }
}

impl<E: Executor> Handle<GraceOver> for ExecutorDriver<E> {
    fn handle(&mut self, _: GraceOver, _: &Pid, ctx: &mut Context<Self>) {
        self.finish(Some(Error::Grace), ctx);
    }
}

impl<E: Executor> Handle<Linger> for ExecutorDriver<E> {
    fn handle(&mut self, _: Linger, _: &Pid, ctx: &mut Context<Self>) {
        self.finish(None, ctx);
    }
}
