//! The narrow traits between roles and drivers.
//!
//! A role says what it needs of the world in these words; a driver provides it; a world binds the two. The simulator
//! binds the same roles to simulated drivers.
//!
//! ```text
//!   relay ── Delivery ─────────▶ store            net ── Handler ──▶ every role that talks with a peer
//!   proxy ── SessionHandover ──▶ store            Badge: what a session shows of itself to operators
//!                                                 Clock, Spawn, Disk ◀── roles that need time, tasks, files
//! ```
//!
//! Invariants:
//! 1. Nothing here names a runtime, a socket or a file.
//! 2. What a port cannot do now is [`Unavailable`]: a value of its own, never to be mixed up with "does not exist".

mod badge;
mod delivery;
mod handler;
mod handover;
mod world;

pub use badge::{Badge, Holder, Protocol};
pub use delivery::{Delivery, DeliveryTransaction, Envelope, Recipient, Recipients};
pub use handler::{Flow, Handler, Peer};
pub use handover::{ImapHandler, LoggedIn, Pop3Handler, SessionHandover, Unavailable};
pub use journal::disk::{Disk, DiskFile};
pub use world::{Clock, Random, Spawn, blocking};

/// What a future in an object-safe trait is made of.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
