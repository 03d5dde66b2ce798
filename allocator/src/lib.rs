//! Who is offered what: hierarchical dominant resource fairness.
//!
//! [`core`] is the decision, pure: books, fairness and the allocation pass, with time and chance as
//! arguments. [`Allocator`] is the actor around it: it is told what happens by the master
//! ([`messages`]), runs the pass when something became free and every interval, and answers with
//! [`messages::MakeOffers`]. The README beside the sources states the problem as arithmetic.

mod actor;
pub mod core;
pub mod messages;
mod metrics;
pub mod options;

pub use actor::Allocator;
pub use core::{Core, EventError, Offers, Quota};
pub use options::{FrameworkOptions, Options, SorterKind};
