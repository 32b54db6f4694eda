//! Groups: building one in memory, checking one from a disk, and taking the records out of either.

use crate::format::{
    CODEC_STORED, GROUP_HEADER_OCTETS, GroupHeader, RECORD_HEADER_OCTETS, RecordHeader, SECTOR, SegmentId,
    record_padded,
};
use crate::types::{Append, Kind, Location, Record, StreamId};
use bytes::Bytes;
use mail_types::{Epoch, Lsn, UnixTime};

/// What is known of a run of records, for footers and purging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) count: u64,
    pub(crate) oldest_body: Option<Lsn>,
    pub(crate) first_time: UnixTime,
    pub(crate) last_time: UnixTime,
    pub(crate) epoch: Epoch,
}

impl Stats {
    pub(crate) fn new(epoch: Epoch, time: UnixTime) -> Self {
        Self { count: 0, oldest_body: None, first_time: time, last_time: time, epoch }
    }

    fn add(&mut self, time: UnixTime, refs_body: Option<Lsn>) {
        if self.count == 0 {
            self.first_time = time;
        }
        self.last_time = time;
        self.count += 1;
        self.oldest_body = oldest(self.oldest_body, refs_body);
    }

    /// With the records of `later` behind these.
    pub(crate) fn join(&mut self, later: &Self) {
        if self.count == 0 {
            self.first_time = later.first_time;
        }
        self.last_time = later.last_time;
        self.count += later.count;
        self.oldest_body = oldest(self.oldest_body, later.oldest_body);
        self.epoch = later.epoch;
    }
}

/// The older of two references.
pub(crate) fn oldest(a: Option<Lsn>, b: Option<Lsn>) -> Option<Lsn> {
    a.into_iter().chain(b).min()
}

/// A group that is being filled: the octets as they will be written, with room for the header in front.
#[derive(Debug)]
pub(crate) struct GroupBuffer {
    octets: Vec<u8>,
    first: Lsn,
    records_crc: u32,
    stats: Stats,
    /// Whether the group begins a segment.
    pub(crate) rotates: bool,
}

impl GroupBuffer {
    pub(crate) fn new(first: Lsn, epoch: Epoch, capacity: usize, rotates: bool) -> Self {
        let mut octets = Vec::with_capacity(capacity.max(GROUP_HEADER_OCTETS));
        octets.resize(GROUP_HEADER_OCTETS, 0);
        Self { octets, first, records_crc: 0, stats: Stats::new(epoch, UnixTime::EPOCH), rotates }
    }

    /// Puts record `lsn` behind the others: one copy and one pass of the checksum.
    pub(crate) fn push(&mut self, lsn: Lsn, time: UnixTime, record: &Append<'_>) {
        let header = RecordHeader {
            crc: 0,
            octets: u32::try_from(record.body.len()).expect("a record has at most 256 kB"),
            stream: record.stream.number(),
            time,
            refs_body: record.refs_body,
            kind: record.kind.number(),
            codec: CODEC_STORED,
        };
        let header = header.encode(lsn, &record.body);
        self.records_crc = crc32c::crc32c_append(self.records_crc, &header);
        let end = self.octets.len() + record_padded(record.body.len());
        self.octets.extend_from_slice(&header);
        self.octets.extend_from_slice(&record.body);
        self.octets.resize(end, 0);
        self.stats.add(time, record.refs_body);
    }

    /// Octets on the disk, with `more` octets of records behind the present ones.
    pub(crate) fn padded_with(&self, more: usize) -> usize {
        (self.octets.len() + more).next_multiple_of(SECTOR)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.stats.epoch
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How much was filled, as a guess for the next group.
    pub(crate) fn len(&self) -> usize {
        self.octets.len()
    }

    /// The group as it is written into a segment.
    pub(crate) fn finish(mut self, id: SegmentId, committed: Lsn) -> (GroupHeader, Bytes) {
        let header = GroupHeader {
            octets: u32::try_from(self.octets.len() - GROUP_HEADER_OCTETS).expect("a group has at most 1 MB"),
            count: u32::try_from(self.stats.count).expect("a record has at least 40 octets"),
            records_crc: self.records_crc,
            first: self.first,
            committed,
            epoch: self.stats.epoch,
        };
        let front = self.octets.first_chunk_mut().expect("room was made in new");
        *front = header.encode(id);
        self.octets.resize(self.octets.len().next_multiple_of(SECTOR), 0);
        (header, Bytes::from(self.octets))
    }
}

/// Why a group whose header verifies is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadGroup {
    /// Its records do not verify.
    Records,
    /// They do, but this program cannot read one of them.
    Codec,
}

/// Checks all records of a group; `octets` begins with its header.
pub(crate) fn verify(header: &GroupHeader, octets: &Bytes) -> Result<Stats, BadGroup> {
    let mut stats = Stats::new(header.epoch, UnixTime::EPOCH);
    let (mut records_crc, mut at, mut lsn) = (0, GROUP_HEADER_OCTETS, header.first);
    let mut readable = true;
    for _ in 0..header.count {
        let (record, body) = split_record(octets, at).ok_or(BadGroup::Records)?;
        let raw = octets.get(at..at + RECORD_HEADER_OCTETS).ok_or(BadGroup::Records)?;
        let body = octets.get(body).ok_or(BadGroup::Records)?;
        if !record.verifies(lsn, raw, body) {
            return Err(BadGroup::Records);
        }
        readable &= record.codec == CODEC_STORED;
        records_crc = crc32c::crc32c_append(records_crc, raw);
        stats.add(record.time, record.refs_body);
        at += record_padded(body.len());
        lsn = lsn.next();
    }
    let length = usize::try_from(header.octets).map_err(|_| BadGroup::Records)?;
    if records_crc != header.records_crc || at != GROUP_HEADER_OCTETS + length {
        return Err(BadGroup::Records);
    }
    if readable { Ok(stats) } else { Err(BadGroup::Codec) }
}

/// A group whose records were written or verified by us.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) header: GroupHeader,
    /// The header, then the records.
    pub(crate) octets: Bytes,
    /// Where it lies.
    pub(crate) segment: Lsn,
    pub(crate) at: u64,
}

impl Group {
    pub(crate) fn records(&self) -> Records {
        Records { group: self.clone(), at: GROUP_HEADER_OCTETS, lsn: self.header.first, left: self.header.count }
    }
}

/// The records of a group in order; bodies share its memory.
#[derive(Clone, Debug)]
pub struct Records {
    group: Group,
    at: usize,
    lsn: Lsn,
    left: u32,
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.left = self.left.checked_sub(1)?;
        let (header, body) = split_record(&self.group.octets, self.at)?;
        let location = Location {
            lsn: self.lsn,
            segment: self.group.segment,
            offset: self.group.at + u64::try_from(self.at).ok()?,
            octets: header.octets,
        };
        let record = Record {
            lsn: self.lsn,
            time: header.time,
            stream: StreamId::new(header.stream),
            kind: Kind::new(header.kind),
            body: self.group.octets.slice(body.clone()),
            refs_body: header.refs_body,
            location,
        };
        self.at += record_padded(body.len());
        self.lsn = self.lsn.next();
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

/// The record at an offset of a group, and where its body lies; `None` where it does not fit.
fn split_record(octets: &Bytes, at: usize) -> Option<(RecordHeader, std::ops::Range<usize>)> {
    let header = RecordHeader::decode(octets.get(at..)?)?;
    let from = at.checked_add(RECORD_HEADER_OCTETS)?;
    let to = from.checked_add(usize::try_from(header.octets).ok()?)?;
    (to <= octets.len()).then_some((header, from..to))
}
