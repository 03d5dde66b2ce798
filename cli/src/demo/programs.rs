//! The three programs of the demo, and the truth that their results are compared with.

use std::net::SocketAddr;

use election::MasterUrl;
use frameworks::integrate::{self, IntegrateOptions};
use frameworks::progress::{Progress, ProgressSink};
use frameworks::sum::{self, SumOptions};
use libprocess::Node;

use super::COMMAND;
use super::progress::ProgressLine;
use crate::settings::{Failure, own_binary, own_user};

/// 0 + 1 + ... + (2·10⁹ − 1)
const TRUE_SUM: u64 = 1_999_999_999_000_000_000;

/// Runs one after the other; fails at the first that does.
pub(super) async fn run_all(node: &Node, master: SocketAddr) -> Result<(), Failure> {
    let url = MasterUrl::Standalone(master.to_string());
    let (user, binary) = (own_user()?, own_binary()?);

    say!("\nsum: 0 + 1 + ... + 1999999999, each term added, in ten tasks");
    let options = SumOptions::new(url.clone(), &user, &binary);
    let outcome = sum::run(node, options, Shown::new()).await.map_err(|error| Failure::of(COMMAND, error))?;
    say!("  sum = {}  (error {})", outcome.sum, outcome.sum.abs_diff(TRUE_SUM));
    if outcome.sum != TRUE_SUM {
        return Err(Failure::of(COMMAND, format!("the sum should be {TRUE_SUM}")));
    }

    for (expression, from, to, name, truth) in [
        ("4*sqrt(1-x*x)", 0.0, 1.0, "π", std::f64::consts::PI),
        ("1/x", 1.0, 2.0, "ln 2", std::f64::consts::LN_2),
    ] {
        say!("\nintegrate: {expression} over [{from}, {to}] in 1000000 steps");
        let options = IntegrateOptions::new(url.clone(), (expression, from, to), &user, &binary);
        let outcome =
            integrate::run(node, options, Shown::new()).await.map_err(|error| Failure::of(COMMAND, error))?;
        let error = (outcome.integral - truth).abs();
        say!("  {name} = {}  (error {error:.1e})", outcome.integral);
        // The trapezoid rule with a million steps is far better than this, also at the circle's steep end.
        if error.is_nan() || error > 1e-6 {
            return Err(Failure::of(COMMAND, format!("{name} should be {truth}")));
        }
    }
    Ok(())
}

/// Draws the progress of one program.
struct Shown(ProgressLine);

impl Shown {
    fn new() -> Self {
        Self(ProgressLine::new())
    }
}

impl ProgressSink for Shown {
    fn show(&mut self, progress: &Progress) {
        let tasks = progress.tasks;
        let details = match &progress.too_small {
            Some(needed) => format!("tasks done; {} offers, none with {needed}", progress.offers),
            None => format!(
                "tasks done; {} offers, {} running, {} staging, {} waiting",
                progress.offers, tasks.running, tasks.staging, tasks.waiting
            ),
        };
        self.0.show(tasks.done, tasks.total, &details);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish();
    }
}
