//! GET_OPERATIONS: offer operations that are under way, or whose end is not acknowledged.

use libprocess::Context;
use libprocess::http::Reply;
use mesos::operator::respond;
use mesos::v1::master::response::{self, Type};
use mesos::{MediaType, v1};

use crate::master::Master;

/// GET_OPERATIONS.
pub(super) fn get(master: &mut Master, media: MediaType, ctx: &Context<Master>) -> Reply {
    let snapshot = master.snapshot(ctx.now());
    Reply::render(move || {
        let operations = snapshot.agents.values().flat_map(|agent| agent.operations.values());
        let operations = operations.map(|operation| (**operation).clone()).collect();
        let response = v1::master::Response {
            r#type: Some(Type::GetOperations.into()),
            get_operations: Some(response::GetOperations { operations }),
            ..Default::default()
        };
        respond(media, &response)
    })
}
