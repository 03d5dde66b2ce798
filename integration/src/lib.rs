//! Clusters of real processes and real clients, for tests and benchmarks
