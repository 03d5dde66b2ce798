//! What a call of an executor must be like, apart from what it means.
//!
//! Pure; the texts are upstream's (`common/validation.cpp`, as recorded).

use mesos::v1;
use v1::executor::{Call, call};

/// Checks a call.
///
/// # Errors
/// The text that the executor is answered with, behind "Failed to validate Executor::Call: ".
pub fn validate(call: &Call) -> Result<call::Type, String> {
    let present = |there: bool, field: &str| {
        if there { Ok(()) } else { Err(format!("Expecting '{field}' to be present")) }
    };
    // A kind that this build does not know is no kind.
    let kind = call.r#type.and_then(|kind| call::Type::try_from(kind).ok());
    let Some(kind) = kind else { return Err("Expecting 'type' to be present".to_owned()) };
    match kind {
        call::Type::Subscribe => present(call.subscribe.is_some(), "subscribe")?,
        call::Type::Message => present(call.message.is_some(), "message")?,
        call::Type::Update => {
            let Some(update) = &call.update else {
                return Err("Expecting 'update' to be present".to_owned());
            };
            validate_update(call, &update.status)?;
        }
        call::Type::Heartbeat | call::Type::Unknown => {}
    }
    Ok(kind)
}

fn validate_update(call: &Call, status: &v1::TaskStatus) -> Result<(), String> {
    let executor = &call.executor_id.value;
    let Some(uuid) = &status.uuid else { return Err("Expecting 'uuid' to be present".to_owned()) };
    if !mesos::is_uuid(uuid) {
        return Err("Not a valid UUID".to_owned());
    }
    if let Some(other) = status.executor_id.as_ref().filter(|id| id.value != *executor) {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            other.value
        ));
    }
    let from = format!(
        "Received Call from executor {executor} of framework {} with invalid source, expecting 'SOURCE_EXECUTOR'",
        call.framework_id.value
    );
    // Unset reads as the first value, SOURCE_MASTER.
    if status.source != Some(v1::task_status::Source::Executor.into()) {
        return Err(from);
    }
    if is_for_others(status.state()) {
        return Err(format!(
            "Received {} from executor {executor} of framework {} which is not allowed",
            status.state().as_str_name(),
            call.framework_id.value
        ));
    }
    status.check_status.as_deref().map_or(Ok(()), validate_check)
}

/// Whether this state is for others to say than executors. That a task is unreachable, only the master knows: what it
/// uses is free then. (Upstream takes that from an executor, and its master aborts when the task ends.)
fn is_for_others(state: v1::TaskState) -> bool {
    matches!(state, v1::TaskState::TaskStaging | v1::TaskState::TaskUnreachable)
}

fn validate_check(check: &v1::CheckStatusInfo) -> Result<(), String> {
    use v1::check_info::Type;
    let kind = check.r#type.and_then(|kind| Type::try_from(kind).ok());
    let missing =
        |field: &str, of: &str| Err(format!("Expecting '{field}' to be set for {of} check's status"));
    match kind {
        None => Err("CheckStatusInfo must specify 'type'".to_owned()),
        Some(Type::Command) if check.command.is_none() => missing("command", "COMMAND"),
        Some(Type::Http) if check.http.is_none() => missing("http", "HTTP"),
        Some(Type::Tcp) if check.tcp.is_none() => missing("tcp", "TCP"),
        Some(Type::Unknown) => Err("'UNKNOWN' is not a valid check's status type".to_owned()),
        Some(Type::Command | Type::Http | Type::Tcp) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: call::Type) -> Call {
        Call {
            executor_id: v1::ExecutorId { value: "cexec".into() },
            framework_id: v1::FrameworkId { value: "F-0007".into() },
            r#type: Some(kind.into()),
            ..Call::default()
        }
    }

    fn update(change: impl FnOnce(&mut v1::TaskStatus)) -> Call {
        let mut status = v1::TaskStatus {
            task_id: v1::TaskId { value: "ctask".into() },
            state: v1::TaskState::TaskRunning.into(),
            // Its version (the seventh byte) is a known one.
            uuid: Some(vec![0x41; 16]),
            source: Some(v1::task_status::Source::Executor.into()),
            executor_id: Some(v1::ExecutorId { value: "cexec".into() }),
            ..v1::TaskStatus::default()
        };
        change(&mut status);
        Call { update: Some(call::Update { status }), ..call(call::Type::Update) }
    }

    fn refusal(call: &Call) -> String {
        validate(call).unwrap_err()
    }

    #[test]
    fn good_calls_pass() {
        assert_eq!(validate(&update(|_| ())), Ok(call::Type::Update));
        assert_eq!(validate(&call(call::Type::Heartbeat)), Ok(call::Type::Heartbeat));
    }

    /// Upstream: `ExecutorHttpApiTest.ValidProtobufInvalidCall`.
    #[test]
    fn the_part_that_a_call_needs_must_be_there() {
        assert_eq!(refusal(&call(call::Type::Subscribe)), "Expecting 'subscribe' to be present");
        assert_eq!(refusal(&call(call::Type::Update)), "Expecting 'update' to be present");
        assert_eq!(refusal(&call(call::Type::Message)), "Expecting 'message' to be present");
        let untyped = Call { r#type: None, ..call(call::Type::Update) };
        assert_eq!(refusal(&untyped), "Expecting 'type' to be present");
    }

    /// Upstream: `ExecutorHttpApiTest.StatusUpdateCallFailedValidation`.
    #[test]
    fn updates_are_refused_with_upstreams_texts() {
        assert_eq!(refusal(&update(|status| status.uuid = None)), "Expecting 'uuid' to be present");
        assert_eq!(refusal(&update(|status| status.uuid = Some(vec![0; 3]))), "Not a valid UUID");
        assert_eq!(
            refusal(&update(|status| status.executor_id = Some(v1::ExecutorId { value: "zz".into() }))),
            "ExecutorID in Call: cexec does not match ExecutorID in TaskStatus: zz"
        );
        assert_eq!(
            refusal(&update(|status| status.source = None)),
            "Received Call from executor cexec of framework F-0007 with invalid source, expecting 'SOURCE_EXECUTOR'"
        );
        assert_eq!(
            refusal(&update(|status| status.state = v1::TaskState::TaskStaging.into())),
            "Received TASK_STAGING from executor cexec of framework F-0007 which is not allowed"
        );
        assert_eq!(
            refusal(&update(|status| status.state = v1::TaskState::TaskUnreachable.into())),
            "Received TASK_UNREACHABLE from executor cexec of framework F-0007 which is not allowed"
        );
    }
}
