//! The text form of one value: `4`, `[31000-32000, 33000-34000]`, `{a, b}`, `rack1` (upstream:
//! `internal::values::parse` in `src/common/values.cpp`).

use super::{Interval, Ranges, RangesError};
use crate::text;

/// A value as its text says it. What kinds are allowed depends on where it stands: resources take
/// no text, attributes no set.
#[derive(Clone, PartialEq, Debug)]
pub enum ParsedValue {
    /// A number, finite and not negative.
    Scalar(f64),
    /// Intervals, coalesced.
    Ranges(Ranges),
    /// Items as listed; they may repeat.
    Set(Vec<String>),
    /// Anything else, with its blanks removed.
    Text(String),
}

impl ParsedValue {
    /// The kind's name in the protocol (`Value.Type`).
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "SCALAR",
            Self::Ranges(_) => "RANGES",
            Self::Set(_) => "SET",
            Self::Text(_) => "TEXT",
        }
    }
}

/// Why a text is not a value; upstream's texts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueParseError {
    /// Nothing, or only blanks.
    #[error("Expecting non-empty string")]
    Empty,
    /// A bracket without its partner.
    #[error("Mismatched brackets")]
    Brackets,
    /// A range needs two ends.
    #[error("Expecting one or more \"ranges\"")]
    OddRanges,
    /// A range's ends are whole numbers.
    #[error("Expecting non-negative integers in '{0}'")]
    NotAnInteger(String),
    /// A range that ends before it begins.
    #[error(transparent)]
    Ranges(#[from] RangesError),
    /// A number that cannot be counted with.
    #[error("Invalid scalar value '{text}':{reason}")]
    Scalar {
        /// As it was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A bracket where none belongs.
    #[error("Unexpected '{0}' found")]
    Unexpected(char),
}

/// Reads one value; blanks count nowhere.
///
/// # Errors
/// [`ValueParseError`].
pub fn parse(input: &str) -> Result<ParsedValue, ValueParseError> {
    let compact = input.replace(' ', "");
    if compact.is_empty() {
        return Err(ValueParseError::Empty);
    }
    if [('{', '}'), ('[', ']'), ('(', ')')].iter().any(|&(open, close)| !balanced(&compact, open, close)) {
        return Err(ValueParseError::Brackets);
    }
    match (compact.find('['), compact.find('{')) {
        (Some(0), _) => parse_ranges(&compact).map(ParsedValue::Ranges),
        (Some(_), _) => Err(ValueParseError::Unexpected('[')),
        (None, Some(0)) => {
            Ok(ParsedValue::Set(text::tokenize(&compact, "{},\n").map(str::to_owned).collect()))
        }
        (None, Some(_)) => Err(ValueParseError::Unexpected('{')),
        (None, None) => match text::parse_f64(&compact) {
            Some(number) => match uncountable(number) {
                Some(reason) => Err(ValueParseError::Scalar { text: compact, reason }),
                None => Ok(ParsedValue::Scalar(number)),
            },
            None => Ok(ParsedValue::Text(compact)),
        },
    }
}

/// Why a number cannot be an amount of something.
fn uncountable(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN not supported")
    } else if number.is_infinite() {
        Some("Infinite values not supported")
    } else if number.is_subnormal() {
        Some("Subnormal values not supported")
    } else if number < 0.0 {
        Some("Negative values not supported")
    } else {
        None
    }
}

fn balanced(text: &str, open: char, close: char) -> bool {
    let mut depth = 0_usize;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            let Some(outer) = depth.checked_sub(1) else { return false };
            depth = outer;
        }
    }
    depth == 0
}

fn parse_ranges(compact: &str) -> Result<Ranges, ValueParseError> {
    let ends: Vec<&str> = text::tokenize(compact, "[]-,\n").collect();
    if !ends.len().is_multiple_of(2) {
        return Err(ValueParseError::OddRanges);
    }
    let mut intervals = Vec::with_capacity(ends.len() / 2);
    for pair in ends.chunks_exact(2) {
        let (Some(begin), Some(end)) = (text::parse_u64(pair[0]), text::parse_u64(pair[1])) else {
            return Err(ValueParseError::NotAnInteger(pair[0].to_owned()));
        };
        intervals.push(Interval { begin, end });
    }
    Ok(Ranges::union_of(intervals)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Upstream: `ValuesTest.ValidInput`.
    #[test]
    fn reads_the_four_kinds() {
        assert_eq!(parse("45.55"), Ok(ParsedValue::Scalar(45.55)));
        assert_eq!(parse("[10000-20000, 30000-50000]").unwrap().type_name(), "RANGES");
        assert_eq!(parse("{sda1, sda2}"), Ok(ParsedValue::Set(vec!["sda1".into(), "sda2".into()])));
        assert_eq!(parse("rack 1"), Ok(ParsedValue::Text("rack1".into())));
    }

    /// Upstream: `ValuesTest.InvalidInput`.
    #[test]
    fn numbers_that_cannot_be_counted_with_are_refused() {
        for (text, reason) in [
            ("-1", "Negative values not supported"),
            ("-1.5", "Negative values not supported"),
            ("inf", "Infinite values not supported"),
            ("infinity", "Infinite values not supported"),
            ("nan", "NaN not supported"),
            ("-nan", "NaN not supported"),
            ("1e-310", "Subnormal values not supported"),
            ("-7.63918e-313", "Subnormal values not supported"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("Invalid scalar value '{text}':{reason}"));
        }
        for text in ["1e999", "0x10", "1.2.3", "-"] {
            assert_eq!(parse(text).unwrap().type_name(), "TEXT", "{text}");
        }
        assert_eq!(parse("0"), Ok(ParsedValue::Scalar(0.0)));
    }

    /// Upstream: `ValuesTest.RangesParse`, `RangesCoalesceParse`.
    #[test]
    fn ranges_become_the_fewest_intervals() {
        for (text, fewest) in [
            ("[1-10]", "[1-10]"),
            ("[4-6, 6-8, 5-9, 3-4, 2-5, 4-6, 1-1, 10-10, 4-6]", "[1-10]"),
            ("[4-6, 6-8]", "[4-8]"),
            ("[6-8, 4-6]", "[4-8]"),
            ("[1-10, 8-10]", "[1-10]"),
            ("[1-11, 8-10]", "[1-11]"),
            ("[1-4, 4-5, 7-8, 8-10]", "[1-5, 7-10]"),
            ("[7-8, 1-4, [8-10], 4-5]", "[1-5, 7-10]"),
            ("[6-8, 6-8, 4-6, 6-8]", "[4-8]"),
        ] {
            let printed = match parse(text) {
                Ok(ParsedValue::Ranges(ranges)) => ranges.to_string(),
                other => format!("{other:?}"),
            };
            assert_eq!(printed, fewest, "{text}");
        }
    }

    /// Upstream: `ValuesTest.InvalidInput`.
    #[test]
    fn malformed_values_say_what_is_wrong() {
        for (text, message) in [
            ("", "Expecting non-empty string"),
            ("  ", "Expecting non-empty string"),
            ("[1-2", "Mismatched brackets"),
            ("[1-2]]", "Mismatched brackets"),
            ("{aa,b}}", "Mismatched brackets"),
            ("]1-2[", "Mismatched brackets"),
            ("[1-2,3]", "Expecting one or more \"ranges\""),
            ("[a-2]", "Expecting non-negative integers in 'a'"),
            ("[1-2b]", "Expecting non-negative integers in '1'"),
            ("1[2-3]", "Unexpected '[' found"),
            ("a{b}", "Unexpected '{' found"),
            ("[3-2]", "Invalid ranges resource: begin > end"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "[0-9a-z\\[\\]{}(),. -]{0,24}") {
            let _ = parse(&text);
        }

        #[test]
        fn ranges_read_back_as_printed(pairs in prop::collection::vec((0_u64..1000, 0_u64..50), 0..8)) {
            let ranges = Ranges::union_of(pairs.iter().map(|&(b, l)| Interval { begin: b, end: b + l }).collect()).unwrap();
            if !ranges.is_empty() {
                prop_assert_eq!(parse(&ranges.to_string()), Ok(ParsedValue::Ranges(ranges)));
            }
        }
    }
}
