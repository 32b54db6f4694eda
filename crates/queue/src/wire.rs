//! Fields of records: numbers little-endian, texts behind their length in two octets.

use mail_types::UnixTime;

/// What is wrong with octets that should have been ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Takes octets apart from the front.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn time(&mut self) -> Result<UnixTime, Malformed> {
        self.array().map(i64::from_le_bytes).map(UnixTime::from_micros)
    }

    /// How many things follow, 1 to `max`.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Malformed> {
        let count = usize::from(self.u16()?);
        if (1..=max).contains(&count) { Ok(count) } else { Err(Malformed("a list is empty or too long")) }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let octets = usize::from(self.u16()?);
        let (taken, rest) = self.rest.split_at_checked(octets).ok_or(Malformed("cut short"))?;
        self.rest = rest;
        std::str::from_utf8(taken).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("something follows")) }
    }
}

pub(crate) fn put_time(out: &mut Vec<u8>, time: UnixTime) {
    out.extend_from_slice(&time.micros().to_le_bytes());
}

/// # Panics
/// When the text is over 64 kB: addresses, names and replies have far lower limits.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u16::try_from(count).expect("every list and text of a record has a limit far below 65536");
    out.extend_from_slice(&count.to_le_bytes());
}
