//! The registry in a real ZooKeeper: what survives a master, and what a deposed leader cannot do.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use integration::wait;
use integration::zookeeper::Ensemble;

#[test]
fn an_ensemble_goes_on_without_its_leader() {
    libprocess::run(async {
        let Some(mut ensemble) = Ensemble::start().await else { return };
        let another = async |ensemble: &Ensemble, than: usize| {
            wait::until("another server to lead", async || match ensemble.leader().await {
                Some(leader) if leader != than => Ok(leader),
                other => Err(format!("{other:?}")),
            })
            .await
        };
        let first = ensemble.leader().await.unwrap();
        ensemble.crash(first);
        let second = another(&ensemble, first).await;
        ensemble.restart(first);
        ensemble.wait_for(first).await;
        ensemble.freeze(second);
        another(&ensemble, second).await;
        ensemble.resume(second);
        ensemble.wait_for(second).await;
    });
}
