//! The Mesos master: frameworks, agents, offers, tasks, the registrar and the HTTP APIs
