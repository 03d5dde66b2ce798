//! Operations on resources of agents, from the master's side: RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and
//! SHRINK_VOLUME, of frameworks and of operators.
//!
//! ```text
//! ACCEPT, or an operator's call -> applied to the books and sent to the agent (PENDING)
//!     -> the agent has stored it, and says so again and again (FINISHED)
//!     -> the framework acknowledges it, or the master for whoever did not ask to hear of it -> forgotten
//! ```
//!
//! | file | what happens |
//! |---|---|
//! | [`apply`] | an operation is applied to the books and sent to its agent |
//! | [`update`] | `UpdateOperationStatusMessage`: the agent says what became of it |
//! | [`reconcile`] | master and agent compare what they know |
//! | [`counts`] | how many there are in which state, for `/metrics` |
//! | [`feedback`] | frameworks hear what became of operations of agents that are lost |
//!
//! Who may do what is [`crate::validation::operation`]'s.

pub(crate) mod apply;
pub(crate) mod counts;
pub(crate) mod feedback;
pub(crate) mod reconcile;
pub(crate) mod update;

use mesos::v1::{self, OperationState};

/// What is said of an operation, without a uuid: nobody has to acknowledge it.
pub(crate) fn status(
    state: OperationState,
    id: Option<v1::OperationId>,
    message: Option<&str>,
    agent: Option<v1::AgentId>,
) -> v1::OperationStatus {
    v1::OperationStatus {
        operation_id: id,
        state: state.into(),
        message: message.map(str::to_owned),
        agent_id: agent,
        ..v1::OperationStatus::default()
    }
}
