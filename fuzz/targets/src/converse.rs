//! A driver for every machine, and the ways in which a stream is cut.

use machine::Machine;
use std::time::Instant;

/// How a stream comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    /// At once.
    Whole,
    /// Octet by octet.
    Octets,
    /// In pieces of 1 to 29 octets that the stream itself decides.
    Pieces,
}

impl Split {
    /// Those that are compared with [`Split::Whole`].
    pub(crate) const OTHERS: [Self; 2] = [Self::Octets, Self::Pieces];

    /// The stream, cut.
    pub(crate) fn cut(self, stream: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![stream],
            Self::Octets => stream.chunks(1).collect(),
            Self::Pieces => pieces(stream),
        }
    }
}

fn pieces(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut state = stream.iter().fold(0u32, |state, octet| state.wrapping_mul(31).wrapping_add(u32::from(*octet)));
    let mut pieces = Vec::new();
    while !stream.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let octets = usize::try_from((state >> 16) % 29 + 1).unwrap_or(1).min(stream.len());
        let (piece, rest) = stream.split_at(octets);
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

/// Drives a machine as `net` does: events, then output, then input while it is wanted, then the end of the stream.
/// Gives all of the output.
pub(crate) fn converse<M: Machine>(
    machine: &mut M,
    now: Instant,
    pieces: &[&[u8]],
    mut on_event: impl FnMut(&mut M, M::Event),
) -> Vec<u8> {
    let (mut output, mut turns, mut ended) = (Vec::new(), 0u64, false);
    let mut pieces = pieces.iter();
    let turns_max = TURNS_MIN + TURNS_PER_OCTET * pieces.clone().map(|piece| piece.len() as u64).sum::<u64>();
    loop {
        turns += 1;
        assert!(turns < turns_max, "the machine goes on without input");
        if let Some(event) = machine.poll_event() {
            on_event(machine, event);
        } else if let Some(octets) = machine.poll_output() {
            assert!(!octets.is_empty(), "output of no octets");
            output.extend_from_slice(&octets);
        } else if ended {
            assert!(machine.is_closed(), "after the end of input nothing is left open");
            return output;
        } else if let Some(piece) = pieces.next().filter(|_| machine.wants_input()) {
            machine.handle_input(now, piece);
        } else {
            assert!(machine.is_closed() || machine.wants_input(), "nobody's turn");
            machine.handle_eof(now);
            ended = true;
        }
    }
}

/// What we write is lines: no lone CR or LF in them, nor NUL.
pub(crate) fn assert_lines(output: &[u8]) {
    assert!(!output.contains(&0), "NUL in the output");
    assert!(output.is_empty() || output.ends_with(b"\r\n"), "the last line has no end");
    assert!(!has_lone_line_end(output), "a lone CR or LF in the output");
}

/// Whether a CR without LF or a LF without CR is in it.
pub(crate) fn has_lone_line_end(octets: &[u8]) -> bool {
    let pairs = || octets.windows(2);
    octets.first() == Some(&b'\n')
        || octets.last() == Some(&b'\r')
        || pairs().any(|pair| matches!(pair, [b'\r', other] if *other != b'\n'))
        || pairs().any(|pair| matches!(pair, [other, b'\n'] if *other != b'\r'))
}

/// Turns that any conversation may have …
const TURNS_MIN: u64 = 1000;
/// … and those that each octet of input may lead to.
const TURNS_PER_OCTET: u64 = 20;
