//! Files that are part of the program: pages, scripts, pictures ([`crate::Install::provide`]).
//!
//! They do not change while the program runs: each is hashed once and compressed at most once. A browser asks again
//! with `If-None-Match` and is told 304, so that a new version of the program is seen at once. The actor is not asked;
//! the connection's thread answers.
//!
//! Those of a directory of the host ([`Assets::read`]) are read once, too, and served by whoever has read them. (Upstream's
//! `provide` opens them for each request: process.hpp.)

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use ::http::StatusCode;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::gzip::{self, GZIP_MINIMUM};
use super::request::Request;
use super::response::Response;

/// The file of a directory that stands for the directory itself.
const INDEX: &str = "index.html";

/// Bytes of the hash that an `ETag` shows.
const TAG_BYTES: usize = 12;

/// Files that [`Assets::read`] takes, and their bytes together. Upstream's web pages are 30 files of 1.1 MB.
const MAX_FILES: usize = 1_000;
const MAX_BYTES: usize = 32 << 20;

/// A file, or a directory of files.
#[derive(Debug, Default)]
pub struct Assets {
    /// By the path below the place where they are provided; a single file has the empty path.
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
struct File {
    media_type: &'static str,
    bytes: Bytes,
    /// A weak tag: the compressed file has it, too.
    etag: String,
    /// Compressed, once somebody asked; nothing if that would not be smaller.
    packed: OnceLock<Option<Bytes>>,
}

impl Assets {
    /// One file.
    pub fn file(media_type: &'static str, bytes: impl Into<Bytes>) -> Assets {
        Assets { files: BTreeMap::from([(String::new(), File::new(media_type, bytes.into()))]) }
    }

    /// Files by their paths (`css/main.css`), with the media types that their names say. `index.html` stands for the
    /// directory itself, too.
    pub fn directory<B: Into<Bytes>>(files: impl IntoIterator<Item = (&'static str, B)>) -> Assets {
        let made = files.into_iter().map(|(path, bytes)| {
            let path = path.trim_matches('/');
            (path.to_owned(), File::new(media_type(path), bytes.into()))
        });
        Assets { files: made.collect() }
    }

    /// The files of a directory of the host and of those in it, as they are now. What is called like one of `parts`,
    /// and what is below it, is read; the rest is not looked at.
    ///
    /// # Errors
    /// When something cannot be read (the message names it), and when there are more than 1,000 files or 32 MiB.
    pub fn read(directory: &Path, parts: &[&str]) -> io::Result<Assets> {
        let mut assets = Assets::default();
        let mut left = MAX_BYTES;
        let mut pending: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        while let Some(path) = pending.pop() {
            let real = directory.join(&path);
            let names =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", real.display()));
            if real.is_dir() {
                for entry in std::fs::read_dir(&real).map_err(names)? {
                    let name = entry.map_err(names)?.file_name();
                    // A path that is no text could not be asked for.
                    pending.extend(name.to_str().map(|name| format!("{path}/{name}")));
                }
            } else {
                let bytes = std::fs::read(&real).map_err(names)?;
                left = left.checked_sub(bytes.len()).ok_or_else(|| too_much(directory))?;
                assets.files.insert(path.clone(), File::new(media_type(&path), bytes.into()));
            }
            if assets.files.len() + pending.len() > MAX_FILES {
                return Err(too_much(directory));
            }
        }
        Ok(assets)
    }

    /// Answers a request for the file of this path, which is relative to where the files are provided.
    pub fn answer(&self, path: &str, request: &Request) -> Response {
        let path = path.trim_matches('/');
        let index = if path.is_empty() { INDEX.to_owned() } else { format!("{path}/{INDEX}") };
        match self.files.get(path).or_else(|| self.files.get(&index)) {
            Some(file) => file.answer(request),
            None => Response::not_found(),
        }
    }
}

fn too_much(directory: &Path) -> io::Error {
    io::Error::other(format!(
        "{}: more than {MAX_FILES} files or {} MiB",
        directory.display(),
        MAX_BYTES >> 20
    ))
}

impl File {
    fn new(media_type: &'static str, bytes: Bytes) -> File {
        let hash = Sha256::digest(&bytes);
        let digits: String = hash[..TAG_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        File { media_type, bytes, etag: format!("W/\"{digits}\""), packed: OnceLock::new() }
    }

    fn answer(&self, request: &Request) -> Response {
        let known = request.header("if-none-match").is_some_and(|tags| self.is_among(tags));
        let packed = if known || !request.accepts_encoding("gzip") { None } else { self.packed() };
        let response = match (known, packed) {
            (true, _) => Response::new(StatusCode::NOT_MODIFIED),
            (false, Some(packed)) => {
                Response::ok(self.media_type, packed.clone()).header("content-encoding", "gzip")
            }
            (false, None) => Response::ok(self.media_type, self.bytes.clone()),
        };
        // A cache may keep it, and asks each time whether it is still true.
        let response = response.header("etag", &self.etag).header("cache-control", "no-cache");
        response.header("vary", "Accept-Encoding")
    }

    /// Whether a list of tags names this file's (RFC 9110, 13.1.2: compared weakly).
    fn is_among(&self, tags: &str) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        tags.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&self.etag))
    }

    fn packed(&self) -> Option<&Bytes> {
        let pack = || {
            let worth = self.bytes.len() >= GZIP_MINIMUM;
            let packed = worth.then(|| gzip::pack(&[&self.bytes], gzip::SMALL)).flatten();
            packed.filter(|packed| packed.len() < self.bytes.len())
        };
        self.packed.get_or_init(pack).as_ref()
    }
}

/// The media type of a file's name.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        Some("wasm") => "application/wasm",
        Some("pdf") => "application/pdf",
        Some("xml") => "application/xml",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Method;

    fn pages() -> Assets {
        let script = "let answer = 42; ".repeat(100);
        Assets::directory([
            ("index.html", "<p>root".to_owned()),
            ("js/app.js", script),
            ("js/index.html", "<p>js".to_owned()),
        ])
    }

    fn get(path: &str, headers: &[(&'static str, &str)]) -> Response {
        let mut request = Request::new(Method::GET, path);
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        pages().answer(path, &request)
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn a_file_is_found_by_its_path_and_a_directory_by_its_index() {
        for (path, body) in [("", "<p>root"), ("/index.html", "<p>root"), ("/js", "<p>js"), ("/js/", "<p>js")]
        {
            assert_eq!(get(path, &[]).body.as_bytes(), Some(body.as_bytes()), "{path}");
        }
        assert_eq!(header(&get("/js/app.js", &[]), "content-type"), "text/javascript; charset=utf-8");
        for path in ["/app.js", "/js/app", "/j", "/js/app.js/x"] {
            assert_eq!(get(path, &[]).status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn who_has_the_file_is_told_so_and_nothing_more() {
        let first = get("/js/app.js", &[]);
        let tag = header(&first, "etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag != header(&get("", &[]), "etag"), "{tag}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [tag.as_str(), &strong, &format!("\"x\", {tag}"), "*"] {
            let again = get("/js/app.js", &[("if-none-match", known)]);
            assert_eq!((again.status, header(&again, "etag")), (StatusCode::NOT_MODIFIED, tag.as_str()));
            assert_eq!(again.body.as_bytes(), Some(&b""[..]));
        }
        assert_eq!(get("/js/app.js", &[("if-none-match", "\"x\"")]).status, StatusCode::OK);
    }

    #[test]
    fn a_directory_is_read_with_what_is_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| std::fs::write(directory.path().join(path), text).unwrap();
        std::fs::create_dir_all(directory.path().join("app/deep")).unwrap();
        write("index.html", "<p>root");
        write("app/deep/view.js", "view();");
        write("secret", "not asked for");

        let read = Assets::read(directory.path(), &["index.html", "app"]).unwrap();
        let body = |path: &str| {
            let answer = read.answer(path, &Request::new(Method::GET, path));
            (answer.status.as_u16(), answer.body.as_bytes().unwrap().to_vec())
        };
        assert_eq!(body("/"), (200, b"<p>root".to_vec()));
        assert_eq!(body("app/deep/view.js"), (200, b"view();".to_vec()));
        for path in ["/secret", "/app/../secret", "/app"] {
            assert_eq!(body(path).0, 404, "{path}");
        }

        let missing = Assets::read(directory.path(), &["index.html", "assets"]).unwrap_err();
        assert!(missing.to_string().contains("/assets: No such file"), "{missing}");
        std::fs::File::create(directory.path().join("app/large")).unwrap().set_len(33 << 20).unwrap();
        let large = Assets::read(directory.path(), &["app"]).unwrap_err();
        assert!(large.to_string().ends_with("more than 1000 files or 32 MiB"), "{large}");
    }

    #[test]
    fn a_large_file_is_compressed_for_who_wants_it() {
        let packed = get("/js/app.js", &[("accept-encoding", "gzip")]);
        assert_eq!(
            (header(&packed, "content-encoding"), header(&packed, "vary")),
            ("gzip", "Accept-Encoding")
        );
        assert!(packed.body.as_bytes().unwrap().len() < 200);
        assert_eq!(header(&get("/js/app.js", &[]), "content-encoding"), "");
        assert_eq!(header(&get("", &[("accept-encoding", "gzip")]), "content-encoding"), "");
    }
}
