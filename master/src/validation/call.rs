//! Whether a scheduler's call carries what its type needs.

use mesos::v1::scheduler::{Call, call::Type};

use super::{Checked, Invalid, refuse_if};

/// Checks a call before its framework is looked up. `principal` is who sent it, if that is known.
pub fn validate(call: &Call, principal: Option<&str>) -> Checked {
    // A kind that this build does not know is no kind.
    let kind = call.r#type.and_then(|kind| Type::try_from(kind).ok());
    let Some(kind) = kind else { return present(false, "type") };
    if kind == Type::Subscribe {
        return subscribe(call, principal);
    }
    refuse_if(call.framework_id.is_none(), "Expecting 'framework_id' to be present")?;
    match kind {
        Type::Accept => present(call.accept.is_some(), "accept"),
        Type::Decline => present(call.decline.is_some(), "decline"),
        Type::AcceptInverseOffers => present(call.accept_inverse_offers.is_some(), "accept_inverse_offers"),
        Type::DeclineInverseOffers => {
            present(call.decline_inverse_offers.is_some(), "decline_inverse_offers")
        }
        Type::Kill => present(call.kill.is_some(), "kill"),
        Type::Shutdown => present(call.shutdown.is_some(), "shutdown"),
        Type::Acknowledge => match &call.acknowledge {
            Some(acknowledge) => uuid(&acknowledge.uuid),
            None => present(false, "acknowledge"),
        },
        Type::AcknowledgeOperationStatus => match &call.acknowledge_operation_status {
            Some(acknowledge) => {
                uuid(&acknowledge.uuid)?;
                present(acknowledge.agent_id.is_some(), "agent_id")
            }
            None => present(false, "acknowledge_operation_status"),
        },
        Type::Reconcile => present(call.reconcile.is_some(), "reconcile"),
        Type::ReconcileOperations => present(call.reconcile_operations.is_some(), "reconcile_operations"),
        Type::Message => present(call.message.is_some(), "message"),
        Type::Request => present(call.request.is_some(), "request"),
        Type::UpdateFramework => update_framework(call),
        Type::Teardown | Type::Revive | Type::Suppress | Type::Unknown | Type::Subscribe => Ok(()),
    }
}

fn present(present: bool, field: &str) -> Checked {
    refuse_if(!present, format!("Expecting '{field}' to be present"))
}

fn uuid(bytes: &[u8]) -> Checked {
    refuse_if(!mesos::is_uuid(bytes), "Not a valid UUID")
}

fn subscribe(call: &Call, principal: Option<&str>) -> Checked {
    let Some(subscribe) = &call.subscribe else { return present(false, "subscribe") };
    let info = &subscribe.framework_info;
    // An id that is absent equals one that is empty.
    let id = |id: &Option<mesos::v1::FrameworkId>| id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
    refuse_if(
        id(&info.id) != id(&call.framework_id),
        "'framework_id' differs from 'subscribe.framework_info.id'",
    )?;
    match (principal, &info.principal) {
        (Some(sender), Some(named)) if sender != named => Err(Invalid(format!(
            "Authenticated principal '{sender}' does not match principal '{named}' set in \
             `FrameworkInfo`"
        ))),
        _ => Ok(()),
    }
}

fn update_framework(call: &Call) -> Checked {
    let Some(update) = &call.update_framework else { return present(false, "update_framework") };
    refuse_if(
        call.framework_id != update.framework_info.id,
        "'framework_id' differs from 'update_framework.framework_info.id'",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let call: Call = mesos::json::from_slice(json.as_bytes()).unwrap();
        validate(&call, None).unwrap_err().0
    }

    /// The texts of `recorded/scheduler.jsonl`.
    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refusal("{}"), "Expecting 'type' to be present");
        assert_eq!(refusal(r#"{"type":"FOO"}"#), "Expecting 'type' to be present");
        assert_eq!(refusal(r#"{"type":"UNKNOWN"}"#), "Expecting 'framework_id' to be present");
        for kind in ["accept", "decline", "kill", "reconcile", "request", "update_framework"] {
            let json = format!(r#"{{"type":"{}","framework_id":{{"value":"x"}}}}"#, kind.to_uppercase());
            assert_eq!(refusal(&json), format!("Expecting '{kind}' to be present"));
        }
    }

    #[test]
    fn the_two_framework_ids_of_a_subscription_must_agree() {
        let info = r#"{"user":"u","name":"n"}"#;
        let subscribe = format!(r#""type":"SUBSCRIBE","subscribe":{{"framework_info":{info}}}"#);
        let with_id = format!(r#"{{"framework_id":{{"value":"a"}},{subscribe}}}"#);
        assert_eq!(refusal(&with_id), "'framework_id' differs from 'subscribe.framework_info.id'");
        let call: Call = mesos::json::from_slice(format!("{{{subscribe}}}").as_bytes()).unwrap();
        assert_eq!(validate(&call, Some("anybody")), Ok(()));
    }

    #[test]
    fn an_acknowledgement_needs_a_uuid_of_sixteen_bytes() {
        let json = r#"{"type":"ACKNOWLEDGE","framework_id":{"value":"x"},"acknowledge":
            {"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"AAAA"}}"#;
        assert_eq!(refusal(json), "Not a valid UUID");
    }
}
