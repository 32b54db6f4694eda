//! The words that every layer shares.
//!
//! What is parsed here is parsed once, at the edge: whoever holds a [`Domain`], a [`Uid`] or a [`MailboxName`] need
//! not check it again. This crate knows no protocol, no file and no clock.
//!
//! ```text
//!  RFC 5321 §4.1.2   address.rs   Address = LocalPart @ Domain, ReversePath, ForwardPath
//!  RFC 5321 §4.2     reply.rs     ReplyCode, EnhancedCode (RFC 3463)
//!  RFC 9051 §2.3     message.rs   Uid, SeqNum, UidValidity, ModSeq, UidSet, flags
//!  RFC 9051 §5.1     mailbox.rs   MailboxName (UTF-8 inside, modified UTF-7 outside), SpecialUse
//!  Posthouse         ids.rs       Lsn, Epoch, AccountId, MailboxId, DeliveryId, StoreName, NodeName
//!                    time.rs      UnixTime and the calendar of the protocols
//!                    map.rs       a hash map with a seed and without iteration
//! ```
//!
//! Invariants:
//! 1. Identifiers that could be swapped are types of their own, `NonZero` where zero has no meaning.
//! 2. A `Domain` is lower-case A-labels, at most 255 octets. A `LocalPart` keeps the case it was received in; its
//!    *key* ([`LocalPart::key`]) is what look-ups use.
//! 3. No type here has a setter, and none can be built from unchecked text.

mod address;
mod ids;
mod mailbox;
mod map;
mod message;
mod reply;
mod time;

pub use address::{Address, AddressError, Domain, ForwardPath, LocalPart, ReversePath};
pub use ids::{AccountId, DeliveryId, Epoch, Lsn, MailboxId, NameError, NodeName, StoreName};
pub use mailbox::{MailboxName, MailboxNameError, SpecialUse, utf7};
pub use map::SeededMap;
pub use message::{FlagSet, Keyword, KeywordError, ModSeq, SeqNum, SystemFlag, Uid, UidSet, UidValidity};
pub use reply::{EnhancedCode, ReplyCode};
pub use time::{Civil, TimeError, UnixTime};
