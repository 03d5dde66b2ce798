//! What the master tells and asks the allocator: one method for each event, in the master's types.
//!
//! Resources in these messages carry the role that they are allocated to. Nothing is waited for: the
//! allocator answers with [`MakeOffers`], whenever it has something to offer.

use std::collections::{BTreeMap, BTreeSet};

use allocator::core::constraints::ConstraintsReport;
use allocator::core::explain::{AbsentAgents, ExplainError, Explanation, Question};
use allocator::core::{EventError, InverseOfferStatuses};
use allocator::messages::{
    ActivateAgent, ActivateFramework, AddAgent, AddFramework, DeactivateAgent, DeactivateFramework, Explain,
    ExplainedRoles, GetInverseOfferStatuses, Initialize, MakeInverseOffers, MakeOffers, Recover,
    RecoverResources, RemoveAgent, RemoveFramework, ReportConstraints, RequestResources, ReviveOffers,
    SuppressOffers, TrackAllocatedResources, TransitionOfferedToAllocated, UpdateAgent, UpdateAllocation,
    UpdateAvailable, UpdateFramework, UpdateInverseOffer, UpdateQuota, UpdateUnavailability, UpdateWeights,
    UpdateWhitelist,
};
use allocator::{Allocator, FrameworkOptions, Quota};
use libprocess::{Address, Gone, Recipient};
use mesos::resources::ResourceConversion;
use mesos::{AgentId, FrameworkId, Resources, v1};

use crate::cluster::{Agent, Framework, Freed};

/// What the allocator has to know of an agent beside its resources, which it is told in a form of their own.
fn described(agent: &Agent) -> v1::AgentInfo {
    v1::AgentInfo { resources: Vec::new(), ..(*agent.info).clone() }
}

/// The master's side of the allocator.
#[derive(Clone)]
pub(crate) struct Allocation(Address<Allocator>);

impl Allocation {
    pub(crate) fn new(allocator: Address<Allocator>) -> Self {
        Self(allocator)
    }

    /// Begins: from now on offers go to `offers`, and inverse offers to `inverse_offers`.
    pub(crate) fn initialize(
        &self,
        options: allocator::Options,
        offers: Recipient<MakeOffers>,
        inverse_offers: Recipient<MakeInverseOffers>,
    ) {
        self.0.tell(Initialize { options, offers, inverse_offers: Some(inverse_offers) });
    }

    /// Who says which agents may be offered tells it here, once it is initialized.
    pub(crate) fn whitelist(&self) -> Recipient<UpdateWhitelist> {
        self.0.recipient()
    }

    /// A new master leads; so many agents are expected to come back, and these roles have quotas.
    pub(crate) fn recover(&self, expected_agents: usize, quotas: BTreeMap<String, Quota>) {
        self.0.tell(Recover { expected_agents, quotas });
    }

    /// A framework, with what it uses on each agent.
    pub(crate) fn add_framework(
        &self,
        framework: &Framework,
        options: FrameworkOptions,
        used: BTreeMap<AgentId, Resources>,
    ) {
        self.0.tell(AddFramework {
            id: framework.id.clone(),
            info: (*framework.info).clone(),
            used,
            active: framework.is_active(),
            options,
        });
    }

    pub(crate) fn remove_framework(&self, id: &FrameworkId) {
        self.0.tell(RemoveFramework { id: id.clone() });
    }

    pub(crate) fn activate_framework(&self, id: &FrameworkId) {
        self.0.tell(ActivateFramework { id: id.clone() });
    }

    pub(crate) fn deactivate_framework(&self, id: &FrameworkId) {
        self.0.tell(DeactivateFramework { id: id.clone() });
    }

    pub(crate) fn update_framework(
        &self,
        id: &FrameworkId,
        info: v1::FrameworkInfo,
        options: FrameworkOptions,
    ) {
        self.0.tell(UpdateFramework { id: id.clone(), info, options });
    }

    /// An agent, with what frameworks use of it.
    pub(crate) fn add_agent(&self, agent: &Agent, unavailability: Option<v1::Unavailability>) {
        self.0.tell(AddAgent {
            id: agent.id.clone(),
            info: described(agent),
            capabilities: (*agent.capability_list).clone(),
            unavailability,
            total: agent.total.clone(),
            used: agent.used.iter().map(|(id, used)| (id.clone(), used.clone())).collect(),
        });
    }

    pub(crate) fn remove_agent(&self, id: &AgentId) {
        self.0.tell(RemoveAgent { id: id.clone() });
    }

    pub(crate) fn update_agent(&self, agent: &Agent) {
        self.0.tell(UpdateAgent {
            id: agent.id.clone(),
            info: described(agent),
            total: Some(agent.total.clone()),
            capabilities: Some((*agent.capability_list).clone()),
        });
    }

    pub(crate) fn activate_agent(&self, id: &AgentId) {
        self.0.tell(ActivateAgent { id: id.clone() });
    }

    pub(crate) fn deactivate_agent(&self, id: &AgentId) {
        self.0.tell(DeactivateAgent { id: id.clone() });
    }

    /// Maintenance of an agent was planned, or with `None` cancelled.
    pub(crate) fn update_unavailability(&self, id: &AgentId, unavailability: Option<v1::Unavailability>) {
        self.0.tell(UpdateUnavailability { agent: id.clone(), unavailability });
    }

    /// An inverse offer was answered, or with no status taken back.
    pub(crate) fn update_inverse_offer(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        status: Option<v1::allocator::InverseOfferStatus>,
        filters: Option<v1::Filters>,
    ) {
        let (agent, framework) = (agent.clone(), framework.clone());
        self.0.tell(UpdateInverseOffer { agent, framework, status, filters });
    }

    /// What frameworks answered to inverse offers, by agent.
    pub(crate) fn inverse_offer_statuses(
        &self,
    ) -> impl Future<Output = Result<InverseOfferStatuses, Gone>> + Send + use<> {
        self.0.ask(GetInverseOfferStatuses)
    }

    /// An offer was not taken, or only in part.
    pub(crate) fn recover_offered(
        &self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: Resources,
        filters: Option<v1::Filters>,
    ) {
        self.0.tell(RecoverResources {
            framework: framework.clone(),
            agent: agent.clone(),
            resources,
            filters,
            is_allocated: false,
        });
    }

    /// A task or an executor is over.
    pub(crate) fn recover_used(&self, freed: Freed) {
        self.0.tell(RecoverResources {
            framework: freed.framework,
            agent: freed.agent,
            resources: freed.resources,
            filters: None,
            is_allocated: true,
        });
    }

    /// A framework applied operations to all that it was offered.
    pub(crate) fn update_allocation(
        &self,
        framework: &FrameworkId,
        agent: &AgentId,
        offered: Resources,
        conversions: Vec<ResourceConversion>,
    ) {
        let (framework, agent) = (framework.clone(), agent.clone());
        self.0.tell(UpdateAllocation { framework, agent, offered, conversions });
    }

    /// An operator applies an operation to what nobody has been offered. Refused if that does not suffice.
    pub(crate) fn update_available(
        &self,
        agent: &AgentId,
        operation: v1::offer::Operation,
    ) -> impl Future<Output = Result<Result<(), EventError>, Gone>> + Send + use<> {
        self.0.ask(UpdateAvailable { agent: agent.clone(), operations: vec![operation] })
    }

    /// Something that was offered is used now.
    pub(crate) fn allocate(&self, agent: &AgentId, resources: Resources) {
        self.0.tell(TransitionOfferedToAllocated { agent: agent.clone(), resources });
    }

    /// Something is used that nobody was offered: the executor of a framework, of which an agent has told.
    pub(crate) fn track(&self, framework: &FrameworkId, agent: &AgentId, resources: Resources) {
        let (framework, agent) = (framework.clone(), agent.clone());
        self.0.tell(TrackAllocatedResources { framework, agent, resources });
    }

    pub(crate) fn suppress(&self, framework: &FrameworkId, roles: BTreeSet<String>) {
        self.0.tell(SuppressOffers { framework: framework.clone(), roles });
    }

    pub(crate) fn revive(&self, framework: &FrameworkId, roles: BTreeSet<String>) {
        self.0.tell(ReviveOffers { framework: framework.clone(), roles });
    }

    pub(crate) fn request(&self, framework: &FrameworkId, requests: Vec<v1::Request>) {
        self.0.tell(RequestResources { framework: framework.clone(), requests });
    }

    /// Why a framework gets offers or does not. The answer comes later. Each role is a question of its own: it takes the
    /// allocator some ten milliseconds on a large cluster, and meanwhile others wait.
    pub(crate) fn explain(
        &self,
        question: Question,
    ) -> impl Future<Output = Result<Result<Explanation, ExplainError>, Gone>> + Send + use<> {
        let allocator = self.0.clone();
        async move {
            if question.role.is_some() {
                return allocator.ask(Explain(question)).await;
            }
            let (roles, more_roles) = match allocator.ask(ExplainedRoles(question.framework.clone())).await? {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            };
            let mut explanation = Explanation {
                framework_id: question.framework.clone(),
                roles: Vec::with_capacity(roles.len()),
                more_roles,
                names: BTreeMap::new(),
                absent_agents: AbsentAgents::default(),
            };
            for role in roles {
                let of_role = Question { role: Some(role), ..question.clone() };
                match allocator.ask(Explain(of_role)).await? {
                    Ok(of_role) => explanation.roles.extend(of_role.roles),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(explanation))
        }
    }

    /// Which agents offer constraints exclude.
    pub(crate) fn report_constraints(
        &self,
    ) -> impl Future<Output = Result<ConstraintsReport, Gone>> + Send + use<> {
        self.0.ask(ReportConstraints)
    }

    pub(crate) fn update_weights(&self, weights: Vec<v1::WeightInfo>) {
        self.0.tell(UpdateWeights(weights));
    }

    /// The quota of a role was set; the default is none.
    pub(crate) fn update_quota(&self, role: String, quota: Quota) {
        self.0.tell(UpdateQuota { role, quota });
    }
}
