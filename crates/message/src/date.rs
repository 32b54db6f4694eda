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
