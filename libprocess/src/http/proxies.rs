//! Which servers are asked through a proxy: the environment says so, as to curl and many others (curl(1), "ENVIRONMENT").
//!
//! Plain HTTP is said to the proxy, which is told the whole URL; for TLS it is asked for a tunnel (RFC 9110, 9.3.6), and
//! sees nothing of it. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use ::http::HeaderValue;
use ::http::uri::Authority;

use super::client_request::basic;
use super::destination::{Carrier, Destination, port_of};

/// The variables that are read. A large `HTTP_PROXY` is not: a CGI program finds there what its client has sent.
const VARIABLES: [&str; 7] =
    ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// The port of a proxy that is named without one, as curl has it.
const PORT: u16 = 1080;

/// The proxies that a client asks.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    variables: Vec<(&'static str, String)>,
    http: Option<Choice>,
    https: Option<Choice>,
    direct: Vec<Direct>,
}

/// A proxy, or what is wrong with the one that is named: whoever needs it is told.
type Choice = Result<Proxy, String>;

/// Who passes requests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// `host:port`.
    pub(crate) address: Arc<str>,
    /// How it is told who asks (`Proxy-Authorization`).
    pub(crate) credentials: Option<HeaderValue>,
}

/// Who is asked without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    Everybody,
    /// A host, and all below it.
    Domain(String),
    /// Addresses that begin with so many bits.
    Network(IpAddr, u32),
}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` (for what has none of its own) and `no_proxy` (hosts, domains and
    /// networks, or `*`), of which all but the first may be written in capitals. What is empty is as if it were not there.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let found = VARIABLES.iter().filter_map(|name| Some((*name, variable(name)?)));
        let variables: Vec<_> = found.filter(|(_, value)| !value.trim().is_empty()).collect();
        let first = |names: &[&str]| {
            names.iter().find_map(|name| variables.iter().find(|(variable, _)| variable == name))
        };
        let choice = |names: &[&str]| {
            let (name, value) = first(names)?;
            Some(
                Proxy::read(value.trim())
                    .map_err(|cause| format!("the proxy of {name} cannot be used: {cause}")),
            )
        };
        let exceptions = first(&["no_proxy", "NO_PROXY"]).map_or("", |(_, value)| value.as_str());
        let exceptions = exceptions.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        Proxies {
            http: choice(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: choice(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            direct: exceptions.map(Direct::read).collect(),
            variables,
        }
    }

    /// The variables that say all this, for a child that is to ask the same proxies.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Who is asked for a server, if it is not asked itself; an error if the proxy cannot be used.
    pub(crate) fn before(&self, destination: &Destination) -> Result<Option<&Proxy>, String> {
        let choice = match destination.carrier {
            Carrier::Tcp => &self.http,
            Carrier::Tls => &self.https,
            Carrier::Unix => &None,
        };
        let host = destination.name.rsplit_once(':').map_or(&*destination.name, |(host, _)| host);
        match choice {
            Some(choice) if !self.direct.iter().any(|direct| direct.holds(host)) => {
                choice.as_ref().map(Some).map_err(String::clone)
            }
            _ => Ok(None),
        }
    }
}

impl Proxy {
    /// `[http://][user:password@]host[:port]`.
    fn read(text: &str) -> Choice {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!("it is reached by {scheme}://, and only http:// is supported"));
        }
        let whole = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match whole.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, whole),
        };
        let authority: Authority = host.parse().map_err(|_| "it is no host with a port".to_owned())?;
        let port = port_of(&authority, PORT).ok_or("its port is none")?;
        Ok(Proxy {
            address: format!("{}:{port}", authority.host()).into(),
            credentials: user.and_then(basic),
        })
    }
}

impl Direct {
    fn read(entry: &str) -> Direct {
        if entry == "*" {
            return Direct::Everybody;
        }
        let (address, bits) =
            entry.split_once('/').map_or((entry, None), |(address, bits)| (address, Some(bits)));
        if let Some(address) = address_of(address) {
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok().filter(|bits| *bits <= all));
            if let Some(bits) = bits {
                return Direct::Network(address, bits);
            }
        }
        Direct::Domain(entry.trim_start_matches('.').to_ascii_lowercase())
    }

    fn holds(&self, host: &str) -> bool {
        match self {
            Direct::Everybody => true,
            Direct::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let above = host.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Direct::Network(network, bits) => match (address_of(host), network) {
                (Some(IpAddr::V4(host)), IpAddr::V4(network)) => {
                    (host.to_bits() ^ network.to_bits()).leading_zeros() >= *bits
                }
                (Some(IpAddr::V6(host)), IpAddr::V6(network)) => {
                    (host.to_bits() ^ network.to_bits()).leading_zeros() >= *bits
                }
                _ => false,
            },
        }
    }
}

fn address_of(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let find = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
        Proxies::of(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    /// The address of the proxy for a URL, or what is wrong with it.
    fn before(proxies: &Proxies, url: &str) -> String {
        let (destination, _) = Destination::of(url).unwrap();
        match proxies.before(&destination) {
            Ok(Some(proxy)) => proxy.address.to_string(),
            Ok(None) => "direct".to_owned(),
            Err(reason) => reason,
        }
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = proxies(&[("http_proxy", "http://p:3128/"), ("HTTPS_PROXY", "q")]);
        assert_eq!(before(&both, "http://h/x"), "p:3128");
        assert_eq!(before(&both, "https://h/x"), "q:1080");
        assert_eq!(before(&both, "http+unix://%2Fa/x"), "direct");
        assert_eq!(
            both.variables().collect::<Vec<_>>(),
            [("http_proxy", "http://p:3128/"), ("HTTPS_PROXY", "q")]
        );
        let all = proxies(&[("https_proxy", ""), ("ALL_PROXY", "[::1]:8080"), ("http_proxy", "p:1")]);
        assert_eq!(before(&all, "http://h/"), "p:1");
        assert_eq!(before(&all, "https://h/"), "[::1]:8080");
        // A client of a CGI program could set it.
        assert_eq!(before(&proxies(&[("HTTP_PROXY", "p")]), "http://h/"), "direct");
    }

    #[test]
    fn a_proxy_is_told_who_asks() {
        let Ok(Some(proxy)) = proxies(&[("http_proxy", "http://me:a%40b@p:1")])
            .before(&Destination::plain("h:80"))
            .map(Option::<&Proxy>::cloned)
        else {
            panic!("there is a proxy");
        };
        assert_eq!(&*proxy.address, "p:1");
        // me:a@b
        assert_eq!(proxy.credentials.unwrap(), "Basic bWU6YUBi");
    }

    #[test]
    fn what_cannot_be_used_is_named_when_it_is_needed() {
        for (value, part) in [
            ("socks5://p:1", "it is reached by socks5://, and only http:// is supported"),
            ("http://", "it is no host with a port"),
            ("p:99999", "its port is none"),
        ] {
            let said = before(&proxies(&[("all_proxy", value)]), "http://h/");
            assert_eq!(said, format!("the proxy of all_proxy cannot be used: {part}"));
        }
        let excepted = proxies(&[("all_proxy", "socks5://p:1"), ("no_proxy", "h")]);
        assert_eq!(before(&excepted, "http://h/"), "direct");
    }

    #[test]
    fn some_are_asked_themselves() {
        let list = "localhost, .Example.com,10.0.0.0/8 192.168.1.7,fd00::/8,10.0.0.0/99";
        let some = proxies(&[("http_proxy", "p:1"), ("NO_PROXY", list)]);
        for (host, expected) in [
            ("localhost", "direct"),
            ("LOCALHOST:5050", "direct"),
            ("example.com", "direct"),
            ("files.example.com.", "direct"),
            ("badexample.com", "p:1"),
            ("example.com.evil", "p:1"),
            ("10.200.0.1", "direct"),
            ("11.0.0.1", "p:1"),
            ("192.168.1.7", "direct"),
            ("192.168.1.8", "p:1"),
            ("[fd12::1]:80", "direct"),
            ("[fe80::1]", "p:1"),
        ] {
            assert_eq!(before(&some, &format!("http://{host}/x")), expected, "{host}");
        }
        assert_eq!(before(&proxies(&[("http_proxy", "p:1"), ("no_proxy", "*")]), "http://h/"), "direct");
    }
}
