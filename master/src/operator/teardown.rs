//! TEARDOWN and `POST /teardown`: an operator ends a framework (upstream: `Http::teardown`).
//!
//! It is as if the framework had asked for it itself: its tasks are killed, and its id cannot be used again.

use ::http::{Method, StatusCode};
use libprocess::Context;
use libprocess::http::{Reply, Request, Response};
use mesos::FrameworkId;

use super::body;
use crate::authorization::Action;
use crate::calls::http::principal;
use crate::frameworks::remove;
use crate::master::Master;

/// `/teardown`: the id stands in the body as in that of a form, `frameworkId=...`.
pub(super) fn endpoint(
    master: &mut Master,
    request: &Request,
    framework: Result<FrameworkId, Response>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    if request.method != Method::POST {
        return Err(Response::method_not_allowed_for(&[Method::POST], &request.method));
    }
    teardown(master, &framework?, principal(request)?, ctx)
}

/// The framework that a request names. The Master is not asked.
pub(super) fn read(request: &Request) -> Result<FrameworkId, Response> {
    let form = body::form(&request.body)?;
    let id = form.get("frameworkId").map(FrameworkId::from);
    id.ok_or_else(|| Response::bad_request("Missing 'frameworkId' query parameter in the request body"))
}

/// TEARDOWN.
pub(super) fn teardown(
    master: &mut Master,
    framework: &FrameworkId,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let Some(state) = master.cluster.framework(framework) else {
        return Err(Response::bad_request("No framework found with specified ID"));
    };
    master.authorize(principal, [Action::TeardownFramework(&state.info)])?;
    tracing::info!(framework_id = %framework, "tearing down the framework on behalf of an operator");
    remove::remove(master, framework, ctx);
    Ok(Response::new(StatusCode::OK).into())
}
