//! Deliberate mistakes, for tests of the tests: an invariant of the simulated cluster (`integration::simulation`) is worth
//! as much as the mistakes that it catches. Each is made where a real one could be, and only if it is switched on for the
//! thread. They exist with the feature `sabotage` alone, which no daemon is built with: without it [`is_on`] is a
//! constant.

/// A mistake, and what it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The agent sends an executor its tasks twice when they had waited for it to come back.
    LaunchesTwice,
    /// The agent forwards the newest update of a task instead of the oldest.
    NewestUpdateFirst,
    /// The agent does not send an update again that was not acknowledged.
    UpdatesSentOnce,
    /// The agent acknowledges an executor's update before it is on the disk.
    PromisesBeforeSync,
    /// The agent does not register again when a ping says that the master holds it for disconnected.
    IgnoresDisconnected,
    /// The master gives the resources of a task that has ended to the allocator twice.
    FreesTwice,
    /// The master takes for stored what the registry has not stored yet.
    BelievesUnstored,
    /// The master goes on when it does not lead any more.
    LeadsOn,
    /// The master does not give back what a framework leaves of an accepted offer.
    KeepsRest,
    /// The allocator takes no notice of a limit.
    IgnoresLimits,
    /// The allocator revives all roles of a framework when it asks for one.
    RevivesAll,
    /// The registry stores a write without looking whether its author still leads.
    FenceNotAsked,
    /// The registrar acknowledges operations before it has stored them.
    AcknowledgesUnstored,
    /// What is stored of one agent is not kept in one transaction.
    SplitsAgents,
    /// A new leader does not take quotas over from the registry.
    ForgetsQuotas,
    /// A new leader does not mark the agents unreachable that have not come back.
    LeavesRecovered,
    /// The agent forgets an update when it has sent it.
    ForgetsSent,
    /// The agent gives an update another uuid when it sends it again.
    RenewsUuids,
    /// The agent does not cut a torn group of updates off its journal before it appends others.
    KeepsTornGroup,
    /// The agent takes it for impossible that an acknowledgement is not the one that it waits for.
    TrustsAcknowledgements,
    /// The master does not answer when a framework asks for a task that it does not know.
    SilentOnUnknown,
    /// The master keeps what a task has used in the agent's books when it has ended.
    KeepsEnded,
    /// The allocator holds nothing back for guarantees.
    IgnoresGuarantees,
    /// A new leader does not take over which agents are drained or deactivated.
    ForgetsActivations,
    /// A new leader does not take over what maintenance is planned.
    ForgetsSchedule,
    /// The master lets an agent return that was marked gone.
    ReadmitsGone,
    /// The master offers a deactivated agent again when that has come back.
    OffersDeactivated,
    /// The master holds an agent for drained that has tasks.
    DrainsEarly,
    /// The agent does not report again when the master has believed an older report.
    BelievesOldReports,
    /// The agent does not mention tasks of which the master has heard nothing yet.
    HidesUnheard,
    /// The agent says that it has done an operation before it has stored what has come of it.
    AppliesUnstored,
    /// The master does not tell operators of the tasks that an agent has when it comes back.
    HidesReturned,
    /// The master shows what a framework holds and is offered as it was when somebody asked for it first.
    ShowsStale,
    /// The agent does not report again when its connection to the master has broken.
    IgnoresBreaks,
    /// The allocator takes no notice of the whitelist.
    OffersUnlisted,
    /// The master offers agents that have as many executors as they may have.
    OffersFull,
    /// The allocator of a new leader does not wait until most agents are back.
    OffersEarly,
    /// The master answers every framework that asks for a task as if it knew of partitions.
    SpeaksOfPartitions,
    /// The master lets a framework subscribe again that is over.
    ReadmitsEnded,
    /// The master does not take back what it has offered for a role that a framework gives up.
    KeepsGivenUp,
    /// The agent does not tell again what came of an operation.
    OutcomesToldOnce,
    /// The master does not take back what it has offered to a scheduler that has gone.
    LeavesOffers,
    /// A master that does not lead answers all the same.
    StandbysAnswer,
}

impl Bug {
    /// By its name.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }

    /// All of them.
    pub const ALL: [Bug; 43] = [
        Bug::LaunchesTwice,
        Bug::NewestUpdateFirst,
        Bug::UpdatesSentOnce,
        Bug::PromisesBeforeSync,
        Bug::IgnoresDisconnected,
        Bug::FreesTwice,
        Bug::BelievesUnstored,
        Bug::LeadsOn,
        Bug::KeepsRest,
        Bug::IgnoresLimits,
        Bug::RevivesAll,
        Bug::FenceNotAsked,
        Bug::AcknowledgesUnstored,
        Bug::SplitsAgents,
        Bug::ForgetsQuotas,
        Bug::LeavesRecovered,
        Bug::ForgetsSent,
        Bug::RenewsUuids,
        Bug::KeepsTornGroup,
        Bug::TrustsAcknowledgements,
        Bug::SilentOnUnknown,
        Bug::KeepsEnded,
        Bug::IgnoresGuarantees,
        Bug::ForgetsActivations,
        Bug::ForgetsSchedule,
        Bug::ReadmitsGone,
        Bug::OffersDeactivated,
        Bug::DrainsEarly,
        Bug::BelievesOldReports,
        Bug::HidesUnheard,
        Bug::AppliesUnstored,
        Bug::HidesReturned,
        Bug::ShowsStale,
        Bug::IgnoresBreaks,
        Bug::OffersUnlisted,
        Bug::OffersFull,
        Bug::OffersEarly,
        Bug::SpeaksOfPartitions,
        Bug::ReadmitsEnded,
        Bug::KeepsGivenUp,
        Bug::OutcomesToldOnce,
        Bug::LeavesOffers,
        Bug::StandbysAnswer,
    ];
}

#[cfg(feature = "sabotage")]
std::thread_local! {
    static ON: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Makes a mistake from now on, on this thread; none with `None`.
#[cfg(feature = "sabotage")]
pub fn make(bug: Option<Bug>) {
    ON.set(bug);
}

/// Whether a mistake is to be made.
#[cfg(feature = "sabotage")]
pub fn is_on(bug: Bug) -> bool {
    ON.get() == Some(bug)
}

/// Whether a mistake is to be made: never.
#[cfg(not(feature = "sabotage"))]
pub const fn is_on(_: Bug) -> bool {
    false
}
