//! What allocation costs, under the names and with the parameters of upstream's benchmarks
//! (`hierarchical_allocator_benchmarks.cpp`, and those in `hierarchical_allocator_tests.cpp` and
//! `sorter_tests.cpp`).
//!
//! ```sh
//! cargo bench -p allocator                         # all, some 3 minutes
//! cargo bench -p allocator -- cycle quota          # those whose names contain one of the words
//! cargo bench -p allocator -- DeclineOffers --full # with all 10 million filters
//! ```
//!
//! Beside the core stand a *floor*, the same cycle over plain arrays without roles, quotas and filters
//! ([`floor`]), and the slow model of the tests. Only the core's work is timed, never what is set up for it.

mod backlog;
mod cluster;
mod cycle;
mod decline;
mod explain;
mod floor;
mod memory;
mod operations;
mod quota;

use std::process::ExitCode;

use harness::bench::Report;

/// What was asked for on the command line.
pub(crate) struct Settings {
    /// The largest sizes, which take minutes.
    pub(crate) full: bool,
}

type Benchmark = fn(&Settings, &mut Report);

const BENCHMARKS: [(&str, &str, Benchmark); 7] = [
    ("Cycle", "all agents are free and nobody refuses anything", cycle::run),
    ("DeclineOffers", "everybody declines every offer for good", decline::run),
    ("LargeAndSmallQuota", "quotas that cut agents, and quotas of several agents", quota::large_and_small),
    ("NonQuotaVsQuota", "quotas of whole agents", quota::with_and_without),
    ("UpdateAllocation", "RESERVE and UNRESERVE on an agent with many reservations", operations::run),
    ("Explain", "why a framework gets no offers", explain::run),
    ("AllocatorBacklog", "events that wait in the actor's queue", backlog::run),
];

fn main() -> ExitCode {
    let (options, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let settings = Settings { full: options.iter().any(|option| option == "--full") };
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
