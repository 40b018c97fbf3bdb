//! PURE. What a `Retry-After` header asks for.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Wall;

/// How long `Retry-After` (RFC 9110, 10.2.3) asks to wait; `None` if it cannot be parsed.
///
/// A date is taken relative to the `Date` of the same response, so a wrong clock on this side does not matter;
/// without `Date`, relative to `wall`. A date in the past is a wait of zero.
pub fn retry_after(value: &str, date: Option<&str>, wall: Wall) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(value)?;
    let now = date.and_then(http_date).unwrap_or(wall);
    Some(Duration::from_millis(u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0)))
}

/// An HTTP date in any of its three forms.
pub fn http_date(text: &str) -> Option<Wall> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let ms = time.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_parsed_and_dates_are_relative_to_the_response() {
        let noon = "Tue, 15 Nov 2039 12:00:00 GMT";
        let later = "Tue, 15 Nov 2039 12:00:30 GMT";
        let unset = Wall(0);
        let right = http_date(noon).unwrap();
        let rows = [
            ("120", None, unset, Some(120), "seconds"),
            (" 7 ", None, unset, Some(7), "spaces around"),
            ("0", None, unset, Some(0), "now"),
            (later, Some(noon), unset, Some(30), "own clock in 1970, relative to the response's date"),
            (later, None, right, Some(30), "no date in the response, relative to the own clock"),
            (noon, Some(later), unset, Some(0), "has passed"),
            ("-3", None, unset, None, "signed"),
            ("1.5", None, unset, None, "fraction"),
            ("soon", None, unset, None, "word"),
            ("", None, unset, None, "empty"),
        ];
        for (value, date, wall, want, why) in rows {
            assert_eq!(retry_after(value, date, wall), want.map(Duration::from_secs), "{why}");
        }
        let huge = retry_after("99999999999999999999999", None, unset).unwrap();
        assert_eq!(huge, Duration::from_secs(u64::MAX), "saturates; the caller clamps it");
    }
}
