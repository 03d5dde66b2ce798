//! UPDATE_FRAMEWORK: a framework describes itself anew, without a new subscription (upstream:
//! `updateFramework`). Unlike with SUBSCRIBE, changing what cannot be changed is an error.

use libprocess::Context;
use libprocess::http::Response;
use mesos::FrameworkId;
use mesos::v1::scheduler::call::UpdateFramework;

use super::subscribe;
use crate::master::Master;
use crate::validation::{self, Invalid};

/// Updates; the answer.
pub(super) fn update(
    master: &mut Master,
    framework: &FrameworkId,
    call: UpdateFramework,
    ctx: &mut Context<Master>,
) -> Response {
    if let Err(error) = validate(master, framework, &call) {
        return Response::bad_request(error.0);
    }
    let UpdateFramework { framework_info, suppressed_roles, .. } = call;
    let changed = master.cluster.framework(framework).is_some_and(|state| *state.info != framework_info);
    let suppressed = suppressed_roles.into_iter().collect();
    subscribe::update(master, framework, framework_info, suppressed, ctx);
    if changed {
        subscribe::tell_agents(master, framework, ctx);
    }
    Response::new(::http::StatusCode::OK)
}

fn validate(master: &Master, framework: &FrameworkId, call: &UpdateFramework) -> Result<(), Invalid> {
    let info = &call.framework_info;
    subscribe::validate_info(master, info)
        .map_err(|error| error.within("Supplied FrameworkInfo is not valid"))?;
    if let Some(state) = master.cluster.framework(framework) {
        validation::framework::validate_update(&state.info, info)
            .map_err(|error| error.within("FrameworkInfo update is not valid"))?;
    }
    let suppressed = call.suppressed_roles.iter().cloned().collect();
    subscribe::validate_options(info, &suppressed, call.offer_constraints.as_ref())
        .map_err(|error| error.within("'UpdateFramework' call is not valid"))
}
