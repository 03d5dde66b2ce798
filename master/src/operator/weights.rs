//! Weights: how much of the cluster roles get in relation to each other (upstream:
//! `master/weights_handler.cpp`).
//!
//! New weights show in the runs of the allocator to come. If a role that has frameworks is among them, all
//! outstanding offers are taken back, so that they show soon.

use std::collections::{BTreeMap, BTreeSet};

use ::http::Method;
use libprocess::Context;
use libprocess::http::{Reply, Request, Response};
use mesos::v1::{self, WeightInfo, master::response};
use mesos::{AgentId, MediaType, codec, json};

use super::body::Body;
use super::{is_whitelisted, store};
use crate::authorization::Action;
use crate::calls::http::principal;
use crate::master::Master;
use crate::offers;
use crate::registrar::Operation;
use crate::validation::weight;

/// The most roles of one call: what is stored of it, all or nothing, and weighed by the allocator at once.
const MAX_ROLES: usize = 5_000;

/// `/weights`.
pub(super) fn endpoint(
    master: &mut Master,
    request: Request,
    weights: Result<Vec<WeightInfo>, Response>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    match request.method {
        Method::GET => {
            let weights = master.cluster.weights().clone();
            let things = weights.len();
            let make = move || Response::jsonp(&request.query, json::to_vec(&infos(&weights)));
            Ok(Reply::render_many(ctx.node(), things, make))
        }
        Method::PUT => update(master, weights?, principal(&request)?, ctx),
        ref other => Err(Response::method_not_allowed_for(&[Method::GET, Method::PUT], other)),
    }
}

/// GET_WEIGHTS.
pub(super) fn get(master: &Master, media: MediaType, ctx: &Context<Master>) -> Reply {
    let weights = master.cluster.weights().clone();
    Reply::render_many(ctx.node(), weights.len(), move || {
        let weight_infos = infos(&weights);
        let response = v1::master::Response {
            r#type: Some(response::Type::GetWeights.into()),
            // Without any, upstream leaves the field out.
            get_weights: (!weight_infos.is_empty()).then_some(response::GetWeights { weight_infos }),
            ..Default::default()
        };
        Response::ok(media.as_str(), codec::encode(media, &response))
    })
}

fn infos(weights: &BTreeMap<String, f64>) -> Vec<WeightInfo> {
    weights.iter().map(|(role, weight)| WeightInfo { role: Some(role.clone()), weight: *weight }).collect()
}

/// The body of `PUT /weights`. The Master is not asked.
pub(super) fn read(request: &Request) -> Result<Vec<WeightInfo>, Response> {
    let body = Body::new("update weights", &request.body);
    let items = body.array()?;
    items
        .iter()
        .map(json::from_value)
        .collect::<Result<_, _>>()
        .map_err(|error: json::Error| body.refused("Failed to convert weights JSON array to protobuf", error))
}

/// UPDATE_WEIGHTS and `PUT /weights`: of the roles that are named, all or none.
pub(super) fn update(
    master: &mut Master,
    mut weights: Vec<WeightInfo>,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    // Of too many no more than these are looked at: whether the sender may set weights comes before how many.
    let named = weights.len();
    weights.truncate(MAX_ROLES);
    for info in &mut weights {
        let role = info.role().trim().to_owned();
        validate(master, &role, info.weight)?;
        info.role = Some(role);
    }
    master.authorize(principal, weights.iter().map(|info| Action::UpdateWeight(info.role())))?;
    if named > MAX_ROLES {
        return Err(refused(format!(": {named} roles are named; at most {MAX_ROLES} are allowed")));
    }
    let operation = Operation::UpdateWeights { weights: weights.clone() };
    Ok(store(master, operation, ctx, move |master, ctx| {
        let mut known = (**master.cluster.weights()).clone();
        known.extend(weights.iter().map(|info| (info.role().to_owned(), info.weight)));
        master.cluster.set_weights(known);
        let concerned = have_frameworks(master, &weights);
        // Told before offers are taken back, or what comes back would be offered by the old weights.
        master.allocation.update_weights(weights);
        if concerned {
            let agents: Vec<AgentId> = master.cluster.agents().keys().cloned().collect();
            for agent in agents {
                offers::rescind_of_agent(master, &agent, ctx);
            }
        }
    }))
}

fn validate(master: &Master, role: &str, value: f64) -> Result<(), Response> {
    weight::role(role).map_err(|error| refused(format!(": {error}")))?;
    if !is_whitelisted(master, role) {
        return Err(refused(format!(": Unknown role '{role}'")));
    }
    weight::value(value).map_err(|error| refused(format!(" for role '{role}': {error}")))
}

fn refused(text: String) -> Response {
    Response::bad_request(format!("Failed to validate update weights request JSON{text}"))
}

/// Also one that has left the role counts, while its tasks hold something there: that has a share. There may be thousands of
/// roles, and of frameworks: none is looked at for each of the others.
fn have_frameworks(master: &Master, weights: &[WeightInfo]) -> bool {
    let roles: BTreeSet<&str> = weights.iter().map(WeightInfo::role).collect();
    master
        .cluster
        .frameworks()
        .values()
        .flat_map(|framework| framework.shared_roles())
        .any(|role| roles.contains(role))
}
