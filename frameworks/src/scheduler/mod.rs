//! The scheduler library: the half of a framework that takes offers and launches tasks.
//!
//! Implement [`Scheduler`], and give it to [`run`] with [`Options`]. The library finds the leading
//! master, subscribes, comes back after every failure, acknowledges status updates, and calls the
//! scheduler with one event at a time. The scheduler answers through its [`Driver`]:
//!
//! ```no_run
//! use frameworks::scheduler::{Driver, Options, Scheduler, run};
//! use mesos::v1;
//!
//! struct Polite;
//!
//! impl Scheduler for Polite {
//!     fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
//!         driver.decline(offers.iter().map(|offer| &offer.id), std::time::Duration::from_secs(5));
//!     }
//!     fn update(&mut self, _: &mut Driver<Self>, status: v1::TaskStatus) {
//!         println!("{}: {}", status.task_id.value, status.state().as_str_name());
//!     }
//! }
//!
//! # async fn example(node: &libprocess::Node) -> Result<(), Box<dyn std::error::Error>> {
//! let framework = v1::FrameworkInfo { user: "nobody".into(), name: "polite".into(), ..Default::default() };
//! run(node, Options::new("127.0.0.1:5050".parse()?, framework), Polite).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/minimal.rs` is a whole framework. What it does not do: decide anything about offers or tasks. Upstream:
//! `src/scheduler/scheduler.cpp`.

mod actor;
mod driver;
mod gauges;
mod suppressed;

use std::time::Duration;

use libprocess::{Address, Answer, Node};
use mesos::{FrameworkId, MediaType, v1};
use thiserror::Error;

pub use actor::{Act, SchedulerDriver};
pub use driver::Driver;
pub use election::MasterUrl;

/// What a framework does with the events that the master sends. One call at a time; be quick, and
/// leave what takes time to [`Driver::blocking`] and [`Driver::wait_for`].
pub trait Scheduler: Sized + Send + 'static {
    /// The framework is subscribed, for the first time or again (with the same id). After the first
    /// time tasks may have changed meanwhile: [`Driver::reconcile`] asks for their states.
    fn subscribed(&mut self, driver: &mut Driver<Self>, framework: &FrameworkId) {
        let _ = (driver, framework);
    }

    /// Resources to use or to decline. Each offer must be answered, or its resources stay with it.
    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>);

    /// An offer is no longer valid.
    fn rescind(&mut self, driver: &mut Driver<Self>, offer: v1::OfferId) {
        let _ = (driver, offer);
    }

    /// An operator asks to free an agent for maintenance.
    fn inverse_offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::InverseOffer>) {
        let _ = (driver, offers);
    }

    /// An inverse offer is no longer valid: its maintenance is planned anew, say, or the agent has left.
    fn rescind_inverse_offer(&mut self, driver: &mut Driver<Self>, inverse_offer: v1::OfferId) {
        let _ = (driver, inverse_offer);
    }

    /// A task changed its state. The update may come more than once; it is acknowledged after this
    /// call unless [`Options::explicit_acknowledgements`] is set.
    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus);

    /// An offer operation changed its state.
    fn operation_update(&mut self, driver: &mut Driver<Self>, status: v1::OperationStatus) {
        let _ = (driver, status);
    }

    /// An executor of this framework sent something. Best effort: it may be lost, and comes once.
    fn message(&mut self, driver: &mut Driver<Self>, message: v1::scheduler::event::Message) {
        let _ = (driver, message);
    }

    /// An agent was removed, or an executor ended.
    fn failure(&mut self, driver: &mut Driver<Self>, failure: v1::scheduler::event::Failure) {
        let _ = (driver, failure);
    }

    /// The master will have no more of this framework; [`run`] ends after this call.
    fn error(&mut self, driver: &mut Driver<Self>, message: &str) {
        let _ = (driver, message);
    }

    /// The subscription broke. Offers are void; tasks run on. The library is reconnecting.
    fn disconnected(&mut self, driver: &mut Driver<Self>) {
        let _ = driver;
    }
}

/// How to subscribe.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the masters are.
    pub master: MasterUrl,
    /// Who subscribes. An id in it takes over the framework of that id. An UPDATE_FRAMEWORK that was sent, and that the
    /// master has not refused, replaces it and the offer constraints for later subscriptions.
    pub framework: v1::FrameworkInfo,
    /// Roles of it that want no offers at first. What [`Driver::suppress`] and [`Driver::revive`] say since holds for
    /// later subscriptions, too.
    pub suppressed_roles: Vec<String>,
    /// Which agents it wants to be offered: all, unless set.
    pub offer_constraints: Option<v1::scheduler::OfferConstraints>,
    /// How calls and events are encoded: protobuf, unless set.
    pub media: MediaType,
    /// The scheduler calls [`Driver::acknowledge`] itself.
    pub explicit_acknowledgements: bool,
    /// A random part of this passes before each connection to a newly found master, so that not all
    /// schedulers come at once (upstream: `--connection_delay_max`, 500 ms).
    pub connection_delay_max: Duration,
    /// How long a master that has taken a subscription may take to confirm it before it is asked again: 30 s.
    pub subscription_timeout: Duration,
    /// How long to be without a subscription before [`run`] gives up; for ever, unless set.
    pub patience: Option<Duration>,
    /// What happens to the tasks when the future of [`run`] is dropped (Ctrl-C, for instance): they are killed with the
    /// framework if this is set, as by [`Driver::teardown`]; else they run on for its `failover_timeout`.
    pub teardown_on_drop: bool,
}

impl Options {
    /// The defaults, with these masters and this framework.
    pub fn new(master: MasterUrl, framework: v1::FrameworkInfo) -> Self {
        Options {
            master,
            framework,
            suppressed_roles: Vec::new(),
            offer_constraints: None,
            media: MediaType::Protobuf,
            explicit_acknowledgements: false,
            connection_delay_max: Duration::from_millis(500),
            subscription_timeout: Duration::from_secs(30),
            patience: None,
            teardown_on_drop: false,
        }
    }
}

/// Why a scheduler was stopped.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The master sent an ERROR event.
    #[error("the master ended the framework: {0}")]
    Ended(String),
    /// The master refused the subscription in a way that trying again does not change.
    #[error("the master refused the subscription: {0}")]
    Refused(String),
    /// [`Options::patience`] has passed.
    #[error("no subscription with a master at {master} within {patience:?}: {reason}")]
    NoMaster {
        /// Where it was looked for.
        master: String,
        /// How long.
        patience: Duration,
        /// What went wrong last.
        reason: String,
    },
    /// The scheduler's actor ended without a result (its node was shut down, or a callback panicked).
    #[error("the scheduler's actor has ended")]
    Gone,
}

/// Runs a scheduler until it calls [`Driver::stop`] or [`Driver::teardown`], and gives it back.
/// Dropping the future ends the scheduler too: see [`Options::teardown_on_drop`].
///
/// # Errors
/// When the master will have no more of it, or cannot be found in time: see [`enum@Error`].
pub async fn run<S: Scheduler>(node: &Node, options: Options, scheduler: S) -> Result<S, Error> {
    let teardown = options.teardown_on_drop;
    let (address, answer) = start(node, options, scheduler);
    let _end = EndOnDrop { address, teardown };
    answer.await.unwrap_or(Err(Error::Gone))
}

/// As [`run`], but at once: with the actor's address, for [`Act`].
pub fn start<S: Scheduler>(
    node: &Node,
    options: Options,
    scheduler: S,
) -> (Address<SchedulerDriver<S>>, Answer<Result<S, Error>>) {
    let (promise, answer) = libprocess::promise();
    (node.spawn_numbered(SchedulerDriver::new(options, scheduler, promise)), answer)
}

struct EndOnDrop<S: Scheduler> {
    address: Address<SchedulerDriver<S>>,
    teardown: bool,
}

impl<S: Scheduler> Drop for EndOnDrop<S> {
    fn drop(&mut self) {
        if self.teardown {
            // It ends by itself once the master has answered, or soon after.
            self.address.tell(Act::new(|_, driver| driver.teardown()));
        } else {
            self.address.terminate();
        }
    }
}
