//! The declaration: what the [`settings!`](crate::settings!) macro makes of a list of fields.

use std::collections::BTreeMap;

use super::{SettingValue, SettingsError, Values};

/// One declared setting, without its type.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The flag's name, with underscores; the key in the config file.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// The heading in the help under which it stands.
    pub group: &'static str,
    /// The lines of its documentation.
    pub help: &'static [&'static str],
    /// Whether it can be given as `--name` and `--no-name`.
    pub is_switch: bool,
    /// What stands for the value in the help.
    pub placeholder: &'static str,
    /// What values are allowed.
    pub allowed: &'static str,
    /// The default as printed; `None` when there is none.
    pub default: Option<String>,
    /// Whether somebody must set it.
    pub is_required: bool,
}

impl Setting {
    /// Whether this is its name or one of its aliases.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// A struct of settings, made by [`settings!`](crate::settings!).
pub trait Declared: Sized {
    /// The program's name in the help.
    const PROGRAM: &'static str;

    /// What can be set, in order of declaration.
    fn declarations() -> Vec<Setting>;

    /// Takes each field's value out of the collected texts.
    ///
    /// # Errors
    /// The first value that is missing or not allowed.
    fn build(values: &Values) -> Result<Self, SettingsError>;

    /// What is set now, as text by name (`/flags`); what is unset is left out.
    fn effective(&self) -> BTreeMap<String, String>;
}

/// The default's text, for the macro.
#[must_use]
pub fn printed_default<T: SettingValue>(default: Option<fn() -> T>) -> Option<String> {
    default.and_then(|default| default().print())
}

/// Whether a setting must be set, for the macro.
#[must_use]
pub fn is_required<T: SettingValue>(default: Option<fn() -> T>) -> bool {
    default.is_none() && T::when_unset().is_none()
}

/// Declares a struct of settings; see [`mod@crate::settings`].
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident for $program:literal {
            $($group:literal {
                $(
                    $(#[doc = $help:expr])+
                    $field:ident $(| $alias:ident)* : $type:ty $(= $default:expr)? $(=> $check:expr)?,
                )*
            })*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $visibility struct $name {
            $($($(#[doc = $help])+ pub $field: $type,)*)*
        }

        impl $crate::settings::Declared for $name {
            const PROGRAM: &'static str = $program;

            fn declarations() -> ::std::vec::Vec<$crate::settings::Setting> {
                ::std::vec![$($($crate::settings::Setting {
                    name: ::core::stringify!($field),
                    aliases: &[$(::core::stringify!($alias)),*],
                    group: $group,
                    help: &[$($help),+],
                    is_switch: <$type as $crate::settings::SettingValue>::IS_SWITCH,
                    placeholder: <$type as $crate::settings::SettingValue>::PLACEHOLDER,
                    allowed: <$type as $crate::settings::SettingValue>::ALLOWED,
                    default: $crate::settings::printed_default::<$type>(
                        $crate::settings!(@default $type $(, $default)?)
                    ),
                    is_required: $crate::settings::is_required::<$type>(
                        $crate::settings!(@default $type $(, $default)?)
                    ),
                },)*)*]
            }

            fn build(
                values: &$crate::settings::Values,
            ) -> ::core::result::Result<Self, $crate::settings::SettingsError> {
                ::core::result::Result::Ok(Self {
                    $($($field: values.take::<$type>(
                        ::core::stringify!($field),
                        $crate::settings!(@default $type $(, $default)?),
                        $crate::settings!(@check $type $(, $check)?),
                    )?,)*)*
                })
            }

            fn effective(&self) -> ::std::collections::BTreeMap<::std::string::String, ::std::string::String> {
                [$($((
                    ::core::stringify!($field),
                    <$type as $crate::settings::SettingValue>::print(&self.$field),
                ),)*)*]
                .into_iter()
                .filter_map(|(name, value)| ::core::option::Option::Some((name.to_owned(), value?)))
                .collect()
            }
        }
    };
    (@default $type:ty) => { ::core::option::Option::<fn() -> $type>::None };
    (@default $type:ty, $default:expr) => {
        ::core::option::Option::<fn() -> $type>::Some(|| $default)
    };
    (@check $type:ty) => {
        ::core::option::Option::<fn(&$type) -> ::core::result::Result<(), ::std::string::String>>::None
    };
    (@check $type:ty, $check:expr) => {
        ::core::option::Option::<fn(&$type) -> ::core::result::Result<(), ::std::string::String>>::Some($check)
    };
}
