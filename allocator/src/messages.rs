//! What the master tells the allocator, and what the allocator tells the master.
//!
//! One type for each call of upstream's `Allocator` interface (`include/mesos/allocator/allocator.hpp`),
//! under its name. Resources that are offered or used carry the role that they are allocated to.

use std::collections::{BTreeMap, BTreeSet};

use libprocess::{Recipient, messages};
use mesos::resources::ResourceConversion;
use mesos::{AgentId, FrameworkId, Resources, v1};

use crate::core::constraints::ConstraintsReport;
use crate::core::explain::{ExplainError, Explanation, Question};
use crate::core::{EventError, Holdings, InverseOfferStatuses, InverseOffers, Offers, Quota};
use crate::options::{FrameworkOptions, Options};

/// The first message: how to work, and to whom offers go. What comes before it is dropped with a warning.
#[derive(Debug)]
pub struct Initialize {
    /// The settings.
    pub options: Options,
    /// Who gets the offers.
    pub offers: Recipient<MakeOffers>,
    /// Who gets the inverse offers. With `None` none are made.
    pub inverse_offers: Option<Recipient<MakeInverseOffers>>,
}

/// To the master: the result of a run in which something was offered. What is in it is already taken in
/// the allocator's books; what cannot be offered must be recovered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MakeOffers(pub Offers);

/// To the master: whom to ask to leave agents with planned maintenance. Each is answered with
/// [`UpdateInverseOffer`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MakeInverseOffers(pub InverseOffers);

/// A master took over, and this is in its registry. Comes before any agent.
#[derive(Clone, Debug)]
pub struct Recover {
    /// How many agents the registry knows.
    pub expected_agents: usize,
    /// The quotas by role. Without any, nothing is waited for.
    pub quotas: BTreeMap<String, Quota>,
}

/// A framework subscribed, or an agent brought one that is not connected.
#[derive(Clone, Debug)]
pub struct AddFramework {
    /// Its id.
    pub id: FrameworkId,
    /// Roles, capabilities and filters.
    pub info: v1::FrameworkInfo,
    /// What its tasks and executors use, by agent. Agents that are not added yet are passed over: they
    /// bring it themselves.
    pub used: BTreeMap<AgentId, Resources>,
    /// Whether it is connected.
    pub active: bool,
    /// Roles for which it wants no offers, and constraints.
    pub options: FrameworkOptions,
}

/// A framework is gone. Its offers and its tasks' resources are free.
#[derive(Clone, Debug)]
pub struct RemoveFramework {
    /// Its id.
    pub id: FrameworkId,
}

/// A framework connected again.
#[derive(Clone, Debug)]
pub struct ActivateFramework {
    /// Its id.
    pub id: FrameworkId,
}

/// A framework disconnected.
#[derive(Clone, Debug)]
pub struct DeactivateFramework {
    /// Its id.
    pub id: FrameworkId,
}

/// A framework changed its info.
#[derive(Clone, Debug)]
pub struct UpdateFramework {
    /// Its id.
    pub id: FrameworkId,
    /// The new info.
    pub info: v1::FrameworkInfo,
    /// All roles for which it wants no offers now, and all constraints.
    pub options: FrameworkOptions,
}

/// An agent registered, or came back after a failover of the master.
#[derive(Clone, Debug)]
pub struct AddAgent {
    /// Its id.
    pub id: AgentId,
    /// Host name, attributes, domain. Its resources are not looked at: `total` has them.
    pub info: v1::AgentInfo,
    /// What it understands.
    pub capabilities: Vec<v1::agent_info::Capability>,
    /// Planned maintenance.
    pub unavailability: Option<v1::Unavailability>,
    /// What it has, without allocation info.
    pub total: Resources,
    /// What tasks and executors use of it, by framework.
    pub used: BTreeMap<FrameworkId, Resources>,
}

/// An agent is gone.
#[derive(Clone, Debug)]
pub struct RemoveAgent {
    /// Its id.
    pub id: AgentId,
}

/// An agent changed.
#[derive(Clone, Debug)]
pub struct UpdateAgent {
    /// Its id.
    pub id: AgentId,
    /// Its info now.
    pub info: v1::AgentInfo,
    /// What it has now, if that changed.
    pub total: Option<Resources>,
    /// What it understands now, if that changed.
    pub capabilities: Option<Vec<v1::agent_info::Capability>>,
}

/// A resource provider of an agent came, with resources of its own.
#[derive(Clone, Debug)]
pub struct AddResourceProvider {
    /// The agent.
    pub agent: AgentId,
    /// What the provider has, without allocation info.
    pub total: Resources,
    /// What operations on it hold, by framework.
    pub used: BTreeMap<FrameworkId, Resources>,
}

/// An agent is in service.
#[derive(Clone, Debug)]
pub struct ActivateAgent {
    /// Its id.
    pub id: AgentId,
}

/// An agent is out of service: nothing of it is offered.
#[derive(Clone, Debug)]
pub struct DeactivateAgent {
    /// Its id.
    pub id: AgentId,
}

/// A framework applied operations to what it was offered.
#[derive(Clone, Debug)]
pub struct UpdateAllocation {
    /// The framework.
    pub framework: FrameworkId,
    /// The agent.
    pub agent: AgentId,
    /// What was offered, all for one role.
    pub offered: Resources,
    /// What the operations make of it.
    pub conversions: Vec<ResourceConversion>,
}

/// An operator applies operations to what is free of an agent. Answered with an error if that does not
/// suffice; the caller may rescind offers and try again.
#[derive(Clone, Debug)]
pub struct UpdateAvailable {
    /// The agent.
    pub agent: AgentId,
    /// RESERVE, UNRESERVE, CREATE, DESTROY ...
    pub operations: Vec<v1::offer::Operation>,
}

/// Resources came back: declined, left over from an accepted offer, rescinded, or of a task that ended.
#[derive(Clone, Debug)]
pub struct RecoverResources {
    /// Who had them.
    pub framework: FrameworkId,
    /// Where they are.
    pub agent: AgentId,
    /// Which, all for one role.
    pub resources: Resources,
    /// For how long the framework does not want them again; `None` if it did not say that it does not.
    pub filters: Option<v1::Filters>,
    /// Whether a task or executor used them. Those are offered again at once, others at the next interval.
    pub is_allocated: bool,
}

/// Offered resources are used by tasks from now on.
#[derive(Clone, Debug)]
pub struct TransitionOfferedToAllocated {
    /// The agent.
    pub agent: AgentId,
    /// Which resources.
    pub resources: Resources,
}

/// The master has learnt that an agent uses resources that nobody has been offered.
#[derive(Clone, Debug)]
pub struct TrackAllocatedResources {
    /// For whom.
    pub framework: FrameworkId,
    /// The agent.
    pub agent: AgentId,
    /// Which resources.
    pub resources: Resources,
}

/// A framework wants no offers for some roles; for all of its roles if none is named.
#[derive(Clone, Debug)]
pub struct SuppressOffers {
    /// The framework.
    pub framework: FrameworkId,
    /// The roles.
    pub roles: BTreeSet<String>,
}

/// A framework wants offers for some roles, whatever it refused; for all of its roles if none is named.
#[derive(Clone, Debug)]
pub struct ReviveOffers {
    /// The framework.
    pub framework: FrameworkId,
    /// The roles.
    pub roles: BTreeSet<String>,
}

/// A framework says what it would like to have. Logged and not heeded, as upstream does.
#[derive(Clone, Debug)]
pub struct RequestResources {
    /// The framework.
    pub framework: FrameworkId,
    /// What it would like.
    pub requests: Vec<v1::Request>,
}

/// Weights of roles were set.
#[derive(Clone, Debug)]
pub struct UpdateWeights(pub Vec<v1::WeightInfo>);

/// The quota of a role was set; the default removes it.
#[derive(Clone, Debug)]
pub struct UpdateQuota {
    /// A top-level role.
    pub role: String,
    /// Its quota.
    pub quota: Quota,
}

/// Only agents with these host names are offered; all with `None`.
#[derive(Clone, Debug)]
pub struct UpdateWhitelist(pub Option<BTreeSet<String>>);

/// Maintenance of an agent was planned, or with `None` cancelled.
#[derive(Clone, Debug)]
pub struct UpdateUnavailability {
    /// The agent.
    pub agent: AgentId,
    /// When.
    pub unavailability: Option<v1::Unavailability>,
}

/// An inverse offer was answered, or is no longer valid.
#[derive(Clone, Debug)]
pub struct UpdateInverseOffer {
    /// The agent.
    pub agent: AgentId,
    /// Who was asked.
    pub framework: FrameworkId,
    /// The answer; `None` if the inverse offer timed out or was rescinded.
    pub status: Option<v1::allocator::InverseOfferStatus>,
    /// For how long the framework does not want to be asked again.
    pub filters: Option<v1::Filters>,
}

/// Asks for the answers to inverse offers, by agent with maintenance.
#[derive(Clone, Copy, Debug)]
pub struct GetInverseOfferStatuses;

/// Stop allocation: nothing is offered until [`Resume`]. For who has many changes to make before the next run.
#[derive(Clone, Copy, Debug)]
pub struct Pause;

/// Go on with allocation, and serve at once what happened meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Resume;

/// Why does a framework get offers or not? For operators; see [`crate::core::explain`].
#[derive(Clone, Debug)]
pub struct Explain(pub Question);

/// Which roles of a framework does [`Explain`] tell of where none is named? With how many more there are. Who asks for one
/// after the other lets the allocator work in between.
#[derive(Clone, Debug)]
pub struct ExplainedRoles(pub FrameworkId);

/// Which agents do constraints exclude? Answered before [`Initialize`], too: none.
#[derive(Clone, Copy, Debug)]
pub struct ReportConstraints;

/// Who holds what, offered or used? For whoever compares books.
#[derive(Clone, Copy, Debug)]
pub struct TakeHoldings;

messages! {
    Initialize;
    MakeInverseOffers;
    UpdateInverseOffer;
    GetInverseOfferStatuses => InverseOfferStatuses;
    MakeOffers;
    Recover;
    AddFramework;
    RemoveFramework;
    ActivateFramework;
    DeactivateFramework;
    UpdateFramework;
    AddAgent;
    RemoveAgent;
    UpdateAgent;
    AddResourceProvider;
    ActivateAgent;
    DeactivateAgent;
    UpdateAllocation;
    UpdateAvailable => Result<(), EventError>;
    RecoverResources;
    TransitionOfferedToAllocated; TrackAllocatedResources;
    SuppressOffers;
    ReviveOffers;
    RequestResources;
    UpdateWeights;
    UpdateQuota;
    UpdateWhitelist;
    UpdateUnavailability;
    Pause;
    Resume;
    Explain => Result<Explanation, ExplainError>;
    ExplainedRoles => Result<(Vec<String>, usize), ExplainError>;
    ReportConstraints => ConstraintsReport;
    TakeHoldings => Holdings;
}
