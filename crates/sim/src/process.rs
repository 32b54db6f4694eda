//! A disk as one process sees it: when the process has asked for its end, nothing that it still does reaches the disk.

use ports::{Disk, DiskFile};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a process has ended. Clones are the same process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended(Arc<AtomicBool>);

impl Ended {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_set() { Err(io::Error::other("the process has ended")) } else { Ok(()) }
    }
}

/// A disk, or a file on it, in the hands of a process.
#[derive(Debug)]
pub(crate) struct InProcess<T> {
    pub(crate) inner: T,
    pub(crate) ended: Ended,
}

impl<T> InProcess<T> {
    fn alive(&self) -> io::Result<&T> {
        self.ended.check()?;
        Ok(&self.inner)
    }
}

impl<T: Disk> InProcess<T> {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(InProcess { inner: file, ended: self.ended.clone() })
    }
}

impl<T: Disk> Disk for InProcess<T> {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.alive()?.open(path)?))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.alive()?.create(path)?))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.alive()?.list(dir)
    }

    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        self.alive()?.create_dir_all(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.alive()?.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.alive()?.remove(path)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.alive()?.sync_dir(dir)
    }

    fn sync_filesystem(&self) -> io::Result<()> {
        self.alive()?.sync_filesystem()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.alive()?.free_bytes()
    }
}

impl DiskFile for InProcess<Arc<dyn DiskFile>> {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.alive()?.read_at(at, buf)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.alive()?.write_at(at, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.alive()?.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.alive()?.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.alive()?.allocate(len)
    }

    fn punch_hole(&self, range: Range<u64>) -> io::Result<()> {
        self.alive()?.punch_hole(range)
    }

    fn len(&self) -> io::Result<u64> {
        self.alive()?.len()
    }
}
