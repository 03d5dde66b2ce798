//! `/memory-profiler/statistics`: what the allocator has given out. Only with the cargo feature `allocation-stats`, which
//! makes jemalloc the allocator of the program.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/statistics` | an operator | answers with jemalloc's own statistics |
//!
//! It adds the totals as metrics `memory/*`. (Upstream: 3rdparty/libprocess/src/memory_profiler.cpp, of whose routes this
//! is the one that needs no heap profiles.)

use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{epoch, stats};

use crate::context::Context;
use crate::http::{Realm, Reply, Request, Response};
use crate::install::Install;
use crate::metrics::Description;
use crate::process::{Exit, Place, Process};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A total that is shown as a metric.
type Total = (&'static str, fn() -> tikv_jemalloc_ctl::Result<usize>);

const METRICS: [Total; 5] = [
    ("memory/allocated_bytes", stats::allocated::read),
    ("memory/active_bytes", stats::active::read),
    ("memory/metadata_bytes", stats::metadata::read),
    ("memory/resident_bytes", stats::resident::read),
    ("memory/mapped_bytes", stats::mapped::read),
];

const DESCRIPTIONS: [Description; 5] = [
    Description::gauge(
        "memory/allocated_bytes",
        "Memory that the program has asked for and not given back, in bytes.",
    ),
    Description::gauge("memory/active_bytes", "Pages that hold what the program has asked for, in bytes."),
    Description::gauge("memory/metadata_bytes", "What the allocator needs for its own books, in bytes."),
    Description::gauge("memory/resident_bytes", "Memory of the host that the allocator keeps, in bytes."),
    Description::gauge("memory/mapped_bytes", "Address space that the allocator uses, in bytes."),
];

/// The actor.
pub(crate) struct Memory;

impl Process for Memory {
    const NAME: &'static str = "memory-profiler";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/statistics", HELP, Memory::statistics).realm(Realm::ReadWrite);
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        let metrics = ctx.node().metrics();
        metrics.describe(&DESCRIPTIONS);
        for (name, read) in METRICS {
            metrics.pull_gauge(name, move || total(read));
        }
    }

    fn stopping(&mut self, _: &Exit, ctx: &mut Context<Self>) {
        for (name, _) in METRICS {
            ctx.node().metrics().remove(name);
        }
    }
}

impl Memory {
    fn statistics(&mut self, request: Request, _: &mut Context<Self>) -> Reply {
        Reply::render(move || {
            let mut options = Options::default();
            options.json_format = true;
            let mut json = Vec::new();
            match refresh()
                .map_err(|error| error.to_string())
                .and_then(|()| stats_print(&mut json, options).map_err(|error| error.to_string()))
            {
                Ok(()) => Response::jsonp(&request.query, json),
                Err(error) => Response::internal_server_error(format!("No statistics: {error}.\n")),
            }
        })
    }
}

/// jemalloc shows the figures of the last time it was asked to count.
fn refresh() -> tikv_jemalloc_ctl::Result<()> {
    epoch::advance().map(drop)
}

/// Not a number if jemalloc does not say.
fn total(read: fn() -> tikv_jemalloc_ctl::Result<usize>) -> f64 {
    refresh().and_then(|()| read()).map_or(f64::NAN, |bytes| bytes as f64)
}

const HELP: &str = "\
### TL;DR; ###
Shows what the allocator has given out.

### DESCRIPTION ###
The statistics of jemalloc as JSON: totals, arenas, and sizes of blocks.
";
