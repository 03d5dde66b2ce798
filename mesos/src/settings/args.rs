//! The command line: `--name=value`, `--name value`, `--name`, `--no-name`. Splits; what the names
//! mean is not known here, except which are switches.

use super::SettingsError;

/// One flag as given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Given {
    /// As given, with dashes, for messages.
    pub(super) flag: String,
    /// The name without dashes, and without `no-` when that is what it says.
    pub(super) name: String,
    /// `None`: a bare `--name`.
    pub(super) value: Option<String>,
    /// `--no-name`.
    pub(super) negated: bool,
}

/// What the splitter must know of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Takes a value only behind `=`.
    Switch,
    /// Takes a value behind `=` or as the next argument.
    Valued,
    /// No such name.
    Unknown,
}

pub(super) fn split(args: &[String], kind: impl Fn(&str) -> Kind) -> Result<Vec<Given>, SettingsError> {
    let mut given = Vec::new();
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let body = arg.strip_prefix("--").filter(|body| !body.is_empty());
        let body = body.ok_or_else(|| SettingsError::Argument(arg.clone()))?;
        let (name, mut value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let (name, negated) = match name.strip_prefix("no-") {
            Some(positive) if kind(name) == Kind::Unknown => (positive, true),
            _ => (name, false),
        };
        // An unknown name is refused later; that its value is taken along keeps the message right.
        if value.is_none() && !negated && kind(name) != Kind::Switch {
            value = args.next_if(|next| !next.starts_with("--")).cloned();
        }
        let flag = format!("--{}{name}", if negated { "no-" } else { "" });
        given.push(Given { flag, name: name.to_owned(), value, negated });
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_words(words: &str) -> Result<Vec<(String, Option<String>, bool)>, SettingsError> {
        let kind = |name: &str| match name {
            "quiet" => Kind::Switch,
            "ip" | "no-op" => Kind::Valued,
            _ => Kind::Unknown,
        };
        let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let given = split(&args, kind)?;
        Ok(given.into_iter().map(|g| (g.name, g.value, g.negated)).collect())
    }

    #[test]
    fn values_stand_behind_an_equals_sign_or_as_the_next_argument() {
        let expected = vec![("ip".to_owned(), Some("1.2.3.4".to_owned()), false)];
        assert_eq!(split_words("--ip=1.2.3.4"), Ok(expected.clone()));
        assert_eq!(split_words("--ip 1.2.3.4"), Ok(expected));
        assert_eq!(split_words("--ip=a=b").unwrap()[0].1.as_deref(), Some("a=b"));
        assert_eq!(split_words("--ip --quiet").unwrap()[0].1, None);
    }

    #[test]
    fn a_switch_takes_no_next_argument() {
        assert_eq!(split_words("--quiet stray"), Err(SettingsError::Argument("stray".into())));
        assert_eq!(split_words("--quiet=false").unwrap()[0].1.as_deref(), Some("false"));
        assert_eq!(split_words("--no-quiet"), Ok(vec![("quiet".to_owned(), None, true)]));
        assert_eq!(split_words("--no-op x"), Ok(vec![("no-op".to_owned(), Some("x".to_owned()), false)]));
    }
}
