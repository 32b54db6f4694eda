//! A journal's life on a simulated disk, and what has to be true of it.

use disk::SimDisk;
use journal::disk::Disk;
use journal::{Append, Config, Journal, Kind, OpenError, Record, Refused, Space, Start, StreamId, Turn, Writer, open};
use mail_types::{Epoch, Lsn, UnixTime};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const EPOCH: Epoch = Epoch::new(1);

/// splitmix64, for the workload; the disk has its own.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (word ^ (word >> 29)) % sides
    }
}

/// Segments as small as they may be, so that everything happens often.
pub(crate) fn config() -> Config {
    Config { dir: "spool/journal".into(), segment_octets: 16 << 10, pending_octets_max: 16 << 10, low_water_octets: 0 }
}

pub(crate) fn start(now: i64) -> Start {
    Start { epoch: EPOCH, now: UnixTime::from_secs(now), seed: 7, applied: Lsn::ZERO }
}

pub(crate) fn open_on(disk: &SimDisk, now: i64) -> Result<(Journal, Writer), OpenError> {
    open(Arc::new(disk.clone()), &config(), &start(now))
}

/// A record as the model remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) body: Vec<u8>,
    /// The last record of its append: a crash keeps all of an append or nothing.
    pub(crate) batch_end: u64,
}

/// What was appended and what was promised, over all lives.
#[derive(Default)]
pub(crate) struct Model {
    /// Promised: durable was proven, or it was replayed.
    pub(crate) durable: BTreeMap<u64, Known>,
    /// Appended in the latest life, not yet promised.
    pub(crate) pending: BTreeMap<u64, Known>,
    pub(crate) lives: u64,
}

impl Model {
    /// One life: opens, checks what is there, appends `appends` times, taking turns in between. Gives whether it
    /// reached its end; otherwise the disk failed on the way.
    pub(crate) fn live(&mut self, disk: &SimDisk, dice: &mut Dice, appends: u64) -> bool {
        self.lives += 1;
        let now = i64::try_from(self.lives).expect("few lives") * 1000;
        let (journal, mut writer) = match open_on(disk, now) {
            Ok(opened) => opened,
            Err(OpenError::Io { .. }) => return false,
            Err(error) => panic!("{error}"),
        };
        if !self.check_replay(&journal) {
            return false;
        }
        for turn in 0..appends {
            let time = UnixTime::from_secs(now + i64::try_from(turn).expect("few turns"));
            if dice.roll(40) == 0 {
                journal.rotate_at(time);
            }
            self.append(&journal, dice, time);
            if dice.roll(3) == 0 && !self.turns(&mut writer) {
                return false;
            }
        }
        if !self.turns(&mut writer) {
            return false;
        }
        assert!(self.pending.is_empty(), "an idle journal has nothing pending");
        if dice.roll(2) == 0 {
            journal.close();
            return matches!(writer.try_turn(), Ok(Turn::Closed));
        }
        true
    }

    /// Replays everything: what was promised, then perhaps whole appends that were on their way. From here on all of
    /// it is promised.
    pub(crate) fn check_replay(&mut self, journal: &Journal) -> bool {
        let mut next = journal.first_lsn();
        let mut batch_end = 0;
        for record in journal.replay(next) {
            let record = match record {
                Ok(record) => record,
                Err(journal::ReadError::Io { .. }) => return false,
                Err(error) => panic!("{error}"),
            };
            assert_eq!(record.lsn, next, "each record once, in order");
            next = next.next();
            batch_end = self.promise(&record);
        }
        let last = next.number() - 1;
        assert!(self.durable.keys().last().is_none_or(|promised| *promised <= last), "a promised record is missing");
        assert!(batch_end <= last, "an append survived in part");
        assert_eq!(journal.durable().lsn().number(), last);
        self.pending.clear();
        true
    }

    fn promise(&mut self, record: &Record) -> u64 {
        let number = record.lsn.number();
        let known = self.durable.get(&number).cloned().or_else(|| self.pending.remove(&number));
        let known = known.expect("nobody appended this record");
        assert_eq!(known.body, record.body, "record {number}");
        let end = known.batch_end;
        self.durable.insert(number, known);
        end
    }

    fn append(&mut self, journal: &Journal, dice: &mut Dice, time: UnixTime) {
        let count = 1 + dice.roll(4);
        let bodies: Vec<Vec<u8>> = (0..count).map(|_| body(dice)).collect();
        let records: Vec<Append<'_>> =
            bodies.iter().map(|body| Append::new(StreamId::new(dice.roll(9)), Kind::new(9), body)).collect();
        match journal.append_all(EPOCH, time, Space::Ordinary, &records) {
            Ok(first) => {
                let batch_end = first.number() + count - 1;
                for (number, body) in (first.number()..).zip(bodies) {
                    self.pending.insert(number, Known { body, batch_end });
                }
            }
            Err(Refused::Busy | Refused::NoSpace | Refused::Poisoned) => {}
            Err(refused) => panic!("{refused}"),
        }
    }

    /// Takes turns until nothing waits.
    pub(crate) fn turns(&mut self, writer: &mut Writer) -> bool {
        loop {
            match writer.try_turn() {
                Ok(Turn::Committed(commit)) => {
                    for record in commit.records() {
                        assert!(self.pending.contains_key(&record.lsn.number()), "applied once");
                        self.promise(&record);
                    }
                }
                Ok(Turn::Idle | Turn::Closed) => return true,
                Err(_) => return false,
            }
        }
    }
}

fn body(dice: &mut Dice) -> Vec<u8> {
    let octets = if dice.roll(4) == 0 { dice.roll(2500) } else { dice.roll(200) };
    (0..octets).map(|_| u8::try_from(dice.roll(256)).expect("an octet")).collect()
}

/// Every file of the journal with its length.
pub(crate) fn files(disk: &SimDisk) -> Vec<(String, u64)> {
    let names = disk.list("spool/journal").expect("the directory");
    let paths = names.into_iter().map(|name| format!("spool/journal/{name}"));
    paths.map(|path| (path.clone(), disk.open(&path).expect("a file").len().expect("its length"))).collect()
}
