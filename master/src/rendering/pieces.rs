//! A body that is put together of what is rendered already, without copying what is large.

use bytes::Bytes;
use libprocess::http::SharedBytes;

/// What is smaller than this is copied into its neighbours: a piece of its own costs more than that.
const SHARED_FROM: usize = 16 << 10;

/// A body in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    closed: Vec<Bytes>,
    /// What goes behind them.
    open: Vec<u8>,
    length: usize,
}

impl Pieces {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends by copying.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) {
        self.open.extend_from_slice(text.as_ref());
        self.length += text.as_ref().len();
    }

    /// Appends, by sharing if it is large.
    pub(crate) fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_FROM {
            return self.text(bytes);
        }
        self.close();
        self.closed.push(bytes.clone());
        self.length += bytes.len();
    }

    /// Appends another body.
    pub(crate) fn append(&mut self, other: &Self) {
        for piece in &other.closed {
            self.share(piece);
        }
        self.text(&other.open);
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All pieces in order.
    pub(crate) fn into_pieces(mut self) -> Vec<Bytes> {
        self.close();
        self.closed
    }

    /// The body is complete, and may be shared.
    pub(crate) fn complete(self) -> SharedBytes {
        SharedBytes::new(self.into_pieces())
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.closed.push(std::mem::take(&mut self.open).into());
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        let mut pieces = Self::new();
        pieces.share(&bytes);
        pieces
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(bytes: Vec<u8>) -> Self {
        Self { closed: Vec::new(), length: bytes.len(), open: bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_shared_and_what_is_small_is_joined() {
        let large = Bytes::from(vec![b'x'; SHARED_FROM]);
        let mut body = Pieces::new();
        body.text("a");
        body.share(&Bytes::from_static(b"b"));
        body.share(&large);
        let mut whole = Pieces::new();
        whole.text("(");
        whole.append(&body);
        whole.text(")");
        assert_eq!(whole.len(), SHARED_FROM + 4);
        let pieces = whole.into_pieces();
        assert_eq!(pieces.len(), 3);
        assert_eq!((&pieces[0][..], &pieces[2][..]), (&b"(ab"[..], &b")"[..]));
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    }
}
