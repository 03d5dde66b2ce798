//! Maintenance of machines: planned, begun, ended, looked at (upstream: the handlers of maintenance in
//! `master/http.cpp`).
//!
//! | call | endpoint |
//! |---|---|
//! | GET_MAINTENANCE_SCHEDULE, UPDATE_MAINTENANCE_SCHEDULE | `GET` and `POST /maintenance/schedule` |
//! | GET_MAINTENANCE_STATUS | `GET /maintenance/status` |
//! | START_MAINTENANCE | `POST /machine/down` |
//! | STOP_MAINTENANCE | `POST /machine/up` |

use ::http::{Method, StatusCode};
use libprocess::Context;
use libprocess::breath::{self, RENDERED};
use libprocess::http::{Reply, Request, Response};
use mesos::v1::machine_info::Mode;
use mesos::v1::maintenance::{ClusterStatus, Schedule, cluster_status::DrainingMachine};
use mesos::v1::{self, master::response};
use mesos::{MachineKey, MediaType, codec, json};

use super::body::Body;
use super::{store_and_answer, store_unless_removed};
use crate::agents::maintenance;
use crate::authorization::Action;
use crate::calls::http::principal;
use crate::master::Master;
use crate::registrar::{Maintenance, Operation};
use crate::validation::{Checked, maintenance as validation};

/// `/maintenance/schedule`.
pub(super) fn schedule_endpoint(
    master: &mut Master,
    request: Request,
    schedule_to_be: Result<Schedule, Response>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    match request.method {
        Method::GET => {
            let planned = master.cluster.maintenance().clone();
            let things = planned.machines.len();
            let make = move || Response::jsonp(&request.query, json::to_vec(&schedule(&planned)));
            Ok(Reply::render_many(ctx.node(), things, make))
        }
        Method::POST => update(master, schedule_to_be?, principal(&request)?, ctx),
        ref other => Err(Response::method_not_allowed_for(&[Method::GET, Method::POST], other)),
    }
}

/// The body of `POST /maintenance/schedule`. The Master is not asked.
pub(super) fn read_schedule(request: &Request) -> Result<Schedule, Response> {
    let body = Body::bare(&request.body).object()?;
    json::from_value(&body).map_err(|error| Response::bad_request(error.to_string()))
}

/// `/maintenance/status`.
pub(super) fn status_endpoint(
    master: &mut Master,
    request: Request,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    if request.method != Method::GET {
        return Err(Response::method_not_allowed_for(&[Method::GET], &request.method));
    }
    Ok(status(master, ctx, move |status| Response::jsonp(&request.query, json::to_vec(&status))))
}

/// `/machine/down` and `/machine/up`.
pub(super) fn machine_endpoint(
    master: &mut Master,
    request: &Request,
    machines: Result<Vec<v1::MachineId>, Response>,
    ctx: &mut Context<Master>,
    call: impl FnOnce(
        &mut Master,
        Vec<v1::MachineId>,
        Option<&str>,
        &mut Context<Master>,
    ) -> Result<Reply, Response>,
) -> Result<Reply, Response> {
    if request.method != Method::POST {
        return Err(Response::method_not_allowed_for(&[Method::POST], &request.method));
    }
    call(master, machines?, principal(request)?, ctx)
}

/// The body of `POST /machine/down` and `/machine/up`. The Master is not asked.
pub(super) fn read_machines(request: &Request) -> Result<Vec<v1::MachineId>, Response> {
    let items = Body::bare(&request.body).array()?;
    let machines: Result<Vec<v1::MachineId>, json::Error> = items.iter().map(json::from_value).collect();
    machines.map_err(|error| Response::bad_request(error.to_string()))
}

/// GET_MAINTENANCE_SCHEDULE.
pub(super) fn get_schedule(master: &Master, media: MediaType, ctx: &Context<Master>) -> Reply {
    let planned = master.cluster.maintenance().clone();
    Reply::render_many(ctx.node(), planned.machines.len(), move || {
        let schedule = schedule(&planned);
        let response = v1::master::Response {
            r#type: Some(response::Type::GetMaintenanceSchedule.into()),
            get_maintenance_schedule: Some(response::GetMaintenanceSchedule { schedule }),
            ..Default::default()
        };
        Response::ok(media.as_str(), codec::encode(media, &response))
    })
}

fn schedule(planned: &Maintenance) -> Schedule {
    planned.schedule.clone().unwrap_or_default()
}

/// UPDATE_MAINTENANCE_SCHEDULE.
pub(super) fn update(
    master: &mut Master,
    schedule: Schedule,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    // One that is too large is not looked at; but whether the sender may plan anything comes before how much.
    let size = validation::size(&schedule);
    if size.is_ok() {
        or_bad(validation::schedule(&schedule, master.cluster.maintenance()))?;
    }
    let planned = schedule.windows.iter().flat_map(|window| &window.machine_ids);
    master.authorize(principal, planned.map(Action::UpdateMaintenanceSchedule))?;
    or_bad(size)?;
    let operation = Operation::UpdateSchedule { schedule: schedule.clone() };
    Ok(store_and_answer(master, operation, ctx, move |master, possible, ctx| {
        if !possible {
            // Upstream lets it be up again, and tells neither operator.
            let text = "A machine that is not in the schedule has gone down while processing the call";
            return Response::text(StatusCode::CONFLICT, text);
        }
        maintenance::plan(master, schedule, ctx);
        Response::new(StatusCode::OK)
    }))
}

/// START_MAINTENANCE.
pub(super) fn start(
    master: &mut Master,
    machines: Vec<v1::MachineId>,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    or_bad(validation::machines(&machines))?;
    all_in(master, &machines, Mode::Draining, "is not in DRAINING mode and cannot be brought down")?;
    master.authorize(principal, machines.iter().map(Action::StartMaintenance))?;
    let operation = Operation::StartMaintenance { machines: machines.clone() };
    Ok(store_unless_removed(master, operation, "Machine", ctx, move |master, ctx| {
        maintenance::start(master, &machines, ctx);
    }))
}

/// STOP_MAINTENANCE.
pub(super) fn stop(
    master: &mut Master,
    machines: Vec<v1::MachineId>,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    or_bad(validation::machines(&machines))?;
    all_in(master, &machines, Mode::Down, "is not in DOWN mode and cannot be brought up")?;
    master.authorize(principal, machines.iter().map(Action::StopMaintenance))?;
    let operation = Operation::StopMaintenance { machines: machines.clone() };
    Ok(store_unless_removed(master, operation, "Machine", ctx, move |master, _| {
        maintenance::stop(master, &machines);
    }))
}

fn or_bad(checked: Checked) -> Result<(), Response> {
    checked.map_err(|error| Response::bad_request(error.0))
}

/// Whether all of these machines are in the schedule, and in this mode. A machine is also known by the agents on it
/// (upstream: `Master::machines`): then it is up.
fn all_in(master: &Master, machines: &[v1::MachineId], mode: Mode, otherwise: &str) -> Result<(), Response> {
    for id in machines {
        let refuse =
            |why: &str| Err(Response::bad_request(format!("Machine '{}' {why}", validation::text(id))));
        let key = id.into();
        match master.cluster.maintenance().machines.get(&key) {
            None if master.cluster.machines().agents_on(&key).next().is_some() => return refuse(otherwise),
            None => return refuse("is not part of a maintenance schedule"),
            Some(info) if info.mode() != mode => return refuse(otherwise),
            Some(_) => {}
        }
    }
    Ok(())
}

/// GET_MAINTENANCE_STATUS.
pub(super) fn get_status(master: &Master, media: MediaType, ctx: &Context<Master>) -> Reply {
    status(master, ctx, move |status| {
        let response = v1::master::Response {
            r#type: Some(response::Type::GetMaintenanceStatus.into()),
            get_maintenance_status: Some(response::GetMaintenanceStatus { status }),
            ..Default::default()
        };
        Response::ok(media.as_str(), codec::encode(media, &response))
    })
}

/// Which machines are draining, with what frameworks say to it, and which are down. The master gives away what is planned
/// and where its agents are; nothing is looked up on its thread.
fn status(
    master: &Master,
    ctx: &Context<Master>,
    show: impl FnOnce(ClusterStatus) -> Response + Send + 'static,
) -> Reply {
    let (planned, machines) = (master.cluster.maintenance().clone(), master.cluster.machines().clone());
    let answers = master.allocation.inverse_offer_statuses();
    let node = ctx.node().clone();
    Reply::later(async move {
        let Ok(answers) = answers.await else {
            return Response::service_unavailable("The allocator has ended");
        };
        let things = planned.machines.len();
        let make = move || {
            let of_machine = |(key, info): (&MachineKey, &v1::MachineInfo)| {
                breath::spend(RENDERED);
                let found = machines.agents_on(key).filter_map(|agent| answers.get(agent));
                let statuses = found.flat_map(|of_agent| of_agent.values().cloned()).collect();
                DrainingMachine { id: info.id.clone(), statuses }
            };
            let draining = planned.machines.iter().filter(|(_, info)| info.mode() == Mode::Draining);
            let down = planned.machines.values().filter(|info| info.mode() == Mode::Down);
            show(ClusterStatus {
                draining_machines: draining.map(of_machine).collect(),
                down_machines: down.map(|info| info.id.clone()).collect(),
            })
        };
        Reply::render_many(&node, things, make).wait().await
    })
}
