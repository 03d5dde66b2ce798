//! A quantity with three decimals, held in whole thousandths, so that `0.1 + 0.2` is `0.3` on every
//! machine. All arithmetic saturates: no input from outside can overflow it.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
};

use serde::{Serialize, Serializer};

use crate::{text, v1};

/// A fixed point number with three decimals (upstream: `Value::Scalar` with `convertToFixed`).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(i64);

impl Scalar {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest representable quantity.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole thousandths.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The nearest thousandth, halves away from zero. Too large numbers become the largest one,
    /// NaN becomes zero (validation refuses both before they get here).
    #[must_use]
    pub fn from_f64(value: f64) -> Self {
        Self((value * 1000.0).round() as i64)
    }

    /// The floating point number for the wire.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // Whole part and rest apart, so that only numbers below 1000 are divided (as upstream).
        (self.0 / 1000) as f64 + (self.0 % 1000) as f64 / 1000.0
    }

    /// Whole thousandths.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whether it is exactly zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// The sum, or `None` when it is not representable.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` when it is not representable.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `max(self - other, 0)`.
    #[must_use]
    pub fn minus_or_zero(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

impl Add for Scalar {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Scalar {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Scalar {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// As upstream prints it: up to 15 significant digits.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::general(self.to_f64(), 15))
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As a JSON number.
impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl From<&v1::value::Scalar> for Scalar {
    fn from(scalar: &v1::value::Scalar) -> Self {
        Self::from_f64(scalar.value)
    }
}

impl From<Scalar> for v1::value::Scalar {
    fn from(scalar: Scalar) -> Self {
        Self { value: scalar.to_f64() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Upstream: `ReservationTest.ReserveTwiceWithDoubleValue`.
    #[test]
    fn keeps_three_decimals_and_rounds_halves_away_from_zero() {
        assert_eq!(Scalar::from_f64(0.0005).millis(), 1);
        assert_eq!(Scalar::from_f64(0.0004).millis(), 0);
        assert_eq!(Scalar::from_f64(-0.0005).millis(), -1);
        assert_eq!(Scalar::from_f64(1.0015), Scalar::from_millis(1002));
        assert_eq!(Scalar::from_f64(0.1) + Scalar::from_f64(0.2), Scalar::from_f64(0.3));
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        assert_eq!(Scalar::from_f64(1e300), Scalar::MAX);
        assert_eq!(Scalar::MAX + Scalar::from_f64(1.0), Scalar::MAX);
        assert_eq!(Scalar::from_f64(f64::NAN), Scalar::ZERO);
        assert_eq!(Scalar::MAX.checked_add(Scalar::from_millis(1)), None);
        assert_eq!(Scalar::from_f64(1.0).minus_or_zero(Scalar::from_f64(2.0)), Scalar::ZERO);
    }

    /// Upstream: `ResourcesTest.PrintingScalarPrecision`.
    #[test]
    fn prints_without_needless_digits() {
        for (value, expected) in [
            (1.0, "1"),
            (45.55, "45.55"),
            (0.001, "0.001"),
            (16384.0, "16384"),
            (0.0, "0"),
            (1.2345, "1.235"),
            (1.2344, "1.234"),
            (1.1, "1.1"),
            (1_000_001.0, "1000001"),
            (99_999_999_999.999_4, "99999999999.999"),
        ] {
            assert_eq!(Scalar::from_f64(value).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn floating_point_and_back_is_the_same_number(millis in -1_000_000_000_000_i64..1_000_000_000_000) {
            let scalar = Scalar::from_millis(millis);
            prop_assert_eq!(Scalar::from_f64(scalar.to_f64()), scalar);
            prop_assert_eq!(Scalar::from_f64(scalar.to_string().parse().unwrap()), scalar);
        }

        #[test]
        fn adding_and_subtracting_gives_back_what_was_there(a in 0_i64..1_000_000_000, b in 0_i64..1_000_000_000) {
            let (a, b) = (Scalar::from_millis(a), Scalar::from_millis(b));
            prop_assert_eq!((a + b) - b, a);
        }
    }
}
