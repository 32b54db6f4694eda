//! A file system whose power can be cut: an XFS image in a file, and the ioctl that stops it without writing its log.
//!
//! What was not made durable before the cut is gone at the next mount, as after a power failure; torn and reordered
//! writes need a simulated disk.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted image.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    mount_point: PathBuf,
    is_mounted: bool,
}

impl Image {
    /// Makes and mounts an image in a folder.
    pub fn create(folder: &Path, octets: u64) -> Result<Self> {
        let file = folder.join("disk.xfs");
        let mount_point = folder.join("disk");
        File::create(&file)?.set_len(octets)?;
        std::fs::create_dir(&mount_point)?;
        run(Command::new("mkfs.xfs").arg("-q").arg(&file))?;
        let mut image = Self { file, mount_point, is_mounted: false };
        image.mount()?;
        Ok(image)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Mounts it; XFS replays its log.
    pub fn mount(&mut self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.mount_point))?;
        self.is_mounted = true;
        Ok(())
    }

    /// Cuts the power: from here on nothing is written, and what is in memory only is lost.
    pub fn cut(&self) -> Result<()> {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mount_point))
    }

    /// Unmounts it. Nobody may have a file open there any more.
    pub fn unmount(&mut self) -> Result<()> {
        run(Command::new("umount").arg(&self.mount_point))?;
        self.is_mounted = false;
        Ok(())
    }

    /// Why power cannot be cut on this machine, where it cannot: tried once, on a small image.
    pub fn obstacle() -> Option<String> {
        static OBSTACLE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        OBSTACLE.get_or_init(|| try_once().err().map(|error| format!("{error:#}"))).clone()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_mounted && self.unmount().is_err() {
            // Somebody still has a file open: let go as soon as he closes it.
            run(Command::new("umount").arg("--lazy").arg(&self.mount_point)).ok();
        }
    }
}

fn try_once() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("loop devices need root");
    }
    let folder = tempfile::tempdir()?;
    let mut image = Image::create(folder.path(), SMALLEST_OCTETS)?;
    let kept = image.path().join("kept");
    let mut file = File::create(&kept)?;
    std::io::Write::write_all(&mut file, b"kept")?;
    file.sync_all()?;
    File::open(image.path())?.sync_all()?;
    std::fs::write(image.path().join("lost"), b"lost")?;
    image.cut()?;
    drop(file);
    image.unmount()?;
    image.mount()?;
    ensure!(std::fs::read(&kept)? == b"kept", "a synced file did not survive the shutdown ioctl");
    ensure!(!image.path().join("lost").exists(), "the shutdown ioctl loses nothing here");
    image.unmount()
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", complaint.trim());
    Ok(())
}

/// mkfs.xfs refuses less than 300 MB.
const SMALLEST_OCTETS: u64 = 320 << 20;
