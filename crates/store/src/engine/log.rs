//! The journal as the rest of the engine sees it: records of this store's epoch, time and limits.

use super::spool::Chunk;
use super::{Refusal, Store};
use bytes::Bytes;
use journal::{Append, GROUP_OCTETS_MAX, Journal, Kind, Purge, ReadError, Refused, Space, StreamId, Turn, Writer};
use mail_types::{Epoch, Lsn, UnixTime};
use mailbox::{BodyRef, Record};
use ports::Clock;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The journal, and who takes its turns.
pub(crate) struct Log {
    journal: Journal,
    writer: Mutex<Option<Writer>>,
    epoch: Epoch,
    clock: Arc<dyn Clock>,
    started: Instant,
    /// When the segment written to must end; the epoch at the start, so that the first look sets it.
    midnight: Mutex<UnixTime>,
    /// Woken when the apply thread has made progress.
    room: Notify,
    /// Octets appended and not applied yet.
    ahead: AtomicU64,
    /// The time of the last record applied: the clock may have gone back since.
    latest: AtomicI64,
    /// Whether the disk of bodies and index is nearly full.
    low: AtomicBool,
    /// Completed when the last segment is sealed and everything is written out.
    closed: tokio::sync::watch::Sender<bool>,
}

impl Log {
    pub(crate) fn new(journal: Journal, writer: Writer, epoch: Epoch, clock: Arc<dyn Clock>) -> Self {
        let started = clock.instant();
        let latest = AtomicI64::new(journal.last_time().micros());
        Self {
            journal,
            writer: Mutex::new(Some(writer)),
            epoch,
            clock,
            started,
            midnight: Mutex::new(UnixTime::EPOCH),
            room: Notify::new(),
            ahead: AtomicU64::new(0),
            latest,
            low: AtomicBool::new(false),
            closed: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Appends one record.
    pub(crate) fn append(&self, record: &Record) -> Result<Lsn, Refusal> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Appends records in order and gives the LSN of the last. Neighbours that fit into a group survive together.
    pub(crate) fn append_all(&self, records: &[Record]) -> Result<Lsn, Refusal> {
        let encoded = Encoded::new(records);
        let mut run = Vec::with_capacity(records.len());
        let mut size = 0;
        let mut last = self.journal.last_lsn();
        for (record, body) in encoded.of(records) {
            if size + body.len() + RECORD_OVERHEAD_OCTETS > RUN_OCTETS_MAX && !run.is_empty() {
                last = self.append_run(&run)?;
                run.clear();
                size = 0;
            }
            run.push((record, body));
            size += body.len() + RECORD_OVERHEAD_OCTETS;
        }
        if !run.is_empty() {
            last = self.append_run(&run)?;
        }
        Ok(last)
    }

    /// Appends records of which all or none survive, and gives the LSN of the last.
    pub(crate) fn append_group(&self, records: &[Record]) -> Result<Lsn, Refusal> {
        let encoded = Encoded::new(records);
        let run: Vec<(&Record, &[u8])> = encoded.of(records).collect();
        let size: usize = run.iter().map(|(_, body)| body.len() + RECORD_OVERHEAD_OCTETS).sum();
        if size > RUN_OCTETS_MAX {
            return Err(Refusal::TooMany("octets in one change"));
        }
        self.append_run(&run)
    }

    fn append_run(&self, run: &[(&Record, &[u8])]) -> Result<Lsn, Refusal> {
        let space = if run.iter().all(|(record, _)| gives_space(record)) { Space::Reserve } else { Space::Ordinary };
        self.check_space(space)?;
        let appends: Vec<Append<'_>> = run
            .iter()
            .map(|(record, body)| {
                let append = Append::new(StreamId::ZERO, journal_kind(record.kind()), *body);
                match record {
                    Record::Deliver { body, .. } => append.refs_body(body.first),
                    Record::CreateAccount { .. }
                    | Record::DeleteAccount { .. }
                    | Record::CreateMailbox { .. }
                    | Record::RenameMailbox { .. }
                    | Record::DeleteMailbox { .. }
                    | Record::Subscribe { .. }
                    | Record::DefineKeyword { .. }
                    | Record::Copy { .. }
                    | Record::StoreFlags { .. }
                    | Record::Expunge { .. } => append,
                }
            })
            .collect();
        let octets = run.iter().map(|(_, body)| body.len() as u64).sum();
        let append = || self.journal.append_all(self.epoch, self.clock.now(), space, &appends);
        let first = self.counted(octets, append)?;
        Ok(Lsn::new(first.number() + appends.len() as u64 - 1))
    }

    /// Appends the first chunk of a body.
    pub(crate) fn append_first_chunk(&self, chunk: &[u8]) -> Result<Lsn, Refusal> {
        self.append_body(Append::chunk(None, chunk), chunk.len())
    }

    /// Appends a further chunk of the body that begins at `first`.
    pub(crate) fn append_chunk(&self, first: Lsn, chunk: &[u8]) -> Result<Lsn, Refusal> {
        self.append_body(Append::chunk(Some(first), chunk), chunk.len())
    }

    fn append_body(&self, append: Append<'_>, octets: usize) -> Result<Lsn, Refusal> {
        self.check_space(Space::Ordinary)?;
        self.counted(octets as u64, || self.journal.append(self.epoch, self.clock.now(), append))
    }

    /// Counts before it appends: the apply thread may be through with a record before we are back.
    fn counted(&self, octets: u64, append: impl FnOnce() -> Result<Lsn, Refused>) -> Result<Lsn, Refusal> {
        self.ahead.fetch_add(octets, Ordering::Relaxed);
        append().map_err(|refused| {
            self.made_room(octets);
            refused.into()
        })
    }

    /// A record of that time was applied.
    pub(crate) fn seen(&self, time: UnixTime) {
        self.latest.fetch_max(time.micros(), Ordering::Relaxed);
    }

    /// The time as records have it: it never goes back.
    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now().max(UnixTime::from_micros(self.latest.load(Ordering::Relaxed)))
    }

    /// Whether bodies and index have little space left: then only what helps is taken. The journal looks after its own
    /// disk.
    pub(crate) fn set_low(&self, low: bool) {
        if self.low.swap(low, Ordering::Relaxed) != low {
            tracing::warn!(low, "space for bodies and index");
        }
    }

    fn check_space(&self, space: Space) -> Result<(), Refusal> {
        match space {
            Space::Ordinary if self.low.load(Ordering::Relaxed) => Err(Refusal::NoSpace),
            Space::Ordinary | Space::Reserve => Ok(()),
        }
    }

    /// Waits while more than `octets_max` that were appended are not applied yet: what comes in must not fill memory,
    /// and a large body must not make small ones wait.
    pub(crate) async fn room(&self, octets_max: u64) {
        loop {
            let mut woken = std::pin::pin!(self.room.notified());
            woken.as_mut().enable();
            if self.ahead.load(Ordering::Relaxed) <= octets_max {
                return;
            }
            woken.await;
        }
    }

    /// Waits for the next chunk of a large body: small messages go first, but only for so long, or under a steady load
    /// of them it would never come.
    pub(crate) async fn room_for_chunk(&self) {
        let mut little = std::pin::pin!(self.room(AHEAD_OF_CHUNK_OCTETS_MAX));
        let mut patience = None;
        std::future::poll_fn(|cx| {
            if little.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let patience = patience.get_or_insert_with(|| self.clock.sleep(CHUNK_WAIT_MAX));
            patience.as_mut().poll(cx)
        })
        .await;
        self.room(AHEAD_OCTETS_MAX).await;
    }

    /// The apply thread has applied that many octets more.
    pub(crate) fn made_room(&self, octets: u64) {
        let _ =
            self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| Some(ahead.saturating_sub(octets)));
        self.room.notify_waiters();
    }

    /// For tests.
    #[cfg(test)]
    pub(crate) fn ahead_now(&self) -> u64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// The last record appended.
    pub(crate) fn last_lsn(&self) -> Lsn {
        self.journal.last_lsn()
    }

    /// The content of a chunk.
    pub(crate) fn chunk(&self, chunk: &Chunk) -> io::Result<Bytes> {
        match chunk {
            Chunk::Memory(content) => Ok(content.clone()),
            Chunk::Journal(location) => self.journal.read(*location).map_err(io::Error::other),
        }
    }

    /// The chunks of a body that began before replay did.
    pub(crate) fn chunks_of(&self, body: BodyRef) -> io::Result<Vec<Chunk>> {
        let (mut chunks, mut octets) = (Vec::new(), 0);
        for record in self.journal.replay(body.first) {
            let record = record.map_err(io::Error::other)?;
            if record.kind == Kind::BODY && super::apply::body_of(record.stream, record.lsn) == body.first {
                octets += u64::from(record.location.octets());
                chunks.push(Chunk::Journal(record.location));
            }
            if octets >= body.octets {
                return Ok(chunks);
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the journal has not the whole body"))
    }

    /// All durable records from `from` on.
    pub(crate) fn replay(&self, from: Lsn) -> impl Iterator<Item = Result<journal::Record, ReadError>> + use<> {
        self.journal.replay(from)
    }

    /// Takes no more records; the writer ends when what waits is written.
    pub(crate) fn close(&self) {
        self.journal.close();
    }

    /// Everything is on disk: completes [`Log::wait_closed`].
    pub(crate) fn closed(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) async fn wait_closed(&self) {
        // The sender is a field of the same value: it is there.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Called now and then: once the site's midnight has passed, names the next one, at which the next segment begins.
    pub(crate) fn watch_midnight(&self, next_after: &dyn Fn(UnixTime) -> UnixTime) {
        let now = self.clock.now();
        let mut midnight = self.midnight.lock().expect("no holder of this lock panics");
        if *midnight <= now {
            *midnight = next_after(now);
            self.journal.rotate_at(*midnight);
        }
    }

    /// Removes segments that nobody needs. Gives whether the clock can be trusted to say what is old.
    pub(crate) fn purge(&self, floor: Lsn, older_than: UnixTime) -> io::Result<bool> {
        let monotonic = self.clock.instant().saturating_duration_since(self.started);
        let purged = self.journal.purge(&Purge { floor, older_than, now: self.clock.now(), monotonic })?;
        if purged.suspended {
            tracing::warn!("the clock has jumped by over an hour: nothing is given back");
        }
        Ok(!purged.suspended)
    }
}

/// Records as octets, one behind the other.
struct Encoded {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    fn new(records: &[Record]) -> Self {
        let mut encoded = Self { octets: Vec::new(), ends: Vec::with_capacity(records.len()) };
        for record in records {
            record.encode(&mut encoded.octets);
            encoded.ends.push(encoded.octets.len());
        }
        encoded
    }

    /// Each of the records that it was made of, with its octets.
    fn of<'r>(&'r self, records: &'r [Record]) -> impl Iterator<Item = (&'r Record, &'r [u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        records.iter().zip(starts.zip(&self.ends)).map(|(record, (start, end))| {
            (record, self.octets.get(start..*end).expect("ends grow and stay within the buffer"))
        })
    }
}

impl Store {
    /// The writer thread's loop.
    pub(crate) fn run_writer(&self) {
        let writer = self.log.writer.lock().expect("no holder of this lock panics").take();
        let Some(mut writer) = writer else { return };
        loop {
            match writer.turn() {
                Ok(Turn::Committed(commit)) => self.queue.push(commit),
                Ok(Turn::Idle) => {}
                Ok(Turn::Closed) => break,
                Err(error) => {
                    self.stop_now(&super::apply::report(&error));
                    break;
                }
            }
        }
        self.queue.close();
    }

    /// One turn of the writer without waiting, for a world with one thread; whether something became durable.
    pub fn step_writer(&self) -> bool {
        let mut writer = self.log.writer.lock().expect("no holder of this lock panics");
        match writer.as_mut().map(Writer::try_turn) {
            Some(Ok(Turn::Committed(commit))) => {
                self.queue.push(commit);
                true
            }
            Some(Ok(Turn::Idle | Turn::Closed)) | None => false,
            Some(Err(error)) => {
                self.stop_now(&super::apply::report(&error));
                false
            }
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoSpace => Self::NoSpace,
            Refused::Busy => Self::Unavailable("its journal is behind"),
            Refused::StaleEpoch { .. } => Self::Unavailable("another node has taken it over"),
            Refused::Poisoned => Self::Unavailable("its journal has failed"),
            Refused::Closed => Self::Unavailable("it is stopping"),
            Refused::TooLarge => Self::TooMany("octets in one change"),
        }
    }
}

/// The journal's kind of a mailbox record: its own kinds come first.
fn journal_kind(kind: u8) -> Kind {
    Kind::new(KIND_OFFSET + kind)
}

/// The kind of a mailbox record; none for a kind that no mailbox record has.
pub(crate) fn mailbox_kind(kind: Kind) -> Option<u8> {
    kind.number().checked_sub(KIND_OFFSET)
}

/// Whether a record helps a full disk, so that it may use what is kept below the low-water mark.
fn gives_space(record: &Record) -> bool {
    match record {
        Record::Expunge { .. }
        | Record::DeleteMailbox { .. }
        | Record::DeleteAccount { .. }
        | Record::StoreFlags { .. } => true,
        Record::CreateAccount { .. }
        | Record::CreateMailbox { .. }
        | Record::RenameMailbox { .. }
        | Record::Subscribe { .. }
        | Record::DefineKeyword { .. }
        | Record::Deliver { .. }
        | Record::Copy { .. } => false,
    }
}

/// Below are the journal's own kinds (docs/format/journal.md).
const KIND_OFFSET: u8 = 16;
/// What a record costs beside its octets, generously.
const RECORD_OVERHEAD_OCTETS: usize = 64;
/// Well under a group, whose own header and padding come on top.
const RUN_OCTETS_MAX: usize = GROUP_OCTETS_MAX - 64 * 1024;
/// How much may be on its way to the disk before new messages wait.
pub(crate) const AHEAD_OCTETS_MAX: u64 = 8 << 20;
/// How much may be on its way before the next chunk of a large body waits; small messages go on.
const AHEAD_OF_CHUNK_OCTETS_MAX: u64 = 512 << 10;
/// How long it waits for that.
const CHUNK_WAIT_MAX: Duration = Duration::from_millis(100);
