//! The decisions of a journal: which record gets which number, group, segment and place, and when it is durable.
//!
//! Nothing here touches a disk. Whoever holds the core carries out its effects one by one, in order, and tells it of
//! a completed sync; a failed one poisons it for good.

use crate::format::{
    FOOTER_OCTETS, Footer, GROUP_HEADER_OCTETS, GROUP_OCTETS_MAX, GROUPS_AT, GroupHeader, RECORD_OCTETS_MAX, SECTOR,
    SegmentHeader, SegmentId, record_padded,
};
use crate::group::{Group, GroupBuffer, Records, Stats, oldest};
use crate::types::{Append, Config, Durable, Kind, Refused, Space, StreamId};
use bytes::Bytes;
use mail_types::{Epoch, Lsn, UnixTime};
use std::collections::VecDeque;

/// What the executor has to do next, in order.
#[derive(Debug)]
pub enum Effect {
    /// Seal the segment that is written to, and begin the next one in the spare file.
    Rotate(Rotation),
    /// Write octets into the current segment.
    Write {
        /// Where.
        at: u64,
        /// What.
        octets: Bytes,
    },
    /// Make what was written durable, then tell [`Core::on_synced`].
    Sync {
        /// The last record that is durable then.
        upto: Lsn,
    },
    /// Records are durable: apply them.
    Release(Commit),
}

/// The end of one segment and the beginning of the next.
#[derive(Debug)]
pub struct Rotation {
    /// The first record of the current segment.
    pub sealed: Lsn,
    /// How it ends.
    pub seal: Seal,
    /// The first record of the next one, which names it.
    pub first: Lsn,
    /// The next one's header page.
    pub header: Bytes,
}

/// The end of a segment: written at `footer.at`, after which the file is cut.
#[derive(Debug)]
pub struct Seal {
    /// What the footer says.
    pub footer: Footer,
    /// The footer's sector.
    pub octets: Bytes,
}

/// Records that have become durable together.
#[derive(Debug)]
pub struct Commit {
    durable: Durable<Lsn>,
    group: Group,
}

impl Commit {
    /// Proof for the last of them and all before.
    pub fn durable(&self) -> Durable<Lsn> {
        self.durable
    }

    /// The records, in order.
    pub fn records(&self) -> Records {
        self.group.records()
    }
}

/// Where the writer stands after recovery.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) id: SegmentId,
    pub(crate) first: Lsn,
    /// Where the next group goes.
    pub(crate) at: u64,
    /// Of the records that the segment holds already.
    pub(crate) stats: Stats,
}

/// The pure half of a journal.
#[derive(Debug)]
pub struct Core {
    segment_octets: u64,
    pending_octets_max: u64,
    low_water_octets: u64,
    seed: u64,

    epoch: Epoch,
    last_time: UnixTime,
    next: Lsn,
    durable: Durable<Lsn>,
    /// The highest `committed` that was written.
    marked: Lsn,

    current: Position,
    /// What appends fill; then what waits behind it, in front of it in order.
    open: Option<GroupBuffer>,
    closed: VecDeque<GroupBuffer>,
    closed_octets: u64,
    flight: Flight,

    /// Octets left for the open group in the segment it will go to.
    rest: u64,
    /// Whether that segment has no group yet.
    tail_is_empty: bool,
    spare: Spare,
    free: u64,
    rotate_at: Option<UnixTime>,
    poisoned: bool,
}

#[derive(Debug)]
enum Flight {
    Landed,
    Written(Group),
    Syncing(Group),
    Synced(Commit),
}

/// The next segment's file, made before it is needed so that its space is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    Ready,
    /// Not made yet, or given to a group that waits.
    Wanted,
    /// The disk had no space for it.
    Failed,
}

impl Core {
    pub(crate) fn new(config: &Config, seed: u64, epoch: Epoch, last: Lsn, at: Position) -> Self {
        Self {
            segment_octets: config.segment_octets,
            pending_octets_max: config.pending_octets_max,
            low_water_octets: config.low_water_octets,
            seed,
            epoch,
            last_time: at.stats.last_time,
            next: last.next(),
            durable: Durable::new(last),
            marked: Lsn::new(at.first.number() - 1),
            rest: config.segment_octets.saturating_sub(at.at + FOOTER_OCTETS),
            tail_is_empty: at.stats.count == 0,
            current: at,
            open: None,
            closed: VecDeque::new(),
            closed_octets: 0,
            flight: Flight::Landed,
            spare: Spare::Wanted,
            free: 0,
            rotate_at: None,
            poisoned: false,
        }
    }

    /// Takes one record; its number says nothing about durability yet.
    pub fn append(
        &mut self,
        epoch: Epoch,
        now: UnixTime,
        to: StreamId,
        kind: Kind,
        body: &[u8],
    ) -> Result<Lsn, Refused> {
        self.append_all(epoch, now, Space::Ordinary, &[Append::new(to, kind, body)])
    }

    /// Takes several records into one group: all of them survive a crash, or none. Gives the number of the first,
    /// the others follow without gap.
    pub fn append_all(
        &mut self,
        epoch: Epoch,
        now: UnixTime,
        space: Space,
        records: &[Append<'_>],
    ) -> Result<Lsn, Refused> {
        assert!(!records.is_empty(), "an append without records is a bug of the caller");
        let octets = self.admit(epoch, space, records)?;
        // Time never goes back within a journal, whatever the clock does.
        let time = now.max(self.last_time);
        let first = self.next;
        let mut next = first;
        let group = self.group_for(epoch, time, octets)?;
        for record in records {
            group.push(next, time, record);
            next = next.next();
        }
        (self.epoch, self.last_time, self.next) = (epoch, time, next);
        Ok(first)
    }

    /// The time of the last record.
    pub(crate) fn last_time(&self) -> UnixTime {
        self.last_time
    }

    /// The number that the next record gets.
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Proof for everything that is durable.
    pub fn durable(&self) -> Durable<Lsn> {
        self.durable
    }

    /// The next thing to do; `None` until there is an append or a completed sync.
    pub fn poll(&mut self) -> Option<Effect> {
        if self.poisoned {
            return None;
        }
        match std::mem::replace(&mut self.flight, Flight::Landed) {
            Flight::Landed => self.take_off(),
            Flight::Written(group) => {
                let upto = group.header.last();
                self.flight = Flight::Syncing(group);
                Some(Effect::Sync { upto })
            }
            Flight::Syncing(group) => {
                self.flight = Flight::Syncing(group);
                None
            }
            Flight::Synced(commit) => Some(Effect::Release(commit)),
        }
    }

    /// The sync that [`Effect::Sync`] asked for has succeeded.
    pub fn on_synced(&mut self, upto: Lsn) {
        match std::mem::replace(&mut self.flight, Flight::Landed) {
            Flight::Syncing(group) if group.header.last() == upto && !self.poisoned => {
                self.durable = Durable::new(upto);
                self.flight = Flight::Synced(Commit { durable: self.durable, group });
            }
            Flight::Landed | Flight::Written(_) | Flight::Syncing(_) | Flight::Synced(_) => {
                panic!("a sync completed that was not asked for")
            }
        }
    }

    /// Something failed: nothing is taken and nothing becomes durable any more.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Whether something failed.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Whether nothing waits to be written, synced or released.
    pub fn is_idle(&self) -> bool {
        self.open.is_none() && self.closed.is_empty() && matches!(self.flight, Flight::Landed)
    }

    /// While idle: says on disk that the last group is committed, so that rot in it is not taken for a torn write.
    /// Needs no sync, and the next group takes its place.
    pub(crate) fn poll_marker(&mut self) -> Option<(u64, Bytes)> {
        if self.poisoned || !self.is_idle() || self.marked >= self.durable.lsn() {
            return None;
        }
        self.marked = self.durable.lsn();
        let (first, committed) = (self.next, self.marked);
        let header = GroupHeader { octets: 0, count: 0, records_crc: 0, first, committed, epoch: self.epoch };
        let mut sector = header.encode(self.current.id).to_vec();
        sector.resize(SECTOR, 0);
        Some((self.current.at, sector.into()))
    }

    /// While idle: how the current segment ends if it ends now; `None` when it has no records.
    pub(crate) fn seal(&self) -> Option<Seal> {
        (self.current.stats.count > 0).then(|| seal(&self.current))
    }

    /// The spare file is there, with space for a whole segment.
    pub fn on_spare_ready(&mut self) {
        self.spare = Spare::Ready;
    }

    /// There was no space for a spare file.
    pub fn on_spare_failed(&mut self) {
        self.spare = Spare::Failed;
    }

    /// How much is free on the journal's disk.
    pub fn on_free_bytes(&mut self, free: u64) {
        self.free = free;
    }

    /// The next record at or after this time begins a new segment: site midnight.
    pub fn rotate_at(&mut self, time: UnixTime) {
        self.rotate_at = Some(time);
    }

    /// The oldest body that records of the current segment or of waiting groups use.
    pub(crate) fn oldest_body(&self) -> Option<Lsn> {
        let waiting = self.closed.iter().chain(&self.open).map(|group| group.stats().oldest_body);
        waiting.fold(self.current.stats.oldest_body, oldest)
    }

    /// The first record of the current segment.
    pub(crate) fn current_first(&self) -> Lsn {
        self.current.first
    }

    fn admit(&self, epoch: Epoch, space: Space, records: &[Append<'_>]) -> Result<usize, Refused> {
        if self.poisoned {
            return Err(Refused::Poisoned);
        }
        if epoch < self.epoch {
            return Err(Refused::StaleEpoch { current: self.epoch });
        }
        let octets = records.iter().map(|record| record_padded(record.body.len())).fold(0, usize::saturating_add);
        let too_large = records.iter().any(|record| record.body.len() > RECORD_OCTETS_MAX);
        if too_large || octets > self.group_octets_max() - GROUP_HEADER_OCTETS {
            return Err(Refused::TooLarge);
        }
        if space == Space::Ordinary && self.free < self.low_water_octets {
            return Err(Refused::NoSpace);
        }
        let waiting = self.closed_octets + self.open.as_ref().map_or(0, |open| octets_u64(open.len()));
        if waiting > 0 && waiting + octets_u64(octets) > self.pending_octets_max {
            return Err(Refused::Busy);
        }
        Ok(octets)
    }

    /// The open group if the records fit, else a new one, in a new segment if need be. Space is reserved here: in the
    /// current segment or in the spare file, both allocated on the disk.
    fn group_for(&mut self, epoch: Epoch, time: UnixTime, octets: usize) -> Result<&mut GroupBuffer, Refused> {
        let open_padded = self.open.as_ref().map_or(0, |open| octets_u64(open.padded_with(0)));
        let due = self.rotate_at.is_some_and(|at| time >= at);
        let tail_is_empty = self.tail_is_empty && self.open.is_none();
        if due && tail_is_empty {
            self.rotate_at = None;
        }
        // Without a spare file midnight waits: better a late rotation than a refused message.
        let rotate = due && !tail_is_empty && self.spare == Spare::Ready;
        if !rotate && self.joins(epoch, octets) {
            return Ok(self.open.as_mut().expect("only an open group is joined"));
        }
        let alone = octets_u64((GROUP_HEADER_OCTETS + octets).next_multiple_of(SECTOR));
        if !rotate && open_padded + alone <= self.rest {
            self.close_open();
        } else {
            match self.spare {
                Spare::Ready => {}
                Spare::Wanted => return Err(Refused::Busy),
                Spare::Failed => return Err(Refused::NoSpace),
            }
            self.close_open();
            self.spare = Spare::Wanted;
            self.rest = self.segment_octets - GROUPS_AT - FOOTER_OCTETS;
            self.tail_is_empty = true;
            if due {
                self.rotate_at = None;
            }
            return Ok(self.open_group(epoch, octets, true));
        }
        Ok(self.open_group(epoch, octets, false))
    }

    fn joins(&self, epoch: Epoch, octets: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let padded = open.padded_with(octets);
            open.epoch() == epoch && padded <= self.group_octets_max() && octets_u64(padded) <= self.rest
        })
    }

    fn open_group(&mut self, epoch: Epoch, octets: usize, rotates: bool) -> &mut GroupBuffer {
        let capacity = GROUP_CAPACITY.max((octets + GROUP_HEADER_OCTETS).next_multiple_of(SECTOR));
        self.open.insert(GroupBuffer::new(self.next, epoch, capacity, rotates))
    }

    fn close_open(&mut self) {
        if let Some(open) = self.open.take() {
            let octets = octets_u64(open.padded_with(0));
            self.rest -= octets;
            self.closed_octets += octets;
            self.tail_is_empty = false;
            self.closed.push_back(open);
        }
    }

    fn group_octets_max(&self) -> usize {
        let segment = usize::try_from(self.segment_octets - GROUPS_AT - FOOTER_OCTETS).unwrap_or(usize::MAX);
        GROUP_OCTETS_MAX.min(segment)
    }

    /// Takes what has waited longest as the group in flight.
    fn take_off(&mut self) -> Option<Effect> {
        if self.closed.is_empty() {
            self.close_open();
        }
        let waiting = self.closed.front_mut()?;
        if std::mem::take(&mut waiting.rotates) {
            return Some(Effect::Rotate(self.begin_segment()));
        }
        let waiting = self.closed.pop_front()?;
        self.closed_octets -= octets_u64(waiting.padded_with(0));
        self.current.stats.join(waiting.stats());
        self.marked = self.durable.lsn();
        let (header, octets) = waiting.finish(self.current.id, self.durable.lsn());
        let (segment, at) = (self.current.first, self.current.at);
        self.current.at += header.padded();
        self.flight = Flight::Written(Group { header, octets: octets.clone(), segment, at });
        Some(Effect::Write { at, octets })
    }

    fn begin_segment(&mut self) -> Rotation {
        let (sealed, seal) = (self.current.first, seal(&self.current));
        let first = self.durable.lsn().next();
        let (epoch, time) = (self.epoch, self.last_time);
        let id = SegmentId::derive(self.seed, first, epoch, time);
        self.current = Position { id, first, at: GROUPS_AT, stats: Stats::new(epoch, time) };
        let header = SegmentHeader { id, first, epoch, time }.encode().into();
        Rotation { sealed, seal, first, header }
    }
}

fn seal(position: &Position) -> Seal {
    let Stats { count, oldest_body, first_time, last_time, epoch } = position.stats;
    let last = Lsn::new(position.first.number() + count - 1);
    let footer = Footer { at: position.at, last, count, oldest_body, first_time, last_time, epoch };
    Seal { footer, octets: footer.encode(position.id).into() }
}

/// Lengths in memory fit into those on disk.
fn octets_u64(octets: usize) -> u64 {
    u64::try_from(octets).expect("usize has at most 64 bits")
}

/// What a group begins with; it grows by doubling.
const GROUP_CAPACITY: usize = 64 << 10;

#[cfg(test)]
mod tests;
