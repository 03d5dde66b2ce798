//! Upstream's spelling of numbers and control characters (rapidjson's writer).

use std::io::{self, Write};

use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// For `serde_json::Serializer::with_formatter`: compact, doubles as rapidjson prints them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Format;

impl Formatter for Format {
    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || (1e-3..1e15).contains(&size) {
            // Here all shortest-digits printers agree.
            CompactFormatter.write_f64(writer, value)
        } else {
            writer.write_all(double(value).as_bytes())
        }
    }

    fn write_char_escape<W: Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04X}"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

/// The shortest digits that read back as `value`, laid out as rapidjson does: plain from 1e-6 to
/// 1e21, with an exponent beyond, and a decimal point whenever there is no exponent.
fn double(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // The decimal point stands after this many digits.
    let point = exponent + 1;
    let length = digits.len() as i32;
    if point >= length && point <= 21 {
        format!("{sign}{digits}{}.0", "0".repeat((point - length) as usize))
    } else if point > 0 && point <= 21 {
        let (whole, rest) = digits.split_at(point as usize);
        format!("{sign}{whole}.{rest}")
    } else if point > -6 && point <= 0 {
        format!("{sign}0.{}{digits}", "0".repeat(-point as usize))
    } else {
        format!("{sign}{mantissa}e{exponent}")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn doubles_are_laid_out_as_rapidjson_does() {
        let cases = [
            (0.0, "0.0"),
            (4.0, "4.0"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-2.5, "-2.5"),
            (1e15, "1000000000000000.0"),
            (1e16, "10000000000000000.0"),
            (1e20, "100000000000000000000.0"),
            (1e21, "1e21"),
            (1.5e300, "1.5e300"),
            (1e-6, "0.000001"),
            (1.5e-6, "0.0000015"),
            (1e-7, "1e-7"),
            (-1.25e-9, "-1.25e-9"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
        ];
        for (value, text) in cases {
            assert_eq!(crate::json::to_string(&value), text);
        }
    }

    #[test]
    fn control_characters_are_upper_case_hex() {
        assert_eq!(crate::json::to_string("\u{1f}\n\"/é"), r#""\u001F\n\"/é""#);
    }
}
