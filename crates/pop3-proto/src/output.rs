//! Octets for the client, in order: small pieces gathered, large ones passed on without a copy.

use bytes::Bytes;
use std::collections::VecDeque;

#[derive(Default)]
pub(crate) struct Output {
    ready: VecDeque<Bytes>,
    tail: Vec<u8>,
    octets: usize,
}

/// Below it a copy is cheaper than a piece of its own in the writer's list.
const COPY_OCTETS_MAX: usize = 4096;

impl Output {
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.tail.extend_from_slice(octets);
        self.octets += octets.len();
    }

    pub(crate) fn push_bytes(&mut self, octets: Bytes) {
        if octets.len() <= COPY_OCTETS_MAX {
            return self.push(&octets);
        }
        self.seal();
        self.octets += octets.len();
        self.ready.push_back(octets);
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.seal();
        }
        let Some(octets) = self.ready.pop_front() else {
            // An idle connection holds no buffer.
            self.ready = VecDeque::new();
            return None;
        };
        self.octets -= octets.len();
        Some(octets)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.ready.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }
}
