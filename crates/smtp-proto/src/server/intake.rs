//! The message as it comes in: cut into chunks, counted, judged.

use super::event::Event;
use crate::dot::{TextFault, TextSink};
use crate::line::{CrlfCheck, LineFault};
use crate::reply::Refusal;
use bytes::BytesMut;

/// Gathers octets into chunks of an exact size, so that any split of the stream gives the same chunks.
#[derive(Debug)]
pub(super) struct Intake {
    buffer: BytesMut,
    /// Full chunks that the role has not been given yet.
    full: Vec<Event>,
    chunk_octets_max: usize,
    room: u64,
    fault: Option<Refusal>,
}

impl Intake {
    pub(super) fn new(chunk_octets_max: usize, size_max: u64) -> Self {
        let chunk_octets_max = chunk_octets_max.max(1);
        Self { buffer: BytesMut::new(), full: Vec::new(), chunk_octets_max, room: size_max, fault: None }
    }

    /// Why the message is refused, once that is known.
    pub(super) fn fault(&self) -> Option<&Refusal> {
        self.fault.as_ref()
    }

    pub(super) fn take_full(&mut self) -> impl Iterator<Item = Event> {
        self.full.drain(..)
    }

    /// The rest, once the message is complete.
    pub(super) fn into_last(self) -> Option<Event> {
        (!self.buffer.is_empty()).then(|| Event::Body(self.buffer.freeze()))
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if self.fault.is_none() {
            self.fault = Some(refusal);
            self.buffer = BytesMut::new();
        }
    }

    fn keep(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer.reserve(octets.len().min(self.chunk_octets_max).max(BUFFER_OCTETS_MIN));
            }
            let room = self.chunk_octets_max - self.buffer.len();
            let (now, later) = octets.split_at(room.min(octets.len()));
            self.buffer.extend_from_slice(now);
            octets = later;
            if self.buffer.len() == self.chunk_octets_max {
                self.full.push(Event::Body(std::mem::take(&mut self.buffer).freeze()));
            }
        }
    }
}

impl TextSink for Intake {
    fn text(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(octets.len());
        let (inside, beyond) = octets.split_at(fits);
        self.keep(inside);
        self.room -= u64::try_from(fits).expect("a length fits 64 bits");
        if !beyond.is_empty() {
            self.refuse(Refusal::TOO_BIG);
        }
    }

    fn fault(&mut self, fault: TextFault) {
        self.refuse(match fault {
            TextFault::Line(LineFault::BareCr) => Refusal::BARE_CR,
            TextFault::Line(LineFault::BareLf) => Refusal::BARE_LF,
            TextFault::LineTooLong => Refusal::TEXT_LINE_TOO_LONG,
        });
    }
}

/// The octets of one BDAT after the other. They are no text with dots, but lines they must be: BINARYMIME is not
/// offered, so RFC 3030 §3 leaves text, and whoever passes it on by DATA must be able to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    check: CrlfCheck,
    /// What of the current chunk is to come.
    pub(super) left: u64,
    /// Whether it is the last.
    pub(super) last: bool,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { check: CrlfCheck::default(), left: 0, last: false }
    }

    /// The next BDAT began.
    pub(super) fn begin(&mut self, octets: u64, last: bool) {
        (self.left, self.last) = (octets, last);
    }

    /// Takes what belongs to this chunk; gives how much that was.
    pub(super) fn take(&mut self, input: &[u8], intake: &mut Intake) -> usize {
        let mine = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let octets = input.get(..mine).unwrap_or_default();
        self.left -= u64::try_from(mine).expect("a length fits 64 bits");
        match self.check.check(octets) {
            Ok(()) => intake.text(octets),
            Err((sound, fault)) => {
                intake.text(octets.get(..sound).unwrap_or_default());
                intake.fault(TextFault::Line(fault));
            }
        }
        if self.left == 0
            && self.last
            && let Err(fault) = self.check.finish()
        {
            intake.fault(TextFault::Line(fault));
        }
        mine
    }
}

/// The first buffer of a message holds what most messages have.
const BUFFER_OCTETS_MIN: usize = 4096;
