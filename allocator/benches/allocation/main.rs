//! What allocation costs, under the names and with the parameters of upstream's benchmarks
//! (`hierarchical_allocator_benchmarks.cpp`, and those in `hierarchical_allocator_tests.cpp` and
//! `sorter_tests.cpp`).
//!
//! ```sh
//! cargo bench -p allocator                         # all, some 2 minutes
//! cargo bench -p allocator -- cycle quota          # those whose names contain one of the words
//! cargo bench -p allocator -- Scaling --plot       # draws docs/allocation_cost.svg
//! ```
//!
//! Beside the core stand a *floor*, the same cycle over plain arrays without roles, quotas and filters
//! ([`floor`]), and, where clusters are small, the slow model of the tests ([`model`]). Figures of both follow the
//! core's, in the same run. Only the core's work is timed, never what is set up for it.

mod agents;
mod backlog;
mod cluster;
mod cycle;
mod decline;
mod explain;
mod floor;
mod frameworks;
mod memory;
#[path = "../../tests/model/mod.rs"]
mod model;
mod operations;
mod quota;
mod scaling;
mod sorter;
mod suppress;
mod volumes;

use std::process::ExitCode;

use harness::bench::Report;

/// What was asked for on the command line.
pub(crate) struct Settings {
    /// A picture of how the cost grows.
    pub(crate) plot: bool,
}

type Benchmark = fn(&Settings, &mut Report);

const BENCHMARKS: [(&str, &str, Benchmark); 17] = [
    ("Cycle", "all agents are free and nobody refuses anything", cycle::run),
    ("Scaling", "the same cycle with more and more agents, and frameworks", scaling::run),
    ("DeclineOffers", "everybody declines every offer for good", decline::run),
    ("ResourceLabels", "the same where reservations have labels", decline::with_labels),
    ("SuppressOffers", "more and more frameworks suppress their offers", suppress::more_and_more),
    ("ExtremeSuppressOffers", "nearly all frameworks suppress their offers", suppress::nearly_all),
    ("LargeAndSmallQuota", "quotas that cut agents, and quotas of several agents", quota::large_and_small),
    ("NonQuotaVsQuota", "quotas of whole agents", quota::with_and_without),
    ("PersistentVolumes", "volumes, regular and shared, on reserved agents", volumes::run),
    ("MultiFrameworkAllocations", "frameworks of three kinds launch their tasks", frameworks::run),
    ("AddAndUpdateSlave", "agents come, and get revocable resources", agents::add_and_update),
    ("UpdateAllocation", "RESERVE and UNRESERVE on an agent with many reservations", operations::run),
    ("Explain", "why a framework gets no offers", explain::run),
    ("AllocatorBacklog", "events that wait in the actor's queue", backlog::run),
    ("Metrics", "the figures behind the metrics", agents::metrics),
    ("FullSort", "a sorter of many clients", sorter::flat),
    ("HierarchyFullSort", "sorters of trees of clients", sorter::hierarchy),
];

fn main() -> ExitCode {
    let (options, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let settings = Settings { plot: options.iter().any(|option| option == "--plot") };
    let mut verdict = ExitCode::SUCCESS;
    for (name, what, benchmark) in BENCHMARKS {
        let wanted = |word: &String| name.to_lowercase().contains(&word.to_lowercase());
        if words.is_empty() || words.iter().any(wanted) {
            let mut report = Report::new(name, what);
            benchmark(&settings, &mut report);
            let one = report.verdict();
            if one != ExitCode::SUCCESS {
                verdict = one;
            }
        }
    }
    verdict
}
