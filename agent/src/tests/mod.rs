//! The agent's actors together, on an offline node with a paused clock: a master that only listens,
//! containers that are entries in a table, and executors that are the test itself.

mod cleaning_up;
mod containers;
mod draining;
mod executor_api;
mod executors;
mod harness;
mod housekeeping;
mod http;
mod masters;
mod operations;
mod operator_api;
mod past_tasks;
mod reaching_a_master;
mod reboots;
mod recovery_failures;
mod restarts;
mod simulated;
mod spilling;
mod status_updates;
mod task_groups;
mod tasks;
