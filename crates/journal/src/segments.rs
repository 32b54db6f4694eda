//! The segment files of a journal: finding them at the start, making and sealing them.

use crate::core::{Position, Seal};
use crate::disk::{Disk, DiskFile};
use crate::format::{
    FOOTER_OCTETS, Footer, GROUPS_AT, GroupHeader, HEADER_OCTETS, HeaderPage, SegmentHeader, SegmentId, segment_first,
    segment_name,
};
use crate::group::{Group, Stats};
use crate::recover::{Groups, Recovery, Step, Survey, footer_at_end, latest_time, survey};
use crate::types::{Config, Damage, OpenError, Start};
use mail_types::{Epoch, Lsn, UnixTime};
use std::io;
use std::sync::Arc;

/// A segment that is not written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its first record, which names its file.
    pub first: Lsn,
    /// Its last record.
    pub last: Lsn,
    /// The oldest body of another segment that its records use.
    pub oldest_body: Option<Lsn>,
    /// Of its last record.
    pub last_time: UnixTime,
}

impl SealedSegment {
    pub(crate) fn new(first: Lsn, footer: &Footer) -> Self {
        Self { first, last: footer.last, oldest_body: footer.oldest_body, last_time: footer.last_time }
    }
}

/// What recovery has found and made.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) sealed: Vec<SealedSegment>,
    pub(crate) position: Position,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) last: Lsn,
    pub(crate) epoch: Epoch,
}

/// The directory of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    disk: Arc<dyn Disk>,
    dir: String,
}

impl Directory {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &str) -> Self {
        Self { disk, dir: dir.to_owned() }
    }

    /// A segment's path.
    pub(crate) fn path(&self, first: Lsn) -> String {
        self.join(&segment_name(first))
    }

    pub(crate) fn open(&self, first: Lsn) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(first))
    }

    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    /// Makes a file that can become the next segment, its space allocated.
    pub(crate) fn make_spare(&self, octets: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.join(SPARE_NAME);
        if let Err(error) = self.disk.remove(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = self.disk.create(&path)?;
        match file.allocate(octets) {
            Ok(()) => Ok(file),
            Err(error) => {
                // Gives back what was allocated; the next attempt, and the next start, try to remove it again.
                let _ = self.disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Gives the spare file its place, once its octets are durable: from here on the name proves that all records
    /// before `first` are committed.
    pub(crate) fn promote_spare(&self, spare: &Arc<dyn DiskFile>, first: Lsn) -> io::Result<()> {
        spare.sync_data()?;
        self.disk.rename(&self.join(SPARE_NAME), &self.path(first))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Removes a segment for good. One at a time, so that a crash leaves no gap between those that remain.
    pub(crate) fn remove(&self, first: Lsn) -> io::Result<()> {
        self.disk.remove(&self.path(first))?;
        self.disk.sync_dir(&self.dir)
    }

    fn join(&self, name: &str) -> String {
        if self.dir.is_empty() { name.to_owned() } else { format!("{}/{name}", self.dir) }
    }

    /// Makes the directory, durably.
    fn make(&self) -> io::Result<()> {
        self.disk.create_dir_all(&self.dir)?;
        let parents = self.dir.match_indices('/').map(|(at, _)| self.dir.get(..at).unwrap_or_default());
        std::iter::once("").chain(parents).try_for_each(|parent| self.disk.sync_dir(parent))
    }

    /// The first records of all segments, in order.
    fn list(&self) -> io::Result<Vec<Lsn>> {
        let mut segments: Vec<Lsn> = self.disk.list(&self.dir)?.iter().filter_map(|name| segment_first(name)).collect();
        segments.sort_unstable();
        Ok(segments)
    }
}

/// Writes a footer and cuts the file behind it.
pub(crate) fn write_seal(file: &Arc<dyn DiskFile>, seal: &Seal) -> io::Result<()> {
    file.write_at(seal.footer.at, &seal.octets)?;
    file.set_len(seal.footer.at + FOOTER_OCTETS)?;
    file.sync_data()
}

/// Finds what is there, copies what is whole but not known committed into a new segment, and makes that durable.
///
/// May be cut off by a crash after any step; docs/format/journal.md draws the table.
pub(crate) fn recover_directory(dir: &Directory, config: &Config, start: &Start) -> Result<Recovered, OpenError> {
    dir.make().map_err(|e| io_failed("making the journal's directory", e))?;
    let names = dir.list().map_err(|e| io_failed("listing the journal's directory", e))?;
    let (sealed, newest) = read_chain(dir, &names)?;
    let known = Known::from(&sealed, newest.as_ref());
    if start.epoch < known.epoch {
        return Err(OpenError::StaleEpoch { current: known.epoch });
    }
    if known.last < start.applied {
        return Err(OpenError::EndsEarly { applied: start.applied, last: known.last });
    }
    begin_again(dir, config, start, sealed, newest, known)
}

/// The newest segment, and all records that it was found to hold.
struct Newest {
    first: Lsn,
    file: Arc<dyn DiskFile>,
    survey: Survey,
}

/// What the segments say together.
#[derive(Clone, Copy)]
struct Known {
    committed: Lsn,
    last: Lsn,
    epoch: Epoch,
    time: UnixTime,
}

impl Known {
    fn from(sealed: &[SealedSegment], newest: Option<&Newest>) -> Self {
        let Some(Newest { survey, .. }) = newest else {
            let last = sealed.last().map_or(Lsn::ZERO, |segment| segment.last);
            let time = sealed.last().map_or(UnixTime::EPOCH, |segment| segment.last_time);
            return Self { committed: last, last, epoch: Epoch::ZERO, time };
        };
        let last = survey.tail.last().map_or(survey.committed, |group| group.last);
        let epoch = survey.tail.last().map_or(survey.stats.epoch, |group| group.stats.epoch);
        let epoch = epoch.max(survey.header.epoch);
        Self { committed: survey.committed, last, epoch, time: latest_time(survey) }
    }
}

/// Reads headers and footers of all segments, and all of the newest.
fn read_chain(dir: &Directory, names: &[Lsn]) -> Result<(Vec<SealedSegment>, Option<Newest>), OpenError> {
    let mut sealed = Vec::new();
    let mut names = names.to_vec();
    let mut newest = None;
    if let Some(first) = names.pop() {
        newest = read_newest(dir, first, &names)?;
        if newest.is_none() {
            // It never held a record, so the one before it is the newest.
            newest = names.pop().map(|first| read_newest(dir, first, &[])).transpose()?.flatten();
        }
    }
    let ends = names.iter().skip(1).copied().chain(newest.as_ref().map(|newest| newest.first));
    for (first, until) in names.iter().copied().zip(ends) {
        sealed.push(read_sealed(dir, first, until)?);
    }
    Ok((sealed, newest))
}

/// Surveys the newest segment. `None` for an empty preallocated file, which a crash while it was made may leave;
/// that its records are missing would show in the segment before it.
fn read_newest(dir: &Directory, first: Lsn, before: &[Lsn]) -> Result<Option<Newest>, OpenError> {
    let (path, file) = (dir.path(first), open(dir, first)?);
    match survey_file(&file, &path, None)? {
        Recovery::Whole(survey) if survey.header.first == first => Ok(Some(Newest { first, file, survey })),
        Recovery::Whole(_) => Err(damage(&path, 0, first, "the header is of another segment")),
        Recovery::NoHeader { blank: true } => match before.last().copied() {
            Some(previous) => read_sealed(dir, previous, first).map(|_| None),
            None if first == Lsn::ZERO.next() => Ok(None),
            None => Err(damage(&path, 0, first, "no segment header")),
        },
        other @ (Recovery::NoHeader { .. } | Recovery::Unsupported { .. } | Recovery::Damaged { .. }) => {
            Err(refuse(&path, first, &other))
        }
    }
}

/// Reads the footer of a segment, or all of it where there is none; the next segment begins with `until`.
fn read_sealed(dir: &Directory, first: Lsn, until: Lsn) -> Result<SealedSegment, OpenError> {
    let (path, file) = (dir.path(first), open(dir, first)?);
    let page = crate::recover::Source::read(&file, 0, HEADER_OCTETS).map_err(|e| io_failed(&path, e))?;
    if let HeaderPage::Valid(header) = SegmentHeader::decode(&page)
        && let Some(footer) = footer_at_end(&file, &header).map_err(|e| io_failed(&path, e))?
    {
        if header.first != first || footer.last.next() != until {
            return Err(damage(&path, footer.at, footer.last.next(), "the next segment does not follow"));
        }
        return Ok(SealedSegment::new(first, &footer));
    }
    match survey_file(&file, &path, Some(until))? {
        Recovery::Whole(found) if found.header.first == first && found.committed.next() == until => {
            let Stats { oldest_body, last_time, .. } = found.stats;
            Ok(SealedSegment { first, last: found.committed, oldest_body, last_time })
        }
        Recovery::Whole(found) => Err(damage(&path, found.end, found.committed.next(), "records are missing")),
        other @ (Recovery::NoHeader { .. } | Recovery::Unsupported { .. } | Recovery::Damaged { .. }) => {
            Err(refuse(&path, first, &other))
        }
    }
}

/// Makes the segment that this run writes to, with the tail in it, and seals the one before.
fn begin_again(
    dir: &Directory,
    config: &Config,
    start: &Start,
    mut sealed: Vec<SealedSegment>,
    newest: Option<Newest>,
    known: Known,
) -> Result<Recovered, OpenError> {
    let failed = |e| io_failed("beginning a segment of the journal", e);
    let (first, time, epoch) = (known.committed.next(), start.now.max(known.time), start.epoch);
    let id = SegmentId::derive(start.seed, first, epoch, time);
    let tail_octets = newest.as_ref().map_or(0, |newest| tail_octets(&newest.survey));
    let file = dir.make_spare(config.segment_octets.max(GROUPS_AT + tail_octets + FOOTER_OCTETS)).map_err(failed)?;
    let header = SegmentHeader { id, first, epoch, time };
    file.write_at(0, &header.encode()).map_err(failed)?;
    let mut position = Position { id, first, at: GROUPS_AT, stats: Stats::new(epoch, time) };
    if let Some(newest) = &newest {
        copy_tail(dir, newest, &file, &mut position)?;
    }
    dir.promote_spare(&file, first).map_err(failed)?;
    // The order matters: only now may the old copy of the tail go.
    if let Some(newest) = newest.filter(|newest| newest.first != first) {
        sealed.push(seal_newest(&newest).map_err(failed)?);
    }
    Ok(Recovered { sealed, position, file, last: known.last, epoch })
}

fn tail_octets(survey: &Survey) -> u64 {
    survey.tail.iter().map(|group| group.padded).sum()
}

/// Copies whole groups above `committed`: after a failed sync their octets may read well and yet not be on the disk.
fn copy_tail(
    dir: &Directory,
    newest: &Newest,
    to: &Arc<dyn DiskFile>,
    position: &mut Position,
) -> Result<(), OpenError> {
    let path = dir.path(newest.first);
    for tail in &newest.survey.tail {
        let groups = Groups::new(&newest.file, newest.first, newest.survey.header);
        let step = groups.resume(tail.at, tail.first).next(Lsn::ZERO).map_err(|e| io_failed(&path, e))?;
        let Step::Group(Group { header, octets, .. }, stats) = step else {
            return Err(damage(&path, tail.at, tail.first, "it has changed while it was copied"));
        };
        let header = GroupHeader { committed: Lsn::new(position.first.number() - 1), ..header };
        let mut group = octets.to_vec();
        if let Some(front) = group.first_chunk_mut() {
            *front = header.encode(position.id);
        }
        to.write_at(position.at, &group).map_err(|e| io_failed("copying the tail of the journal", e))?;
        position.at += header.padded();
        position.stats.join(&stats);
    }
    Ok(())
}

fn seal_newest(newest: &Newest) -> io::Result<SealedSegment> {
    let Survey { header, footer, end, committed, stats, .. } = &newest.survey;
    if let Some(footer) = footer {
        return Ok(SealedSegment::new(newest.first, footer));
    }
    let Stats { count, oldest_body, first_time, last_time, epoch } = *stats;
    let footer = Footer { at: *end, last: *committed, count, oldest_body, first_time, last_time, epoch };
    write_seal(&newest.file, &Seal { footer, octets: footer.encode(header.id).into() })?;
    Ok(SealedSegment::new(newest.first, &footer))
}

fn open(dir: &Directory, first: Lsn) -> Result<Arc<dyn DiskFile>, OpenError> {
    dir.open(first).map_err(|e| io_failed(&dir.path(first), e))
}

fn survey_file(file: &Arc<dyn DiskFile>, path: &str, until: Option<Lsn>) -> Result<Recovery, OpenError> {
    survey(file, until).map_err(|e| io_failed(path, e))
}

fn refuse(path: &str, first: Lsn, found: &Recovery) -> OpenError {
    match found {
        Recovery::Unsupported { version } => OpenError::Unsupported { file: path.to_owned(), version: *version },
        Recovery::Damaged { at, lsn, what } => damage(path, *at, *lsn, what),
        Recovery::NoHeader { .. } => damage(path, 0, first, "no segment header"),
        Recovery::Whole(_) => damage(path, 0, first, "the header is of another segment"),
    }
}

fn damage(path: &str, offset: u64, lsn: Lsn, what: &'static str) -> OpenError {
    OpenError::Damage(Damage { file: path.to_owned(), offset, lsn, what })
}

fn io_failed(what: &str, source: io::Error) -> OpenError {
    OpenError::Io { what: what.to_owned(), source }
}

/// Not a segment's name: a leftover is made anew at every start.
const SPARE_NAME: &str = "spare.tmp";
