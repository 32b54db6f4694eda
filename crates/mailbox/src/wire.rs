//! Numbers and texts as octets: what records and rows share.

use mail_types::{
    AccountId, FlagSet, Keyword, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidSet, UidValidity, UnixTime,
};

/// What was wrong with octets that should have been ours.
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

    pub(crate) fn take(&mut self, octets: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(octets).ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number in 1 to 9 octets: seven bits each, low bits first, the ninth octet whole. One form per number.
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(Malformed("a number has too many octets"))
                } else {
                    Ok(number)
                };
            }
        }
        match self.byte()? {
            0 => Err(Malformed("a number has too many octets")),
            last => Ok(number | u64::from(last) << 56),
        }
    }

    pub(crate) fn number32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed("a number is over 32 bits"))
    }

    /// How many things follow, at most `max`.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > max { Err(Malformed("a list is too long")) } else { Ok(count) }
    }

    pub(crate) fn text(&mut self, octets_max: usize) -> Result<&'a str, Malformed> {
        let octets = self.count(octets_max)?;
        std::str::from_utf8(self.take(octets)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(crate) fn account(&mut self) -> Result<AccountId, Malformed> {
        self.array().map(AccountId::from_bytes)
    }

    pub(crate) fn mailbox(&mut self) -> Result<MailboxId, Malformed> {
        self.number32().map(MailboxId::new)
    }

    pub(crate) fn uid(&mut self) -> Result<Uid, Malformed> {
        Uid::new(self.number32()?).ok_or(Malformed("UID zero"))
    }

    pub(crate) fn uid_validity(&mut self) -> Result<UidValidity, Malformed> {
        UidValidity::new(self.number32()?).ok_or(Malformed("UIDVALIDITY zero"))
    }

    pub(crate) fn modseq(&mut self) -> Result<ModSeq, Malformed> {
        ModSeq::new(self.number()?).ok_or(Malformed("MODSEQ zero"))
    }

    pub(crate) fn flags(&mut self) -> Result<FlagSet, Malformed> {
        self.number().map(FlagSet::from_bits)
    }

    /// Zigzag: small either side of the epoch.
    pub(crate) fn time(&mut self) -> Result<UnixTime, Malformed> {
        let zigzag = self.number()?;
        Ok(UnixTime::from_micros((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()))
    }

    pub(crate) fn name(&mut self) -> Result<MailboxName, Malformed> {
        let text = self.text(NAME_OCTETS_MAX)?;
        match MailboxName::parse(text) {
            Ok(name) if name.as_str() == text => Ok(name),
            Ok(_) | Err(_) => Err(Malformed("not a mailbox name")),
        }
    }

    pub(crate) fn keyword(&mut self) -> Result<Keyword, Malformed> {
        Keyword::parse(self.text(KEYWORD_OCTETS_MAX)?).map_err(|_| Malformed("not a keyword"))
    }

    pub(crate) fn special_use(&mut self) -> Result<Option<SpecialUse>, Malformed> {
        match self.byte()? {
            0 => Ok(None),
            number => SpecialUse::from_number(number).map(Some).ok_or(Malformed("an unknown special use")),
        }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("neither yes nor no")),
        }
    }

    /// Ranges as the gap to the one before and the length; only the one sorted, merged form is read.
    pub(crate) fn uid_set(&mut self, ranges_max: usize) -> Result<UidSet, Malformed> {
        let count = self.count(ranges_max)?;
        let mut ranges = Vec::with_capacity(count.min(self.rest.len()));
        let mut before = 0u32;
        for at in 0..count {
            let (gap, more) = (self.number32()?, self.number32()?);
            if gap < if at == 0 { 1 } else { 2 } {
                return Err(Malformed("UIDs are not sorted and merged"));
            }
            let range = before.checked_add(gap).and_then(|first| Some((first, first.checked_add(more)?)));
            let (first, last) = range.ok_or(Malformed("a UID is over 32 bits"))?;
            let (Some(from), Some(to)) = (Uid::new(first), Uid::new(last)) else { return Err(Malformed("UID zero")) };
            ranges.push((from, to));
            before = last;
        }
        Ok(UidSet::from_ranges(ranges))
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("octets follow")) }
    }
}

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    for _ in 0..8 {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
    let [last, ..] = number.to_le_bytes();
    out.push(last);
}

pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(out, u64::try_from(count).expect("a count has at most 64 bits"));
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_time(out: &mut Vec<u8>, time: UnixTime) {
    let micros = time.micros();
    put_number(out, ((micros << 1) ^ (micros >> 63)).cast_unsigned());
}

pub(crate) fn put_special_use(out: &mut Vec<u8>, special_use: Option<SpecialUse>) {
    out.push(special_use.map_or(0, |known| known as u8));
}

pub(crate) fn put_uid_set(out: &mut Vec<u8>, uids: &UidSet) {
    put_count(out, uids.ranges().len());
    let mut before = 0;
    for (first, last) in uids.ranges() {
        put_number(out, u64::from(first.number() - before));
        put_number(out, u64::from(last.number() - first.number()));
        before = last.number();
    }
}

/// Octets of a mailbox name, as `mail_types` bounds it.
const NAME_OCTETS_MAX: usize = 255;
/// Octets of a keyword, as `mail_types` bounds it.
const KEYWORD_OCTETS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_have_one_form(number in any::<u64>(), shift in 0u32..64) {
            let number = number >> shift;
            let mut out = Vec::new();
            put_number(&mut out, number);
            prop_assert!(out.len() <= 9);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(octets in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&octets);
            if let Ok(number) = reader.number() {
                let read = octets.len() - reader.rest.len();
                let mut out = Vec::new();
                put_number(&mut out, number);
                prop_assert_eq!(&out[..], &octets[..read]);
            }
        }

        #[test]
        fn times_either_side_of_the_epoch(micros in any::<i64>()) {
            let mut out = Vec::new();
            put_time(&mut out, UnixTime::from_micros(micros));
            prop_assert_eq!(Reader::new(&out).time(), Ok(UnixTime::from_micros(micros)));
        }
    }

    #[test]
    fn unsorted_uids_are_refused() {
        // Two ranges that touch: 1:2 and 3.
        assert!(Reader::new(&[2, 1, 1, 1, 0]).uid_set(9).is_err());
        assert!(Reader::new(&[2, 1, 1, 2, 0]).uid_set(9).is_ok());
        assert!(Reader::new(&[2, 1, 1, 2, 0]).uid_set(1).is_err());
        assert!(Reader::new(&[1, 0, 1]).uid_set(9).is_err());
    }
}
