//! Whether a weight makes sense (upstream: `master/weights.hpp`, `master/weights_handler.cpp`).

use mesos::roles;

use super::{Checked, Invalid, refuse_if_with};

/// Checks the role whose weight is set.
pub fn role(role: &str) -> Checked {
    super::name("The role", role)?;
    roles::validate(role).map_err(|error| Invalid(format!("Invalid role '{role}': {error}")))
}

/// Checks the weight. (Upstream lets through what is no number, and infinity; a share divided by it orders nobody.)
pub fn value(weight: f64) -> Checked {
    refuse_if_with(!(weight > 0.0 && weight.is_finite()), || {
        format!("Invalid weight '{weight}': Weights must be positive")
    })
}
