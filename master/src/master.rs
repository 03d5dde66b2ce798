//! The Master (`master`): what it owns, and the table of its messages.
//!
//! | receives | from | does (module) |
//! |---|---|---|
//! | `LeaderChanged` | the detector | leads, follows, or ends when it has lost (`leadership`) |
//! | `CandidacyObtained` | the contender | leads from now on, if the detector has said so of this candidacy (`leadership`) |
//! | `CandidacyEnded` | the contender | ends if it led; a standby stands for election again (`leadership`) |
//! | `StoodStill` | `pulse(1)` | ends: another master may lead (`leadership`) |
//! | `MakeOffers`, `MakeInverseOffers` | the allocator | makes offers and inverse offers (`offers`, `inverse_offers`) |
//! | `Health` | an agent's observer | marks the agent unreachable, or spares it (`agents::unreachable`) |
//! | `RegisterSlaveMessage` | an agent | admits it, and gives it its id (`agents::register`) |
//! | `Report` | an agent: its `ReregisterSlaveMessage`, made ready where it is decoded (`agents::report`) | takes it back, with what it runs (`agents::reregister`, `agents::reconcile`) |
//! | `UpdateSlaveMessage` | an agent, after each registration | compares operations, takes over its resources (`agents::update`) |
//! | `UnregisterSlaveMessage` | an agent | removes it (`agents::remove`) |
//! | `UpdateOperationStatusMessage` | an agent | notes what became of an operation (`operations`) |
//! | `StatusUpdateMessage` | an agent | passes the update on to the framework, and changes the task (`updates::status`) |
//! | `ExitedExecutorMessage`, `ExecutorToFrameworkMessage` | an agent | removes the executor, and tells the framework; passes on what an executor sends (`updates::executor`) |
//! | `scheduler.Call` and the messages before it | a scheduler of the first API | (`driver`) |
//! | `Timeout` | itself, later | one of the deadlines that it lists |
//! | `StreamBroken` | itself | a scheduler's stream took no more: it is disconnected (`frameworks::lifecycle`) |
//! | a link that breaks | its node | an agent is disconnected, or a driver is (`agents::disconnect`, `frameworks::lifecycle`) |
//! | `Rest` | itself, later | goes on with a RECONCILE of very many tasks (`calls::reconcile`) |
//! | [`TakeSnapshot`] | whoever started it | answers with the state |
//! | HTTP | schedulers, operators | answers (`calls`, `operator`, `http`, `openapi`; `reads` declares the paths) |
//!
//! A master that does not lead, or has not read the registry yet, drops what agents and drivers send. It never
//! waits: the registrar's answers come back as continuations. Whoever reads the state gets a
//! [`Snapshot`] and renders it elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use allocator::Allocator;
use allocator::messages::{MakeInverseOffers, MakeOffers};
use election::{CandidacyEnded, CandidacyObtained, Contend, Contender, Detector, LeaderChanged, WatchLeader};
use indexmap::IndexMap;
use libprocess::files::Files;
use libprocess::{Address, Context, FixedState, Handle, Install, Pid, Process, Promise, messages, promise};
use mesos::internal::{
    AuthenticateMessage, DeactivateFrameworkMessage, ExecutorToFrameworkMessage, ExitedExecutorMessage,
    FrameworkToExecutorMessage, KillTaskMessage, LaunchTasksMessage, ReconcileTasksMessage,
    RegisterFrameworkMessage, RegisterSlaveMessage, ReregisterFrameworkMessage, ResourceRequestMessage,
    ReviveOffersMessage, StatusUpdateAcknowledgementMessage, StatusUpdateMessage, UnregisterFrameworkMessage,
    UnregisterSlaveMessage, UpdateOperationStatusMessage, UpdateSlaveMessage,
};
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, OfferId, v0, v1};

use crate::agents::observer::Health;
use crate::agents::report::Report;
use crate::agents::{self, Agents};
use crate::allocation::Allocation;
use crate::authorization::Authorizer;
use crate::calls::reconcile;
use crate::cluster::{Cluster, Snapshot};
use crate::frameworks::stream::Stream;
use crate::http::pages::Pages;
use crate::ids::Ids;
use crate::inverse_offers::InverseOffers;
use crate::leadership::Leadership;
use crate::metrics::{Metrics, register_queue};
use crate::operator::quota;
use crate::operator::subscribe::Subscribers;
use crate::pulse::StoodStill;
use crate::reads::Routes;
use crate::registrar::{Apply, Operation, RegistrarError, RegistrarHandle};
use crate::rendering::Renderings;
use crate::settings::Settings;
use crate::whitelist::WhitelistWatcher;
use crate::{
    calls, driver, frameworks, http, inverse_offers, leadership, offers, openapi, operations, operator,
    updates, whitelist,
};

/// Why a master ended by itself. Its process must end, too: another master leads.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EndReason {
    /// Another master leads, or nobody does.
    #[error("lost leadership: {0}")]
    LostLeadership(String),
    /// It never led, and cannot: it may not write where the leader is elected, say.
    #[error("cannot stand for election: {0}")]
    CannotStand(String),
    /// The registry could not be read or written.
    #[error("the registry failed: {0}")]
    Registry(String),
    /// More agents than `--recovery_agent_removal_limit` allows did not come back.
    #[error(
        "{lost} of {known} agents in the registry did not re-register, which is more than the removal limit \
         of {limit}%; look for the cause, or raise --recovery_agent_removal_limit"
    )]
    TooManyAgentsLost {
        /// Agents that did not come back.
        lost: usize,
        /// Agents in the registry.
        known: usize,
        /// The limit.
        limit: f64,
    },
    /// The actor ended: it was told to, or it panicked.
    #[error("the master actor ended: {0}")]
    Ended(String),
}

/// A deadline of the master's own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Timeout {
    /// A framework's failover timeout.
    Failover(FrameworkId),
    /// `--offer_timeout`.
    Offer(OfferId),
    /// The same, of an inverse offer.
    InverseOffer(OfferId),
    /// A disconnected agent has not re-registered.
    AgentReregistration(AgentId),
    /// Agents that the registry knows have not come back.
    Recovery {
        /// How many the registry knew.
        known: usize,
    },
    /// An agent's turn to be removed has come (`--agent_removal_rate_limit`).
    Removal,
    /// A framework's stream wants its next heartbeat.
    Heartbeat(FrameworkId, uuid::Uuid),
    /// The same, of an operator.
    SubscriberHeartbeat(uuid::Uuid),
    /// Time to forget old entries of the registry.
    PruneRegistry,
}

/// A scheduler's stream took no more.
#[derive(Debug, Clone)]
pub(crate) struct StreamBroken {
    pub(crate) framework: FrameworkId,
    pub(crate) stream: uuid::Uuid,
}

/// What does the cluster look like? For whoever has the master's address: programs that run it within themselves.
#[derive(Debug, Clone, Copy)]
pub struct TakeSnapshot;

messages! { Timeout; StreamBroken; TakeSnapshot => Arc<Snapshot>; }

/// Who else a master works with.
pub struct Peers {
    /// Decides who is offered what.
    pub allocator: Address<Allocator>,
    /// Keeps what must survive.
    pub registrar: RegistrarHandle,
    /// Says who leads.
    pub detector: Address<Detector>,
    /// Stands for election.
    pub contender: Address<Contender>,
    /// Shows files: the log.
    pub files: Address<Files>,
    /// Says who may do what.
    pub authorizer: Arc<dyn Authorizer>,
}

/// See the module.
pub struct Master {
    pub(crate) settings: Arc<Settings>,
    pub(crate) info: v1::MasterInfo,
    /// All settings as text, for readers.
    pub(crate) flags: Arc<BTreeMap<String, String>>,
    pub(crate) started: SystemTime,
    pub(crate) leadership: Leadership,
    pub(crate) cluster: Cluster,
    /// The streams of the connected schedulers of the HTTP API.
    pub(crate) streams: IndexMap<FrameworkId, Stream, FixedState>,
    /// When frameworks whose schedulers are away are removed.
    pub(crate) failover_timers: IndexMap<FrameworkId, libprocess::Timer, FixedState>,
    pub(crate) agents: Agents,
    pub(crate) allocation: Allocation,
    /// Tells the allocator which agents may be offered, with `--whitelist`.
    whitelist: Option<Address<WhitelistWatcher>>,
    pub(crate) metrics: Metrics,
    pub(crate) ids: Ids,
    /// Timers of `--offer_timeout`.
    pub(crate) offer_timers: IndexMap<OfferId, libprocess::Timer, FixedState>,
    /// Frameworks that were asked to leave agents.
    pub(crate) inverse_offers: InverseOffers,
    /// What drivers have asked for, of their tasks.
    pub(crate) reconciliations: reconcile::OfDrivers,
    /// Quotas that are not stored yet.
    pub(crate) quotas_under_way: quota::UnderWay,
    pub(crate) files: Address<Files>,
    /// Operators who follow what happens.
    pub(crate) subscribers: Subscribers,
    /// What was rendered for readers.
    pub(crate) renderings: Arc<Renderings>,
    /// What a browser is shown.
    pub(crate) pages: Pages,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    registrar: RegistrarHandle,
    detector: Address<Detector>,
    contender: Address<Contender>,
    ended: Option<Promise<EndReason>>,
    /// What readers of the present version hold, if any does.
    snapshot: Weak<Snapshot>,
}

impl Master {
    /// A master that has not been elected. `ended` is set when it ends by itself.
    pub(crate) fn new(
        node: &libprocess::Node,
        settings: Arc<Settings>,
        info: v1::MasterInfo,
        peers: Peers,
        pages: Pages,
        ended: Promise<EndReason>,
    ) -> Self {
        let cluster = Cluster::new(settings.history_limits());
        let metrics = Metrics::new(node, &cluster, settings.publish_per_framework_metrics);
        Self {
            renderings: Arc::new(Renderings::new(metrics.http_cache_hits.clone())),
            pages,
            files: peers.files,
            subscribers: Subscribers::new(
                settings.max_operator_event_stream_subscribers,
                metrics.operator_event_stream_subscribers.clone(),
            ),
            metrics,
            flags: Arc::new(settings.to_flags()),
            agents: Agents::new(&settings),
            ids: Ids::new(info.id.clone()),
            started: node.now(),
            leadership: Leadership::default(),
            streams: IndexMap::default(),
            failover_timers: IndexMap::default(),
            offer_timers: IndexMap::default(),
            inverse_offers: InverseOffers::default(),
            reconciliations: reconcile::OfDrivers::default(),
            quotas_under_way: quota::UnderWay::default(),
            allocation: Allocation::new(peers.allocator),
            whitelist: None,
            authorizer: peers.authorizer,
            registrar: peers.registrar,
            detector: peers.detector,
            contender: peers.contender,
            ended: Some(ended),
            snapshot: Weak::new(),
            settings,
            info,
            cluster,
        }
    }

    /// Who this master is.
    pub fn info(&self) -> &v1::MasterInfo {
        &self.info
    }

    /// The state as it is now, for a reader. Readers of one version share one snapshot.
    pub fn snapshot(&mut self, now: SystemTime) -> Arc<Snapshot> {
        let view = leadership::view(self);
        if let Some(snapshot) = self.snapshot.upgrade()
            && snapshot.version == self.cluster.version()
            && snapshot.master.leader == view.leader
        {
            return snapshot;
        }
        let snapshot = Arc::new(self.cluster.snapshot(Arc::new(view), now));
        self.snapshot = Arc::downgrade(&snapshot);
        snapshot
    }

    /// Ends, with the reason, once.
    pub(crate) fn end(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        tracing::error!(%reason, "the master ends");
        if let Some(ended) = self.ended.take() {
            ended.set(reason);
        }
        ctx.terminate();
    }

    /// Has the registrar apply an operation, and goes on with whether it was possible. A registry
    /// that cannot be written ends the master.
    pub(crate) fn apply(
        &mut self,
        operation: Operation,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, bool, &mut Context<Self>) + 'static,
    ) {
        let (reply, answer) = promise::<Result<bool, RegistrarError>>();
        self.registrar.apply.tell(Apply { operation, reply });
        if is_on(Bug::BelievesUnstored) {
            return then(self, true, ctx);
        }
        ctx.defer(answer, move |master, answer, ctx| match answer {
            Ok(Ok(possible)) => then(master, possible, ctx),
            Ok(Err(error)) => master.end(EndReason::Registry(error.to_string()), ctx),
            Err(error) => master.end(EndReason::Registry(error.to_string()), ctx),
        });
    }

    /// Stands for election.
    pub(crate) fn contend(&self, ctx: &Context<Self>) {
        let me = ctx.address();
        self.contender.tell(Contend { obtained: me.recipient(), ended: me.recipient() });
    }

    pub(crate) fn registrar(&self) -> &RegistrarHandle {
        &self.registrar
    }
}

impl Process for Master {
    const NAME: &'static str = "master";

    fn install(install: &mut Install<Self>) {
        install.message::<RegisterSlaveMessage>();
        install.message::<Report>();
        install.message::<UnregisterSlaveMessage>();
        install.message::<UpdateSlaveMessage>();
        install.message::<UpdateOperationStatusMessage>();
        install.message::<StatusUpdateMessage>();
        install.message::<ExitedExecutorMessage>();
        install.message::<ExecutorToFrameworkMessage>();
        driver::install(install);
        let mut routes = Routes::of(install);
        calls::http::install(&mut routes);
        http::install(&mut routes);
        operator::install(&mut routes);
        openapi::install(&mut routes);
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        register_queue(ctx.node(), &ctx.address());
        let options = self.settings.allocator_options();
        let me = ctx.address();
        self.allocation.initialize(options, me.recipient(), me.recipient());
        let listed = self.allocation.whitelist();
        self.whitelist = whitelist::watch(self.settings.whitelist.as_deref(), listed, ctx.node());
        self.contend(ctx);
        self.detector.tell(WatchLeader(ctx.address().recipient()));
    }

    fn stopping(&mut self, exit: &libprocess::Exit, _: &mut Context<Self>) {
        self.agents.stop_observers();
        self.leadership.stop();
        if let Some(watcher) = self.whitelist.take() {
            watcher.kill();
        }
        if let Some(ended) = self.ended.take() {
            ended.set(EndReason::Ended(format!("{exit:?}")));
        }
    }

    fn exited(&mut self, pid: &Pid, ctx: &mut Context<Self>) {
        frameworks::lifecycle::link_broke(self, pid, ctx);
        agents::disconnect::link_broke(self, pid, ctx);
    }
}

/// Messages of agents and drivers: dropped unless this master leads and knows the registry.
macro_rules! from_peers {
    ($($message:ty => $handler:path;)*) => {$(
        impl Handle<$message> for Master {
            fn handle(&mut self, message: $message, from: &Pid, ctx: &mut Context<Self>) {
                if self.leadership.is_serving() {
                    $handler(self, message, from, ctx);
                } else {
                    self.metrics.dropped_messages.increment();
                }
            }
        }
    )*};
}

from_peers! {
    RegisterSlaveMessage => agents::register::register;
    Report => agents::reregister::reregister;
    UnregisterSlaveMessage => agents::remove::unregister;
    UpdateSlaveMessage => agents::update::update;
    UpdateOperationStatusMessage => operations::update::update;
    StatusUpdateMessage => updates::status::update;
    ExitedExecutorMessage => updates::executor::exited;
    ExecutorToFrameworkMessage => updates::executor::message;
    v0::scheduler::Call => driver::calls::receive;
    RegisterFrameworkMessage => driver::subscribe::register;
    ReregisterFrameworkMessage => driver::subscribe::reregister;
    UnregisterFrameworkMessage => driver::messages::unregister;
    DeactivateFrameworkMessage => driver::deactivate::deactivate;
    ResourceRequestMessage => driver::messages::request_resources;
    LaunchTasksMessage => driver::messages::launch_tasks;
    ReviveOffersMessage => driver::messages::revive_offers;
    KillTaskMessage => driver::messages::kill_task;
    StatusUpdateAcknowledgementMessage => driver::messages::acknowledge;
    FrameworkToExecutorMessage => driver::messages::message;
    ReconcileTasksMessage => driver::messages::reconcile_tasks;
    AuthenticateMessage => driver::authenticate::authenticate;
}

/// Messages within the node.
macro_rules! local {
    ($($message:ty => $handler:path;)*) => {$(
        impl Handle<$message> for Master {
            fn handle(&mut self, message: $message, _: &Pid, ctx: &mut Context<Self>) {
                $handler(self, message, ctx);
            }
        }
    )*};
}

local! {
    LeaderChanged => leadership::leader_changed;
    CandidacyObtained => leadership::candidacy_obtained;
    CandidacyEnded => leadership::candidacy_ended;
    StoodStill => leadership::stood_still;
    MakeOffers => offers::make;
    MakeInverseOffers => inverse_offers::make;
    Health => agents::unreachable::health_changed;
    StreamBroken => frameworks::lifecycle::stream_broken;
    reconcile::Rest => reconcile::go_on;
    Timeout => timed_out;
}

fn timed_out(master: &mut Master, timeout: Timeout, ctx: &mut Context<Master>) {
    match timeout {
        Timeout::Failover(framework) => frameworks::lifecycle::failover_timed_out(master, &framework, ctx),
        Timeout::Offer(offer) => offers::rescind(master, &offer, ctx),
        Timeout::InverseOffer(offer) => inverse_offers::rescind(master, &offer, ctx),
        Timeout::AgentReregistration(agent) => {
            agents::unreachable::reregistration_timed_out(master, &agent, ctx);
        }
        Timeout::Recovery { known } => agents::unreachable::recovery_timed_out(master, known, ctx),
        Timeout::Removal => agents::unreachable::take_turns(master, ctx),
        Timeout::Heartbeat(framework, stream) => {
            frameworks::stream::heartbeat(master, framework, stream, ctx);
        }
        Timeout::SubscriberHeartbeat(subscriber) => {
            operator::subscribe::heartbeat(master, subscriber, ctx);
        }
        Timeout::PruneRegistry => agents::prune::prune(master, ctx),
    }
}

impl Handle<TakeSnapshot> for Master {
    fn handle(&mut self, _: TakeSnapshot, _: &Pid, ctx: &mut Context<Self>) -> Arc<Snapshot> {
        self.snapshot(ctx.now())
    }
}
