//! How the allocator is set up. The master fills this in from its flags; nothing here reads them.

use std::collections::BTreeSet;
use std::time::Duration;

use mesos::ResourceQuantities;
use mesos::text::tokenize;

use crate::core::OfferConstraintsFilter;

/// What a framework says of the offers that it wants, beside its info (upstream: `allocator::FrameworkOptions`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameworkOptions {
    /// Roles for which it wants no offers.
    pub suppressed_roles: BTreeSet<String>,
    /// Which agents it wants to be offered, by role.
    pub constraints: OfferConstraintsFilter,
}

impl From<BTreeSet<String>> for FrameworkOptions {
    /// Suppressed roles, and no constraints.
    fn from(suppressed_roles: BTreeSet<String>) -> Self {
        FrameworkOptions { suppressed_roles, constraints: OfferConstraintsFilter::default() }
    }
}

/// In which order roles, or the frameworks of a role, are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SorterKind {
    /// By dominant share.
    #[default]
    Drf,
    /// By lot, heavier ones sooner (`core/sorter/random.rs`).
    Random,
}

/// The allocator's settings. [`Options::default`] is what upstream's flags default to.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often all agents are looked at: `--allocation_interval`. Offers that were declined wait for it.
    pub allocation_interval: Duration,
    /// Whether what ended tasks and removed frameworks free is offered at once. Without it that waits for
    /// the interval as well, which is upstream's timing. (A setting of ours: `--allocation_on_recovery`.)
    pub allocation_on_recovery: bool,
    /// Scalars that do not count in shares: `--fair_sharing_excluded_resource_names`.
    pub excluded_from_shares: BTreeSet<String>,
    /// Whether agents with GPUs are kept for frameworks that say they use them: `--filter_gpu_resources`.
    pub filter_gpu_resources: bool,
    /// An offer must reach one of these: `--min_allocatable_resources`. None at all: anything will do.
    pub min_allocatable_resources: Vec<ResourceQuantities>,
    /// The region of the master's `--domain`. Agents elsewhere are offered to REGION_AWARE frameworks only.
    pub region: Option<String>,
    /// The order of roles: `--role_sorter`.
    pub role_sorter: SorterKind,
    /// The order of a role's frameworks: `--framework_sorter`.
    pub framework_sorter: SorterKind,
    /// The part of the agents in the registry that must have come back, when there are quotas, before
    /// anything is allocated (upstream: `DEFAULT_ALLOCATOR_AGENT_RECOVERY_FACTOR`).
    pub agent_recovery_factor: f64,
    /// How long to wait for them at most (upstream: `DEFAULT_ALLOCATOR_RECOVERY_TIMEOUT`).
    pub recovery_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let minimum = |text: &str| ResourceQuantities::parse(text).ok();
        Options {
            allocation_interval: Duration::from_secs(1),
            allocation_on_recovery: true,
            excluded_from_shares: BTreeSet::new(),
            filter_gpu_resources: true,
            min_allocatable_resources: ["cpus:0.01", "mem:32"].into_iter().filter_map(minimum).collect(),
            region: None,
            role_sorter: SorterKind::Drf,
            framework_sorter: SorterKind::Drf,
            agent_recovery_factor: 0.8,
            recovery_timeout: Duration::from_secs(10 * 60),
        }
    }
}

impl Options {
    /// Reads the value of `--min_allocatable_resources`: quantities separated by `|`, of which an offer
    /// must reach one; empty for no minimum. Empty parts are passed over, as upstream does.
    ///
    /// # Errors
    /// The first part that is not a list of quantities, with the reason.
    pub fn parse_min_allocatable_resources(text: &str) -> Result<Vec<ResourceQuantities>, String> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        tokenize(text, "|")
            .map(|part| {
                ResourceQuantities::parse(part).map_err(|error| {
                    format!("'{part}' is not a list of quantities like 'cpus:0.01;mem:32': {error}")
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_minimum_is_what_upstreams_flag_says() {
        let parsed = Options::parse_min_allocatable_resources("cpus:0.01|mem:32").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed, Options::default().min_allocatable_resources);
        assert!(Options::parse_min_allocatable_resources("").unwrap().is_empty());
        assert!(Options::parse_min_allocatable_resources("cpus:x").unwrap_err().contains("'cpus:x'"));
    }

    #[test]
    fn a_stray_separator_is_no_minimum_of_nothing() {
        for stray in ["cpus:0.01|mem:32|", "|cpus:0.01|mem:32", "cpus:0.01||mem:32"] {
            assert_eq!(
                Options::parse_min_allocatable_resources(stray).unwrap(),
                Options::default().min_allocatable_resources,
                "{stray}"
            );
        }
    }
}
