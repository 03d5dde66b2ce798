//! A file that says where the masters are, and may change while somebody reads it: an operator moves a cluster to another
//! master by writing its address there. (Upstream reads such a file once.)
//!
//! The file is looked at every two seconds. What it says is followed when it makes sense; a file that is missing, or says
//! something else, is warned about once, and what it said before holds. This module knows no actor, and does not know
//! what is done with an address.

use std::time::Duration;

use libprocess::Node;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::url::{MasterFile, MasterUrl, UrlError};

/// How often the file is looked at.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// Waits until the file says something else than `known`, and returns that.
pub async fn changed(node: &Node, file: &MasterFile, known: &MasterUrl) -> MasterUrl {
    let mut warned: Option<UrlError> = None;
    loop {
        sleep(INTERVAL).await;
        match look(node, file).await {
            Ok(url) if url == *known => warned = None,
            Ok(url) => {
                info!(file = %file.path.display(), master = %url, "the masters are to be found elsewhere now");
                return url;
            }
            Err(error) if warned.as_ref() == Some(&error) => {}
            Err(error) => {
                warn!(file = %file.path.display(), %error, master = %known, "the file makes no sense; what it said before holds");
                warned = Some(error);
            }
        }
    }
}

async fn look(node: &Node, file: &MasterFile) -> Result<MasterUrl, UrlError> {
    let path = file.path.clone();
    node.blocking(move || {
        let content = std::fs::read_to_string(&path).map_err(|error| UrlError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        // It may name files in turn.
        MasterUrl::from_text(content.trim())
    })
    .await
}
