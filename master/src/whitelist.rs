//! Watches the file of `--whitelist`: the host names of the agents that may be offered (upstream:
//! `watcher/whitelist_watcher.cpp`).
//!
//! | receives | from | does |
//! |---|---|---|
//! | `Look` | itself, [`INTERVAL`] after the last look | reads the file, and tells the allocator if the list is another one |
//!
//! The file has one name a line; names are taken as they are, blanks included, and empty lines are passed over. A file
//! without names excludes every agent. One that cannot be read changes nothing: what was read before holds, and before
//! the first time that it can be read every agent is offered. Reading happens off the actor's thread.
//!
//! It knows nothing of agents: a name that none of them has is no mistake. What was offered before a change stays offered.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use allocator::messages::UpdateWhitelist;
use libprocess::{Address, Context, Handle, Node, Pid, Process, Recipient, messages};

/// How long a change of the file may go unnoticed (upstream: `WHITELIST_WATCH_INTERVAL`).
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// What upstream's flag said for "every agent" before it could be left out. It still takes it.
const EVERYBODY: &str = "*";

#[derive(Debug, Clone)]
struct Look;

messages! { Look; }

/// The actor `whitelist(1)`. See the module.
pub(crate) struct WhitelistWatcher {
    path: PathBuf,
    allocator: Recipient<UpdateWhitelist>,
    /// What the allocator was told last; `None` if nothing yet: it offers every agent.
    told: Option<BTreeSet<String>>,
    /// Why the file could not be read the last time.
    trouble: Option<String>,
}

/// Watches the file that `--whitelist` names, if it names one, for an allocator that is initialized already.
pub(crate) fn watch(
    path: Option<&Path>,
    allocator: Recipient<UpdateWhitelist>,
    node: &Node,
) -> Option<Address<WhitelistWatcher>> {
    let path = path?;
    if path == Path::new(EVERYBODY) {
        tracing::warn!("--whitelist=* is deprecated: every agent is offered if the flag is left out");
        return None;
    }
    let path = path.to_owned();
    Some(node.spawn_numbered(WhitelistWatcher { path, allocator, told: None, trouble: None }))
}

impl WhitelistWatcher {
    fn look(&self, ctx: &mut Context<Self>) {
        let (node, path) = (ctx.node().clone(), self.path.clone());
        let disk = node.disk().clone();
        let read = async move { node.blocking(move || disk.read(&path)).await };
        ctx.defer(read, |this, read, ctx| {
            this.note(read);
            // Only now: a file that is slow to read is not asked for twice at once.
            ctx.after(INTERVAL, Look);
        });
    }

    fn note(&mut self, read: io::Result<Vec<u8>>) {
        let path = self.path.display();
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    let holds = if self.told.is_some() { "what it said before" } else { "every agent" };
                    tracing::error!(%path, %error, offered = holds, "the agent whitelist cannot be read");
                    self.trouble = Some(trouble);
                }
                return;
            }
        };
        if self.trouble.take().is_some() {
            tracing::info!(%path, "the agent whitelist can be read");
        }
        let listed = names(&bytes);
        if self.told.as_ref() != Some(&listed) {
            tracing::info!(%path, hosts = listed.len(), "the agent whitelist changed");
            self.allocator.tell(UpdateWhitelist(Some(listed.clone())));
            self.told = Some(listed);
        }
    }
}

/// The names in a file. Bytes that are no text make a name that no agent has.
fn names(bytes: &[u8]) -> BTreeSet<String> {
    String::from_utf8_lossy(bytes).split('\n').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

impl Process for WhitelistWatcher {
    // Upstream's name.
    const NAME: &'static str = "whitelist";

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.look(ctx);
    }
}

impl Handle<Look> for WhitelistWatcher {
    fn handle(&mut self, _: Look, _: &Pid, ctx: &mut Context<Self>) {
        self.look(ctx);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use libprocess::testing;
    use parking_lot::Mutex;

    use super::*;

    /// A file that is watched, and what the allocator has been told of it.
    struct Watched {
        directory: tempfile::TempDir,
        told: Arc<Mutex<Vec<Option<BTreeSet<String>>>>>,
        _node: Node,
    }

    impl Watched {
        async fn start() -> Self {
            let node = Node::builder().offline().start().await.unwrap();
            let directory = tempfile::tempdir().unwrap();
            let told = Arc::<Mutex<Vec<_>>>::default();
            let log = told.clone();
            let allocator = Recipient::from_fn(Pid::nobody(), move |message: UpdateWhitelist, _: &Pid| {
                log.lock().push(message.0);
            });
            let watcher = watch(Some(&directory.path().join("list")), allocator, &node).unwrap();
            assert_eq!(watcher.pid().id(), "whitelist(1)");
            tokio::time::sleep(Duration::from_secs(1)).await;
            Self { directory, told, _node: node }
        }

        /// What the allocator is told within an interval after the file was written.
        async fn write(&self, text: &str) -> Vec<Option<BTreeSet<String>>> {
            std::fs::write(self.directory.path().join("list"), text).unwrap();
            self.wait().await
        }

        async fn wait(&self) -> Vec<Option<BTreeSet<String>>> {
            tokio::time::sleep(INTERVAL).await;
            std::mem::take(&mut *self.told.lock())
        }
    }

    fn listed(names: &[&str]) -> Vec<Option<BTreeSet<String>>> {
        vec![Some(names.iter().map(ToString::to_string).collect())]
    }

    #[test]
    fn a_list_is_told_when_it_is_another_one() {
        testing::run(async {
            let file = Watched::start().await;
            assert_eq!(file.write("b\na").await, listed(&["a", "b"]));
            assert_eq!(file.wait().await, []);
            assert_eq!(file.write("a\n\nb\na\n").await, [], "in another order, and one twice");
            assert_eq!(file.write("a\n").await, listed(&["a"]));
            assert_eq!(file.write(" a\r\n").await, listed(&[" a\r"]), "names are taken as they are");
            assert_eq!(file.write("").await, listed(&[]));
            assert_eq!(file.write("\n").await, [], "no names, as before");
        });
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        testing::run(async {
            let file = Watched::start().await;
            assert_eq!(*file.told.lock(), [], "there is no file yet");
            assert_eq!(file.write("a").await, listed(&["a"]));
            let path = file.directory.path().join("list");
            std::fs::remove_file(&path).unwrap();
            assert_eq!(file.wait().await, []);
            std::fs::create_dir(&path).unwrap();
            assert_eq!(file.wait().await, []);
            std::fs::remove_dir(&path).unwrap();
            assert_eq!(file.write("a").await, []);
            assert_eq!(file.write("b").await, listed(&["b"]));
        });
    }

    #[test]
    fn an_asterisk_is_no_path() {
        testing::run(async {
            let node = Node::builder().offline().start().await.unwrap();
            let nobody = || Recipient::from_fn(Pid::nobody(), |_: UpdateWhitelist, _: &Pid| {});
            assert!(watch(Some(Path::new("*")), nobody(), &node).is_none());
            assert!(watch(None, nobody(), &node).is_none());
        });
    }
}
