//! The journal on both disks.

#![allow(clippy::disallowed_methods, reason = "drivers may")]

mod crash;
mod live;
mod support;
