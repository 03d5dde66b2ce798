//! `master/operations/...`: how many operations there are in which state, all together and of each kind (upstream:
//! `Metrics::OperationStates`). What is over is counted for ever.

use indexmap::IndexMap;
use libprocess::FixedState;
use libprocess::metrics::{Counter, Gauge};
use mesos::Enum as _;
use mesos::tasks::is_terminal_operation;
use mesos::v1::OperationState;
use mesos::v1::offer::operation::Type;

/// The counts of all kinds of operations.
pub(crate) struct OperationCounts {
    all: States,
    by_kind: IndexMap<&'static str, States, FixedState>,
}

struct States {
    total: Gauge,
    current: IndexMap<&'static str, Gauge, FixedState>,
    ended: IndexMap<&'static str, Counter, FixedState>,
}

impl States {
    fn new(node: &libprocess::Metrics, prefix: &str) -> Self {
        use OperationState::{
            OperationDropped, OperationError, OperationFailed, OperationFinished, OperationGoneByOperator,
            OperationPending, OperationRecovering, OperationUnreachable,
        };
        let name = |state: OperationState| {
            let name = state.as_str_name();
            (name, format!("{prefix}{}", name.trim_start_matches("OPERATION_").to_lowercase()))
        };
        let current = [OperationPending, OperationRecovering, OperationUnreachable].map(name);
        let ended =
            [OperationFinished, OperationFailed, OperationError, OperationDropped, OperationGoneByOperator]
                .map(name);
        Self {
            total: node.gauge(&format!("{prefix}total")),
            current: current.into_iter().map(|(state, name)| (state, node.gauge(&name))).collect(),
            ended: ended.into_iter().map(|(state, name)| (state, node.counter(&name))).collect(),
        }
    }

    fn enter(&self, state: OperationState) {
        self.total.add(1.0);
        if let Some(gauge) = self.current.get(state.as_str_name()) {
            gauge.add(1.0);
        }
        if let Some(counter) = self.ended.get(state.as_str_name()) {
            counter.increment();
        }
    }

    fn leave(&self, state: OperationState) {
        if is_terminal_operation(state) {
            return;
        }
        self.total.add(-1.0);
        if let Some(gauge) = self.current.get(state.as_str_name()) {
            gauge.add(-1.0);
        }
    }
}

impl OperationCounts {
    /// Registers them all: who monitors them sees 0, not nothing.
    pub(crate) fn new(node: &libprocess::Metrics) -> Self {
        let kinds = Type::descriptor().values.iter().map(|(name, _)| *name);
        // Launches are counted by tasks.
        let kinds = kinds.filter(|name| !matches!(*name, "UNKNOWN" | "LAUNCH" | "LAUNCH_GROUP"));
        let of = |kind: &str| States::new(node, &format!("master/operations/{}/", kind.to_lowercase()));
        Self {
            all: States::new(node, "master/operations/"),
            by_kind: kinds.map(|kind| (kind, of(kind))).collect(),
        }
    }

    fn each(&self, kind: Type) -> impl Iterator<Item = &States> {
        std::iter::once(&self.all).chain(self.by_kind.get(kind.as_str_name()))
    }

    /// There is one more, in this state.
    pub(crate) fn added(&self, kind: Type, state: OperationState) {
        self.each(kind).for_each(|states| states.enter(state));
    }

    /// One has changed its state.
    pub(crate) fn changed(&self, kind: Type, from: OperationState, to: OperationState) {
        if from != to {
            self.each(kind).for_each(|states| {
                states.leave(from);
                states.enter(to);
            });
        }
    }

    /// One was forgotten.
    pub(crate) fn removed(&self, kind: Type, state: OperationState) {
        self.each(kind).for_each(|states| states.leave(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_comes_and_goes_and_what_is_over_is_counted_for_ever() {
        let node = libprocess::Metrics::new();
        let counts = OperationCounts::new(&node);
        let value = |name: &str| node.value(&format!("master/operations/{name}")).unwrap();
        counts.added(Type::Reserve, OperationState::OperationPending);
        counts.added(Type::Create, OperationState::OperationPending);
        assert_eq!((value("pending"), value("reserve/pending"), value("total")), (2.0, 1.0, 2.0));
        counts.changed(Type::Reserve, OperationState::OperationPending, OperationState::OperationFinished);
        counts.removed(Type::Reserve, OperationState::OperationFinished);
        counts.removed(Type::Create, OperationState::OperationPending);
        assert_eq!((value("pending"), value("finished"), value("reserve/finished")), (0.0, 1.0, 1.0));
        assert_eq!((value("total"), value("create/total"), value("grow_volume/error")), (1.0, 0.0, 0.0));
    }
}
