//! TLS settings from upstream's variables, `LIBPROCESS_SSL_*` (`3rdparty/libprocess/src/openssl.cpp`, `Flags` and
//! `reinitialize`; upstream's docs/ssl.md explains them).
//!
//! Pure: the program collects the environment, nobody here reads it. [`VARIABLES`] is the table of docs/tls.md. What is
//! misspelt, or asks for something that rustls cannot do, is an error: a cluster that only seems to be secured is worse
//! than one that does not start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustls::{CipherSuite, NamedGroup};

use super::settings::{HostnameValidation, Identity, TlsSettings};

/// What the names begin with.
pub const PREFIX: &str = "LIBPROCESS_SSL_";
/// What they began with before Mesos 1.0. Other programs have such variables, too.
const OLD_PREFIX: &str = "SSL_";

/// One of the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Without [`PREFIX`].
    pub name: &'static str,
    /// What it is if it is not set.
    pub default: &'static str,
    /// What it does here.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// All of upstream's, in its order.
pub const VARIABLES: [Variable; 20] = [
    variable(
        "ENABLED",
        "false",
        "Speak TLS: others are connected to with it, and accepted with it. Without it no other variable matters.",
    ),
    variable(
        "SUPPORT_DOWNGRADE",
        "false",
        "Accept connections in the clear on the same port, and connect to other nodes in the clear where the handshake fails. Whoever stands between two nodes can bring that about.",
    ),
    variable(
        "CERT_FILE",
        "",
        "The certificate that is shown, followed by its chain (PEM). Nodes that listen must have it; executors that only call their agent need not (upstream's must).",
    ),
    variable("KEY_FILE", "", "Its private key (PEM), without a password."),
    variable("VERIFY_CERT", "false", "The older name of `VERIFY_SERVER_CERT`; a warning is logged."),
    variable(
        "VERIFY_SERVER_CERT",
        "false",
        "Believe servers only with a certificate from a trusted authority, for the right name.",
    ),
    variable("REQUIRE_CERT", "false", "The older name of `REQUIRE_CLIENT_CERT`; a warning is logged."),
    variable(
        "REQUIRE_CLIENT_CERT",
        "false",
        "Let clients in only with a certificate from a trusted authority. It implies `VERIFY_SERVER_CERT`.",
    ),
    variable(
        "VERIFY_IPADD",
        "false",
        "Take the address of a peer for a name of it, to be found in its certificate. Nodes connect to each other by address.",
    ),
    variable(
        "VERIFICATION_DEPTH",
        "4",
        "How many authorities may stand between a certificate and a trusted one; more than 6 are never believed. `VERIFY_DEPTH`, as upstream's documentation calls it, means the same.",
    ),
    variable(
        "CA_DIR",
        "",
        "A directory of PEM files with trusted authorities. Their names do not matter (OpenSSL wants hashes).",
    ),
    variable(
        "CA_FILE",
        "",
        "A PEM file with trusted authorities. Without it and without `CA_DIR` those of the host are trusted.",
    ),
    variable(
        "CIPHERS",
        "",
        "OpenSSL's names of suites for TLS 1.2, separated by colons, such as `ECDHE-RSA-AES128-GCM-SHA256`. Those that rustls has are used; the others (all of upstream's default, which are broken or near it) are left out with a warning, and it is an error if none is left. Default: all of rustls.",
    ),
    variable(
        "ECDH_CURVES",
        "auto",
        "Of `X25519`, `P-256` and `P-384`, the best first, separated by colons; others are left out with a warning. `ECDH_CURVE`, as upstream's documentation calls it, means the same.",
    ),
    variable(
        "HOSTNAME_VALIDATION_SCHEME",
        "legacy",
        "`legacy`: the certificate of a peer must carry the name that its address resolves to in reverse. `openssl`: that of a server must carry the name or address that it was asked for under.",
    ),
    variable("ENABLE_SSL_V3", "false", "`true` is refused: rustls does not speak SSL 3, which is broken."),
    variable(
        "ENABLE_TLS_V1_0",
        "false",
        "`true` is refused: rustls does not speak TLS 1.0, which RFC 8996 forbids.",
    ),
    variable(
        "ENABLE_TLS_V1_1",
        "false",
        "`true` is refused: rustls does not speak TLS 1.1, which RFC 8996 forbids.",
    ),
    variable("ENABLE_TLS_V1_2", "true", "Speak TLS 1.2."),
    variable(
        "ENABLE_TLS_V1_3",
        "true",
        "Speak TLS 1.3. Upstream's default is `false`, because its sockets do not work with it (MESOS-9730).",
    ),
];

/// Names that upstream's documentation has by mistake.
const ALIASES: [(&str, &str); 2] = [("VERIFY_DEPTH", "VERIFICATION_DEPTH"), ("ECDH_CURVE", "ECDH_CURVES")];

/// OpenSSL's names of the suites of TLS 1.2 that there are.
const SUITES: [(&str, CipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The names of the curves that there are.
const CURVES: [(&str, NamedGroup); 6] = [
    ("X25519", NamedGroup::X25519),
    ("P-256", NamedGroup::secp256r1),
    ("prime256v1", NamedGroup::secp256r1),
    ("secp256r1", NamedGroup::secp256r1),
    ("P-384", NamedGroup::secp384r1),
    ("secp384r1", NamedGroup::secp384r1),
];

/// What an environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// `None`: TLS is off.
    pub tls: Option<TlsSettings>,
    /// What an operator should know, a line each.
    pub warnings: Vec<String>,
}

/// An environment that asks for something impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// No such variable.
    #[error("there is no variable {0} (docs/tls.md lists those that there are)")]
    Unknown(String),
    /// Its value is not understood.
    #[error("cannot read the environment variable {name}='{value}': expected {expected}")]
    Value {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// It asks for what is not there.
    #[error("{name}={value} is refused: {reason}")]
    Refused {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// The variables do not go together.
    #[error("TLS needs {0}")]
    Incomplete(&'static str),
}

/// Reads the variables.
///
/// # Errors
/// [`VariableError`].
pub fn read(environment: &BTreeMap<String, String>) -> Result<Reading, VariableError> {
    refuse_unknown(environment)?;
    let mut reader = Reader { environment, warnings: Vec::new() };
    if !reader.flag("ENABLED", false)? {
        return Ok(Reading::default());
    }
    let tls = reader.settings()?;
    reader.judge(&tls);
    Ok(Reading { tls: Some(tls), warnings: reader.warnings })
}

/// A variable that is misspelt would leave something unprotected. Under the older prefix there are others' as well.
fn refuse_unknown(environment: &BTreeMap<String, String>) -> Result<(), VariableError> {
    let known = |name: &str| {
        VARIABLES.iter().any(|one| one.name == name) || ALIASES.iter().any(|(alias, _)| *alias == name)
    };
    let ours = environment.keys().filter_map(|key| Some((key, key.strip_prefix(PREFIX)?)));
    match ours.into_iter().find(|(_, name)| !known(name)) {
        Some((key, _)) => Err(VariableError::Unknown(key.clone())),
        None => Ok(()),
    }
}

struct Reader<'a> {
    environment: &'a BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn settings(&mut self) -> Result<TlsSettings, VariableError> {
        self.refuse_old_versions()?;
        let require_client_cert = self.either("REQUIRE_CLIENT_CERT", "REQUIRE_CERT")?;
        let settings = TlsSettings {
            identity: self.identity()?,
            support_downgrade: self.flag("SUPPORT_DOWNGRADE", false)?,
            // Who asks others for a certificate must be able to judge it, and so does.
            verify_server_cert: self.either("VERIFY_SERVER_CERT", "VERIFY_CERT")? || require_client_cert,
            require_client_cert,
            verify_ipadd: self.flag("VERIFY_IPADD", false)?,
            verification_depth: self.depth()?,
            ca_file: self.path("CA_FILE"),
            ca_dir: self.path("CA_DIR"),
            hostname_validation: self.scheme()?,
            cipher_suites: self.choose(
                "CIPHERS",
                &SUITES,
                "at least one suite of TLS 1.2 that rustls has",
            )?,
            curves: self.choose("ECDH_CURVES", &CURVES, "auto, or some of X25519, P-256 and P-384")?,
            enable_tls_v1_2: self.flag("ENABLE_TLS_V1_2", true)?,
            enable_tls_v1_3: self.flag("ENABLE_TLS_V1_3", true)?,
        };
        if !settings.enable_tls_v1_2 && !settings.enable_tls_v1_3 {
            return Err(VariableError::Incomplete("a version: TLS 1.2 and TLS 1.3 are both switched off"));
        }
        Ok(settings)
    }

    /// Says what may not be what was meant (upstream logs most of it).
    fn judge(&mut self, tls: &TlsSettings) {
        let mut warn = |text: &str| self.warnings.push(text.to_owned());
        let verifies = tls.verify_server_cert || tls.require_client_cert;
        match (tls.support_downgrade, verifies) {
            (true, true) => warn(
                "certificates are checked in vain: connections in the clear are allowed, too (LIBPROCESS_SSL_SUPPORT_DOWNGRADE)",
            ),
            (true, false) => {
                warn("connections that fail with TLS go on in the clear (LIBPROCESS_SSL_SUPPORT_DOWNGRADE)")
            }
            (false, true) => {}
            (false, false) => {
                warn("certificates of servers are not checked (LIBPROCESS_SSL_VERIFY_SERVER_CERT)")
            }
        }
        let by_name = tls.hostname_validation == HostnameValidation::Openssl;
        if tls.verify_server_cert && by_name && !tls.verify_ipadd {
            warn(
                "nodes connect to each other by address, for which LIBPROCESS_SSL_VERIFY_IPADD must be on with the scheme openssl",
            );
        }
    }

    /// A variable by its new name, by a name that upstream's documentation has, or by its old name.
    /// An empty text is none.
    fn text(&mut self, name: &str) -> Option<(String, &'a str)> {
        self.get(name, |value| !value.is_empty())
    }

    fn get(&mut self, name: &str, counts: impl Fn(&str) -> bool) -> Option<(String, &'a str)> {
        let environment = self.environment;
        let find =
            |key: String| environment.get(&key).filter(|value| counts(value)).map(|value| (key, &**value));
        let alias = ALIASES.iter().find(|(_, meant)| *meant == name).map(|(alias, _)| *alias);
        let new = find(format!("{PREFIX}{name}")).or_else(|| find(format!("{PREFIX}{}", alias?)));
        // For OpenSSL and what is built on it SSL_CERT_FILE names authorities: alone it is no certificate of ours.
        let is_openssls = name == "CERT_FILE" && find(format!("{OLD_PREFIX}KEY_FILE")).is_none();
        let old = find(format!("{OLD_PREFIX}{name}")).filter(|_| !is_openssls);
        let Some((old_key, old_value)) = old else { return new };
        match new {
            Some((key, value)) => {
                if value != old_value {
                    self.warnings.push(format!("{key} and {old_key} differ; the first one counts"));
                }
                Some((key, value))
            }
            None => {
                self.warnings.push(format!("{old_key} is deprecated: call it {PREFIX}{name}"));
                Some((old_key, old_value))
            }
        }
    }

    /// As upstream's flags: present without a value means true.
    fn flag(&mut self, name: &str, default: bool) -> Result<bool, VariableError> {
        match self.get(name, |_| true) {
            None => Ok(default),
            Some((_, "" | "true" | "1")) => Ok(true),
            Some((_, "false" | "0")) => Ok(false),
            Some((name, value)) => Err(wrong(name, value, "true, 1, false or 0")),
        }
    }

    /// A flag that has an older name.
    fn either(&mut self, name: &str, older: &str) -> Result<bool, VariableError> {
        let new = self.flag(name, false)?;
        let old = self.flag(older, false)?;
        if old {
            self.warnings.push(format!("{PREFIX}{older} is deprecated: call it {PREFIX}{name}"));
        }
        Ok(new || old)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|(_, path)| PathBuf::from(path))
    }

    fn identity(&mut self) -> Result<Option<Identity>, VariableError> {
        match (self.path("CERT_FILE"), self.path("KEY_FILE")) {
            (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(VariableError::Incomplete(
                "the key of the certificate: LIBPROCESS_SSL_KEY_FILE is not set",
            )),
            (None, Some(_)) => Err(VariableError::Incomplete(
                "the certificate of the key: LIBPROCESS_SSL_CERT_FILE is not set",
            )),
        }
    }

    fn depth(&mut self) -> Result<usize, VariableError> {
        let Some((name, value)) = self.text("VERIFICATION_DEPTH") else {
            return Ok(TlsSettings::default().verification_depth);
        };
        value.parse().map_err(|_| wrong(name, value, "a number, like 4"))
    }

    fn scheme(&mut self) -> Result<HostnameValidation, VariableError> {
        match self.text("HOSTNAME_VALIDATION_SCHEME") {
            None | Some((_, "legacy")) => Ok(HostnameValidation::Legacy),
            Some((_, "openssl")) => Ok(HostnameValidation::Openssl),
            Some((name, value)) => Err(wrong(name, value, "legacy or openssl")),
        }
    }

    fn refuse_old_versions(&mut self) -> Result<(), VariableError> {
        for (name, reason) in [
            ("ENABLE_SSL_V3", "rustls does not speak SSL 3, which is broken"),
            ("ENABLE_TLS_V1_0", "rustls does not speak TLS 1.0, which RFC 8996 forbids"),
            ("ENABLE_TLS_V1_1", "rustls does not speak TLS 1.1, which RFC 8996 forbids"),
        ] {
            if self.flag(name, false)? {
                let (name, value) = self.get(name, |_| true).unwrap_or_default();
                return Err(VariableError::Refused { name, value: value.to_owned(), reason });
            }
        }
        Ok(())
    }

    /// Those of a list that there are. A rule of OpenSSL's (`!aNULL`, `@STRENGTH`) cannot be followed.
    fn choose<T: Copy + PartialEq>(
        &mut self,
        name: &str,
        known: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Vec<T>, VariableError> {
        let Some((name, value)) = self.text(name).filter(|(_, value)| *value != "auto") else {
            return Ok(Vec::new());
        };
        let mut chosen = Vec::new();
        for word in value.split(':').filter(|word| !word.is_empty()) {
            if word.starts_with(['!', '-', '+', '@']) {
                return Err(VariableError::Refused {
                    name,
                    value: value.to_owned(),
                    reason: "rules of OpenSSL's cannot be followed; name each suite",
                });
            }
            match known.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
                Some((_, found)) if chosen.contains(found) => {}
                Some((_, found)) => chosen.push(*found),
                None => self.warnings.push(format!("{name}: rustls has no '{word}'; it is left out")),
            }
        }
        if chosen.is_empty() { Err(wrong(name, value, expected)) } else { Ok(chosen) }
    }
}

fn wrong(name: String, value: &str, expected: &'static str) -> VariableError {
    VariableError::Value { name, value: value.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Switched on, and this.
    fn with(pairs: &[(&str, &str)]) -> Result<Reading, VariableError> {
        let mut environment = environment(pairs);
        environment.insert("LIBPROCESS_SSL_ENABLED".into(), "1".into());
        read(&environment)
    }

    fn settings(pairs: &[(&str, &str)]) -> TlsSettings {
        with(pairs).unwrap().tls.unwrap()
    }

    #[test]
    fn without_enabled_there_is_no_tls_whatever_else_is_set() {
        let off =
            environment(&[("LIBPROCESS_SSL_CERT_FILE", "/c"), ("LIBPROCESS_SSL_VERIFICATION_DEPTH", "x")]);
        assert_eq!(read(&off), Ok(Reading::default()));
        assert_eq!(read(&environment(&[("LIBPROCESS_SSL_ENABLED", "false")])), Ok(Reading::default()));
    }

    #[test]
    fn a_flag_without_a_value_is_on_and_a_path_without_one_is_not_there() {
        assert!(read(&environment(&[("LIBPROCESS_SSL_ENABLED", "")])).unwrap().tls.is_some());
        assert!(settings(&[("LIBPROCESS_SSL_REQUIRE_CLIENT_CERT", "")]).require_client_cert);
        assert!(settings(&[("LIBPROCESS_SSL_CERT_FILE", "")]).identity.is_none());
    }

    #[test]
    fn defaults_are_upstreams_but_for_tls_1_3() {
        assert_eq!(settings(&[]), TlsSettings::default());
        let TlsSettings { enable_tls_v1_2, enable_tls_v1_3, verification_depth, .. } = settings(&[]);
        assert_eq!((enable_tls_v1_2, enable_tls_v1_3, verification_depth), (true, true, 4));
    }

    #[test]
    fn each_variable_is_read() {
        let read = settings(&[
            ("LIBPROCESS_SSL_SUPPORT_DOWNGRADE", "true"),
            ("LIBPROCESS_SSL_CERT_FILE", "/c.pem"),
            ("LIBPROCESS_SSL_KEY_FILE", "/k.pem"),
            ("LIBPROCESS_SSL_VERIFY_SERVER_CERT", "1"),
            ("LIBPROCESS_SSL_REQUIRE_CLIENT_CERT", "1"),
            ("LIBPROCESS_SSL_VERIFY_IPADD", "1"),
            ("LIBPROCESS_SSL_VERIFICATION_DEPTH", "2"),
            ("LIBPROCESS_SSL_CA_DIR", "/ca"),
            ("LIBPROCESS_SSL_CA_FILE", "/ca.pem"),
            ("LIBPROCESS_SSL_CIPHERS", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("LIBPROCESS_SSL_ECDH_CURVES", "P-384:X25519"),
            ("LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME", "openssl"),
            ("LIBPROCESS_SSL_ENABLE_SSL_V3", "0"),
            ("LIBPROCESS_SSL_ENABLE_TLS_V1_2", "0"),
            ("LIBPROCESS_SSL_ENABLE_TLS_V1_3", "1"),
        ]);
        let expected = TlsSettings {
            identity: Some(Identity { certificate: "/c.pem".into(), key: "/k.pem".into() }),
            support_downgrade: true,
            verify_server_cert: true,
            require_client_cert: true,
            verify_ipadd: true,
            verification_depth: 2,
            ca_file: Some("/ca.pem".into()),
            ca_dir: Some("/ca".into()),
            hostname_validation: HostnameValidation::Openssl,
            cipher_suites: vec![CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256],
            curves: vec![NamedGroup::secp384r1, NamedGroup::X25519],
            enable_tls_v1_2: false,
            enable_tls_v1_3: true,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn who_asks_clients_for_certificates_checks_those_of_servers() {
        for name in ["LIBPROCESS_SSL_REQUIRE_CLIENT_CERT", "LIBPROCESS_SSL_REQUIRE_CERT"] {
            let read = settings(&[(name, "true")]);
            assert!(read.require_client_cert && read.verify_server_cert, "{name}");
        }
    }

    #[test]
    fn older_names_mean_the_same_and_give_a_warning() {
        let old = read(&environment(&[("SSL_ENABLED", "1"), ("SSL_VERIFY_CERT", "1")])).unwrap();
        assert!(old.tls.unwrap().verify_server_cert);
        assert!(old.warnings.iter().any(|warning| warning.contains("SSL_ENABLED is deprecated")));
        assert!(old.warnings.iter().any(|warning| warning.contains("LIBPROCESS_SSL_VERIFY_SERVER_CERT")));
        let both = with(&[("SSL_CA_FILE", "/old"), ("LIBPROCESS_SSL_CA_FILE", "/new")]).unwrap();
        assert_eq!(both.tls.unwrap().ca_file, Some("/new".into()));
        assert!(both.warnings.iter().any(|warning| warning.contains("differ")), "{:?}", both.warnings);
    }

    #[test]
    fn openssls_own_variables_are_not_taken_for_ours() {
        let both = with(&[("SSL_CERT_FILE", "/etc/ssl/ca.pem"), ("SSL_CERT_DIR", "/etc/ssl/certs")]).unwrap();
        assert_eq!(both.tls.unwrap(), TlsSettings::default());
        let old = settings(&[("SSL_CERT_FILE", "/c.pem"), ("SSL_KEY_FILE", "/k.pem")]);
        assert_eq!(old.identity, Some(Identity { certificate: "/c.pem".into(), key: "/k.pem".into() }));
    }

    #[test]
    fn names_that_upstreams_documentation_has_by_mistake_are_understood() {
        assert_eq!(settings(&[("LIBPROCESS_SSL_VERIFY_DEPTH", "1")]).verification_depth, 1);
        assert_eq!(settings(&[("LIBPROCESS_SSL_ECDH_CURVE", "P-256")]).curves, [NamedGroup::secp256r1]);
    }

    #[test]
    fn suites_that_rustls_lacks_are_left_out_until_none_is_left() {
        let read = with(&[("LIBPROCESS_SSL_CIPHERS", "AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384")]).unwrap();
        let suites = read.tls.unwrap().cipher_suites;
        assert_eq!(suites, [CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]);
        assert!(read.warnings.iter().any(|warning| warning.contains("'AES128-SHA'")), "{:?}", read.warnings);
        for (ciphers, part) in
            [("AES128-SHA:RC4-SHA", "at least one suite"), ("HIGH:!aNULL", "rules of OpenSSL")]
        {
            let error = with(&[("LIBPROCESS_SSL_CIPHERS", ciphers)]).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("LIBPROCESS_SSL_CIPHERS"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (name, value, part) in [
            ("LIBPROCESS_SSL_ENABLE_SSL_V3", "true", "broken"),
            ("LIBPROCESS_SSL_ENABLE_TLS_V1_0", "1", "RFC 8996"),
            ("LIBPROCESS_SSL_ENABLE_TLS_V1_1", "1", "RFC 8996"),
            ("LIBPROCESS_SSL_VERIFY_IPADD", "yes", "true, 1, false or 0"),
            ("LIBPROCESS_SSL_VERIFICATION_DEPTH", "deep", "a number"),
            ("LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME", "none", "legacy or openssl"),
            ("LIBPROCESS_SSL_ECDH_CURVES", "P-521", "P-384"),
            ("LIBPROCESS_SSL_VERIFY", "1", "docs/tls.md"),
        ] {
            let error = with(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(part), "{error}");
        }
        let error = with(&[("LIBPROCESS_SSL_CERT_FILE", "/c")]).unwrap_err().to_string();
        assert!(error.contains("LIBPROCESS_SSL_KEY_FILE"), "{error}");
        let off = [("LIBPROCESS_SSL_ENABLE_TLS_V1_2", "0"), ("LIBPROCESS_SSL_ENABLE_TLS_V1_3", "0")];
        assert!(with(&off).unwrap_err().to_string().contains("both switched off"));
    }

    /// A cluster without TLS because of a letter would look like one with it.
    #[test]
    fn a_misspelt_variable_is_refused_even_while_tls_is_off() {
        let error = read(&environment(&[("LIBPROCESS_SSL_ENABLE", "true")])).unwrap_err();
        assert_eq!(error, VariableError::Unknown("LIBPROCESS_SSL_ENABLE".into()));
        // Those of others are theirs.
        assert!(read(&environment(&[("SSL_CLIENT_DN", "x"), ("LIBPROCESS_IP", "x")])).is_ok());
    }

    #[test]
    fn what_may_not_have_been_meant_is_said() {
        let warnings = |pairs: &[(&str, &str)]| with(pairs).unwrap().warnings.join("\n");
        assert!(warnings(&[]).contains("not checked"));
        assert!(warnings(&[("LIBPROCESS_SSL_SUPPORT_DOWNGRADE", "1")]).contains("in the clear"));
        let in_vain = [("LIBPROCESS_SSL_SUPPORT_DOWNGRADE", "1"), ("LIBPROCESS_SSL_VERIFY_SERVER_CERT", "1")];
        assert!(warnings(&in_vain).contains("in vain"));
        let unreachable = [
            ("LIBPROCESS_SSL_VERIFY_SERVER_CERT", "1"),
            ("LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME", "openssl"),
        ];
        assert!(warnings(&unreachable).contains("LIBPROCESS_SSL_VERIFY_IPADD"));
        assert_eq!(warnings(&[("LIBPROCESS_SSL_VERIFY_SERVER_CERT", "1")]), "");
    }
}
