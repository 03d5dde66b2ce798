//! `/system/stats.json`: load, processors and memory of the host.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/stats.json` | anybody | answers with the figures of this moment |
//!
//! It adds the same figures as metrics `system/*` (upstream: 3rdparty/libprocess/include/process/system.hpp).

use rustix::system::{Sysinfo, sysinfo};
use serde_json::json;

use crate::context::Context;
use crate::http::{Reply, Request, Response};
use crate::install::Install;
use crate::metrics::Description;
use crate::process::{Exit, Place, Process};

/// The kernel's unit of load: 1.0 is 65536.
const LOAD_UNIT: f64 = 65536.0;

/// A figure that is shown as a metric.
type Figure = (&'static str, fn() -> f64);

const METRICS: [Figure; 6] = [
    ("system/load_1min", || load(&sysinfo(), 0)),
    ("system/load_5min", || load(&sysinfo(), 1)),
    ("system/load_15min", || load(&sysinfo(), 2)),
    ("system/cpus_total", || cpus() as f64),
    ("system/mem_total_bytes", || total(&sysinfo()) as f64),
    ("system/mem_free_bytes", || free(&sysinfo()) as f64),
];

const DESCRIPTIONS: [Description; 6] = [
    Description::gauge("system/load_1min", "Load of the host over the last minute, as uptime(1) shows it."),
    Description::gauge(
        "system/load_5min",
        "Load of the host over the last 5 minutes, as uptime(1) shows it.",
    ),
    Description::gauge(
        "system/load_15min",
        "Load of the host over the last 15 minutes, as uptime(1) shows it.",
    ),
    Description::gauge("system/cpus_total", "Processors that this process may use."),
    Description::gauge("system/mem_total_bytes", "Memory of the host, in bytes."),
    Description::gauge("system/mem_free_bytes", "Memory of the host that nobody uses, in bytes."),
];

/// The actor.
pub(crate) struct System;

impl Process for System {
    const NAME: &'static str = "system";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/stats.json", HELP, System::stats);
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        let metrics = ctx.node().metrics();
        metrics.describe(&DESCRIPTIONS);
        for (name, read) in METRICS {
            metrics.pull_gauge(name, read);
        }
    }

    fn stopping(&mut self, _: &Exit, ctx: &mut Context<Self>) {
        for (name, _) in METRICS {
            ctx.node().metrics().remove(name);
        }
    }
}

impl System {
    fn stats(&mut self, request: Request, _: &mut Context<Self>) -> Reply {
        let info = sysinfo();
        let stats = json!({
            "avg_load_15min": load(&info, 2),
            "avg_load_1min": load(&info, 0),
            "avg_load_5min": load(&info, 1),
            "cpus_total": cpus(),
            "mem_free_bytes": free(&info),
            "mem_total_bytes": total(&info),
        });
        Response::jsonp(&request.query, stats.to_string()).into()
    }
}

fn load(info: &Sysinfo, which: usize) -> f64 {
    info.loads[which] as f64 / LOAD_UNIT
}

fn total(info: &Sysinfo) -> u64 {
    info.totalram * u64::from(info.mem_unit)
}

fn free(info: &Sysinfo) -> u64 {
    info.freeram * u64::from(info.mem_unit)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

const HELP: &str = "\
### TL;DR; ###
Shows figures of the host.

### DESCRIPTION ###
A JSON object: `avg_load_1min`, `avg_load_5min`, `avg_load_15min`, `cpus_total`, `mem_total_bytes` and
`mem_free_bytes`.
";
