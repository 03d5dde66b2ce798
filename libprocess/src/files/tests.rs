//! Virtual paths, listings and reads, without HTTP (that is in `tests/files.rs`).

use std::path::Path;

use super::access::Attached;
use super::*;

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("libprocess-files-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("sandbox/sub")).unwrap();
        std::fs::write(path.join("sandbox/stdout"), "hello\n").unwrap();
        std::fs::write(path.join("sandbox/sub/deep"), "deep").unwrap();
        std::fs::write(path.join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(path.join("secret"), path.join("sandbox/out")).unwrap();
        std::os::unix::fs::symlink("stdout", path.join("sandbox/in")).unwrap();
        std::os::unix::fs::symlink("nowhere", path.join("sandbox/dangling")).unwrap();
        std::fs::create_dir(path.join("sandbox-neighbour")).unwrap();
        std::fs::write(path.join("sandbox-neighbour/x"), "x").unwrap();
        Scratch(path.canonicalize().unwrap())
    }

    fn attached(&self) -> Attached {
        let mut attached = Attached::default();
        attached.attach("/runs/latest/", &self.0.join("sandbox")).unwrap();
        attached.attach("/runs/latest/sub", &self.0.join("sandbox-neighbour")).unwrap();
        attached.attach("/slave/log", &self.0.join("secret")).unwrap();
        attached
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Upstream: `FilesTest.ResolveTest`.
#[test]
fn the_longest_attached_prefix_resolves_a_path() {
    let scratch = Scratch::new("prefix");
    let attached = scratch.attached();
    let resolve = |path: &str| attached.resolve(path).map(|p| p.strip_prefix(&scratch.0).unwrap().to_owned());
    assert_eq!(resolve("/runs/latest"), Ok("sandbox".into()));
    assert_eq!(resolve("/runs/latest/"), Ok("sandbox".into()));
    assert_eq!(resolve("/runs/latest/stdout"), Ok("sandbox/stdout".into()));
    assert_eq!(resolve("/runs/latest/sub/x"), Ok("sandbox-neighbour/x".into()));
    assert_eq!(resolve("/slave/log"), Ok("secret".into()));
    assert_eq!(resolve("//slave///log//"), Ok("secret".into()));
    assert_eq!(resolve("/runs/latest//sub//x"), Ok("sandbox-neighbour/x".into()));
    assert_eq!(resolve("/slave/log/below"), Err(FilesError::NotFound));
    assert_eq!(resolve("/runs"), Err(FilesError::NotFound));
    assert_eq!(resolve("/runs/latest/nope"), Err(FilesError::NotFound));
    assert_eq!(resolve("runs/latest"), Err(FilesError::NotFound));
    assert_eq!(resolve(""), Err(FilesError::NotFound));
}

/// Upstream: `FilesTest.ResolveTest`.
#[test]
fn nothing_outside_of_the_attached_directory_is_reachable() {
    let scratch = Scratch::new("outside");
    let attached = scratch.attached();
    let real = scratch.0.join("sandbox");
    for path in ["../secret", "out", "../sandbox-neighbour/x", "in/../../secret"] {
        let refused = attached.resolve(&format!("/runs/latest/{path}"));
        if path.starts_with("in/") {
            // A file has no parent to climb to.
            assert_eq!(refused, Err(FilesError::NotFound));
        } else {
            let text = format!("'{}' is inaccessible.\n", real.join(path).display());
            assert_eq!(refused, Err(FilesError::Invalid(text)));
        }
    }
    assert_eq!(attached.resolve("/runs/latest/in"), Ok(real.join("stdout")));
}

#[test]
fn a_link_that_a_task_puts_there_while_we_look_leads_nowhere() {
    let scratch = Scratch::new("swapped");
    let (attached, sandbox) = (scratch.attached(), scratch.0.join("sandbox"));
    let swapping = std::sync::atomic::AtomicBool::new(true);
    let mut leaks = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (next, file) = (sandbox.join("next"), sandbox.join("stdout"));
            while swapping.load(std::sync::atomic::Ordering::Relaxed) {
                std::os::unix::fs::symlink(scratch.0.join("secret"), &next).unwrap();
                std::fs::rename(&next, &file).unwrap();
                std::fs::write(&next, "hello\n").unwrap();
                std::fs::rename(&next, &file).unwrap();
            }
        });
        for _ in 0..5000 {
            let read = attached.read("/runs/latest/stdout", 0, None);
            leaks += usize::from(read.is_ok_and(|(_, data)| data.starts_with(b"secret")));
        }
        swapping.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(leaks, 0);
}

/// Upstream: `FilesTest.BrowseTest`.
#[test]
fn listings_are_sorted_and_leave_out_links_to_nowhere() {
    let scratch = Scratch::new("listing");
    let listing = scratch.attached().browse("/runs/latest/").unwrap();
    let names: Vec<&str> = listing.iter().map(|info| info.path.as_str()).collect();
    assert_eq!(names, ["/runs/latest/in", "/runs/latest/out", "/runs/latest/stdout", "/runs/latest/sub"]);
    assert_eq!((listing[2].size, listing[2].nlink), (6, 1));
    assert!(listing[2].mode_text().starts_with("-rw"), "{}", listing[2].mode_text());
    assert!(listing[3].mode_text().starts_with("drwx"));
    assert_eq!(scratch.attached().browse("/slave/log"), Ok(Vec::new()));
    assert_eq!(scratch.attached().browse("/nope"), Err(FilesError::NotFound));
}

/// Upstream: `FilesTest.ReadTest`.
#[test]
fn reads_give_the_piece_and_the_size() {
    let scratch = Scratch::new("read");
    let attached = scratch.attached();
    let read = |offset, length| attached.read("/runs/latest/stdout", offset, length);
    assert_eq!(read(0, None), Ok((6, Bytes::from("hello\n"))));
    assert_eq!(read(1, Some(3)), Ok((6, Bytes::from("ell"))));
    assert_eq!(read(5, Some(300)), Ok((6, Bytes::from("\n"))));
    assert_eq!(read(6, None), Ok((6, Bytes::new())));
    assert_eq!(read(0, Some(0)), Ok((6, Bytes::new())));
    assert_eq!(
        attached.read("/runs/latest", 0, None),
        Err(FilesError::Invalid("Cannot read a directory.\n".to_owned()))
    );
    std::fs::write(scratch.0.join("sandbox/large"), vec![b'x'; 200_000]).unwrap();
    let (size, data) = attached.read("/runs/latest/large", 10, Some(150_000)).unwrap();
    assert_eq!((size, data.len() as u64), (200_000, MAX_READ));
}

#[test]
fn a_piece_keeps_its_bytes_whatever_they_are() {
    for (data, json) in [
        (&b"plain"[..], &br#"{"data":"plain","offset":7}"#[..]),
        (b"", br#"{"data":"","offset":7}"#),
        (b"a\"b\\\n\x01", br#"{"data":"a\"b\\\n\u0001","offset":7}"#),
        ("gr\u{fc}n".as_bytes(), "{\"data\":\"gr\u{fc}n\",\"offset\":7}".as_bytes()),
        (b"\xff\xfeabc\xc3", b"{\"data\":\"\xff\xfeabc\xc3\",\"offset\":7}"),
    ] {
        assert_eq!(piece_json(data, 7), json, "{data:?}");
    }
}

/// Upstream: `FilesTest.AttachTest`, `FilesTest.DetachTest`.
#[test]
fn what_does_not_exist_cannot_be_attached() {
    let mut attached = Attached::default();
    assert_eq!(
        attached.attach("/x", Path::new("/nope/nope")).unwrap_err().to_string(),
        "Failed to get realpath of '/nope/nope': No such file or directory"
    );
    attached.attach("/x", Path::new("/")).unwrap();
    assert!(attached.detach("/x/"));
    assert!(!attached.detach("/x"));
}

/// Upstream: `FilesTest.ReadTest`.
#[test]
fn spans_are_parsed_with_upstreams_texts() {
    let span = |text: &str| Span::of(&Query::parse(text));
    assert_eq!(span(""), Ok(Span { offset: None, length: None }));
    assert_eq!(span("offset=-1&length=-1"), Ok(Span { offset: None, length: None }));
    assert_eq!(span("offset=5&length=7"), Ok(Span { offset: Some(5), length: Some(7) }));
    assert_eq!(
        span("offset=x"),
        Err("Failed to parse offset: Failed to convert 'x' to number.\n".to_owned())
    );
    assert_eq!(span("offset=-2"), Err("Negative offset provided: -2.\n".to_owned()));
    assert_eq!(span("length=-5"), Err("Negative length provided: -5.\n".to_owned()));
}
