//! The executor: many threads append under one short lock, one thread writes.
//!
//! ```text
//!   threads ──append──▶ ┌ lock ──────┐ ◀──poll── Writer::turn ──▶ write_at, sync_data (outside the lock)
//!           ◀──Lsn───── │ Core       │ ──Commit─▶    │
//!           ──wait────▶ └────────────┘ ◀─on_synced───┘ ──▶ records for apply, Durable<Lsn>
//! ```

use crate::core::{Commit, Core, Effect, Rotation};
use crate::disk::{Disk, DiskFile};
use crate::format::{RECORD_HEADER_OCTETS, RecordHeader};
use crate::purge::{ClockGuard, Purge, Purged, removable};
use crate::replay::Replay;
use crate::segments::{Directory, Recovered, SealedSegment, recover_directory, write_seal};
use crate::types::{Append, Config, Damage, Durable, Failed, Location, OpenError, ReadError, Refused, Space, Start};
use bytes::{Bytes, BytesMut};
use mail_types::{Epoch, Lsn, UnixTime};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Recovers the journal in `config.dir` and opens it for writing.
///
/// When this returns, every record that survived is durable: replay from what was applied, then take turns.
pub fn open(disk: Arc<dyn Disk>, config: &Config, start: &Start) -> Result<(Journal, Writer), OpenError> {
    config.check()?;
    let dir = Directory::new(disk, &config.dir);
    let Recovered { sealed, position, file, last, epoch } = recover_directory(&dir, config, start)?;
    let clock = ClockGuard::new(start.now, position.stats.last_time);
    let promoted = position.first;
    let core = Core::new(config, start.seed, epoch, last, position);
    let shared = Arc::new(Shared {
        dir,
        segment_octets: config.segment_octets,
        state: Mutex::new(State { core, closed: false, finished: false, promoted, spare_wanted: false }),
        work: Condvar::new(),
        progress: Condvar::new(),
        sealed: Mutex::new(sealed.into()),
        purging: Mutex::new(clock),
        handles: Mutex::new(BTreeMap::new()),
    });
    shared.refresh_space(&mut shared.lock());
    let mut writer = Writer { shared: shared.clone(), file, spare: None, done: false };
    writer.make_spare();
    Ok((Journal { shared }, writer))
}

/// A handle to append, wait and read with; clones share one journal.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: Directory,
    segment_octets: u64,
    state: Mutex<State>,
    /// There is something to write.
    work: Condvar,
    /// Something became durable, or never will.
    progress: Condvar,
    sealed: Mutex<VecDeque<SealedSegment>>,
    purging: Mutex<ClockGuard>,
    handles: Mutex<BTreeMap<Lsn, Arc<dyn DiskFile>>>,
}

#[derive(Debug)]
struct State {
    core: Core,
    closed: bool,
    /// The writer has sealed the last segment.
    finished: bool,
    /// The first record of the newest segment whose file has its name.
    promoted: Lsn,
    /// A spare file could not be made; the writer is to try again.
    spare_wanted: bool,
}

impl Journal {
    /// Appends several records into one group, see [`Core::append_all`]; gives the number of the first.
    pub fn append_all(
        &self,
        epoch: Epoch,
        now: UnixTime,
        space: Space,
        records: &[Append<'_>],
    ) -> Result<Lsn, Refused> {
        self.append_locked(self.shared.lock(), epoch, now, space, records)
    }

    /// Appends one record, refused below the low-water mark.
    pub fn append(&self, epoch: Epoch, now: UnixTime, record: Append<'_>) -> Result<Lsn, Refused> {
        self.append_all(epoch, now, Space::Ordinary, &[record])
    }

    /// Appends records that name their own number: `build` gets the one that the first will have. It runs under the
    /// journal's lock, so it must be short and must not call the journal.
    pub fn append_with<'a>(
        &self,
        epoch: Epoch,
        now: UnixTime,
        space: Space,
        build: impl FnOnce(Lsn) -> Vec<Append<'a>>,
    ) -> Result<Lsn, Refused> {
        let state = self.shared.lock();
        let records = build(state.core.next_lsn());
        self.append_locked(state, epoch, now, space, &records)
    }

    /// Proof for everything that is durable.
    pub fn durable(&self) -> Durable<Lsn> {
        self.shared.lock().core.durable()
    }

    /// The journal's last record, durable or not.
    pub fn last_lsn(&self) -> Lsn {
        Lsn::new(self.shared.lock().core.next_lsn().number() - 1)
    }

    /// The time of the last record, durable or not: also of one whose segment has been purged.
    pub fn last_time(&self) -> UnixTime {
        self.shared.lock().core.last_time()
    }

    /// Blocks until a record is durable. Another thread has to take the writer's turns.
    pub fn wait(&self, lsn: Lsn) -> Result<Durable<Lsn>, Failed> {
        let mut state = self.shared.lock();
        loop {
            if let Some(proof) = state.core.durable().covering(lsn) {
                return Ok(proof);
            }
            if state.core.is_poisoned() || state.finished {
                return Err(Failed { what: "writing", source: None });
            }
            state = self.shared.progress.wait(state).expect(LOCK);
        }
    }

    /// The first record at or after `time` begins a new segment; tell the next site midnight after each.
    pub fn rotate_at(&self, time: UnixTime) {
        self.shared.lock().core.rotate_at(time);
    }

    /// Takes no more; the writer finishes what waits, seals the segment and ends with [`Turn::Closed`].
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }

    /// All durable records from `from` on, as they are now.
    pub fn replay(&self, from: Lsn) -> Replay {
        let state = self.shared.lock();
        let (current, last) = (state.core.current_first(), state.core.durable().lsn());
        let mut segments: VecDeque<(Lsn, Lsn)> =
            self.shared.sealed().iter().map(|segment| (segment.first, segment.last)).collect();
        drop(state);
        if segments.back().is_none_or(|(_, sealed_last)| *sealed_last < last) {
            segments.push_back((current, last));
        }
        Replay::new(self.shared.dir.clone(), segments, from, last)
    }

    /// The oldest record that is still there; the next one where there is none.
    pub fn first_lsn(&self) -> Lsn {
        let current = self.shared.lock().core.current_first();
        self.shared.sealed().front().map_or(current, |segment| segment.first)
    }

    /// The segments that are not written to any more, oldest first.
    pub fn sealed_segments(&self) -> Vec<SealedSegment> {
        self.shared.sealed().iter().copied().collect()
    }

    /// Reads a record's body back and checks it.
    pub fn read(&self, location: Location) -> Result<Bytes, ReadError> {
        let lsn = location.lsn;
        let file = self.shared.handle(location.segment).map_err(|source| {
            let purged = source.kind() == io::ErrorKind::NotFound;
            if purged { ReadError::Purged(lsn) } else { ReadError::Io { lsn, source } }
        })?;
        let body = usize::try_from(location.octets).expect("a record has at most 256 kB");
        let mut octets = BytesMut::zeroed(RECORD_HEADER_OCTETS + body);
        let read = file.read_at(location.offset, &mut octets).map_err(|source| ReadError::Io { lsn, source })?;
        octets.truncate(read);
        let body = octets.split_off(RECORD_HEADER_OCTETS.min(read));
        let verifies = RecordHeader::decode(&octets).is_some_and(|header| header.verifies(lsn, &octets, &body));
        if !verifies {
            let file = self.shared.dir.path(location.segment);
            return Err(Damage { file, offset: location.offset, lsn, what: "a record that does not verify" }.into());
        }
        Ok(body.freeze())
    }

    /// Removes sealed segments that nobody needs, oldest first; none while the clock is not to be trusted.
    pub fn purge(&self, purge: &Purge) -> io::Result<Purged> {
        let mut clock = self.shared.purging.lock().expect(LOCK);
        if !clock.observe(purge.now, purge.monotonic) {
            return Ok(Purged { segments: 0, suspended: true });
        }
        let (used_now, promoted) = {
            let state = self.shared.lock();
            (state.core.oldest_body(), state.promoted)
        };
        let sealed = self.sealed_segments();
        // A segment that is being sealed stays until the next one has its name: the newest name counts the records. What
        // it uses stays with it.
        let named = sealed.iter().take_while(|segment| segment.last < promoted).count();
        let victims = removable(&sealed, purge, used_now).min(named);
        for segment in sealed.iter().take(victims) {
            self.shared.dir.remove(segment.first)?;
            self.shared.sealed().pop_front();
            self.shared.handles().remove(&segment.first);
        }
        Ok(Purged { segments: victims, suspended: false })
    }

    /// Says that the clock is right although it has jumped, so that purging goes on.
    pub fn accept_clock(&self) {
        self.shared.purging.lock().expect(LOCK).accept();
    }

    fn append_locked(
        &self,
        mut state: MutexGuard<'_, State>,
        epoch: Epoch,
        now: UnixTime,
        space: Space,
        records: &[Append<'_>],
    ) -> Result<Lsn, Refused> {
        if state.closed {
            return Err(Refused::Closed);
        }
        let was_idle = state.core.is_idle();
        let mut result = state.core.append_all(epoch, now, space, records);
        if result == Err(Refused::NoSpace) {
            // Space may have come back since the last turn, and without an append there is no turn that would see it.
            self.shared.refresh_space(&mut state);
            result = state.core.append_all(epoch, now, space, records);
            state.spare_wanted = true;
        }
        let wake = state.spare_wanted || (was_idle && result.is_ok());
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        result
    }
}

/// What came of a turn.
#[derive(Debug)]
pub enum Turn {
    /// Records have become durable: apply them, in this order.
    Committed(Commit),
    /// Nothing waits ([`Writer::try_turn`] only).
    Idle,
    /// The journal was closed and sealed.
    Closed,
}

/// The one who writes. Dropped without having reached [`Turn::Closed`], it poisons the journal, so that nobody waits
/// for what will not come.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    file: Arc<dyn DiskFile>,
    spare: Option<Arc<dyn DiskFile>>,
    done: bool,
}

impl Writer {
    /// Waits for records, makes one group of them durable and hands them out.
    ///
    /// After an error nothing works any more: the process has to stop, and recovery copies what was whole.
    pub fn turn(&mut self) -> Result<Turn, Failed> {
        loop {
            match self.try_turn()? {
                Turn::Idle => self.shared.wait_for_work(),
                turn @ (Turn::Committed(_) | Turn::Closed) => return Ok(turn),
            }
        }
    }

    /// As [`Writer::turn`], but does not wait for records.
    pub fn try_turn(&mut self) -> Result<Turn, Failed> {
        let result = self.take_turn();
        if result.is_err() {
            self.shared.poison();
        }
        result
    }

    fn take_turn(&mut self) -> Result<Turn, Failed> {
        if self.done {
            return Ok(Turn::Closed);
        }
        self.make_spare();
        loop {
            let effect = {
                let mut state = self.shared.lock();
                if state.core.is_poisoned() {
                    return Err(Failed { what: "writing", source: None });
                }
                let effect = state.core.poll();
                if let Some(Effect::Rotate(Rotation { sealed, seal, .. })) = &effect {
                    // Under the same lock as the core's change, so that a replay misses no segment.
                    self.shared.sealed().push_back(SealedSegment::new(*sealed, &seal.footer));
                }
                effect
            };
            match effect {
                Some(Effect::Rotate(rotation)) => self.rotate(&rotation)?,
                Some(Effect::Write { at, octets }) => {
                    self.file.write_at(at, &octets).map_err(|e| failed("writing a group", e))?;
                }
                Some(Effect::Sync { upto }) => {
                    self.file.sync_data().map_err(|e| failed("syncing a group", e))?;
                    self.shared.on_synced(upto);
                }
                Some(Effect::Release(commit)) => return Ok(Turn::Committed(commit)),
                None => return self.rest(),
            }
        }
    }

    /// With nothing to write: says what is committed, and closes when asked to.
    fn rest(&mut self) -> Result<Turn, Failed> {
        let (marker, closing) = {
            let mut state = self.shared.lock();
            (state.core.poll_marker(), state.closed && state.core.is_idle())
        };
        if let Some((at, sector)) = marker {
            self.file.write_at(at, &sector).map_err(|e| failed("writing a marker", e))?;
        }
        if !closing {
            return Ok(Turn::Idle);
        }
        let seal = self.shared.lock().core.seal();
        if let Some(seal) = seal {
            write_seal(&self.file, &seal).map_err(|e| failed("sealing a segment", e))?;
        }
        self.done = true;
        self.shared.lock().finished = true;
        self.shared.progress.notify_all();
        Ok(Turn::Closed)
    }

    fn rotate(&mut self, rotation: &Rotation) -> Result<(), Failed> {
        let broken = |e| failed("beginning a segment", e);
        write_seal(&self.file, &rotation.seal).map_err(|e| failed("sealing a segment", e))?;
        let spare = self.spare.take().expect("the core rotates only into a spare file that is ready");
        spare.write_at(0, &rotation.header).map_err(broken)?;
        self.shared.dir.promote_spare(&spare, rotation.first).map_err(broken)?;
        self.file = spare;
        self.shared.lock().promoted = rotation.first;
        self.make_spare();
        Ok(())
    }

    /// Keeps the next segment's file ready, so that its space is reserved. Without it appends go on while the current
    /// segment lasts.
    fn make_spare(&mut self) {
        let mut state = self.shared.lock();
        state.spare_wanted = false;
        let free = self.shared.refresh_space(&mut state);
        drop(state);
        if self.spare.is_some() {
            return;
        }
        let made = match free {
            Some(free) if free < self.shared.segment_octets => None,
            Some(_) | None => self.shared.dir.make_spare(self.shared.segment_octets).ok(),
        };
        let mut state = self.shared.lock();
        if made.is_some() {
            state.core.on_spare_ready();
        } else {
            state.core.on_spare_failed();
        }
        self.spare = made;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.done {
            self.shared.poison();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(LOCK)
    }

    fn sealed(&self) -> MutexGuard<'_, VecDeque<SealedSegment>> {
        self.sealed.lock().expect(LOCK)
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<Lsn, Arc<dyn DiskFile>>> {
        self.handles.lock().expect(LOCK)
    }

    /// A segment's file, open.
    fn handle(&self, segment: Lsn) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.handles().get(&segment) {
            return Ok(file.clone());
        }
        let file = self.dir.open(segment)?;
        let mut handles = self.handles();
        if handles.len() >= HANDLE_COUNT_MAX {
            handles.pop_first();
        }
        handles.insert(segment, file.clone());
        Ok(file)
    }

    fn on_synced(&self, upto: Lsn) {
        self.lock().core.on_synced(upto);
        self.progress.notify_all();
    }

    fn poison(&self) {
        self.lock().core.poison();
        self.progress.notify_all();
        self.work.notify_all();
    }

    fn wait_for_work(&self) {
        let mut state = self.lock();
        while state.core.is_idle() && !state.closed && !state.spare_wanted && !state.core.is_poisoned() {
            state = self.work.wait(state).expect(LOCK);
        }
    }

    /// A disk that does not say keeps its last answer.
    fn refresh_space(&self, state: &mut State) -> Option<u64> {
        let free = self.dir.free_bytes().ok()?;
        state.core.on_free_bytes(free);
        Some(free)
    }
}

fn failed(what: &'static str, source: io::Error) -> Failed {
    Failed { what, source: Some(source) }
}

const LOCK: &str = "nobody panics while holding a lock of the journal";

/// Open segments for reading back; the oldest is closed first.
const HANDLE_COUNT_MAX: usize = 32;
