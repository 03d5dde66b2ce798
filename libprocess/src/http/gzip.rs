//! Compression of answers, and requests that are compressed.

use std::io::{self, Cursor, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::server::MAX_REQUEST_BODY;
use crate::breath;
use crate::budget::{Exhausted, Share};
use crate::node::Node;

/// Bodies from this size on are compressed for those who accept it (upstream: `GZIP_MINIMUM_BODY_LENGTH`).
pub(crate) const GZIP_MINIMUM: usize = 1024;

/// A body that is shorter than this is compressed, or unpacked, at once: that takes less than handing it to another thread.
const PACKED_HERE: usize = 64 << 10;

/// So many bytes are compressed in about as long as an entity is rendered.
const PACKED_AT_ONCE: usize = 1 << 10;

/// After so many bytes it is looked at how many may still come.
const STEP: usize = 1 << 20;

/// For what is sent once, or is of value for a short time.
pub(crate) const FAST: Compression = Compression::new(1);

/// For what is sent often.
pub(crate) const SMALL: Compression = Compression::new(9);

/// Compresses. Writing into memory does not fail; if it did, there would be nothing.
pub(crate) fn pack(pieces: &[impl AsRef<[u8]>], level: Compression) -> Option<Bytes> {
    #[cfg(test)]
    PACKINGS.set(PACKINGS.get() + 1);
    let length: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 4), level);
    for part in pieces.iter().flat_map(|piece| piece.as_ref().chunks(PACKED_AT_ONCE)) {
        encoder.write_all(part).ok()?;
        breath::spend(breath::RENDERED);
    }
    encoder.finish().ok().map(Bytes::from)
}

/// Compresses a body; a large one not on this thread, on which others wait.
pub(crate) async fn pack_for(node: &Node, pieces: &[Bytes]) -> Option<Bytes> {
    if pieces.iter().map(Bytes::len).sum::<usize>() < PACKED_HERE {
        return pack(pieces, FAST);
    }
    let pieces = pieces.to_vec();
    node.background(move || pack(&pieces, FAST)).await
}

/// Why a body is not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("Failed to decompress the body: {0}")]
    Malformed(#[from] io::Error),
    #[error("The body of a request is too large")]
    TooLarge,
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// Unpacks the body of a request (upstream's decoder does, too), within the limits of those that come unpacked. One that is
/// large, or gets large (how much a few bytes hold is seen only then), is not unpacked on this thread, on which others wait; nor
/// on those for long computations, where a call would wait until others' answers are rendered.
pub(crate) async fn unpack_for(node: &Node, body: Bytes, share: &mut Share) -> Result<Bytes, UnpackError> {
    let is_short = body.len() < PACKED_HERE;
    let mut unpacking = Unpacking { decoder: GzDecoder::new(Cursor::new(body)), unpacked: Vec::new() };
    if is_short && unpacking.step(PACKED_HERE)? {
        return unpacking.end(share);
    }
    // The share goes with the work, which nobody may be waiting for any more while it is done.
    let another = share.another();
    let mut held = std::mem::replace(share, another);
    let work = move || {
        let unpacked = unpacking.rest(&mut held);
        (unpacked, held)
    };
    let (unpacked, held) = node.blocking(work).await;
    *share = held;
    unpacked
}

/// A body of which a part is unpacked.
struct Unpacking {
    decoder: GzDecoder<Cursor<Bytes>>,
    unpacked: Vec<u8>,
}

impl Unpacking {
    /// Unpacks so many bytes more, if there are as many. True: there were fewer.
    fn step(&mut self, bytes: usize) -> io::Result<bool> {
        let read = Read::by_ref(&mut self.decoder).take(bytes as u64).read_to_end(&mut self.unpacked)?;
        #[cfg(test)]
        UNPACKED.set(UNPACKED.get() + read);
        Ok(read < bytes)
    }

    /// Unpacks all that is left.
    fn rest(mut self, share: &mut Share) -> Result<Bytes, UnpackError> {
        let packed = self.decoder.get_ref().get_ref().len();
        while !self.step(STEP)? {
            if self.unpacked.len() > MAX_REQUEST_BODY {
                return Err(UnpackError::TooLarge);
            }
            share.set(packed.max(self.unpacked.len()))?;
        }
        self.end(share)
    }

    /// The body, of which all is unpacked.
    fn end(self, share: &mut Share) -> Result<Bytes, UnpackError> {
        if self.unpacked.len() > MAX_REQUEST_BODY {
            return Err(UnpackError::TooLarge);
        }
        share.set(self.unpacked.len())?;
        Ok(self.unpacked.into())
    }
}

#[cfg(test)]
thread_local! {
    static PACKINGS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    /// How many bytes this thread has unpacked.
    static UNPACKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has compressed something.
#[cfg(test)]
pub(crate) fn packings() -> usize {
    PACKINGS.get()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;
    use crate::budget::Budget;

    fn share(limit: usize) -> Share {
        Arc::new(Budget::new(limit)).share(IpAddr::from([10, 0, 0, 1]))
    }

    #[test]
    fn a_body_that_is_or_gets_large_is_unpacked_on_another_thread() {
        crate::run(async {
            // A node that is offline keeps to one thread.
            let node = Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
            let mut share = share(64 << 20);
            for (length, level, here) in
                [(1000, FAST, 1000), (3 << 20, FAST, PACKED_HERE), (3 << 20, Compression::none(), 0)]
            {
                let body = Bytes::from(vec![b'x'; length]);
                let packed = pack(&[&body], level).unwrap();
                let before = UNPACKED.get();
                let unpacked = unpack_for(&node, packed, &mut share).await.unwrap();
                assert!(unpacked == body, "{length}");
                assert_eq!(UNPACKED.get() - before, here, "{length}");
            }
            node.shutdown().await;
        });
    }

    #[test]
    fn what_a_body_unpacks_to_counts_while_it_is_unpacked() {
        crate::run(async {
            let node = Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
            let packed = pack(&[vec![0_u8; 16 << 20]], FAST).unwrap();
            // One host may have half.
            let mut little = share(8 << 20);
            let refused = unpack_for(&node, packed.clone(), &mut little).await;
            assert!(matches!(refused, Err(UnpackError::Exhausted(Exhausted))), "{refused:?}");
            // It was given back, and there is no room for more than before.
            assert_eq!((little.set(4 << 20), little.set(8 << 20)), (Ok(()), Err(Exhausted)));
            let mut enough = share(32 << 20);
            assert_eq!(unpack_for(&node, packed.clone(), &mut enough).await.unwrap().len(), 16 << 20);
            // What ends too early, or is none.
            for broken in [packed.slice(..packed.len() - 1), Bytes::from_static(b"nonsense")] {
                let refused = unpack_for(&node, broken, &mut enough).await;
                assert!(matches!(refused, Err(UnpackError::Malformed(_))), "{refused:?}");
            }
            node.shutdown().await;
        });
    }
}
