//! A small file system of a test's own, to be filled to the last byte.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, mounted until it is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many MiB at `folder`, which is made. `None` where mounts are impossible, with the reason printed:
    /// the caller's test is skipped then.
    pub fn mount(folder: &Path, size: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can mount a small disk");
            return None;
        }
        std::fs::create_dir_all(folder).expect("the test's folder is ours");
        let size = format!("size={size}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder.to_path_buf())),
            Ok(output) => {
                println!("skipped: no small disk: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: no small disk: mount: {error}");
                None
            }
        }
    }

    /// Writes a file until nothing more fits, and says which. Whoever removes it frees the disk.
    pub fn fill(&self) -> PathBuf {
        self.fill_but(0)
    }

    /// The same, and then leaves room for so many bytes (the disk's pages have 4 KiB).
    pub fn fill_but(&self, room: u64) -> PathBuf {
        let path = self.0.join("full");
        let mut file = std::fs::File::create(&path).expect("the disk is ours");
        while file.write_all(&[0; 512]).is_ok() {}
        let length = file.metadata().expect("the file is open").len();
        file.set_len(length.saturating_sub(room)).expect("a file can be made shorter");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still has a file open on it: the mount is gone from the tree at once.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
