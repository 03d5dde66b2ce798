//! Amounts by name, without anything that a resource has beside its amount: what quota, fair shares
//! and metrics count with (upstream: `src/common/resource_quantities.cpp`). In
//! [`ResourceQuantities`] an absent name means zero, in [`ResourceLimits`] it means no limit. Pure.

use std::{
    collections::BTreeMap,
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
};

use crate::{
    resources::{Resource, Resources},
    text, v1,
    values::{self, ParsedValue, Scalar},
};

/// Why a text is not a list of amounts; upstream's texts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    /// `name:amount` expected.
    #[error("Failed to parse '{0}': missing or extra ':'")]
    Colon(String),
    /// The amount does not read, or is none.
    #[error("Failed to parse '{text}' to {what}: {reason}")]
    Value {
        /// What stands behind the colon.
        text: String,
        /// `quantity` or `limit`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Positive amounts by name; absent means zero.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ResourceQuantities {
    amounts: BTreeMap<String, Scalar>,
}

impl ResourceQuantities {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { amounts: BTreeMap::new() }
    }

    /// Reads `cpus:10;mem:5`; names that repeat add up, zeros are dropped.
    ///
    /// # Errors
    /// [`QuantityError`].
    pub fn parse(input: &str) -> Result<Self, QuantityError> {
        let mut quantities = Self::new();
        for token in text::tokenize(input, ";") {
            let (name, amount) = parse_amount(token, "quantity")?;
            quantities.increase(name, amount);
        }
        Ok(quantities)
    }

    /// The amounts of everything, ranges and sets counted by their members.
    #[must_use]
    pub fn from_resources(resources: &Resources) -> Self {
        resources.iter().map(|r| (r.name(), r.quantity())).collect()
    }

    /// The amounts of the scalars.
    #[must_use]
    pub fn from_scalar_resources(resources: &Resources) -> Self {
        resources.iter().filter_map(|r| Some((r.name(), r.scalar()?))).collect()
    }

    /// The amount of one resource.
    #[must_use]
    pub fn from_resource(resource: &Resource) -> Self {
        [(resource.name(), resource.quantity())].into_iter().collect()
    }

    /// The amount of this name; zero when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Scalar {
        self.amounts.get(name).copied().unwrap_or_default()
    }

    /// The amounts, by name in alphabetical order; none is zero.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Scalar)> {
        self.amounts.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty()
    }

    /// The number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.amounts.len()
    }

    /// Whether there is at least as much of every name.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.iter().all(|(name, amount)| self.get(name) >= amount)
    }

    /// Adds to one name; zero and less are ignored.
    pub fn increase(&mut self, name: &str, amount: Scalar) {
        if !amount.is_positive() {
            return;
        }
        match self.amounts.get_mut(name) {
            Some(present) => *present += amount,
            None => {
                self.amounts.insert(name.to_owned(), amount);
            }
        }
    }

    /// Takes from one name, down to zero at most.
    pub fn decrease(&mut self, name: &str, amount: Scalar) {
        if let Some(present) = self.amounts.get_mut(name) {
            *present = present.minus_or_zero(amount);
            if present.is_zero() {
                self.amounts.remove(name);
            }
        }
    }

    /// The amounts as the protocol's map (`QuotaConfig.guarantees`).
    #[must_use]
    pub fn to_protos(&self) -> BTreeMap<String, v1::value::Scalar> {
        self.amounts.iter().map(|(name, amount)| (name.clone(), (*amount).into())).collect()
    }
}

/// Zeros and less are dropped.
impl From<&BTreeMap<String, v1::value::Scalar>> for ResourceQuantities {
    fn from(amounts: &BTreeMap<String, v1::value::Scalar>) -> Self {
        amounts.iter().map(|(name, amount)| (name, Scalar::from(amount))).collect()
    }
}

impl<N: AsRef<str>> FromIterator<(N, Scalar)> for ResourceQuantities {
    fn from_iter<I: IntoIterator<Item = (N, Scalar)>>(amounts: I) -> Self {
        let mut quantities = Self::new();
        for (name, amount) in amounts {
            quantities.increase(name.as_ref(), amount);
        }
        quantities
    }
}

impl AddAssign<&Self> for ResourceQuantities {
    fn add_assign(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.increase(name, amount);
        }
    }
}

impl SubAssign<&Self> for ResourceQuantities {
    fn sub_assign(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.decrease(name, amount);
        }
    }
}

impl AddAssign for ResourceQuantities {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl SubAssign for ResourceQuantities {
    fn sub_assign(&mut self, other: Self) {
        *self -= &other;
    }
}

impl Add<&ResourceQuantities> for ResourceQuantities {
    type Output = Self;
    fn add(mut self, other: &ResourceQuantities) -> Self {
        self += other;
        self
    }
}

impl Sub<&ResourceQuantities> for ResourceQuantities {
    type Output = Self;
    fn sub(mut self, other: &ResourceQuantities) -> Self {
        self -= other;
        self
    }
}

impl Add for &ResourceQuantities {
    type Output = ResourceQuantities;
    fn add(self, other: Self) -> ResourceQuantities {
        self.clone() + other
    }
}

impl Sub for &ResourceQuantities {
    type Output = ResourceQuantities;
    fn sub(self, other: Self) -> ResourceQuantities {
        self.clone() - other
    }
}

impl Add for ResourceQuantities {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self + &other
    }
}

impl Sub for ResourceQuantities {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self - &other
    }
}

impl Sum for ResourceQuantities {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::new(), |sum, next| sum + &next)
    }
}

/// Limits by name; absent means unlimited.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    limits: BTreeMap<String, Scalar>,
}

impl ResourceLimits {
    /// No limits.
    #[must_use]
    pub const fn new() -> Self {
        Self { limits: BTreeMap::new() }
    }

    /// Reads `cpus:10;mem:0`; zeros count, names must not repeat.
    ///
    /// # Errors
    /// [`QuantityError`].
    pub fn parse(input: &str) -> Result<Self, QuantityError> {
        let mut limits = Self::new();
        for token in text::tokenize(input, ";") {
            let (name, limit) = parse_amount(token, "limit")?;
            if limits.limits.insert(name.to_owned(), limit).is_some() {
                return Err(QuantityError::Value {
                    text: limit.to_string(),
                    what: "limit",
                    reason: "duplicate names are not allowed".into(),
                });
            }
        }
        Ok(limits)
    }

    /// The limit of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Scalar> {
        self.limits.get(name).copied()
    }

    /// Sets the limit of this name.
    pub fn set(&mut self, name: &str, limit: Scalar) {
        self.limits.insert(name.to_owned(), limit);
    }

    /// The limits, by name in alphabetical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Scalar)> {
        self.limits.iter().map(|(name, limit)| (name.as_str(), *limit))
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Whether the other's limits all are as strict or stricter.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.iter().all(|(name, limit)| other.get(name).is_some_and(|other| other <= limit))
    }

    /// Whether the amounts are within the limits.
    #[must_use]
    pub fn contains_quantities(&self, quantities: &ResourceQuantities) -> bool {
        self.iter().all(|(name, limit)| quantities.get(name) <= limit)
    }

    /// Takes from the limit of this name, down to zero at most.
    pub fn decrease(&mut self, name: &str, amount: Scalar) {
        if let Some(limit) = self.limits.get_mut(name) {
            *limit = limit.minus_or_zero(amount);
        }
    }

    /// The limits as the protocol's map (`QuotaConfig.limits`).
    #[must_use]
    pub fn to_protos(&self) -> BTreeMap<String, v1::value::Scalar> {
        self.limits.iter().map(|(name, limit)| (name.clone(), (*limit).into())).collect()
    }
}

impl From<&BTreeMap<String, v1::value::Scalar>> for ResourceLimits {
    fn from(limits: &BTreeMap<String, v1::value::Scalar>) -> Self {
        Self { limits: limits.iter().map(|(name, limit)| (name.clone(), Scalar::from(limit))).collect() }
    }
}

impl SubAssign<&ResourceQuantities> for ResourceLimits {
    fn sub_assign(&mut self, quantities: &ResourceQuantities) {
        for (name, amount) in quantities.iter() {
            self.decrease(name, amount);
        }
    }
}

impl Sub<&ResourceQuantities> for ResourceLimits {
    type Output = Self;
    fn sub(mut self, quantities: &ResourceQuantities) -> Self {
        self -= quantities;
        self
    }
}

fn parse_amount<'a>(token: &'a str, what: &'static str) -> Result<(&'a str, Scalar), QuantityError> {
    let mut parts = text::tokenize(token, ":");
    let (Some(name), Some(amount), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(QuantityError::Colon(token.to_owned()));
    };
    let wrong = |reason: String| QuantityError::Value { text: amount.to_owned(), what, reason };
    match values::parse(amount).map_err(|error| wrong(error.to_string()))? {
        ParsedValue::Scalar(number) => Ok((name.trim(), Scalar::from_f64(number))),
        _ => Err(wrong("only scalar values are allowed".into())),
    }
}

fn print<'a>(
    f: &mut fmt::Formatter<'_>,
    amounts: impl ExactSizeIterator<Item = (&'a str, Scalar)>,
) -> fmt::Result {
    if amounts.len() == 0 {
        return f.write_str("{}");
    }
    for (index, (name, amount)) in amounts.enumerate() {
        let separator = if index > 0 { "; " } else { "" };
        write!(f, "{separator}{name}:{amount}")?;
    }
    Ok(())
}

macro_rules! printed {
    ($($name:ty)*) => {$(
        /// `cpus:10; mem:5`, `{}` for nothing.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(f, self.iter())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(f, self.iter())
            }
        }
    )*};
}

printed! { ResourceQuantities ResourceLimits }

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(text: &str) -> ResourceQuantities {
        ResourceQuantities::parse(text).unwrap()
    }

    fn limits(text: &str) -> ResourceLimits {
        ResourceLimits::parse(text).unwrap()
    }

    /// Upstream: `FromStringValid`.
    #[test]
    fn quantities_add_up_names_and_drop_zeros() {
        for (text, printed) in [
            ("cpus:10", "cpus:10"),
            ("cpus:3.14", "cpus:3.14"),
            (" cpus : 3.14 ; disk : 10 ", "cpus:3.14; disk:10"),
            ("cpus:0", "{}"),
            ("", "{}"),
            ("cpus:10.5;ports:1", "cpus:10.5; ports:1"),
            ("ports:3;cpus:10.5", "cpus:10.5; ports:3"),
            ("ports:3;cpus:1;cpus:10.5", "cpus:11.5; ports:3"),
            ("cpus:10;mem:5;cpus:1.5;disk:0", "cpus:11.5; mem:5"),
            (" c p us : 1 0 ", "c p us:10"),
        ] {
            assert_eq!(quantities(text).to_string(), printed, "{text}");
        }
        assert_eq!(quantities("cpus:0").len(), 0);
    }

    /// What neither reads.
    const MALFORMED: [&str; 11] = [
        "cpus:a10",
        "cpus:3.14c",
        "ports:3,cpus:1",
        "ports:3,cpus:-1",
        "cpus:-1",
        "cpus:nan",
        "cpus:-nan",
        "cpus:inf",
        "cpus:-inf",
        "cpus:infinity",
        "cpus:-infinity",
    ];

    /// Upstream: `FromStringInvalid`.
    #[test]
    fn malformed_quantities_say_what_is_wrong() {
        for text in MALFORMED {
            assert!(ResourceQuantities::parse(text).is_err(), "{text}");
        }
        for (text, message) in [
            ("cpus", "Failed to parse 'cpus': missing or extra ':'"),
            ("cpus:1:2", "Failed to parse 'cpus:1:2': missing or extra ':'"),
            ("ports:[1-2]", "Failed to parse '[1-2]' to quantity: only scalar values are allowed"),
            (
                "cpus:-1",
                "Failed to parse '-1' to quantity: Invalid scalar value '-1':Negative values not supported",
            ),
            ("cpus:[", "Failed to parse '[' to quantity: Mismatched brackets"),
        ] {
            assert_eq!(ResourceQuantities::parse(text).unwrap_err().to_string(), message);
        }
    }

    /// Upstream: `FromStringInvalid` of limits.
    #[test]
    fn malformed_limits_say_what_is_wrong() {
        for text in MALFORMED {
            assert!(ResourceLimits::parse(text).is_err(), "{text}");
        }
        let error = ResourceLimits::parse("cpus:1;cpus:2").unwrap_err().to_string();
        assert_eq!(error, "Failed to parse '2' to limit: duplicate names are not allowed");
    }

    /// Upstream: `FromStringValid` of limits.
    #[test]
    fn limits_keep_zeros() {
        for (text, printed) in [
            ("cpus:10", "cpus:10"),
            ("cpus:3.14", "cpus:3.14"),
            (" cpus : 3.14 ; disk : 10 ", "cpus:3.14; disk:10"),
            ("cpus:0", "cpus:0"),
            ("cpus:10.5;ports:1", "cpus:10.5; ports:1"),
            ("ports:3;cpus:10.5", "cpus:10.5; ports:3"),
        ] {
            assert_eq!(limits(text).to_string(), printed, "{text}");
        }
    }

    /// Upstream: `Addition`.
    #[test]
    fn quantities_of_one_name_add_up() {
        for (left, right, sum) in [
            ("cpus:10", "", "cpus:10"),
            ("cpus:10", "cpus:0.1", "cpus:10.1"),
            ("cpus:10.1", "alphas:1", "alphas:1; cpus:10.1"),
            ("cpus:10.1", "mem:1", "cpus:10.1; mem:1"),
            ("alphas:1;cpus:10.1", "cpus:1;mem:100", "alphas:1; cpus:11.1; mem:100"),
        ] {
            assert_eq!((quantities(left) + quantities(right)).to_string(), sum, "{left} + {right}");
        }
    }

    /// Upstream: `Subtraction`.
    #[test]
    fn subtraction_stops_at_zero() {
        for (left, right, difference) in [
            ("", "cpus:1", "{}"),
            ("cpus:1", "", "cpus:1"),
            ("cpus:1", "cpus:0.4", "cpus:0.6"),
            ("cpus:1", "cpus:1", "{}"),
            ("cpus:1", "cpus:1.4", "{}"),
            ("cpus:1", "mem:100", "cpus:1"),
            ("cpus:1", "alphas:1", "cpus:1"),
            ("cpus:1;mem:100", "alphas:1;cpus:0.5", "cpus:0.5; mem:100"),
        ] {
            assert_eq!((quantities(left) - quantities(right)).to_string(), difference, "{left} - {right}");
        }
    }

    /// Upstream: `SubtractQuantities`.
    #[test]
    fn a_limit_is_lowered_down_to_zero() {
        for (limit, taken, left) in [
            ("", "", "{}"),
            ("", "cpus:10", "{}"),
            ("cpus:1", "", "cpus:1"),
            ("cpus:1", "cpus:1", "cpus:0"),
            ("cpus:1", "cpus:2", "cpus:0"),
            ("cpus:1;mem:10", "cpus:1", "cpus:0; mem:10"),
            ("cpus:1;mem:10", "cpus:1;disk:10", "cpus:0; mem:10"),
            ("cpus:1;mem:10", "cpus:1;mem:5;disk:10", "cpus:0; mem:5"),
        ] {
            assert_eq!((limits(limit) - &quantities(taken)).to_string(), left, "{limit} - {taken}");
        }
    }

    /// Pairs of which the first has more names or amounts, and pairs of which each has something that the
    /// other lacks.
    const MORE: [(&str, &str); 3] =
        [("cpus:1", ""), ("cpus:1;mem:1;disk:1", "cpus:1;mem:1"), ("cpus:2;mem:2", "cpus:2;mem:1")];
    const APART: [(&str, &str); 2] = [("cpus:1;mem:1", "cpus:1;disk:1"), ("cpus:1;mem:1", "gpu:1;disk:1")];

    /// Upstream: `Contains`.
    #[test]
    fn an_absent_quantity_is_zero() {
        let contains = |left, right| quantities(left).contains(&quantities(right));
        assert!(contains("", "") && contains("cpus:1;mem:1", "cpus:1;mem:1"));
        for (more, less) in MORE {
            assert!(contains(more, less) && !contains(less, more), "{more} {less}");
        }
        for (left, right) in APART {
            assert!(!contains(left, right) && !contains(right, left), "{left} {right}");
        }
    }

    /// Upstream: `Contains` of limits.
    #[test]
    fn an_absent_limit_is_none() {
        let contains = |left, right| limits(left).contains(&limits(right));
        assert!(contains("", "") && contains("cpus:1;mem:1", "cpus:1;mem:1"));
        // More names are stricter.
        for (stricter, looser) in &MORE[..2] {
            assert!(contains(looser, stricter) && !contains(stricter, looser), "{stricter} {looser}");
        }
        assert!(contains("cpus:2;mem:2", "cpus:2;mem:1") && !contains("cpus:2;mem:1", "cpus:2;mem:2"));
        for (left, right) in APART {
            assert!(!contains(left, right) && !contains(right, left), "{left} {right}");
        }
    }

    /// Upstream: `ContainsQuantities`.
    #[test]
    fn what_has_no_limit_is_within_limits() {
        let within = |limit, amounts| limits(limit).contains_quantities(&quantities(amounts));
        for (limit, amounts) in [
            ("", ""),
            ("cpus:1", ""),
            ("cpus:1;mem:1", "cpus:1;mem:1"),
            ("cpus:1;mem:1;disk:1", "cpus:1;mem:1"),
            ("cpus:1;mem:1", "cpus:1;mem:1;disk:1"),
            ("cpus:1;mem:1", "cpus:1;disk:1"),
            ("cpus:1;mem:1", "gpu:1;disk:1"),
            ("cpus:2;mem:2", "cpus:2;mem:1"),
        ] {
            assert!(within(limit, amounts), "{amounts} within {limit}");
        }
        assert!(!within("cpus:2;mem:1", "cpus:2;mem:2"));
        assert!(!within("cpus:0", "cpus:0.001"));
    }

    /// Upstream: `FromScalarResources`.
    #[test]
    fn of_resources_scalars_alone_can_be_counted() {
        let of = |text| ResourceQuantities::from_scalar_resources(&Resources::parse(text, "*").unwrap());
        assert!(of("").is_empty());
        assert_eq!(of("cpus:1;mem:512;disk:800").to_string(), "cpus:1; disk:800; mem:512");
        assert_eq!(of("cpus:1;ports:[1-10]").to_string(), "cpus:1");
    }

    /// Upstream: `FromResources`.
    #[test]
    fn ranges_and_sets_count_their_members() {
        let of = |text| ResourceQuantities::from_resources(&Resources::parse(text, "*").unwrap());
        assert!(of("").is_empty());
        assert_eq!(
            of("cpus:1;mem:512;ports:[5000-6000];zones:{a,b};disk:800").to_string(),
            "cpus:1; disk:800; mem:512; ports:1001; zones:2"
        );
    }

    /// Upstream: `Stringify`.
    #[test]
    fn nothing_prints_as_a_pair_of_braces() {
        assert_eq!(ResourceQuantities::new().to_string(), "{}");
        assert_eq!(quantities("cpus:1;mem:1024").to_string(), "cpus:1; mem:1024");
    }

    /// Upstream: `Sum`.
    #[test]
    fn many_quantities_have_a_sum() {
        let sum = |texts: &[&str]| -> String {
            texts.iter().map(|text| quantities(text)).sum::<ResourceQuantities>().to_string()
        };
        assert_eq!(sum(&[]), "{}");
        assert_eq!(sum(&[""]), "{}");
        assert_eq!(sum(&["", "cpus:1", "cpus:2"]), "cpus:3");
        assert_eq!(sum(&["", "cpus:1", "cpus:2", "memory:1", "cpus:1;memory:1"]), "cpus:4; memory:2");
    }
}
