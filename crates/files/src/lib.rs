//! Driver: files that something else makes, read again when they change.
//!
//! ```text
//!   /etc/posthouse/directory ── look, every second ──▶ DirectoryFile ── lines ──▶ directory::file ──▶ FileEngine
//!   /etc/aliases ────────────── (whoever drives it) ─▶ MapFile ──────── octets ─▶ LiveMap ──────────▶ Overlay
//!                               stamp changed? read all      whole? take it
//! ```
//! What it is not: it has no clock and no task. A world calls [`DirectoryFile::look`] and [`MapFile::look`] on a thread
//! that may wait for a disk, as often as it likes, and tells what came of it.
//!
//! Invariants:
//! 1. What is served is a file that was whole. One that is away, cut off or malformed changes nothing.
//! 2. Trouble is told when it begins or changes, not at every look.
//! 3. A map has no end that could be missing, and people write it in place: one that differs from the last look to this
//!    is still being written, and not read.
#![expect(clippy::disallowed_methods, reason = "a driver: files are opened here")]

mod directory_file;
mod error;
mod map_file;
mod stamp;

pub use directory_file::{DirectoryFile, Look, Taken};
pub use error::ReadError;
pub use map_file::{MapFile, MapLook, MapSource, read_list};
