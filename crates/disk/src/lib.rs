//! Driver: the file port ([`journal::disk`]) on a real file system, and on a simulated disk.
//!
//! [`RealDisk`] is what a node runs on: paths below one root directory, opened relative to it, `fdatasync`, `syncfs`,
//! preallocation and hole punching. [`SimDisk`] is what tests and the simulator run on: everything in memory, from
//! one seed, and a [`SimDisk::crash`] that loses, tears and reorders what was not synced.
//!
//! Neither caches, retries or hides anything: an error goes to the caller, who knows what it means.
//!
//! ```text
//!   journal ──┐                    ┌── RealDisk   openat below a root ── kernel ── disk
//!             ├── dyn Disk ────────┤
//!   store ────┘   dyn DiskFile     └── SimDisk    live (what reads see)
//!                                                  │ pending: written, not synced ── crash: some of it, by sector
//!                                                  ▼
//!                                                 durable (what a crash leaves)
//! ```
//!
//! Invariants:
//! 1. No path leaves the root: `..`, absolute and empty names are refused.
//! 2. Descriptors are close-on-exec.
//! 3. The same seed and the same operations give the same simulated disk, octet for octet ([`SimDisk::trace`]).

#![allow(clippy::disallowed_methods, reason = "this is the disk driver: files are opened here and nowhere else")]

mod path;
mod real;
mod sim;

pub use real::RealDisk;
pub use sim::{Fault, SimDisk};
