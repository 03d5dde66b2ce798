//! The Registrar: the only one who writes the registry (`registrar(1)`).
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Recover`] | the master, once, when it is elected | reads the registry, stores the new leader in it, answers with what it found |
//! | [`Apply`] | the master | applies one [`Operation`], stores the result, answers whether it succeeded |
//!
//! An operation that "fails" (an agent that is admitted already, say) is an answer of `false`;
//! an `Err` means that the store itself failed, and the master must end (upstream:
//! `master/registrar.cpp`). The Registrar knows nothing of frameworks, offers or tasks.

mod operation;

use libprocess::{Context, Handle, Message, Pid, Process, Promise, Recipient};
use mesos::internal::Registry;
use mesos::v1;

pub use operation::Operation;

/// Why the registry could not be read or written. Always fatal to the master.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistrarError {
    /// An operation arrived before `Recover` was answered.
    #[error("the registry has not been recovered yet")]
    NotRecovered,
    /// The store said no; the text names the store and what went wrong.
    #[error("{0}")]
    Storage(String),
}

/// Reads the registry and makes `info` its leader.
#[derive(Debug)]
pub struct Recover {
    /// The master that now leads.
    pub info: v1::MasterInfo,
    /// Set to the registry as it was found.
    pub reply: Promise<Result<Registry, RegistrarError>>,
}

impl Message for Recover {
    type Answer = ();
}

/// Applies one operation.
#[derive(Debug)]
pub struct Apply {
    /// What shall change.
    pub operation: Operation,
    /// Set, after the change is stored, to whether the operation was possible.
    pub reply: Promise<Result<bool, RegistrarError>>,
}

impl Message for Apply {
    type Answer = ();
}

/// How the master reaches its registrar, whichever actor that is.
#[derive(Clone)]
pub struct RegistrarHandle {
    /// For [`Recover`].
    pub recover: Recipient<Recover>,
    /// For [`Apply`].
    pub apply: Recipient<Apply>,
}

/// A registrar that remembers only as long as its process lives.
#[derive(Default)]
pub struct Registrar {
    registry: Registry,
    recovered: bool,
}

impl Registrar {
    /// With an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a registry as an earlier master would have left it.
    pub fn with(registry: Registry) -> Self {
        Self { registry, recovered: false }
    }
}

impl Process for Registrar {
    const NAME: &'static str = "registrar";
}

impl Handle<Recover> for Registrar {
    fn handle(&mut self, message: Recover, _: &Pid, _: &mut Context<Self>) {
        let found = self.registry.clone();
        self.registry.master = Some(mesos::internal::registry::Master { info: message.info });
        self.recovered = true;
        message.reply.set(Ok(found));
    }
}

impl Handle<Apply> for Registrar {
    fn handle(&mut self, message: Apply, _: &Pid, _: &mut Context<Self>) {
        if !self.recovered {
            message.reply.set(Err(RegistrarError::NotRecovered));
            return;
        }
        message.reply.set(Ok(message.operation.apply(&mut self.registry)));
    }
}
