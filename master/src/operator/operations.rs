//! GET_OPERATIONS: offer operations that are under way, or whose end is not acknowledged.

use libprocess::Context;
use libprocess::breath::{self, RENDERED};
use libprocess::http::Reply;
use mesos::v1::master::response::{self, Type};
use mesos::{MediaType, codec, v1};

use super::state::ok;
use crate::cluster::Snapshot;
use crate::master::Master;
use crate::rendering::{Question, Reader};

/// GET_OPERATIONS.
pub(super) fn get(master: &mut Master, media: MediaType, ctx: &mut Context<Master>) -> Reply {
    let question = Question::call("GET_OPERATIONS", media);
    Reader::of(master, ctx).answer(
        question,
        move |_, snapshot| codec::encode(media, &operations(snapshot)).into(),
        move |body| ok(media, body),
    )
}

fn operations(snapshot: &Snapshot) -> v1::master::Response {
    let operations = snapshot.agents.values().flat_map(|agent| agent.operations.values());
    let operations = operations.inspect(|_| breath::spend(RENDERED));
    let operations = operations.map(|operation| (**operation).clone()).collect();
    v1::master::Response {
        r#type: Some(Type::GetOperations.into()),
        get_operations: Some(response::GetOperations { operations }),
        ..Default::default()
    }
}
