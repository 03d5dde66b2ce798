//! How the journal stands on the disk, byte by byte.
//!
//! ```text
//! segment = "mesos-updates-1\n" frame*
//! frame   = length (u32) | crc32 of the body (u32) | crc32 of those eight bytes (u32) | body     a group, or a part of one above 1 MiB: whole or not at all
//! body    = entry*
//! entry   = kind (u8) | path | text                     kind 1: an owner's content, 2: an owner that is a link
//!         | 3 (u8)    | path | offset (u64) | text      bytes of a task's log
//!         | 4 (u8)    | path                            nobody needs what is there any more
//! path, text = length (u32) | bytes                     paths are below the agent's directory, in UTF-8
//! ```
//!
//! Numbers are little endian. Pure.

use crc32fast::hash;

/// How every segment begins. The number counts versions of this format.
pub const HEAD: &[u8] = b"mesos-updates-1\n";

/// Bytes before the body of a frame.
const FRAME_HEAD: usize = 12;

/// One thing to do again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file that says whose updates there are.
    Owner {
        /// Where.
        path: String,
        /// All of it.
        content: Vec<u8>,
    },
    /// A link that does.
    OwnerLink {
        /// Where.
        path: String,
        /// Where it points.
        target: String,
    },
    /// Bytes of a task's log.
    Log {
        /// Where the log is.
        path: String,
        /// The place of the first byte in the log.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// What is at a path, or below it, need not be brought back.
    Forget {
        /// Where.
        path: String,
    },
}

/// Where reading a segment ended, other than at the end of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The last frame is too short: whoever wrote it died, and nobody was promised anything of it.
    Short,
    /// The last frame is as long as it should be, but holds something else. Only a power failure does that to a frame
    /// that was not promised.
    Blank,
    /// Something is wrong before the end.
    Corrupt(String),
}

/// What a segment holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// What stands in its whole frames, in order.
    pub entries: Vec<Entry>,
    /// How many bytes those take.
    pub whole: usize,
    /// What follows them.
    pub fault: Option<Fault>,
}

/// A frame with these entries.
pub fn frame(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEAD];
    for entry in entries {
        encode(entry, &mut bytes);
    }
    let (head, body) = bytes.split_at_mut(FRAME_HEAD);
    head[..4].copy_from_slice(&count(body).to_le_bytes());
    head[4..8].copy_from_slice(&hash(body).to_le_bytes());
    let check = hash(&head[..8]);
    head[8..].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn encode(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Owner { path, content } => {
            out.push(1);
            text(path.as_bytes(), out);
            text(content, out);
        }
        Entry::OwnerLink { path, target } => {
            out.push(2);
            text(path.as_bytes(), out);
            text(target.as_bytes(), out);
        }
        Entry::Log { path, offset, bytes } => {
            out.push(3);
            text(path.as_bytes(), out);
            out.extend_from_slice(&offset.to_le_bytes());
            text(bytes, out);
        }
        Entry::Forget { path } => {
            out.push(4);
            text(path.as_bytes(), out);
        }
    }
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&count(bytes).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A frame is begun anew long before this (the writer's `FRAME`), and a message of protobuf ends at 2 GB.
fn count(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Reads a segment.
pub fn read(bytes: &[u8]) -> Segment {
    let mut segment = Segment { entries: Vec::new(), whole: 0, fault: None };
    if bytes.is_empty() {
        return segment;
    }
    let Some(mut rest) = bytes.strip_prefix(HEAD) else {
        segment.fault = Some(if HEAD.starts_with(bytes) {
            Fault::Short
        } else if is_blank(bytes) {
            Fault::Blank
        } else {
            Fault::Corrupt("it does not begin as a journal of this version does".to_owned())
        });
        return segment;
    };
    segment.whole = HEAD.len();
    while !rest.is_empty() {
        match next(rest) {
            Ok((entries, after)) => {
                segment.entries.extend(entries);
                segment.whole = bytes.len() - after.len();
                rest = after;
            }
            Err(fault) => {
                segment.fault = Some(match fault {
                    Fault::Corrupt(reason) => Fault::Corrupt(format!("{reason} at byte {}", segment.whole)),
                    fault => fault,
                });
                break;
            }
        }
    }
    segment
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn next(bytes: &[u8]) -> Result<(Vec<Entry>, &[u8]), Fault> {
    let Some((head, rest)) = bytes.split_at_checked(FRAME_HEAD) else { return Err(Fault::Short) };
    let mut numbers = Reader(head);
    let (Some(length), Some(sum), Some(check)) = (numbers.u32(), numbers.u32(), numbers.u32()) else {
        return Err(Fault::Short);
    };
    if hash(&head[..8]) != check {
        let damaged = || Fault::Corrupt("the length of a group is damaged".to_owned());
        return Err(if is_blank(bytes) { Fault::Blank } else { damaged() });
    }
    let Some((body, after)) = rest.split_at_checked(length as usize) else { return Err(Fault::Short) };
    if hash(body) != sum {
        let damaged = || Fault::Corrupt("a group is damaged".to_owned());
        return Err(if after.is_empty() { Fault::Blank } else { damaged() });
    }
    let mut reader = Reader(body);
    let mut entries = Vec::new();
    while !reader.0.is_empty() {
        let unknown = || Fault::Corrupt("a group holds what this version does not know".to_owned());
        entries.push(reader.entry().ok_or_else(unknown)?);
    }
    Ok((entries, after))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.u32()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(match *self.take(1)?.first()? {
            1 => Entry::Owner { path: self.string()?, content: self.bytes()? },
            2 => Entry::OwnerLink { path: self.string()?, target: self.string()? },
            3 => Entry::Log { path: self.string()?, offset: self.u64()?, bytes: self.bytes()? },
            4 => Entry::Forget { path: self.string()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> [Vec<Entry>; 3] {
        let path = "frameworks/F".to_owned();
        let log = |offset, bytes: &[u8]| Entry::Log { path: path.clone(), offset, bytes: bytes.to_vec() };
        [
            vec![Entry::Owner { path: "f/framework.info".into(), content: vec![0; 300] }, log(0, b"one")],
            vec![Entry::OwnerLink { path: "runs/latest".into(), target: "c".into() }, log(u64::MAX, b"")],
            vec![Entry::Forget { path: path.clone() }],
        ]
    }

    fn segment() -> Vec<u8> {
        groups().iter().fold(HEAD.to_vec(), |mut bytes, group| {
            bytes.extend(frame(group));
            bytes
        })
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = segment();
        let entries = groups().concat();
        assert_eq!(read(&bytes), Segment { entries, whole: bytes.len(), fault: None });
        assert_eq!(read(b""), Segment { entries: Vec::new(), whole: 0, fault: None });
    }

    #[test]
    fn what_was_cut_off_is_short_and_costs_its_group_only() {
        let bytes = segment();
        let ends: Vec<usize> = (0..=3).map(|n| read_groups(n).len()).collect();
        for length in 1..bytes.len() {
            let segment = read(&bytes[..length]);
            let whole = ends.iter().rfind(|end| **end <= length).copied().unwrap_or_default();
            assert_eq!(segment.whole, whole, "of {length} bytes");
            assert_eq!(segment.fault, (whole != length).then_some(Fault::Short), "of {length} bytes");
        }
    }

    fn read_groups(number: usize) -> Vec<u8> {
        groups()[..number].iter().fold(HEAD.to_vec(), |mut bytes, group| {
            bytes.extend(frame(group));
            bytes
        })
    }

    #[test]
    fn every_wrong_bit_is_noticed_and_only_in_the_last_group_can_a_power_failure_have_done_it() {
        let bytes = segment();
        let last = read_groups(2).len();
        for place in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 16;
            match read(&wrong).fault {
                Some(Fault::Corrupt(_)) => assert!(place < last + FRAME_HEAD, "byte {place}"),
                Some(Fault::Blank) => assert!(place >= last + FRAME_HEAD, "byte {place}"),
                other => panic!("byte {place}: {other:?}"),
            }
        }
        let mut blank = bytes[..last].to_vec();
        blank.resize(bytes.len(), 0);
        assert_eq!(read(&blank).fault, Some(Fault::Blank));
    }

    #[test]
    fn another_version_is_refused() {
        let Some(Fault::Corrupt(reason)) = read(b"mesos-updates-2\n").fault else { panic!("it was read") };
        assert!(reason.contains("version"), "{reason}");
    }
}
