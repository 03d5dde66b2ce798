//! Compression of answers.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bodies from this size on are compressed for those who accept it (upstream: `GZIP_MINIMUM_BODY_LENGTH`).
pub(crate) const GZIP_MINIMUM: usize = 1024;

/// For what is sent once.
pub(crate) const FAST: Compression = Compression::new(1);

/// For what is sent often.
pub(crate) const SMALL: Compression = Compression::new(9);

/// Compresses. Writing into memory does not fail; if it did, there would be nothing.
pub(crate) fn pack(pieces: &[impl AsRef<[u8]>], level: Compression) -> Option<Bytes> {
    let length: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 4), level);
    for piece in pieces {
        encoder.write_all(piece.as_ref()).ok()?;
    }
    encoder.finish().ok().map(Bytes::from)
}
