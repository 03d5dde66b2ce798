//! Bytes that many answers have in common: a large document that was rendered once.
//!
//! Whoever has a clone has the same bytes, and finds them compressed if somebody had them so before. While they are on
//! their way to several readers, they count once ([`crate::budget`]). How they get there is [`super::pour`]'s affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::gzip;
use crate::budget::{Exhausted, Share};
use crate::node::Node;

/// A document in pieces, some of which other documents may share. Its clones are the same document.
#[derive(Debug, Clone)]
pub struct SharedBytes(Arc<Document>);

#[derive(Debug)]
struct Document {
    /// Of this document alone, in this process.
    id: u64,
    /// None is empty.
    pieces: Vec<Bytes>,
    length: usize,
    /// Once somebody has asked for it; `None` in it if it could not be compressed.
    packed: OnceCell<Option<SharedBytes>>,
}

impl SharedBytes {
    /// The document that consists of these pieces, in this order.
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> SharedBytes {
        static DOCUMENTS: AtomicU64 = AtomicU64::new(0);
        let pieces: Vec<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        SharedBytes(Arc::new(Document {
            id: DOCUMENTS.fetch_add(1, Ordering::Relaxed),
            length: pieces.iter().map(Bytes::len).sum(),
            pieces,
            packed: OnceCell::new(),
        }))
    }

    /// Its pieces; none is empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0.pieces
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// The same, compressed: once for all who ask, also at the same time.
    pub(crate) async fn packed(&self, node: &Node) -> Option<SharedBytes> {
        let pack = || async { Some(SharedBytes::new([gzip::pack_for(node, self.pieces()).await?])) };
        self.0.packed.get_or_init(pack).await.clone()
    }

    /// Counts it as one more body.
    pub(crate) fn count(&self, share: Share) -> Result<Share, Exhausted> {
        share.join(self.0.id, self.0.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gzip::packings;

    #[test]
    fn what_is_asked_for_compressed_again_and_again_is_compressed_once() {
        crate::testing::run(async {
            let node = Node::builder().offline().start().await.unwrap();
            for length in [10_000, 1_000_000] {
                let before = packings();
                let document = SharedBytes::new(["a".repeat(length), "b".repeat(length)].map(Bytes::from));
                let (first, second) = tokio::join!(document.packed(&node), document.packed(&node));
                let third = document.clone().packed(&node).await.unwrap();
                assert_eq!(packings() - before, 1, "{length}");
                for packed in [first.unwrap(), second.unwrap(), third] {
                    assert!(packed.len() < length);
                    assert!(Arc::ptr_eq(&packed.0, &document.0.packed.get().unwrap().as_ref().unwrap().0));
                }
                // The same bytes in another document are not known to be the same.
                SharedBytes::new(document.pieces().to_vec()).packed(&node).await.unwrap();
                assert_eq!(packings() - before, 2, "{length}");
            }
            node.shutdown().await;
        });
    }
}
