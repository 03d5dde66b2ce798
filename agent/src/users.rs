//! Users of this host, by name, and becoming one of them.

use std::ffi::CString;

use nix::unistd::{self, Gid, Uid};

/// A user, as far as running something as one needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
}

/// Why nothing can be run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Nobody has that name.
    #[error("there is no user '{0}' on this host")]
    Unknown(String),
    /// The users of the host cannot be asked.
    #[error("user '{user}' cannot be looked up: {reason}")]
    Failed {
        /// Who.
        user: String,
        /// Why not.
        reason: String,
    },
    /// Only root can become others.
    #[error(
        "the agent does not run as root, so it cannot run tasks as '{0}' (start it with --no-switch_user)"
    )]
    NotRoot(String),
}

/// Finds a user by name.
///
/// # Errors
/// [`UserError`].
pub fn find(name: &str) -> Result<User, UserError> {
    let user = lookup(name)?;
    Ok(User { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

fn lookup(name: &str) -> Result<unistd::User, UserError> {
    let found = unistd::User::from_name(name);
    let found =
        found.map_err(|error| UserError::Failed { user: name.to_owned(), reason: error.to_string() })?;
    found.ok_or_else(|| UserError::Unknown(name.to_owned()))
}

/// Who a forked process becomes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    user: Uid,
    group: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// The user of that name with all its groups; `None` when this process runs as that user already.
    ///
    /// # Errors
    /// [`UserError`].
    pub(crate) fn of(name: &str) -> Result<Option<Identity>, UserError> {
        let user = lookup(name)?;
        if user.uid == Uid::effective() {
            return Ok(None);
        }
        if !Uid::effective().is_root() {
            return Err(UserError::NotRoot(name.to_owned()));
        }
        let failed = |reason: String| UserError::Failed { user: name.to_owned(), reason };
        let terminated = CString::new(name).map_err(|error| failed(error.to_string()))?;
        let groups =
            unistd::getgrouplist(&terminated, user.gid).map_err(|error| failed(error.to_string()))?;
        Ok(Some(Identity { user: user.uid, group: user.gid, groups }))
    }

    /// Makes this process one of that user, for good. To be called between fork and exec: it makes system calls
    /// only, and allocates nothing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn assume(&self) -> std::io::Result<()> {
        unistd::setgroups(&self.groups)?;
        unistd::setgid(self.group)?;
        unistd::setuid(self.user)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nobody_else_invented() {
        assert_eq!(find("root").unwrap(), User { uid: 0, gid: 0 });
        let error = find("no-such-user").unwrap_err();
        assert!(matches!(&error, UserError::Unknown(name) if name == "no-such-user"), "{error}");
    }

    #[test]
    fn one_need_not_become_who_one_is() {
        let Some(own) = unistd::User::from_uid(Uid::effective()).unwrap().map(|user| user.name) else {
            println!("skipped: this user has no name");
            return;
        };
        assert!(Identity::of(&own).unwrap().is_none());
        if Uid::effective().is_root() {
            assert!(Identity::of("nobody").unwrap().is_some());
        } else {
            assert!(matches!(Identity::of("root"), Err(UserError::NotRoot(_))));
        }
    }
}
