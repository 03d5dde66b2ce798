//! What can be done to the registry, as pure functions on it (upstream: `master/registry_operations.cpp`,
//! `maintenance.cpp`, `quota.cpp`, `weights.cpp`).
//!
//! | file | operations |
//! |---|---|
//! | [`agents`] | agents are admitted, become unreachable, come back, leave, are gone, are forgotten |
//! | [`activation`] | agents are drained, deactivated, reactivated |
//! | [`maintenance`] | maintenance of machines is planned, begins and ends |
//! | [`quota`] | roles are guaranteed resources, and limited |
//! | [`weights`] | roles are weighted |
//!
//! Each operation says whether it was possible; one that is not possible changes nothing. None fails otherwise: the
//! registry is plain data. Whether an operator may want it was validated before.

mod activation;
mod agents;
mod maintenance;
mod quota;
mod weights;

use std::collections::BTreeSet;

use mesos::v1::maintenance::Schedule;
use mesos::v1::quota::QuotaConfig;
use mesos::{AgentId, v1};

use super::entries::Entries;

pub use maintenance::Maintenance;

/// One change of the registry.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A new agent. Not possible when its id is known already.
    AdmitAgent {
        /// The agent, its id included.
        info: Box<v1::AgentInfo>,
    },
    /// An admitted agent came back with different information.
    UpdateAgent {
        /// What it is from now on.
        info: Box<v1::AgentInfo>,
    },
    /// An admitted agent does not answer any more. It stays drained or deactivated, if it is.
    MarkAgentUnreachable {
        /// The agent.
        info: Box<v1::AgentInfo>,
        /// Since when.
        since: v1::TimeInfo,
    },
    /// An agent answers again. Possible also when nothing is known of it (its entry in the list of
    /// unreachable agents may have been pruned). It stays drained or deactivated, if it is.
    MarkAgentReachable {
        /// The agent.
        info: Box<v1::AgentInfo>,
    },
    /// An operator said that an agent will never return. Not possible for an unknown agent.
    MarkAgentGone {
        /// The agent.
        id: AgentId,
        /// Since when.
        since: v1::TimeInfo,
    },
    /// An admitted agent left in an orderly way.
    RemoveAgent {
        /// The agent.
        id: AgentId,
    },
    /// Forgets old entries of the lists of unreachable and of gone agents.
    PruneAgents {
        /// No longer remembered as unreachable.
        unreachable: BTreeSet<AgentId>,
        /// No longer remembered as gone.
        gone: BTreeSet<AgentId>,
    },
    /// An admitted or unreachable agent is emptied, and deactivated for that. One that is drained already begins anew.
    DrainAgent {
        /// The agent.
        id: AgentId,
        /// How.
        config: v1::DrainConfig,
    },
    /// An agent that was drained is empty. Not possible unless it is being drained.
    MarkAgentDrained {
        /// The agent.
        id: AgentId,
    },
    /// The resources of an admitted or unreachable agent are not offered any more.
    DeactivateAgent {
        /// The agent.
        id: AgentId,
    },
    /// The resources of an admitted or unreachable agent are offered again; it is drained no longer.
    ReactivateAgent {
        /// The agent.
        id: AgentId,
    },
    /// Plans the maintenance of machines, in place of all that was planned. New machines are draining; those that
    /// are no longer named are up. Not possible when one that is down is not named.
    UpdateSchedule {
        /// Validated windows.
        schedule: Schedule,
    },
    /// Machines with planned maintenance go down. Not possible when none of them has any.
    StartMaintenance {
        /// The machines.
        machines: Vec<v1::MachineId>,
    },
    /// Machines are up again, and no longer in the schedule. Not possible when none of them has maintenance.
    StopMaintenance {
        /// The machines.
        machines: Vec<v1::MachineId>,
    },
    /// Sets the quotas of some roles; the others keep theirs. One that guarantees nothing and limits nothing
    /// is no quota, and is removed.
    UpdateQuota {
        /// Validated configurations, each with its role.
        configs: Vec<QuotaConfig>,
    },
    /// Sets the weights of some roles; the others keep theirs.
    UpdateWeights {
        /// Role and weight.
        weights: Vec<v1::WeightInfo>,
    },
}

impl Operation {
    /// How many records it changes, about.
    pub(super) fn records(&self) -> usize {
        let named: usize = match self {
            Self::PruneAgents { unreachable, gone } => unreachable.len() + gone.len(),
            Self::UpdateSchedule { schedule } => {
                schedule.windows.iter().map(|window| window.machine_ids.len()).sum()
            }
            Self::StartMaintenance { machines } | Self::StopMaintenance { machines } => machines.len(),
            Self::UpdateQuota { configs } => configs.len(),
            Self::UpdateWeights { weights } => weights.len(),
            _ => 1,
        };
        named.max(1)
    }

    /// Applies the change; whether it was possible.
    pub fn apply(self, entries: &mut Entries) -> bool {
        match self {
            Self::AdmitAgent { info } => agents::admit(*info, entries),
            Self::UpdateAgent { info } => agents::update(*info, entries),
            Self::MarkAgentUnreachable { info, since } => agents::mark_unreachable(&info, since, entries),
            Self::MarkAgentReachable { info } => agents::mark_reachable(*info, entries),
            Self::MarkAgentGone { id, since } => agents::mark_gone(&id, since, entries),
            Self::RemoveAgent { id } => agents::remove(&id, entries),
            Self::PruneAgents { unreachable, gone } => agents::prune(&unreachable, &gone, entries),
            Self::DrainAgent { id, config } => activation::drain(&id, config, entries),
            Self::MarkAgentDrained { id } => activation::mark_drained(&id, entries),
            Self::DeactivateAgent { id } => activation::deactivate(&id, entries),
            Self::ReactivateAgent { id } => activation::reactivate(&id, entries),
            Self::UpdateSchedule { schedule } => maintenance::update(schedule, entries),
            Self::StartMaintenance { machines } => maintenance::start(&machines, entries),
            Self::StopMaintenance { machines } => maintenance::stop(&machines, entries),
            Self::UpdateQuota { configs } => quota::update(configs, entries),
            Self::UpdateWeights { weights } => weights::update(weights, entries),
        }
    }
}

/// What the tests of all operations use.
#[cfg(test)]
mod testing {
    use super::*;

    pub(super) fn info(id: &str) -> Box<v1::AgentInfo> {
        let id = Some(v1::AgentId { value: id.into() });
        Box::new(v1::AgentInfo { id, hostname: "h".into(), ..Default::default() })
    }

    pub(super) fn since(nanoseconds: i64) -> v1::TimeInfo {
        v1::TimeInfo { nanoseconds }
    }

    /// The capabilities that the registry demands.
    pub(super) fn demands(entries: &Entries) -> Vec<String> {
        let capabilities = entries.to_registry().minimum_capabilities;
        capabilities.into_iter().map(|demanded| demanded.capability).collect()
    }
}
