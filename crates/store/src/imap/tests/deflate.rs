//! A client that compresses (RFC 4978).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The client's ends of both streams.
pub(super) struct Peer {
    compress: Compress,
    decompress: Decompress,
}

impl Default for Peer {
    fn default() -> Self {
        Self { compress: Compress::new(Compression::default(), false), decompress: Decompress::new(false) }
    }
}

impl Peer {
    pub(super) fn deflate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut deflated = Vec::with_capacity(text.len() + 1024);
        self.compress.compress_vec(text, &mut deflated, FlushCompress::Sync).expect("deflated");
        deflated
    }

    pub(super) fn inflate(&mut self, mut octets: &[u8], text: &mut Vec<u8>) {
        loop {
            text.reserve(64 << 10);
            let (before, length) = (self.decompress.total_in(), text.len());
            self.decompress.decompress_vec(octets, text, FlushDecompress::None).expect("DEFLATE");
            octets = &octets[usize::try_from(self.decompress.total_in() - before).expect("small")..];
            if octets.is_empty() && text.len() == length {
                return;
            }
        }
    }
}
