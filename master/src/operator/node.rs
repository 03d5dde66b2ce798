//! Calls about the process, not the cluster: GET_HEALTH, GET_VERSION, GET_FLAGS, GET_METRICS, GET_LOGGING_LEVEL,
//! SET_LOGGING_LEVEL, GET_MASTER (upstream: `master/http.cpp`).

use std::time::Duration;

use ::http::StatusCode;
use libprocess::http::{Reply, Response};
use libprocess::metrics::Snapshot;
use libprocess::system::{GetLevel, LevelError, METRICS_PATIENCE, SetLevel, show_metrics};
use libprocess::{Context, Node};
use mesos::tasks::seconds;
use mesos::v1::master::call::SetLoggingLevel;
use mesos::v1::master::response::{self, Type};
use mesos::version::build;
use mesos::{MediaType, codec, v1};

use crate::leadership;
use crate::master::Master;

/// 200 with a response.
pub(super) fn respond(media: MediaType, response: &v1::master::Response) -> Response {
    Response::ok(media.as_str(), codec::encode(media, response))
}

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
    let build = build();
    let version_info = v1::VersionInfo {
        version: build.version.to_owned(),
        build_date: Some(build.date()),
        build_time: Some(build.time as f64),
        build_user: Some(build.user.to_owned()),
        git_sha: build.git_sha.map(str::to_owned),
        ..Default::default()
    };
    let get_version = Some(response::GetVersion { version_info });
    respond(media, &v1::master::Response { get_version, ..of(Type::GetVersion) }).into()
}

/// GET_FLAGS.
pub(super) fn flags(master: &Master, media: MediaType) -> Reply {
    let flag =
        |(name, value): (&String, &String)| v1::Flag { name: name.clone(), value: Some(value.clone()) };
    let get_flags = Some(response::GetFlags { flags: master.flags.iter().map(flag).collect() });
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

/// GET_METRICS. `timeout` is how long actors may take, or else as long as for `/metrics/snapshot`; what is not there by then
/// is left out. The master looks nothing up.
pub(super) fn metrics(node: &Node, timeout: Option<v1::DurationInfo>, media: MediaType) -> Reply {
    // A negative time is none.
    let patience = timeout.map(|timeout| Duration::from_nanos(timeout.nanoseconds.try_into().unwrap_or(0)));
    let node = node.clone();
    let show = move |snapshot: &Snapshot| {
        let metrics = snapshot.values().into_iter();
        let metrics = metrics.map(|(name, value)| v1::Metric { name: name.into_owned(), value: Some(value) });
        let get_metrics = Some(response::GetMetrics { metrics: metrics.collect() });
        respond(media, &v1::master::Response { get_metrics, ..of(Type::GetMetrics) })
    };
    Reply::later(async move { show_metrics(&node, patience.unwrap_or(METRICS_PATIENCE), show).await })
}

/// GET_LOGGING_LEVEL.
pub(super) fn logging_level(node: &Node, media: MediaType) -> Reply {
    let level = node.logging().ask(GetLevel);
    Reply::later(async move {
        let Ok(level) = level.await else { return ended() };
        let get_logging_level = Some(response::GetLoggingLevel { level });
        respond(media, &v1::master::Response { get_logging_level, ..of(Type::GetLoggingLevel) })
    })
}

/// SET_LOGGING_LEVEL. A duration below 0 ends at once.
pub(super) fn set_logging_level(call: SetLoggingLevel, ctx: &Context<Master>) -> Reply {
    let duration = Duration::from_nanos(call.duration.nanoseconds.try_into().unwrap_or(0));
    let set = ctx.node().logging().ask(SetLevel { level: call.level, duration });
    Reply::later(async move {
        match set.await {
            Ok(Ok(())) => Response::new(StatusCode::OK),
            Ok(Err(error @ LevelError::Fixed)) => {
                Response::text(StatusCode::NOT_IMPLEMENTED, error.to_string())
            }
            Ok(Err(error)) => Response::internal_server_error(error.to_string()),
            Err(_) => ended(),
        }
    })
}

fn ended() -> Response {
    Response::service_unavailable("The node is shutting down")
}
