//! The real thing.

use crate::path::check;
use journal::disk::{Disk, DiskFile};
use rustix::fs::{AtFlags, Dir, FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A directory of a real file system.
#[derive(Debug)]
pub struct RealDisk {
    root: OwnedFd,
}

impl RealDisk {
    /// Opens a root that exists.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())? })
    }

    /// Opens a root for this process alone, until it ends: two writers would destroy each other's files. Another
    /// holder is [`io::ErrorKind::WouldBlock`].
    pub fn open_locked(root: &Path) -> io::Result<Self> {
        let disk = Self::open(root)?;
        rustix::fs::flock(&disk.root, FlockOperation::NonBlockingLockExclusive)?;
        Ok(disk)
    }

    fn open_with(&self, path: &str, flags: OFlags) -> io::Result<Arc<dyn DiskFile>> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, check(path)?, flags, FILE_MODE)?;
        Ok(Arc::new(RealFile { file: File::from(file) }))
    }

    fn open_dir(&self, dir: &str) -> io::Result<OwnedFd> {
        let path = if dir.is_empty() { "." } else { check(dir)? };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.root, path, flags, Mode::empty())?)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_with(path, OFlags::empty())
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_with(path, OFlags::CREATE | OFlags::EXCL)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.open_dir(dir)?)? {
            // Names that are not UTF-8 are not ours.
            if let Ok(name) = entry?.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        let dir = check(dir)?;
        let parents = dir.match_indices('/').filter_map(|(at, _)| dir.get(..at));
        for dir in parents.chain(Some(dir)).filter(|dir| !dir.is_empty()) {
            match rustix::fs::mkdirat(&self.root, dir, DIR_MODE) {
                Ok(()) => {}
                Err(Errno::EXIST) => drop(self.open_dir(dir)?),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.root, check(from)?, &self.root, check(to)?)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.root, check(path)?, AtFlags::empty()) {
            Err(Errno::ISDIR) => Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?),
            other => Ok(other?),
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir(dir)?)?)
    }

    fn sync_filesystem(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl RealFile {
    /// For file systems that cannot reserve space or make holes.
    fn write_zeros(&self, range: Range<u64>) -> io::Result<()> {
        let zeros = vec![0; ZEROS_AT_ONCE];
        let mut at = range.start;
        while at < range.end {
            let octets = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(ZEROS_AT_ONCE);
            self.file.write_all_at(zeros.get(..octets).unwrap_or_default(), at)?;
            at += u64::try_from(octets).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let offset = at.saturating_add(u64::try_from(done).map_err(io::Error::other)?);
            match self.file.read_at(rest, offset) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP) => self.write_zeros(self.len()?..len),
            other => Ok(other?),
        }
    }

    fn punch_hole(&self, range: Range<u64>) -> io::Result<()> {
        let end = range.end.min(self.len()?);
        if range.start >= end {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, range.start, end - range.start) {
            Err(Errno::OPNOTSUPP) => self.write_zeros(range.start..end),
            other => Ok(other?),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Mail is its owner's business.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIR_MODE: Mode = Mode::RWXU;
const ZEROS_AT_ONCE: usize = 1 << 20;
