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
}

impl Bug {
    /// By its name.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }

    /// All of them.
    pub const ALL: [Bug; 11] = [
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
