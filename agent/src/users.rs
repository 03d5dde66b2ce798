//! Users of this host, by name.

use nix::unistd;

/// A user, as far as running something as one needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
}

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Nobody has that name.
    #[error("there is no such user on this host")]
    Unknown,
    /// The users of the host cannot be asked.
    #[error("failed to look it up: {0}")]
    Failed(#[from] nix::errno::Errno),
}

/// Finds a user by name.
///
/// # Errors
/// [`UserError`].
pub fn find(name: &str) -> Result<User, UserError> {
    let user = unistd::User::from_name(name)?.ok_or(UserError::Unknown)?;
    Ok(User { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nobody_else_invented() {
        assert_eq!(find("root").unwrap(), User { uid: 0, gid: 0 });
        assert!(matches!(find("no-such-user"), Err(UserError::Unknown)));
    }
}
