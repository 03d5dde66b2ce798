//! Where a redirect leads, and the parts of a URL that this takes. Pure.

/// The URL to which the `Location` of an answer leads from the one that was asked for.
pub(super) fn led_to(url: &str, location: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", ""));
    let base = rest.split(['/', '?', '#']).next().unwrap_or("");
    if let Some(rest) = location.strip_prefix("//") {
        // Upstream redirects to `//host:port` alone where a client is expected to keep its path. With a query it is whole,
        // and its path an empty one (RFC 3986, 5.2.2).
        let path = if rest.contains(['/', '?', '#']) { "" } else { path_of(url) };
        format!("{scheme}:{location}{path}")
    } else if location.starts_with('/') {
        format!("{scheme}://{base}{location}")
    } else if location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
        // The same server knows the user of the URL; others must not, nor who listens in on one without TLS.
        let same_scheme = location.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://"));
        let there = authority(location).filter(|_| same_scheme);
        match (userinfo(url), there) {
            (Some(user), Some(there)) if base == format!("{user}@{there}") => {
                location.replacen("://", &format!("://{user}@"), 1)
            }
            _ => location.to_owned(),
        }
    } else {
        format!("{scheme}://{base}{}", beside(path_of(url), location))
    }
}

/// Where `location` leads, which is relative to a path, from there (RFC 3986, 5.2).
fn beside(path: &str, location: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let whole = if location.is_empty() || location.starts_with(['?', '#']) {
        format!("{path}{location}")
    } else {
        let folder = path.rfind('/').map_or("", |at| &path[..at]);
        format!("{folder}/{location}")
    };
    let (steps, query) = whole.split_at(whole.find(['?', '#']).unwrap_or(whole.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = steps.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment == ".." {
            kept.pop();
        }
        if !matches!(segment, "." | "..") {
            kept.push(segment);
        } else if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// The host with its port, and who asks it, of a whole URL.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://").filter(|_| !url.starts_with('/'))?;
    rest.split(['/', '?', '#']).next()
}

/// Who asks, of a whole URL: `user[:password]`.
pub(super) fn userinfo(url: &str) -> Option<&str> {
    authority(url)?.rsplit_once('@').map(|(userinfo, _)| userinfo)
}

/// The path of a URL, with what comes behind it.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}
