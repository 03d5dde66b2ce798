//! Clusters for tests and benchmarks: of real processes, also under fire ([`chaos`]), or simulated ([`simulation`]).
//!
//! [`Cluster`] starts `mesos` daemons on ports that the kernel gave, waits for conditions instead of
//! sleeping, shows the daemons' logs when a test fails, and leaves nothing behind. [`ApiScheduler`] is a
//! framework that speaks the v1 API by hand, a JSON value at a time, so that a test decides each step
//! and nothing of our own scheduler library stands between it and the master.
//!
//! [`recorded`] repeats conversations that genuine Mesos had.
//!
//! All modules but [`simulation`] know the daemons only as a user does: by their command line, their HTTP endpoints
//! and their logs ([`chaos::promises`] reads agents' checkpoints, too).

pub mod api_scheduler;
pub mod bench;
pub mod binary;
pub mod chaos;
pub mod cluster;
pub mod daemon;
pub mod disk;
pub mod etcd;
pub mod libmesos;
pub mod mode;
pub mod ports;
pub mod recorded;
pub mod secrets;
pub mod simulation;
pub mod wait;
pub mod wire;
pub mod zookeeper;

pub use api_scheduler::ApiScheduler;
pub use cluster::{AgentSpec, Cluster};
pub use daemon::{Daemon, command};

/// The name of the user who runs the tests, which their tasks run as. (`USER` may lack, or be another's.)
pub fn own_user() -> String {
    let id = nix::unistd::Uid::effective();
    let user = nix::unistd::User::from_uid(id).expect("users can be looked up");
    user.expect("whoever runs the tests has a name on this host").name
}

/// Runs a blocking call on a thread of its own, so that the cluster's own tasks go on.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // The receiver is gone only if the test has failed already.
        let _ = sender.send(work());
    });
    receiver.await.expect("the call returns")
}
