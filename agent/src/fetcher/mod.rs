//! Brings the files that a command needs into its sandbox, before the command starts.
//!
//! What is fetched for a user is fetched as that user: a download may name any file of the host, and any place for
//! it, and only the kernel can say what that user may read and write. So where the container's user is not the
//! agent's, a child process (`mesos fetcher`) becomes that user and fetches; otherwise the agent does it itself.
//! Whoever drops the future stops it, the child included. There is no cache: URIs with `cache` are fetched like
//! the others. (Upstream: `slave/containerizer/fetcher.cpp`, and `launcher/fetcher.cpp` for the child.)

mod child;
mod fetch;
mod uri;

use std::path::{Path, PathBuf};
use std::time::Duration;

use libprocess::http::Client;
use libprocess::metrics::{Counter, Metrics};
use mesos::fetcher::FetcherInfo;
use mesos::fetcher::fetcher_info::{Item, item::Action};
use mesos::v1::DurationInfo;
use mesos::v1::command_info::Uri;

use crate::users::Identity;

pub use child::{ENVIRONMENT, Program};
pub use fetch::fetch_all;

/// A download that brings nothing for this long is given up (`--fetcher_stall_timeout`).
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Fetches for one agent.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    /// Fetches as another user; without it nothing can be fetched for others.
    program: Option<Program>,
    frameworks_home: Option<PathBuf>,
    stall_timeout: Duration,
    succeeded: Counter,
    failed: Counter,
}

/// Why a file is not there.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct FetchError {
    /// The URI as the framework wrote it; all of them if it cannot be said which.
    pub uri: String,
    /// What went wrong.
    pub reason: String,
}

impl FetchError {
    /// As one line, uri and reason with a tab between them: how a child tells its agent.
    pub fn to_line(&self) -> String {
        let [uri, reason] = [&self.uri, &self.reason].map(|part| part.replace(['\n', '\t'], " "));
        format!("{uri}\t{reason}")
    }

    /// Of such a line; any other is a reason.
    fn of_line(line: &str, all: &str) -> FetchError {
        let (uri, reason) = line.split_once('\t').unwrap_or((all, line));
        FetchError { uri: uri.to_owned(), reason: reason.to_owned() }
    }
}

impl Fetcher {
    /// `frameworks_home` is where relative paths begin. Counts `containerizer/fetcher/task_fetches_*`.
    pub fn new(
        client: Client,
        metrics: &Metrics,
        program: Option<Program>,
        frameworks_home: Option<PathBuf>,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            client,
            program,
            frameworks_home,
            stall_timeout,
            succeeded: metrics.counter("containerizer/fetcher/task_fetches_succeeded"),
            failed: metrics.counter("containerizer/fetcher/task_fetches_failed"),
        }
    }

    /// Fetches all of `uris` into `sandbox`, one after the other, as `user` or else as the agent's own user. That there
    /// are none counts as success, as with upstream's: what has succeeded and what has failed are all containers.
    ///
    /// # Errors
    /// The first that cannot be fetched.
    pub async fn fetch(&self, uris: &[Uri], sandbox: &Path, user: Option<&str>) -> Result<(), FetchError> {
        if uris.is_empty() {
            self.succeeded.increment();
            return Ok(());
        }
        let result = self.fetch_as(uris, sandbox, user).await;
        match result {
            Ok(()) => self.succeeded.increment(),
            Err(_) => self.failed.increment(),
        }
        result
    }

    async fn fetch_as(&self, uris: &[Uri], sandbox: &Path, user: Option<&str>) -> Result<(), FetchError> {
        let info = self.info(uris, sandbox, user);
        let all = || uris.iter().map(|uri| uri.value.as_str()).collect::<Vec<_>>().join(" ");
        let refused = |reason: String| FetchError { uri: all(), reason };
        let identity = user.map(Identity::of).transpose().map_err(|error| refused(error.to_string()))?;
        let Some(identity) = identity.flatten() else { return fetch_all(&self.client, &info).await };
        let Some(program) = &self.program else {
            return Err(refused("this agent has no program to fetch with as another user".to_owned()));
        };
        child::fetch(program, &info, self.client.proxies(), identity)
            .await
            .map_err(|line| FetchError::of_line(&line, &all()))
    }

    fn info(&self, uris: &[Uri], sandbox: &Path, user: Option<&str>) -> FetcherInfo {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let item =
            |uri: &Uri| Item { uri: uri.clone(), action: Action::BypassCache.into(), cache_filename: None };
        let nanoseconds = i64::try_from(self.stall_timeout.as_nanos()).unwrap_or(i64::MAX);
        FetcherInfo {
            sandbox_directory: text(sandbox),
            items: uris.iter().map(item).collect(),
            user: user.map(str::to_owned),
            frameworks_home: self.frameworks_home.as_deref().map(text),
            stall_timeout: Some(DurationInfo { nanoseconds }),
            ..FetcherInfo::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_line_says_which_uri_and_why() {
        let error = FetchError { uri: "http://h/x".into(), reason: "no\tsuch\nhost".into() };
        let read = FetchError::of_line(&error.to_line(), "all");
        assert_eq!((read.uri.as_str(), read.reason.as_str()), ("http://h/x", "no such host"));
        let named = FetchError { uri: "a\tb\nc".into(), reason: "no".into() };
        assert_eq!(named.to_line(), "a b c\tno");
        let other = FetchError::of_line("killed", "a b");
        assert_eq!((other.uri.as_str(), other.reason.as_str()), ("a b", "killed"));
    }
}
