//! The narrow traits between roles and drivers.
//!
//! A role says what it needs of the world in these words; a driver provides it; a world binds the two. The simulator
//! binds the same roles to simulated drivers.
//!
//! ```text
//!   relay ── Delivery ─────────▶ store            net ── Handler ──▶ every role that talks with a peer
//!   proxy ── SessionHandover ──▶ store            Clock, Spawn, Disk ◀── roles that need time, tasks, files
//!   proxy ── BackEnds ─▶ a back-end of another make, which lets a Visitor in or not
//!   roles ── Caller, Call ─▶ net ─▶ a peer        Passage: octets between a client and a back-end, watched
//!                                                 Badge: what a session shows of itself to operators
//! ```
//!
//! Invariants:
//! 1. Nothing here names a runtime, a socket or a file.
//! 2. What a port cannot do now is [`Unavailable`]: a value of its own, never to be mixed up with "does not exist".

mod back_ends;
mod badge;
mod call;
mod delivery;
mod handler;
mod handover;
mod passage;
mod tls;
mod world;

pub use back_ends::{
    Admission, BackEnds, Credential, PROXY_TTL, Pop3Common, SHOWN_TEXT_OCTETS_MAX, Standing, SubmissionCommon, Visitor,
};
pub use badge::{Badge, Holder, Protocol};
pub use call::{Broken, Call, CallSecurity, Callee, Caller, Introduction, Trust};
pub use delivery::{Accounts, Delivery, DeliveryTransaction, Envelope, Receipt, Recipient, Recipients};
pub use handler::{Flow, Handler, Peer, host_of};
pub use handover::{Elsewhere, Handover, ImapHandover, LoggedIn, Pop3Handover, SessionHandover, Unavailable};
pub use journal::disk::{Disk, DiskFile};
pub use passage::{Passage, Track, Wire};
pub use sasl::ChannelBinding;
pub use tls::{ClientCertificate, TlsFacts};
pub use world::{Clock, Random, Spawn, blocking};

/// What a future in an object-safe trait is made of.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
