//! The client's end of a compressed connection (RFC 4978).

use anyhow::{Context, Result, ensure};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// Both streams, without a header (RFC 4978 §4).
pub(crate) struct Deflated {
    compress: Compress,
    decompress: Decompress,
}

impl Deflated {
    pub(crate) fn new() -> Self {
        Self { compress: Compress::new(Compression::default(), false), decompress: Decompress::new(false) }
    }

    /// What is sent for some bytes, flushed, so that the server can read them all.
    pub(crate) fn deflate(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>> {
        let mut sent = Vec::new();
        loop {
            sent.reserve(ROOM_OCTETS);
            let before = self.compress.total_in();
            self.compress.compress_vec(bytes, &mut sent, FlushCompress::Sync).context("cannot deflate")?;
            bytes = rest_of(bytes, self.compress.total_in() - before);
            // Room that is left says that the flush is complete.
            if bytes.is_empty() && sent.len() < sent.capacity() {
                return Ok(sent);
            }
        }
    }

    /// Adds what came, inflated, to a text.
    pub(crate) fn inflate(&mut self, mut bytes: &[u8], text: &mut Vec<u8>) -> Result<()> {
        loop {
            text.reserve(ROOM_OCTETS);
            let (before, length) = (self.decompress.total_in(), text.len());
            self.decompress.decompress_vec(bytes, text, FlushDecompress::None).context("this is not DEFLATE")?;
            let taken = self.decompress.total_in() - before;
            bytes = rest_of(bytes, taken);
            if bytes.is_empty() && text.len() < text.capacity() {
                return Ok(());
            }
            ensure!(taken > 0 || text.len() > length, "the compressed stream has ended");
        }
    }
}

impl std::fmt::Debug for Deflated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deflated")
    }
}

fn rest_of(bytes: &[u8], taken: u64) -> &[u8] {
    usize::try_from(taken).ok().and_then(|taken| bytes.get(taken..)).unwrap_or_default()
}

const ROOM_OCTETS: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_and_in_pieces() {
        let (mut ours, mut theirs) = (Deflated::new(), Deflated::new());
        let mut text = Vec::new();
        for part in [b"a NOOP\r\n".to_vec(), vec![b'x'; 3 * ROOM_OCTETS], b"b".to_vec()] {
            text.clear();
            for octet in ours.deflate(&part).expect("deflated") {
                theirs.inflate(&[octet], &mut text).expect("inflated");
            }
            assert!(text == part, "{} octets of {}", text.len(), part.len());
        }
        assert!(Deflated::new().inflate(b"* OK no DEFLATE", &mut text).is_err());
    }
}
