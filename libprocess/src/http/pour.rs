//! Large documents on their way to one reader: in slices, as the connection takes them.
//!
//! A [`Pour`] is asked for the next slice by the task that serves the connection, on its thread, whenever there is room.
//! It copies nothing and holds nothing but the document. A stream may begin with one ([`Opening`]): then it must be taken
//! at the pace of any other answer, which the gate sees to, and is counted as one.

use bytes::Bytes;

use super::body::{Body, BodyReceiver};
use super::shared::SharedBytes;
use crate::budget::{Exhausted, Share};

/// Bytes that are given to actix-http at once: it copies what it is given into its buffer, so no more than that waits for
/// a slow peer.
pub(super) const SLICE: usize = 64 << 10;

/// A document of which so much has been given away.
#[derive(Debug)]
pub(crate) struct Pour {
    document: SharedBytes,
    /// Pieces that were begun.
    begun: usize,
    /// What is left of the last of them.
    rest: Bytes,
}

impl Pour {
    /// Nothing is given away yet.
    pub(crate) fn new(document: SharedBytes) -> Pour {
        Pour { document, begun: 0, rest: Bytes::new() }
    }

    /// The bytes of the whole document.
    pub(crate) fn len(&self) -> usize {
        self.document.len()
    }

    /// The next bytes; at its end, `None`.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.rest = self.document.pieces().get(self.begun)?.clone();
            self.begun += 1;
        }
        next_slice(&mut self.rest)
    }
}

/// The next bytes of one piece.
pub(super) fn next_slice(bytes: &mut Bytes) -> Option<Bytes> {
    let length = bytes.len().min(SLICE);
    (length > 0).then(|| bytes.split_to(length))
}

/// What a stream begins with, on its way.
#[derive(Debug)]
pub(super) struct Beginning {
    pour: Pour,
    _share: Option<Share>,
}

impl Beginning {
    pub(super) fn new(document: SharedBytes) -> Beginning {
        Beginning { pour: Pour::new(document), _share: None }
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.pour.next()
    }

    /// Counts it, for as long as it is on its way.
    pub(super) fn count(&mut self, share: Share) -> Result<(), Exhausted> {
        self._share = Some(self.pour.document.count(share)?);
        Ok(())
    }
}

/// A stream that cannot be read yet, because what it begins with is being made ([`super::opened_stream`]). Dropping it
/// tells the writers that nobody reads.
#[derive(Debug)]
#[must_use]
pub struct Opening(pub(super) BodyReceiver);

impl Opening {
    /// The stream that begins with this document. What was sent meanwhile, and is sent from now on, comes behind it.
    pub fn with(self, document: SharedBytes) -> Body {
        let Opening(mut receiver) = self;
        receiver.begin_with(Beginning::new(document));
        Body::Stream(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_given_away_in_slices_and_whole() {
        let pieces = [vec![1; 3], vec![], vec![2; SLICE * 2 + 1], vec![3; SLICE]].map(Bytes::from);
        let mut pour = Pour::new(SharedBytes::new(pieces.clone()));
        let slices: Vec<Bytes> = std::iter::from_fn(|| pour.next()).collect();
        let lengths: Vec<usize> = slices.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [3, SLICE, SLICE, 1, SLICE]);
        assert_eq!(slices.concat(), pieces.concat());
        // Nothing was copied.
        assert_eq!(slices[1].as_ptr(), pieces[2].as_ptr());
        assert_eq!(pour.next(), None);
    }
}
