//! Frames: how a message stands in its account's body file.
//!
//! ```text
//!   magic "PHBF"  version  0 0 0  account(16)  mailbox(4)  uid(4)  date(8)  head octets(4)  body octets(8)  crc(4)
//!   head … body …  crc(4)
//! ```
//! Numbers are little-endian, checksums CRC32C: the first of the header before it, the second of head and body.

use crate::wire::{Malformed, Reader};
use mail_types::{AccountId, MailboxId, Uid, UnixTime};

/// What a frame says about itself before its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whose message.
    pub account: AccountId,
    /// Where it came.
    pub mailbox: MailboxId,
    /// As which UID.
    pub uid: Uid,
    /// Its INTERNALDATE.
    pub date: UnixTime,
    /// Octets before the body.
    pub head_octets: u32,
    /// Octets of the body.
    pub body_octets: u64,
}

/// Octets that are no whole frame of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not what an encoder writes.
    #[error("the frame's header is malformed: {0}")]
    Header(&'static str),
    /// A version that is not known here.
    #[error("frames of version {0} are unknown to this version")]
    Version(u8),
    /// Fewer or more octets than the header promises.
    #[error("the frame has not the length its header names")]
    Length,
    /// Head or body differ from what was written.
    #[error("the frame's content is damaged")]
    Content,
}

/// The checksum of a frame's content, piece by piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentChecksum(u32);

/// Octets of a frame's header.
pub const FRAME_HEADER_OCTETS: usize = 56;
/// Octets of the checksum behind the content.
pub const FRAME_TRAILER_OCTETS: usize = 4;

/// How long the frame of such a head and body is.
pub const fn frame_octets(head_octets: u32, body_octets: u64) -> u64 {
    body_octets.saturating_add(head_octets as u64 + FRAME_HEADER_OCTETS as u64 + FRAME_TRAILER_OCTETS as u64)
}

impl FrameHeader {
    /// How long the whole frame is.
    pub const fn frame_octets(&self) -> u64 {
        frame_octets(self.head_octets, self.body_octets)
    }

    /// Octets of head and body: RFC822.SIZE.
    pub const fn content_octets(&self) -> u64 {
        self.body_octets.saturating_add(self.head_octets as u64)
    }

    /// The header as it stands in the file.
    pub fn encode(&self) -> [u8; FRAME_HEADER_OCTETS] {
        let fields = [
            &MAGIC[..],
            &[VERSION, 0, 0, 0],
            self.account.as_bytes(),
            &self.mailbox.number().to_le_bytes(),
            &self.uid.number().to_le_bytes(),
            &self.date.micros().to_le_bytes(),
            &self.head_octets.to_le_bytes(),
            &self.body_octets.to_le_bytes(),
        ]
        .concat();
        let sum = crc32c::crc32c(&fields).to_le_bytes();
        [&fields[..], &sum].concat().try_into().expect("the fields are 52 octets and the checksum 4")
    }

    /// Reads a header from the start of `octets`; more may follow.
    pub fn decode(octets: &[u8]) -> Result<Self, FrameError> {
        let (header, _) = octets.split_first_chunk::<FRAME_HEADER_OCTETS>().ok_or(FrameError::Header("cut short"))?;
        let (fields, sum) = header.split_last_chunk::<4>().ok_or(FrameError::Header("cut short"))?;
        let mut reader = Reader::new(fields);
        if reader.array::<4>()? != MAGIC {
            return Err(FrameError::Header("not a frame"));
        }
        if crc32c::crc32c(fields).to_le_bytes() != *sum {
            return Err(FrameError::Header("the checksum differs"));
        }
        match reader.array::<4>()? {
            [VERSION, 0, 0, 0] => {}
            [version, ..] => return Err(FrameError::Version(version)),
        }
        Ok(Self {
            account: reader.account()?,
            mailbox: MailboxId::new(u32::from_le_bytes(reader.array()?)),
            uid: Uid::new(u32::from_le_bytes(reader.array()?)).ok_or(FrameError::Header("UID zero"))?,
            date: UnixTime::from_micros(i64::from_le_bytes(reader.array()?)),
            head_octets: u32::from_le_bytes(reader.array()?),
            body_octets: u64::from_le_bytes(reader.array()?),
        })
    }
}

/// Checks a whole frame and gives its header and its content, head before body.
pub fn verify(frame: &[u8]) -> Result<(FrameHeader, &[u8]), FrameError> {
    let header = FrameHeader::decode(frame)?;
    if u64::try_from(frame.len()) != Ok(header.frame_octets()) {
        return Err(FrameError::Length);
    }
    let (_, rest) = frame.split_at_checked(FRAME_HEADER_OCTETS).ok_or(FrameError::Length)?;
    let (content, sum) = rest.split_last_chunk::<FRAME_TRAILER_OCTETS>().ok_or(FrameError::Length)?;
    let mut checksum = ContentChecksum::default();
    checksum.update(content);
    if checksum.trailer() == *sum { Ok((header, content)) } else { Err(FrameError::Content) }
}

impl ContentChecksum {
    /// Takes the next piece of head or body.
    pub fn update(&mut self, piece: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, piece);
    }

    /// What stands behind the content.
    pub const fn trailer(self) -> [u8; FRAME_TRAILER_OCTETS] {
        self.0.to_le_bytes()
    }
}

impl From<Malformed> for FrameError {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Header(why)
    }
}

const MAGIC: [u8; 4] = *b"PHBF";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(head: &[u8], body: &[u8]) -> (FrameHeader, Vec<u8>) {
        let header = FrameHeader {
            account: AccountId::from_bytes([7; 16]),
            mailbox: MailboxId::INBOX,
            uid: Uid::FIRST,
            date: UnixTime::from_secs(-5),
            head_octets: u32::try_from(head.len()).expect("short"),
            body_octets: body.len() as u64,
        };
        let mut checksum = ContentChecksum::default();
        checksum.update(head);
        checksum.update(body);
        (header, [&header.encode()[..], head, body, &checksum.trailer()].concat())
    }

    #[test]
    fn a_frame_is_as_long_as_computed() {
        let (header, octets) = frame(b"Return-Path: <>\r\n", b"Subject: x\r\n\r\n");
        assert_eq!(octets.len() as u64, header.frame_octets());
        assert_eq!(verify(&octets), Ok((header, &b"Return-Path: <>\r\nSubject: x\r\n\r\n"[..])));
        assert_eq!(frame_octets(u32::MAX, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(body in proptest::collection::vec(any::<u8>(), 0..80), bit in any::<prop::sample::Index>()) {
            let (_, mut octets) = frame(b"h", &body);
            let bit = bit.index(octets.len() * 8);
            octets[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify(&octets).is_err());
        }

        #[test]
        fn any_cut_is_seen(cut in 0usize..70) {
            let (_, octets) = frame(b"head", b"a body of 20 octets!");
            prop_assert!(verify(&octets[..cut]).is_err());
        }

        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(verify(&octets).is_err());
        }
    }
}
