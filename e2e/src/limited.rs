//! A disk that gets full: a tmpfs of a given size.

use crate::power::run;
use anyhow::{Result, bail};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs.
#[derive(Debug)]
pub struct SmallDisk {
    mount_point: PathBuf,
}

impl SmallDisk {
    /// Mounts a tmpfs of a size in a folder.
    pub fn create(folder: &Path, octets: u64) -> Result<Self> {
        let mount_point = folder.join("small");
        std::fs::create_dir(&mount_point)?;
        let size = format!("size={octets}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&mount_point))?;
        Ok(Self { mount_point })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Takes up all but so much of it with something that is not mail.
    pub fn load_ballast(&self, leave_octets: u64) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        let piece = vec![b'x'; 1 << 20];
        while self.free_octets()? > leave_octets {
            file.write_all(&piece)?;
        }
        Ok(())
    }

    /// What may still be written.
    pub fn free_octets(&self) -> Result<u64> {
        let told = rustix::fs::statvfs(&self.mount_point)?;
        Ok(told.f_bavail * told.f_frsize)
    }

    /// Gives that space back.
    pub fn drop_ballast(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.mount_point.join("ballast")
    }

    /// Why there can be none on this machine, where that is so.
    pub fn obstacle() -> Option<String> {
        let try_once = || {
            if !rustix::process::geteuid().is_root() {
                bail!("mounting needs root");
            }
            let folder = tempfile::tempdir()?;
            SmallDisk::create(folder.path(), 1 << 20).map(drop)
        };
        try_once().err().map(|error| format!("{error:#}"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let plain = run(Command::new("umount").arg(&self.mount_point));
        if plain.is_err() {
            run(Command::new("umount").arg("--lazy").arg(&self.mount_point)).ok();
        }
    }
}
