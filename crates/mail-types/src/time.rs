//! Time as data: nobody here asks a clock.

use std::fmt;
use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixTime(i64);

/// A time on a calendar at an offset from UTC, as RFC 5322 §3.3 and IMAP (RFC 9051 §9 `date-time`) write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, 1 to 9999.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60 (a leap second counts as the next second).
    pub second: u8,
    /// Offset from UTC in minutes, east positive.
    pub offset_minutes: i16,
}

/// A date that no calendar has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such date or time")]
pub struct TimeError;

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `span`.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `span`.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// On the calendar at an offset from UTC.
    pub fn civil(self, offset_minutes: i16) -> Civil {
        let local = self.secs() + i64::from(offset_minutes) * 60;
        let (days, rest) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let part = |n: i64| u8::try_from(n).expect("a part of a day is under 60");
        let (hour, minute, second) = (part(rest / 3600), part(rest / 60 % 60), part(rest % 60));
        Civil { year, month, day, hour, minute, second, offset_minutes }
    }
}

impl Civil {
    /// The moment it names.
    pub fn to_unix(self) -> Result<UnixTime, TimeError> {
        let holds = (1..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
            && self.offset_minutes.abs() < 24 * 60;
        if !holds {
            return Err(TimeError);
        }
        let seconds = days_from_civil(self.year, self.month, self.day) * 86_400
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
            - i64::from(self.offset_minutes) * 60;
        Ok(UnixTime::from_secs(seconds))
    }

    /// The month from its English three-letter name, in any case.
    pub fn month_from_name(name: &str) -> Option<u8> {
        let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        u8::try_from(at + 1).ok()
    }

    /// The month's English three-letter name.
    pub fn month_name(&self) -> &'static str {
        MONTHS.get(usize::from(self.month.max(1)) - 1).copied().unwrap_or("Jan")
    }

    /// The day's English three-letter name.
    pub fn weekday_name(&self) -> &'static str {
        // 1970-01-01 was a Thursday.
        let day = (days_from_civil(self.year, self.month, self.day) + 4).rem_euclid(7);
        usize::try_from(day).ok().and_then(|day| WEEKDAYS.get(day)).copied().unwrap_or("Sun")
    }

    /// As in a header: `Fri, 21 Nov 1997 09:55:06 -0600` (RFC 5322 §3.3).
    pub fn rfc5322(&self) -> String {
        let (weekday, month) = (self.weekday_name(), self.month_name());
        let Self { year, day, hour, minute, second, .. } = self;
        format!("{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} {}", self.zone())
    }

    /// As IMAP's `date-time` without its quotes: `17-Jul-1996 02:44:25 -0700` (RFC 9051 §9).
    pub fn imap(&self) -> String {
        let Self { year, day, hour, minute, second, .. } = self;
        format!("{day:2}-{}-{year:04} {hour:02}:{minute:02}:{second:02} {}", self.month_name(), self.zone())
    }

    fn zone(&self) -> String {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil(0);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn days_in_month(year: i32, month: u8) -> u8 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March so that the leap day comes last.
fn days_from_civil(year: i32, month: u8, day: u8) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = u8::try_from(day_of_year - (153 * march_month + 2) / 5 + 1).expect("1 to 31");
    let month = u8::try_from((march_month + 2) % 12 + 1).expect("1 to 12");
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(i32::MAX), month, day)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        let civil = Civil { year: 1997, month: 11, day: 21, hour: 9, minute: 55, second: 6, offset_minutes: -360 };
        let time = civil.to_unix().expect("a date");
        assert_eq!(time.secs(), 880_127_706);
        assert_eq!(civil.rfc5322(), "Fri, 21 Nov 1997 09:55:06 -0600");
        assert_eq!(time.civil(-360), civil);
        assert_eq!(UnixTime::from_secs(951_782_400).to_string(), "2000-02-29T00:00:00Z");
        assert_eq!(UnixTime::from_secs(0).civil(0).imap(), " 1-Jan-1970 00:00:00 +0000");
        assert_eq!(Civil { month: 2, day: 30, ..civil }.to_unix(), Err(TimeError));
    }

    proptest! {
        #[test]
        fn calendar_round_trips(secs in -62_135_596_800i64..253_402_300_800, offset in -720i16..=720) {
            let civil = UnixTime::from_secs(secs).civil(offset);
            if (1..=9999).contains(&civil.year) {
                prop_assert_eq!(civil.to_unix(), Ok(UnixTime::from_secs(secs)));
            }
        }
    }
}
