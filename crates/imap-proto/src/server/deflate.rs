//! COMPRESS=DEFLATE (RFC 4978): what lies between the octets of the connection and those of the protocol.
//!
//! ```text
//!   handle_input ─▶ waiting ─▶ inflate, piece by piece, while the machine wants input ─▶ Input
//!   poll_output  ◀─ deflate, and flush when nothing more is to be said ◀─ Encoder
//! ```
//! A small piece may inflate to a thousand times its size, so no more of it is inflated than the machine is about to
//! read: what is not read yet waits as it came.

use super::input::Input;
use crate::encode::Encoder;
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

#[derive(Debug)]
pub(super) struct Deflate {
    /// Only there while it has something to remember; it takes some 300 kB.
    compress: Option<Compress>,
    decompress: Decompress,
    /// From the peer, not inflated yet.
    waiting: BytesMut,
    /// The last piece was full: the decompressor may hold more.
    full: bool,
    /// What was said before the compression began, and is sent as it is.
    before: Bytes,
    /// Whether something went in since the last flush.
    unflushed: bool,
}

/// What became of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    /// It is in the input.
    Piece,
    /// It was the last: the peer has ended its stream.
    End,
    /// It is no DEFLATE.
    Broken,
}

/// Whether a compressor keeps what it has seen, to refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    Keep,
    /// It will not be needed for long: the peer understands a stream that goes on without it.
    Forget,
}

impl Deflate {
    /// `before` goes out first; `waiting` came behind the command, and so is deflated.
    pub(super) fn new(before: Bytes, waiting: &[u8]) -> Self {
        Self {
            compress: None,
            decompress: Decompress::new(false),
            waiting: BytesMut::from(waiting),
            full: false,
            before,
            unflushed: false,
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether there is something to inflate.
    pub(super) fn has_input(&self) -> bool {
        self.full || !self.waiting.is_empty()
    }

    /// How much waits to be sent as it is.
    pub(super) fn octets(&self) -> usize {
        self.before.len()
    }

    /// Nothing more is read.
    pub(super) fn close(&mut self) {
        self.waiting = BytesMut::new();
        self.full = false;
    }

    /// The next piece, into the input.
    pub(super) fn inflate(&mut self, input: &mut Input) -> Inflated {
        let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
        let mut status = Ok(Status::BufError);
        input.fill(PIECE_OCTETS, |piece| {
            status = self.decompress.decompress(&self.waiting, piece, FlushDecompress::None);
            count(before_out, self.decompress.total_out())
        });
        let (taken, given) =
            (count(before_in, self.decompress.total_in()), count(before_out, self.decompress.total_out()));
        self.waiting.advance(taken);
        self.full = given == PIECE_OCTETS;
        if self.waiting.is_empty() {
            self.waiting = BytesMut::new();
        }
        match status {
            Err(_) => Inflated::Broken,
            Ok(Status::StreamEnd) => Inflated::End,
            // Neither taken nor given, with octets that wait and room for others: it will never go on.
            Ok(_) if taken == 0 && given == 0 && !self.waiting.is_empty() => Inflated::Broken,
            Ok(Status::Ok | Status::BufError) => Inflated::Piece,
        }
    }

    /// The next octets for the peer. At the end of what there is to say it is flushed, for the peer waits for it.
    pub(super) fn poll(&mut self, out: &mut Encoder, history: History) -> Option<Bytes> {
        if !self.before.is_empty() {
            return Some(std::mem::take(&mut self.before));
        }
        let mut deflated = Vec::new();
        while deflated.len() < PIECE_OCTETS
            && let Some(piece) = out.poll()
        {
            self.deflate(&piece, &mut deflated);
        }
        if out.octets() == 0 && std::mem::replace(&mut self.unflushed, false) {
            self.flush(&mut deflated);
            if history == History::Forget {
                self.compress = None;
            }
        }
        (!deflated.is_empty()).then(|| Bytes::from(deflated))
    }

    fn deflate(&mut self, mut piece: &[u8], deflated: &mut Vec<u8>) {
        self.unflushed = true;
        let compress = self.compress.get_or_insert_with(|| Compress::new(LEVEL, false));
        while !piece.is_empty() {
            let before = compress.total_in();
            step(compress, piece, deflated, FlushCompress::None);
            piece = piece.get(count(before, compress.total_in())..).unwrap_or_default();
        }
    }

    fn flush(&mut self, deflated: &mut Vec<u8>) {
        let Some(compress) = &mut self.compress else { return };
        step(compress, &[], deflated, FlushCompress::Sync);
        loop {
            let before = deflated.len();
            step(compress, &[], deflated, FlushCompress::None);
            if deflated.len() == before {
                return;
            }
        }
    }
}

fn step(compress: &mut Compress, piece: &[u8], deflated: &mut Vec<u8>, flush: FlushCompress) {
    deflated.reserve(ROOM_OCTETS);
    // Without a preset dictionary, and with room, there is nothing that a compressor could refuse.
    compress.compress_vec(piece, deflated, flush).expect("a compressor takes every octet");
}

/// How far a counter went within one call.
fn count(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).expect("one call moves no more than memory holds")
}

/// How much is inflated at a time, and of what size output is handed on.
pub(super) const PIECE_OCTETS: usize = 64 << 10;
/// Room for what the compressor gives in one step.
const ROOM_OCTETS: usize = 4 << 10;
/// Mail is text, which gets small at any level; a server has many clients and little time for each.
const LEVEL: Compression = Compression::fast();

#[cfg(test)]
mod tests;
