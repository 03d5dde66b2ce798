//! How an integral becomes a sum: steps of equal width, and a rule for each. Pure.

use serde::{Deserialize, Serialize};

use super::expression::Expression;

/// How a step's area is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// By the values at both ends. It sees a pole at an end of the range.
    #[default]
    Trapezoid,
    /// By the value in the middle. It can integrate what has no value at an end.
    Midpoint,
}

impl std::str::FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trapezoid" => Ok(Rule::Trapezoid),
            "midpoint" => Ok(Rule::Midpoint),
            other => Err(format!("unknown rule '{other}': expecting trapezoid or midpoint")),
        }
    }
}

/// A task's part of the steps: `TaskInfo.data`, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// The expression in `x`.
    pub expression: String,
    /// The rule.
    pub rule: Rule,
    /// Where the whole range begins.
    pub from: f64,
    /// Where the whole range ends.
    pub to: f64,
    /// The steps of the whole range.
    pub of: u64,
    /// This task's first step.
    pub first: u64,
    /// The first step that is the next task's.
    pub end: u64,
}

impl Steps {
    /// Cuts a range into tasks of at most `most` steps, as equal as can be.
    pub(crate) fn cut(whole: &Steps, most: u64) -> Vec<Steps> {
        let tasks = whole.of.div_ceil(most.max(1));
        let bound = |task: u64| {
            let bound = u128::from(whole.of) * u128::from(task) / u128::from(tasks.max(1));
            u64::try_from(bound).unwrap_or(whole.of)
        };
        (0..tasks).map(|task| Steps { first: bound(task), end: bound(task + 1), ..whole.clone() }).collect()
    }

    /// The area of these steps.
    ///
    /// # Errors
    /// When the expression has no finite value somewhere; says where.
    pub(crate) fn area(&self, expression: &Expression) -> Result<f64, String> {
        let mut sum = Sum::default();
        match self.rule {
            Rule::Midpoint => {
                for step in self.first..self.end {
                    sum.add(self.value(expression, step as f64 + 0.5)?);
                }
            }
            Rule::Trapezoid if self.first < self.end => {
                for step in self.first + 1..self.end {
                    sum.add(self.value(expression, step as f64)?);
                }
                sum.add(self.value(expression, self.first as f64)? / 2.0);
                sum.add(self.value(expression, self.end as f64)? / 2.0);
            }
            Rule::Trapezoid => {}
        }
        let area = sum.value() * ((self.to - self.from) / self.of as f64);
        if area.is_finite() {
            Ok(area)
        } else {
            Err(format!("the integral of '{}' is not finite", self.expression))
        }
    }

    /// The value after so many steps. The last is exactly at the end: a rounding error beyond it may
    /// be where the expression has no value.
    fn value(&self, expression: &Expression, steps: f64) -> Result<f64, String> {
        let of = self.of as f64;
        let x = if steps >= of { self.to } else { self.from + (self.to - self.from) * (steps / of) };
        let value = expression.evaluate(x)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(format!("'{}' has no finite value at x = {x} (it is {value})", self.expression))
        }
    }
}

/// A sum that keeps what rounding would lose (Neumaier's): a million small terms add up exactly.
#[derive(Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost +=
            if self.sum.abs() >= term.abs() { (self.sum - sum) + term } else { (term - sum) + self.sum };
        self.sum = sum;
    }

    fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(expression: &str, from: f64, to: f64, of: u64, rule: Rule) -> Steps {
        Steps { expression: expression.into(), rule, from, to, of, first: 0, end: of }
    }

    fn integral(whole: &Steps, most: u64) -> Result<f64, String> {
        let expression = Expression::parse(&whole.expression).unwrap();
        Steps::cut(whole, most).iter().map(|part| part.area(&expression)).sum()
    }

    #[test]
    fn the_parts_are_the_whole_and_none_is_too_large() {
        for (of, most) in [(1_000_000, 500_000), (1_000_001, 500_000), (1, 500_000), (7, 2)] {
            let parts = Steps::cut(&steps("x", 0.0, 1.0, of, Rule::Midpoint), most);
            assert_eq!((parts[0].first, parts[parts.len() - 1].end), (0, of));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].first));
            assert!(parts.iter().all(|part| part.end - part.first <= most));
        }
        assert_eq!(Steps::cut(&steps("x", 0.0, 1.0, 1_000_000, Rule::Midpoint), 500_000).len(), 2);
    }

    #[test]
    fn known_integrals_come_out() {
        for rule in [Rule::Trapezoid, Rule::Midpoint] {
            for (expression, from, to, value) in [
                ("4*sqrt(1-x*x)", 0.0, 1.0, std::f64::consts::PI),
                ("1/x", 1.0, 2.0, std::f64::consts::LN_2),
                ("x", 1.0, 0.0, -0.5),
                ("3*x^2", 0.0, 2.0, 8.0),
            ] {
                let found = integral(&steps(expression, from, to, 20_000, rule), 7_000).unwrap();
                assert!((found - value).abs() < 2e-6, "{expression} by {rule:?}: {found}");
            }
        }
    }

    #[test]
    fn a_pole_is_an_error_that_says_where() {
        let error = integral(&steps("1/x", 0.0, 1.0, 100, Rule::Trapezoid), 50).unwrap_err();
        assert_eq!(error, "'1/x' has no finite value at x = 0 (it is inf)");
        let error = integral(&steps("1/x", -1.0, 1.0, 100, Rule::Trapezoid), 30).unwrap_err();
        assert!(error.contains("x = 0 "), "{error}");
        let error = integral(&steps("sqrt(x)", -1.0, 1.0, 100, Rule::Midpoint), 30).unwrap_err();
        assert!(error.contains("NaN"), "{error}");
    }

    #[test]
    fn the_midpoint_rule_does_not_look_at_the_ends() {
        assert!(integral(&steps("sin(x)/x", 0.0, 1.0, 100, Rule::Midpoint), 100).is_ok());
        assert!(integral(&steps("sin(x)/x", 0.0, 1.0, 100, Rule::Trapezoid), 100).is_err());
    }

    #[test]
    fn the_sum_keeps_small_terms() {
        let mut sum = Sum::default();
        for term in [1e16, 1.0, 1.0, -1e16] {
            sum.add(term);
        }
        assert_eq!(sum.value(), 2.0);
    }
}
