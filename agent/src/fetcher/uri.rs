//! What a `CommandInfo.URI` asks for, decided without touching anything.

use std::path::{Component, Path, PathBuf};

use mesos::v1::command_info::Uri;

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of the agent's host.
    File(PathBuf),
    /// `http://...` or `https://...`
    Http(String),
}

/// What is done with a file once it is in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Archive {
    /// `tar -xf`: plain or compressed, tar finds out.
    Tar,
    /// `gzip -dc`: one compressed file.
    Gzip,
    /// `unzip`.
    Zip,
}

/// One file to bring into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) source: Source,
    /// Relative to the sandbox; never leads out of it.
    pub(super) destination: PathBuf,
    pub(super) executable: bool,
    pub(super) extract: Option<Archive>,
}

/// Why a URI cannot be fetched at all.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub(super) enum UriError {
    #[error(
        "'{0}' URIs are not supported; allowed are http://, https://, file:// and paths of the agent's host"
    )]
    Scheme(String),
    #[error("a file URI has an absolute path: file:///path, or file://localhost/path")]
    FileHost,
    #[error("no file name can be made of it; 'output_file' would give one")]
    NoName,
    #[error("'output_file' must be a path inside the sandbox, without '..', and not '{0}'")]
    Destination(String),
    #[error("relative paths are looked for in --frameworks_home, which is not set")]
    Relative,
}

/// Reads a URI by upstream's rules (`slave/containerizer/fetcher.cpp`): executables are not extracted, archives
/// are unless `extract` is false, and the name is what follows the last slash. A query or a fragment counts with that:
/// `http://host/get?id=7#/app.tgz` is how one names what has no name of its own.
pub(super) fn parse(uri: &Uri, frameworks_home: Option<&Path>) -> Result<Item, UriError> {
    let value = uri.value.trim();
    let (source, path) = match value.split_once("://") {
        Some(("http" | "https", rest)) => {
            (Source::Http(value.to_owned()), rest.split_once('/').map_or("", |(_, path)| path).to_owned())
        }
        Some(("file", rest)) => {
            // The one host whose files can be meant.
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(UriError::FileHost);
            }
            (Source::File(PathBuf::from(path)), path.to_owned())
        }
        Some((scheme, _)) => return Err(UriError::Scheme(format!("{scheme}://"))),
        None if value.starts_with('/') => (Source::File(PathBuf::from(value)), value.to_owned()),
        None => {
            let home = frameworks_home.ok_or(UriError::Relative)?;
            (Source::File(home.join(value)), value.to_owned())
        }
    };
    let destination = match uri.output_file.as_deref().filter(|name| !name.is_empty()) {
        Some(name) if inside(Path::new(name)) => PathBuf::from(name),
        Some(name) => return Err(UriError::Destination(name.to_owned())),
        None => Path::new(&path).file_name().map(PathBuf::from).ok_or(UriError::NoName)?,
    };
    let executable = uri.executable.unwrap_or(false);
    let wanted = uri.extract.unwrap_or(true) && !executable;
    let extract = if wanted { archive(&destination) } else { None };
    Ok(Item { source, destination, executable, extract })
}

fn inside(path: &Path) -> bool {
    path.file_name().is_some()
        && path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn archive(path: &Path) -> Option<Archive> {
    let name = path.file_name()?.to_str()?;
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz"]) {
        Some(Archive::Tar)
    } else if ends(&[".gz"]) && name != ".gz" {
        Some(Archive::Gzip)
    } else if ends(&[".zip"]) {
        Some(Archive::Zip)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(value: &str) -> Uri {
        Uri { value: value.to_owned(), ..Uri::default() }
    }

    /// Upstream: `FetcherTest.FileLocalhostURI`.
    #[test]
    fn the_name_is_the_last_part_of_the_path() {
        let item = parse(&uri("http://host:80/a/b.tgz"), None).unwrap();
        assert_eq!(item.destination, Path::new("b.tgz"));
        assert_eq!(item.extract, Some(Archive::Tar));
        for (value, name) in [
            ("http://host/get?id=7", "get?id=7"),
            ("http://host/a/b.tgz?x=/y", "y"),
            ("https://host/get#/app.tgz", "app.tgz"),
        ] {
            assert_eq!(parse(&uri(value), None).unwrap().destination, Path::new(name), "{value}");
        }
        let item = parse(&uri("file:///opt/data.csv"), None).unwrap();
        assert_eq!((item.source, item.extract), (Source::File("/opt/data.csv".into()), None));
        let item = parse(&uri("file://localhost/opt/data.csv"), None).unwrap();
        assert_eq!(item.source, Source::File("/opt/data.csv".into()));
        assert_eq!(parse(&uri("file://elsewhere/opt/data.csv"), None), Err(UriError::FileHost));
        assert_eq!(parse(&uri("http://host"), None), Err(UriError::NoName));
        assert_eq!(parse(&uri("http://host/"), None), Err(UriError::NoName));
    }

    #[test]
    fn executables_are_not_extracted_and_extraction_can_be_refused() {
        let executable = Uri { executable: Some(true), ..uri("/x/run.zip") };
        assert_eq!(parse(&executable, None).unwrap().extract, None);
        let plain = Uri { extract: Some(false), ..uri("/x/run.zip") };
        assert_eq!(parse(&plain, None).unwrap().extract, None);
        assert_eq!(parse(&uri("/x/run.zip"), None).unwrap().extract, Some(Archive::Zip));
        assert_eq!(parse(&uri("/x/log.gz"), None).unwrap().extract, Some(Archive::Gzip));
        for name in ["/x/log.GZ", "/x/.gz", "/x/a.tgz?y"] {
            assert_eq!(parse(&uri(name), None).unwrap().extract, None, "{name}");
        }
    }

    /// Upstream: `FetcherTest.AbsoluteCustomSubdirectoryFails`.
    #[test]
    fn nothing_leads_out_of_the_sandbox() {
        for name in ["../x", "/etc/passwd", "a/../../b", "."] {
            let uri = Uri { output_file: Some(name.to_owned()), ..uri("/x/y") };
            assert_eq!(parse(&uri, None), Err(UriError::Destination(name.to_owned())));
        }
        for name in ["a/b", "./b"] {
            let nested = Uri { output_file: Some(name.to_owned()), ..uri("/x/y") };
            assert_eq!(parse(&nested, None).unwrap().destination, Path::new(name));
        }
        assert_eq!(parse(&uri("/x/.."), None), Err(UriError::NoName));
    }

    /// Upstream: `FetcherTest.MalformedURI`, `FetcherTest.RelativeFilePath`.
    #[test]
    fn other_schemes_and_relative_paths_are_refused_by_name() {
        assert_eq!(parse(&uri("hdfs://h/x"), None), Err(UriError::Scheme("hdfs://".into())));
        assert_eq!(parse(&uri("lala://nopath"), None), Err(UriError::Scheme("lala://".into())));
        assert_eq!(parse(&uri("x/y"), None), Err(UriError::Relative));
        let item = parse(&uri("x/y"), Some(Path::new("/home"))).unwrap();
        assert_eq!(item.source, Source::File("/home/x/y".into()));
    }
}
