//! What JSON numbers, and numbers in quotes, become.

use std::fmt;

use serde_json::Value;

/// A type that JSON numbers become.
pub(super) trait Numeric: Sized + Copy + fmt::Display {
    /// The least and the largest value.
    const BOUNDS: (Self, Self);
    fn from_unsigned(value: u64) -> Option<Self>;
    fn from_signed(value: i64) -> Option<Self>;
    fn from_double(value: f64) -> Option<Self>;
    /// From the text of a JSON number.
    fn from_text(text: &str) -> Option<Self> {
        match serde_json::from_str(text.trim()).ok()? {
            Value::Number(number) => number
                .as_u64()
                .map(Self::from_unsigned)
                .or_else(|| number.as_i64().map(Self::from_signed))
                .or_else(|| number.as_f64().map(Self::from_double))?,
            _ => None,
        }
    }
}

macro_rules! integer {
    ($($kind:ty),*) => {$(
        impl Numeric for $kind {
            const BOUNDS: (Self, Self) = (<$kind>::MIN, <$kind>::MAX);
            fn from_unsigned(value: u64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_signed(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_double(value: f64) -> Option<Self> {
                // The fraction is cut off, as upstream does. The comparison is exact: both bounds
                // (or the next double beyond the upper one) are powers of two.
                let whole = value.trunc();
                let fits = whole >= <$kind>::MIN as f64 && whole < <$kind>::MAX as f64 + 1.0;
                fits.then_some(whole as $kind)
            }
        }
    )*};
}
integer!(i32, i64, u32, u64);

impl Numeric for f64 {
    const BOUNDS: (Self, Self) = (f64::MIN, f64::MAX);
    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_signed(value: i64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_double(value: f64) -> Option<Self> {
        Some(value)
    }
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => serde_json::from_str(text.trim()).ok(),
        }
    }
}
