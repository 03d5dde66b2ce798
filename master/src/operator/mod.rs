//! The operator API: `POST /api/v1`, and the older endpoints that change something.
//!
//! | call | endpoint | file |
//! |---|---|---|
//! | GET_HEALTH, GET_VERSION, GET_FLAGS, GET_METRICS, GET_LOGGING_LEVEL, SET_LOGGING_LEVEL, GET_MASTER | | `node` |
//! | GET_STATE, GET_AGENTS, GET_FRAMEWORKS, GET_EXECUTORS, GET_TASKS | | `state`, in the form of `form` |
//! | GET_ROLES | | `roles` |
//! | GET_OPERATIONS | | `operations` |
//! | LIST_FILES, READ_FILE | | `files` |
//! | SUBSCRIBE | | `subscribe`; `news` says what happens |
//! | TEARDOWN | `POST /teardown` | `teardown` |
//! | MARK_AGENT_GONE, DRAIN_AGENT, DEACTIVATE_AGENT, REACTIVATE_AGENT | | `agents` |
//! | GET_MAINTENANCE_SCHEDULE, UPDATE_MAINTENANCE_SCHEDULE, GET_MAINTENANCE_STATUS, START_MAINTENANCE, STOP_MAINTENANCE | `/maintenance/schedule`, `/maintenance/status`, `/machine/down`, `/machine/up` | `maintenance` |
//! | GET_QUOTA, UPDATE_QUOTA, SET_QUOTA, REMOVE_QUOTA | `GET`, `POST` and `DELETE /quota` | `quota` |
//! | RESERVE_RESOURCES, UNRESERVE_RESOURCES, CREATE_VOLUMES, DESTROY_VOLUMES, GROW_VOLUME, SHRINK_VOLUME | `/reserve`, `/unreserve`, `/create-volumes`, `/destroy-volumes` | `reservations` |
//! | GET_WEIGHTS, UPDATE_WEIGHTS | `GET` and `PUT /weights` | `weights` |
//!
//! A call that is not in the table is answered with 501 and its name. The checks are in upstream's order, with
//! its status codes and texts (`Http::api` in `master/http.cpp`): the leader, recovery, the method, the media
//! types, the call's form. What is validated is authorized ([`crate::authorization`]) before it is read or stored, and a
//! change is answered when the registry has stored it.

mod agents;
mod body;
mod files;
mod form;
mod maintenance;
pub(crate) mod news;
mod node;
mod operations;
pub(crate) mod quota;
mod reservations;
mod roles;
mod state;
pub(crate) mod subscribe;
mod teardown;
mod weights;

pub(crate) use form::V1;
pub(crate) use state::get_state;

use ::http::{Method, StatusCode};
use libprocess::http::{Reply, Request, Response};
use libprocess::{Answer, Context, promise};
use mesos::v1::master::{Call, call::Type};
use mesos::{MediaType, codec};

use crate::authorization::Action;
use crate::calls::http::principal;
use crate::leadership;
use crate::master::Master;
use crate::reads::{self, Routes};
use crate::registrar::Operation;
use crate::validation;

/// Registers the routes. Every method: a master that does not lead redirects before it looks at the method.
pub(crate) fn install(routes: &mut Routes<'_>) {
    routes.change("/api/v1", "Endpoint for API calls against the master.", read, |m, r, call, c| {
        either(api(m, &r, call, c))
    });
    let help = "Quotas of roles: GET (jsonp), POST, DELETE /quota/<role>.";
    routes.change("/quota", help, quota::read, |m, r, body, c| {
        either(admit(m, &r).and_then(|()| quota::endpoint(m, r, body, c)))
    });
    routes.change("/weights", "Weights of roles: GET (jsonp), PUT.", weights::read, |m, r, body, c| {
        either(admit(m, &r).and_then(|()| weights::endpoint(m, r, body, c)))
    });
    routes.change("/teardown", "Ends a framework: POST frameworkId=ID.", teardown::read, |m, r, id, c| {
        either(admit(m, &r).and_then(|()| teardown::endpoint(m, &r, id, c)))
    });
    install_maintenance(routes);
    install_reservations(routes);
}

/// The endpoints of maintenance, registered as the others.
fn install_maintenance(routes: &mut Routes<'_>) {
    let help = "Planned maintenance: GET (jsonp), POST.";
    routes.change("/maintenance/schedule", help, maintenance::read_schedule, |m, r, body, c| {
        either(admit(m, &r).and_then(|()| maintenance::schedule_endpoint(m, r, body, c)))
    });
    routes.read(&[], "/maintenance/status", "Machines that are draining or down (jsonp).", |m, r, c| {
        either(admit(m, &r).and_then(|()| maintenance::status_endpoint(m, r, c)))
    });
    let (help, read) = ("Begins the maintenance of machines: POST.", maintenance::read_machines);
    routes.change("/machine/down", help, read, |m, r, body, c| {
        either(admit(m, &r).and_then(|()| maintenance::machine_endpoint(m, &r, body, c, maintenance::start)))
    });
    routes.change("/machine/up", "Ends the maintenance of machines: POST.", read, |m, r, body, c| {
        either(admit(m, &r).and_then(|()| maintenance::machine_endpoint(m, &r, body, c, maintenance::stop)))
    });
}

/// The endpoints of reservations and volumes.
fn install_reservations(routes: &mut Routes<'_>) {
    use reservations::Endpoint;
    let endpoints = [
        ("/reserve", "Reserves resources of an agent: POST.", Endpoint::Reserve),
        ("/unreserve", "Undoes reservations: POST.", Endpoint::Unreserve),
        ("/create-volumes", "Creates persistent volumes: POST.", Endpoint::Create),
        ("/destroy-volumes", "Destroys persistent volumes: POST.", Endpoint::Destroy),
    ];
    for (path, help, endpoint) in endpoints {
        let read = move |request: &Request| reservations::read(request, endpoint);
        routes.change(path, help, read, |m, r, asked, c| {
            let answer = admit(m, &r)
                .and_then(|()| principal(&r))
                .and_then(|principal| reservations::endpoint(m, &r, asked, principal, c));
            either(answer)
        });
    }
}

fn either(answer: Result<Reply, Response>) -> Reply {
    answer.unwrap_or_else(Reply::Now)
}

/// Whether this master answers at all, and this sender.
fn admit(master: &Master, request: &Request) -> Result<(), Response> {
    principal(request)?;
    leadership::refusal(master, request).map_or(Ok(()), Err)
}

/// The call in a request. The Master is not asked.
fn read(request: &Request) -> Result<Call, Response> {
    let media = MediaType::of_content(request.header("Content-Type")).map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Response::text(status, error.to_string())
    })?;
    codec::decode_call(media, &request.body).map_err(|error| Response::bad_request(error.to_string()))
}

fn api(
    master: &mut Master,
    request: &Request,
    call: Result<Call, Response>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    admit(master, request)?;
    if request.method != Method::POST {
        return Err(Response::method_not_allowed_for(&[Method::POST], &request.method));
    }
    let mut call = call?;
    let kind = validation::operator::validate(&call)
        .map_err(|error| Response::bad_request(format!("Failed to validate master::Call: {error}")))?;
    let media = MediaType::of_answer(request.header_list("Accept").as_deref())
        .map_err(|error| Response::text(StatusCode::NOT_ACCEPTABLE, error.to_string()))?;
    tracing::info!(call = kind.as_str_name(), "processing an operator's call");
    let principal = principal(request)?;
    master.authorize(principal, reads::of_call(kind).iter().copied())?;
    if let Some((agent, operation)) = reservations::operation_of(kind, &mut call) {
        return reservations::apply(master, &agent, operation, principal, ctx);
    }
    dispatch(master, kind, call, media, principal, ctx)
}

/// Handles a call. Its form was validated: the part that its type names is there.
fn dispatch(
    master: &mut Master,
    kind: Type,
    call: Call,
    media: MediaType,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    match kind {
        Type::GetHealth => Ok(node::health(media)),
        Type::GetVersion => Ok(node::version(media)),
        Type::GetFlags => Ok(node::flags(master, media)),
        Type::GetMaster => Ok(node::master(master, media)),
        Type::GetMetrics => {
            Ok(node::metrics(ctx.node(), call.get_metrics.unwrap_or_default().timeout, media))
        }
        Type::GetLoggingLevel => Ok(node::logging_level(ctx.node(), media)),
        Type::SetLoggingLevel => {
            master.authorize(principal, [Action::SetLogLevel])?;
            Ok(node::set_logging_level(call.set_logging_level.unwrap_or_default(), ctx))
        }
        Type::GetState | Type::GetAgents | Type::GetFrameworks | Type::GetExecutors | Type::GetTasks => {
            Ok(state::answer(master, kind, media, ctx))
        }
        Type::GetRoles => Ok(roles::get(master, media, ctx)),
        Type::GetOperations => Ok(operations::get(master, media, ctx)),
        Type::Subscribe => Ok(subscribe::subscribe(master, media, ctx)),
        Type::ListFiles => Ok(files::list(&master.files, call.list_files.unwrap_or_default(), media, ctx)),
        Type::ReadFile => Ok(files::read(&master.files, call.read_file.unwrap_or_default(), media)),
        Type::Teardown => {
            let framework = call.teardown.unwrap_or_default().framework_id.into();
            teardown::teardown(master, &framework, principal, ctx)
        }
        Type::GetQuota => Ok(quota::get(master, media, ctx)),
        Type::UpdateQuota => quota::update(master, call.update_quota.unwrap_or_default(), principal, ctx),
        Type::SetQuota => {
            quota::set(master, call.set_quota.unwrap_or_default().quota_request, principal, ctx)
        }
        Type::RemoveQuota => {
            quota::remove(master, call.remove_quota.unwrap_or_default().role, principal, ctx)
        }
        Type::GetWeights => Ok(weights::get(master, media, ctx)),
        Type::UpdateWeights => {
            weights::update(master, call.update_weights.unwrap_or_default().weight_infos, principal, ctx)
        }
        Type::GetMaintenanceSchedule => Ok(maintenance::get_schedule(master, media, ctx)),
        Type::UpdateMaintenanceSchedule => {
            let call = call.update_maintenance_schedule.unwrap_or_default();
            maintenance::update(master, call.schedule, principal, ctx)
        }
        Type::GetMaintenanceStatus => Ok(maintenance::get_status(master, media, ctx)),
        Type::StartMaintenance => {
            maintenance::start(master, call.start_maintenance.unwrap_or_default().machines, principal, ctx)
        }
        Type::StopMaintenance => {
            maintenance::stop(master, call.stop_maintenance.unwrap_or_default().machines, principal, ctx)
        }
        Type::MarkAgentGone => {
            agents::mark_gone(master, call.mark_agent_gone.unwrap_or_default().agent_id, principal, ctx)
        }
        Type::DrainAgent => agents::drain(master, call.drain_agent.unwrap_or_default(), principal, ctx),
        Type::DeactivateAgent => {
            agents::deactivate(master, call.deactivate_agent.unwrap_or_default().agent_id, principal, ctx)
        }
        Type::ReactivateAgent => {
            agents::reactivate(master, call.reactivate_agent.unwrap_or_default().agent_id, principal, ctx)
        }
        Type::Unknown => Err(Response::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented.")),
        other => Err(Response::text(
            StatusCode::NOT_IMPLEMENTED,
            format!("501 Not Implemented: this master does not know the call {} yet", other.as_str_name()),
        )),
    }
}

/// Stores a change; when it is stored, `then` makes it known, and the answer is 200.
fn store(
    master: &mut Master,
    operation: Operation,
    ctx: &mut Context<Master>,
    then: impl FnOnce(&mut Master, &mut Context<Master>) + 'static,
) -> Reply {
    store_and_answer(master, operation, ctx, move |master, _, ctx| {
        then(master, ctx);
        Response::new(StatusCode::OK)
    })
}

/// Stores a change that may be impossible; `then` hears whether it was possible, makes it known, and answers.
fn store_and_answer(
    master: &mut Master,
    operation: Operation,
    ctx: &mut Context<Master>,
    then: impl FnOnce(&mut Master, bool, &mut Context<Master>) -> Response + 'static,
) -> Reply {
    let (reply, answer) = promise::<Response>();
    master.apply(operation, ctx, move |master, possible, ctx| {
        let response = then(master, possible, ctx);
        reply.set(response);
    });
    later(answer)
}

/// As [`store`], of something that may go away while it is stored; `what` it is, is said then.
fn store_unless_removed(
    master: &mut Master,
    operation: Operation,
    what: &'static str,
    ctx: &mut Context<Master>,
    then: impl FnOnce(&mut Master, &mut Context<Master>) + 'static,
) -> Reply {
    store_and_answer(master, operation, ctx, move |master, possible, ctx| {
        if !possible {
            return Response::text(StatusCode::CONFLICT, format!("{what} removed while processing the call"));
        }
        then(master, ctx);
        Response::new(StatusCode::OK)
    })
}

/// An answer that waits for the registry.
fn later(answer: Answer<Response>) -> Reply {
    Reply::later(async move {
        let ended = |_| Response::service_unavailable("The master ended before the change was stored");
        answer.await.unwrap_or_else(ended)
    })
}

/// Whether frameworks may use this role at all (`--roles`).
fn is_whitelisted(master: &Master, role: &str) -> bool {
    let whitelist = master.settings.roles.as_ref();
    whitelist.is_none_or(|whitelist| role == mesos::roles::UNRESERVED || whitelist.0.contains(role))
}
