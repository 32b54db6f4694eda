use super::*;
use proptest::prelude::*;

const ID: SegmentId = SegmentId(0x0102_0304_0506_0708);

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The layout on disk must not change without a new version. The checksums were made by another implementation.
#[test]
fn known_answers() {
    let header =
        SegmentHeader { id: ID, first: Lsn::new(17), epoch: Epoch::new(3), time: UnixTime::from_micros(1_000_000) };
    assert_eq!(
        hex(&header.encode()[..56]),
        "504f53544a524e4c0100000000100000\
         08070605040302011100000000000000\
         030000000000000040420f0000000000\
         3d987f6500000000"
    );
    let group = GroupHeader {
        octets: 48,
        count: 1,
        records_crc: 0xaabb_ccdd,
        first: Lsn::new(17),
        committed: Lsn::new(16),
        epoch: Epoch::new(3),
    };
    assert_eq!(
        hex(&group.encode(ID)),
        "504a47523000000001000000ddccbbaa\
         11000000000000001000000000000000\
         030000000000000000000000cbd0616a"
    );
    let record = RecordHeader {
        crc: 0,
        octets: 5,
        stream: 9,
        time: UnixTime::from_micros(2),
        refs_body: Some(Lsn::new(4)),
        kind: 2,
        codec: CODEC_STORED,
    };
    assert_eq!(
        hex(&record.encode(Lsn::new(17), b"hello")),
        "0bcd4537050000000900000000000000\
         02000000000000000400000000000000\
         0200000000000000"
    );
    let footer = Footer {
        at: 8192,
        last: Lsn::new(17),
        count: 1,
        oldest_body: None,
        first_time: UnixTime::from_micros(2),
        last_time: UnixTime::from_micros(3),
        epoch: Epoch::new(3),
    };
    assert_eq!(
        hex(&footer.encode(ID)[..72]),
        "504a4654000000000020000000000000\
         11000000000000000100000000000000\
         00000000000000000200000000000000\
         03000000000000000300000000000000\
         c435b9d600000000"
    );
}

#[test]
fn another_version_is_told_from_rot() {
    let header = SegmentHeader { id: ID, first: Lsn::new(1), epoch: Epoch::ZERO, time: UnixTime::EPOCH };
    let mut page = header.encode();
    page[8] = 2;
    assert_eq!(SegmentHeader::decode(&page), HeaderPage::Bad);
    let crc = crc32c::crc32c(&page[..48]).to_le_bytes();
    page[48..52].copy_from_slice(&crc);
    assert_eq!(SegmentHeader::decode(&page), HeaderPage::Unsupported(2));
}

#[test]
fn names_are_exact() {
    assert_eq!(segment_name(Lsn::new(0x12ab)), "00000000000012ab.seg");
    assert_eq!(segment_first("00000000000012ab.seg"), Some(Lsn::new(0x12ab)));
    for name in [
        "spare.tmp",
        "12ab.seg",
        "00000000000012AB.seg",
        "+0000000000012ab.seg",
        "00000000000012ab.seg~",
        "0000000000000000.seg",
        "ffffffffffffffff.seg",
        "",
    ] {
        assert_eq!(segment_first(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        first in 1u64..=1 << 62, committed in 0u64..=1 << 62, epoch: u64, octets in 0u32..1_000_000, count: u32, records_crc: u32,
        times: (i64, i64), oldest in proptest::option::of(1u64..), id: u64,
    ) {
        let id = SegmentId(id);
        let (first, epoch) = (Lsn::new(first), Epoch::new(epoch));
        let time = UnixTime::from_micros(times.0);
        let header = SegmentHeader { id, first, epoch, time };
        prop_assert_eq!(SegmentHeader::decode(&header.encode()), HeaderPage::Valid(header));
        let group = GroupHeader { octets, count, records_crc, first, committed: Lsn::new(committed), epoch };
        prop_assert_eq!(Block::decode(id, &group.encode(id)), Some(Block::Group(group)));
        prop_assert_eq!(Block::decode(SegmentId(id.0 ^ 1), &group.encode(id)), None, "of another segment");
        let footer = Footer {
            at: committed,
            last: first,
            count: u64::from(count),
            oldest_body: oldest.map(Lsn::new),
            first_time: time,
            last_time: UnixTime::from_micros(times.1),
            epoch,
        };
        prop_assert_eq!(Block::decode(id, &footer.encode(id)), Some(Block::Footer(footer)));
        let record = RecordHeader {
            crc: 0,
            octets,
            stream: committed,
            time,
            refs_body: oldest.map(Lsn::new),
            kind: 3,
            codec: CODEC_STORED,
        };
        let encoded = record.encode(first, b"body");
        let decoded = RecordHeader::decode(&encoded).expect("40 octets");
        prop_assert_eq!(RecordHeader { crc: 0, ..decoded }, record);
        prop_assert!(decoded.verifies(first, &encoded, b"body"));
        prop_assert!(!decoded.verifies(Lsn::new(first.number() ^ 1), &encoded, b"body"), "of another number");
        prop_assert!(!decoded.verifies(first, &encoded, b"Body"));
    }

    #[test]
    fn no_octets_panic(id: u64, octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Block::decode(SegmentId(id), &octets);
        let _ = RecordHeader::decode(&octets);
        prop_assert_eq!(SegmentHeader::decode(&octets), HeaderPage::Bad);
    }
}
