//! Hierarchical dominant resource fairness: a pure core and the Allocator actor around it
