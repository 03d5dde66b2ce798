//! Whether a weight makes sense (upstream: `master/weights.hpp`, `master/weights_handler.cpp`).

use std::num::FpCategory;

use mesos::roles;

use super::{Checked, Invalid};

/// Checks the role whose weight is set.
pub fn role(role: &str) -> Checked {
    super::name("The role", role)?;
    roles::validate(role).map_err(|error| Invalid(format!("Invalid role '{role}': {error}")))
}

/// Checks the weight. (Upstream lets through what is no number, and infinity; a share divided by it orders nobody.)
pub fn value(weight: f64) -> Checked {
    let reason = match weight.classify() {
        FpCategory::Nan => "NaN not supported",
        FpCategory::Infinite if weight > 0.0 => "Infinite values not supported",
        _ if weight > 0.0 => return Ok(()),
        _ => "Weights must be positive",
    };
    Err(Invalid(format!("Invalid weight '{weight}': {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_refused_with_the_reason() {
        for (weight, refused) in [
            (0.0, "Invalid weight '0': Weights must be positive"),
            (-1.5, "Invalid weight '-1.5': Weights must be positive"),
            (f64::NEG_INFINITY, "Invalid weight '-inf': Weights must be positive"),
            (f64::INFINITY, "Invalid weight 'inf': Infinite values not supported"),
            (f64::NAN, "Invalid weight 'NaN': NaN not supported"),
        ] {
            assert_eq!(value(weight).unwrap_err().to_string(), refused);
        }
        assert!(value(f64::MIN_POSITIVE).is_ok() && value(1e300).is_ok());
    }
}
