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
