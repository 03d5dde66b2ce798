//! What an explanation says. These types are the JSON of `/allocator/explain`, and what `mesos explain`
//! puts into words.
//!
//! Pure data with units in the names: times are seconds from now, resources are units as in the protocol
//! (cpus, megabytes), shares are fractions of the cluster. Lists have bounds; what was left out is counted.

use std::collections::{BTreeMap, BTreeSet};

use mesos::{AgentId, FrameworkId};
use serde::{Deserialize, Serialize};

/// Amounts of scalar resources by name.
pub type Figures = BTreeMap<String, f64>;

/// Which framework is to be explained, and how much of the answer is wanted agent by agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The framework.
    pub framework: FrameworkId,
    /// One of its roles; `None` for all.
    pub role: Option<String>,
    /// How many agents are listed for each role. The sums are over all agents in any case.
    pub limit: usize,
    /// How many agents are passed over before.
    pub offset: usize,
    /// Agents that the master makes no offers of, whatever the allocator gives it: they have as many executors as it allows.
    pub full: BTreeSet<AgentId>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The allocator has not heard of the framework.
    #[error("framework {0} is not known to the allocator")]
    UnknownFramework(FrameworkId),
    /// The allocator was not initialized: no master leads here yet.
    #[error("the allocator is not initialized yet")]
    NotInitialized,
}

/// Why a framework gets offers or does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The framework.
    pub framework_id: FrameworkId,
    /// Each of its roles, or the one that was asked for.
    pub roles: Vec<RoleExplanation>,
    /// How many of its roles were left out. Ask for one of them by name.
    pub more_roles: usize,
    /// The names of the frameworks in the answer. Left empty by the allocator, which knows ids only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<FrameworkId, String>,
    /// Agents that the master remembers and that are not here. Left at nothing by the allocator.
    #[serde(default)]
    pub absent_agents: AbsentAgents,
}

/// Agents that would count if they were here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentAgents {
    /// In the registry, and not back since this master leads.
    pub not_returned: usize,
    /// Not heard of for too long.
    pub unreachable: usize,
}

/// Why a framework gets offers in one role or does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleExplanation {
    /// The role.
    pub role: String,
    /// What keeps every agent from it. With any of these it is offered nothing.
    pub obstacles: Vec<Obstacle>,
    /// What it holds at the moment in this role: offered to it, or used by its tasks.
    pub holds: Holder,
    /// Where it stands in the order of fair sharing.
    pub line: Line,
    /// How many agents there are.
    pub agents_in_all: usize,
    /// All agents, summed up by reason; the reason of most agents first. Empty if agents were not looked at, because
    /// the framework does not subscribe to the role.
    pub reasons: Vec<Group>,
    /// A page of the agents, one by one.
    pub agents: Vec<AgentExplanation>,
}

/// What stands in the way whatever the agents have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "obstacle", rename_all = "snake_case")]
pub enum Obstacle {
    /// Agents run tasks of the framework, but it has not come back since the master took over.
    NotReturned,
    /// The framework is not connected.
    Disconnected,
    /// The framework does not subscribe to the role.
    NotSubscribed {
        /// The roles that it does subscribe to; at most 20 of them.
        subscribed: Vec<String>,
    },
    /// The framework has suppressed offers for the role.
    Suppressed,
    /// Nothing is allocated until enough agents are back after a failover of the master.
    Held {
        /// It ends in so many seconds at the latest.
        seconds_left: f64,
        /// It ends when so many more agents are back.
        agents_awaited: usize,
    },
    /// Allocation was paused, and not resumed yet.
    Paused,
    /// There is no agent.
    NoAgents,
}

/// What is the matter with one agent. Of several reasons it is the first that the allocation pass meets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The agent is out of service: disconnected, deactivated or draining.
    AgentInactive,
    /// The agent's host name is not on the master's whitelist.
    NotWhitelisted,
    /// Everything that the agent has is held.
    NothingFree {
        /// What is held.
        held: Figures,
        /// What of it is offered and not answered yet. (Of unreserved resources; reserved ones are not told apart.)
        offered: Figures,
        /// Who holds most.
        holders: Vec<Holder>,
        /// How many more hold something.
        more_holders: usize,
    },
    /// What is free of the agent is reserved for other roles.
    ReservedForOthers {
        /// For whom how much is reserved, of what is free; at most 20 roles.
        reserved: BTreeMap<String, Figures>,
    },
    /// Less is free than the least that is offered.
    BelowMinimum {
        /// An offer must reach one of these.
        minimums: Vec<Figures>,
        /// Who says so.
        set_by: MinimumOf,
    },
    /// The framework does not say that it can use what the agent is or what is free of it.
    FrameworkLacks {
        /// `FrameworkInfo.Capability.Type`.
        capabilities: BTreeSet<String>,
        /// The agents' regions, if it is that they are in another region than the master.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        regions: BTreeSet<String>,
    },
    /// The agent does not say that it can run what frameworks like this one, or roles like this one, run.
    AgentLacks {
        /// `SlaveInfo.Capability.Type`.
        capability: String,
    },
    /// The framework's offer constraints for the role exclude the agent.
    ExcludedByConstraints {
        /// Of each group of constraints the first that does not hold. The agent would do if one of them held
        /// (and the rest of its group). At most 5 of them.
        violations: Vec<Violated>,
    },
    /// The role has all that its quota allows, or nearly.
    LimitReached {
        /// The role with the quota.
        role: String,
        /// Each resource that is cut by a limit.
        limits: BTreeMap<String, Limit>,
    },
    /// What is free is held back, so that guarantees can be met.
    Headroom {
        /// What is free, unreserved and irrevocable on all agents.
        available: Figures,
        /// What is missing to all guarantees together.
        required: Figures,
        /// The roles that lack most.
        held_for: Vec<Missing>,
        /// How many more roles lack something.
        more_roles: usize,
    },
    /// The framework refused what is free, and its filter holds.
    Filtered {
        /// The filter ends in so many seconds. Of several agents, the first that ends.
        seconds_left: f64,
        /// The same for the last of several agents.
        last_seconds_left: f64,
    },
    /// The agent has as many executors as the master allows.
    ExecutorLimit,
    /// Nothing about the agent stands in the way, but one of the obstacles does.
    NothingElse,
    /// The framework may have what is free, and so may others.
    InLine {
        /// Who is asked before it. None: it is first now, but what the run gives elsewhere may change the order.
        ahead: Vec<Rival>,
        /// Whether there may be more of them.
        more: bool,
    },
    /// The framework is offered what is free at the next run, if nothing happens until then.
    WouldBeOffered {
        /// What it is offered.
        resources: String,
    },
}

/// An offer constraint that does not hold for an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violated {
    /// What it is about: `hostname`, `region`, `zone`, or `attribute 'name'`.
    pub subject: String,
    /// What must be true of it: `must be 'x'`.
    pub rule: String,
    /// What it is, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// Who set a minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MinimumOf {
    /// The master's `--min_allocatable_resources`.
    Cluster,
    /// The framework's own `offer_filters` for the role.
    Framework,
}

/// A framework in a role that holds something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The framework.
    pub framework_id: FrameworkId,
    /// The role that it holds it in.
    pub role: String,
    /// On how many agents.
    pub agents: usize,
    /// What it holds.
    pub held: Figures,
    /// What of it is certainly only offered, and not answered yet.
    pub offered: Figures,
}

/// A framework in a role that is asked before another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// The framework.
    pub framework_id: FrameworkId,
    /// The role.
    pub role: String,
    /// The dominant share of the framework in the role.
    pub share: f64,
    /// The dominant share of the role, divided by its weight.
    pub role_share: f64,
}

/// What a role lacks to its guarantees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The role.
    pub role: String,
    /// What it lacks.
    pub missing: Figures,
}

/// A limit of a quota and how much of it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Reserved for the role, offered or allocated to it.
    pub consumed: f64,
    /// The most it may have.
    pub limit: f64,
}

/// Where a framework stands in the order of fair sharing: roles by share, in each role frameworks by share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its place; 1 is asked first. `None` if it does not take part, or if lots are drawn.
    pub position: Option<usize>,
    /// Whether lots are drawn (`--role_sorter` or `--framework_sorter` is `random`).
    #[serde(default)]
    pub by_lot: bool,
    /// How many take part: frameworks, once for each of their roles.
    pub length: usize,
    /// The dominant share of the framework in the role.
    pub share: f64,
    /// The dominant share of the role, divided by its weight.
    pub role_share: f64,
    /// The weight of the role.
    pub role_weight: f64,
    /// The first of those before it.
    pub ahead: Vec<Rival>,
}

/// All agents with the same reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The reason, with its figures summed up.
    #[serde(flatten)]
    pub reason: Reason,
    /// How many agents.
    pub agents: usize,
    /// What is free on them together and not reserved for others, unless that is the reason.
    pub free: Figures,
    /// One of them.
    pub example: AgentView,
    /// What can be done about it.
    pub advice: String,
}

/// An agent, and what is free of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// The agent.
    pub agent_id: AgentId,
    /// Its host name.
    pub hostname: String,
    /// What is free of it, whoever may have it: `cpus:2; mem:512`.
    pub free: String,
    /// Planned maintenance. It keeps no agent from being offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// Planned maintenance of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maintenance {
    /// When it begins, in seconds since 1970.
    pub start_seconds: f64,
    /// How long it lasts; `None` if nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
}

/// One agent and what is the matter with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentExplanation {
    /// The agent.
    #[serde(flatten)]
    pub agent: AgentView,
    /// The reason.
    #[serde(flatten)]
    pub reason: Reason,
}

impl Explanation {
    /// All frameworks that the answer mentions.
    pub fn mentioned(&self) -> BTreeSet<FrameworkId> {
        let mut ids = BTreeSet::from([self.framework_id.clone()]);
        for role in &self.roles {
            ids.extend(role.line.ahead.iter().map(|rival| rival.framework_id.clone()));
            let listed = role.agents.iter().map(|agent| &agent.reason);
            for reason in role.reasons.iter().map(|group| &group.reason).chain(listed) {
                match reason {
                    Reason::NothingFree { holders, .. } => {
                        ids.extend(holders.iter().map(|holder| holder.framework_id.clone()));
                    }
                    Reason::InLine { ahead, .. } => {
                        ids.extend(ahead.iter().map(|rival| rival.framework_id.clone()));
                    }
                    _ => {}
                }
            }
        }
        ids
    }
}

impl Obstacle {
    /// What can be done about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Obstacle::NotReturned => "Start its scheduler: it must subscribe again with this id.",
            Obstacle::Disconnected => "Start its scheduler, or look why it has lost its connection.",
            Obstacle::NotSubscribed { .. } => {
                "Ask about a role that it subscribes to, or let it subscribe to this one."
            }
            Obstacle::Suppressed => "The framework asks for offers again with REVIVE.",
            Obstacle::Held { .. } => "Wait; if agents stay away, look why they do not re-register.",
            Obstacle::Paused => "Resume allocation.",
            Obstacle::NoAgents => "Start agents, or look why they do not register.",
        }
    }
}

impl Reason {
    /// What can be done about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Reason::AgentInactive => {
                "Bring the agents back: they are disconnected, deactivated, or drained for maintenance."
            }
            Reason::NotWhitelisted => "Add the host names to the file that the master's --whitelist names.",
            Reason::NothingFree { offered, .. } if !offered.is_empty() => {
                "Let the frameworks that hold offers answer them, or set the master's --offer_timeout."
            }
            Reason::NothingFree { .. } => "Wait until tasks end, or add agents.",
            Reason::ReservedForOthers { .. } => {
                "Unreserve some of it, or let the framework subscribe to one of those roles."
            }
            Reason::BelowMinimum { set_by: MinimumOf::Cluster, .. } => {
                "Wait until more is free, or lower the master's --min_allocatable_resources."
            }
            Reason::BelowMinimum { set_by: MinimumOf::Framework, .. } => {
                "Wait until more is free, or lower the minimum in the framework's offer_filters."
            }
            Reason::FrameworkLacks { .. } => {
                "If the framework can use them, let it subscribe with these capabilities."
            }
            Reason::AgentLacks { .. } => "Upgrade the agents.",
            Reason::ExcludedByConstraints { .. } => {
                "Change the framework's offer constraints, or the attributes of agents."
            }
            Reason::LimitReached { .. } => {
                "Raise the limits of the quota, or wait until tasks of the role end."
            }
            Reason::Headroom { .. } => {
                "Give the role a guarantee of its own, lower the others', or add agents."
            }
            Reason::Filtered { .. } => {
                "Wait until the filters end, or let the framework REVIVE; refuse_seconds says how long they last."
            }
            Reason::ExecutorLimit => {
                "Wait until executors there end, or raise the master's --max_executors_per_agent."
            }
            Reason::NothingElse => "These agents would do once the obstacles are gone.",
            Reason::InLine { .. } => {
                "It gets its turn as its share is the smallest; a greater weight of its role brings it forward."
            }
            Reason::WouldBeOffered { .. } => "Nothing is to be done: the next run offers it.",
        }
    }
}
