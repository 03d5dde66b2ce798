//! LIST_FILES and READ_FILE: the master's log, as `/files/browse` and `/files/read` show it (upstream: `Http::listFiles`,
//! `readFile`).

use libprocess::files::{Files, Read};
use libprocess::http::Reply;
use libprocess::{Address, Context};
use mesos::operator::{self, respond};
use mesos::v1::master::call::{ListFiles, ReadFile};
use mesos::v1::master::response::{self, Type};
use mesos::{MediaType, v1};

use crate::master::Master;

/// LIST_FILES.
pub(super) fn list(
    files: &Address<Files>,
    call: ListFiles,
    media: MediaType,
    ctx: &Context<Master>,
) -> Reply {
    operator::list_files(ctx.node(), files, call.path, move |file_infos| {
        let (r#type, list_files) = (Some(Type::ListFiles.into()), Some(response::ListFiles { file_infos }));
        respond(media, &v1::master::Response { r#type, list_files, ..Default::default() })
    })
}

/// READ_FILE.
pub(super) fn read(files: &Address<Files>, call: ReadFile, media: MediaType) -> Reply {
    let piece = Read { path: call.path, offset: call.offset, length: call.length };
    operator::read_file(files, piece, move |size, data| {
        let (r#type, read_file) = (Some(Type::ReadFile.into()), Some(response::ReadFile { size, data }));
        respond(media, &v1::master::Response { r#type, read_file, ..Default::default() })
    })
}
