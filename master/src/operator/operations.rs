//! GET_OPERATIONS: offer operations that are under way, or whose end is not acknowledged. The books have none yet.

use libprocess::http::Reply;
use mesos::v1::master::response::{self, Type};
use mesos::{MediaType, v1};

use super::node::respond;

/// GET_OPERATIONS.
pub(super) fn get(media: MediaType) -> Reply {
    let r#type = Some(Type::GetOperations.into());
    let get_operations = Some(response::GetOperations::default());
    respond(media, &v1::master::Response { r#type, get_operations, ..Default::default() }).into()
}
