//! An outstanding offer: resources of one agent, allocated to one role of one framework.

use mesos::{AgentId, FrameworkId, OfferId, Resources, v1};

/// An offer that its framework has neither taken nor declined.
#[derive(Debug, Clone)]
pub struct Offer {
    /// As it was made, with allocation info (some frameworks were sent it without).
    pub proto: v1::Offer,
    /// Its id.
    pub id: OfferId,
    /// To whom.
    pub framework: FrameworkId,
    /// Of which agent.
    pub agent: AgentId,
    /// Allocated to this role.
    pub role: String,
    /// `proto.resources`, ready for arithmetic.
    pub resources: Resources,
}
