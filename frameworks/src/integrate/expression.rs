//! An expression in `x`, as `4*sqrt(1-x*x)`: read once, evaluated many times.
//!
//! The crate `fasteval` parses and evaluates; here are the names that it lacks, and refusals of what
//! it would read otherwise than people do.
//!
//! | there is | |
//! |---|---|
//! | the variable | `x` |
//! | constants | `pi`, `e` (also `pi()`, `e()`) |
//! | operators | `+ - * / % ^`, comparisons, `!`, `&&` or `and`, `||` or `or`; parentheses |
//! | roots, powers | `sqrt`, `cbrt`, `exp`, `x^0.5` |
//! | logarithms | `ln`, `log2`, `log10`, `log(x)` (base 10), `log(base, x)` |
//! | trigonometry | `sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh` |
//! | rounding and the like | `abs sign int ceil floor round(x) round(modulus, x) min max` |
//! | numbers | `1`, `.5`, `1e-3`, with a suffix `n u m k M G T` (`2k` is 2000) |
//!
//! `^` goes from right to left (`2^3^2` is 512). A minus sign binds more tightly than `^` in
//! `fasteval`, so `-x^2` would be `(-x)^2`: such expressions are refused.

use fasteval::{Compiler, Evaler, Instruction, Parser, Slab};
use thiserror::Error;

/// An expression in `x`.
pub struct Expression {
    text: String,
    instruction: Instruction,
    slab: Slab,
}

/// An expression that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot use the expression '{text}': {reason}")]
pub struct BadExpression {
    /// The expression.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Longer expressions are refused.
const MAX_LENGTH: usize = 4096;

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it cannot be parsed, names something unknown, or is ambiguous.
    pub fn parse(text: &str) -> Result<Self, BadExpression> {
        let bad = |reason: String| BadExpression { text: shorten(text), reason };
        if text.len() > MAX_LENGTH {
            return Err(bad(format!("it is longer than {MAX_LENGTH} characters")));
        }
        if calls_print(text) {
            return Err(bad("'print' cannot be used here".into()));
        }
        if let Some(at) = minus_before_power(text) {
            let part = text.get(at..).unwrap_or_default();
            return Err(bad(format!(
                "a minus sign before a power is ambiguous at '{part}': write -(a^b) or (-a)^b"
            )));
        }
        let mut slab = Slab::new();
        let parsed = Parser::new().parse(text, &mut slab.ps).map_err(|error| bad(explain(&error)))?;
        let parsed = parsed.from(&slab.ps);
        let unknown = |name: &String| !["x", "pi", "e"].contains(&name.as_str()) && function(name).is_none();
        if let Some(name) = parsed.var_names(&slab).into_iter().find(unknown) {
            return Err(bad(format!(
                "'{name}' is unknown: there are x, pi, e, and functions such as sqrt, exp, ln, sin"
            )));
        }
        let instruction = parsed.compile(&slab.ps, &mut slab.cs);
        let expression = Expression { text: text.to_owned(), instruction, slab };
        // What parses may still call a function with the wrong number of arguments.
        expression.evaluate(0.5).map_err(bad)?;
        Ok(expression)
    }

    /// The value at `x`; not finite where the expression has none.
    ///
    /// # Errors
    /// When a function is called with the wrong number of arguments.
    pub fn evaluate(&self, x: f64) -> Result<f64, String> {
        let mut names = |name: &str, arguments: Vec<f64>| match (name, arguments.as_slice()) {
            ("x", []) => Some(x),
            ("pi", []) => Some(std::f64::consts::PI),
            ("e", []) => Some(std::f64::consts::E),
            (name, [argument]) => function(name).map(|function| function(*argument)),
            _ => None,
        };
        self.instruction.eval(&self.slab, &mut names).map_err(|error| explain(&error))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The functions that `fasteval` does not have.
fn function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "sqrt" => f64::sqrt,
        "cbrt" => f64::cbrt,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        _ => return None,
    })
}

fn explain(error: &fasteval::Error) -> String {
    use fasteval::Error as E;
    match error {
        E::EOF | E::EofWhileParsing(_) => "it ends too early".into(),
        E::UnparsedTokensRemaining(rest) => format!("'{}' is left over", shorten(rest)),
        E::Undefined(name) => format!("'{name}' is not used as it can be (with one argument in parentheses)"),
        E::WrongArgs(what) | E::Expected(what) => what.clone(),
        E::TooDeep => "it is nested too deeply".into(),
        E::InvalidValue => "something stands where a value should".into(),
        other => other.to_string(),
    }
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

/// `print` is a function of fasteval that writes to standard error, a million times here.
fn calls_print(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c)).any(|word| word == "print")
}

/// Where a unary minus stands before an operand that is raised to a power.
fn minus_before_power(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| {
        bytes[at] == b'-' && is_unary(&bytes[..at]) && {
            let rest = skip_operand(bytes, at + 1);
            bytes.get(skip_blanks(bytes, rest)) == Some(&b'^')
        }
    })
}

/// A sign is unary unless a value ends before it (or it belongs to an exponent, as in `1e-3`).
fn is_unary(before: &[u8]) -> bool {
    let last = before.iter().rev().find(|byte| !byte.is_ascii_whitespace());
    !last.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_)].".contains(byte))
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Past signs, a name or number, and a parenthesis.
fn skip_operand(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || b"+-!".contains(byte)) {
        at += 1;
    }
    while bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte)) {
        let exponent = matches!(bytes[at], b'e' | b'E') && at > 0 && bytes[at - 1].is_ascii_digit();
        at += 1;
        if exponent && bytes.get(at).is_some_and(|byte| b"+-".contains(byte)) {
            at += 1;
        }
    }
    let open = skip_blanks(bytes, at);
    if !bytes.get(open).is_some_and(|byte| b"([".contains(byte)) {
        return at;
    }
    let mut depth = 0_usize;
    for (index, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, x: f64) -> f64 {
        Expression::parse(text).unwrap().evaluate(x).unwrap()
    }

    fn refused(text: &str) -> String {
        Expression::parse(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn expressions_mean_what_they_say() {
        for (text, x, value) in [
            ("4*sqrt(1-x*x)", 0.6, 3.2),
            ("1/x", 4.0, 0.25),
            ("10-4-3", 0.0, 3.0),
            ("2^3^2", 0.0, 512.0),
            ("-(x^2)", 3.0, -9.0),
            ("(-x)^2", 3.0, 9.0),
            ("1e-3*x", 2.0, 0.002),
            ("2k", 0.0, 2000.0),
            ("ln(e) + log10(100) + log2(8) + cbrt(27)", 0.0, 9.0),
            ("sin(pi/2) + exp(0)", 0.0, 2.0),
            ("x - 1e-3^2", 0.0, -0.000_001),
            ("-x + 2", 1.0, 1.0),
            ("2-x^2", 3.0, -7.0),
        ] {
            assert!((at(text, x) - value).abs() < 1e-12, "{text} at {x} is {}", at(text, x));
        }
    }

    #[test]
    fn a_minus_before_a_power_is_refused() {
        for text in ["-x^2", "exp(-x^2)", "2*-x^2", "-2^2", "1 + - (x+1) ^ 2", "-sin(x)^2", "-1e-3^2"] {
            assert!(refused(text).contains("ambiguous"), "{text}: {}", refused(text));
        }
        assert!(Expression::parse("-x*2^3").is_ok());
    }

    #[test]
    fn what_cannot_be_parsed_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "ends too early"),
            ("x+", "ends too early"),
            ("sqrt(x", "ends too early"),
            ("2x", "'x' is left over"),
            ("y*x", "'y' is unknown"),
            ("foo(x)", "'foo' is unknown"),
            ("sqrt(x, 2)", "'sqrt'"),
            ("sqrt", "'sqrt'"),
            ("x(1)", "'x'"),
            ("sin()", "sin"),
            ("print(x)", "'print'"),
            ("((", "ends too early"),
            ("))", "value"),
        ] {
            assert!(refused(text).contains(reason), "{text}: {}", refused(text));
        }
        assert!(refused(&"x+".repeat(4096)).contains("longer"));
        assert!(refused(&"(".repeat(1000)).contains("nested"));
    }

    #[test]
    fn where_there_is_no_value_it_is_not_finite() {
        assert!(at("1/x", 0.0).is_infinite());
        assert!(at("sqrt(x)", -1.0).is_nan());
    }
}
