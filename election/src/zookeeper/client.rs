//! [`ZooKeeperClient`]: a session with ZooKeeper for whoever keeps more there than the group of masters.
//!
//! It reads nodes, and changes them in transactions that may demand that another node is there, and that a node is
//! as it was read. A transaction whose answer is lost has an unknown outcome ([`TransactionError::Unknown`]): its
//! maker must find out. The client knows nothing of what the nodes hold.

use std::time::Duration;

use zookeeper_client::{
    Acls, Client, CreateMode, CreateOptions, Error, MultiWriteError, MultiWriteResult, MultiWriter,
};

use super::{connect, group_acls, make_path, sort};
use crate::group::GroupError;
use crate::url::ZooKeeperUrl;

/// A session; dropping it ends it. Clones share it. A connection that breaks comes back by itself within the session.
#[derive(Clone)]
pub struct ZooKeeperClient {
    client: Client,
    url: ZooKeeperUrl,
    /// Who may do what with the nodes that it makes.
    acls: Acls<'static>,
}

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node must be there.
    Exists {
        /// Which.
        path: String,
    },
    /// A new node; it must not be there yet, and its parent must.
    Create {
        /// Which.
        path: String,
        /// What it holds.
        data: Vec<u8>,
    },
    /// What a node holds from now on; it must be there.
    Set {
        /// Which.
        path: String,
        /// What it holds.
        data: Vec<u8>,
        /// The version that it must have; any, if there is none.
        version: Option<i32>,
    },
    /// A node goes; it must be there.
    Delete {
        /// Which.
        path: String,
    },
}

impl Step {
    /// The node that it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Exists { path }
            | Self::Create { path, .. }
            | Self::Set { path, .. }
            | Self::Delete { path } => path,
        }
    }

    fn add(&self, writer: &mut MultiWriter<'_>, options: &CreateOptions<'_>) -> Result<(), Error> {
        match self {
            // Version -1 is any.
            Self::Exists { path } => writer.add_check_version(path, -1),
            Self::Create { path, data } => writer.add_create(path, data, options),
            Self::Set { path, data, version } => writer.add_set_data(path, data, *version),
            Self::Delete { path } => writer.add_delete(path, None),
        }
    }
}

/// Why a transaction has not happened, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// It has not happened: this step was not possible.
    #[error("{reason}")]
    Refused {
        /// The step's place in the transaction.
        step: usize,
        /// What ZooKeeper said of it.
        reason: String,
    },
    /// It has not happened, and trying again cannot help.
    #[error("{0}")]
    Fatal(String),
    /// The answer was lost: it may have happened, or may happen yet.
    #[error("{0}")]
    Unknown(String),
}

impl ZooKeeperClient {
    /// Starts a session. Nodes that this client makes are its credentials' own, if there are any; else everyone's.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn connect(url: &ZooKeeperUrl, timeout: Duration) -> Result<Self, GroupError> {
        let client = connect(url, timeout).await?;
        let acls = if url.credentials.is_some() { Acls::creator_all() } else { Acls::anyone_all() };
        Ok(Self { client, url: url.clone(), acls })
    }

    /// Makes the path of the URL as the group does, if it is missing.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn make_path(&self) -> Result<(), GroupError> {
        make_path(&self.client, &self.url.path, group_acls(&self.url)).await
    }

    /// Whether the session has ended; then only a new one helps.
    pub fn is_over(&self) -> bool {
        self.client.state().is_terminated()
    }

    /// What is read after this is at least as new as anything that was acknowledged before it.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn sync(&self, path: &str) -> Result<(), GroupError> {
        self.client.sync(path).await.map_err(|error| sort(error, &format!("syncing '{path}'")))
    }

    /// What a node holds, and its version; `None` when it is not there.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn read(&self, path: &str) -> Result<Option<(Vec<u8>, i32)>, GroupError> {
        match self.client.get_data(path).await {
            Ok((data, stat)) => Ok(Some((data, stat.version))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(sort(error, &format!("reading '{path}'"))),
        }
    }

    /// The names of the nodes below one. None, too, when that is not there.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>, GroupError> {
        match self.client.list_children(path).await {
            Err(Error::NoNode) => Ok(Vec::new()),
            listed => listed.map_err(|error| sort(error, &format!("listing '{path}'"))),
        }
    }

    /// Makes a node unless it is there already.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn ensure(&self, path: &str, data: &[u8]) -> Result<(), GroupError> {
        match self.client.create(path, data, &CreateMode::Persistent.with_acls(self.acls)).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(sort(error, &format!("creating '{path}'"))),
        }
    }

    /// Takes all steps or none. Answers the new version of each node that was [`Step::Set`], in their order.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn transaction(&self, steps: &[Step]) -> Result<Vec<i32>, TransactionError> {
        let mut writer = self.client.new_multi_writer();
        let options = CreateMode::Persistent.with_acls(self.acls);
        for step in steps {
            step.add(&mut writer, &options)
                .map_err(|error| TransactionError::Fatal(format!("ZooKeeper, '{}': {error}", step.path())))?;
        }
        match writer.commit().await {
            Ok(results) => Ok(results.into_iter().filter_map(version).collect()),
            Err(MultiWriteError::OperationFailed { index, source }) => {
                let reason = match steps.get(index) {
                    Some(step) => format!("ZooKeeper, '{}': {source}", step.path()),
                    None => format!("ZooKeeper: {source}"),
                };
                Err(match source {
                    Error::NoAuth | Error::InvalidAcl => TransactionError::Fatal(reason),
                    _ => TransactionError::Refused { step: index, reason },
                })
            }
            Err(MultiWriteError::RequestFailed { source }) => Err(match sort(source, "writing") {
                GroupError::Fatal(reason) => TransactionError::Fatal(reason),
                GroupError::Retry(reason) | GroupError::Session(reason) => TransactionError::Unknown(reason),
            }),
        }
    }
}

fn version(result: MultiWriteResult) -> Option<i32> {
    match result {
        MultiWriteResult::SetData { stat } => Some(stat.version),
        _ => None,
    }
}
