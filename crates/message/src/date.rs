//! Dates (RFC 5322 §3.3), in the obsolete forms too (§4.3).

use crate::lex::Cursor;
use mail_types::Civil;

/// Reads the value of a `Date` field, as its sender's clock and zone had it; `to_unix` never fails on what this gives.
///
/// IMAP compares this day without its zone (RFC 3501 §6.4.4 `SENTBEFORE`). The name of the day is not checked; hyphens
/// between day, month and year, and a missing time or zone (then 00:00:00, +0000), are let through.
pub fn parse_date(value: &[u8]) -> Option<Civil> {
    let mut reader = Reader { cursor: Cursor::new(value) };
    if reader.word().is_some() {
        reader.skip(b',');
    }
    let day = reader.number(2)?.0;
    reader.skip(b'-');
    let month = Civil::month_from_name(std::str::from_utf8(reader.word()?.get(..3)?).ok()?)?;
    reader.skip(b'-');
    let year = reader.year()?;
    let (hour, minute, second) = reader.time()?;
    let part = |number: u32| u8::try_from(number).ok();
    let (day, hour, minute, second) = (part(day)?, part(hour)?, part(minute)?, part(second)?);
    let civil = Civil { year, month, day, hour, minute, second, offset_minutes: reader.zone() };
    civil.to_unix().is_ok().then_some(civil)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, octet: u8) -> bool {
        self.cursor.skip_cfws();
        self.cursor.take(octet)
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        self.cursor.skip_cfws();
        let word = self.cursor.take_while(|octet| octet.is_ascii_alphabetic());
        (!word.is_empty()).then_some(word)
    }

    /// A number and how many digits it has.
    fn number(&mut self, digit_count_max: usize) -> Option<(u32, usize)> {
        self.cursor.skip_cfws();
        let digits = self.cursor.take_while(|octet| octet.is_ascii_digit());
        let fits = (1..=digit_count_max).contains(&digits.len());
        let digits = std::str::from_utf8(digits).ok().filter(|_| fits)?;
        Some((digits.parse().ok()?, digits.len()))
    }

    /// RFC 5322 §4.3: years of two digits are of 1950 to 2049, those of three count from 1900.
    fn year(&mut self) -> Option<i32> {
        let (number, digit_count) = self.number(4)?;
        let year = match digit_count {
            2 if number < 50 => number + 2000,
            2 | 3 => number + 1900,
            _ => number,
        };
        i32::try_from(year).ok()
    }

    fn time(&mut self) -> Option<(u32, u32, u32)> {
        let Some((hour, _)) = self.number(2) else { return Some((0, 0, 0)) };
        let minute = match self.skip(b':') {
            true => self.number(2)?.0,
            false => return None,
        };
        let second = match self.skip(b':') {
            true => self.number(2)?.0,
            false => 0,
        };
        Some((hour, minute, second))
    }

    /// Minutes east of UTC. Zones that nobody knows, military ones included, say nothing (RFC 5322 §4.3).
    fn zone(&mut self) -> i16 {
        self.cursor.skip_cfws();
        let is_east = match self.cursor.peek() {
            Some(b'+') => true,
            Some(b'-') => false,
            _ => return self.word().map_or(0, named_zone),
        };
        self.cursor.bump();
        let minutes = match self.number(4) {
            Some((number, 4)) if number % 100 < 60 && number < 2400 => number / 100 * 60 + number % 100,
            _ => 0,
        };
        let minutes = i16::try_from(minutes).unwrap_or(0);
        if is_east { minutes } else { -minutes }
    }
}

fn named_zone(name: &[u8]) -> i16 {
    let hours = match name.to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    };
    hours * 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_types::UnixTime;
    use proptest::prelude::*;

    fn shown(value: &str) -> Option<String> {
        parse_date(value.as_bytes()).map(|civil| civil.rfc5322())
    }

    #[test]
    fn examples_of_rfc_5322() {
        for (value, expected) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600"),
            ("Tue, 1 Jul 2003 10:52:37 +0200", "Tue, 1 Jul 2003 10:52:37 +0200"),
            (
                "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)",
                "Thu, 13 Feb 1969 23:32:00 -0330",
            ),
            ("21 Nov 97 09:55:06 GMT", "Fri, 21 Nov 1997 09:55:06 +0000"),
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600"),
            ("1 Jan 49 00:00 EST", "Fri, 1 Jan 2049 00:00:00 -0500"),
            ("1 Jan 50 00:00 pdt", "Sun, 1 Jan 1950 00:00:00 -0700"),
            ("1 Jan 103 00:00 Z", "Wed, 1 Jan 2003 00:00:00 +0000"),
            ("1 Jan 2003 00:00 A", "Wed, 1 Jan 2003 00:00:00 +0000"),
            ("Friday, 21-November-1997 09:55:06 +9999", "Fri, 21 Nov 1997 09:55:06 +0000"),
            ("21 Nov 1997", "Fri, 21 Nov 1997 00:00:00 +0000"),
            ("31 Dec 2016 23:59:60 +0000", "Sat, 31 Dec 2016 23:59:60 +0000"),
        ] {
            assert_eq!(shown(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for value in [
            "",
            "Fri,",
            "30 Feb 2003 00:00",
            "1 Foo 2003",
            "1 J\u{e4}n 2003",
            "1 Jan 2003 24:00",
            "1 Jan 2003 9",
            "111 Jan 2003",
            "1 Jan 99999",
            "1 Jan 0000",
            "\0",
            "1 Ja",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_written_date_is_read(secs in 0i64..253_402_300_800, offset in -720i16..=720) {
            let civil = UnixTime::from_secs(secs).civil(offset);
            prop_assume!((1900..=9999).contains(&civil.year));
            prop_assert_eq!(parse_date(civil.rfc5322().as_bytes()), Some(civil));
        }

        #[test]
        fn a_date_read_is_a_time(value in "[A-Za-z]{0,3},? ?[0-9]{0,3} (Jan|Feb|Dec) [0-9]{1,4} [0-9:]{0,8} ?[-+A-Z0-9]{0,5}") {
            prop_assert!(parse_date(value.as_bytes()).is_none_or(|civil| civil.to_unix().is_ok()));
        }
    }
}
