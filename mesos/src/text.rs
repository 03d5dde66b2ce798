//! Numbers and words as C++ streams print and read them: `%g` with a number of significant digits
//! and the number forms that stout's `numify` takes; used wherever a text form must equal upstream's. And what of a
//! text may be shown. Pure functions over strings. Knows nothing about what the numbers mean.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// A host as it stands in a URL: an IPv6 address is in brackets (RFC 3986, section 3.2.2).
#[must_use]
pub fn in_url(host: &str) -> Cow<'_, str> {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]").into() } else { host.into() }
}

/// Formats `value` with at most `digits` significant digits, as a C++ stream does with
/// `precision(digits)` (`printf`'s `%g`): trailing zeros dropped, exponent form when the exponent
/// is below -4 or not below `digits`.
#[must_use]
pub fn general(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_trailing_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Reads a floating point number as stout's `numify<double>`: decimal or exponent form, `inf`,
/// `nan`; no blanks around it, nothing behind it. What is too large for a double is none.
#[must_use]
pub fn parse_f64(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let overflowed = number.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    (!overflowed).then_some(number)
}

/// Reads an unsigned number as stout's `numify<uint64_t>`: decimal digits or a `0x` form. Unlike
/// upstream, where `-1` wraps round to the largest number, a negative number is refused.
#[must_use]
pub fn parse_u64(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // Rust's reader would take a sign here.
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `text` as it may be shown: `user:password` before the hosts of a URL (`zk://`, `etcd://`, or what was meant to be one)
/// becomes `***`.
#[must_use]
pub fn without_password(text: &str) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |at| text.split_at(at + 3));
    match rest.rsplit_once('@') {
        // JSON may hold these characters, too.
        Some((user, rest)) if user.contains(':') && !text.contains(['{', '"']) => {
            format!("{scheme}***@{rest}")
        }
        _ => text.to_owned(),
    }
}

/// `text` as a terminal may show it, and a line of a log hold it: characters that would move the cursor, change colours,
/// begin a line or turn the direction of writing become escapes (`\n`, `\u{1b}`).
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Whether a terminal obeys a character: control characters, what Unicode ends lines with, and what turns the direction
/// of writing.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Cuts `text` at every character of `separators` and drops empty pieces (stout's `tokenize`).
pub fn tokenize<'a>(text: &'a str, separators: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(move |c| separators.contains(c)).filter(|piece| !piece.is_empty())
}

/// The number of single-character insertions, deletions, replacements and swaps of neighbours
/// between two words; used for "did you mean".
#[must_use]
pub fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, shown) in [
            ("Köln 'a\"b' π", "Köln 'a\"b' π"),
            ("a\x1b[2J\x07\u{9b}31m", r"a\u{1b}[2J\u{7}\u{9b}31m"),
            ("one\ntwo\r\tthree\u{7f}", r"one\ntwo\r\tthree\u{7f}"),
            ("\u{202e}live\u{2066}\u{200f}\u{2028}", r"\u{202e}live\u{2066}\u{200f}\u{2028}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn no_password_is_shown() {
        for (text, shown) in [
            ("etcd://jake:p@ss:w/rd@host:1/m", "etcd://***@host:1/m"),
            ("zk//jake:secret@host", "***@host"),
            ("master@host:5050", "master@host:5050"),
            ("zk://host:1/m", "zk://host:1/m"),
            (r#"{"a":"b@c"}"#, r#"{"a":"b@c"}"#),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn prints_like_a_cpp_stream() {
        for (value, expected) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (1024.0, "1024"),
            (0.001, "0.001"),
            (0.000_01, "1e-05"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1.428_571_428_571_43, "1.42857142857143"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(general(value, 15), expected);
        }
        assert_eq!(general(1_234_567.0, 6), "1.23457e+06");
    }

    #[test]
    fn whole_numbers_may_be_hexadecimal_and_others_not() {
        assert_eq!(parse_f64("0x10"), None);
        assert_eq!(parse_f64("1e400"), None);
        assert_eq!(parse_f64("inf"), Some(f64::INFINITY));
        assert_eq!(parse_f64(" 1"), None);
        assert_eq!(parse_f64("1e3"), Some(1000.0));
        assert_eq!(parse_u64("0xff"), Some(255));
        assert_eq!(parse_u64("0x+f"), None);
        assert_eq!(parse_u64("-1"), None);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(edit_distance("work_dir", "wrok_dir"), 1);
        assert_eq!(edit_distance("ip", "port"), 4);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
