//! The tests of the allocator from outside, one program: what is tested is linked once.
//!
//! Most speak to the core, by the names and texts of `common`; `against_the_model` holds it against `model`, which
//! knows nothing of it. `cargo test -p allocator --test main quota::` runs those of one file.

mod common;
mod model;

mod against_the_model;
mod constraints;
mod explain;
mod fairness;
mod filters;
mod lots;
mod maintenance;
mod metrics;
mod offers;
mod operations;
mod properties;
mod quota;
mod quota_changes;
mod quota_reservations;
mod reservations;
mod resource_providers;
mod shared;
mod shares;
mod timing;
mod totals;
mod upstream_table;
