//! The Mesos agent: executors, tasks, containers, status updates and the HTTP APIs
