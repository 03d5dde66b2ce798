//! Calls about the process, not the cluster: GET_HEALTH, GET_VERSION, GET_FLAGS, GET_METRICS, GET_LOGGING_LEVEL,
//! SET_LOGGING_LEVEL, GET_MASTER (upstream: `master/http.cpp`).

use libprocess::http::Reply;
use libprocess::{Context, Node};
use mesos::operator::{self, respond};
use mesos::tasks::seconds;
use mesos::v1::master::call::SetLoggingLevel;
use mesos::v1::master::response::{self, Type};
use mesos::{MediaType, v1};

use crate::leadership;
use crate::master::Master;

fn of(kind: Type) -> v1::master::Response {
    v1::master::Response { r#type: Some(kind.into()), ..Default::default() }
}

/// GET_HEALTH. Who answers is well.
pub(super) fn health(media: MediaType) -> Reply {
    let get_health = Some(response::GetHealth { healthy: true });
    respond(media, &v1::master::Response { get_health, ..of(Type::GetHealth) }).into()
}

/// GET_VERSION.
pub(super) fn version(media: MediaType) -> Reply {
    let get_version = Some(response::GetVersion { version_info: operator::version_info() });
    respond(media, &v1::master::Response { get_version, ..of(Type::GetVersion) }).into()
}

/// GET_FLAGS.
pub(super) fn flags(master: &Master, media: MediaType) -> Reply {
    let get_flags = Some(response::GetFlags { flags: operator::flags(&master.flags) });
    respond(media, &v1::master::Response { get_flags, ..of(Type::GetFlags) }).into()
}

/// GET_MASTER.
pub(super) fn master(master: &Master, media: MediaType) -> Reply {
    let view = leadership::view(master);
    let get_master = Some(response::GetMaster {
        master_info: Some(view.info),
        start_time: Some(seconds(view.started)),
        elected_time: view.elected.map(seconds),
    });
    respond(media, &v1::master::Response { get_master, ..of(Type::GetMaster) }).into()
}

/// GET_METRICS.
pub(super) fn metrics(node: &Node, timeout: Option<v1::DurationInfo>, media: MediaType) -> Reply {
    operator::metrics(node, timeout, move |metrics| {
        let get_metrics = Some(response::GetMetrics { metrics });
        respond(media, &v1::master::Response { get_metrics, ..of(Type::GetMetrics) })
    })
}

/// GET_LOGGING_LEVEL.
pub(super) fn logging_level(node: &Node, media: MediaType) -> Reply {
    operator::logging_level(node, move |level| {
        let get_logging_level = Some(response::GetLoggingLevel { level });
        respond(media, &v1::master::Response { get_logging_level, ..of(Type::GetLoggingLevel) })
    })
}

/// SET_LOGGING_LEVEL.
pub(super) fn set_logging_level(call: SetLoggingLevel, ctx: &Context<Master>) -> Reply {
    operator::set_logging_level(ctx.node(), call.level, &call.duration)
}
