//! Clusters of real processes and real clients, one program: what is tested is linked once.
//!
//! One test at a time (`--test-threads 1`): each starts processes of its own, and ends them.
//! `cargo test -p integration --test processes volumes:: -- --test-threads 1` runs those of one file, which says at its top
//! what it is about.

mod agent_ends;
mod chaos;
mod commands;
mod demo;
mod documentation;
mod driver_bytes;
mod election;
mod etcd;
mod etcd_tls;
mod failures;
mod libmesos;
mod mesoshttp;
mod openapi;
mod pages;
mod pymesos;
mod recorded;
mod refusals;
mod registry;
mod registry_command;
mod sharing;
mod simulation;
mod single_master;
mod tls;
mod upgrade;
mod users;
mod volumes;
mod zookeeper_group;
