//! Reading a segment as a crash may have left it, without touching it.
//!
//! ```text
//!   group group group marker? ───────────────▶ the tail: nothing, or a torn group
//!                     └ committed: highest of all that verify, looked for in the whole rest of the file
//!   bad at or below committed ─▶ damage        bad above it ─▶ cut        whole above it ─▶ to be copied
//! ```

use crate::disk::DiskFile;
use crate::format::{
    Block, FOOTER_OCTETS, Footer, GROUP_OCTETS_MAX, GROUPS_AT, GroupHeader, HEADER_OCTETS, HeaderPage, SECTOR,
    SegmentHeader,
};
use crate::group::{BadGroup, Group, Stats, verify};
use bytes::{Bytes, BytesMut};
use mail_types::{Lsn, UnixTime};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Where a segment's octets come from: a file, or memory.
pub(crate) trait Source {
    /// How many there are.
    fn len(&self) -> io::Result<u64>;
    /// Up to `octets` of them, fewer at the end.
    fn read(&self, at: u64, octets: usize) -> io::Result<Bytes>;
}

impl Source for &[u8] {
    fn len(&self) -> io::Result<u64> {
        u64::try_from((**self).len()).map_err(io::Error::other)
    }

    fn read(&self, at: u64, octets: usize) -> io::Result<Bytes> {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min((**self).len());
        let to = from.saturating_add(octets).min((**self).len());
        Ok(self.get(from..to).map(Bytes::copy_from_slice).unwrap_or_default())
    }
}

impl Source for Arc<dyn DiskFile> {
    fn len(&self) -> io::Result<u64> {
        DiskFile::len(&**self)
    }

    fn read(&self, at: u64, octets: usize) -> io::Result<Bytes> {
        let mut buffer = BytesMut::zeroed(octets);
        let read = self.read_at(at, &mut buffer)?;
        buffer.truncate(read);
        Ok(buffer.freeze())
    }
}

/// What a crash has left of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// No header: an empty preallocated file, or no segment at all.
    NoHeader {
        /// Whether everything behind the header page is zero, so that no group was ever written.
        blank: bool,
    },
    /// A newer program wrote it.
    Unsupported {
        /// The version of its format.
        version: u32,
    },
    /// Octets at or below what is committed do not verify.
    Damaged {
        /// Where the first bad group lies.
        at: u64,
        /// The first record that is affected.
        lsn: Lsn,
        /// What is wrong.
        what: &'static str,
    },
    /// All that is committed verifies.
    Whole(Survey),
}

/// A segment in which all that is committed verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Its header page.
    pub header: SegmentHeader,
    /// The last record that is known committed.
    pub committed: Lsn,
    /// Where the committed groups end, and everything behind is cut once the tail was copied.
    pub end: u64,
    /// The footer, where it was sealed.
    pub footer: Option<Footer>,
    /// Whole groups above `committed`, in order.
    pub tail: Vec<TailGroup>,
    pub(crate) stats: Stats,
}

/// A whole group that nothing says is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailGroup {
    /// Where it lies.
    pub at: u64,
    /// Its first record.
    pub first: Lsn,
    /// Its last record.
    pub last: Lsn,
    /// How much of the segment it takes.
    pub padded: u64,
    pub(crate) stats: Stats,
}

/// Says what is left of a segment: pure, total, and the same for the same octets.
pub fn recover(segment: &[u8]) -> Recovery {
    survey(&segment, None).unwrap_or(Recovery::NoHeader { blank: false })
}

/// Surveys a segment; `until` is the first record of the segment behind it, which proves all before committed and
/// replaces whatever is here from it on.
pub(crate) fn survey(source: &impl Source, until: Option<Lsn>) -> io::Result<Recovery> {
    let header = match SegmentHeader::decode(&source.read(0, HEADER_OCTETS)?) {
        HeaderPage::Valid(header) => header,
        HeaderPage::Unsupported(version) => return Ok(Recovery::Unsupported { version }),
        HeaderPage::Bad => return Ok(Recovery::NoHeader { blank: is_blank(source)? }),
    };
    let mut groups = Groups::new(source, Lsn::ZERO, header);
    let mut progress = Progress::new(header, until);
    let what = loop {
        if until.is_some_and(|until| groups.expected >= until) {
            return Ok(Recovery::Whole(progress.finish(groups.at, None)));
        }
        match groups.next(Lsn::ZERO)? {
            Step::Group(group, stats) => progress.take(&group, stats),
            Step::Skipped => {}
            // More was committed than the segment ends with: what a group or the next segment says is missing here.
            Step::Footer(footer) if footer.last < progress.committed => break "records are missing",
            Step::Footer(footer) => {
                progress.commit(footer.last);
                return Ok(Recovery::Whole(progress.finish(footer.at, Some(footer))));
            }
            Step::Marker(committed) => {
                progress.commit(committed);
                break "records are missing";
            }
            Step::Unreadable => {
                let what = "a codec that this program does not know";
                return Ok(Recovery::Damaged { at: groups.at, lsn: groups.expected, what });
            }
            Step::Bad(what) => break what,
        }
    };
    // The header of a bad group, and whatever follows it, can still say that it was committed.
    progress.commit(committed_behind(source, &header, groups.at)?);
    if progress.committed >= groups.expected {
        return Ok(Recovery::Damaged { at: groups.at, lsn: groups.expected, what });
    }
    Ok(Recovery::Whole(progress.finish(groups.at, None)))
}

/// What is known while the groups go by.
struct Progress {
    header: SegmentHeader,
    committed: Lsn,
    stats: Stats,
    tentative: VecDeque<TailGroup>,
}

impl Progress {
    fn new(header: SegmentHeader, until: Option<Lsn>) -> Self {
        let before = Lsn::new(until.unwrap_or(header.first).number().saturating_sub(1));
        let stats = Stats::new(header.epoch, header.time);
        Self { header, committed: before, stats, tentative: VecDeque::new() }
    }

    fn take(&mut self, group: &Group, stats: Stats) {
        let GroupHeader { first, committed, .. } = group.header;
        self.tentative.push_back(TailGroup {
            at: group.at,
            first,
            last: group.header.last(),
            padded: group.header.padded(),
            stats,
        });
        self.commit(committed);
    }

    fn commit(&mut self, committed: Lsn) {
        self.committed = self.committed.max(committed);
        while self.tentative.front().is_some_and(|group| group.last <= self.committed) {
            if let Some(group) = self.tentative.pop_front() {
                self.stats.join(&group.stats);
            }
        }
    }

    fn finish(self, end: u64, footer: Option<Footer>) -> Survey {
        let end = self.tentative.front().map_or(end, |group| group.at);
        Survey {
            header: self.header,
            committed: self.committed,
            end,
            footer,
            tail: self.tentative.into(),
            stats: self.stats,
        }
    }
}

/// The groups of a segment, one after the other.
pub(crate) struct Groups<'a, S> {
    source: &'a S,
    header: SegmentHeader,
    segment: Lsn,
    pub(crate) at: u64,
    /// The next record's number.
    pub(crate) expected: Lsn,
}

pub(crate) enum Step {
    Group(Group, Stats),
    /// A group wholly below what was asked for.
    Skipped,
    /// A group without records: everything up to here is committed.
    Marker(Lsn),
    Footer(Footer),
    /// It verifies, but a newer program wrote it.
    Unreadable,
    Bad(&'static str),
}

impl<'a, S: Source> Groups<'a, S> {
    /// `segment` names the file, for locations; zero where nobody asks for them.
    pub(crate) fn new(source: &'a S, segment: Lsn, header: SegmentHeader) -> Self {
        Self { source, header, segment, at: GROUPS_AT, expected: header.first }
    }

    /// Reads on where a [`Groups`] of the same segment stood.
    pub(crate) fn resume(self, at: u64, expected: Lsn) -> Self {
        Self { at, expected, ..self }
    }

    /// The next group, with its records checked unless all of them are below `from`.
    pub(crate) fn next(&mut self, from: Lsn) -> io::Result<Step> {
        let sector = self.source.read(self.at, SECTOR)?;
        let header = match Block::decode(self.header.id, &sector) {
            None => return Ok(Step::Bad("no group or footer here")),
            Some(Block::Footer(footer)) if footer.at == self.at && footer.last.next() == self.expected => {
                return Ok(Step::Footer(footer));
            }
            Some(Block::Footer(_)) => return Ok(Step::Bad("a footer that belongs elsewhere")),
            Some(Block::Group(header)) if header.first != self.expected => {
                return Ok(Step::Bad("a group that belongs elsewhere"));
            }
            Some(Block::Group(header)) if header.count == 0 => return Ok(Step::Marker(header.committed)),
            Some(Block::Group(header)) => header,
        };
        if header.last() < from {
            self.advance(&header);
            return Ok(Step::Skipped);
        }
        let octets = self.source.read(self.at, usize::try_from(header.padded()).unwrap_or(GROUP_OCTETS_MAX))?;
        match verify(&header, &octets) {
            Err(BadGroup::Records) => Ok(Step::Bad("a record that does not verify")),
            Err(BadGroup::Codec) => Ok(Step::Unreadable),
            Ok(stats) => {
                let group = Group { header, octets, segment: self.segment, at: self.at };
                self.advance(&header);
                Ok(Step::Group(group, stats))
            }
        }
    }

    fn advance(&mut self, header: &GroupHeader) {
        self.at = self.at.saturating_add(header.padded());
        self.expected = header.last().next();
    }
}

/// The highest `committed` that any sector from `at` on states.
fn committed_behind(source: &impl Source, header: &SegmentHeader, mut at: u64) -> io::Result<Lsn> {
    let mut committed = Lsn::ZERO;
    loop {
        let octets = source.read(at, READ_AHEAD)?;
        if octets.is_empty() {
            return Ok(committed);
        }
        for sector in octets.chunks(SECTOR) {
            committed = match Block::decode(header.id, sector) {
                Some(Block::Group(group)) => committed.max(group.committed),
                Some(Block::Footer(footer)) => committed.max(footer.last),
                None => committed,
            };
        }
        at = at.saturating_add(u64::try_from(octets.len()).map_err(io::Error::other)?);
    }
}

fn is_blank(source: &impl Source) -> io::Result<bool> {
    let mut at = GROUPS_AT;
    loop {
        let octets = source.read(at, READ_AHEAD)?;
        if octets.is_empty() {
            return Ok(true);
        }
        if octets.iter().any(|octet| *octet != 0) {
            return Ok(false);
        }
        at = at.saturating_add(u64::try_from(octets.len()).map_err(io::Error::other)?);
    }
}

/// The footer of a segment that was sealed and cut, from its last sector.
pub(crate) fn footer_at_end(source: &impl Source, header: &SegmentHeader) -> io::Result<Option<Footer>> {
    let Some(at) = source.len()?.checked_sub(FOOTER_OCTETS) else { return Ok(None) };
    match Block::decode(header.id, &source.read(at, SECTOR)?) {
        Some(Block::Footer(footer)) if footer.at == at => Ok(Some(footer)),
        Some(Block::Footer(_) | Block::Group(_)) | None => Ok(None),
    }
}

/// The latest time that a survey has met.
pub(crate) fn latest_time(survey: &Survey) -> UnixTime {
    let tail = survey.tail.iter().map(|group| group.stats.last_time);
    tail.fold(survey.stats.last_time.max(survey.header.time), UnixTime::max)
}

/// Read at once while looking for what is committed.
const READ_AHEAD: usize = 256 << 10;

#[cfg(test)]
mod tests;
