//! What callers say to the journal and hear from it.

use crate::format;
use bytes::Bytes;
use mail_types::{Epoch, Lsn, UnixTime};
use std::borrow::Cow;
use std::io;

/// What a record is; opaque here except [`Kind::BODY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(u8);

impl Kind {
    /// A chunk of a message body: its stream is the LSN of the body's first chunk, [`StreamId::ZERO`] on the first.
    pub const BODY: Self = Self(1);

    /// From its number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// What a record belongs to; opaque here except for [`Kind::BODY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u64);

impl StreamId {
    /// No stream, and the first chunk of a body.
    pub const ZERO: Self = Self(0);

    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The stream of the further chunks of the body that begins at `first`.
    pub const fn of_body(first: Lsn) -> Self {
        Self(first.number())
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A record to append.
#[derive(Clone, Debug)]
pub struct Append<'a> {
    pub(crate) stream: StreamId,
    pub(crate) kind: Kind,
    pub(crate) body: Cow<'a, [u8]>,
    pub(crate) refs_body: Option<Lsn>,
}

impl<'a> Append<'a> {
    /// A record of at most [`RECORD_OCTETS_MAX`](crate::RECORD_OCTETS_MAX) octets.
    pub fn new(stream: StreamId, kind: Kind, body: impl Into<Cow<'a, [u8]>>) -> Self {
        // A further chunk uses the body that it belongs to.
        let refs_body = (kind == Kind::BODY && stream != StreamId::ZERO).then(|| Lsn::new(stream.number()));
        Self { stream, kind, body: body.into(), refs_body }
    }

    /// A body's first chunk (`first` is `None`) or a further one.
    pub fn chunk(first: Option<Lsn>, body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::new(first.map_or(StreamId::ZERO, StreamId::of_body), Kind::BODY, body)
    }

    /// Says that the record uses the body that begins at `first`, so that purging keeps it. Not needed where both are
    /// in one [`Core::append_all`](crate::Core::append_all): they share a segment.
    #[must_use]
    pub fn refs_body(self, first: Lsn) -> Self {
        Self { refs_body: Some(first), ..self }
    }
}

/// Which part of the disk an append may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Refused below the low-water mark: new mail and whatever else makes the store larger.
    Ordinary,
    /// May use what is kept below the mark: expunge, checkpoints.
    Reserve,
}

/// Why a record was not taken. It has no LSN, and nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Below the low-water mark, or no space for another segment.
    #[error("the journal's disk is full")]
    NoSpace,
    /// Too much waits for the disk; try again after the writer's next turn.
    #[error("the journal is behind")]
    Busy,
    /// The writer has lost its right: someone with a newer epoch has written.
    #[error("epoch is older than {current}")]
    StaleEpoch {
        /// The journal's epoch.
        current: Epoch,
    },
    /// A write or a sync has failed; the process has to stop and recover.
    #[error("the journal has failed")]
    Poisoned,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// A record over 256 kB, or records that do not fit into one group.
    #[error("the records do not fit into one group")]
    TooLarge,
}

/// Proof that something is on stable storage; only a completed sync makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    pub(crate) fn new(what: T) -> Self {
        Self(what)
    }

    /// What is durable.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What is durable, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The proof for something that follows from it, such as a receipt.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Durable<U> {
        Durable(f(self.0))
    }
}

impl Durable<Lsn> {
    /// The last record that is durable, as are all before it.
    pub fn lsn(self) -> Lsn {
        self.0
    }

    /// The proof for an earlier record; `None` for one that is not covered.
    pub fn covering(self, lsn: Lsn) -> Option<Self> {
        (lsn <= self.0).then_some(Self(lsn))
    }
}

/// A record as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub lsn: Lsn,
    /// When it was decided; never earlier than that of the record before.
    pub time: UnixTime,
    /// What it belongs to.
    pub stream: StreamId,
    /// What it is.
    pub kind: Kind,
    /// The octets that were given, shared with the group that was written.
    pub body: Bytes,
    /// The body that it uses, if it was said.
    pub refs_body: Option<Lsn>,
    /// Where it lies.
    pub location: Location,
}

/// Where a record lies: true for this node and this run, never to be put in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    pub(crate) lsn: Lsn,
    pub(crate) segment: Lsn,
    pub(crate) offset: u64,
    pub(crate) octets: u32,
}

impl Location {
    /// The record's number.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// How many octets its body has.
    pub fn octets(&self) -> u32 {
        self.octets
    }
}

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory, relative to the disk's root.
    pub dir: String,
    /// How large a segment is made, and at which size the next one begins.
    pub segment_octets: u64,
    /// How much may wait for the disk before appends are told [`Refused::Busy`].
    pub pending_octets_max: u64,
    /// With less than this free, only [`Space::Reserve`] is accepted.
    pub low_water_octets: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: "journal".into(),
            segment_octets: 64 << 20,
            pending_octets_max: 16 << 20,
            low_water_octets: 128 << 20,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.segment_octets < format::SEGMENT_OCTETS_MIN || !self.segment_octets.is_multiple_of(format::SECTOR_U64) {
            return Err(OpenError::Config("segment size is under 16 kB or no multiple of 512"));
        }
        if self.pending_octets_max > self.segment_octets {
            return Err(OpenError::Config("more may wait than a segment holds"));
        }
        Ok(())
    }
}

/// Who opens a journal, and what it knows.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The epoch of the writer; refused where the journal has seen a newer one.
    pub epoch: Epoch,
    /// The clock.
    pub now: UnixTime,
    /// Randomness, so that a segment's id cannot be guessed by who sends mail.
    pub seed: u64,
    /// What was applied durably elsewhere: a journal that ends before it has lost something.
    pub applied: Lsn,
}

/// Octets that were committed once and do not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal damaged: {file}, octet {offset}, record {lsn}: {what}")]
pub struct Damage {
    /// The segment file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// The first record that is affected.
    pub lsn: Lsn,
    /// What is wrong.
    pub what: &'static str,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Committed records do not verify.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// Written by a newer version.
    #[error("{file} has format version {version}, this program reads up to {}", format::VERSION)]
    Unsupported {
        /// The segment file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// Someone newer has written.
    #[error("epoch is older than {current}, which the journal has seen")]
    StaleEpoch {
        /// The journal's epoch.
        current: Epoch,
    },
    /// Records that were applied are not there.
    #[error("the journal ends at record {last}, but record {applied} was applied: segments are missing")]
    EndsEarly {
        /// What was applied.
        applied: Lsn,
        /// The journal's last record.
        last: Lsn,
    },
    /// Sizes that cannot be.
    #[error("journal configuration: {0}")]
    Config(&'static str),
    /// The disk failed.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// The disk's word.
        #[source]
        source: io::Error,
    },
}

/// Why a record cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not verify.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// It was purged.
    #[error("record {0} was purged")]
    Purged(Lsn),
    /// The disk failed.
    #[error("reading the journal at record {lsn}")]
    Io {
        /// The record that was wanted.
        lsn: Lsn,
        /// The disk's word.
        #[source]
        source: io::Error,
    },
}

/// A write or a sync failed: the journal takes nothing any more and the process has to stop.
#[derive(Debug, thiserror::Error)]
#[error("journal: {what} failed; restart to recover")]
pub struct Failed {
    /// What was tried.
    pub what: &'static str,
    /// The disk's word; missing for whoever only waited.
    #[source]
    pub source: Option<io::Error>,
}
