//! Makes files of this host readable over HTTP under virtual paths: sandboxes and logs.
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Attach`] | whoever owns a directory | makes it visible under a virtual path |
//! | [`Detach`] | the same | takes it away |
//! | [`Browse`], [`Read`] | operator calls | lists a directory, reads a piece of a file |
//! | GET `/browse`, `/read`, `/download`, `/debug` | anybody | the same over HTTP |
//!
//! It owns the table of virtual paths and runs on a thread of its own, where it may block: listings and
//! reads are bounded, downloads are streamed elsewhere. It does not know what the files mean. The answers
//! are upstream's (src/files/files.cpp).

mod access;
mod download;
mod media_types;

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use access::{AttachError, FileInfo, FilesError, MAX_READ};

use self::access::Attached;
use crate::context::Context;
use crate::http::{Query, Realm, Reply, Request, Response};
use crate::install::Install;
use crate::pid::Pid;
use crate::process::{Handle, Place, Process};

/// The actor.
#[derive(Debug, Default)]
pub struct Files {
    attached: Attached,
}

/// Makes `path`, a directory or a file, visible as `virtual_path`; replaces what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// How it is called over HTTP: `/master/log`.
    pub virtual_path: String,
    /// Where it is; it must exist and be readable.
    pub path: PathBuf,
}

/// Takes a virtual path away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// As it was attached.
    pub virtual_path: String,
}

/// Lists a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browse {
    /// The virtual path.
    pub path: String,
}

/// Reads a piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The virtual path.
    pub path: String,
    /// From which byte on.
    pub offset: u64,
    /// How many bytes; the rest of the file without it, at most [`MAX_READ`] in any case.
    pub length: Option<u64>,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The size of the whole file.
    pub size: u64,
    /// The bytes.
    pub data: Bytes,
}

crate::messages! {
    Attach => Result<(), AttachError>;
    Detach;
    Browse => Result<Vec<FileInfo>, FilesError>;
    Read => Result<Piece, FilesError>;
}

impl Files {
    /// Nothing attached.
    pub fn new() -> Files {
        Files::default()
    }
}

impl Process for Files {
    const NAME: &'static str = "files";
    const PLACE: Place = Place::Own("files");

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/browse", BROWSE_HELP, Files::browse).realm(Realm::ReadOnly);
        install.route(&[], "/read", READ_HELP, Files::read).realm(Realm::ReadOnly);
        install.route(&[], "/download", DOWNLOAD_HELP, Files::download).realm(Realm::ReadOnly);
        install.route(&[], "/debug", DEBUG_HELP, Files::debug).realm(Realm::ReadOnly);
    }
}

impl Handle<Attach> for Files {
    fn handle(&mut self, message: Attach, _: &Pid, _: &mut Context<Self>) -> Result<(), AttachError> {
        self.attached.attach(&message.virtual_path, &message.path)
    }
}

impl Handle<Detach> for Files {
    fn handle(&mut self, message: Detach, _: &Pid, _: &mut Context<Self>) {
        self.attached.detach(&message.virtual_path);
    }
}

impl Handle<Browse> for Files {
    fn handle(
        &mut self,
        message: Browse,
        _: &Pid,
        _: &mut Context<Self>,
    ) -> Result<Vec<FileInfo>, FilesError> {
        self.attached.browse(&message.path)
    }
}

impl Handle<Read> for Files {
    fn handle(&mut self, message: Read, _: &Pid, _: &mut Context<Self>) -> Result<Piece, FilesError> {
        let (size, data) = self.attached.read(&message.path, message.offset, message.length)?;
        Ok(Piece { size, data })
    }
}

impl Files {
    fn browse(&mut self, request: Request, _: &mut Context<Self>) -> Reply {
        let answer = path_of(&request.query).and_then(|path| {
            let listing = self.attached.browse(path).map_err(refusal)?;
            let json: Vec<Value> = listing.iter().map(file_info_json).collect();
            Ok(Response::jsonp(&request.query, Value::Array(json).to_string()))
        });
        answer.unwrap_or_else(Response::readable).into()
    }

    fn read(&mut self, request: Request, _: &mut Context<Self>) -> Reply {
        let answer = path_of(&request.query).and_then(|path| {
            let span = Span::of(&request.query).map_err(Response::bad_request)?;
            let (size, data) = self.attached.read(path, span.start(), span.length()).map_err(refusal)?;
            let offset = span.offset.unwrap_or(size);
            Ok(Response::jsonp(&request.query, piece_json(&data, offset)))
        });
        answer.unwrap_or_else(Response::readable).into()
    }

    fn download(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let answer = path_of(&request.query).and_then(|path| {
            let opened = self.attached.open(path, "Cannot download a directory.\n");
            let (file, real, size) = opened.map_err(|error| match error {
                FilesError::NotFound => Response::not_found(),
                other => refusal(other),
            })?;
            Ok(download::send(ctx.node(), file, &real, size, request.header("range")))
        });
        answer.unwrap_or_else(|refusal| refusal).into()
    }

    fn debug(&mut self, request: Request, _: &mut Context<Self>) -> Reply {
        let table: Map<String, Value> = self
            .attached
            .iter()
            .map(|(name, path)| (name.to_owned(), Value::from(path.to_string_lossy())))
            .collect();
        Response::jsonp(&request.query, Value::Object(table).to_string()).into()
    }
}

/// A piece of a file, whatever its bytes: those that are no UTF-8 stay as they are (as upstream), so that `data` has as
/// many bytes as were read, and a reader knows where to go on.
fn piece_json(data: &[u8], offset: u64) -> Vec<u8> {
    let mut json = br#"{"data":"#.to_vec();
    json.push(b'"');
    for chunk in data.utf8_chunks() {
        // Within the quotes of its JSON.
        let text = Value::from(chunk.valid()).to_string();
        json.extend_from_slice(text.as_bytes().get(1..text.len() - 1).unwrap_or_default());
        json.extend_from_slice(chunk.invalid());
    }
    json.extend_from_slice(format!("\",\"offset\":{offset}}}").as_bytes());
    json
}

/// The `path` of the query.
fn path_of(query: &Query) -> Result<&str, Response> {
    match query.get("path") {
        Some(path) if !path.is_empty() => Ok(path),
        _ => Err(Response::bad_request("Expecting 'path=value' in query.\n")),
    }
}

/// The answer to a refused operation. Upstream's 404 has no text here.
fn refusal(error: FilesError) -> Response {
    match error {
        FilesError::Invalid(text) => Response::bad_request(text),
        FilesError::NotFound => Response::text(http::StatusCode::NOT_FOUND, ""),
        FilesError::Failed(text) => Response::internal_server_error(text),
    }
}

/// An entry as upstream's JSON has it.
fn file_info_json(info: &FileInfo) -> Value {
    json!({
        "gid": info.gid,
        "mode": info.mode_text(),
        "mtime": info.mtime as f64,
        "nlink": info.nlink,
        "path": info.path,
        "size": info.size,
        "uid": info.uid,
    })
}

/// What `/read` was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    /// `None` (-1, or not given) asks for the file's size alone.
    offset: Option<u64>,
    /// `None` (-1, or not given) means the rest.
    length: Option<u64>,
}

impl Span {
    fn of(query: &Query) -> Result<Span, String> {
        Ok(Span { offset: number(query, "offset")?, length: number(query, "length")? })
    }

    fn start(&self) -> u64 {
        self.offset.unwrap_or(0)
    }

    fn length(&self) -> Option<u64> {
        if self.offset.is_none() { Some(0) } else { self.length }
    }
}

/// A number of the query; -1 is as if it were not given.
fn number(query: &Query, name: &str) -> Result<Option<u64>, String> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let value: i64 = text
        .parse()
        .map_err(|_| format!("Failed to parse {name}: Failed to convert '{text}' to number.\n"))?;
    match u64::try_from(value) {
        Ok(value) => Ok(Some(value)),
        Err(_) if value == -1 => Ok(None),
        Err(_) => Err(format!("Negative {name} provided: {value}.\n")),
    }
}

const BROWSE_HELP: &str = "\
### TL;DR; ###
Lists a directory.

### DESCRIPTION ###
A JSON array with an object for each file: path, size, mtime, mode, nlink, uid, gid.

>        path=VALUE          The virtual path of the directory.
";

const READ_HELP: &str = "\
### TL;DR; ###
Reads a piece of a file.

### DESCRIPTION ###
A JSON object with `data` and `offset`. At most 64 KiB are read at once.

>        path=VALUE          The virtual path of the file.
>        offset=VALUE        From which byte on; -1 (or nothing) asks for the size of the file, as `offset`.
>        length=VALUE        How many bytes; -1 (or nothing) means the rest.
";

const DOWNLOAD_HELP: &str = "\
### TL;DR; ###
Sends a file.

### DESCRIPTION ###
The bytes of the file as an attachment; `Range` with one range is understood.

>        path=VALUE          The virtual path of the file.
";

const DEBUG_HELP: &str = "\
### TL;DR; ###
Shows which virtual paths there are, and where they lead.
";

#[cfg(test)]
mod tests;
