//! RecordIO: how a stream of messages is cut into records, each its length in decimal, a newline,
//! and that many bytes (upstream: `3rdparty/stout/include/stout/recordio.hpp`).
//!
//! It knows nothing of what a record holds, and does no I/O: bytes go in, records come out.

use bytes::Bytes;

/// Why a stream is no RecordIO. After an error the decoder gives the same one for ever, since
/// nobody can tell where the next record begins.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The length is not a number.
    #[error("failed to decode length '{0}': expected decimal digits and a newline")]
    Length(String),
    /// A record larger than the decoder takes.
    #[error("a record of {length} bytes is larger than the {limit} that are taken")]
    TooLarge {
        /// What the header says.
        length: u64,
        /// What the decoder was made with.
        limit: usize,
    },
    /// The stream ended within a record or a length.
    #[error("the stream ended within a record")]
    Truncated,
}

/// The record with its length before it.
pub fn encode(record: &[u8]) -> Vec<u8> {
    let mut framed = format!("{}\n", record.len()).into_bytes();
    framed.extend_from_slice(record);
    framed
}

/// Cuts a stream that arrives in pieces into records.
///
/// It holds at most one unfinished record, of at most `limit` bytes, and a length of at most 20
/// digits.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// Bytes of the length or of the record that are not all there yet.
    partial: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Length,
    Record { length: usize },
    Failed(Error),
}

/// As many digits as the largest 64-bit number has.
const MAX_DIGITS: usize = 20;

impl Decoder {
    /// A decoder that refuses records larger than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, partial: Vec::new(), state: State::Length }
    }

    /// Takes the next piece of the stream and gives the records that it completes, in order.
    ///
    /// # Errors
    /// On a length that is no number or beyond the limit. Records completed before it in the same
    /// piece are lost with it: the stream is broken.
    pub fn feed(&mut self, mut data: &[u8]) -> Result<Vec<Bytes>, Error> {
        let mut records = Vec::new();
        loop {
            match &self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Length => match self.read_length(&mut data) {
                    Ok(Some(length)) => self.state = State::Record { length },
                    Ok(None) => return Ok(records),
                    Err(error) => self.state = State::Failed(error),
                },
                State::Record { length } => {
                    let wanted = length - self.partial.len();
                    let (piece, rest) = data.split_at(wanted.min(data.len()));
                    self.partial.extend_from_slice(piece);
                    data = rest;
                    if self.partial.len() < *length {
                        return Ok(records);
                    }
                    records.push(std::mem::take(&mut self.partial).into());
                    self.state = State::Length;
                }
            }
        }
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    /// If it ended within a record, or was broken before.
    pub fn finish(&self) -> Result<(), Error> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            State::Length if self.partial.is_empty() => Ok(()),
            State::Length | State::Record { .. } => Err(Error::Truncated),
        }
    }

    /// Reads up to the newline, or to the end of the data.
    fn read_length(&mut self, data: &mut &[u8]) -> Result<Option<usize>, Error> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let digits = &data[..end.unwrap_or(data.len())];
        if self.partial.len() + digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
            let shown = digits.iter().take(MAX_DIGITS + 1).copied();
            let text: Vec<u8> = self.partial.iter().copied().chain(shown).collect();
            return Err(Error::Length(String::from_utf8_lossy(&text).into_owned()));
        }
        self.partial.extend_from_slice(digits);
        let Some(end) = end else {
            *data = &[];
            return Ok(None);
        };
        *data = &data[end + 1..];
        let text = String::from_utf8(std::mem::take(&mut self.partial)).unwrap_or_default();
        let length: u64 = text.parse().map_err(|_| Error::Length(text))?;
        match usize::try_from(length) {
            Ok(small) if small <= self.limit => Ok(Some(small)),
            _ => Err(Error::TooLarge { length, limit: self.limit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(data: &[u8]) -> Result<Vec<Bytes>, Error> {
        Decoder::new(100).feed(data)
    }

    /// Upstream: `RecordIOReaderTest.EndOfFile`.
    #[test]
    fn records_come_out_as_they_went_in_however_the_stream_is_cut() {
        let records = [&b"hello"[..], b"", b"{\"type\":\"HEARTBEAT\"}", b"12\n3"];
        let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
        for size in 1..=stream.len() {
            let mut decoder = Decoder::new(100);
            let mut out = Vec::new();
            for piece in stream.chunks(size) {
                out.extend(decoder.feed(piece).unwrap());
            }
            assert_eq!(out, records, "in pieces of {size}");
            assert_eq!(decoder.finish(), Ok(()));
        }
    }

    #[test]
    fn a_record_is_its_length_a_newline_and_itself() {
        assert_eq!(encode(b"{\"type\":\"HEARTBEAT\"}"), b"20\n{\"type\":\"HEARTBEAT\"}");
    }

    /// Upstream: `RecordIOReaderTest.DecodingFailure`.
    #[test]
    fn a_length_that_is_no_number_breaks_the_stream_for_good() {
        let mut decoder = Decoder::new(100);
        let error = Err(Error::Length("{\"type\"".to_owned()));
        assert_eq!(decoder.feed(b"{\"type\"\n"), error);
        assert_eq!(decoder.feed(b"1\na"), error);
        assert_eq!(whole(b"\na"), Err(Error::Length(String::new())));
        assert_eq!(whole(b"-1\na"), Err(Error::Length("-1".to_owned())));
        assert!(matches!(whole(&[b'9'; 30]), Err(Error::Length(_))));
    }

    #[test]
    fn a_record_beyond_the_limit_is_refused_before_it_is_read() {
        assert_eq!(whole(b"101\n"), Err(Error::TooLarge { length: 101, limit: 100 }));
    }

    #[test]
    fn a_stream_that_ends_within_a_record_is_truncated() {
        let mut decoder = Decoder::new(100);
        assert!(decoder.feed(b"5\nhel").unwrap().is_empty());
        assert_eq!(decoder.finish(), Err(Error::Truncated));
        let mut decoder = Decoder::new(100);
        assert!(decoder.feed(b"5").unwrap().is_empty());
        assert_eq!(decoder.finish(), Err(Error::Truncated));
    }
}
