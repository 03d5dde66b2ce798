//! The Mesos master: frameworks, agents, offers and tasks, and the scheduler and operator APIs.

pub mod cluster;
pub mod registrar;
pub mod validation;
