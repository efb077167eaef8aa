//! `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3).

use std::time::Duration;

use clockwork::Timestamp;
use http::HeaderMap;
use http::header::RETRY_AFTER;

/// More is nonsense: no API of ours means to be left alone for longer than a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long to wait from `now`; `None` when nothing usable is said: absent, garbled, zero, in the
/// past, longer than a day.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Timestamp::parse_http_date(text)?.since(now),
    };
    (!wait.is_zero() && wait <= LONGEST).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_not() {
        let now = Timestamp::parse("2026-11-21T10:15:00+09:00").unwrap();
        let seconds = |count| Some(Duration::from_secs(count));
        let table = [
            ("30", seconds(30)),
            (" 5 ", seconds(5)),
            ("86400", seconds(86_400)),
            ("Sat, 21 Nov 2026 01:15:30 GMT", seconds(30)),
            ("Sat, 21 Nov 2026 01:14:59 GMT", None),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("86401", None),
            ("99999999999999999999999999", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
