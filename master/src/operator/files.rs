//! LIST_FILES and READ_FILE: the master's log, as `/files/browse` and `/files/read` show it (upstream: `Http::listFiles`,
//! `readFile`).

use ::http::StatusCode;
use libprocess::Address;
use libprocess::files::{Browse, FileInfo, Files, FilesError, Read};
use libprocess::http::{Reply, Response};
use mesos::v1::master::call::{ListFiles, ReadFile};
use mesos::v1::master::response::{self, Type};
use mesos::{MediaType, v1};

use super::node::respond;

/// LIST_FILES.
pub(super) fn list(files: &Address<Files>, call: ListFiles, media: MediaType) -> Reply {
    let listing = files.ask(Browse { path: call.path });
    Reply::later(async move {
        match listing.await {
            Ok(Ok(listing)) => {
                let list_files =
                    Some(response::ListFiles { file_infos: listing.into_iter().map(info).collect() });
                let r#type = Some(Type::ListFiles.into());
                respond(media, &v1::master::Response { r#type, list_files, ..Default::default() })
            }
            Ok(Err(error)) => refusal(error),
            Err(_) => ended(),
        }
    })
}

/// READ_FILE. Behind the end there is nothing, which is no mistake.
pub(super) fn read(files: &Address<Files>, call: ReadFile, media: MediaType) -> Reply {
    let piece = files.ask(Read { path: call.path, offset: call.offset, length: call.length });
    Reply::later(async move {
        match piece.await {
            Ok(Ok(piece)) => {
                let read_file = Some(response::ReadFile { size: piece.size, data: piece.data.to_vec() });
                let r#type = Some(Type::ReadFile.into());
                respond(media, &v1::master::Response { r#type, read_file, ..Default::default() })
            }
            Ok(Err(error)) => refusal(error),
            Err(_) => ended(),
        }
    })
}

fn info(file: FileInfo) -> v1::FileInfo {
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
    Response::service_unavailable("The master is shutting down")
}
