//! The vocabulary of Mesos: protocol messages and their JSON, ids, resources, roles, settings
