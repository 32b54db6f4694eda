//! The file port: what Posthouse asks of a disk, and no more.
//!
//! The journal and the store's body files use it; the `disk` driver implements it twice, on a real file system and as
//! a simulated disk that loses, tears and reorders what was not synced.
//!
//! Rules that callers may rely on, and that both implementations keep:
//! 1. Paths are relative to the disk's root, `/` between names, `""` is the root itself; `..` is refused.
//! 2. Written bytes are safe after [`DiskFile::sync_data`] of that file, *and* its name is safe only after
//!    [`Disk::sync_dir`] of its directory. [`Disk::sync_filesystem`] does both for everything.
//! 3. A rename is atomic: after a crash either the old or the new name is there.
//! 4. After a failed sync, what was written since the last good one may be lost although it reads back: never retry.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A directory tree to keep files in.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file that exists, to read and write.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a new, empty file; [`io::ErrorKind::AlreadyExists`] where there is one.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names in a directory, sorted.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a directory and those above it; nothing to do where they are.
    fn create_dir_all(&self, dir: &str) -> io::Result<()>;

    /// Gives a file another name, replacing the file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, or an empty directory.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes everything on the file system durable (`syncfs`).
    fn sync_filesystem(&self) -> io::Result<()>;

    /// How many octets may still be written by this process.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads until `buf` is full or the file ends; gives how much was read.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes`, growing the file where needed.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written, and the length, durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros that take no space yet.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file at least `len` long, with space on the disk for all of it; new octets read as zero.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Gives a range's space back; it reads as zero, the length stays.
    fn punch_hole(&self, range: Range<u64>) -> io::Result<()>;

    /// The file's length.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Reads exactly `buf`; [`io::ErrorKind::UnexpectedEof`] where the file is too short.
    fn read_exact_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.read_at(at, buf)? < buf.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
