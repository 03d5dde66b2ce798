//! Actors that come and go beside many links (upstream: `ProcessTest.Process_BENCHMARK_LargeNumberOfLinks`).
//!
//! 5,000 pairs of actors, one linked to the other. Then 10,000 more are spawned, each of which ends itself when it is
//! told to: the ends of actors that nobody is linked to, beside many links. The comparator: the same pairs, unlinked.
//! What links themselves cost is shown beside: all 5,000 watched actors end, until each watcher has been told.
//!
//! For scale: genuine libprocess took 404 to 720 ms for the 10,000 on a machine of this kind.

mod support;

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::bench::{self, Report, Target, in_turn};
use libprocess::{Address, Context, Handle, Pid, Process, messages};
use tokio::sync::Notify;

const LINKS: usize = 5_000;
const ITERATIONS: usize = 10_000;
const ROUNDS: usize = 9;
/// The best of genuine libprocess, in ms.
const GENUINE: f64 = 404.0;

fn main() -> ExitCode {
    let mut report = Report::new("LargeNumberOfLinks", "actors that come and go beside many links");
    report.note(format!("{LINKS} links, {ITERATIONS} actors; medians of {ROUNDS}"));
    let breaking = Cell::new(0.0);
    let turns = in_turn(
        ROUNDS,
        [
            &mut || {
                let (iterations, links) = libprocess::run(measure(true));
                breaking.set(links);
                iterations
            },
            &mut || libprocess::run(measure(false)).0,
            &mut || breaking.get(),
        ],
    );
    report.figure("actors come and go, no links", turns.median(1), "ms", Target::None);
    report.figure("actors come and go, many links", turns.median(0), "ms", Target::None);
    report.figure("many links for each without", turns.ratio(0, 1), "times", Target::AtMost(1.5));
    let genuine = turns.median(0) / GENUINE;
    report.figure("many links for each of genuine libprocess", genuine, "times", Target::None);
    report.figure("all links break, until all watchers know", turns.median(2), "ms", Target::None);
    report.verdict()
}

struct End;

messages! { End; }

/// Is watched, or comes and goes.
struct Ephemeral;

impl Process for Ephemeral {
    const NAME: &'static str = "ephemeral";
}

impl Handle<End> for Ephemeral {
    fn handle(&mut self, End: End, _: &Pid, ctx: &mut Context<Self>) {
        ctx.terminate();
    }
}

/// Watches another actor, and counts itself when that ends.
struct Linker {
    to: Option<Pid>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    count: AtomicUsize,
    all: Notify,
}

impl Process for Linker {
    const NAME: &'static str = "linker";
    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(to) = &self.to {
            ctx.link(to);
        }
    }
    fn exited(&mut self, _: &Pid, _: &mut Context<Self>) {
        if self.told.count.fetch_add(1, Ordering::Relaxed) + 1 == LINKS {
            self.told.all.notify_one();
        }
    }
}

/// Milliseconds of the actors that come and go, and of the links that break (0 if there are none).
async fn measure(linked: bool) -> (f64, f64) {
    let node = support::node().await;
    let told = Arc::new(Told::default());
    let mut watched: Vec<Address<Ephemeral>> = Vec::new();
    for _ in 0..LINKS {
        let ephemeral = node.spawn_numbered(Ephemeral);
        let to = linked.then(|| ephemeral.pid().clone());
        node.spawn_numbered(Linker { to, told: Arc::clone(&told) });
        watched.push(ephemeral);
    }
    let began = bench::now();
    let ephemerals: Vec<_> = (0..ITERATIONS)
        .map(|_| {
            let ephemeral = node.spawn_numbered(Ephemeral);
            ephemeral.tell(End);
            ephemeral
        })
        .collect();
    for ephemeral in ephemerals {
        ephemeral.wait().await;
    }
    let iterations = began.elapsed().as_secs_f64() * 1e3;
    let began = bench::now();
    if linked {
        watched.iter().for_each(Address::terminate);
        told.all.notified().await;
    }
    let links = began.elapsed().as_secs_f64() * 1e3;
    node.shutdown().await;
    (iterations, links)
}
