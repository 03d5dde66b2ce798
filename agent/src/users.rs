//! Users of this host, by name.
//!
//! It reads `/etc/passwd`, and asks `getent` for those that are elsewhere (LDAP, systemd).

use std::path::Path;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
}

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Nobody has that name.
    #[error("there is no user '{0}' on this host")]
    Unknown(String),
    /// The list of users cannot be read.
    #[error("failed to read '/etc/passwd': {0}")]
    Unreadable(#[from] std::io::Error),
}

/// Finds a user by name. Blocks for as long as `getent` takes if the user is not in `/etc/passwd`.
///
/// # Errors
/// [`UserError`].
pub fn find(name: &str) -> Result<User, UserError> {
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd"))?;
    if let Some(user) = passwd.lines().filter_map(parse).find(|user| user.name == name) {
        return Ok(user);
    }
    let output = std::process::Command::new("getent").args(["passwd", "--", name]).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| parse(String::from_utf8_lossy(&output.stdout).trim()))
        .ok_or_else(|| UserError::Unknown(name.to_owned()))
}

/// A line of `/etc/passwd`.
fn parse(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    Some(User { name, uid, gid, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_passwd_is_a_user() {
        let user = parse("daemon:x:1:2:The daemon:/usr/sbin:/usr/sbin/nologin").unwrap();
        assert_eq!(user, User { name: "daemon".into(), uid: 1, gid: 2, home: "/usr/sbin".into() });
        assert_eq!(parse("# comment"), None);
    }

    #[test]
    fn root_is_found_and_nobody_else_invented() {
        assert_eq!(find("root").unwrap().uid, 0);
        assert!(matches!(find("no-such-user"), Err(UserError::Unknown(_))));
    }
}
