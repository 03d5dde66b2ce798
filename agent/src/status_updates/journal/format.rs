//! How the journal stands on the disk, byte by byte.
//!
//! ```text
//! segment = "mesos-updates-2\n" frame* zero*                             zeros: room that the file has already
//! frame   = length (u32) | crc32 of the body (u32) | crc32 of those eight bytes (u32) | body | end (u8)     a group, or a part of one above 1 MiB: whole or not at all
//! body    = 5 (u8) | synced (u64) | entry*              so many bytes of the segment were on the disk for sure when it was written
//! entry   = kind (u8) | path | text                     kind 1: an owner's content, 2: an owner that is a link
//!         | 3 (u8)    | path | offset (u64) | text      bytes of a task's log
//!         | 4 (u8)    | path                            nobody needs what is there any more
//!         | 6 (u8)    | path                            what was there is removed, and something else may follow
//! path, text = length (u32) | bytes                     paths are below the agent's directory, in UTF-8
//! ```
//!
//! A disk writes what is not synced in any order, so that a power failure may leave a whole frame behind a damaged one.
//! `synced` tells that from the damage of what was promised. The first agents with a journal did not write it; they are
//! read as if each frame had been synced before the next one was written.
//!
//! A process that dies while it writes leaves the first bytes of its frame, and zeros behind them. The `end` of a frame is
//! no zero, so that this is told from a frame that was written as a whole, and damaged.
//!
//! Version 1 had neither zeros nor ends. It is read, and not gone on with: what follows is a segment of its own.
//!
//! Numbers are little endian. Pure.

use crc32fast::hash;

/// How every segment begins. The number counts versions of this format.
pub const HEAD: &[u8] = b"mesos-updates-2\n";
/// How those of the version before begin.
const HEAD_1: &[u8] = b"mesos-updates-1\n";
/// What all versions have in common.
const NAME: &[u8] = b"mesos-updates-";

/// Bytes before the body of a frame.
const FRAME_HEAD: usize = 12;
/// The byte behind the body.
const END: u8 = 0xff;

/// The kind of what a body begins with.
const SYNCED: u8 = 5;

/// One thing to do again. It is part of what is written or read, and not a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A file that says whose updates there are.
    Owner {
        /// Where.
        path: &'a str,
        /// All of it.
        content: &'a [u8],
    },
    /// A link that does.
    OwnerLink {
        /// Where.
        path: &'a str,
        /// Where it points.
        target: &'a str,
    },
    /// Bytes of a task's log.
    Log {
        /// Where the log is.
        path: &'a str,
        /// The place of the first byte in the log.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// What is at a path, or below it, need not be brought back.
    Forget {
        /// Where.
        path: &'a str,
    },
    /// What was at a path, or below it, is no more. What is there now is something else.
    Removed {
        /// Where.
        path: &'a str,
    },
}

/// Where reading a segment ended, other than at the end of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The last frame is too short: whoever wrote it died, and nobody was promised anything of it.
    Short,
    /// A frame holds something else than was written, and nothing says that it had been synced. Only a power failure does
    /// that to what was not promised.
    Torn,
    /// What was promised is damaged, or cannot be understood.
    Corrupt(String),
}

/// What a segment holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What stands in its whole frames, in order.
    pub entries: Vec<Entry<'a>>,
    /// How many bytes those take.
    pub whole: usize,
    /// What follows them, if it is something else than room.
    pub fault: Option<Fault>,
    /// It is of the version before.
    pub is_old: bool,
}

/// Frames that are being written, one behind the other.
#[derive(Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where the last frame begins; `None` if that is ended.
    begun: Option<usize>,
    /// What frames say of their segment.
    synced: u64,
    /// How long a frame gets, in bytes, before the next one is begun.
    limit: usize,
}

impl Frames {
    /// What follows `before`. So many bytes of the segment, from the start, are `synced` already. Frames end once they are
    /// as long as the `limit`, in bytes.
    pub fn after(before: &[u8], synced: u64, limit: usize) -> Frames {
        Frames { bytes: before.to_vec(), begun: None, synced, limit }
    }

    /// Adds an entry to the last frame.
    pub fn add(&mut self, entry: Entry<'_>) {
        let begun = *self.begun.get_or_insert_with(|| {
            let begun = self.bytes.len();
            self.bytes.extend_from_slice(&[0; FRAME_HEAD]);
            self.bytes.push(SYNCED);
            self.bytes.extend_from_slice(&self.synced.to_le_bytes());
            begun
        });
        encode(entry, &mut self.bytes);
        if self.bytes.len() - begun >= self.limit {
            self.end();
        }
    }

    /// Ends the last frame, unless it is ended.
    fn end(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        let (head, body) = self.bytes[begun..].split_at_mut(FRAME_HEAD);
        head[..4].copy_from_slice(&count(body).to_le_bytes());
        head[4..8].copy_from_slice(&hash(body).to_le_bytes());
        let check = hash(&head[..8]);
        head[8..].copy_from_slice(&check.to_le_bytes());
        self.bytes.push(END);
    }

    /// All of them, and what was before them.
    pub fn finish(mut self) -> Vec<u8> {
        self.end();
        self.bytes
    }
}

fn encode(entry: Entry<'_>, out: &mut Vec<u8>) {
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
        Entry::Removed { path } => {
            out.push(6);
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
pub fn read(bytes: &[u8]) -> Segment<'_> {
    let mut segment =
        Segment { entries: Vec::new(), whole: 0, fault: None, is_old: bytes.starts_with(HEAD_1) };
    let version = if segment.is_old { Version::One } else { Version::Two };
    let bytes = if segment.is_old { bytes } else { without_room(bytes) };
    if bytes.is_empty() {
        return segment;
    }
    if !segment.is_old && !bytes.starts_with(HEAD) {
        segment.fault = Some(if HEAD.starts_with(bytes) {
            Fault::Short
        } else if bytes.starts_with(NAME) {
            Fault::Corrupt("it does not begin as a journal of this version does".to_owned())
        } else {
            // Frames of both look alike to those who do not look at their ends.
            damaged(bytes, 0, "the head", Version::One)
        });
        return segment;
    }
    segment.whole = HEAD.len();
    while segment.fault.is_none() && segment.whole < bytes.len() {
        let at = segment.whole;
        match Frame::read(&bytes[at..], version) {
            Ok(frame) => {
                segment.entries.extend(frame.entries);
                segment.whole += frame.length;
            }
            Err(NoFrame::Short) => segment.fault = Some(Fault::Short),
            Err(NoFrame::Damaged(what)) => segment.fault = Some(damaged(bytes, at, what, version)),
            Err(NoFrame::Unknown) => {
                let reason = format!("a group holds what this version does not know at byte {at}");
                segment.fault = Some(Fault::Corrupt(reason));
            }
        }
    }
    segment
}

/// What was written into a file: all but the zeros at its end.
fn without_room(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|byte| *byte != 0);
    last.map_or(&[], |last| &bytes[..=last])
}

/// What it means that something else stands at a place than was written. A whole frame may follow which says that this
/// had been synced when it was written itself.
fn damaged(bytes: &[u8], at: usize, what: &str, version: Version) -> Fault {
    let says_so = |later: usize| {
        let frame = Frame::read(&bytes[later..], version).ok();
        frame.is_some_and(|frame| frame.synced.unwrap_or(later as u64) > at as u64)
    };
    // Where the next one begins is not known if the length is damaged.
    if (at + 1..bytes.len()).any(says_so) {
        Fault::Corrupt(format!("{what} is damaged at byte {at}"))
    } else {
        Fault::Torn
    }
}

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Without an end, in a file that ends with the last of them.
    One,
    Two,
}

/// A whole frame.
struct Frame<'a> {
    entries: Vec<Entry<'a>>,
    /// How much of the segment was synced before it; not said by the first agents with a journal.
    synced: Option<u64>,
    /// How many bytes it takes.
    length: usize,
}

/// Why something is no frame.
enum NoFrame {
    Short,
    /// This part of it.
    Damaged(&'static str),
    Unknown,
}

impl<'a> Frame<'a> {
    /// The frame that begins here.
    fn read(bytes: &'a [u8], version: Version) -> Result<Frame<'a>, NoFrame> {
        let Some((head, rest)) = bytes.split_at_checked(FRAME_HEAD) else { return Err(NoFrame::Short) };
        let mut numbers = Reader(head);
        let (Some(length), Some(sum), Some(check)) = (numbers.u32(), numbers.u32(), numbers.u32()) else {
            return Err(NoFrame::Short);
        };
        if hash(&head[..8]) != check {
            return Err(NoFrame::Damaged("the length of a group"));
        }
        let Some((body, rest)) = rest.split_at_checked(length as usize) else { return Err(NoFrame::Short) };
        let end = match version {
            Version::One => &[][..],
            Version::Two => rest.get(..1).ok_or(NoFrame::Short)?,
        };
        if hash(body) != sum || end.iter().any(|byte| *byte != END) {
            return Err(NoFrame::Damaged("a group"));
        }
        let mut reader = Reader(body);
        let synced = if body.first() == Some(&SYNCED) {
            reader.take(1);
            Some(reader.u64().ok_or(NoFrame::Unknown)?)
        } else {
            None
        };
        let mut entries = Vec::new();
        while !reader.0.is_empty() {
            entries.push(reader.entry().ok_or(NoFrame::Unknown)?);
        }
        Ok(Frame { entries, synced, length: FRAME_HEAD + body.len() + end.len() })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
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

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn string(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn entry(&mut self) -> Option<Entry<'a>> {
        Some(match *self.take(1)?.first()? {
            1 => Entry::Owner { path: self.string()?, content: self.bytes()? },
            2 => Entry::OwnerLink { path: self.string()?, target: self.string()? },
            3 => Entry::Log { path: self.string()?, offset: self.u64()?, bytes: self.bytes()? },
            4 => Entry::Forget { path: self.string()? },
            6 => Entry::Removed { path: self.string()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// As the version before wrote it; the first agents with a journal did not say what was synced.
    pub(crate) fn old_segment(groups: &[Vec<Entry<'_>>], says_synced: bool) -> Vec<u8> {
        groups.iter().fold(HEAD_1.to_vec(), |mut bytes, group| {
            let mut body = Vec::new();
            if says_synced {
                body.push(SYNCED);
                body.extend((bytes.len() as u64).to_le_bytes());
            }
            group.iter().for_each(|entry| encode(*entry, &mut body));
            let mut head = [count(&body).to_le_bytes(), hash(&body).to_le_bytes()].concat();
            head.extend(hash(&head).to_le_bytes());
            bytes.extend([head, body].concat());
            bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::old_segment;
    use super::*;

    fn groups() -> [Vec<Entry<'static>>; 3] {
        let path = "frameworks/F";
        let log = |offset, bytes| Entry::Log { path, offset, bytes };
        [
            vec![Entry::Owner { path: "f/framework.info", content: &[0; 300] }, log(0, b"one")],
            vec![Entry::OwnerLink { path: "runs/latest", target: "c" }, log(u64::MAX, b"")],
            vec![Entry::Forget { path }, Entry::Removed { path }],
        ]
    }

    /// One frame with these entries.
    fn frame(entries: &[Entry<'_>], synced: u64) -> Vec<u8> {
        let mut frames = Frames::after(b"", synced, usize::MAX);
        entries.iter().for_each(|entry| frames.add(*entry));
        frames.finish()
    }

    /// The first so many of the groups, each of which was synced before the next one was written.
    fn segment_of(number: usize) -> Vec<u8> {
        groups()[..number].iter().fold(HEAD.to_vec(), |mut bytes, group| {
            bytes.extend(frame(group, bytes.len() as u64));
            bytes
        })
    }

    /// Agents of before and after an upgrade read each other's: this changes with the version only.
    #[test]
    fn a_segment_stands_on_the_disk_like_this() {
        let entries = [
            Entry::Owner { path: "f", content: b"F" },
            Entry::OwnerLink { path: "l", target: "c" },
            Entry::Log { path: "t", offset: 7, bytes: b"up" },
            Entry::Forget { path: "t" },
            Entry::Removed { path: "t" },
        ];
        let bytes = [
            &b"mesos-updates-2\n"[..],
            &b"?\x00\x00\x00@\xa4\x13\xfc\x9c\xccN\xa9"[..],
            &b"\x05\x10\x00\x00\x00\x00\x00\x00\x00"[..],
            &b"\x01\x01\x00\x00\x00f\x01\x00\x00\x00F"[..],
            &b"\x02\x01\x00\x00\x00l\x01\x00\x00\x00c"[..],
            &b"\x03\x01\x00\x00\x00t\x07\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00up"[..],
            &b"\x04\x01\x00\x00\x00t"[..],
            &b"\x06\x01\x00\x00\x00t"[..],
            &b"\xff"[..],
        ]
        .concat();
        assert_eq!([HEAD, &frame(&entries, 16)].concat(), bytes);
        assert_eq!(read(&bytes).entries, entries);
    }

    #[test]
    fn what_was_written_is_read() {
        for (bytes, is_old) in [
            (segment_of(3), false),
            (old_segment(&groups(), false), true),
            (old_segment(&groups(), true), true),
        ] {
            let entries = groups().concat();
            assert_eq!(read(&bytes), Segment { entries, whole: bytes.len(), fault: None, is_old });
        }
        for nothing in [&b""[..], &[0; 4096]] {
            let entries = Vec::new();
            assert_eq!(read(nothing), Segment { entries, whole: 0, fault: None, is_old: false });
        }
    }

    #[test]
    fn a_frame_ends_once_it_is_long_enough() {
        let entries = groups().concat();
        let written = |limit| {
            let mut frames = Frames::after(HEAD, 7, limit);
            entries.iter().for_each(|entry| frames.add(*entry));
            frames.finish()
        };
        let each: Vec<u8> = entries.iter().flat_map(|entry| frame(&[*entry], 7)).collect();
        assert_eq!(written(1), [HEAD, &each].concat());
        // The first entry is longer than 300 bytes, and the others together are not.
        assert_eq!(written(300), [HEAD, &frame(&entries[..1], 7), &frame(&entries[1..], 7)].concat());
        assert_eq!(read(&written(300)).entries, entries);
        assert_eq!(Frames::after(HEAD, 7, 1).finish(), HEAD);
    }

    #[test]
    fn what_is_room_is_not_read_and_what_a_process_left_in_it_that_died_costs_its_group_only() {
        let bytes = segment_of(3);
        let ends: Vec<usize> = (0..=3).map(|n| segment_of(n).len()).collect();
        for length in 1..=bytes.len() {
            let mut torn = bytes[..length].to_vec();
            torn.resize(bytes.len() + 10_000, 0);
            let segment = read(&torn);
            let whole = ends.iter().rfind(|end| **end <= length).copied().unwrap_or_default();
            // Zeros that were written look as if they were not.
            let written = without_room(&torn).len();
            assert_eq!(segment.whole, whole, "{length} bytes");
            assert_eq!(segment.fault, (written > whole).then_some(Fault::Short), "{length} bytes");
        }
        // The version before knew no room.
        let mut old = old_segment(&groups(), true);
        old.resize(old.len() + 100, 0);
        assert_eq!(read(&old).fault, Some(Fault::Torn));
    }

    #[test]
    fn what_was_cut_off_is_short_and_costs_its_group_only() {
        let bytes = segment_of(3);
        let ends: Vec<usize> = (0..=3).map(|n| segment_of(n).len()).collect();
        for length in 1..bytes.len() {
            let segment = read(&bytes[..length]);
            let whole = ends.iter().rfind(|end| **end <= length).copied().unwrap_or_default();
            assert_eq!(segment.whole, whole, "of {length} bytes");
            assert_eq!(segment.fault, (whole != length).then_some(Fault::Short), "of {length} bytes");
        }
    }

    #[test]
    fn every_wrong_bit_is_noticed_and_only_in_the_last_group_can_a_power_failure_have_done_it() {
        let old = |says_synced: bool| {
            let bytes = old_segment(&groups(), says_synced);
            let body = usize::from(says_synced) * 9 + 2 * (1 + 4 + "frameworks/F".len());
            let last = bytes.len() - FRAME_HEAD - body;
            (bytes, last)
        };
        for (bytes, last) in [(segment_of(3), segment_of(2).len()), old(false), old(true)] {
            for place in 0..bytes.len() {
                let mut wrong = bytes.clone();
                wrong[place] ^= 16;
                match read(&wrong).fault {
                    Some(Fault::Corrupt(_)) => assert!(place < last, "byte {place}"),
                    Some(Fault::Torn) => assert!(place >= last, "byte {place}"),
                    other => panic!("byte {place}: {other:?}"),
                }
            }
            // All of it.
            let mut blank = bytes[..last].to_vec();
            blank.resize(bytes.len(), 0);
            let read = read(&blank);
            assert_eq!((read.fault, read.whole), (read.is_old.then_some(Fault::Torn), last));
        }
    }

    /// Only the first group was synced when the others were written.
    #[test]
    fn a_hole_before_a_whole_group_is_torn_unless_that_group_knows_that_it_was_synced() {
        let first = segment_of(1);
        let mut bytes = first.clone();
        for group in &groups()[1..] {
            bytes.extend(frame(group, first.len() as u64));
        }
        let second = first.len() + frame(&groups()[1], 0).len();
        for place in 0..second {
            let mut wrong = bytes.clone();
            wrong[place] ^= 16;
            let read = read(&wrong);
            if place < first.len() {
                assert!(matches!(read.fault, Some(Fault::Corrupt(_))), "byte {place}: {:?}", read.fault);
            } else {
                assert_eq!((read.fault, read.whole), (Some(Fault::Torn), first.len()), "byte {place}");
            }
        }
        // Nothing of a new segment was synced.
        let mut bytes = [HEAD, &frame(&groups()[0], 0), &frame(&groups()[1], 0)].concat();
        bytes[..HEAD.len() + 20].fill(0);
        assert_eq!(read(&bytes).fault, Some(Fault::Torn));
    }

    #[test]
    fn another_version_is_refused() {
        let Some(Fault::Corrupt(reason)) = read(b"mesos-updates-3\n").fault else { panic!("it was read") };
        assert!(reason.contains("version"), "{reason}");
    }
}
