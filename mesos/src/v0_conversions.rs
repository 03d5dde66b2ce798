//! Between the two forms of the few messages that the first API (v0) numbers differently.
//!
//! Every destructuring here names all fields, so that a new one cannot be forgotten.

use crate::{v0, v1};

impl From<v0::scheduler::Call> for v1::scheduler::Call {
    /// What a driver sent between processes, as a call of the HTTP API. `force` has no place there:
    /// over HTTP a scheduler that subscribes with its id always takes over.
    fn from(call: v0::scheduler::Call) -> Self {
        let v0::scheduler::Call {
            framework_id,
            r#type,
            subscribe,
            accept,
            decline,
            accept_inverse_offers,
            decline_inverse_offers,
            revive,
            kill,
            shutdown,
            acknowledge,
            acknowledge_operation_status,
            reconcile,
            reconcile_operations,
            message,
            request,
            suppress,
            update_framework,
        } = call;
        Self {
            framework_id,
            r#type,
            subscribe: subscribe.map(Into::into),
            accept,
            decline,
            accept_inverse_offers,
            decline_inverse_offers,
            revive,
            kill,
            shutdown,
            acknowledge,
            acknowledge_operation_status,
            reconcile,
            reconcile_operations,
            message,
            request,
            suppress,
            update_framework,
        }
    }
}

impl From<v1::scheduler::Call> for v0::scheduler::Call {
    /// A call of the HTTP API, as a driver sends it between processes. It does not take over.
    fn from(call: v1::scheduler::Call) -> Self {
        let v1::scheduler::Call {
            framework_id,
            r#type,
            subscribe,
            accept,
            decline,
            accept_inverse_offers,
            decline_inverse_offers,
            revive,
            kill,
            shutdown,
            acknowledge,
            acknowledge_operation_status,
            reconcile,
            reconcile_operations,
            message,
            request,
            suppress,
            update_framework,
        } = call;
        Self {
            framework_id,
            r#type,
            subscribe: subscribe.map(Into::into),
            accept,
            decline,
            accept_inverse_offers,
            decline_inverse_offers,
            revive,
            kill,
            shutdown,
            acknowledge,
            acknowledge_operation_status,
            reconcile,
            reconcile_operations,
            message,
            request,
            suppress,
            update_framework,
        }
    }
}

impl From<v1::scheduler::call::Subscribe> for v0::scheduler::call::Subscribe {
    fn from(subscribe: v1::scheduler::call::Subscribe) -> Self {
        let v1::scheduler::call::Subscribe { framework_info, suppressed_roles, offer_constraints } =
            subscribe;
        Self { framework_info, force: None, suppressed_roles, offer_constraints }
    }
}

impl From<v0::scheduler::call::Subscribe> for v1::scheduler::call::Subscribe {
    fn from(subscribe: v0::scheduler::call::Subscribe) -> Self {
        let v0::scheduler::call::Subscribe { framework_info, force: _, suppressed_roles, offer_constraints } =
            subscribe;
        Self { framework_info, suppressed_roles, offer_constraints }
    }
}

impl From<v1::AgentInfo> for v0::SlaveInfo {
    /// `checkpoint` is set, as every agent of the last ten years does.
    fn from(info: v1::AgentInfo) -> Self {
        let v1::AgentInfo { hostname, port, resources, attributes, id, domain } = info;
        Self { hostname, port, resources, attributes, id, domain, checkpoint: Some(true) }
    }
}

impl From<v0::SlaveInfo> for v1::AgentInfo {
    fn from(info: v0::SlaveInfo) -> Self {
        let v0::SlaveInfo { hostname, port, resources, attributes, id, domain, checkpoint: _ } = info;
        Self { hostname, port, resources, attributes, id, domain }
    }
}

impl From<v0::quota::QuotaRequest> for v1::quota::QuotaRequest {
    fn from(request: v0::quota::QuotaRequest) -> Self {
        let v0::quota::QuotaRequest { force, role, guarantee } = request;
        Self { force, role, guarantee }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_the_same_after_both_ways() {
        let json = r#"{"type":"SUBSCRIBE","framework_id":{"value":"f"},"subscribe":{
            "framework_info":{"user":"u","name":"n","id":{"value":"f"}},"suppressed_roles":["r"],
            "offer_constraints":{"role_constraints":{"r":{}}}}}"#;
        let call: v1::scheduler::Call = crate::json::from_slice(json.as_bytes()).unwrap();
        let of_driver = v0::scheduler::Call::from(call.clone());
        assert_eq!(of_driver.subscribe.as_ref().unwrap().force, None);
        assert_eq!(v1::scheduler::Call::from(of_driver), call);
    }
}
