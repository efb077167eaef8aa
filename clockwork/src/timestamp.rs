//! A moment, and its calendar date in Seoul.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// Korea keeps one offset all year, so no time zone database is needed.
const SEOUL: UtcOffset = offset!(+9);

const HTTP_DATE: &[time::format_description::BorrowedFormatItem<'static>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A text that is no moment.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// Not RFC 3339.
    #[error("`{text}` is no RFC 3339 date and time such as 2026-11-21T09:00:00+09:00")]
    Rfc3339 {
        /// What was given.
        text: String,
        /// Why it does not parse.
        #[source]
        source: time::error::Parse,
    },
    /// Not the fourteen digits of the carrier.
    #[error("`{text}` is no YYYYMMDDHHMMSS")]
    Compact {
        /// What was given.
        text: String,
    },
}

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// Later than every moment that occurs.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_000_000 - 9 * 3_600_000_000);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From an RFC 3339 text.
    ///
    /// # Errors
    /// [`TimestampError::Rfc3339`] when `text` is no such date.
    pub fn parse(text: &str) -> Result<Timestamp, TimestampError> {
        let moment = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|source| TimestampError::Rfc3339 { text: text.to_owned(), source })?;
        Ok(Timestamp::from_date(moment))
    }

    /// The time from `earlier` to this, zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The date in Seoul, `YYYYMMDD`.
    pub fn seoul_date(self) -> String {
        self.write(format_description!("[year][month][day]"))
    }

    /// The time of day in Seoul, `HHMMSS`.
    pub fn seoul_time(self) -> String {
        self.write(format_description!("[hour][minute][second]"))
    }

    /// Date and time in Seoul, `YYYYMMDDHHMMSS`.
    pub fn seoul_compact(self) -> String {
        self.write(format_description!("[year][month][day][hour][minute][second]"))
    }

    /// From date and time in Seoul, `YYYYMMDDHHMMSS`.
    ///
    /// # Errors
    /// [`TimestampError::Compact`] when `text` is no such date.
    pub fn parse_seoul_compact(text: &str) -> Result<Timestamp, TimestampError> {
        let format = format_description!("[year][month][day][hour][minute][second]");
        PrimitiveDateTime::parse(text, format)
            .map(|moment| Timestamp::from_date(moment.assume_offset(SEOUL)))
            .map_err(|_| TimestampError::Compact { text: text.to_owned() })
    }

    /// As an HTTP date (RFC 9110 §5.6.7), in GMT, whole seconds.
    pub fn http_date(self) -> String {
        let date = self.date().to_offset(UtcOffset::UTC);
        // As in `write`: the format names only parts that every date has.
        date.format(HTTP_DATE).unwrap_or_default()
    }

    /// From an HTTP date, `None` when it is none.
    pub fn parse_http_date(text: &str) -> Option<Timestamp> {
        let moment = PrimitiveDateTime::parse(text, HTTP_DATE).ok()?;
        Some(Timestamp::from_date(moment.assume_utc()))
    }

    fn from_date(moment: OffsetDateTime) -> Timestamp {
        let micros = moment.unix_timestamp_nanos() / 1_000;
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn date(self) -> OffsetDateTime {
        let clamped = self.0.clamp(0, Timestamp::MAX.0);
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(clamped) * 1_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .to_offset(SEOUL)
    }

    fn write(self, format: &(impl time::formatting::Formattable + ?Sized)) -> String {
        // The formats above name only parts that every date has.
        self.date().format(format).unwrap_or_default()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+09:00"
        )))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_in_seoul_begins_nine_hours_before_the_day_in_greenwich() {
        let before = Timestamp::parse("2026-11-21T14:59:59Z").unwrap();
        assert_eq!(before.seoul_date(), "20261121");
        assert_eq!((before + Duration::from_secs(1)).seoul_date(), "20261122");
        assert_eq!((before + Duration::from_secs(1)).seoul_time(), "000000");
        assert_eq!(before.to_string(), "2026-11-21T23:59:59.000+09:00");
    }

    #[test]
    fn compact_dates_and_http_dates_survive_a_round_trip() {
        let moment = Timestamp::parse("2026-11-21T10:15:00+09:00").unwrap();
        assert_eq!(moment.seoul_compact(), "20261121101500");
        assert_eq!(Timestamp::parse_seoul_compact("20261121101500").unwrap(), moment);
        assert_eq!(moment.http_date(), "Sat, 21 Nov 2026 01:15:00 GMT");
        assert_eq!(Timestamp::parse_http_date(&moment.http_date()), Some(moment));
        assert_eq!(Timestamp::parse_http_date("soon"), None);
    }
}
