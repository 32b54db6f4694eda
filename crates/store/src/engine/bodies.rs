//! Body files: one per account, append-only, frames that name what they hold.
//!
//! `apply` gives each frame its place and waits for no disk. A small frame stays in memory, of a large one only where its
//! chunks are in the journal, until the checkpoint writes all frames of an account in one go; frames are durable before
//! the rows that point at them.

use super::spool::Chunk;
use bytes::{Bytes, BytesMut};
use journal::disk::{Disk, DiskFile};
use mail_types::{AccountId, SeededMap};
use mailbox::Extent;
use mailbox::frame::{self, ContentChecksum, FRAME_HEADER_OCTETS, FRAME_TRAILER_OCTETS, FrameError, FrameHeader};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, RwLock};

/// The body files of a shard's accounts.
pub(crate) struct BodyFiles {
    disk: Arc<dyn Disk>,
    handles: Mutex<Handles>,
    memory: RwLock<Memory>,
}

/// Frames not yet in their files, by account and offset.
type Frames = BTreeMap<(AccountId, u64), Frame>;

#[derive(Default)]
struct Memory {
    active: Frames,
    active_octets: u64,
    frozen: Arc<Frames>,
}

/// A frame that is not in its file yet.
#[derive(Clone)]
enum Frame {
    /// In a buffer of its own: a slice of the group it came in would keep all of that in memory.
    Whole(Bytes),
    /// Too large for that: what the journal has of it. The journal keeps the bodies of records that no checkpoint
    /// covers.
    Large(Arc<Large>),
}

struct Large {
    header: FrameHeader,
    head: Bytes,
    chunks: Vec<Chunk>,
}

/// Reads chunks back from the journal.
pub(crate) type ReadChunk<'a> = &'a dyn Fn(&Chunk) -> io::Result<Bytes>;

/// A body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Its file cannot be read.
    #[error("reading the body file of account {account}")]
    Io {
        /// Whose.
        account: AccountId,
        /// The disk's word.
        #[source]
        source: io::Error,
    },
    /// What stands there is not the frame.
    #[error("the body file of account {account} is damaged at octet {offset}")]
    Damaged {
        /// Whose.
        account: AccountId,
        /// Where.
        offset: u64,
        /// In which way.
        #[source]
        source: FrameError,
    },
}

impl BodyFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, seed: u64) -> Self {
        Self { disk, handles: Mutex::new(Handles::new(seed)), memory: RwLock::default() }
    }

    /// Puts a frame whose body is in memory.
    pub(crate) fn hold(&self, header: &FrameHeader, offset: u64, head: &Bytes, body: &Bytes) {
        let mut trailer = ContentChecksum::default();
        trailer.update(head);
        trailer.update(body);
        let whole = [&header.encode()[..], head, body, &trailer.trailer()].concat();
        let octets = whole.len() as u64;
        self.insert(header.account, offset, Frame::Whole(Bytes::from(whole)), octets);
    }

    /// Puts a frame whose body the journal has.
    pub(crate) fn hold_large(&self, header: &FrameHeader, offset: u64, head: &Bytes, chunks: Vec<Chunk>) {
        let octets = (head.len() + std::mem::size_of_val(&*chunks)) as u64;
        let large = Large { header: *header, head: Bytes::copy_from_slice(head), chunks };
        self.insert(header.account, offset, Frame::Large(Arc::new(large)), octets);
    }

    fn insert(&self, account: AccountId, offset: u64, frame: Frame, octets: u64) {
        let mut memory = self.memory.write().expect("no holder of this lock panics");
        memory.active_octets += octets + FRAME_OVERHEAD_OCTETS;
        memory.active.insert((account, offset), frame);
    }

    /// Copies a large frame from the journal into its file.
    fn copy(&self, offset: u64, large: &Large, read: ReadChunk<'_>) -> io::Result<()> {
        let file = self.handle(large.header.account, Missing::Create)?;
        let mut checksum = ContentChecksum::default();
        checksum.update(&large.head);
        let mut at = offset;
        let mut write = |piece: &[u8]| {
            file.write_at(at, piece)?;
            at += piece.len() as u64;
            Ok::<_, io::Error>(())
        };
        write(&large.header.encode())?;
        write(&large.head)?;
        for chunk in &large.chunks {
            let piece = read(chunk)?;
            checksum.update(&piece);
            write(&piece)?;
        }
        write(&checksum.trailer())
    }

    /// The content of a frame: head and body.
    pub(crate) fn read(&self, account: AccountId, extent: Extent, read: ReadChunk<'_>) -> Result<Bytes, BodyError> {
        // A large frame that the journal does not have any more has been written since.
        if let Some(content) = self.in_memory(account, extent.offset).and_then(|frame| frame.content(read).ok()) {
            return Ok(content);
        }
        let io = |source| BodyError::Io { account, source };
        let damaged = |source| BodyError::Damaged { account, offset: extent.offset, source };
        let octets = usize::try_from(extent.octets).map_err(|_| io(io::ErrorKind::OutOfMemory.into()))?;
        let mut buffer = BytesMut::zeroed(octets);
        let file = self.handle(account, Missing::Fails).map_err(io)?;
        file.read_exact_at(extent.offset, &mut buffer).map_err(io)?;
        let octets = buffer.freeze();
        let (header, content) = frame::verify(&octets).map_err(damaged)?;
        if header.account != account {
            return Err(damaged(FrameError::Header("another account's")));
        }
        Ok(octets.slice_ref(content))
    }

    /// The beginning of a frame's content, at least `octets` of it where it has so many. Its checksum covers the whole
    /// content and is not checked; the frame's own header is.
    pub(crate) fn read_start(
        &self,
        account: AccountId,
        extent: Extent,
        octets: usize,
        read: ReadChunk<'_>,
    ) -> Result<Bytes, BodyError> {
        let whole = u64::try_from(octets + FRAME_HEADER_OCTETS + FRAME_TRAILER_OCTETS).unwrap_or(u64::MAX);
        if extent.octets <= whole || self.in_memory(account, extent.offset).is_some() {
            return self.read(account, extent, read);
        }
        let io = |source| BodyError::Io { account, source };
        let damaged = |source| BodyError::Damaged { account, offset: extent.offset, source };
        let mut buffer = BytesMut::zeroed(FRAME_HEADER_OCTETS + octets);
        let file = self.handle(account, Missing::Fails).map_err(io)?;
        file.read_exact_at(extent.offset, &mut buffer).map_err(io)?;
        let header = FrameHeader::decode(&buffer).map_err(damaged)?;
        if header.account != account || header.frame_octets() != extent.octets {
            return Err(damaged(FrameError::Header("another frame's")));
        }
        Ok(buffer.split_off(FRAME_HEADER_OCTETS).freeze())
    }

    /// How much memory the frames not yet written take.
    pub(crate) fn octets(&self) -> u64 {
        self.memory.read().expect("no holder of this lock panics").active_octets
    }

    /// What is in memory now becomes the checkpoint's.
    pub(crate) fn freeze(&self) {
        let mut memory = self.memory.write().expect("no holder of this lock panics");
        assert!(memory.frozen.is_empty(), "one checkpoint of a shard at a time");
        memory.frozen = Arc::new(std::mem::take(&mut memory.active));
        memory.active_octets = 0;
    }

    /// Writes the frozen frames, account by account; not yet durable.
    pub(crate) fn write_frozen(&self, read: ReadChunk<'_>) -> io::Result<()> {
        let frozen = Arc::clone(&self.memory.read().expect("no holder of this lock panics").frozen);
        let mut frames = frozen.iter().peekable();
        let mut run = BytesMut::new();
        while let Some(((account, start), frame)) = frames.next() {
            match frame {
                Frame::Large(large) => self.copy(*start, large, read)?,
                Frame::Whole(whole) => {
                    run.extend_from_slice(whole);
                    while let Some((_, Frame::Whole(next))) = frames.next_if(|((owner, at), next)| {
                        let follows = owner == account && *at == start + run.len() as u64;
                        follows && run.len() < RUN_OCTETS_MAX && matches!(next, Frame::Whole(_))
                    }) {
                        run.extend_from_slice(next);
                    }
                    self.handle(*account, Missing::Create)?.write_at(*start, &run)?;
                    run.clear();
                }
            }
        }
        Ok(())
    }

    /// The frozen frames are durable in their files.
    pub(crate) fn drop_frozen(&self) {
        self.memory.write().expect("no holder of this lock panics").frozen = Arc::default();
    }

    /// Gives a frame's space back. The file system keeps only what is in whole blocks.
    pub(crate) fn punch(&self, account: AccountId, extent: Extent) -> io::Result<()> {
        match self.handle(account, Missing::Fails) {
            Ok(file) => file.punch_hole(extent.offset..extent.offset + extent.octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn in_memory(&self, account: AccountId, offset: u64) -> Option<Frame> {
        let memory = self.memory.read().expect("no holder of this lock panics");
        let key = (account, offset);
        memory.active.get(&key).or_else(|| memory.frozen.get(&key)).cloned()
    }

    fn handle(&self, account: AccountId, missing: Missing) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.handles.lock().expect("no holder of this lock panics").find(account) {
            return Ok(file);
        }
        let file = self.open(account, missing)?;
        self.handles.lock().expect("no holder of this lock panics").keep(account, Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, account: AccountId, missing: Missing) -> io::Result<Arc<dyn DiskFile>> {
        let (dir, path) = path(account);
        match (self.disk.open(&path), missing) {
            (Err(error), Missing::Create) if error.kind() == io::ErrorKind::NotFound => {}
            (opened, _) => return opened,
        }
        // Only the checkpoint thread creates.
        match self.disk.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create_dir_all(&dir)?;
                self.disk.create(&path)
            }
            created => created,
        }
    }
}

#[derive(Clone, Copy)]
enum Missing {
    Create,
    Fails,
}

impl Frame {
    fn content(&self, read: ReadChunk<'_>) -> io::Result<Bytes> {
        match self {
            Self::Whole(whole) => {
                let end = whole.len().saturating_sub(FRAME_TRAILER_OCTETS);
                Ok(whole.slice(FRAME_HEADER_OCTETS.min(end)..end))
            }
            Self::Large(large) => {
                let mut content = BytesMut::from(&*large.head);
                for chunk in &large.chunks {
                    content.extend_from_slice(&read(chunk)?);
                }
                Ok(content.freeze())
            }
        }
    }
}

/// Open files, in two generations: what the young one outgrows becomes the old one, and what nobody asked for in the
/// old one is closed with it.
struct Handles {
    young: SeededMap<AccountId, Arc<dyn DiskFile>>,
    old: SeededMap<AccountId, Arc<dyn DiskFile>>,
    seed: u64,
}

impl Handles {
    fn new(seed: u64) -> Self {
        Self { young: SeededMap::new(seed), old: SeededMap::new(seed), seed }
    }

    fn find(&mut self, account: AccountId) -> Option<Arc<dyn DiskFile>> {
        if let Some(file) = self.young.get(&account) {
            return Some(Arc::clone(file));
        }
        let file = self.old.remove(&account)?;
        self.keep(account, Arc::clone(&file));
        Some(file)
    }

    fn keep(&mut self, account: AccountId, file: Arc<dyn DiskFile>) {
        if self.young.len() >= HANDLES_PER_GENERATION_MAX {
            self.old = std::mem::replace(&mut self.young, SeededMap::new(self.seed));
        }
        self.young.insert(account, file);
    }
}

/// `bodies/3f/3f…` spreads accounts over 256 directories.
fn path(account: AccountId) -> (String, String) {
    let id = account.to_string();
    let dir = format!("bodies/{}", id.get(..2).unwrap_or("00"));
    let path = format!("{dir}/{id}");
    (dir, path)
}

/// Two generations a shard, four shards: at most 1,024 open files.
const HANDLES_PER_GENERATION_MAX: usize = 128;
/// How much of one account is put together for one write.
const RUN_OCTETS_MAX: usize = 1 << 20;
/// What a frame in memory costs beyond its octets.
const FRAME_OVERHEAD_OCTETS: u64 = 256;
