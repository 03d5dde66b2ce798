//! Settings from texts alone, for fuzzers: no file is opened.

use std::collections::BTreeMap;

use super::{Declared, Outcome, SettingsError, Sources, file, load};

/// Settings from arguments, variables, and the text of a config file, which stands for any that is named.
pub(crate) fn load_text<S: Declared>(
    args: Vec<String>,
    mut env: BTreeMap<String, String>,
    config: &str,
) -> Result<Outcome<S>, SettingsError> {
    env.entry("MESOS_CONFIG".to_owned()).or_insert_with(|| "fuzz.toml".to_owned());
    load::load_with(Sources { args, env: Some(env) }, &[], |path| file::entries(path, config))
}
