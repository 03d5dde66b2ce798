//! Compression of answers.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::node::Node;

/// Bodies from this size on are compressed for those who accept it (upstream: `GZIP_MINIMUM_BODY_LENGTH`).
pub(crate) const GZIP_MINIMUM: usize = 1024;

/// A body that is shorter than this is compressed at once: that takes less than handing it to another thread.
const PACKED_HERE: usize = 64 << 10;

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
    for piece in pieces {
        encoder.write_all(piece.as_ref()).ok()?;
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

#[cfg(test)]
thread_local! {
    static PACKINGS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has compressed something.
#[cfg(test)]
pub(crate) fn packings() -> usize {
    PACKINGS.get()
}
