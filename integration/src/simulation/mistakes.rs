//! Which invariant is meant to find which deliberate mistake.

use mesos::sabotage::Bug;

use super::invariant::Invariant;

/// The invariants that may be the first to notice a mistake. The simulation finds each mistake by one of these, and with
/// all mistakes together it has seen each invariant fail (`simulate --sabotage all`).
pub fn meant_for(bug: Bug) -> &'static [Invariant] {
    use Invariant::*;
    match bug {
        Bug::LaunchesTwice => &[RunsOnce],
        Bug::NewestUpdateFirst => &[UpdatesInOrder],
        Bug::UpdatesSentOnce => &[UpdatesRepeated, UpdatesArrive],
        Bug::OutcomesToldOnce => &[UpdatesArrive, ReservedStays],
        Bug::PromisesBeforeSync => &[UpdatesArrive],
        Bug::IgnoresDisconnected => &[GetsWell],
        Bug::FreesTwice => &[BooksAgree],
        Bug::BelievesUnstored | Bug::AcknowledgesUnstored => &[AcknowledgedIsFound],
        Bug::LeadsOn => &[OneLeader],
        Bug::KeepsRest => &[BooksAgree],
        Bug::IgnoresLimits => &[LimitsHold],
        Bug::RevivesAll | Bug::KeepsGivenUp | Bug::LeavesOffers => &[SuppressedIsQuiet],
        Bug::FenceNotAsked => &[OneWriter],
        Bug::SplitsAgents | Bug::ForgetsQuotas => &[AcknowledgedIsFound],
        Bug::LeavesRecovered | Bug::SpeaksOfPartitions => &[NothingVanishes],
        Bug::ForgetsSent => &[UpdatesInOrder, UpdatesArrive, UpdatesRepeated],
        Bug::RenewsUuids => &[UpdatesRepeated],
        Bug::KeepsTornGroup => &[GetsWell, UpdatesArrive],
        Bug::TrustsAcknowledgements => &[NothingPanics],
        Bug::SilentOnUnknown => &[Reconciled],
        Bug::KeepsEnded => &[BooksAddUp],
        Bug::IgnoresGuarantees | Bug::OffersEarly => &[GuaranteesHold],
        Bug::ForgetsActivations | Bug::ForgetsSchedule => &[AcknowledgedIsFound],
        Bug::ReadmitsGone | Bug::ReadmitsEnded => &[GoneStaysGone],
        Bug::OffersDeactivated | Bug::OffersUnlisted | Bug::OffersFull => &[OutOfServiceIsQuiet],
        Bug::DrainsEarly => &[DrainedIsEmpty],
        Bug::HidesUnheard => &[GoneIsTrue],
        Bug::BelievesOldReports => &[ReservedStays, ExecutorsAgree],
        Bug::AppliesUnstored => &[ReservedStays],
        Bug::HidesReturned => &[EventsAddUp],
        Bug::ShowsStale | Bug::StandbysAnswer => &[ReadsAgree],
        Bug::IgnoresBreaks => &[ExecutorsAgree, ReservedStays],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_meant_to_be_found_and_every_invariant_to_find_one() {
        for bug in Bug::ALL {
            assert!(!meant_for(bug).is_empty(), "{bug:?}");
        }
        for invariant in Invariant::ALL {
            assert!(Bug::ALL.iter().any(|bug| meant_for(*bug).contains(&invariant)), "{invariant:?}");
        }
    }
}
