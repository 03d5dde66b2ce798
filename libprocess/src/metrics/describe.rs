//! What metrics mean, and which parts of their names vary: declared in tables, so that the Prometheus form has help
//! texts and labels. Pure.
//!
//! A name's pattern is written as the name, with holes:
//!
//! | hole | takes |
//! |---|---|
//! | `<label>` | part of one segment (whatever stands between two slashes) |
//! | `<label%>` | the same, percent-encoded: the label's value is decoded; also nothing, where a name is empty |
//! | `<label...>` | as many segments as there are: a role `a/b` |
//!
//! `master/frameworks/<framework%>/<framework_id>/calls` describes `master/frameworks/a%20b/17/calls`: the family
//! `master_frameworks_calls` with the labels `framework="a b"` and `framework_id="17"`.

use std::collections::HashMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::kinds::Kind;
use crate::hasher::FixedState;

/// What one metric, or a family of metrics, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The name with holes; see the module.
    pub pattern: &'static str,
    /// What sort of a number it is.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
    family: Option<&'static str>,
}

impl Description {
    /// A number of events, or a family of them, called as the pattern without its holes.
    pub const fn counter(pattern: &'static str, help: &'static str) -> Description {
        Description { pattern, kind: Kind::Counter, help, family: None }
    }

    /// A value.
    pub const fn gauge(pattern: &'static str, help: &'static str) -> Description {
        Description { pattern, kind: Kind::Gauge, help, family: None }
    }

    /// A value over time.
    pub const fn series(pattern: &'static str, help: &'static str) -> Description {
        Description { pattern, kind: Kind::Series, help, family: None }
    }

    /// The same with another name for the family: two patterns that differ only in their holes need two.
    #[must_use]
    pub const fn family(mut self, name: &'static str) -> Description {
        self.family = Some(name);
        self
    }

    /// The name of the family in the Prometheus form, without what its kind adds.
    pub fn family_name(&self) -> String {
        match self.family {
            Some(name) => name.to_owned(),
            None => {
                let literals: Vec<&str> = pieces(self.pattern)
                    .into_iter()
                    .filter_map(|piece| match piece {
                        Piece::Literal(text) => Some(text),
                        Piece::Hole(..) => None,
                    })
                    .collect();
                clean(&literals.join("_"))
            }
        }
    }

    /// The labels of a name that this describes; `None` if it describes another.
    pub fn labels(&self, name: &str) -> Option<Vec<(&'static str, String)>> {
        let mut labels = Vec::new();
        take(&pieces(self.pattern), name, &mut labels).then_some(labels)
    }
}

/// A name as Prometheus allows it: letters, digits, `_` and `:`, no digit in front; several `_` in a row are one.
pub(super) fn clean(name: &str) -> String {
    let mut clean = String::with_capacity(name.len() + 1);
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
        if c != '_' || !clean.ends_with('_') {
            clean.push(c);
        }
    }
    let trimmed = clean.trim_end_matches('_');
    if trimmed.starts_with(|c: char| c.is_ascii_digit()) { format!("_{trimmed}") } else { trimmed.to_owned() }
}

/// What a hole takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Part,
    Encoded,
    Segments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(&'static str),
    Hole(&'static str, Hole),
}

/// A pattern in its pieces. A `<` that nothing closes is text.
fn pieces(pattern: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some((before, (name, after))) =
        rest.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
    {
        if !before.is_empty() {
            pieces.push(Piece::Literal(before));
        }
        pieces.push(match (name.strip_suffix("..."), name.strip_suffix('%')) {
            (Some(name), _) => Piece::Hole(name, Hole::Segments),
            (None, Some(name)) => Piece::Hole(name, Hole::Encoded),
            (None, None) => Piece::Hole(name, Hole::Part),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    pieces
}

/// Whether the pieces make up `text`, with what the holes took. A hole takes at least one character (but for an encoded
/// one: who gives a name may leave it empty), and as much as lets the rest fit.
fn take(pieces: &[Piece], text: &str, labels: &mut Labels) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return text.is_empty() };
    let (label, hole) = match *piece {
        Piece::Literal(literal) => {
            return text.strip_prefix(literal).is_some_and(|text| take(rest, text, labels));
        }
        Piece::Hole(label, hole) => (label, hole),
    };
    let longest = if hole == Hole::Segments { text.len() } else { text.find('/').unwrap_or(text.len()) };
    let shortest = usize::from(hole != Hole::Encoded);
    let ends = (shortest..=longest).rev().filter(|end| text.is_char_boundary(*end));
    for end in ends {
        let (value, after) = text.split_at(end);
        let before = labels.len();
        let value = match hole {
            Hole::Encoded => percent_decode_str(value).decode_utf8_lossy().into_owned(),
            Hole::Part | Hole::Segments => value.to_owned(),
        };
        labels.push((label, value));
        if take(rest, after, labels) {
            return true;
        }
        labels.truncate(before);
    }
    false
}

/// A description, ready to be looked for.
#[derive(Debug)]
pub(super) struct Described {
    /// The name of the family, without what its kind adds.
    pub(super) family: String,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pattern: &'static str,
    pieces: Vec<Piece>,
}

/// The labels of a metric.
pub(super) type Labels = Vec<(&'static str, String)>;

/// All that was declared.
#[derive(Debug, Clone, Default)]
pub(super) struct Descriptions {
    /// Without holes, by name.
    exact: HashMap<&'static str, Arc<Described>, FixedState>,
    /// With holes, in the order in which they were declared.
    holed: Vec<Arc<Described>>,
}

impl Descriptions {
    /// Adds a table. What is known already is not added again.
    pub(super) fn add(&mut self, table: &[Description]) {
        for description in table {
            let pattern = description.pattern;
            let known =
                self.exact.contains_key(pattern) || self.holed.iter().any(|known| known.pattern == pattern);
            if known {
                continue;
            }
            let family = description.family_name();
            let described = Arc::new(Described {
                family,
                kind: description.kind,
                help: description.help,
                pattern,
                pieces: pieces(pattern),
            });
            if pattern.contains('<') {
                self.holed.push(described);
            } else {
                self.exact.insert(pattern, described);
            }
        }
    }

    /// What describes a name, and its labels.
    pub(super) fn find(&self, name: &str) -> Option<(&Arc<Described>, Labels)> {
        if let Some(described) = self.exact.get(name) {
            return Some((described, Vec::new()));
        }
        self.holed.iter().find_map(|described| {
            let mut labels = Vec::new();
            take(&described.pieces, name, &mut labels).then_some((described, labels))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pattern: &'static str, name: &str) -> Option<String> {
        let labels = Description::gauge(pattern, "").labels(name)?;
        Some(labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn holes_take_parts_segments_and_encoded_names() {
        let calls = "master/frameworks/<framework%>/<id>/calls/<type>";
        for (pattern, name, expected) in [
            (
                calls,
                "master/frameworks/a%20b%2Fc/17-1/calls/accept",
                Some("framework=a b/c id=17-1 type=accept"),
            ),
            (calls, "master/frameworks//17-1/calls/accept", Some("framework= id=17-1 type=accept")),
            (calls, "master/frameworks/17-1/calls/accept", None),
            (calls, "master/frameworks/a/17-1/calls", None),
            (calls, "master/frameworks/a/17-1/calls/accept/x", None),
            ("roles/<role...>/shares", "roles/*/shares", Some("role=*")),
            ("roles/<role...>/shares", "roles/a/b/shares", Some("role=a/b")),
            ("roles/<role...>/shares", "roles/shares/shares", Some("role=shares")),
            ("roles/<role...>/shares", "roles//shares", None),
            (
                "quota/<role...>/resources/<r>/limit",
                "quota/resources/x/resources/cpus/limit",
                Some("role=resources/x r=cpus"),
            ),
            ("task_<state>/source_<source>", "task_lost/source_master", Some("state=lost source=master")),
            ("task_<state>/source_<source>", "task_lost/reason_x", None),
            ("<principal>/é<x>", "ü/éé", Some("principal=ü x=é")),
            ("plain", "plain", Some("")),
            ("plain", "plainer", None),
        ] {
            assert_eq!(labels(pattern, name), expected.map(str::to_owned), "{pattern} of {name}");
        }
    }

    #[test]
    fn a_family_is_called_as_the_pattern_without_its_holes() {
        for (pattern, family) in [
            ("master/frameworks/<name%>/<id>/calls", "master_frameworks_calls"),
            ("allocator/mesos/roles/<role...>/shares/dominant", "allocator_mesos_roles_shares_dominant"),
            ("master/task_<state>/source_<source>/reason_<reason>", "master_task_source_reason"),
            ("9/lives", "_9_lives"),
        ] {
            assert_eq!(Description::gauge(pattern, "").family_name(), family);
        }
        assert_eq!(Description::gauge("a/<b>", "").family("other").family_name(), "other");
    }

    #[test]
    fn the_first_description_that_fits_counts() {
        static TABLE: [Description; 3] = [
            Description::gauge("a/<x>/b", "holed"),
            Description::gauge("a/1/b", "exact"),
            Description::gauge("a/<x...>", "rest"),
        ];
        let mut descriptions = Descriptions::default();
        descriptions.add(&TABLE);
        descriptions.add(&TABLE);
        let help = |name| descriptions.find(name).map(|(described, _)| described.help);
        assert_eq!(help("a/1/b"), Some("exact"));
        assert_eq!(help("a/2/b"), Some("holed"));
        assert_eq!(help("a/2/c"), Some("rest"));
        assert_eq!(help("b"), None);
    }
}
