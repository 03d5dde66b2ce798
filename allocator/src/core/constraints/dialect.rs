//! RE2's dialect of regular expressions, for the `regex` crates.
//!
//! What is known to mean something else there is written otherwise, and what RE2 does not know is refused, so that a
//! pattern does not mean one thing to upstream and another one here. The syntax is that of RE2's `doc/syntax.txt`.

use regex_syntax::ast::{self, AssertionKind, Ast, ClassPerlKind, ClassSetItem, Flag, FlagsItemKind, Span};
use regex_syntax::ast::{GroupKind, HexLiteralKind, Literal, LiteralKind};

/// How deep groups and repetitions may be nested: parsing is recursive. 4 KiB of automaton hold less.
pub(super) const DEEPEST: u32 = 100;

/// The same pattern for the `regex` crates, or why RE2 does not take it.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut parser = ast::parse::ParserBuilder::new().octal(true).nest_limit(DEEPEST).build();
    let tree = parser.parse(pattern).map_err(|error| error.to_string())?;
    let replaced = ast::visit(&tree, Dialect { pattern, replaced: Vec::new() })?;
    let mut written = String::with_capacity(pattern.len());
    let mut copied = 0;
    for (span, meaning) in replaced {
        written.push_str(&pattern[copied..span.start.offset]);
        written.push_str(meaning);
        copied = span.end.offset;
    }
    written.push_str(&pattern[copied..]);
    Ok(written)
}

/// Finds what must be written otherwise, in the order of their places.
struct Dialect<'p> {
    pattern: &'p str,
    replaced: Vec<(Span, &'static str)>,
}

impl Dialect<'_> {
    fn text(&self, span: &Span) -> &str {
        &self.pattern[span.start.offset..span.end.offset]
    }

    fn refuse(&self, what: &str, span: &Span) -> Result<(), String> {
        Err(format!("{what}: {}", self.text(span)))
    }

    /// `\d` and its kin mean ASCII; else they would mean all of Unicode, a thousand states instead of one.
    fn class(&mut self, class: &ast::ClassPerl) {
        let meaning = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
            (ClassPerlKind::Space, false) => r"[\t\n\f\r ]",
            (ClassPerlKind::Space, true) => r"[^\t\n\f\r ]",
        };
        self.replaced.push((class.span, meaning));
    }

    fn literal(&self, literal: &Literal) -> Result<(), String> {
        let known = match &literal.kind {
            // A single digit but 0 would be a reference to a group.
            LiteralKind::Octal => self.text(&literal.span).len() > 2 || literal.c == '\0',
            LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) => *kind == HexLiteralKind::X,
            _ => true,
        };
        if known { Ok(()) } else { self.refuse("invalid escape sequence", &literal.span) }
    }

    fn flags(&self, flags: &ast::Flags) -> Result<(), String> {
        let unknown = |item: &&ast::FlagsItem| {
            matches!(item.kind, FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace))
        };
        match flags.items.iter().find(unknown) {
            Some(item) => self.refuse("invalid flag", &item.span),
            None => Ok(()),
        }
    }
}

impl ast::Visitor for Dialect<'_> {
    type Output = Vec<(Span, &'static str)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.replaced)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::ClassPerl(class) => self.class(class),
            Ast::Literal(literal) => self.literal(literal)?,
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::WordBoundary => self.replaced.push((assertion.span, r"(?-u:\b)")),
                AssertionKind::NotWordBoundary => self.replaced.push((assertion.span, r"(?-u:\B)")),
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText => {}
                _ => self.refuse("invalid escape sequence", &assertion.span)?,
            },
            Ast::Repetition(outer) => {
                // Elsewhere `a++` means something else; RE2 takes neither that nor the plain reading.
                if let Ast::Repetition(inner) = &*outer.ast {
                    let operators = Span::new(inner.op.span.start, outer.op.span.end);
                    self.refuse("bad repetition operator", &operators)?;
                }
            }
            Ast::Flags(set) => self.flags(&set.flags)?,
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(flags) => self.flags(flags)?,
                GroupKind::CaptureName { starts_with_p: false, name } => {
                    self.refuse("the name of a group must be written (?P<name>...)", &name.span)?;
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Perl(class) => self.class(class),
            ClassSetItem::Literal(literal) => self.literal(literal)?,
            ClassSetItem::Range(range) => {
                self.literal(&range.start)?;
                self.literal(&range.end)?;
            }
            // To RE2 it is a character like others.
            ClassSetItem::Bracketed(class) => {
                self.refuse(r"within brackets a [ must be escaped", &class.span)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, operation: &ast::ClassSetBinaryOp) -> Result<(), String> {
        // To RE2 they are two characters like others.
        self.refuse("within brackets the second one of &&, -- or ~~ must be escaped", &operation.span)
    }
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_means_something_else_is_written_otherwise() {
        assert_eq!(translate(r"\d+[\w-]\b").unwrap(), r"[0-9]+[[0-9A-Za-z_]-](?-u:\b)");
        for same in [
            r"a+?b{2,3}?(?:c+)*",
            r"(?P<n>a)|(?i)b(?s-m:c)(?U)d",
            r"\101\0\07\x41\x{263a}\pL\p{Greek}[[:alpha:]]",
            r"^\A$\z",
            r"[a&b~c-]\-\.\[",
        ] {
            assert_eq!(translate(same).unwrap(), same);
        }
    }

    /// Each is refused by RE2 of 2020, or means something else to it.
    #[test]
    fn what_re2_does_not_know_is_refused() {
        for (pattern, reason) in [
            ("xa++", "bad repetition operator: ++"),
            ("a{2}{3}", "bad repetition operator: {2}{3}"),
            ("a*?+", "bad repetition operator: *?+"),
            (r"(a)\1", r"invalid escape sequence: \1"),
            (r"(a)\18", r"invalid escape sequence: \1"),
            (r"[\7]", r"invalid escape sequence: \7"),
            (r"\u0041", r"invalid escape sequence: \u0041"),
            (r"[a-\U00000062]", r"invalid escape sequence: \U00000062"),
            (r"\<a", r"invalid escape sequence: \<"),
            (r"\b{start}a", r"invalid escape sequence: \b{start}"),
            ("(?<n>a)", "the name of a group must be written (?P<name>...): n"),
            ("(?x) a", "invalid flag: x"),
            ("(?i-u:a)", "invalid flag: u"),
            ("(?R)a", "invalid flag: R"),
            ("[a--b]", "within brackets the second one of &&, -- or ~~ must be escaped: a--b"),
            ("[a&&b]", "within brackets the second one of &&, -- or ~~ must be escaped: a&&b"),
            ("[a[bc]]", "within brackets a [ must be escaped: [bc]"),
        ] {
            assert_eq!(translate(pattern), Err(reason.to_owned()), "{pattern}");
        }
    }
}
