//! Back-ends of another make: they know their users, and let them in or not.

use crate::{BoxFuture, Elsewhere, Peer, Unavailable};
use mail_types::{Address, StoreName};
use managesieve_proto::Offer;
use pop3_proto::Mode;
use sasl::{Password, Secret};
use std::fmt;
use std::sync::Arc;

/// Who wants in at a back-end.
#[derive(Clone)]
pub struct Visitor {
    /// The account's address, for log lines.
    pub address: Arc<Address>,
    /// What the back-end calls the user.
    pub user: String,
    /// What the back-end is shown.
    pub credential: Credential,
    /// Who knows that there is such an account.
    pub standing: Standing,
    /// From where.
    pub peer: Peer,
    /// How many proxies it may still pass, this one not counted; see [`PROXY_TTL`].
    pub ttl: u8,
}

/// What a back-end is shown for a visitor.
#[derive(Clone)]
pub enum Credential {
    /// The password that the client gave.
    Password(Password),
    /// The access token that the client showed (RFC 6750): the back-end finds out itself what it is worth.
    Token(Secret),
    /// Our word, where it was found out here who it is, and the back-end takes it: we log in there as a master, for the user.
    Word,
}

/// Who knows that a visitor's account exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// We do.
    Known,
    /// The back-end alone, if it does: what it says to our master may be said to the visitor.
    Unchecked,
}

/// One more than the proxies that a login may pass; a proxy that is called by another hears how many are left. Records that
/// lead round in a circle end there.
pub const PROXY_TTL: u8 = 5;

/// How much a client hears of what a back-end says to it: fits into a line of any protocol with what is around it
/// (RFC 2449 §4: 512 octets).
pub const SHOWN_TEXT_OCTETS_MAX: usize = 200;

/// What a back-end said.
#[derive(Debug)]
pub enum Admission {
    /// Welcome.
    Welcome(Elsewhere),
    /// No: to the visitor, not to us. Final, and never tried elsewhere (a second back-end would count it as a second
    /// guess).
    Refused {
        /// What it said, for log lines.
        text: String,
        /// The same for the client, where it is to hear it: printable ASCII, at most [`SHOWN_TEXT_OCTETS_MAX`].
        shown: Option<String>,
    },
    /// Another session has the maildrop (POP3, RFC 2449 §8.1.2), or the user has too many.
    InUse {
        /// What it said, for log lines; at most [`SHOWN_TEXT_OCTETS_MAX`] characters.
        text: String,
    },
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, user, credential: _, standing: _, peer, ttl: _ } = self;
        f.debug_struct("Visitor")
            .field("address", address)
            .field("user", user)
            .field("peer", peer)
            .finish_non_exhaustive()
    }
}

/// Logs visitors in at back-ends. Whatever is no word about the visitor is [`Unavailable`]: a back-end that does not
/// answer, that refuses us, that has too much to do.
pub trait BackEnds: Send + Sync {
    /// IMAP.
    fn imap<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>>;

    /// POP3. `mode` is what the client asked for before its login.
    fn pop3<'a>(
        &'a self,
        store: &'a StoreName,
        who: Visitor,
        mode: Mode,
    ) -> BoxFuture<'a, Result<Admission, Unavailable>>;

    /// Submission.
    fn submission<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>>;

    /// ManageSieve.
    fn sieve<'a>(&'a self, store: &'a StoreName, who: Visitor) -> BoxFuture<'a, Result<Admission, Unavailable>>;

    /// What is done with scripts wherever a visitor may be led, as far as back-ends have told: for a client whose account
    /// nobody knows yet. Takes a moment where they have to be asked first, and never long.
    fn sieve_offer(&self) -> BoxFuture<'_, Arc<Offer>>;

    /// What may be offered to a client of POP3 whose back-end is not known yet; nothing where there are no back-ends.
    fn pop3_common(&self) -> Option<Pop3Common> {
        None
    }

    /// What all submission servers offer that have ever told; nothing where none has.
    fn submission_common(&self) -> Option<SubmissionCommon> {
        None
    }
}

/// What all back-ends have in common at POP3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pop3Common {
    /// Each host of each has UTF8 (RFC 6856), as far as it ever answered, and all have.
    pub utf8: bool,
}

/// What submission servers have in common of what a client may be offered before its login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmissionCommon {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_codes: bool,
    /// SIZE (RFC 1870), whatever the limit.
    pub size: bool,
}

impl SubmissionCommon {
    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            pipelining: self.pipelining && other.pipelining,
            eight_bit: self.eight_bit && other.eight_bit,
            enhanced_codes: self.enhanced_codes && other.enhanced_codes,
            size: self.size && other.size,
        }
    }
}
