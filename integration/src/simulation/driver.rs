//! A scheduler of the first API: a driver beside the scheduler library, which takes the library's calls as a master would,
//! sends them to the leading master as messages, and makes events of what the master sends.
//!
//! It does as upstream's driver (`sched/sched.cpp`): it subscribes again and again until it is answered, and takes over
//! from another driver the first time only. What it hears from a master that does not lead (any more) it drops. Where
//! upstream's aborts because its connection was lost, so that its process is started again, this one breaks the library's
//! stream. Its pid is another one in each life. Every other time it says a thing as drivers did before there were calls: by a
//! message for that alone.

use std::time::Duration;

use election::{Detector, LeaderChanged, MasterUrl, WatchLeader};
use libprocess::http::{Reply, Request, Response, StreamSender, stream};
use libprocess::{Context, Handle, Install, Pid, Process};
use mesos::internal::{
    ExecutorToFrameworkMessage, ExitedExecutorMessage, FrameworkErrorMessage, FrameworkRegisteredMessage,
    FrameworkReregisteredMessage, FrameworkToExecutorMessage, KillTaskMessage, LaunchTasksMessage,
    LostSlaveMessage, ReconcileTasksMessage, RegisterFrameworkMessage, ReregisterFrameworkMessage,
    RescindResourceOfferMessage, ResourceOffersMessage, ResourceRequestMessage, ReviveOffersMessage,
    StatusUpdateAcknowledgementMessage, StatusUpdateMessage, UnregisterFrameworkMessage,
};
use mesos::v1::scheduler::{Call, Event, call, event};
use mesos::{MediaType, codec, v0, v1};

/// Between two attempts to subscribe.
const RETRY: Duration = Duration::from_secs(2);
/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a master says to a driver that it has lost.
const DISCONNECTED: &str = "Framework disconnected";

/// Time to subscribe again, for this stream.
struct Retry(u64);

/// Time for a sign of life on the library's stream.
#[derive(Clone)]
struct Heartbeat;

libprocess::messages! { Retry; Heartbeat; }

/// See the module.
pub struct Driver {
    masters: MasterUrl,
    /// The leading master.
    master: Option<Pid>,
    /// The library's subscription, and whether the master has answered it.
    subscription: Option<(call::Subscribe, StreamSender)>,
    registered: bool,
    /// It has never been registered: it takes over.
    is_new: bool,
    /// How many streams there were.
    streams: u64,
    /// How often it has said something.
    said: u64,
}

impl Driver {
    /// A driver that finds its master there.
    pub fn new(masters: MasterUrl) -> Self {
        Self {
            masters,
            master: None,
            subscription: None,
            registered: false,
            is_new: true,
            streams: 0,
            said: 0,
        }
    }

    fn calls(&mut self, request: &Request, ctx: &mut Context<Self>) -> Response {
        let media = MediaType::of_content(request.header("Content-Type")).ok();
        let call = media.and_then(|media| codec::decode_call::<Call>(media, &request.body).ok());
        let Some(call) = call else { return Response::bad_request("not a call") };
        match call.subscribe {
            Some(subscribe) if call.r#type == Some(call::Type::Subscribe.into()) => {
                self.break_off();
                let (sender, body) = stream();
                self.subscription = Some((subscribe, sender));
                self.streams += 1;
                self.subscribe(ctx);
                Response::streaming(MediaType::Protobuf.as_str(), body)
            }
            _ => {
                if let Some(master) = self.master.clone().filter(|_| self.registered)
                    && !(self.is_old_fashioned() && post_as_before(&call, &master, ctx))
                {
                    ctx.post(&master, v0::scheduler::Call::from(call));
                }
                Response::accepted()
            }
        }
    }

    /// Whether it speaks as drivers did before there were calls: every other time.
    fn is_old_fashioned(&mut self) -> bool {
        self.said += 1;
        self.said.is_multiple_of(2)
    }

    fn subscribe(&mut self, ctx: &mut Context<Self>) {
        let is_old_fashioned = self.is_old_fashioned();
        let Some((subscribe, _)) = self.subscription.as_ref().filter(|_| !self.registered) else { return };
        if let Some(master) = &self.master {
            let (framework, id) = (subscribe.framework_info.clone(), subscribe.framework_info.id.clone());
            let is_plain = subscribe.suppressed_roles.is_empty() && subscribe.offer_constraints.is_none();
            let mut subscribe = v0::scheduler::call::Subscribe::from(subscribe.clone());
            subscribe.force = id.as_ref().map(|_| self.is_new);
            if is_old_fashioned && is_plain {
                match id {
                    None => ctx.post(master, RegisterFrameworkMessage { framework }),
                    Some(_) => {
                        ctx.post(master, ReregisterFrameworkMessage { framework, failover: self.is_new });
                    }
                }
                ctx.after(RETRY, Retry(self.streams));
                return;
            }
            let call = v0::scheduler::Call {
                framework_id: id,
                r#type: Some(call::Type::Subscribe.into()),
                subscribe: Some(subscribe),
                ..Default::default()
            };
            ctx.post(master, call);
        }
        ctx.after(RETRY, Retry(self.streams));
    }

    /// The library's stream breaks.
    fn break_off(&mut self) {
        self.registered = false;
        if let Some((_, stream)) = self.subscription.take() {
            stream.close();
        }
    }

    fn is_leader(&self, from: &Pid) -> bool {
        self.master.as_ref() == Some(from)
    }

    fn say(&self, kind: event::Type, event: Event) {
        if let Some((_, stream)) = &self.subscription {
            let event = Event { r#type: Some(kind.into()), ..event };
            // The library breaks a stream that it does not read.
            let _ = stream.send(codec::encode_record(MediaType::Protobuf, &event));
        }
    }

    fn subscribed(&mut self, framework_id: v1::FrameworkId, master: v1::MasterInfo, from: &Pid) {
        if !self.is_leader(from) || self.registered {
            return;
        }
        (self.registered, self.is_new) = (true, false);
        let subscribed = event::Subscribed {
            framework_id,
            heartbeat_interval_seconds: Some(HEARTBEAT.as_secs_f64()),
            master_info: Some(master),
        };
        self.say(event::Type::Subscribed, Event { subscribed: Some(subscribed), ..Default::default() });
    }
}

/// Says what a call says as drivers did before there were calls, if that is the same. Answers whether it is.
fn post_as_before(call: &Call, master: &Pid, ctx: &Context<Driver>) -> bool {
    let Call { accept, decline, revive, kill, acknowledge, reconcile, message, request, .. } = call;
    let Some(framework_id) = call.framework_id.clone() else { return false };
    let launch = |tasks: Vec<v1::TaskInfo>, filters: Option<v1::Filters>, offer_ids: &[v1::OfferId]| {
        let (filters, offer_ids) = (filters.unwrap_or_default(), offer_ids.to_vec());
        LaunchTasksMessage { framework_id: framework_id.clone(), tasks, filters, offer_ids }
    };
    if call.r#type == Some(call::Type::Teardown.into()) {
        ctx.post(master, UnregisterFrameworkMessage { framework_id });
    } else if let Some(accept) = accept {
        let [v1::offer::Operation { launch: Some(tasks), .. }] = &accept.operations[..] else { return false };
        ctx.post(master, launch(tasks.task_infos.clone(), accept.filters, &accept.offer_ids));
    } else if let Some(decline) = decline {
        ctx.post(master, launch(Vec::new(), decline.filters, &decline.offer_ids));
    } else if let Some(revive) = revive {
        ctx.post(master, ReviveOffersMessage { framework_id, roles: revive.roles.clone() });
    } else if let Some(kill) = kill.as_ref().filter(|kill| kill.kill_policy.is_none()) {
        ctx.post(master, KillTaskMessage { framework_id, task_id: kill.task_id.clone(), kill_policy: None });
    } else if let Some(call::Acknowledge { agent_id, task_id, uuid }) = acknowledge.clone() {
        let slave_id = agent_id;
        ctx.post(master, StatusUpdateAcknowledgementMessage { slave_id, framework_id, task_id, uuid });
    } else if let Some(reconcile) = reconcile {
        let status = |task: &call::reconcile::Task| v1::TaskStatus {
            task_id: task.task_id.clone(),
            agent_id: task.agent_id.clone(),
            ..Default::default()
        };
        let statuses = reconcile.tasks.iter().map(status).collect();
        ctx.post(master, ReconcileTasksMessage { framework_id, statuses, framework: None });
    } else if let Some(call::Message { agent_id, executor_id, data }) = message.clone() {
        let slave_id = agent_id;
        ctx.post(master, FrameworkToExecutorMessage { slave_id, framework_id, executor_id, data });
    } else if let Some(call::Request { requests }) = request.clone() {
        ctx.post(master, ResourceRequestMessage { framework_id, requests });
    } else {
        return false;
    }
    true
}

impl Process for Driver {
    const NAME: &'static str = "scheduler-driver";

    fn install(install: &mut Install<Self>) {
        let help = "Takes the scheduler library's calls.";
        install.route(&[], "/master/api/v1/scheduler", help, |driver: &mut Self, request: Request, ctx| {
            Reply::Now(driver.calls(&request, ctx))
        });
        install_heard(install);
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        let detector = ctx.node().spawn_numbered(Detector::new(self.masters.clone()));
        detector.tell(WatchLeader(ctx.address().recipient()));
        ctx.every(HEARTBEAT, Heartbeat);
    }
}

impl Handle<Heartbeat> for Driver {
    fn handle(&mut self, _: Heartbeat, _: &Pid, _: &mut Context<Self>) {
        if self.registered {
            self.say(event::Type::Heartbeat, Event::default());
        }
    }
}

impl Handle<LeaderChanged> for Driver {
    fn handle(&mut self, message: LeaderChanged, _: &Pid, ctx: &mut Context<Self>) {
        self.break_off();
        self.master = message.leader.and_then(|leader| leader.pid?.parse().ok());
        if let Some(master) = &self.master {
            ctx.link(master);
        }
    }
}

impl Handle<Retry> for Driver {
    fn handle(&mut self, Retry(stream): Retry, _: &Pid, ctx: &mut Context<Self>) {
        if stream == self.streams {
            self.subscribe(ctx);
        }
    }
}

/// What a master sends: dropped unless it leads and this driver is registered with it.
macro_rules! heard {
    ($($message:ty => $handle:expr;)*) => {
        $(impl Handle<$message> for Driver {
            fn handle(&mut self, message: $message, from: &Pid, _: &mut Context<Self>) {
                if self.is_leader(from) && self.registered {
                    let (kind, event): (event::Type, Event) = $handle(message);
                    self.say(kind, event);
                }
            }
        })*
        fn install_heard(install: &mut Install<Driver>) {
            $(install.message::<$message>();)*
            install.message::<FrameworkRegisteredMessage>();
            install.message::<FrameworkReregisteredMessage>();
            install.message::<FrameworkErrorMessage>();
            install.message::<ExecutorToFrameworkMessage>();
        }
    };
}

heard! {
    ResourceOffersMessage => |message: ResourceOffersMessage| {
        let offers = event::Offers { offers: message.offers };
        (event::Type::Offers, Event { offers: Some(offers), ..Default::default() })
    };
    RescindResourceOfferMessage => |message: RescindResourceOfferMessage| {
        let rescind = event::Rescind { offer_id: message.offer_id };
        (event::Type::Rescind, Event { rescind: Some(rescind), ..Default::default() })
    };
    StatusUpdateMessage => |message: StatusUpdateMessage| {
        let update = event::Update { status: message.update.status };
        (event::Type::Update, Event { update: Some(update), ..Default::default() })
    };
    LostSlaveMessage => |message: LostSlaveMessage| {
        let failure = event::Failure { agent_id: Some(message.slave_id), ..Default::default() };
        (event::Type::Failure, Event { failure: Some(failure), ..Default::default() })
    };
    ExitedExecutorMessage => |message: ExitedExecutorMessage| {
        let failure = event::Failure {
            agent_id: Some(message.slave_id),
            executor_id: Some(message.executor_id),
            status: Some(message.status),
        };
        (event::Type::Failure, Event { failure: Some(failure), ..Default::default() })
    };
}

impl Handle<FrameworkRegisteredMessage> for Driver {
    fn handle(&mut self, message: FrameworkRegisteredMessage, from: &Pid, _: &mut Context<Self>) {
        self.subscribed(message.framework_id, message.master_info, from);
    }
}

impl Handle<FrameworkReregisteredMessage> for Driver {
    fn handle(&mut self, message: FrameworkReregisteredMessage, from: &Pid, _: &mut Context<Self>) {
        self.subscribed(message.framework_id, message.master_info, from);
    }
}

impl Handle<FrameworkErrorMessage> for Driver {
    fn handle(&mut self, message: FrameworkErrorMessage, from: &Pid, _: &mut Context<Self>) {
        if !self.is_leader(from) {
            return;
        }
        if message.message == DISCONNECTED {
            return self.break_off();
        }
        let error = event::Error { message: message.message };
        self.say(event::Type::Error, Event { error: Some(error), ..Default::default() });
    }
}

/// From agents, directly.
impl Handle<ExecutorToFrameworkMessage> for Driver {
    fn handle(&mut self, message: ExecutorToFrameworkMessage, _: &Pid, _: &mut Context<Self>) {
        let ExecutorToFrameworkMessage { slave_id: agent_id, executor_id, data, .. } = message;
        let message = event::Message { agent_id, executor_id, data };
        self.say(event::Type::Message, Event { message: Some(message), ..Default::default() });
    }
}
