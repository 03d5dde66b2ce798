//! GET_ROLES: roles with their frameworks and what they hold (upstream: `ReadOnlyHandler::getRoles`).

use std::collections::BTreeMap;

use libprocess::Context;
use libprocess::breath::{self, RENDERED};
use libprocess::http::Reply;
use mesos::v1::master::response;
use mesos::{FrameworkId, MediaType, ResourceQuantities, codec, v1};

use super::state::ok;
use crate::cluster::{Books, Snapshot};
use crate::http::roles::{DEFAULT_WEIGHT, by_role, known};
use crate::master::Master;
use crate::rendering::{Question, Reader};

/// What is shown of a role's resources, in this order: of other resources nobody knows whether they are numbers.
const SHOWN: [&str; 4] = ["cpus", "disk", "gpus", "mem"];

/// GET_ROLES.
pub(super) fn get(master: &mut Master, media: MediaType, ctx: &mut Context<Master>) -> Reply {
    let question = Question::call("GET_ROLES", media);
    Reader::of(master, ctx).answer(
        question,
        move |_, snapshot| codec::encode(media, &roles(snapshot)).into(),
        move |body| ok(media, body),
    )
}

fn roles(snapshot: &Snapshot) -> v1::master::Response {
    let books = Books::of(&snapshot.agents);
    let sharing = by_role(snapshot);
    let names = known(snapshot, &books, sharing.keys().copied()).into_iter();
    let roles = names.map(|name| role(name, &books, &sharing, snapshot)).collect();
    v1::master::Response {
        r#type: Some(response::Type::GetRoles.into()),
        get_roles: Some(response::GetRoles { roles }),
        ..Default::default()
    }
}

fn role(
    name: String,
    books: &Books,
    sharing: &BTreeMap<&str, Vec<&FrameworkId>>,
    snapshot: &Snapshot,
) -> v1::Role {
    breath::spend(RENDERED);
    let sharing = sharing.get(name.as_str()).into_iter().flatten();
    v1::Role {
        weight: snapshot.weights.get(&name).copied().unwrap_or(DEFAULT_WEIGHT),
        frameworks: sharing.copied().map(FrameworkId::to_proto).collect(),
        resources: scalars(&(books.allocated(&name) + books.offered(&name))),
        name,
    }
}

fn scalars(amounts: &ResourceQuantities) -> Vec<v1::Resource> {
    let shown = amounts.iter().filter(|(name, _)| SHOWN.contains(name));
    shown
        .map(|(name, amount)| v1::Resource {
            name: name.to_owned(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: amount.to_f64() }),
            ..Default::default()
        })
        .collect()
}
