//! A disk in memory that keeps only what was synced.
//!
//! Every change goes to what reads see, and waits. A sync makes waiting changes durable. [`SimDisk::crash`] lets chance
//! decide about those that still wait: all, none, a prefix torn at a sector, or any sectors in any order; names
//! likewise, a rename as a whole. Chance comes from the seed alone.

mod content;
mod names;

use crate::path::{check, parent};
use content::{Change, Content};
use journal::disk::{Disk, DiskFile};
use names::{NameChange, Names, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// A handle on a simulated disk; clones are the same disk, which outlives the processes that use it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write fails half-way.
    Write,
    /// A sync fails; what it should have made durable still reads back, and some of it is lost for good.
    Sync,
}

#[derive(Debug)]
struct World {
    chance: Chance,
    files: BTreeMap<u64, SimFileState>,
    next_file: u64,
    live: Names,
    durable: Names,
    waiting: Vec<NameChange>,
    capacity: u64,
    /// Handles of an earlier process are dead.
    generation: u64,
    power: Power,
    faults: Vec<(Fault, u64)>,
    operations: u64,
    trace: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// For so many more changes.
    OnFor(u64),
    Off,
}

#[derive(Debug, Default)]
struct SimFileState {
    live: Content,
    durable: Content,
    waiting: Vec<Change>,
}

impl SimDisk {
    /// An empty disk without limit of space.
    pub fn new(seed: u64) -> Self {
        let world = World {
            chance: Chance(seed),
            files: BTreeMap::new(),
            next_file: 0,
            live: Names::default(),
            durable: Names::default(),
            waiting: Vec::new(),
            capacity: u64::MAX / 2,
            generation: 0,
            power: Power::On,
            faults: Vec::new(),
            operations: 0,
            trace: seed,
        };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The power goes and comes back: what was not synced is lost, torn or kept, as chance will.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// The process ends and another one starts, the machine stays up: nothing is lost, open files are dead.
    pub fn kill(&self) {
        let mut world = self.lock();
        world.generation += 1;
        world.power = Power::On;
    }

    /// The power goes in the middle of the change after `changes` more; everything fails from there on until
    /// [`SimDisk::crash`].
    pub fn cut_power_after(&self, changes: u64) {
        self.lock().power = Power::OnFor(changes);
    }

    /// Whether [`SimDisk::cut_power_after`] has struck.
    pub fn is_off(&self) -> bool {
        self.lock().power == Power::Off
    }

    /// Makes the operation of a sort after `others` more of that sort fail, once, with EIO.
    pub fn inject(&self, fault: Fault, others: u64) {
        self.lock().faults.push((fault, others));
    }

    /// Limits the disk to so many octets in all, in blocks of 4 kB.
    pub fn set_capacity(&self, octets: u64) {
        self.lock().capacity = octets;
    }

    /// Turns bits of an octet over, on the disk and for readers.
    pub fn rot(&self, path: &str, at: u64, mask: u8) -> io::Result<()> {
        let mut world = self.lock();
        let number = world.live.file(path)?;
        let file = world.file(number)?;
        file.live.rot(at, mask);
        file.durable.rot(at, mask);
        Ok(())
    }

    /// How many changes and syncs were asked for so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// A checksum of all changes and syncs so far, in order: two runs with the same one did the same.
    pub fn trace(&self) -> u64 {
        self.lock().trace
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panics while holding a simulated disk")
    }
}

impl World {
    /// Counts an operation; gives whether the power goes with it.
    fn begin(&mut self, what: &str, at: u64, bytes: &[u8]) -> io::Result<bool> {
        if self.power == Power::Off {
            return Err(power_is_off());
        }
        self.operations += 1;
        let octets = crc32c::crc32c_append(crc32c::crc32c(what.as_bytes()), bytes);
        self.trace = Chance(self.trace ^ at ^ (u64::from(octets) << 32)).next();
        if let Power::OnFor(left) = self.power {
            self.power = left.checked_sub(1).map_or(Power::Off, Power::OnFor);
        }
        Ok(self.power == Power::Off)
    }

    /// Whether an injected fault strikes now.
    fn strikes(&mut self, fault: Fault) -> bool {
        let mut struck = false;
        self.faults.retain_mut(|(kind, others)| {
            if *kind != fault {
                return true;
            }
            match others.checked_sub(1) {
                Some(fewer) => {
                    *others = fewer;
                    true
                }
                None => {
                    struck = true;
                    false
                }
            }
        });
        struck
    }

    fn file(&mut self, number: u64) -> io::Result<&mut SimFileState> {
        self.files.get_mut(&number).ok_or_else(|| io::Error::other("the file is gone"))
    }

    fn free(&self) -> u64 {
        let used = self.live.files().filter_map(|number| self.files.get(&number)).map(|file| file.live.used());
        self.capacity.saturating_sub(used.fold(0, u64::saturating_add))
    }

    fn change_name(&mut self, what: &str, change: NameChange) -> io::Result<()> {
        let path = match &change {
            NameChange::Put(path, _) | NameChange::Take(path) | NameChange::Move(_, path, _) => path.clone(),
        };
        let off = self.begin(what, 0, path.as_bytes())?;
        self.live.apply(&change);
        self.waiting.push(change);
        if off { Err(power_is_off()) } else { Ok(()) }
    }

    fn change_file(&mut self, number: u64, mut change: Change) -> io::Result<()> {
        let off = match &change {
            Change::Write { at, bytes } => self.begin("write", at ^ (number << 48), bytes)?,
            Change::SetLen(len) => self.begin("set_len", len ^ (number << 48), &[])?,
            Change::Allocate(len) => self.begin("allocate", len ^ (number << 48), &[])?,
            Change::Punch(range) => self.begin("punch", range.start ^ range.end ^ (number << 48), &[])?,
        };
        let free = self.free();
        if self.file(number)?.live.needs(&change) > free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut fails = false;
        if let Change::Write { bytes, .. } = &mut change
            && self.strikes(Fault::Write)
        {
            fails = true;
            bytes.truncate(bytes.len() / 2);
        }
        let file = self.file(number)?;
        file.live.apply(&change, || true);
        file.waiting.push(change);
        if off {
            return Err(power_is_off());
        }
        if fails { Err(input_output_error()) } else { Ok(()) }
    }

    fn sync_file(&mut self, number: u64) -> io::Result<()> {
        if self.begin("sync", number, &[])? {
            // What waits is torn at the crash.
            return Err(power_is_off());
        }
        let fails = self.strikes(Fault::Sync);
        let mut chance = self.chance.split();
        let SimFileState { durable, waiting, .. } = self.file(number)?;
        for change in waiting.drain(..) {
            durable.apply(&change, || !fails || chance.one_in(2));
        }
        if fails { Err(input_output_error()) } else { Ok(()) }
    }

    fn sync_names(&mut self, mut covered: impl FnMut(&NameChange) -> bool) {
        let durable = &mut self.durable;
        self.waiting.retain(|change| {
            let covered = covered(change);
            if covered {
                durable.apply(change);
            }
            !covered
        });
    }

    fn crash(&mut self) {
        let loss = Loss::choose(&mut self.chance, self.waiting.len());
        for (index, change) in std::mem::take(&mut self.waiting).iter().enumerate() {
            if loss.keeps(index, &mut self.chance) {
                self.durable.apply(change);
            }
        }
        self.durable.drop_orphans();
        self.live = self.durable.clone();
        let kept: BTreeSet<u64> = self.live.files().collect();
        self.files.retain(|number, _| kept.contains(number));
        for file in self.files.values_mut() {
            let loss = Loss::choose(&mut self.chance, file.waiting.len());
            for (index, change) in file.waiting.drain(..).enumerate() {
                file.durable.apply(&change, || loss.keeps(index, &mut self.chance));
            }
            file.live = file.durable.clone();
        }
        self.faults.clear();
        self.generation += 1;
        self.power = Power::On;
    }
}

/// What a crash does to changes that wait. Asked once per name and once per sector.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Nothing,
    Everything,
    /// All from this one on; the one itself is torn.
    From(usize),
    /// Any of them, in any order.
    Some,
}

impl Loss {
    fn choose(chance: &mut Chance, changes: usize) -> Self {
        match chance.below(8) {
            0 => Self::Nothing,
            1 | 2 => Self::Everything,
            3 | 4 => Self::From(usize::try_from(chance.below(len_u64(changes) + 1)).unwrap_or(changes)),
            _ => Self::Some,
        }
    }

    fn keeps(self, index: usize, chance: &mut Chance) -> bool {
        match self {
            Self::Nothing => true,
            Self::Everything => false,
            Self::From(cut) if index == cut => chance.one_in(2),
            Self::From(cut) => index < cut,
            Self::Some => chance.one_in(2),
        }
    }
}

/// splitmix64.
#[derive(Clone, Copy, Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// Another source, so that both can be used at once.
    fn split(&mut self) -> Self {
        Self(self.next())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let world = self.lock();
        if world.power == Power::Off {
            return Err(power_is_off());
        }
        let number = world.live.file(check(path)?)?;
        Ok(self.handle(number, &world))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.lock();
        world.live.dir(parent(check(path)?))?;
        if world.live.node(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = world.next_file;
        world.next_file += 1;
        world.files.insert(number, SimFileState::default());
        world.change_name("create", NameChange::Put(path.to_owned(), Node::File(number)))?;
        Ok(self.handle(number, &world))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let world = self.lock();
        if world.power == Power::Off {
            return Err(power_is_off());
        }
        world.live.dir(check(dir)?)?;
        Ok(world.live.list(dir))
    }

    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        let mut world = self.lock();
        let dir = check(dir)?;
        let parents = dir.match_indices('/').filter_map(|(at, _)| dir.get(..at));
        for dir in parents.chain(Some(dir)) {
            match world.live.dir(dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    world.change_name("create_dir", NameChange::Put(dir.to_owned(), Node::Dir))?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.lock();
        let number = world.live.file(check(from)?)?;
        world.live.dir(parent(check(to)?))?;
        if world.live.node(to) == Some(Node::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        world.change_name("rename", NameChange::Move(from.to_owned(), to.to_owned(), Node::File(number)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut world = self.lock();
        match world.live.node(check(path)?) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Node::Dir) if path.is_empty() || !world.live.list(path).is_empty() => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            Some(Node::Dir | Node::File(_)) => world.change_name("remove", NameChange::Take(path.to_owned())),
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut world = self.lock();
        world.live.dir(check(dir)?)?;
        if world.begin("sync_dir", 0, dir.as_bytes())? {
            return Err(power_is_off());
        }
        if world.strikes(Fault::Sync) {
            return Err(input_output_error());
        }
        world.sync_names(|change| change.is_in(dir));
        Ok(())
    }

    fn sync_filesystem(&self) -> io::Result<()> {
        let mut world = self.lock();
        if world.begin("syncfs", 0, &[])? {
            return Err(power_is_off());
        }
        if world.strikes(Fault::Sync) {
            return Err(input_output_error());
        }
        world.sync_names(|_| true);
        for SimFileState { durable, waiting, .. } in world.files.values_mut() {
            waiting.drain(..).for_each(|change| durable.apply(&change, || true));
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let world = self.lock();
        if world.power == Power::Off { Err(power_is_off()) } else { Ok(world.free()) }
    }
}

impl SimDisk {
    fn handle(&self, number: u64, world: &World) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), number, generation: world.generation })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    number: u64,
    generation: u64,
}

impl SimFile {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.lock();
        if world.power == Power::Off {
            return Err(power_is_off());
        }
        if world.generation != self.generation {
            return Err(io::Error::other("the process that opened this file is dead"));
        }
        Ok(world)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.world()?.file(self.number)?.live.read(at, buf))
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.world()?.change_file(self.number, Change::Write { at, bytes: bytes.to_vec() })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.world()?.sync_file(self.number)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.world()?.change_file(self.number, Change::SetLen(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.world()?.change_file(self.number, Change::Allocate(len))
    }

    fn punch_hole(&self, range: Range<u64>) -> io::Result<()> {
        self.world()?.change_file(self.number, Change::Punch(range))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.world()?.file(self.number)?.live.len)
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn len_u64(len: usize) -> u64 {
    u64::try_from(len).expect("usize has at most 64 bits")
}
