//! Ids, ports and addresses of the recording, and those of this run.

use std::collections::BTreeMap;

/// What stands in the recording, and what stands for it in this run.
#[derive(Debug, Clone, Default)]
pub struct Translation {
    ours: BTreeMap<String, String>,
    recorded: BTreeMap<String, String>,
}

impl Translation {
    /// From now on `recorded` is `ours`.
    pub fn learn(&mut self, recorded: &str, ours: &str) {
        self.ours.insert(recorded.to_owned(), ours.to_owned());
        self.recorded.insert(ours.to_owned(), recorded.to_owned());
    }

    /// Whether it is known.
    pub fn knows(&self, recorded: &str) -> bool {
        self.ours.contains_key(recorded)
    }

    /// A text of the recording with the names of this run.
    pub fn translate(&self, text: &str) -> String {
        replace(text, &self.ours)
    }

    /// A text of this run with the names of the recording.
    pub fn back(&self, text: &str) -> String {
        replace(text, &self.recorded)
    }

    /// A body of the recording; one that is no text is left as it is.
    pub fn translate_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.translate(text).into_bytes(),
            Err(_) => bytes.to_vec(),
        }
    }
}

/// The text with all words replaced. Of two words of which one begins with the other, the longer is taken.
fn replace(text: &str, words: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let here =
            words.iter().filter(|(word, _)| rest.starts_with(*word)).max_by_key(|(word, _)| word.len());
        match here {
            Some((word, other)) => {
                out.push_str(other);
                rest = &rest[word.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_word_is_taken_and_nothing_twice() {
        let mut translation = Translation::default();
        translation.learn("m-O2", "n-O7");
        translation.learn("m-O21", "n-O8");
        translation.learn("n", "x");
        assert_eq!(translation.translate("m-O21 m-O2 n ü"), "n-O8 n-O7 x ü");
        assert_eq!(translation.back("n-O8 n-O7 x ü"), "m-O21 m-O2 n ü");
    }
}
