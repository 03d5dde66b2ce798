//! What must hold, by name.

use std::fmt;

/// What must hold. An invariant is worth as much as the deliberate mistakes that it finds: each has at least one
/// ([`super::mistakes`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader's writes are stored: none of a master whose node has left the group, or after a later leader
    /// has read everything.
    OneWriter,
    /// A master that was elected ends when it does not lead any more.
    OneLeader,
    /// An acknowledged registry operation is found by every later leader, and nothing is acknowledged that is not stored.
    AcknowledgedIsFound,
    /// The updates of a task's executor reach its framework in the order in which they were made, and none follows the
    /// one that ends the task.
    UpdatesInOrder,
    /// An update that an agent has acknowledged to an executor reaches the framework, if that checkpoints, and what came of
    /// its operations does in any case.
    UpdatesArrive,
    /// An update that was not acknowledged comes again, and every repetition has the uuid of the first.
    UpdatesRepeated,
    /// No task is started twice, and the tasks of a group are started together.
    RunsOnce,
    /// No task vanishes without a state: in the end each runs, and its framework knows it, or has ended in a state that
    /// its framework was told. None is told a state that it does not know of: only who knows of partitions hears more of a
    /// task than that it is lost. No framework is over that nobody has ended and whose scheduler has not stayed away for
    /// its failover time-out; who stays away for longer is over; and with a framework its tasks are.
    NothingVanishes,
    /// Each task and each operation that a framework asks for is answered.
    Reconciled,
    /// A task that a master calls gone does not run, and is not started any more, if its framework checkpoints.
    GoneIsTrue,
    /// In the master's books, on each agent, what is offered, used and free is what the agent has, and what is reserved is
    /// counted once, as is what is shared. No two tasks use a volume at once that is not.
    BooksAddUp,
    /// The master's books and its allocator's say the same.
    BooksAgree,
    /// Nothing is offered to a framework whose scheduler is away, or for a role that it has suppressed or given up, of an agent
    /// that its constraints exclude, of one with GPUs or in another region if it does not know of such, or that is less than
    /// its filters ask for.
    SuppressedIsQuiet,
    /// No role is offered more than its limit.
    LimitsHold,
    /// What roles lack to their guarantees is held back: others are not offered it. A new leader that knows of quotas offers
    /// nothing until most agents are back.
    GuaranteesHold,
    /// An agent that was marked gone does not come back, nor does a framework to a master for which it is over.
    GoneStaysGone,
    /// An agent that is deactivated, or drained, or not listed, or has as many executors as it may, is offered to nobody.
    OutOfServiceIsQuiet,
    /// An agent that was drained has no tasks that are not over: in the master's books, and in the end on its host.
    DrainedIsEmpty,
    /// When everything is mended, everybody finds everybody again; before that, the leader finds each agent again that
    /// nothing keeps from it. Each framework is known as it has described itself last.
    GetsWell,
    /// A reservation or a volume that somebody was told of is there until somebody asks for its end, and what somebody
    /// was told the end of is not; the leader, the agent and the agent's disk agree on it in the end. A volume that a
    /// task uses is there in any case.
    ReservedStays,
    /// The executors that the leader has on an agent are those that run there, soon after nothing keeps the two apart.
    ExecutorsAgree,
    /// An operator who adds up the events of its stream to the state that it began with knows the agents, the frameworks and
    /// the tasks that the leader has, and no event speaks of what it does not know.
    EventsAddUp,
    /// Who asks a master that leads is answered, in the form that was asked for, and no answer contradicts itself: nothing
    /// is listed twice, agents and frameworks hold what their tasks and executors do, and have in offers what their
    /// offers have. Who asks one that does not is led on.
    ReadsAgree,
    /// No actor panics, and none does what this program holds for impossible.
    NothingPanics,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Invariant; 24] = [
        Invariant::OneWriter,
        Invariant::OneLeader,
        Invariant::AcknowledgedIsFound,
        Invariant::UpdatesInOrder,
        Invariant::UpdatesArrive,
        Invariant::UpdatesRepeated,
        Invariant::RunsOnce,
        Invariant::NothingVanishes,
        Invariant::Reconciled,
        Invariant::GoneIsTrue,
        Invariant::BooksAddUp,
        Invariant::BooksAgree,
        Invariant::SuppressedIsQuiet,
        Invariant::LimitsHold,
        Invariant::GuaranteesHold,
        Invariant::GoneStaysGone,
        Invariant::OutOfServiceIsQuiet,
        Invariant::DrainedIsEmpty,
        Invariant::GetsWell,
        Invariant::ReservedStays,
        Invariant::ExecutorsAgree,
        Invariant::EventsAddUp,
        Invariant::ReadsAgree,
        Invariant::NothingPanics,
    ];
}

/// Something that must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What did not hold.
    pub invariant: Invariant,
    /// What happened.
    pub text: String,
}

impl Violation {
    /// From both.
    pub fn new(invariant: Invariant, text: impl Into<String>) -> Violation {
        Violation { invariant, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}
