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

/// An id that is absent equals one that is empty.
fn id_of(id: &Option<mesos::v1::FrameworkId>) -> &str {
    id.as_ref().map_or("", |id| &id.value)
}

fn subscribe(call: &Call, principal: Option<&str>) -> Checked {
    let Some(subscribe) = &call.subscribe else { return present(false, "subscribe") };
    let info = &subscribe.framework_info;
    refuse_if(
        id_of(&info.id) != id_of(&call.framework_id),
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
        id_of(&call.framework_id) != id_of(&update.framework_info.id),
        "'framework_id' differs from 'update_framework.framework_info.id'",
    )
}

#[cfg(test)]
mod tests {
    use mesos::Enum as _;

    use super::*;

    fn check(json: &str, principal: Option<&str>) -> Result<(), String> {
        let call = mesos::json::from_slice(json.as_bytes()).unwrap();
        validate(&call, principal).map_err(|error| error.0)
    }

    fn refusal(json: &str) -> String {
        check(json, None).unwrap_err()
    }

    /// The texts of `recorded/scheduler.jsonl`.
    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refusal("{}"), "Expecting 'type' to be present");
        assert_eq!(refusal(r#"{"type":"FOO"}"#), "Expecting 'type' to be present");
        assert_eq!(refusal(r#"{"type":"UNKNOWN"}"#), "Expecting 'framework_id' to be present");
        // A call's part has the name of its type.
        for (name, _) in Type::descriptor().values {
            let json = format!(r#"{{"type":"{name}","framework_id":{{"value":"x"}}}}"#);
            let alone = matches!(*name, "UNKNOWN" | "TEARDOWN" | "REVIVE" | "SUPPRESS");
            let text = (!alone).then(|| format!("Expecting '{}' to be present", name.to_lowercase()));
            assert_eq!(check(&json, None).err(), text);
        }
    }

    #[test]
    fn the_two_framework_ids_of_a_subscription_must_agree() {
        let info = r#"{"user":"u","name":"n"}"#;
        let subscribe = format!(r#""type":"SUBSCRIBE","subscribe":{{"framework_info":{info}}}"#);
        let with_id = format!(r#"{{"framework_id":{{"value":"a"}},{subscribe}}}"#);
        assert_eq!(refusal(&with_id), "'framework_id' differs from 'subscribe.framework_info.id'");
        assert_eq!(check(&format!("{{{subscribe}}}"), Some("anybody")), Ok(()));
    }

    #[test]
    fn a_framework_is_subscribed_by_whom_it_names() {
        let json =
            r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n","principal":"p"}}}"#;
        for fine in [None, Some("p")] {
            assert_eq!(check(json, fine), Ok(()), "{fine:?}");
        }
        let text = "Authenticated principal 'q' does not match principal 'p' set in `FrameworkInfo`";
        assert_eq!(check(json, Some("q")), Err(text.to_owned()));
    }

    #[test]
    fn a_framework_changes_itself_only() {
        let update = |framework: &str, id: &str| {
            let info = format!(r#"{{"user":"u","name":"n"{id}}}"#);
            let part = format!(r#""update_framework":{{"framework_info":{info}}}"#);
            let of = format!(r#""framework_id":{{"value":"{framework}"}}"#);
            check(&format!(r#"{{"type":"UPDATE_FRAMEWORK",{of},{part}}}"#), None)
        };
        assert_eq!(update("x", r#","id":{"value":"x"}"#), Ok(()));
        assert_eq!(update("", ""), Ok(()), "no id is an empty one");
        let text = "'framework_id' differs from 'update_framework.framework_info.id'";
        for other in [r#","id":{"value":"y"}"#, ""] {
            assert_eq!(update("x", other), Err(text.to_owned()), "{other}");
        }
    }

    #[test]
    fn an_acknowledgement_needs_a_uuid_of_sixteen_bytes_and_one_of_an_operation_its_agent() {
        let good = "QUFBQUFBQUFBQUFBQUFBQQ==";
        let acknowledge = |part: &str, rest: &str, uuid: &str| {
            let kind = format!(r#""type":"{}","framework_id":{{"value":"x"}}"#, part.to_uppercase());
            check(&format!(r#"{{{kind},"{part}":{{{rest},"uuid":"{uuid}"}}}}"#), None)
        };
        let task = r#""agent_id":{"value":"a"},"task_id":{"value":"t"}"#;
        assert_eq!(acknowledge("acknowledge", task, good), Ok(()));
        assert_eq!(acknowledge("acknowledge", task, "AAAA"), Err("Not a valid UUID".to_owned()));
        let operation = |rest: &str, uuid: &str| {
            let rest = format!(r#""operation_id":{{"value":"o"}}{rest}"#);
            acknowledge("acknowledge_operation_status", &rest, uuid)
        };
        assert_eq!(operation(r#","agent_id":{"value":"a"}"#, good), Ok(()));
        assert_eq!(operation("", "AAAA"), Err("Not a valid UUID".to_owned()));
        assert_eq!(operation("", good), Err("Expecting 'agent_id' to be present".to_owned()));
    }
}
