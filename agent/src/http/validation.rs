//! Whether an operator's call carries what its type needs (upstream: `agent::call::validate` in `slave/validation.cpp`).

use mesos::v1::agent::{Call, call::Type};

/// Checks a call; its type. Of calls that are not there yet only that their part is.
///
/// # Errors
/// With upstream's text.
pub(super) fn validate(call: &Call) -> Result<Type, String> {
    // A kind that this build does not know is no kind.
    let kind = call.r#type.and_then(|kind| Type::try_from(kind).ok());
    let kind = kind.ok_or("Expecting 'type' to be present")?;
    let present = match kind {
        Type::GetMetrics => call.get_metrics.is_some(),
        Type::SetLoggingLevel => call.set_logging_level.is_some(),
        Type::ListFiles => call.list_files.is_some(),
        Type::ReadFile => call.read_file.is_some(),
        Type::LaunchNestedContainer => call.launch_nested_container.is_some(),
        Type::WaitNestedContainer => call.wait_nested_container.is_some(),
        Type::KillNestedContainer => call.kill_nested_container.is_some(),
        Type::RemoveNestedContainer => call.remove_nested_container.is_some(),
        Type::LaunchNestedContainerSession => call.launch_nested_container_session.is_some(),
        Type::AttachContainerInput => call.attach_container_input.is_some(),
        Type::AttachContainerOutput => call.attach_container_output.is_some(),
        Type::LaunchContainer => call.launch_container.is_some(),
        Type::WaitContainer => call.wait_container.is_some(),
        Type::KillContainer => call.kill_container.is_some(),
        Type::RemoveContainer => call.remove_container.is_some(),
        Type::AddResourceProviderConfig => call.add_resource_provider_config.is_some(),
        Type::UpdateResourceProviderConfig => call.update_resource_provider_config.is_some(),
        Type::RemoveResourceProviderConfig => call.remove_resource_provider_config.is_some(),
        Type::MarkResourceProviderGone => call.mark_resource_provider_gone.is_some(),
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders
        | Type::PruneImages => true,
    };
    if !present {
        return Err(format!("Expecting '{}' to be present", kind.as_str_name().to_lowercase()));
    }
    if call.attach_container_input.as_ref().is_some_and(|input| input.r#type.is_none()) {
        return Err("Expecting 'attach_container_input.type' to be present".to_owned());
    }
    let nested = [
        call.launch_nested_container.as_ref().map(|call| &call.container_id),
        call.wait_nested_container.as_ref().map(|call| &call.container_id),
        call.kill_nested_container.as_ref().map(|call| &call.container_id),
        call.remove_nested_container.as_ref().map(|call| &call.container_id),
        call.launch_nested_container_session.as_ref().map(|call| &call.container_id),
    ];
    if nested.into_iter().flatten().any(|id| id.parent.is_none()) {
        let part = kind.as_str_name().to_lowercase();
        return Err(format!("Expecting '{part}.container_id.parent' to be present"));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(call: &Value) -> Result<Type, String> {
        validate(&mesos::json::from_slice(call.to_string().as_bytes()).unwrap())
    }

    /// Upstream: `AgentCallValidationTest.LaunchContainer`, `AddResourceProviderConfig`,
    /// `UpdateResourceProviderConfig`, `RemoveResourceProviderConfig`.
    #[test]
    fn a_call_has_the_part_that_its_type_says() {
        assert_eq!(check(&json!({})), Err("Expecting 'type' to be present".into()));
        for part in [
            "get_metrics",
            "set_logging_level",
            "list_files",
            "read_file",
            "attach_container_input",
            "attach_container_output",
            "launch_container",
            "wait_container",
            "kill_container",
            "remove_container",
            "add_resource_provider_config",
            "update_resource_provider_config",
            "remove_resource_provider_config",
            "mark_resource_provider_gone",
        ] {
            let missing = format!("Expecting '{part}' to be present");
            assert_eq!(check(&json!({ "type": part.to_uppercase() })), Err(missing));
        }
        let untyped = json!({ "type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {} });
        assert_eq!(check(&untyped), Err("Expecting 'attach_container_input.type' to be present".into()));
        let launch =
            json!({ "type": "LAUNCH_CONTAINER", "launch_container": { "container_id": { "value": "c" } } });
        assert_eq!(check(&launch), Ok(Type::LaunchContainer));
    }

    /// Upstream: `AgentCallValidationTest.LaunchNestedContainer`, `WaitNestedContainer`, `KillNestedContainer`,
    /// `RemoveNestedContainer`, `LaunchNestedContainerSession`.
    #[test]
    fn a_nested_container_has_a_parent() {
        let below = json!({ "value": "c", "parent": { "value": "p" } });
        let deeper = json!({ "value": "c", "parent": { "value": "p", "parent": { "value": "g" } } });
        for (part, kind) in [
            ("launch_nested_container", Type::LaunchNestedContainer),
            ("wait_nested_container", Type::WaitNestedContainer),
            ("kill_nested_container", Type::KillNestedContainer),
            ("remove_nested_container", Type::RemoveNestedContainer),
            ("launch_nested_container_session", Type::LaunchNestedContainerSession),
        ] {
            let name = part.to_uppercase();
            assert_eq!(check(&json!({ "type": name })), Err(format!("Expecting '{part}' to be present")));
            let of = |id: &Value| check(&json!({ "type": name, part: { "container_id": id } }));
            let alone = format!("Expecting '{part}.container_id.parent' to be present");
            assert_eq!(of(&json!({ "value": "c" })), Err(alone));
            assert_eq!((of(&below), of(&deeper)), (Ok(kind), Ok(kind)));
        }
    }
}
