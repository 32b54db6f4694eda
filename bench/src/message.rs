//! Messages, made once.

use bytes::Bytes;
use std::fmt::Write;

/// A message of about `octets` octets with its final dot, as it goes over the wire after DATA. Its text is letters in no
/// order, so that a server that compresses gains nothing.
pub(crate) fn wire(octets: usize) -> Bytes {
    let mut text = text(octets);
    text.push_str(".\r\n");
    text.into()
}

/// A message without the dot.
pub(crate) fn text(octets: usize) -> String {
    let mut text = String::with_capacity(octets + 100);
    text.push_str(
        "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nFrom: Load <load@far.example>\r\nTo: Many <many@bench.example>\r\n\
         Subject: one of many\r\nMessage-ID: <1@far.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n",
    );
    let mut chance = Chance::new(1);
    while text.len() < octets {
        for _ in 0..6 {
            // Sixteen hexadecimal digits: half the entropy of their octets, and never a leading dot.
            write!(text, "{:x}", chance.next()).expect("a string takes everything");
        }
        text.push_str("\r\n");
    }
    text
}

/// Numbers in no order, the same in every run (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One of so many.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).expect("a count fits 64 bits");
        usize::try_from(self.next() % count).expect("it is below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_lines() {
        let message = wire(4096);
        assert!((4096..4400).contains(&message.len()));
        assert!(message.ends_with(b"\r\n.\r\n"));
        let text = String::from_utf8(message.to_vec()).expect("ASCII");
        let lines: Vec<_> = text.split("\r\n").collect();
        assert!(lines.iter().all(|line| line.len() < 998 && !line.contains(['\r', '\n'])));
        assert_eq!(lines.iter().filter(|line| line.starts_with('.')).count(), 1);
    }

    #[test]
    fn chance_reaches_everybody() {
        let mut chance = Chance::new(7);
        let seen: std::collections::BTreeSet<_> = (0..1000).map(|_| chance.below(10)).collect();
        assert_eq!(seen.len(), 10);
    }
}
