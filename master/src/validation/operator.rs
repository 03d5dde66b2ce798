//! Whether an operator's call carries what its type needs (upstream: `master::call::validate` in
//! `master/validation.cpp`).

use mesos::v1::master::{Call, call::Type};

use super::{Checked, Invalid, refuse_if};

/// Checks a call; its type.
///
/// # Errors
/// With upstream's text.
pub fn validate(call: &Call) -> Result<Type, Invalid> {
    // A kind that this build does not know is no kind.
    let kind = call.r#type.and_then(|kind| Type::try_from(kind).ok());
    let kind = kind.ok_or_else(|| Invalid::from("Expecting 'type' to be present"))?;
    let (field, present) = match kind {
        Type::GetMetrics => ("get_metrics", call.get_metrics.is_some()),
        Type::SetLoggingLevel => ("set_logging_level", call.set_logging_level.is_some()),
        Type::ListFiles => ("list_files", call.list_files.is_some()),
        Type::ReadFile => ("read_file", call.read_file.is_some()),
        Type::UpdateWeights => ("update_weights", call.update_weights.is_some()),
        Type::ReserveResources => ("reserve_resources", call.reserve_resources.is_some()),
        Type::UnreserveResources => ("unreserve_resources", call.unreserve_resources.is_some()),
        Type::CreateVolumes => ("create_volumes", call.create_volumes.is_some()),
        Type::DestroyVolumes => ("destroy_volumes", call.destroy_volumes.is_some()),
        Type::GrowVolume => ("grow_volume", call.grow_volume.is_some()),
        Type::ShrinkVolume => ("shrink_volume", call.shrink_volume.is_some()),
        Type::UpdateMaintenanceSchedule => {
            ("update_maintenance_schedule", call.update_maintenance_schedule.is_some())
        }
        Type::StartMaintenance => ("start_maintenance", call.start_maintenance.is_some()),
        Type::StopMaintenance => ("stop_maintenance", call.stop_maintenance.is_some()),
        Type::DrainAgent => ("drain_agent", call.drain_agent.is_some()),
        Type::DeactivateAgent => ("deactivate_agent", call.deactivate_agent.is_some()),
        Type::ReactivateAgent => ("reactivate_agent", call.reactivate_agent.is_some()),
        Type::UpdateQuota => ("update_quota", call.update_quota.is_some()),
        Type::SetQuota => ("set_quota", call.set_quota.is_some()),
        Type::RemoveQuota => ("remove_quota", call.remove_quota.is_some()),
        Type::Teardown => ("teardown", call.teardown.is_some()),
        Type::MarkAgentGone => ("mark_agent_gone", call.mark_agent_gone.is_some()),
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetAgents
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetRoles
        | Type::GetWeights
        | Type::GetMaster
        | Type::Subscribe
        | Type::GetMaintenanceStatus
        | Type::GetMaintenanceSchedule
        | Type::GetQuota => return Ok(kind),
    };
    refuse_if(!present, format!("Expecting '{field}' to be present"))?;
    validate_reservations(call)?;
    Ok(kind)
}

/// Resources of calls that reserve, and agents of calls that resize, are looked at here, as upstream does.
fn validate_reservations(call: &Call) -> Checked {
    let reserved = call.reserve_resources.as_ref().map(|call| &call.resources);
    let unreserved = call.unreserve_resources.as_ref().map(|call| &call.resources);
    for resources in reserved.into_iter().chain(unreserved) {
        mesos::resources::validate_all(resources).map_err(|error| Invalid(error.to_string()))?;
    }
    let grown = call.grow_volume.as_ref().map(|call| call.agent_id.is_some());
    let shrunk = call.shrink_volume.as_ref().map(|call| call.agent_id.is_some());
    refuse_if(
        grown.or(shrunk) == Some(false),
        "Expecting 'agent_id' to be present; only agent default resources are supported right now",
    )
}

#[cfg(test)]
mod tests {
    use mesos::Enum as _;

    use super::*;

    fn check(json: &str) -> Result<Type, String> {
        validate(&mesos::json::from_slice(json.as_bytes()).unwrap()).map_err(|error| error.0)
    }

    /// A call's part has the name of its type.
    #[test]
    fn what_a_call_needs_must_be_there() {
        for (name, _) in Type::descriptor().values {
            let alone = matches!(*name, "UNKNOWN" | "SUBSCRIBE");
            let alone = alone || (name.starts_with("GET_") && *name != "GET_METRICS");
            let text = (!alone).then(|| format!("Expecting '{}' to be present", name.to_lowercase()));
            assert_eq!(check(&format!(r#"{{"type":"{name}"}}"#)).err(), text);
        }
        assert_eq!(check("{}").unwrap_err(), "Expecting 'type' to be present");
    }

    #[test]
    fn what_is_reserved_are_resources_and_what_is_resized_is_of_an_agent() {
        let negative = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]"#;
        for part in ["reserve_resources", "unreserve_resources"] {
            let json = format!(
                r#"{{"type":"{}","{part}":{{"agent_id":{{"value":"a"}},"resources":{negative}}}}}"#,
                part.to_uppercase()
            );
            let text = check(&json).unwrap_err();
            assert!(text.starts_with("Resource 'cpus"), "{text}");
        }
        let disk = r#"{"name":"disk","type":"SCALAR","scalar":{"value":1}}"#;
        for (part, amount) in [
            ("grow_volume", format!(r#""addition":{disk}"#)),
            ("shrink_volume", r#""subtract":{"value":1}"#.to_owned()),
        ] {
            let json =
                format!(r#"{{"type":"{}","{part}":{{"volume":{disk},{amount}}}}}"#, part.to_uppercase());
            let text =
                "Expecting 'agent_id' to be present; only agent default resources are supported right now";
            assert_eq!(check(&json), Err(text.to_owned()));
        }
    }
}
