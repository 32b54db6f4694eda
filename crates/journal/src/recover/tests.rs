use super::*;
use crate::core::{Core, Effect, Position, Seal};
use crate::format::{GROUP_HEADER_OCTETS, RecordHeader, SegmentId};
use crate::types::{Config, Kind, StreamId};
use mail_types::Epoch;
use proptest::prelude::*;

const EPOCH: Epoch = Epoch::new(1);
const FIRST: Lsn = Lsn::new(40);

/// A segment in memory, written as the executor would.
struct Written {
    core: Core,
    octets: Vec<u8>,
    /// Where groups begin.
    groups: Vec<usize>,
}

impl Written {
    fn new() -> Self {
        let id = SegmentId::derive(1, FIRST, EPOCH, UnixTime::EPOCH);
        let stats = Stats::new(EPOCH, UnixTime::EPOCH);
        let config = Config { low_water_octets: 0, segment_octets: 32 << 10, ..Config::default() };
        let core = Core::new(&config, 1, EPOCH, Lsn::new(39), Position { id, first: FIRST, at: GROUPS_AT, stats });
        let mut octets = SegmentHeader { id, first: FIRST, epoch: EPOCH, time: UnixTime::EPOCH }.encode();
        octets.resize(32 << 10, 0);
        Self { core, octets, groups: Vec::new() }
    }

    fn put(&mut self, at: u64, octets: &[u8]) {
        let at = usize::try_from(at).expect("small");
        self.octets[at..at + octets.len()].copy_from_slice(octets);
    }

    /// Writes a group of records of these sizes.
    fn group(mut self, sizes: &[usize]) -> Self {
        for size in sizes {
            let body = vec![0xab; *size];
            self.core.append(EPOCH, UnixTime::EPOCH, StreamId::ZERO, Kind::new(9), &body).expect("taken");
        }
        while let Some(effect) = self.core.poll() {
            match effect {
                Effect::Write { at, octets } => {
                    self.groups.push(usize::try_from(at).expect("small"));
                    self.put(at, &octets);
                }
                Effect::Sync { upto } => self.core.on_synced(upto),
                Effect::Rotate(_) | Effect::Release(_) => {}
            }
        }
        self
    }

    fn marker(mut self) -> Self {
        let (at, octets) = self.core.poll_marker().expect("there is something to say");
        self.put(at, &octets);
        self
    }

    fn sealed(mut self) -> Self {
        let Seal { footer, octets } = self.core.seal().expect("it has records");
        self.put(footer.at, &octets);
        self.octets.truncate(usize::try_from(footer.at).expect("small") + SECTOR);
        self
    }

    fn survey(&self) -> Survey {
        let found = recover(&self.octets);
        let Recovery::Whole(survey) = found else { panic!("{found:?}") };
        survey
    }
}

#[test]
fn the_last_group_is_not_known_committed_until_something_says_so() {
    let written = Written::new().group(&[10, 20]).group(&[5]);
    let survey = written.survey();
    assert_eq!(survey.committed, Lsn::new(41));
    assert_eq!(
        survey.tail.iter().map(|group| (group.first, group.last)).collect::<Vec<_>>(),
        [(Lsn::new(42), Lsn::new(42))]
    );
    assert_eq!(survey.end, 4096 + 512);
    let survey = written.marker().survey();
    assert_eq!((survey.committed, survey.end, survey.tail.len()), (Lsn::new(42), 4096 + 1024, 0));
    let survey = Written::new().group(&[10, 20]).group(&[5]).sealed().survey();
    assert_eq!((survey.committed, survey.tail.len()), (Lsn::new(42), 0));
    assert_eq!(survey.footer.expect("sealed").count, 3);
}

#[test]
fn a_torn_tail_is_cut_and_damage_is_not() {
    let whole = Written::new().group(&[10]).group(&[700]).group(&[900]);
    let last = whole.groups[2];
    let mut torn = whole.octets.clone();
    torn[last + 600] ^= 1;
    let Recovery::Whole(survey) = recover(&torn) else { panic!("nothing committed is bad") };
    assert_eq!(survey.committed, Lsn::new(41), "the torn group's header still says so");
    assert_eq!((survey.end, survey.tail.len()), (u64::try_from(last).expect("small"), 0));

    let mut rotten = whole.octets.clone();
    let second = whole.groups[1];
    rotten[second + 100] ^= 1;
    let found = recover(&rotten);
    let Recovery::Damaged { at, lsn, .. } = found else { panic!("{found:?}") };
    assert_eq!((at, lsn), (u64::try_from(second).expect("small"), Lsn::new(41)));
}

#[test]
fn the_next_segment_bounds_what_is_read() {
    let written = Written::new().group(&[10]).group(&[20]).group(&[30]);
    let source: &[u8] = &written.octets;
    let Ok(Recovery::Whole(survey)) = survey(&source, Some(Lsn::new(42))) else { panic!("whole") };
    assert_eq!((survey.committed, survey.end, survey.tail.len()), (Lsn::new(41), 4096 + 1024, 0));
    let found = super::survey(&source, Some(Lsn::new(50))).expect("memory does not fail");
    assert!(matches!(found, Recovery::Damaged { lsn, .. } if lsn == Lsn::new(43)), "{found:?}");
    // A footer does not make up for a segment that is gone; zeros behind it, as before the cut, change nothing.
    let sealed = [written.sealed().octets, vec![0; SECTOR]].concat();
    let found = super::survey(&&*sealed, Some(Lsn::new(50))).expect("memory does not fail");
    assert!(matches!(found, Recovery::Damaged { lsn, .. } if lsn == Lsn::new(43)), "{found:?}");
}

#[test]
fn what_holds_no_header_is_blank_or_not() {
    assert_eq!(recover(&[]), Recovery::NoHeader { blank: true });
    assert_eq!(recover(&[0; 20_000]), Recovery::NoHeader { blank: true });
    let mut torn_header = vec![0; 20_000];
    torn_header[..20].fill(7);
    assert_eq!(recover(&torn_header), Recovery::NoHeader { blank: true });
    let mut written = Written::new().group(&[10]);
    written.octets[3] ^= 1;
    assert_eq!(recover(&written.octets), Recovery::NoHeader { blank: false });
}

#[test]
fn stale_octets_of_another_segment_never_verify() {
    let stale = Written::new().group(&[10]).group(&[20]);
    let mut octets = stale.octets.clone();
    let id = SegmentId::derive(2, FIRST, EPOCH, UnixTime::EPOCH);
    let header = SegmentHeader { id, first: FIRST, epoch: EPOCH, time: UnixTime::EPOCH };
    octets[..HEADER_OCTETS].copy_from_slice(&header.encode());
    let Recovery::Whole(survey) = recover(&octets) else { panic!("an empty segment") };
    assert_eq!((survey.committed, survey.tail.len()), (Lsn::new(39), 0));
}

#[test]
fn an_unknown_codec_is_never_cut() {
    let mut written = Written::new().group(&[10]);
    let at = written.groups[0];
    let (header_at, body_at) = (at + GROUP_HEADER_OCTETS, at + GROUP_HEADER_OCTETS + 40);
    let record = RecordHeader::decode(&written.octets[header_at..]).expect("a header");
    let header = RecordHeader { codec: 9, ..record }.encode(FIRST, &written.octets[body_at..body_at + 10]);
    written.octets[header_at..body_at].copy_from_slice(&header);
    let Some(Block::Group(group)) = Block::decode(id_of(&written), &written.octets[at..]) else { panic!("a group") };
    let group = GroupHeader { records_crc: crc32c::crc32c(&header), ..group };
    let encoded = group.encode(id_of(&written));
    written.octets[at..at + GROUP_HEADER_OCTETS].copy_from_slice(&encoded);
    assert!(matches!(recover(&written.octets), Recovery::Damaged { .. }));
}

fn id_of(written: &Written) -> SegmentId {
    match SegmentHeader::decode(&written.octets) {
        HeaderPage::Valid(header) => header.id,
        HeaderPage::Unsupported(_) | HeaderPage::Bad => panic!("a header"),
    }
}

proptest! {
    #[test]
    fn any_octets_give_an_answer(octets in proptest::collection::vec(any::<u8>(), 0..9000)) {
        let no_header = matches!(recover(&octets), Recovery::NoHeader { .. });
        prop_assert!(no_header);
    }

    /// Whatever rots, all that is committed is there or it is damage.
    #[test]
    fn rot_is_damage_or_harmless(
        sizes in proptest::collection::vec(proptest::collection::vec(0usize..900, 1..4), 1..5),
        rot in proptest::collection::vec((4096usize..20_000, 1u8..), 1..4),
    ) {
        let written = sizes.iter().fold(Written::new(), |written, sizes| written.group(sizes)).marker();
        let last = Lsn::new(39 + u64::try_from(sizes.iter().flatten().count()).expect("few"));
        let marker = usize::try_from(written.survey().end).expect("small");
        let mut octets = written.octets.clone();
        // The marker itself stays; without it the last group is no more than whole.
        rot.iter().filter(|(at, _)| !(marker..marker + SECTOR).contains(at)).for_each(|(at, mask)| octets[*at] ^= mask);
        match recover(&octets) {
            Recovery::Whole(survey) => prop_assert_eq!((survey.committed, survey.tail.len()), (last, 0)),
            Recovery::Damaged { lsn, .. } => prop_assert!(lsn >= FIRST && lsn <= last),
            other @ (Recovery::NoHeader { .. } | Recovery::Unsupported { .. }) => prop_assert!(false, "{other:?}"),
        }
    }

    /// Whatever is cut off the end, what is left is whole or damage is found by who knows better.
    #[test]
    fn any_length_gives_an_answer(
        sizes in proptest::collection::vec(0usize..900, 1..9), len in 0usize..20_000,
    ) {
        let written = sizes.iter().fold(Written::new(), |written, size| written.group(&[*size]));
        match recover(&written.octets[..len]) {
            Recovery::Whole(survey) => prop_assert!(survey.end <= u64::try_from(len.max(4096)).expect("small")),
            Recovery::NoHeader { blank } => prop_assert!(blank && len < 52),
            other @ (Recovery::Unsupported { .. } | Recovery::Damaged { .. }) => prop_assert!(false, "{other:?}"),
        }
    }
}
