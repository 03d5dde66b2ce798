//! ACCEPT: a framework uses what it was offered (upstream: `accept`, `_accept`).
//!
//! Several offers can be taken together if they are of one agent and one role. The operations are applied in order to
//! what is left of them: a task can use what was reserved before it in the same call. What is left at the end goes
//! back, and is not offered to the framework again for as long as its filters say; what operations of this call have
//! made, and no task has used, no filter keeps from it, since it has asked for it. One offer that is not valid (any
//! more) voids the whole call: its tasks are dropped, and its other offers are given back.

use libprocess::Context;
use mesos::resources::{CarriesResources as _, ResourceConversion, validate_and_upgrade_operation};
use mesos::sabotage::{Bug, is_on};
use mesos::v1::offer::{Operation, operation};
use mesos::v1::scheduler::call::Accept;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, OperationState, TaskState};
use mesos::{AgentId, ExecutorId, FrameworkId, OfferId, Resources, TaskId};

use super::{convert, launch, launch_group};
use crate::cluster::status;
use crate::frameworks::events;
use crate::master::Master;
use crate::validation::{self, Invalid};
use crate::{offers, operations, updates};

/// So much of what a call wanted and is not done gets a line of the log each.
const MOST_LINES: usize = 100;

/// What is said in the log of what a call wanted and is not done. There may be hundreds of thousands of tasks, and to write a
/// line takes longer than all else that is done for one. The framework is told of each, with the reason.
#[derive(Debug, Default)]
pub(super) struct Lines {
    dropped: usize,
}

impl Lines {
    /// Something is not done. Whether it gets a line.
    fn has_one_more(&mut self) -> bool {
        self.dropped += 1;
        self.dropped <= MOST_LINES
    }

    /// How much got none.
    fn others(&self) -> usize {
        self.dropped.saturating_sub(MOST_LINES)
    }

    fn end(&self, framework: &FrameworkId) {
        let others = self.others();
        if others > 0 {
            tracing::warn!(framework_id = %framework, others, "more tasks and operations of the same ACCEPT call are dropped");
        }
    }
}

/// What is left of the offers while the operations are applied.
pub(super) struct Taken {
    pub(super) agent: AgentId,
    pub(super) role: String,
    /// As it was offered.
    offered: Resources,
    /// What the next operation can use.
    pub(super) remaining: Resources,
    /// The shared resources among it, whatever tasks have taken of them: a task may take more copies than were offered.
    pub(super) shared: Resources,
    /// Volumes that were resized in this call. Nothing else in it can use them, as in upstream.
    pub(super) resized: Resources,
    pub(super) launched: Resources,
    /// What the allocator is to do to what the framework holds, in order.
    pub(super) conversions: Vec<ResourceConversion>,
    pub(super) lines: Lines,
}

impl Taken {
    /// What a task can use.
    pub(super) fn available(&self) -> Resources {
        if self.shared.is_empty() {
            self.remaining.clone()
        } else {
            self.remaining.non_shared() + &self.shared
        }
    }

    /// Tasks or an executor take this. Copies of shared resources that were not offered are made for them.
    pub(super) fn launch(&mut self, resources: &Resources) {
        let shared = resources.shared();
        if !shared.is_empty() {
            let additional = shared - &self.remaining.shared();
            if !additional.is_empty() {
                self.conversions.push(ResourceConversion::new(Resources::default(), additional));
            }
        }
        self.remaining -= resources;
        self.launched += resources;
    }
}

/// Accepts offers.
pub(super) fn accept(master: &mut Master, framework: &FrameworkId, call: Accept, ctx: &mut Context<Master>) {
    count(master, &call.operations);
    if let Err(error) = validation::offer::validate(&call.offer_ids, framework, &master.cluster) {
        refuse(master, framework, call, &error, ctx);
        return;
    }
    let Some(mut taken) = take(master, framework, &call.offer_ids, ctx) else { return };
    for operation in call.operations {
        apply(master, framework, operation, &mut taken, ctx);
    }
    taken.lines.end(framework);
    // As with DECLINE, what comes without filters is refused for their default of 5 seconds.
    give_back(master, framework, taken, call.filters.unwrap_or_default());
}

fn count(master: &Master, operations: &[Operation]) {
    for operation in operations.iter().filter(|operation| operation.r#type() == operation::Type::Launch) {
        if operation.launch.as_ref().is_some_and(|launch| !launch.task_infos.is_empty()) {
            master.metrics.messages_launch_tasks.increment();
        } else {
            master.metrics.messages_decline_offers.increment();
        }
    }
}

/// The offers are not valid: nothing of the call is done.
fn refuse(
    master: &mut Master,
    framework: &FrameworkId,
    call: Accept,
    error: &Invalid,
    ctx: &mut Context<Master>,
) {
    tracing::warn!(framework_id = %framework, %error, "an ACCEPT call used invalid offers");
    for offer in &call.offer_ids {
        // Those of others are not its to give back.
        let own = master.cluster.offer(&offer.value).is_some_and(|offer| &offer.framework == framework);
        if own {
            offers::discard(master, &OfferId::from(offer), None, ctx);
        }
    }
    let state = dropped(master, framework);
    let mut lines = Lines::default();
    for operation in call.operations {
        let text = match operation.r#type() {
            operation::Type::Launch | operation::Type::LaunchGroup => {
                format!("Task launched with invalid offers: {error}")
            }
            _ => format!("Operation attempted with invalid offers: {error}"),
        };
        let refusal = (state, Reason::InvalidOffers, text);
        drop_operation(master, framework, operation, &refusal, &mut lines, ctx);
    }
    lines.end(framework);
}

/// What a task becomes that was not launched, and may be launched again.
fn dropped(master: &Master, framework: &FrameworkId) -> TaskState {
    let aware = master.cluster.framework(framework).is_some_and(|state| state.capabilities.partition_aware);
    if aware { TaskState::TaskDropped } else { TaskState::TaskLost }
}

/// Why a task is not launched: what it becomes, the reason, and a text.
pub(super) type Refusal = (TaskState, Reason, String);

/// No task may be launched under an executor whose id one has that was given up with its agent's connection, and ends there:
/// when the agent says so, it would be taken for the new one (found by simulation).
pub(super) fn check_given_up(
    master: &Master,
    framework: &FrameworkId,
    agent: &AgentId,
    executor: &v1::ExecutorInfo,
) -> Result<(), Refusal> {
    let key = (framework.clone(), ExecutorId::from(&executor.executor_id));
    if master.cluster.agent(agent).is_none_or(|agent| !agent.given_up.contains_key(&key)) {
        return Ok(());
    }
    let text = format!("Executor '{}' of before the agent disconnected has not ended yet", key.1);
    Err((dropped(master, framework), Reason::ExecutorTerminated, text))
}

/// Removes the offers from the books; their resources are the operations'.
fn take(
    master: &mut Master,
    framework: &FrameworkId,
    ids: &[v1::OfferId],
    ctx: &mut Context<Master>,
) -> Option<Taken> {
    let mut of: Option<(AgentId, String)> = None;
    let mut offered = Resources::default();
    for id in ids {
        let Some(offer) = offers::take(master, &OfferId::from(id), ctx) else { continue };
        master.metrics.framework(framework).offers_accepted.increment();
        of.get_or_insert_with(|| (offer.agent.clone(), offer.role.clone()));
        offered += &offer.resources;
    }
    let (agent, role) = of?;
    Some(Taken {
        agent,
        role,
        remaining: offered.clone(),
        shared: offered.shared(),
        offered,
        resized: Resources::default(),
        launched: Resources::default(),
        conversions: Vec::new(),
        lines: Lines::default(),
    })
}

/// Tells the allocator what became of the offers. It may run between two of these messages (upstream pauses it): so what is
/// declined comes before what was made, or the framework would be offered that alone, and the rest not for as long as its
/// filters say.
fn give_back(master: &Master, framework: &FrameworkId, taken: Taken, filters: v1::Filters) {
    let Taken { agent, offered, remaining, resized, launched, conversions, .. } = taken;
    let mut declined = remaining;
    let mut made = Resources::default();
    if !conversions.is_empty() {
        // What was made is not filtered. What resizing has made is not among what is left (upstream counts it there: where a
        // volume shrinks beside a rest of its reservation, the allocator is not given as much of the rest back).
        made = &declined - &offered;
        declined -= &made;
        made += &resized;
        master.allocation.update_allocation(framework, &agent, offered, conversions);
    }
    if !declined.is_empty() && !is_on(Bug::KeepsRest) {
        master.allocation.recover_offered(framework, &agent, declined, Some(filters));
    }
    if !made.is_empty() {
        master.allocation.recover_offered(framework, &agent, made, None);
    }
    if !launched.is_empty() {
        master.allocation.allocate(&agent, launched);
    }
}

fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    mut operation: Operation,
    taken: &mut Taken,
    ctx: &mut Context<Master>,
) {
    let kind = operation.r#type();
    if kind == operation::Type::Unknown {
        tracing::warn!(framework_id = %framework, "ignoring an unknown operation");
        return;
    }
    if let Err(text) = prepare(master, &mut operation, taken) {
        let reason = match kind {
            operation::Type::LaunchGroup => Reason::TaskGroupInvalid,
            _ => Reason::TaskInvalid,
        };
        let refusal = (TaskState::TaskError, reason, text);
        drop_operation(master, framework, operation, &refusal, &mut taken.lines, ctx);
        return;
    }
    match kind {
        operation::Type::Launch => launch::launch(master, framework, operation, taken, ctx),
        operation::Type::LaunchGroup => launch_group::launch(master, framework, operation, taken, ctx),
        _ => convert::convert(master, framework, operation, taken, ctx),
    }
}

/// Brings an operation into the form in which it is validated and applied.
fn prepare(master: &Master, operation: &mut Operation, taken: &Taken) -> Result<(), String> {
    let kind = operation.r#type();
    let is_launch = matches!(kind, operation::Type::Launch | operation::Type::LaunchGroup);
    validate_and_upgrade_operation(operation).map_err(|error| match is_launch {
        true => error.to_string(),
        false => format!("Operation attempted with invalid resources: {error}"),
    })?;
    if operation.reserve.as_ref().is_some_and(|reserve| !reserve.source.is_empty()) {
        return Err(
            "Operation attempted with invalid resources: Reservation updates are not yet implemented for the \
             scheduler API."
                .to_owned(),
        );
    }
    if operation.id.is_some() {
        if is_launch {
            return Err(format!("The `id` field cannot be set on {} operations", kind.as_str_name()));
        }
        let agent = master.cluster.agent(&taken.agent);
        let capabilities = agent.map(|agent| agent.capabilities).unwrap_or_default();
        if !(capabilities.agent_operation_feedback && capabilities.resource_provider) {
            return Err(format!(
                "Operation on agent default resources requested feedback, but agent {} does not have the required \
                 AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities",
                taken.agent
            ));
        }
    }
    // Frameworks without MULTI_ROLE, and lazy ones, leave it out.
    operation.inject_allocation(&taken.role);
    Ok(())
}

/// An operation is not done. Its tasks become what the refusal says; another operation is answered only if it asked for
/// feedback by an id.
pub(super) fn drop_operation(
    master: &mut Master,
    framework: &FrameworkId,
    operation: Operation,
    refusal: &Refusal,
    lines: &mut Lines,
    ctx: &mut Context<Master>,
) {
    let tasks = match operation.r#type() {
        operation::Type::Launch => operation.launch.map(|launch| launch.task_infos),
        operation::Type::LaunchGroup => operation.launch_group.map(|launch| launch.task_group.tasks),
        kind => {
            let text = refusal.2.as_str();
            if lines.has_one_more() {
                tracing::warn!(framework_id = %framework, kind = kind.as_str_name(), text, "dropping an operation");
            }
            // Not OPERATION_DROPPED: it was never valid.
            master.metrics.operations.added(kind, OperationState::OperationError);
            if operation.id.is_some() {
                let state = OperationState::OperationError;
                let status = operations::status(state, operation.id, Some(text), None);
                master.send(framework, events::operation_update(status), ctx);
            }
            return;
        }
    };
    // Not one by one out of the list: each is some hundred bytes.
    for task in &tasks.unwrap_or_default() {
        refuse_task(master, framework, task, refusal, lines, ctx);
    }
}

/// A task was not launched, and its framework is told why.
pub(super) fn refuse_task(
    master: &mut Master,
    framework: &FrameworkId,
    task: &v1::TaskInfo,
    refusal: &Refusal,
    lines: &mut Lines,
    ctx: &mut Context<Master>,
) {
    let (state, reason, text) = (refusal.0, refusal.1, refusal.2.as_str());
    if lines.has_one_more() {
        tracing::info!(framework_id = %framework, task_id = %task.task_id.value, text, "not launching a task");
    }
    let agent = AgentId::from(&task.agent_id);
    let id = TaskId::from(&task.task_id);
    let status = status::by_master(&id, Some(&agent), state, reason, text, ctx.now());
    master.metrics.task_ended(state);
    master.metrics.task_reason(&status);
    updates::forward(master, framework, status, ctx);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_tasks_that_are_not_launched_the_log_has_a_hundred_lines() {
        let mut lines = Lines::default();
        assert_eq!((0..100).filter(|_| lines.has_one_more()).count(), 100);
        assert_eq!(lines.others(), 0);
        assert_eq!((0..300_000).filter(|_| lines.has_one_more()).count(), 0);
        assert_eq!(lines.others(), 300_000);
    }
}
