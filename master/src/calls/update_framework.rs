//! UPDATE_FRAMEWORK: a framework describes itself anew, without a new subscription (upstream:
//! `updateFramework`). Unlike with SUBSCRIBE, changing what cannot be changed is an error.

use allocator::FrameworkOptions;
use libprocess::Context;
use libprocess::http::Response;
use mesos::FrameworkId;
use mesos::v1::scheduler::call::UpdateFramework;

use super::subscribe::{self, Said};
use crate::master::Master;
use crate::validation::{self, Invalid};

/// Updates; the answer.
pub(super) fn update(
    master: &mut Master,
    framework: &FrameworkId,
    call: UpdateFramework,
    ctx: &mut Context<Master>,
) -> Response {
    let options = match validate(master, framework, &call) {
        Ok(options) => options,
        Err(error) => return Response::bad_request(error.0),
    };
    if let Err(error) = subscribe::authorize(master, &call.framework_info) {
        return error.into();
    }
    let UpdateFramework { framework_info: info, offer_constraints, .. } = call;
    let changed = master.cluster.framework(framework).is_some_and(|state| *state.info != info);
    let constraints = offer_constraints.unwrap_or_default();
    subscribe::update(master, framework, Said { info, constraints, options }, ctx);
    if changed {
        subscribe::tell(master, framework, ctx);
    }
    Response::new(::http::StatusCode::OK)
}

fn validate(
    master: &Master,
    framework: &FrameworkId,
    call: &UpdateFramework,
) -> Result<FrameworkOptions, Invalid> {
    let info = &call.framework_info;
    subscribe::validate_info(master, info)
        .map_err(|error| error.within("Supplied FrameworkInfo is not valid"))?;
    if let Some(state) = master.cluster.framework(framework) {
        validation::framework::validate_update(&state.info, info)
            .map_err(|error| error.within("FrameworkInfo update is not valid"))?;
    }
    subscribe::options(master, info, &call.suppressed_roles, call.offer_constraints.as_ref())
        .map_err(|error| error.within("'UpdateFramework' call is not valid"))
}
