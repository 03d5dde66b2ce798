//! Machines: hosts that are taken down for maintenance, whatever agents are on them.

use std::fmt;

use crate::v1;

/// What tells machines apart: a host name, whose case does not matter, an address, or both (upstream:
/// `operator==(MachineID, MachineID)` in `type_utils.hpp`). What was not said is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineKey {
    ip: String,
    hostname: String,
}

impl MachineKey {
    /// That of a machine with a host name and an address.
    #[must_use]
    pub fn new(hostname: &str, ip: String) -> Self {
        Self { ip, hostname: hostname.to_lowercase() }
    }

    /// From the text that [`fmt::Display`] gives.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // An address holds no slash; a host name is whatever the operator wrote.
        let (ip, hostname) = text.split_once('/')?;
        Some(Self::new(hostname, ip.to_owned()))
    }
}

impl From<&v1::MachineId> for MachineKey {
    fn from(id: &v1::MachineId) -> Self {
        Self::new(id.hostname(), id.ip().to_owned())
    }
}

/// `<ip>/<host name>`, each as far as it is known.
impl fmt::Display for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.hostname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_a_host_name_does_not_matter_and_the_text_says_all() {
        let key = |hostname: Option<&str>, ip: Option<&str>| {
            MachineKey::from(&v1::MachineId { hostname: hostname.map(Into::into), ip: ip.map(Into::into) })
        };
        assert_eq!(key(Some("Host"), None), key(Some("hOST"), Some("")));
        assert_ne!(key(Some("host"), None), key(Some("host"), Some("10.0.0.1")));
        for known in [key(Some("a/b"), None), key(None, Some("10.0.0.1")), key(Some("h"), Some("10.0.0.1"))] {
            assert_eq!(MachineKey::parse(&known.to_string()), Some(known));
        }
        assert_eq!(MachineKey::parse("host"), None);
    }
}
