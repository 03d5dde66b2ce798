//! The random sorter in a run: lots instead of shares, and all other rules as ever.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use allocator::{Options, SorterKind};

fn by_lot(role_sorter: SorterKind, framework_sorter: SorterKind) -> Cluster {
    Cluster::with(Options { role_sorter, framework_sorter, ..Options::default() })
}

#[test]
fn a_heavier_role_is_offered_more_agents() {
    let mut cluster = by_lot(SorterKind::Random, SorterKind::Drf);
    for agent in 0..400 {
        cluster.agent(&format!("S{agent}"), "cpus:4;mem:1024");
    }
    cluster.framework("A", &["light"]);
    cluster.framework("B", &["heavy"]);
    cluster.framework("C", &["suppressed"]);
    cluster.core.suppress_offers(&framework_id("C"), &set(&[])).unwrap();
    cluster.core.update_weights(&BTreeMap::from([("heavy".to_owned(), 3.0), ("suppressed".to_owned(), 9.0)]));
    let counts = counts(&cluster.run());
    // A quarter of 400, with a standard deviation of 9.
    assert!((60..140).contains(&counts["A"]), "{counts:?}");
    assert_eq!(counts["A"] + counts["B"], 400);
}

#[test]
fn frameworks_of_a_role_draw_lots_whatever_they_hold() {
    let mut cluster = by_lot(SorterKind::Drf, SorterKind::Random);
    // By share, A would be offered nothing until B has as much.
    cluster.agent_using("S", "cpus:1000;mem:1000000", &[("A", "role", "cpus:1000;mem:1000000")]);
    cluster.framework("A", &["role"]);
    cluster.framework("B", &["role"]);
    for agent in 0..100 {
        cluster.agent(&format!("S{agent}"), "cpus:4;mem:1024");
    }
    let counts = counts(&cluster.run());
    assert!((25..75).contains(&counts["A"]), "{counts:?}");
    assert_eq!(counts["A"] + counts["B"], 100);
}
