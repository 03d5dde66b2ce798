//! What is mounted on this host, as this process sees it.
//!
//! Only the kernel's table is read here; who asks brings its text. Upstream: `fs::MountInfoTable` in `linux/fs.hpp`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// The kernel's table.
pub(crate) const TABLE: &str = "/proc/self/mounts";

/// The mount points of such a table, in the order in which they were mounted.
pub(crate) fn places(table: &[u8]) -> impl DoubleEndedIterator<Item = PathBuf> + '_ {
    let lines = table.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(1)).map(place)
}

/// The name of a place. Blanks are written in octal there.
fn place(mut written: &[u8]) -> PathBuf {
    let mut name = Vec::with_capacity(written.len());
    while let Some((byte, after)) = written.split_first() {
        let escape = after.split_at_checked(3).filter(|_| *byte == b'\\');
        let escape = escape.and_then(|(digits, after)| Some((octal(digits)?, after)));
        let (byte, after) = escape.unwrap_or((*byte, after));
        name.push(byte);
        written = after;
    }
    PathBuf::from(OsString::from_vec(name))
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_mount_points_have_blanks_in_octal() {
        let table = "proc /proc proc rw 0 0\ntmpfs /a\\040b\\134c\\9 tmpfs rw 0 0\n";
        let places: Vec<_> = places(table.as_bytes()).collect();
        assert_eq!(places, ["/proc", "/a b\\c\\9"].map(PathBuf::from));
    }
}
