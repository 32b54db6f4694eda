//! What waits to be sent.

use crate::reply::Reply;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Small writes gather in one buffer; large ones keep their own.
#[derive(Debug, Default)]
pub(crate) struct Output {
    whole: VecDeque<Bytes>,
    tail: BytesMut,
    octets: usize,
}

impl Output {
    pub(crate) fn reply(&mut self, reply: &Reply) {
        self.write(|tail| reply.encode(tail));
    }

    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.octets += self.tail.len() - before;
    }

    pub(crate) fn bytes(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.octets += bytes.len();
        self.seal();
        self.whole.push_back(bytes);
    }

    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if self.whole.is_empty() {
            self.seal();
        }
        let bytes = self.whole.pop_front()?;
        self.octets -= bytes.len();
        Some(bytes)
    }

    /// How much nobody took yet.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.whole.push_back(self.tail.split().freeze());
        }
    }
}
