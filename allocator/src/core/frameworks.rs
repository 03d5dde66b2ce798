//! Frameworks, and their memberships in roles.
//!
//! A *member* is a framework in one of its roles: it is what the sorter of a role orders, what is
//! suppressed and filtered, and what resources are given to. A member exists while its framework is
//! subscribed to the role or holds something under it; the second without the first happens when a
//! framework leaves a role, and when an agent reports the tasks of a framework that has not come back
//! yet after a failover of the master.

use std::collections::{BTreeMap, BTreeSet};

use mesos::{FrameworkId, v1};

use super::amounts::{Amounts, Limits};
use super::bundle::{Bundle, Unusable};
use super::constraints::RoleConstraints;
use super::ids::{FrameworkIdx, MemberIdx, NameIdx, Names, RoleIdx};

/// One framework.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) id: FrameworkId,
    /// Whether it was added. Until then it is known only from what agents say they run for it.
    pub(crate) added: bool,
    /// Whether it is connected.
    pub(crate) active: bool,
    pub(crate) capabilities: Capabilities,
    pub(crate) members: BTreeMap<RoleIdx, MemberIdx>,
}

impl Framework {
    pub(crate) fn unknown(id: FrameworkId) -> Framework {
        Framework {
            id,
            added: false,
            active: false,
            capabilities: Capabilities::default(),
            members: BTreeMap::new(),
        }
    }
}

/// A framework in a role.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) framework: FrameworkIdx,
    pub(crate) role: RoleIdx,
    /// Whether the framework subscribed to the role.
    pub(crate) subscribed: bool,
    /// Whether the framework wants no offers for the role.
    pub(crate) suppressed: bool,
    /// On how many agents it holds something.
    pub(crate) holdings: usize,
    /// Its own minimums in place of the cluster's.
    pub(crate) minimums: Option<Minimums>,
    /// Which agents it wants; any with `None`.
    pub(crate) constraints: Option<RoleConstraints>,
}

impl Member {
    pub(crate) fn new(framework: FrameworkIdx, role: RoleIdx) -> Member {
        Member {
            framework,
            role,
            subscribed: false,
            suppressed: false,
            holdings: 0,
            minimums: None,
            constraints: None,
        }
    }
}

/// Frameworks may bring new names of resources up to so many in all: amounts are as long as there are names.
const NAMES: usize = 256;

/// What an offer must reach at least one of. Empty: anything will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Minimums(pub(crate) Vec<Amounts>);

impl Minimums {
    /// Whether a bundle is enough for an offer.
    pub(crate) fn reached_by(&self, bundle: &Bundle) -> bool {
        !bundle.is_empty() && (self.0.is_empty() || self.0.iter().any(|minimum| bundle.reaches(minimum)))
    }

    /// Whether plain amounts are enough for an offer.
    pub(crate) fn reached_by_amounts(&self, amounts: &Amounts) -> bool {
        self.0.is_empty() || self.0.iter().any(|minimum| amounts.contains(minimum))
    }

    /// Whether limits leave room for one of them, with so much consumed.
    pub(crate) fn within(&self, limits: &Limits, consumed: &Amounts) -> bool {
        self.0.is_empty() || self.0.iter().any(|minimum| limits.shrink(minimum, consumed) == *minimum)
    }

    /// Whether what is not plain in a bundle could help to reach one of them.
    pub(crate) fn ask_for_other_than_plain(&self, bundle: &Bundle) -> bool {
        let (standard, other) = (bundle.rest.counts_standard(), bundle.rest.counts_other());
        let helps = |minimum: &Amounts| standard && minimum.has_standard() || other && minimum.has_other();
        self.0.is_empty() || (standard || other) && self.0.iter().any(helps)
    }
}

/// What a framework understands (`FrameworkInfo.Capability`). What it does not, it is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) multi_role: bool,
    pub(crate) gpu_resources: bool,
    pub(crate) region_aware: bool,
    revocable_resources: bool,
    shared_resources: bool,
    reservation_refinement: bool,
}

impl Capabilities {
    pub(crate) fn new(info: &v1::FrameworkInfo) -> Capabilities {
        use v1::framework_info::capability::Type;
        let has = |wanted: Type| info.capabilities.iter().any(|capability| capability.r#type() == wanted);
        Capabilities {
            multi_role: has(Type::MultiRole),
            gpu_resources: has(Type::GpuResources),
            region_aware: has(Type::RegionAware),
            revocable_resources: has(Type::RevocableResources),
            shared_resources: has(Type::SharedResources),
            reservation_refinement: has(Type::ReservationRefinement),
        }
    }

    pub(crate) fn unusable(self) -> Unusable {
        Unusable {
            shared: !self.shared_resources,
            revocable: !self.revocable_resources,
            refined: !self.reservation_refinement,
        }
    }
}

/// The roles that a framework subscribes to: those of a MULTI_ROLE framework, or the single one.
pub fn roles(info: &v1::FrameworkInfo) -> BTreeSet<String> {
    if Capabilities::new(info).multi_role {
        info.roles.iter().cloned().collect()
    } else {
        BTreeSet::from([info.role().to_owned()])
    }
}

/// The minimums that a framework sets for one of its roles (`FrameworkInfo.offer_filters`).
pub(crate) fn minimums(info: &v1::FrameworkInfo, role: &str, names: &mut Names) -> Option<Minimums> {
    let minimums = info.offer_filters.get(role)?.min_allocatable_resources.as_ref()?;
    let mut amounts = Vec::with_capacity(minimums.quantities.len());
    for quantities in &minimums.quantities {
        let mut minimum = Amounts::ZERO;
        for (name, scalar) in &quantities.quantities {
            match names.intern_within(name, NAMES) {
                Some(name) => minimum.set(name, mesos::Scalar::from_f64(scalar.value).millis()),
                // Of something that no agent has there is never enough.
                None => minimum.set(NameIdx(0), i64::MAX),
            }
        }
        amounts.push(minimum);
    }
    Some(Minimums(amounts))
}
