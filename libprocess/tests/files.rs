//! The files endpoints over loopback, against what genuine Mesos answered (`data/files.jsonl`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use libprocess::files::{Attach, Browse, Detach, Files, Read};
use libprocess::http::ClientRequest;
use libprocess::{Address, Node};
use serde_json::Value;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a test with a node, its files and an empty directory.
fn with_files<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Node, Address<Files>, PathBuf) -> F) {
    let path = std::env::temp_dir().join(format!("libprocess-files-http-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    let scratch = Scratch(path);
    libprocess::run(async {
        let node = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0))).start().await.unwrap();
        let files = node.spawn(Files::new());
        test(node.clone(), files, scratch.0.clone()).await;
        node.shutdown().await;
    });
}

fn attach(virtual_path: &str, path: PathBuf) -> Attach {
    Attach { virtual_path: virtual_path.to_owned(), path }
}

/// Upstream: `FilesTest.ReadTest`, `FilesTest.BrowseTest`, `FilesTest.DownloadTest`.
#[test]
fn a_sandbox_is_shown_as_genuine_mesos_shows_it() {
    with_files("recorded", |node, files, dir| async move {
        for executor in ["sleep3", "t-noalloc"] {
            let sandbox = dir.join(executor);
            fs::create_dir(&sandbox).unwrap();
            fs::write(sandbox.join("stderr"), vec![b'e'; 525]).unwrap();
            fs::write(sandbox.join("stdout"), if executor == "sleep3" { "hello\n" } else { "" }).unwrap();
            let virtual_path = format!(
                "/frameworks/0eacc985-a9fa-4601-893d-2dab17bba24c-0007/executors/{executor}/runs/latest"
            );
            files.ask(attach(&virtual_path, sandbox)).await.unwrap().unwrap();
        }
        let mut compared = 0;
        for line in include_str!("data/files.jsonl").lines() {
            let pair: Value = serde_json::from_str(line).unwrap();
            let name = pair["name"].as_str().unwrap();
            let url = format!("http://{}{}", node.address(), pair["path"].as_str().unwrap());
            let response = node.client().send(ClientRequest::get(url)).await.unwrap();
            assert_eq!(response.status.as_u16(), 200, "{name}");
            for header in pair["response_headers"].as_array().unwrap() {
                let (key, value) = header.as_str().unwrap().split_once(": ").unwrap();
                if key != "Content-Length" {
                    assert_eq!(response.header(key), Some(value), "{name}");
                }
            }
            let text = response.text(1 << 20).await.unwrap();
            let expected = pair["response"].as_str().unwrap();
            if name.contains("browse") {
                let stable = |text: &str| {
                    let mut listing: Value = serde_json::from_str(text).unwrap();
                    for entry in listing.as_array_mut().unwrap() {
                        assert!(entry["mtime"].is_f64());
                        entry["mtime"] = Value::Null;
                        entry["mode"] = Value::Null;
                        // Whoever runs the tests owns the files.
                        entry["uid"] = Value::Null;
                        entry["gid"] = Value::Null;
                    }
                    listing
                };
                assert_eq!(stable(&text), stable(expected), "{name}");
            } else {
                assert_eq!(text, expected, "{name}");
            }
            compared += 1;
        }
        assert_eq!(compared, 4);
    });
}

/// Upstream: `FilesTest.DownloadTest`.
#[test]
fn downloads_of_any_size_and_range() {
    with_files("download", |node, files, dir| async move {
        let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        fs::write(dir.join("large.txt"), &content).unwrap();
        files.ask(attach("/logs/", dir.clone())).await.unwrap().unwrap();
        let url = format!("http://{}/files/download?path=/logs/large.txt", node.address());
        let whole = node.client().send(ClientRequest::get(&url)).await.unwrap();
        assert_eq!(whole.header("content-length"), Some("3000000"));
        assert_eq!(whole.header("content-type"), Some("text/plain"));
        assert_eq!(whole.bytes(4 << 20).await.unwrap(), content);
        let head = node.client().send(ClientRequest::new(http::Method::HEAD, &url)).await.unwrap();
        assert_eq!(head.header("content-length"), Some("3000000"));
        assert!(head.bytes(4 << 20).await.unwrap().is_empty());
        for (range, from, to) in [
            ("bytes=10-19", 10, 20),
            ("bytes=2000000-", 2_000_000, 3_000_000),
            ("bytes=-5", 2_999_995, 3_000_000),
        ] {
            let part = node.client().send(ClientRequest::get(&url).header("range", range)).await.unwrap();
            assert_eq!(part.status.as_u16(), 206);
            assert_eq!(part.header("content-range"), Some(&*format!("bytes {from}-{}/3000000", to - 1)));
            assert_eq!(part.bytes(4 << 20).await.unwrap(), content[from..to], "{range}");
        }
        let beyond =
            node.client().send(ClientRequest::get(&url).header("range", "bytes=3000000-")).await.unwrap();
        assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, Some("bytes */3000000")));
    });
}

/// Upstream: `FilesTest.ReadTest`, `FilesTest.ResolveTest`, `FilesTest.DebugTest`.
#[test]
fn refusals_name_the_cause() {
    with_files("refusals", |node, files, dir| async move {
        let outside = dir.join("outside");
        let inside = dir.join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(&outside, "secret").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        files.ask(attach("/box", inside.clone())).await.unwrap().unwrap();
        let real = inside.canonicalize().unwrap();
        for (path, status, text) in [
            ("/files/read?path=/box/link", 400, format!("'{}/link' is inaccessible.\n", real.display())),
            (
                "/files/download?path=/box/../outside",
                400,
                format!("'{}/../outside' is inaccessible.\n", real.display()),
            ),
            ("/files/read?path=/box", 400, "Cannot read a directory.\n".to_owned()),
            ("/files/download?path=/box", 400, "Cannot download a directory.\n".to_owned()),
            ("/files/read?path=/box/nope", 404, String::new()),
            ("/files/download?path=/box/nope", 404, "404 Not Found.".to_owned()),
            ("/files/browse?path=", 400, "Expecting 'path=value' in query.\n".to_owned()),
            ("/files/debug", 200, format!("{{\"/box\":\"{}\"}}", real.display())),
            ("/files/debug?jsonp=f", 200, format!("f({{\"/box\":\"{}\"}})", real.display())),
        ] {
            let request = ClientRequest::get(format!("http://{}{path}", node.address()));
            let response = node.client().send(request).await.unwrap();
            assert_eq!(
                (response.status.as_u16(), response.text(1000).await.unwrap()),
                (status, text),
                "{path}"
            );
        }
    });
}

/// Upstream: `FilesTest.DetachTest`.
#[test]
fn operator_calls_read_by_message() {
    with_files("messages", |_, files, dir| async move {
        fs::write(dir.join("stdout"), "hello").unwrap();
        files.ask(attach("/run", dir)).await.unwrap().unwrap();
        let listing = files.ask(Browse { path: "/run".to_owned() }).await.unwrap().unwrap();
        assert_eq!((listing[0].path.as_str(), listing[0].size), ("/run/stdout", 5));
        let read = Read { path: "/run/stdout".to_owned(), offset: 1, length: Some(3) };
        let piece = files.ask(read.clone()).await.unwrap().unwrap();
        assert_eq!((piece.size, &*piece.data), (5, &b"ell"[..]));
        files.tell(Detach { virtual_path: "/run".to_owned() });
        assert!(files.ask(read).await.unwrap().is_err());
    });
}

/// Upstream: `FilesTest.QueryWithEncodedSequence`, `FilesTest.ResolveTest`, `FilesTest.ReadTest`,
/// `FilesTest.DownloadTest`.
#[test]
fn a_path_is_decoded_once_and_need_not_begin_with_a_slash() {
    with_files("encoded", |node, files, dir| async move {
        fs::create_dir_all(dir.join("1/2")).unwrap();
        fs::write(dir.join("1/2/three"), "three").unwrap();
        // Else there would be nothing outside to break out to.
        fs::write(dir.join("1/two"), "two").unwrap();
        fs::write(dir.join("foo%3Abar"), "body").unwrap();
        fs::write(dir.join("black.gif"), "GIF87a").unwrap();
        for (virtual_path, real) in
            [("/", ""), ("one", "1"), ("/one/", "1"), ("two", "1/2"), ("one/two", "1/2")]
        {
            files.ask(attach(virtual_path, dir.join(real))).await.unwrap().unwrap();
        }
        let get = async |path: &str| {
            let request = ClientRequest::get(format!("http://{}/files/{path}", node.address()));
            let response = node.client().send(request).await.unwrap();
            let media_type = response.header("content-type").unwrap_or_default().to_owned();
            (response.status.as_u16(), media_type, response.text(1000).await.unwrap())
        };
        let json =
            |data: &str| (200, "application/json".to_owned(), format!(r#"{{"data":"{data}","offset":0}}"#));
        assert_eq!(get("read?path=/foo%253Abar&offset=0").await, json("body"));
        assert_eq!(get("read?path=/foo%3Abar&offset=0").await.0, 404);
        for path in [
            "one/2/three",
            "/one/2/three",
            "two/three",
            "one/two/three",
            "%2Fone%2F2%2Fthree",
            "one%2Ftwo%2Fthree",
        ] {
            assert_eq!(get(&format!("read?path={path}&offset=0")).await, json("three"), "{path}");
        }
        for path in ["one/2", "one", "one/", "one/two/", "two/../two"] {
            assert_eq!(get(&format!("read?path={path}")).await.0, 400, "{path}");
        }
        assert_eq!(get("browse?path=one%2F").await, get("browse?path=one").await);
        let refused = get("read?path=none&length=hello").await;
        assert_eq!(
            (refused.0, &*refused.2),
            (400, "Failed to parse length: Failed to convert 'hello' to number.\n")
        );
        assert_eq!(get("download?path=/black.gif").await, (200, "image/gif".to_owned(), "GIF87a".to_owned()));
    });
}
