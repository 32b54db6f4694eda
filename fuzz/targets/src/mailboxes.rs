//! What the mailbox crate reads back from disks.

use bytes::Bytes;
use mailbox::{FrameHeader, Record, frame};

/// A record; its kind is the first octet. What is accepted is written again as the same octets.
pub fn mailbox_record(data: &[u8]) {
    let Some((kind, octets)) = data.split_first() else { return };
    let octets = Bytes::copy_from_slice(octets);
    let Ok(record) = Record::decode(*kind, &octets) else { return };
    assert_eq!(record.kind(), *kind);
    let mut encoded = Vec::new();
    record.encode(&mut encoded);
    assert_eq!(encoded.escape_ascii().to_string(), octets.escape_ascii().to_string());
}

/// A frame of a body file. What is accepted is as long as its header says and has that header's one form; with any
/// octet of it changed, or one more or less, it is refused.
pub fn body_frame(data: &[u8]) {
    if let Ok(header) = FrameHeader::decode(data) {
        assert!(data.starts_with(&header.encode()), "the header has one form");
        assert!(header.content_octets() <= header.frame_octets());
    }
    let Ok((header, content)) = frame::verify(data) else { return };
    assert_eq!(data.len() as u64, header.frame_octets());
    assert_eq!(content.len() as u64, header.content_octets());
    let (shorter, longer) = (data.split_last().map_or(data, |(_, rest)| rest), [data, &[0]].concat());
    assert!(frame::verify(shorter).is_err() && frame::verify(&longer).is_err(), "another length");
    let mut changed = data.to_vec();
    let at = content.len() * 7 % data.len();
    if let Some(octet) = changed.get_mut(at) {
        *octet ^= 1;
    }
    assert!(frame::verify(&changed).is_err(), "a bit at {at} was flipped, and nobody saw");
}
