//! Scheduler and executor libraries, the command executor, and frameworks that use them
