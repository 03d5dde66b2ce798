//! The web pages: what a browser is shown at `/` (upstream: `src/webui`, provided in `Master::initialize`).
//!
//! The files of `web/` are part of the program. What they show, their scripts ask for: this master at its v0
//! endpoints, and agents for sandboxes. Another directory may take their place, `--webui_dir`, if it has upstream's
//! three parts. Every master has the pages, also one that follows: it sends their questions on to the leader.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use ::http::Method;
use libprocess::http::{Assets, Reply, Request};

use crate::reads::Routes;

/// The parts of the pages: the first page, the scripts, and the rest.
const PARTS: [&str; 3] = ["index.html", "app", "assets"];

macro_rules! files {
    ($($path:literal)*) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../web/", $path)).as_slice())),*]
    };
}

const FILES: &[(&str, &[u8])] = files! {
    "index.html"
    "app/app.js"
    "app/cluster.js"
    "app/dom.js"
    "app/format.js"
    "app/requests.js"
    "app/table.js"
    "app/views/agents.js"
    "app/views/files.js"
    "app/views/frameworks.js"
    "app/views/maintenance.js"
    "app/views/offers.js"
    "app/views/overview.js"
    "app/views/roles.js"
    "app/views/tasks.js"
    "assets/icon.svg"
    "assets/style.css"
};

static OURS: LazyLock<Arc<Assets>> = LazyLock::new(|| Arc::new(Assets::directory(FILES.iter().copied())));

/// The pages that a master shows.
#[derive(Debug, Clone)]
pub(crate) struct Pages(Arc<Assets>);

impl Pages {
    /// Those of the program.
    pub(crate) fn ours() -> Pages {
        Pages(Arc::clone(&OURS))
    }

    /// Those of `--webui_dir`, as they are now.
    ///
    /// # Errors
    /// When a part is missing, or there is too much of it ([`Assets::read`]).
    pub(crate) fn read(directory: &Path) -> std::io::Result<Pages> {
        Assets::read(directory, &PARTS).map(|assets| Pages(Arc::new(assets)))
    }
}

/// Registers the routes: the actor's own path, and those of the other parts.
pub(super) fn install(routes: &mut Routes<'_>) {
    for (path, help) in [
        ("/", "The web pages."),
        ("/app", "Scripts of the web pages."),
        ("/assets", "Styles and pictures of the web pages."),
    ] {
        routes.read(&[Method::GET], path, help, |master, request, _| show(&master.pages, request));
    }
}

/// An HTTP worker answers; the first time it also compresses.
fn show(pages: &Pages, request: Request) -> Reply {
    let assets = Arc::clone(&pages.0);
    Reply::render(move || {
        // `/master/app/app.js`: the actor, and the file.
        let below = request.path.trim_start_matches('/').split_once('/').map_or("", |(_, below)| below);
        // No other page may hold these in a frame, and no file is taken for what it does not say that it is.
        let answer = assets.answer(below, &request);
        answer
            .header("content-security-policy", "frame-ancestors 'self'")
            .header("x-content-type-options", "nosniff")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_program_has_all_files_of_web() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
        let mut found = BTreeSet::new();
        let mut pending = vec![root.clone()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.remove("README.md");
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(found, listed);
    }
}
