//! The octets of a simulated file, by sector.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a disk writes or loses as a whole.
pub(crate) const SECTOR: u64 = 512;
/// What a file system gives to a file.
pub(crate) const BLOCK: u64 = 4096;

/// Sparse: what was never written reads as zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) len: u64,
    sectors: BTreeMap<u64, [u8; 512]>,
    blocks: BTreeSet<u64>,
}

/// What was done to a file, so that a crash can do some of it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { at: u64, bytes: Vec<u8> },
    SetLen(u64),
    Allocate(u64),
    Punch(Range<u64>),
}

impl Content {
    /// Does a change; of a write only the sectors that `keep` says.
    pub(crate) fn apply(&mut self, change: &Change, mut keep: impl FnMut() -> bool) {
        match change {
            Change::Write { at, bytes } => self.write(*at, bytes, keep),
            Change::SetLen(len) => {
                if keep() {
                    self.set_len(*len);
                }
            }
            Change::Allocate(len) => {
                if keep() {
                    self.len = self.len.max(*len);
                    self.blocks.extend(blocks(0..*len));
                }
            }
            Change::Punch(range) => {
                if keep() {
                    self.punch(range);
                }
            }
        }
    }

    pub(crate) fn read(&self, at: u64, buf: &mut [u8]) -> usize {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let octets = buf.len().min(left);
        let mut at = at;
        let mut rest = buf.get_mut(..octets).unwrap_or_default();
        while !rest.is_empty() {
            let (sector, offset) = split(at);
            let (part, behind) = rest.split_at_mut(rest.len().min(512 - offset));
            match self.sectors.get(&sector).and_then(|octets| octets.get(offset..offset + part.len())) {
                Some(octets) => part.copy_from_slice(octets),
                None => part.fill(0),
            }
            at += len_of(part);
            rest = behind;
        }
        octets
    }

    /// Octets that the file takes from the disk.
    pub(crate) fn used(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap_or(u64::MAX).saturating_mul(BLOCK)
    }

    /// Octets that a change would take in addition.
    pub(crate) fn needs(&self, change: &Change) -> u64 {
        let range = match change {
            Change::Write { at, bytes } => *at..at.saturating_add(len_of(bytes)),
            Change::Allocate(len) => 0..*len,
            Change::SetLen(_) | Change::Punch(_) => return 0,
        };
        let missing = blocks(range).filter(|block| !self.blocks.contains(block)).count();
        u64::try_from(missing).unwrap_or(u64::MAX).saturating_mul(BLOCK)
    }

    /// Turns bits over, as time does.
    pub(crate) fn rot(&mut self, at: u64, mask: u8) {
        let (sector, offset) = split(at);
        if let Some(octet) = self.sectors.entry(sector).or_insert([0; 512]).get_mut(offset) {
            *octet ^= mask;
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8], mut keep: impl FnMut() -> bool) {
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let (sector, offset) = split(at);
            let (part, behind) = rest.split_at(rest.len().min(512 - offset));
            if keep() {
                let octets = self.sectors.entry(sector).or_insert([0; 512]);
                if let Some(place) = octets.get_mut(offset..offset + part.len()) {
                    place.copy_from_slice(part);
                }
                self.blocks.insert(at / BLOCK);
                self.len = self.len.max(at + len_of(part));
            }
            at += len_of(part);
            rest = behind;
        }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.zero(len..self.len.next_multiple_of(BLOCK));
            self.blocks.split_off(&len.div_ceil(BLOCK));
        }
        self.len = len;
    }

    fn punch(&mut self, range: &Range<u64>) {
        let range = range.start..range.end.min(self.len);
        self.zero(range.clone());
        let whole = range.start.div_ceil(BLOCK)..range.end / BLOCK;
        self.blocks.retain(|block| !whole.contains(block));
    }

    fn zero(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touched: Vec<u64> =
            self.sectors.range(range.start / SECTOR..range.end.div_ceil(SECTOR)).map(|(n, _)| *n).collect();
        for number in touched {
            let begins = number * SECTOR;
            if begins >= range.start && begins + SECTOR <= range.end {
                self.sectors.remove(&number);
            } else if let Some(octets) = self.sectors.get_mut(&number) {
                for (at, octet) in (begins..).zip(octets) {
                    if range.contains(&at) {
                        *octet = 0;
                    }
                }
            }
        }
    }
}

fn split(at: u64) -> (u64, usize) {
    (at / SECTOR, usize::try_from(at % SECTOR).expect("under 512"))
}

fn blocks(range: Range<u64>) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / BLOCK..range.end.div_ceil(BLOCK) }
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("usize has at most 64 bits")
}
