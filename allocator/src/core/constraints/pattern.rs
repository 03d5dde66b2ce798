//! Regular expressions of frameworks, bounded in size.
//!
//! Upstream uses RE2, and so the syntax and the meaning are RE2's ([`dialect`]), as near as the `regex` crates come:
//! linear time, no backreferences, `\d`, `\w`, `\s` and `\b` know ASCII only, `.` is one character and
//! no newline. A pattern must match the whole text (`RE2::FullMatch`). Not there: `\Q...\E` and `\C`; a
//! lone `{` and, within `[]`, a `[` must be escaped.

use std::fmt;

use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Hir, Look};

use super::dialect;

/// How large a pattern may be, once compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegexLimits {
    /// The most memory that the automaton of one pattern may take, in bytes, while it is being built:
    /// `--offer_constraints_re2_max_mem`. What a search needs beside it grows with this.
    pub max_mem: usize,
    /// The most states that the automaton may have: `--offer_constraints_re2_max_program_size`. RE2
    /// counts the instructions of its program; that is the same thing, and nearly the same number.
    pub max_program_size: usize,
}

impl Default for RegexLimits {
    /// What upstream's flags default to (`master/constants.hpp`).
    fn default() -> Self {
        RegexLimits { max_mem: 4096, max_program_size: 100 }
    }
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("Failed to construct regex from pattern '{pattern}': {reason}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It does not fit into memory. (The words between are RE2's.)
    #[error(
        "Failed to construct regex from pattern '{pattern}': pattern too large - compile failed; at most \
         {max_mem} bytes are allowed"
    )]
    TooLarge {
        /// The pattern.
        pattern: String,
        /// [`RegexLimits::max_mem`].
        max_mem: usize,
    },
    /// It fits, and has too many states.
    #[error(
        "Regex '{pattern}' is too complex: program size of {size} is larger than maximum of {max} allowed"
    )]
    TooComplex {
        /// The pattern.
        pattern: String,
        /// How many states it has.
        size: usize,
        /// [`RegexLimits::max_program_size`].
        max: usize,
    },
}

/// A compiled regular expression.
#[derive(Clone)]
pub(super) struct Pattern {
    text: String,
    regex: meta::Regex,
}

impl Pattern {
    /// Compiles a pattern that keeps within the limits.
    pub(super) fn new(text: &str, limits: RegexLimits) -> Result<Pattern, PatternError> {
        let syntax =
            |reason: String| PatternError::Syntax { pattern: text.to_owned(), reason: last_line(&reason) };
        let hir = parse(text).map_err(syntax)?;
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let config =
            thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(limits.max_mem));
        let measured = thompson::Compiler::new().configure(config).build_from_hir(&whole);
        let size = match measured {
            Ok(automaton) => automaton.states().len(),
            Err(error) if error.size_limit().is_some() => {
                return Err(PatternError::TooLarge { pattern: text.to_owned(), max_mem: limits.max_mem });
            }
            Err(error) => return Err(syntax(error.to_string())),
        };
        if size > limits.max_program_size {
            let max = limits.max_program_size;
            return Err(PatternError::TooComplex { pattern: text.to_owned(), size, max });
        }
        let config = meta::Config::new().which_captures(WhichCaptures::None);
        let regex = meta::Builder::new().configure(config).build_from_hir(&whole);
        let regex = regex.map_err(|error| syntax(error.to_string()))?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(Input::new(text).anchored(Anchored::Yes))
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

fn parse(text: &str) -> Result<Hir, String> {
    let text = dialect::translate(text)?;
    let mut parser = regex_syntax::ParserBuilder::new().octal(true).nest_limit(dialect::DEEPEST).build();
    parser.parse(&text).map_err(|error| error.to_string())
}

/// Of a message that draws the pattern over several lines, the line that says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, RegexLimits::default()).unwrap().matches(text)
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(matches("[a-d]+", "abcd"));
        assert!(!matches("[a-d]+", "bcde"));
        assert!(!matches("b", "abc"));
        // The first alternative that matches is not the one that matches everything.
        assert!(matches("a|ab", "ab"));
        assert!(matches("a|b|", ""));
        assert!(!matches("a|b", "xb"));
    }

    #[test]
    fn shorthands_mean_ascii_as_in_re2() {
        assert!(matches(r"rack-\d+", "rack-17"));
        assert!(!matches(r"rack-\d+", "rack-٣"));
        assert!(matches(r"[\w.-]+", "node-1.example_x"));
        assert!(!matches(r"\w+", "für"));
        assert!(matches(r"\S\s\D\W", "a b-"));
        assert!(matches(r"[^\d]*", "für"));
        assert!(matches(r"a\b-\Bb?-", "a--"));
        // Two bytes, one character.
        assert!(matches("f.r", "für"));
        assert!(!matches("a.b", "a\nb"));
        assert!(matches("(?i)RACK", "rack"));
        assert!(matches(r"(?P<name>\101)\x42", "AB"));
        assert!(matches(r"\\d", r"\d"));
    }

    #[test]
    fn what_upstreams_defaults_let_through_fits() {
        // The example in upstream's constants.hpp, which has 54 instructions in RE2.
        let example = "192.168.(1[0-9]|3[4-7]|[1-9]|4[2-9]|[1-4][0-9]|5[3-8]|20[4-7]|53[0-5]).1";
        assert!(matches(example, "192.168.35.1"));
        assert!(!matches(example, "192.168.60.1"));
        assert!(matches(r".*\.(us|eu)-\w+-\d\.example\.com", "a.us-west-1.example.com"));
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_refused_by_its_fault() {
        let refusal = |pattern: &str, limits| Pattern::new(pattern, limits).unwrap_err();
        let default = RegexLimits::default();
        assert_eq!(
            refusal("[a-d", default).to_string(),
            "Failed to construct regex from pattern '[a-d': unclosed character class"
        );
        assert_eq!(
            refusal("(a+){50}", default).to_string(),
            "Regex '(a+){50}' is too complex: program size of 103 is larger than maximum of 100 allowed"
        );
        let large = refusal("(a+){500}", default);
        assert_eq!(large, PatternError::TooLarge { pattern: "(a+){500}".to_owned(), max_mem: 4096 });
        assert!(large.to_string().contains("pattern too large - compile failed"));
        let roomy = RegexLimits { max_mem: 1 << 20, max_program_size: 2000 };
        assert!(Pattern::new("(a+){500}", roomy).is_ok());
        // Would be 10^12 states: refused when the room is used up, not after they were made.
        assert!(matches!(refusal("(((a{1000}){1000}){1000}){1000}", default), PatternError::TooLarge { .. }));
        assert!(matches!(refusal(&"(".repeat(10_000), default), PatternError::Syntax { .. }));
        assert!(matches!(refusal(r"(a)\8", default), PatternError::Syntax { .. }));
    }
}
