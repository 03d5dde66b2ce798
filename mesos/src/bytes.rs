//! Sizes as text, in stout's forms: `32MB`, `1GB`; units count 1024. Upstream: `stout/bytes.hpp`.

const UNITS: [(&str, u64); 5] =
    [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// A number of bytes, as a type of settings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Size(pub u64);

/// Why a text is not a size; upstream's texts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BytesError {
    /// Nothing behind the number, or nothing at all.
    #[error("Invalid bytes '{0}'")]
    NoUnit(String),
    /// Sizes are whole.
    #[error("Fractional bytes '{0}'")]
    Fraction(String),
    /// No number before the unit.
    #[error("Failed to convert '{0}' to number")]
    Number(String),
    /// A unit that is none of ours.
    #[error("Unknown bytes unit '{0}'")]
    Unit(String),
    /// Too large for 64 bits.
    #[error("Too many bytes '{0}'")]
    Range(String),
}

/// Reads a size in bytes: a whole number and `B`, `KB`, `MB`, `GB` or `TB` in any case.
///
/// # Errors
/// [`BytesError`].
pub fn parse(input: &str) -> Result<u64, BytesError> {
    let unit_at = input.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = input.split_at(unit_at.ok_or_else(|| BytesError::NoUnit(input.to_owned()))?);
    if unit.starts_with('.') {
        return Err(BytesError::Fraction(input.to_owned()));
    }
    let value: u64 = number.parse().map_err(|_| BytesError::Number(number.to_owned()))?;
    let unit = unit.to_uppercase();
    let (_, factor) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| BytesError::Unit(unit.clone()))?;
    value.checked_mul(*factor).ok_or_else(|| BytesError::Range(input.to_owned()))
}

/// Prints a size with the largest unit that divides it.
#[must_use]
pub fn format(bytes: u64) -> String {
    let fitting = UNITS.iter().rev().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
    let (name, unit) = fitting.copied().unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_sizes_in_any_case() {
        assert_eq!(parse("32MB"), Ok(32 << 20));
        assert_eq!(parse("1kb"), Ok(1024));
        assert_eq!(parse("0B"), Ok(0));
        assert_eq!(parse("2TB"), Ok(2 << 40));
    }

    #[test]
    fn malformed_sizes_say_what_is_wrong() {
        for (text, message) in [
            ("", "Invalid bytes ''"),
            ("10", "Invalid bytes '10'"),
            ("1.5MB", "Fractional bytes '1.5MB'"),
            ("MB", "Failed to convert '' to number"),
            ("1mib", "Unknown bytes unit 'MIB'"),
            ("99999999999999TB", "Too many bytes '99999999999999TB'"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn sizes_read_back_as_printed(bytes: u64, shift in 0_u32..50) {
            let bytes = bytes >> shift << (shift / 2);
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }
    }
}
