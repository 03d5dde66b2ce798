//! The three kinds of resource values: [`Scalar`] (fixed point), [`Ranges`] (sorted intervals) and
//! [`Set`], with their arithmetic and their text forms. Owns the rules of upstream's
//! `src/common/values.cpp`. Plain data; knows nothing about resources, roles or messages except how
//! to become a `v1::Value` part.

mod parse;
mod ranges;
mod scalar;
mod set;

pub use parse::{ParsedValue, ValueParseError, parse};
pub use ranges::{Interval, Ranges, RangesError};
pub use scalar::Scalar;
pub use set::{Set, SetError};
