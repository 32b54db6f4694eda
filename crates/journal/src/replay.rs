//! Reading records back in order, one group in memory at a time.

use crate::disk::DiskFile;
use crate::format::{HEADER_OCTETS, HeaderPage, SegmentHeader};
use crate::group::Records;
use crate::recover::{Groups, Source, Step};
use crate::segments::Directory;
use crate::types::{Damage, ReadError, Record};
use mail_types::Lsn;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The durable records of a journal from some number on, in order and without gap; ends after the first error.
///
/// Whoever replays keeps the purge floor below, or meets [`ReadError::Purged`].
#[derive(Debug)]
pub struct Replay {
    dir: Directory,
    /// First and last records of the segments that are still to be read.
    segments: VecDeque<(Lsn, Lsn)>,
    reading: Option<Reading>,
    records: Option<Records>,
    /// The next record to give.
    next: Lsn,
    last: Lsn,
}

/// The segment that is read.
#[derive(Debug)]
struct Reading {
    path: String,
    file: Arc<dyn DiskFile>,
    header: SegmentHeader,
    at: u64,
    expected: Lsn,
    last: Lsn,
}

impl Replay {
    pub(crate) fn new(dir: Directory, mut segments: VecDeque<(Lsn, Lsn)>, from: Lsn, last: Lsn) -> Self {
        let next = from.max(Lsn::ZERO.next());
        segments.retain(|(_, segment_last)| *segment_last >= next);
        Self { dir, segments, reading: None, records: None, next, last }
    }

    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        while self.next <= self.last {
            if let Some(record) = self.records.as_mut().and_then(Iterator::next) {
                if record.lsn < self.next {
                    continue;
                }
                self.next = record.lsn.next();
                return Ok(Some(record));
            }
            self.records = Some(self.next_group()?);
        }
        Ok(None)
    }

    fn next_group(&mut self) -> Result<Records, ReadError> {
        loop {
            let reading = match &mut self.reading {
                Some(reading) if reading.expected <= reading.last => reading,
                Some(_) | None => {
                    let opened = self.open_segment()?;
                    self.reading.insert(opened)
                }
            };
            if let Some(records) = reading.next_group(self.next)? {
                return Ok(records);
            }
        }
    }

    fn open_segment(&mut self) -> Result<Reading, ReadError> {
        let lsn = self.next;
        let (first, last) = self.segments.pop_front().ok_or(ReadError::Purged(lsn))?;
        if first > lsn {
            return Err(ReadError::Purged(lsn));
        }
        let path = self.dir.path(first);
        let file = self.dir.open(first).map_err(|source| {
            let purged = source.kind() == io::ErrorKind::NotFound;
            if purged { ReadError::Purged(lsn) } else { ReadError::Io { lsn, source } }
        })?;
        let page = Source::read(&file, 0, HEADER_OCTETS).map_err(|source| ReadError::Io { lsn, source })?;
        let HeaderPage::Valid(header) = SegmentHeader::decode(&page) else {
            return Err(Damage { file: path, offset: 0, lsn: first, what: "no segment header" }.into());
        };
        let Groups { at, expected, .. } = Groups::new(&file, first, header);
        Ok(Reading { path, header, at, expected, last, file })
    }
}

impl Reading {
    /// The records of the next group; `None` where it was skipped as older than `from`.
    fn next_group(&mut self, from: Lsn) -> Result<Option<Records>, ReadError> {
        let (offset, lsn) = (self.at, self.expected);
        let mut groups = Groups::new(&self.file, self.header.first, self.header).resume(offset, lsn);
        let step = groups.next(from).map_err(|source| ReadError::Io { lsn, source })?;
        (self.at, self.expected) = (groups.at, groups.expected);
        let what = match step {
            Step::Group(group, _) => return Ok(Some(group.records())),
            Step::Skipped => return Ok(None),
            Step::Marker(_) | Step::Footer(_) => "records are missing",
            Step::Unreadable => "a codec that this program does not know",
            Step::Bad(what) => what,
        };
        Err(Damage { file: self.path.clone(), offset, lsn, what }.into())
    }
}

impl Iterator for Replay {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance().transpose()?;
        if result.is_err() {
            self.last = Lsn::ZERO;
        }
        Some(result)
    }
}
