//! What the operator APIs of masters and agents have in common: calls about the process and its files, whose answers differ
//! only in the message that is around them (upstream: `master/http.cpp`, `slave/http.cpp`).

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use libprocess::files::{Browse, FileInfo, Files, FilesError, Read};
use libprocess::http::{Reply, Response};
use libprocess::metrics::Snapshot;
use libprocess::system::{GetLevel, LevelError, METRICS_PATIENCE, SetLevel, show_metrics};
use libprocess::{Address, Node};

use crate::version::build;
use crate::{MediaType, Message, codec, v1};

/// 200 with a response.
pub fn respond<M: Message>(media: MediaType, response: &M) -> Response {
    Response::ok(media.as_str(), codec::encode(media, response))
}

/// What GET_VERSION tells.
pub fn version_info() -> v1::VersionInfo {
    let build = build();
    v1::VersionInfo {
        version: build.version.to_owned(),
        build_date: Some(build.date()),
        build_time: Some(build.time as f64),
        build_user: Some(build.user.to_owned()),
        git_sha: build.git_sha.map(str::to_owned),
        ..Default::default()
    }
}

/// What GET_FLAGS tells, of the settings in effect.
pub fn flags(effective: &BTreeMap<String, String>) -> Vec<v1::Flag> {
    effective
        .iter()
        .map(|(name, value)| v1::Flag { name: name.clone(), value: Some(value.clone()) })
        .collect()
}

/// GET_METRICS. `timeout` is how long actors may take, or else as long as for `/metrics/snapshot`; what is not there by then
/// is left out. Who asks looks nothing up.
pub fn metrics(
    node: &Node,
    timeout: Option<v1::DurationInfo>,
    answer: impl FnOnce(Vec<v1::Metric>) -> Response + Send + 'static,
) -> Reply {
    // A negative time is none.
    let patience = timeout.map(|timeout| Duration::from_nanos(timeout.nanoseconds.try_into().unwrap_or(0)));
    let node = node.clone();
    let show = move |snapshot: &Snapshot| {
        let metrics = snapshot.values().into_iter();
        let metrics = metrics.map(|(name, value)| v1::Metric { name: name.into_owned(), value: Some(value) });
        answer(metrics.collect())
    };
    Reply::later(async move { show_metrics(&node, patience.unwrap_or(METRICS_PATIENCE), show).await })
}

/// GET_LOGGING_LEVEL.
pub fn logging_level(node: &Node, answer: impl FnOnce(u32) -> Response + Send + 'static) -> Reply {
    let level = node.logging().ask(GetLevel);
    Reply::later(async move { level.await.map_or_else(|_| ended(), answer) })
}

/// SET_LOGGING_LEVEL. A duration below 0 ends at once.
pub fn set_logging_level(node: &Node, level: u32, duration: &v1::DurationInfo) -> Reply {
    let duration = Duration::from_nanos(duration.nanoseconds.try_into().unwrap_or(0));
    let set = node.logging().ask(SetLevel { level, duration });
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

/// LIST_FILES: what `/files/browse` shows.
pub fn list_files(
    node: &Node,
    files: &Address<Files>,
    path: String,
    answer: impl FnOnce(Vec<v1::FileInfo>) -> Response + Send + 'static,
) -> Reply {
    let (node, listing) = (node.clone(), files.ask(Browse { path }));
    Reply::later(async move {
        match listing.await {
            Ok(Ok(listing)) => {
                let things = listing.len();
                node.beside(things, move || answer(listing.into_iter().map(file_info).collect())).await
            }
            Ok(Err(error)) => refusal(error),
            Err(_) => ended(),
        }
    })
}

/// READ_FILE: what `/files/read` shows; `answer` gets the size of the file, and the bytes. Behind the end there is nothing,
/// which is no mistake.
pub fn read_file(
    files: &Address<Files>,
    piece: Read,
    answer: impl FnOnce(u64, Vec<u8>) -> Response + Send + 'static,
) -> Reply {
    let piece = files.ask(piece);
    Reply::later(async move {
        match piece.await {
            Ok(Ok(piece)) => answer(piece.size, piece.data.to_vec()),
            Ok(Err(error)) => refusal(error),
            Err(_) => ended(),
        }
    })
}

fn file_info(file: FileInfo) -> v1::FileInfo {
    v1::FileInfo {
        path: file.path,
        nlink: i32::try_from(file.nlink).ok(),
        size: Some(file.size),
        mtime: Some(v1::TimeInfo { nanoseconds: file.mtime.saturating_mul(1_000_000_000) }),
        mode: Some(file.mode),
        uid: Some(file.uid),
        gid: Some(file.gid),
    }
}

/// Upstream's 404 has no text.
fn refusal(error: FilesError) -> Response {
    match error {
        FilesError::Invalid(text) => Response::bad_request(text),
        FilesError::NotFound => Response::text(StatusCode::NOT_FOUND, ""),
        FilesError::Failed(text) => Response::internal_server_error(text),
    }
}

fn ended() -> Response {
    Response::service_unavailable("The node is shutting down")
}
