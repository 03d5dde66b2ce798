//! `/version`: what was built, and when.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/` | anybody | answers with what [`crate::NodeBuilder::version`] was given |

use crate::context::Context;
use crate::http::{Reply, Request, Response};
use crate::install::Install;
use crate::process::{Place, Process};

/// The actor.
pub(crate) struct Version;

impl Process for Version {
    const NAME: &'static str = "version";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/", HELP, Version::version);
    }
}

impl Version {
    fn version(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let version = &ctx.node().settings().version;
        let json = if version.is_null() { "{}".to_owned() } else { version.to_string() };
        Response::jsonp(&request.query, json).into()
    }
}

const HELP: &str = "\
### TL;DR; ###
Shows the version of this program.

### DESCRIPTION ###
A JSON object: `version`, `build_date`, `build_time` (seconds since 1970), `build_user`, and of the source
`git_sha`, `git_branch` and `git_tag`, where they are known.
";
