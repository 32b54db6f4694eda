//! The byte layout of a segment (docs/format/journal.md). Little-endian; every length here is in octets.

use mail_types::{Epoch, Lsn, UnixTime};

/// Of this program.
pub(crate) const VERSION: u32 = 1;
/// What a disk writes or loses as a whole. Groups begin at multiples of it, so that no committed sector is ever
/// written again.
pub(crate) const SECTOR: usize = 512;
pub(crate) const SECTOR_U64: u64 = 512;
/// A segment's first page.
pub(crate) const HEADER_OCTETS: usize = 4096;
/// Where the first group lies.
pub(crate) const GROUPS_AT: u64 = 4096;
/// A sealed segment's last sector.
pub(crate) const FOOTER_OCTETS: u64 = SECTOR_U64;
/// The smallest segment that makes sense; the default is 64 MiB.
pub(crate) const SEGMENT_OCTETS_MIN: u64 = 16 << 10;
/// The largest body of one record: a chunk of a message.
pub const RECORD_OCTETS_MAX: usize = 256 << 10;
/// The largest group, headers and padding included: what one write and one sync carry.
pub const GROUP_OCTETS_MAX: usize = 1 << 20;
pub(crate) const GROUP_HEADER_OCTETS: usize = 48;
pub(crate) const RECORD_HEADER_OCTETS: usize = 40;
/// Bodies are stored as they are. Others are for later versions.
pub(crate) const CODEC_STORED: u8 = 0;

/// No journal gets there; a disk that says so is wrong.
const LSN_MAX: u64 = 1 << 62;
const MAGIC: &[u8; 8] = b"POSTJRNL";
const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"PJGR");
const FOOTER_MAGIC: u32 = u32::from_le_bytes(*b"PJFT");

/// Seeds the checksums of a segment, so that octets of another one never verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId(pub(crate) u64);

impl SegmentId {
    /// An id that no earlier segment of this store has, and that a sender of mail cannot guess.
    pub(crate) fn derive(seed: u64, first: Lsn, epoch: Epoch, time: UnixTime) -> Self {
        let mixed = [first.number(), epoch.number(), time.micros().cast_unsigned()];
        Self(mixed.into_iter().fold(seed, |state, word| mix(state ^ mix(word))))
    }

    fn checksum(self, octets: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0.to_le_bytes()), octets)
    }
}

/// One step of splitmix64.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A segment's header page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Seeds its checksums.
    pub id: SegmentId,
    /// Its first record; all before it are committed.
    pub first: Lsn,
    /// Of its maker.
    pub epoch: Epoch,
    /// When it was made.
    pub time: UnixTime,
}

/// What a first page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderPage {
    Valid(SegmentHeader),
    Unsupported(u32),
    Bad,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEADER_OCTETS);
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&4096u32.to_le_bytes());
        page.extend_from_slice(&self.id.0.to_le_bytes());
        page.extend_from_slice(&self.first.number().to_le_bytes());
        page.extend_from_slice(&self.epoch.number().to_le_bytes());
        page.extend_from_slice(&self.time.micros().to_le_bytes());
        page.extend_from_slice(&crc32c::crc32c(&page).to_le_bytes());
        page.resize(HEADER_OCTETS, 0);
        page
    }

    pub(crate) fn decode(page: &[u8]) -> HeaderPage {
        Self::decode_checked(page).unwrap_or(HeaderPage::Bad)
    }

    fn decode_checked(page: &[u8]) -> Option<HeaderPage> {
        let (covered, rest) = page.split_at_checked(48)?;
        if Fields(rest).u32()? != crc32c::crc32c(covered) || !covered.starts_with(MAGIC) {
            return None;
        }
        let mut fields = Fields(covered.get(MAGIC.len()..)?);
        let (version, octets) = (fields.u32()?, fields.u32()?);
        if version != VERSION || octets != 4096 {
            return Some(HeaderPage::Unsupported(version));
        }
        Some(HeaderPage::Valid(Self {
            id: SegmentId(fields.u64()?),
            first: fields.lsn().filter(|first| *first > Lsn::ZERO)?,
            epoch: Epoch::new(fields.u64()?),
            time: UnixTime::from_micros(fields.i64()?),
        }))
    }
}

/// What stands before a group's records; a group without records only says what is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// Octets of the records, padding between them included.
    pub(crate) octets: u32,
    pub(crate) count: u32,
    /// Over all record headers, which hold the checksums of their bodies.
    pub(crate) records_crc: u32,
    pub(crate) first: Lsn,
    /// The highest record known committed when this was written.
    pub(crate) committed: Lsn,
    pub(crate) epoch: Epoch,
}

impl GroupHeader {
    pub(crate) fn encode(&self, id: SegmentId) -> [u8; GROUP_HEADER_OCTETS] {
        let mut out = Vec::with_capacity(GROUP_HEADER_OCTETS);
        for word in [GROUP_MAGIC, self.octets, self.count, self.records_crc] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for word in [self.first.number(), self.committed.number(), self.epoch.number()] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&id.checksum(&out).to_le_bytes());
        out.try_into().expect("four words of 4, three of 8, two of 4")
    }

    /// The last record of the group.
    pub(crate) fn last(&self) -> Lsn {
        Lsn::new(self.first.number().saturating_add(u64::from(self.count)).saturating_sub(1))
    }

    /// How much of the segment the group takes.
    pub(crate) fn padded(&self) -> u64 {
        (u64::from(self.octets) + 48).next_multiple_of(SECTOR_U64)
    }
}

/// A sealed segment's last sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where it lies: the end of the groups.
    pub at: u64,
    /// Its last record.
    pub last: Lsn,
    /// How many records there are.
    pub count: u64,
    /// The oldest body that a record of the segment uses, where that is not in the segment itself.
    pub oldest_body: Option<Lsn>,
    /// Of its first record.
    pub first_time: UnixTime,
    /// Of its last record.
    pub last_time: UnixTime,
    /// The epoch of its last record.
    pub epoch: Epoch,
}

const FOOTER_COVERED: usize = 64;

impl Footer {
    pub(crate) fn encode(&self, id: SegmentId) -> Vec<u8> {
        let mut out = Vec::with_capacity(SECTOR);
        out.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        for word in [self.at, self.last.number(), self.count, encode_lsn(self.oldest_body)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.first_time.micros().to_le_bytes());
        out.extend_from_slice(&self.last_time.micros().to_le_bytes());
        out.extend_from_slice(&self.epoch.number().to_le_bytes());
        out.extend_from_slice(&id.checksum(&out).to_le_bytes());
        out.resize(SECTOR, 0);
        out
    }
}

/// What may begin at a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Group(GroupHeader),
    Footer(Footer),
}

impl Block {
    /// Reads the sector that a group or a footer begins with; `None` for whatever does not verify.
    pub(crate) fn decode(id: SegmentId, sector: &[u8]) -> Option<Self> {
        let magic = Fields(sector).u32()?;
        if magic == GROUP_MAGIC {
            decode_group(id, sector).map(Self::Group)
        } else if magic == FOOTER_MAGIC {
            decode_footer(id, sector).map(Self::Footer)
        } else {
            None
        }
    }
}

fn decode_group(id: SegmentId, sector: &[u8]) -> Option<GroupHeader> {
    let (covered, rest) = sector.split_at_checked(GROUP_HEADER_OCTETS - 4)?;
    if Fields(rest).u32()? != id.checksum(covered) {
        return None;
    }
    let mut fields = Fields(covered.get(4..)?);
    let header = GroupHeader {
        octets: fields.u32()?,
        count: fields.u32()?,
        records_crc: fields.u32()?,
        first: fields.lsn().filter(|first| *first > Lsn::ZERO)?,
        committed: fields.lsn()?,
        epoch: Epoch::new(fields.u64()?),
    };
    let holds = usize::try_from(header.octets).is_ok_and(|octets| octets <= GROUP_OCTETS_MAX - GROUP_HEADER_OCTETS);
    holds.then_some(header)
}

fn decode_footer(id: SegmentId, sector: &[u8]) -> Option<Footer> {
    let (covered, rest) = sector.split_at_checked(FOOTER_COVERED)?;
    if Fields(rest).u32()? != id.checksum(covered) {
        return None;
    }
    let mut fields = Fields(covered.get(8..)?);
    Some(Footer {
        at: fields.u64()?,
        last: fields.lsn()?,
        count: fields.u64()?,
        oldest_body: decode_lsn(fields.u64()?),
        first_time: UnixTime::from_micros(fields.i64()?),
        last_time: UnixTime::from_micros(fields.i64()?),
        epoch: Epoch::new(fields.u64()?),
    })
}

/// What stands before a record's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) crc: u32,
    pub(crate) octets: u32,
    pub(crate) stream: u64,
    pub(crate) time: UnixTime,
    pub(crate) refs_body: Option<Lsn>,
    pub(crate) kind: u8,
    pub(crate) codec: u8,
}

impl RecordHeader {
    /// The header, with the checksum over the record's number, itself and the body. It does not depend on the segment,
    /// so that recovery can move records as they are.
    pub(crate) fn encode(&self, lsn: Lsn, body: &[u8]) -> [u8; RECORD_HEADER_OCTETS] {
        let mut out = Vec::with_capacity(RECORD_HEADER_OCTETS);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.octets.to_le_bytes());
        out.extend_from_slice(&self.stream.to_le_bytes());
        out.extend_from_slice(&self.time.micros().to_le_bytes());
        out.extend_from_slice(&encode_lsn(self.refs_body).to_le_bytes());
        out.extend_from_slice(&[self.kind, self.codec, 0, 0, 0, 0, 0, 0]);
        let mut out: [u8; RECORD_HEADER_OCTETS] = out.try_into().expect("4 + 4 + 8 + 8 + 8 + 8");
        let (crc, covered) = out.split_at_mut(4);
        crc.copy_from_slice(&record_checksum(lsn, covered, body).to_le_bytes());
        out
    }

    pub(crate) fn decode(header: &[u8]) -> Option<Self> {
        let mut fields = Fields(header.get(..RECORD_HEADER_OCTETS)?);
        Some(Self {
            crc: fields.u32()?,
            octets: fields.u32()?,
            stream: fields.u64()?,
            time: UnixTime::from_micros(fields.i64()?),
            refs_body: decode_lsn(fields.u64()?),
            kind: fields.u8()?,
            codec: fields.u8()?,
        })
    }

    /// Whether header and body are those of record `lsn`.
    pub(crate) fn verifies(&self, lsn: Lsn, header: &[u8], body: &[u8]) -> bool {
        let covered = header.get(4..RECORD_HEADER_OCTETS);
        covered.is_some_and(|covered| record_checksum(lsn, covered, body) == self.crc)
    }
}

fn record_checksum(lsn: Lsn, covered: &[u8], body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&lsn.number().to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, covered), body)
}

/// Where the record after one with `octets` of body begins, counted from its own beginning.
pub(crate) fn record_padded(octets: usize) -> usize {
    octets.saturating_add(RECORD_HEADER_OCTETS).next_multiple_of(8)
}

/// The name of the segment that begins with a record.
pub(crate) fn segment_name(first: Lsn) -> String {
    format!("{:016x}.seg", first.number())
}

/// The first record of the segment of that name; `None` for other files.
pub(crate) fn segment_first(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".seg")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    ((1..=LSN_MAX).contains(&number) && segment_name(Lsn::new(number)) == name).then_some(Lsn::new(number))
}

fn encode_lsn(lsn: Option<Lsn>) -> u64 {
    lsn.map_or(0, Lsn::number)
}

/// No record has number zero.
fn decode_lsn(number: u64) -> Option<Lsn> {
    (number != 0).then(|| Lsn::new(number))
}

/// Takes fields off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[octet]| octet)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// A record's number that can still be counted on from.
    fn lsn(&mut self) -> Option<Lsn> {
        self.u64().filter(|number| *number <= LSN_MAX).map(Lsn::new)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
