//! Segments whose checksums hold, from a script: the layout of `docs/format/journal.md`, written a second time.
//!
//! ```text
//!   first(1)  then, group by group:  what(1) wrong(1)  [octets of each record(1) …]
//!   what   0 to 3 a group of so many records (0: a marker) · 4 a footer · 5 a sector of 0xff · 6 a torn group · 7 zeros
//!   wrong  1 first + 1 · 2 committed + 2 · 4 a codec that is unknown · 8 another segment's · 16 the record's octets + 9
//!          32 all is committed · 64 a count + 1 · 128 the highest numbers
//! ```

/// The segment that a script asks for. What the script leaves out is zero.
pub(crate) fn forge(script: &[u8]) -> Vec<u8> {
    let mut script = script.iter().copied();
    let mut forger = Forger::new(u64::from(script.next().unwrap_or(0)));
    while let Some(what) = script.next() {
        let wrong = script.next().unwrap_or(0);
        match what % 8 {
            4 => forger.footer(wrong),
            5 => forger.octets.extend([0xff; SECTOR]),
            6 => forger.torn(wrong, script.next().unwrap_or(0)),
            7 => forger.octets.extend([0; SECTOR]),
            count => {
                let sizes: Vec<u8> = script.by_ref().take(usize::from(count)).collect();
                forger.group(wrong, &sizes);
            }
        }
        if forger.octets.len() > SEGMENT_OCTETS_MAX {
            break;
        }
    }
    forger.octets
}

struct Forger {
    octets: Vec<u8>,
    first: u64,
    next: u64,
}

impl Forger {
    fn new(first: u64) -> Self {
        let mut octets = b"POSTJRNL".to_vec();
        put32(&mut octets, &[1, 4096]);
        put64(&mut octets, &[ID, first, 1, 0]);
        let checksum = crc32c::crc32c(&octets);
        put32(&mut octets, &[checksum]);
        octets.resize(4096, 0);
        Self { octets, first, next: first }
    }

    fn group(&mut self, wrong: u8, sizes: &[u8]) {
        let has = |bit: u8| wrong & bit != 0;
        let (mut records, mut headers) = (Vec::new(), Vec::new());
        for size in sizes {
            let body = vec![*size; usize::from(*size) * 8];
            let octets = length(&body) + if has(16) { 9 } else { 0 };
            let header = record_header(self.next, octets, u8::from(has(4)), &body);
            headers.extend_from_slice(&header);
            records.extend_from_slice(&header);
            records.extend_from_slice(&body);
            self.next += 1;
        }
        let count = length(sizes) + u32::from(has(64));
        let first = self.next - u64::from(length(sizes)) + u64::from(has(1));
        let committed = match (has(2), has(32)) {
            (false, false) => self.first.saturating_sub(1),
            (false, true) => self.next.saturating_sub(1),
            (true, _) => self.next + 1,
        };
        let mut group = b"PJGR".to_vec();
        put32(&mut group, &[length(&records), count, crc32c::crc32c(&headers)]);
        put64(&mut group, &if has(128) { [LSN_MAX, LSN_MAX, u64::MAX] } else { [first, committed, 1] });
        put32(&mut group, &[0]);
        let checksum = seeded(if has(8) { ID + 1 } else { ID }, &group);
        put32(&mut group, &[checksum]);
        group.extend_from_slice(&records);
        self.put(&group);
    }

    /// A group of one record with one octet flipped.
    fn torn(&mut self, wrong: u8, at: u8) {
        let start = self.octets.len();
        self.group(wrong, &[9]);
        if let Some(octet) = self.octets.get_mut(start + usize::from(at)) {
            *octet ^= 1;
        }
    }

    fn footer(&mut self, wrong: u8) {
        let at = self.octets.len() as u64 + u64::from(wrong & 8) * 64;
        let last = self.next.saturating_sub(1) + u64::from(wrong & 1);
        let mut footer = b"PJFT".to_vec();
        put32(&mut footer, &[0]);
        put64(&mut footer, &[at, last, self.next - self.first, 0, 0, 0, 1]);
        let checksum = seeded(ID, &footer);
        put32(&mut footer, &[checksum]);
        self.put(&footer);
    }

    fn put(&mut self, block: &[u8]) {
        self.octets.extend_from_slice(block);
        self.octets.resize(self.octets.len().next_multiple_of(SECTOR), 0);
    }
}

fn record_header(lsn: u64, octets: u32, codec: u8, body: &[u8]) -> Vec<u8> {
    let mut covered = Vec::new();
    put32(&mut covered, &[octets]);
    put64(&mut covered, &[0, 0, 0]);
    covered.extend_from_slice(&[9, codec, 0, 0, 0, 0, 0, 0]);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&lsn.to_le_bytes()), &covered);
    let mut header = crc32c::crc32c_append(checksum, body).to_le_bytes().to_vec();
    header.extend_from_slice(&covered);
    header
}

fn seeded(id: u64, octets: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.to_le_bytes()), octets)
}

fn length(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).expect("a forged group is small")
}

fn put32(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

fn put64(out: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

/// The id of every forged segment.
const ID: u64 = 7;
const SECTOR: usize = 512;
/// The highest record that a journal may name.
const LSN_MAX: u64 = 1 << 62;
/// Where forging stops, so that a script's time is bounded.
const SEGMENT_OCTETS_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{Recovery, recover};
    use mail_types::Lsn;

    /// The second writer of the layout agrees with the first reader.
    #[test]
    fn a_forged_segment_is_taken_for_one() {
        let Recovery::Whole(survey) = recover(&forge(&[5, 2, 0, 3, 4, 1, 32, 90, 1, 0, 1])) else { panic!("whole") };
        assert_eq!(survey.header.first, Lsn::new(5));
        assert_eq!((survey.committed, survey.tail.len()), (Lsn::new(7), 1));
        let Recovery::Whole(sealed) = recover(&forge(&[5, 2, 0, 3, 4, 4, 0])) else { panic!("whole") };
        assert_eq!(sealed.footer.map(|footer| footer.last), Some(Lsn::new(6)));
        assert!(matches!(recover(&forge(&[5, 2, 4 | 32, 3, 4])), Recovery::Damaged { .. }));
    }
}
