//! Durations as text, in the forms that upstream's flags, queries and answers use (`5secs`, `1.5mins`).
//!
//! The rules are stout's (3rdparty/stout/include/stout/duration.hpp): a decimal number, then one of
//! `ns us ms secs mins hrs days weeks`, without a space or a sign.

use std::time::Duration;

use thiserror::Error;

/// The units and their length in nanoseconds, ascending.
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

/// Why a text is no duration. The texts are upstream's, since endpoints answer with them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// What stands before the unit is no number.
    #[error("Failed to convert '{0}' to number")]
    Number(String),
    /// The unit is missing.
    #[error("Invalid duration '{0}'")]
    NoUnit(String),
    /// The unit is not one of upstream's.
    #[error(
        "Unknown duration unit '{0}'; supported units are 'ns', 'us', 'ms', 'secs', 'mins', 'hrs', \
         'days', and 'weeks'"
    )]
    Unit(String),
    /// More nanoseconds than a signed 64-bit number holds (292 years).
    #[error("Argument out of the range that a Duration can represent due to int64_t's size limit")]
    Range,
}

/// Parses `10secs`, `1.5mins`, `250ms`.
///
/// # Errors
/// The number or the unit is none or is missing, or it is more than 292 years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let Some(at) = text.find(|c: char| !c.is_ascii_digit() && c != '.') else {
        return Err(DurationError::NoUnit(text.to_owned()));
    };
    let (number, unit) = text.split_at(at);
    let value: f64 = number.parse().map_err(|_| DurationError::Number(number.to_owned()))?;
    let (_, factor) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| DurationError::Unit(unit.to_owned()))?;
    let nanos = value * *factor as f64;
    if nanos >= i64::MAX as f64 {
        return Err(DurationError::Range);
    }
    // Rounded (upstream cuts off), so that what was printed with 15 digits reads back as it was.
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// Prints a duration as upstream does: in the largest unit that it reaches, or in the one below when
/// only that gives a whole number (`90secs`, not `1.5mins`).
pub fn format(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let bucket = UNITS.iter().rposition(|(_, length)| nanos >= *length).unwrap_or(0);
    let (name, length) = UNITS[bucket];
    if nanos % length != 0 && bucket > 0 && nanos % UNITS[bucket - 1].1 == 0 {
        let (name, length) = UNITS[bucket - 1];
        return format!("{}{name}", nanos / length);
    }
    // 15 significant digits, as `std::numeric_limits<double>::digits10`.
    let value = nanos as f64 / length as f64;
    let decimals = 14usize.saturating_sub(value.log10().floor().max(0.0) as usize);
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{name}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_parsed() {
        for (text, expected) in [
            ("10secs", Duration::from_secs(10)),
            ("1.5mins", Duration::from_secs(90)),
            ("250ms", Duration::from_millis(250)),
            ("0ns", Duration::ZERO),
            ("2weeks", Duration::from_secs(14 * 86400)),
            ("3hrs", Duration::from_secs(10800)),
            (".5us", Duration::from_nanos(500)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_are_upstreams() {
        for (text, expected) in [
            ("bogus", "Failed to convert '' to number"),
            ("10", "Invalid duration '10'"),
            ("", "Invalid duration ''"),
            (
                "10 secs",
                "Unknown duration unit ' secs'; supported units are 'ns', 'us', 'ms', 'secs', 'mins', \
                 'hrs', 'days', and 'weeks'",
            ),
            ("1.2.3secs", "Failed to convert '1.2.3' to number"),
            ("-1secs", "Failed to convert '' to number"),
            (
                "20000weeks",
                "Argument out of the range that a Duration can represent due to int64_t's size limit",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_upstream_prints_them() {
        for (nanos, expected) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_500, "1500ns"),
            (2_000, "2us"),
            (1_234_000, "1234us"),
            (10_000_000_000, "10secs"),
            (90_000_000_000, "90secs"),
            (90 * 60_000_000_000, "90mins"),
            (10 * 86_400_000_000_000, "10days"),
            (7 * 86_400_000_000_000, "1weeks"),
            (1_234_567_891, "1.234567891secs"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn what_is_printed_can_be_parsed() {
        for nanos in [1, 42, 1_000, 123_456, 5_000_000_000, 75_000_000_000, 604_800_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }

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
