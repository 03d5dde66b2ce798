//! Brings the files that a command needs into its sandbox, before the command starts.
//!
//! Copies from the host and downloads over HTTP, unpacks archives with the host's own tools, sets the
//! executable bit, and gives the files to the container's user. It knows sandboxes as directories only, and
//! runs on the containerizer's thread as a plain future: whoever drops it stops it. There is no cache: URIs
//! with `cache` are fetched like the others. (Upstream: `slave/containerizer/fetcher.cpp`,
//! `launcher/fetcher.cpp`.)

mod uri;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use libprocess::http::{Client, ClientRequest, ClientResponse};
use libprocess::metrics::{Counter, Metrics};
use mesos::v1::command_info::Uri;
use tokio::io::AsyncWriteExt;

use uri::{Archive, Item, Source};

/// A download that brings nothing for this long is given up (`--fetcher_stall_timeout`).
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Redirects that a download follows.
const REDIRECTS: u8 = 10;

/// Fetches for one agent.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    frameworks_home: Option<PathBuf>,
    stall_timeout: Duration,
    succeeded: Counter,
    failed: Counter,
}

/// Why a file is not there.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct FetchError {
    /// The URI as the framework wrote it.
    pub uri: String,
    /// What went wrong.
    pub reason: String,
}

impl Fetcher {
    /// `frameworks_home` is where relative paths begin. Counts `containerizer/fetcher/task_fetches_*`.
    pub fn new(
        client: Client,
        metrics: &Metrics,
        frameworks_home: Option<PathBuf>,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            client,
            frameworks_home,
            stall_timeout,
            succeeded: metrics.counter("containerizer/fetcher/task_fetches_succeeded"),
            failed: metrics.counter("containerizer/fetcher/task_fetches_failed"),
        }
    }

    /// Fetches all of `uris` into `sandbox`, one after the other. The files belong to `user` afterwards, if
    /// one is given.
    pub async fn fetch(&self, uris: &[Uri], sandbox: &Path, user: Option<&str>) -> Result<(), FetchError> {
        for uri in uris {
            let result = self.fetch_one(uri, sandbox, user).await;
            if let Err(reason) = result {
                self.failed.increment();
                return Err(FetchError { uri: uri.value.clone(), reason });
            }
        }
        if !uris.is_empty() {
            self.succeeded.increment();
        }
        Ok(())
    }

    async fn fetch_one(&self, uri: &Uri, sandbox: &Path, user: Option<&str>) -> Result<(), String> {
        let item = uri::parse(uri, self.frameworks_home.as_deref()).map_err(|error| error.to_string())?;
        let target = sandbox.join(&item.destination);
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|error| at(parent, &error))?;
        }
        match &item.source {
            Source::File(path) => {
                tokio::fs::copy(path, &target).await.map_err(|error| at(path, &error))?;
            }
            Source::Http(url) => self.download(url, &target).await?,
        }
        finish(&item, &target, sandbox, user).await
    }

    async fn download(&self, url: &str, target: &Path) -> Result<(), String> {
        let request = ClientRequest::get(url).timeout(self.stall_timeout).follow_redirects(REDIRECTS);
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        if !response.status.is_success() {
            return Err(format!("the server answered {}", response.status));
        }
        let mut file = tokio::fs::File::create(target).await.map_err(|error| at(target, &error))?;
        self.save(response, &mut file).await?;
        file.flush().await.map_err(|error| at(target, &error))
    }

    async fn save(&self, mut response: ClientResponse, file: &mut tokio::fs::File) -> Result<(), String> {
        loop {
            let chunk = tokio::time::timeout(self.stall_timeout, response.chunk())
                .await
                .map_err(|_| format!("nothing came for {:?}", self.stall_timeout))?
                .map_err(|error| error.to_string())?;
            let Some(chunk) = chunk else { return Ok(()) };
            file.write_all(&chunk).await.map_err(|error| error.to_string())?;
        }
    }
}

/// Permissions, extraction, ownership.
async fn finish(item: &Item, target: &Path, sandbox: &Path, user: Option<&str>) -> Result<(), String> {
    if item.executable {
        let mode = std::fs::Permissions::from_mode(0o755);
        tokio::fs::set_permissions(target, mode).await.map_err(|error| at(target, &error))?;
    }
    if let Some(archive) = item.extract {
        extract(archive, target, sandbox).await?;
    }
    if let Some(user) = user.filter(|_| nix::unistd::Uid::effective().is_root()) {
        // Extracted files too; the sandbox holds nothing yet that was not fetched.
        run("chown", &["-R".as_ref(), "-h".as_ref(), user.as_ref(), sandbox.as_os_str()]).await?;
    }
    Ok(())
}

async fn extract(archive: Archive, file: &Path, sandbox: &Path) -> Result<(), String> {
    let (file, sandbox) = (file.as_os_str(), sandbox.as_os_str());
    match archive {
        Archive::Tar => run("tar", &["-C".as_ref(), sandbox, "-xf".as_ref(), file]).await,
        Archive::Gzip => run("gzip", &["-dkf".as_ref(), file]).await,
        Archive::Zip => run("unzip", &["-o".as_ref(), "-q".as_ref(), "-d".as_ref(), sandbox, file]).await,
    }
}

async fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("'{program}' cannot be executed: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "'{program}' failed ({}): {}",
        output.status,
        errors.lines().next().unwrap_or("it said nothing")
    ))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("'{}': {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(metrics: &Metrics) -> Fetcher {
        Fetcher::new(Client::new(), metrics, None, Duration::from_secs(5))
    }

    fn uri(value: String) -> Uri {
        Uri { value, ..Uri::default() }
    }

    #[tokio::test]
    async fn files_are_copied_extracted_and_made_executable() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inner = host.path().join("inner.txt");
        std::fs::write(&inner, "packed").unwrap();
        let archive = host.path().join("a.tar");
        run(
            "tar",
            &[
                "-C".as_ref(),
                host.path().as_os_str(),
                "-cf".as_ref(),
                archive.as_os_str(),
                "inner.txt".as_ref(),
            ],
        )
        .await
        .unwrap();
        let program = host.path().join("run.sh");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();

        let metrics = Metrics::new();
        let uris = [
            uri(archive.display().to_string()),
            Uri { executable: Some(true), ..uri(format!("file://{}", program.display())) },
        ];
        fetcher(&metrics).fetch(&uris, sandbox.path(), None).await.unwrap();
        assert_eq!(std::fs::read_to_string(sandbox.path().join("inner.txt")).unwrap(), "packed");
        let mode = std::fs::metadata(sandbox.path().join("run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(metrics.value("containerizer/fetcher/task_fetches_succeeded"), Some(1.0));
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let sandbox = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let error =
            fetcher(&metrics).fetch(&[uri("/no/such/file".into())], sandbox.path(), None).await.unwrap_err();
        assert_eq!(error.uri, "/no/such/file");
        assert!(error.reason.contains("/no/such/file"), "{error}");
        assert_eq!(metrics.value("containerizer/fetcher/task_fetches_failed"), Some(1.0));
    }
}
