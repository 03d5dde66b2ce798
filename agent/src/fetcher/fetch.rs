//! Fetching as whoever this process is: copies from the host, downloads over HTTP, unpacks archives with the host's
//! own tools, sets the executable bit. It knows sandboxes as directories only.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use libprocess::http::{Client, ClientRequest, ClientResponse};
use libprocess::subprocess::{Output, Stream, Subprocess};
use mesos::fetcher::FetcherInfo;
use mesos::v1::command_info::Uri;
use tokio::io::{AsyncWriteExt, BufReader};

use super::uri::{self, Archive, Item, Source};
use super::{DEFAULT_STALL_TIMEOUT, FetchError};

/// Redirects that a download follows.
const REDIRECTS: u8 = 10;

/// So many bytes of a file are copied at once.
const PIECE: usize = 1 << 20;

/// Of what a tool complains, so many bytes are kept; the first line is shown.
const MAX_ERRORS: u64 = 4 << 10;

/// With this `unzip` ends when it has unpacked everything, and wonders about the archive: its names have backslashes, as
/// Windows makes them, or begin at the root; something stands before it, as in one that unpacks itself; it is empty. (To
/// upstream's library none of that is worth a word.)
const UNZIP_WONDERED: i32 = 1;

/// Fetches all items, one after the other.
///
/// # Errors
/// The first that cannot be fetched.
pub async fn fetch_all(client: &Client, info: &FetcherInfo) -> Result<(), FetchError> {
    let nanoseconds = info.stall_timeout.as_ref().and_then(|stall| u64::try_from(stall.nanoseconds).ok());
    let fetch = Fetch {
        client,
        sandbox: Path::new(&info.sandbox_directory),
        home: info.frameworks_home.as_deref().map(Path::new),
        stall_timeout: nanoseconds.map_or(DEFAULT_STALL_TIMEOUT, Duration::from_nanos),
    };
    for item in &info.items {
        if let Err(reason) = fetch.one(&item.uri).await {
            let error = FetchError { uri: item.uri.value.clone(), reason };
            fetch.leave_word(&error).await;
            return Err(error);
        }
    }
    Ok(())
}

struct Fetch<'a> {
    client: &'a Client,
    sandbox: &'a Path,
    home: Option<&'a Path>,
    stall_timeout: Duration,
}

impl Fetch<'_> {
    /// Says also in the sandbox why there is no task, as upstream does: people look there. What was fetched before may have
    /// put something else in the place of `stderr`; then it is not said.
    async fn leave_word(&self, error: &FetchError) {
        let mut options = tokio::fs::OpenOptions::new();
        options.create(true).append(true).mode(0o644).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let Ok(mut file) = options.open(self.sandbox.join("stderr")).await else { return };
        let line = format!("Failed to fetch '{}': {}\n", error.uri, error.reason);
        if file.write_all(line.as_bytes()).await.is_ok() {
            // The agent is told anyway.
            let _ = file.flush().await;
        }
    }

    async fn one(&self, uri: &Uri) -> Result<(), String> {
        let item = uri::parse(uri, self.home).map_err(|error| error.to_string())?;
        let target = self.sandbox.join(&item.destination);
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|error| at(parent, &error))?;
        }
        match &item.source {
            Source::File(path) => copy(path, &target).await?,
            Source::Http(url) => self.download(url, &target).await?,
        }
        self.finish(&item, &target).await
    }

    async fn download(&self, url: &str, target: &Path) -> Result<(), String> {
        let request = ClientRequest::get(url).timeout(self.stall_timeout).follow_redirects(REDIRECTS);
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        // Not any success: one without content, or that accepts the request only, has not the file. (Upstream, too.)
        if response.status.as_u16() != 200 {
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

    /// Permissions and extraction.
    async fn finish(&self, item: &Item, target: &Path) -> Result<(), String> {
        if item.executable {
            let mode = std::fs::Permissions::from_mode(0o755);
            tokio::fs::set_permissions(target, mode).await.map_err(|error| at(target, &error))?;
        }
        match item.extract {
            Some(archive) => extract(archive, target, self.sandbox).await,
            None => Ok(()),
        }
    }
}

/// Copies a plain file: from anything else (a pipe, a device) there may be no end of bytes. By pieces, so that who drops the
/// future ends it: a thread that copies the whole would fill the disk for nobody, and hold up the end of the agent.
async fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let found = tokio::fs::metadata(from).await.map_err(|error| at(from, &error))?;
    if !found.is_file() {
        return Err(format!("'{}' is not a plain file", from.display()));
    }
    let source = tokio::fs::File::open(from).await.map_err(|error| at(from, &error))?;
    let copying = async {
        let mut target = tokio::fs::File::create(to).await?;
        // Not that it is run as its owner, who is another one now (as with `cp`, which upstream uses).
        let mode = found.permissions().mode() & 0o777;
        target.set_permissions(std::fs::Permissions::from_mode(mode)).await?;
        tokio::io::copy_buf(&mut BufReader::with_capacity(PIECE, source), &mut target).await
    };
    copying.await.map(drop).map_err(|error| at(to, &error))
}

/// Into the sandbox itself, wherever the archive lies in it.
async fn extract(archive: Archive, file: &Path, sandbox: &Path) -> Result<(), String> {
    let text = OsStr::new;
    let (archived, into) = (file.as_os_str(), sandbox.as_os_str());
    match archive {
        Archive::Tar => {
            // What is fetched belongs to who fetches it, also where that is root, and is not run as its owner: by
            // default, root's tar believes the archive (upstream's library does not).
            let own = ["--no-same-owner", "--no-same-permissions"].map(text);
            let arguments = own.into_iter().chain([text("-C"), into, text("-xf"), archived]);
            run("tar", Subprocess::new("tar").arguments(arguments)).await
        }
        Archive::Gzip => {
            let target = sandbox.join(file.file_stem().unwrap_or_default());
            let output = tokio::fs::File::create(&target).await.map_err(|error| at(&target, &error))?;
            let gzip = Subprocess::new("gzip").arguments([text("-dc"), archived]);
            run("gzip", gzip.stdout(Stream::File(output.into_std().await))).await
        }
        Archive::Zip => {
            // Without `-q`, with which it does not say what it has left out.
            let unzip = Subprocess::new("unzip").arguments([text("-o"), text("-d"), into, archived]);
            // For a password it would ask at the terminal that the agent was started from, and wait.
            let output = output_of("unzip", unzip.session()).await?;
            if output.status.code() == Some(UNZIP_WONDERED) { Ok(()) } else { judge("unzip", &output) }
        }
    }
}

async fn run(name: &str, program: Subprocess) -> Result<(), String> {
    judge(name, &output_of(name, program).await?)
}

async fn output_of(name: &str, program: Subprocess) -> Result<Output, String> {
    let output = program.stderr(Stream::Pipe).output(MAX_ERRORS).await;
    output.map_err(|error| format!("'{name}' cannot be executed: {error}"))
}

fn judge(name: &str, output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    // That tar makes names relative is no reason to fail.
    let reason = errors.lines().find(|line| !line.contains(": Removing leading "));
    Err(format!("'{name}' failed ({}): {}", output.status, reason.unwrap_or("it said nothing")))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("'{}': {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::io::{BufRead, Write};
    use std::net::SocketAddr;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    use libprocess::metrics::Metrics;

    use super::super::Fetcher;

    fn fetcher(metrics: &Metrics) -> Fetcher {
        Fetcher::new(Client::new(), metrics, None, None, Duration::from_secs(5))
    }

    fn uri(value: String) -> Uri {
        Uri { value, ..Uri::default() }
    }

    /// Runs tar in a directory.
    async fn pack(directory: &Path, arguments: &[&str]) {
        run("tar", Subprocess::new("tar").directory(directory).arguments(arguments)).await.unwrap();
    }

    /// Upstream: `FetcherTest.FileURI`, `FetcherTest.AbsoluteFilePath`, `FetcherTest.ExtractTar`.
    #[tokio::test]
    async fn files_are_copied_extracted_and_made_executable() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inner = host.path().join("inner.txt");
        std::fs::write(&inner, "packed").unwrap();
        let archive = host.path().join("a.tar");
        pack(host.path(), &["-cf", "a.tar", "inner.txt"]).await;
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

    /// Upstream: `FetcherTest.ExtractGzipFile`, `FetcherTest.CustomGzipOutputFile`,
    /// `FetcherTest.CustomOutputFileSubdirectory`.
    #[tokio::test]
    async fn what_is_packed_comes_into_the_sandbox_itself() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(host.path().join("inner.txt"), "packed").unwrap();
        pack(host.path(), &["-cf", "a.tar", "inner.txt"]).await;
        run("gzip", Subprocess::new("gzip").arguments([host.path().join("a.tar")])).await.unwrap();
        let packed = host.path().join("a.tar.gz").display().to_string();
        let named = |name: &str| Uri { output_file: Some(name.to_owned()), ..uri(packed.clone()) };
        let uris = [named("./one/x.tar.gz"), named("two/y.gz")];
        fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await.unwrap();
        assert_eq!(std::fs::read_to_string(sandbox.path().join("inner.txt")).unwrap(), "packed");
        let unpacked = std::fs::read(sandbox.path().join("y")).unwrap();
        assert!(unpacked.starts_with(b"inner.txt\0"), "a tar begins with the first name");
        for packed in ["one/x.tar.gz", "two/y.gz"] {
            assert!(sandbox.path().join(packed).is_file(), "{packed}");
        }
    }

    /// A server that answers one request so; its address.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = std::io::BufReader::new(&stream).lines().map_while(Result::ok);
            assert!(lines.take_while(|line| !line.is_empty()).count() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    /// Upstream: `FetcherTest.OSNetUriTest`, `FetcherTest.OSNetUriSpaceTest`.
    #[test]
    fn only_what_a_server_has_is_downloaded() {
        libprocess::run(async {
            let sandbox = tempfile::tempdir().unwrap();
            let metrics = Metrics::new();
            let address = server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata");
            let uris = [uri(format!("\r\n\t http://{address}/process/test"))];
            fetcher(&metrics).fetch(&uris, sandbox.path(), None).await.unwrap();
            assert_eq!(std::fs::read_to_string(sandbox.path().join("test")).unwrap(), "data");
            assert_eq!(metrics.value("containerizer/fetcher/task_fetches_succeeded"), Some(1.0));
            for (answer, reason) in [
                (
                    "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nsoon\n",
                    "the server answered 202 Accepted",
                ),
                ("HTTP/1.1 204 No Content\r\n\r\n", "the server answered 204 No Content"),
                ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the server answered 404 Not Found"),
            ] {
                let uris = [uri(format!("http://{}/other", server(answer)))];
                let error = fetcher(&metrics).fetch(&uris, sandbox.path(), None).await.unwrap_err();
                assert_eq!(error.reason, reason);
                assert!(!sandbox.path().join("other").exists());
            }
            assert_eq!(metrics.value("containerizer/fetcher/task_fetches_failed"), Some(3.0));
        });
    }

    /// Upstream: `FetcherTest.NoExtractNotExecutable`, `FetcherTest.NoExtractExecutable`,
    /// `FetcherTest.ExtractNotExecutable`, `FetcherTest.UseCustomOutputFile`.
    #[tokio::test]
    async fn only_what_shall_be_run_can_be() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inner = host.path().join("inner.txt");
        std::fs::write(&inner, "packed").unwrap();
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o600)).unwrap();
        // Whatever its name says, it is not compressed.
        pack(host.path(), &["-cf", "a.tar.gz", "inner.txt"]).await;
        let archive = host.path().join("a.tar.gz");
        std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o600)).unwrap();
        let named = |name: &str, executable, extract| Uri {
            output_file: Some(name.to_owned()),
            executable: Some(executable),
            extract: Some(extract),
            ..uri(archive.display().to_string())
        };
        let mode = |name: &str| std::fs::metadata(sandbox.path().join(name)).unwrap().mode() & 0o777;

        let kept = [named("plain.tar.gz", false, false), named("program.tar.gz", true, false)];
        fetcher(&Metrics::new()).fetch(&kept, sandbox.path(), None).await.unwrap();
        assert_eq!((mode("plain.tar.gz"), mode("program.tar.gz")), (0o600, 0o755));
        assert!(!sandbox.path().join("inner.txt").exists());

        let extracted = [named("packed.tar.gz", false, true)];
        fetcher(&Metrics::new()).fetch(&extracted, sandbox.path(), None).await.unwrap();
        assert_eq!((mode("packed.tar.gz"), mode("inner.txt")), (0o600, 0o600));
        assert_eq!(std::fs::read_to_string(sandbox.path().join("inner.txt")).unwrap(), "packed");
    }

    #[tokio::test]
    async fn a_copy_may_be_read_by_the_same_people_and_is_not_run_as_its_owner() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let program = host.path().join("program");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6750)).unwrap();
        let uris = [uri(program.display().to_string())];
        fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await.unwrap();
        let found = std::fs::metadata(sandbox.path().join("program")).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o750);
    }

    /// Only root could give files away.
    #[tokio::test]
    async fn what_an_archive_says_of_owners_does_not_count() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(host.path().join("inner.txt"), "packed").unwrap();
        let owner = ["--owner=somebody:1234", "--group=somebody:1234", "--mode=6755"];
        pack(host.path(), &[&owner[..], &["-cf", "a.tar", "inner.txt"]].concat()).await;
        let uris = [uri(host.path().join("a.tar").display().to_string())];
        fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await.unwrap();
        let found = std::fs::metadata(sandbox.path().join("inner.txt")).unwrap();
        let own = std::fs::metadata(sandbox.path()).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o6000), (own.uid(), own.gid(), 0));
    }

    #[tokio::test]
    async fn what_an_archive_fails_for_is_told() {
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(host.path().join("inner.txt"), "packed").unwrap();
        // Tar says first that it makes this name a relative one, and then that it does not unpack it.
        pack(host.path(), &["-P", "--transform=s,^,../,", "-cf", "a.tar", "inner.txt"]).await;
        let uris = [uri(host.path().join("a.tar").display().to_string())];
        let error = fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await.unwrap_err();
        assert!(error.reason.contains("tar: ../inner.txt: "), "{error}");
        let there = std::fs::read_dir(sandbox.path()).unwrap();
        let there: BTreeSet<OsString> = there.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, BTreeSet::from(["a.tar", "stderr"].map(OsString::from)));
    }

    async fn has_unzip() -> bool {
        let has = Subprocess::new("unzip").output(0).await.is_ok();
        if !has {
            println!("skipped: there is no unzip");
        }
        has
    }

    /// A zip as Windows makes it, of files with these names, contents and CRC-32s. Bit 0 of `flags`: with a password, and
    /// 12 bytes before each content.
    fn zip(flags: usize, files: &[(&str, &[u8], usize)]) -> Vec<u8> {
        fn bytes(parts: &[&[u8]]) -> Vec<u8> {
            parts.concat()
        }
        let short = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
        let long = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut archive: Vec<u8> = Vec::new();
        let mut directory: Vec<u8> = Vec::new();
        for (name, content, sum) in files {
            // The version, the method (none), a time and a date stand around the flags.
            let kind = bytes(&[&short(20), &short(flags), &short(0), &short(0), &short(0x21), &long(*sum)]);
            let sizes = bytes(&[
                &long(content.len()),
                &long(content.len() - 12 * flags),
                &short(name.len()),
                &short(0),
            ]);
            let place = bytes(&[&[0; 10], &long(archive.len())]);
            directory.extend(bytes(&[b"PK\x01\x02", &short(20), &kind, &sizes, &place, name.as_bytes()]));
            archive.extend(bytes(&[b"PK\x03\x04", &kind, &sizes, name.as_bytes(), content]));
        }
        let counts = bytes(&[&[0; 4], &short(files.len()), &short(files.len())]);
        let end = bytes(&[&long(directory.len()), &long(archive.len()), &short(0)]);
        bytes(&[&archive, &directory, b"PK\x05\x06", &counts, &end])
    }

    /// Upstream: `FetcherTest.UNZIP_ExtractFile`, `FetcherTest.UNZIP_ExtractFileWithDuplicatedEntries`.
    #[tokio::test]
    async fn a_zip_that_unzip_wonders_about_is_unpacked() {
        if !has_unzip().await {
            return;
        }
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plain = zip(0, &[("plain.txt", b"1", 0x83dc_efb7)]);
        let twice = zip(0, &[("twice.txt", b"1", 0x83dc_efb7), ("twice.txt", b"2", 0x1ad5_be0d)]);
        let windows = zip(0, &[("dir\\windows.txt", b"1", 0x83dc_efb7)]);
        let unpacks_itself =
            [&b"#!/bin/sh\n"[..], &zip(0, &[("itself.txt", b"1", 0x83dc_efb7)])[..]].concat();
        for (archive, name, content) in [
            (plain, "plain.txt", "1"),
            (twice, "twice.txt", "2"),
            (windows, "dir/windows.txt", "1"),
            (unpacks_itself, "itself.txt", "1"),
        ] {
            let path = host.path().join("a.zip");
            std::fs::write(&path, archive).unwrap();
            let uris = [uri(path.display().to_string())];
            let fetched = fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await;
            assert!(fetched.is_ok(), "{name}: {fetched:?}");
            assert_eq!(std::fs::read_to_string(sandbox.path().join(name)).unwrap(), content, "{name}");
        }
        let path = host.path().join("empty.zip");
        std::fs::write(&path, zip(0, &[])).unwrap();
        let uris = [uri(path.display().to_string())];
        fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await.unwrap();
    }

    /// Nobody is asked for a password, also where there is a terminal. Upstream: `FetcherTest.UNZIP_ExtractInvalidFile`.
    #[tokio::test]
    async fn a_zip_of_which_something_cannot_be_unpacked_fails_with_the_reason() {
        if !has_unzip().await {
            return;
        }
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let broken = zip(0, &[("broken.txt", b"1", 0x1ad5_be0d)]);
        let secret = zip(1, &[("secret.txt", b"12 bytes, and 1", 0x83dc_efb7)]);
        for (archive, reason) in [(broken, "bad CRC 83dcefb7"), (secret, "unable to get password")] {
            let path = host.path().join("a.zip");
            std::fs::write(&path, archive).unwrap();
            let uris = [uri(path.display().to_string())];
            let error = fetcher(&Metrics::new()).fetch(&uris, sandbox.path(), None).await.unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
        }
    }

    /// Upstream counts each container, also one without files.
    #[tokio::test]
    async fn no_files_at_all_are_fetched_with_success() {
        let sandbox = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        fetcher(&metrics).fetch(&[], sandbox.path(), None).await.unwrap();
        assert_eq!(metrics.value("containerizer/fetcher/task_fetches_succeeded"), Some(1.0));
        assert_eq!(metrics.value("containerizer/fetcher/task_fetches_failed"), Some(0.0));
    }

    /// Upstream: `FetcherTest.NonExistingFile`, `FetcherTest.LogFailureToStderr`.
    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let sandbox = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let error =
            fetcher(&metrics).fetch(&[uri("/no/such/file".into())], sandbox.path(), None).await.unwrap_err();
        assert_eq!(error.uri, "/no/such/file");
        assert!(error.reason.contains("/no/such/file"), "{error}");
        let told = std::fs::read_to_string(sandbox.path().join("stderr")).unwrap();
        assert_eq!(told, format!("Failed to fetch '/no/such/file': {}\n", error.reason));
        assert_eq!(metrics.value("containerizer/fetcher/task_fetches_failed"), Some(1.0));
    }

    #[test]
    fn a_copy_that_nobody_waits_for_ends() {
        const SIZE: u64 = 4 << 30;
        let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (large, copied) = (host.path().join("large"), sandbox.path().join("large"));
        std::fs::File::create(&large).unwrap().set_len(SIZE).unwrap();
        let length = || std::fs::metadata(&copied).map_or(0, |found| found.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let begun = async {
                while length() == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let (fetcher, uris) = (fetcher(&Metrics::new()), [uri(large.display().to_string())]);
            tokio::select! {
                fetched = fetcher.fetch(&uris, sandbox.path(), None) => panic!("so soon: {fetched:?}"),
                () = begun => {}
            }
        });
        // It waits for all that its threads do.
        drop(runtime);
        assert!(length() < SIZE);
    }

    #[tokio::test]
    async fn only_plain_files_are_copied() {
        let sandbox = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        for path in ["/dev/zero", "/tmp"] {
            let error = fetcher(&metrics).fetch(&[uri(path.into())], sandbox.path(), None).await.unwrap_err();
            assert!(error.reason.contains("is not a plain file"), "{error}");
        }
    }
}
