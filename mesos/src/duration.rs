//! Spans of time as text, in stout's forms: `5secs`, `1.5mins`, `100ms`, `2weeks`. The largest unit
//! that gives a whole number is printed, at most one below the span's own (`10days`, not
//! `1.42857142857143weeks`). Upstream: `stout/duration.hpp`.

use std::time::Duration;

use crate::text;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("secs", 1_000_000_000),
    ("mins", 60_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("days", 86_400_000_000_000),
    ("weeks", 604_800_000_000_000),
];

/// Why a text is not a span of time; upstream's texts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DurationError {
    /// Nothing behind the number, or nothing at all.
    #[error("Invalid duration '{0}'")]
    NoUnit(String),
    /// No number before the unit.
    #[error("Failed to convert '{0}' to number")]
    Number(String),
    /// A unit that is none of ours.
    #[error(
        "Unknown duration unit '{0}'; supported units are 'ns', 'us', 'ms', 'secs', 'mins', 'hrs', 'days', and 'weeks'"
    )]
    Unit(String),
    /// More than 292 years.
    #[error("Argument out of the range that a Duration can represent due to int64_t's size limit")]
    Range,
}

/// Reads a span: a decimal number and a unit, nothing between them.
///
/// # Errors
/// [`DurationError`].
pub fn parse(input: &str) -> Result<Duration, DurationError> {
    let unit_at = input.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (number, unit) = input.split_at(unit_at.ok_or_else(|| DurationError::NoUnit(input.to_owned()))?);
    let value = text::parse_f64(number).ok_or_else(|| DurationError::Number(number.to_owned()))?;
    let (_, nanos) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| DurationError::Unit(unit.to_owned()))?;
    let nanos = value * *nanos as f64;
    if nanos > i64::MAX as f64 {
        return Err(DurationError::Range);
    }
    // Rounded (upstream cuts off), so that what was printed with 15 digits reads back as it was: found by fuzzing.
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// Prints a span; more than 584 years print as that.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let own = UNITS.iter().rposition(|(_, unit)| nanos >= *unit).unwrap_or(0);
    let below = own.saturating_sub(1);
    let whole = |unit: usize| nanos.is_multiple_of(UNITS[unit].1);
    let (name, unit) = UNITS[if !whole(own) && whole(below) { below } else { own }];
    format!("{}{name}", text::general(nanos as f64 / unit as f64, 15))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_unit() {
        for (text, nanos) in [
            ("1ns", 1_u128),
            ("2us", 2_000),
            ("100ms", 100_000_000),
            ("5secs", 5_000_000_000),
            ("1.5mins", 90_000_000_000),
            ("3hrs", 10_800_000_000_000),
            ("1days", 86_400_000_000_000),
            ("2weeks", 1_209_600_000_000_000),
            ("0.5secs", 500_000_000),
        ] {
            assert_eq!(parse(text).unwrap().as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn prints_as_stout_does() {
        for (text, printed) in [
            ("0secs", "0ns"),
            ("1ns", "1ns"),
            ("1500ns", "1500ns"),
            ("2us", "2us"),
            ("1500us", "1500us"),
            ("1500ms", "1500ms"),
            ("90secs", "90secs"),
            ("1.5mins", "90secs"),
            ("15mins", "15mins"),
            ("120mins", "2hrs"),
            ("90mins", "90mins"),
            ("36hrs", "36hrs"),
            ("10days", "10days"),
            ("14days", "2weeks"),
            ("1.0000001secs", "1.0000001secs"),
        ] {
            assert_eq!(format(parse(text).unwrap()), printed, "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_as_it_was() {
        for nanos in [64_498_809, 66_724_109_040, 8_490_000_000_000, 28_290_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }

    #[test]
    fn malformed_durations_say_what_is_wrong() {
        for (text, message) in [
            ("", "Invalid duration ''"),
            ("5", "Invalid duration '5'"),
            ("secs", "Failed to convert '' to number"),
            ("1.2.3secs", "Failed to convert '1.2.3' to number"),
            (
                "10000000000000000000weeks",
                "Argument out of the range that a Duration can represent due to int64_t's size limit",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        assert!(
            parse("5 secs").unwrap_err().to_string().starts_with("Unknown duration unit ' secs'; supported")
        );
        assert!(parse("-5secs").is_err());
    }

    proptest! {
        #[test]
        fn whole_milliseconds_read_back_as_printed(ms in 0_u64..10_000_000_000) {
            let duration = Duration::from_millis(ms);
            let back = parse(&format(duration)).unwrap();
            // Fifteen significant digits: the rest is rounding.
            prop_assert!(back.abs_diff(duration) <= Duration::from_micros(1) + duration / 1_000_000_000);
        }
    }
}
