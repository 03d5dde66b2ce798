//! `POST /api/v1/scheduler`: from a request to a call (upstream: `Http::scheduler`).
//!
//! The checks are in upstream's order, with its status codes and texts, since clients tell errors apart
//! by them: the leader, recovery, the method, the media types, the call's form; then the framework, its
//! connection, and the stream's id. SUBSCRIBE is answered with the stream, UPDATE_FRAMEWORK when it is done, all
//! others with 202: what comes of them is an event on the stream.

use ::http::{Method, StatusCode};
use libprocess::Context;
use libprocess::http::{Reply, Request, Response};
use mesos::v1::scheduler::{Call, call::Type};
use mesos::{FrameworkId, MediaType, codec};

use super::{dispatch, reconcile, subscribe};
use crate::leadership;
use crate::master::Master;
use crate::reads::Routes;
use crate::validation;

const HELP: &str = "Endpoint for schedulers to make calls against the master.";
const STREAM_ID: &str = "Mesos-Stream-Id";

/// Adds the route.
pub(crate) fn install(routes: &mut Routes<'_>) {
    // Every method: a master that does not lead redirects before it looks at the method.
    routes.change("/api/v1/scheduler", HELP, read, scheduler);
}

fn scheduler(
    master: &mut Master,
    request: Request,
    call: Result<Call, Response>,
    ctx: &mut Context<Master>,
) -> Reply {
    answer(master, &request, call, ctx).unwrap_or_else(Reply::Now)
}

fn answer(
    master: &mut Master,
    request: &Request,
    call: Result<Call, Response>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    if let Some(refusal) = leadership::refusal(master, request) {
        return Err(refusal);
    }
    if request.method != Method::POST {
        return Err(Response::method_not_allowed_for(&[Method::POST], &request.method));
    }
    let principal = principal(request)?;
    let call = call?;
    let kind = call.r#type();
    if let Err(error) = validation::call::validate(&call, principal) {
        master.metrics.count_invalid(kind);
        return Err(bad(format!("Failed to validate scheduler::Call: {error}")));
    }
    let media = match kind {
        Type::Subscribe | Type::ReconcileOperations => answer_media(request)?,
        _ => MediaType::Json,
    };
    if kind == Type::Subscribe {
        return subscribe(master, request, call, media, ctx).map(Reply::Now);
    }
    let framework = FrameworkId::from(call.framework_id.clone().unwrap_or_default());
    check_sender(master, &framework, request, kind)?;
    if kind == Type::Reconcile {
        let call = call.reconcile.unwrap_or_default();
        return Ok(reconcile::of_stream(master, &framework, call, ctx));
    }
    Ok(dispatch(master, &framework, call, ctx).into())
}

/// The name of who sent a request. A framework's principal is a name: claims alone will not do (upstream:
/// `Http::scheduler`).
pub(crate) fn principal(request: &Request) -> Result<Option<&str>, Response> {
    let Some(principal) = &request.principal else { return Ok(None) };
    let unnamed = || {
        Response::forbidden(
            "The request's authenticated principal contains claims, but no value string. The master currently \
             requires that principals have a value",
        )
    };
    principal.value().map(Some).ok_or_else(unnamed)
}

fn bad(text: impl Into<String>) -> Response {
    Response::bad_request(text)
}

/// The call in a request. The Master is not asked.
fn read(request: &Request) -> Result<Call, Response> {
    let media = MediaType::of_content(request.header("Content-Type")).map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Response::text(status, error.to_string())
    })?;
    codec::decode_call(media, &request.body).map_err(|error| bad(error.to_string()))
}

fn answer_media(request: &Request) -> Result<MediaType, Response> {
    MediaType::of_answer(request.header_list("Accept").as_deref())
        .map_err(|error| Response::text(StatusCode::NOT_ACCEPTABLE, error.to_string()))
}

fn subscribe(
    master: &mut Master,
    request: &Request,
    call: Call,
    media: MediaType,
    ctx: &mut Context<Master>,
) -> Result<Response, Response> {
    if request.header(STREAM_ID).is_some() {
        return Err(bad("Subscribe calls should not include the 'Mesos-Stream-Id' header"));
    }
    let mut call = call.subscribe.unwrap_or_default();
    if call.framework_info.principal.is_none() {
        call.framework_info.principal = principal(request)?.map(str::to_owned);
    }
    let id = ctx.node().random().uuid();
    let body = subscribe::subscribe(master, call, id, media, ctx);
    Ok(Response::streaming(media.as_str(), body).header(STREAM_ID, id.to_string()))
}

/// Whether the framework is there, and the request comes from the scheduler that holds its stream.
fn check_sender(
    master: &mut Master,
    framework: &FrameworkId,
    request: &Request,
    kind: Type,
) -> Result<(), Response> {
    let Some(state) = master.cluster.framework(framework) else {
        return Err(bad("Framework cannot be found"));
    };
    master.metrics.framework(framework).call(kind);
    if let Some(principal) = principal(request)?
        && state.info.principal.as_deref() != Some(principal)
    {
        return Err(bad(format!(
            "Authenticated principal '{principal}' does not match principal '{}' set in `FrameworkInfo`",
            state.info.principal()
        )));
    }
    let Some(stream) = master.streams.get(framework) else {
        return Err(Response::forbidden(match state.is_connected() {
            true => "Framework is not connected via HTTP",
            false => "Framework is not subscribed",
        }));
    };
    match request.header(STREAM_ID) {
        None => Err(bad("All non-subscribe calls should include the 'Mesos-Stream-Id' header")),
        Some(id) if id == stream.id.to_string() => Ok(()),
        Some(id) => Err(bad(format!(
            "The stream ID '{id}' included in this request didn't match the stream ID currently associated with \
             framework ID {framework}"
        ))),
    }
}
