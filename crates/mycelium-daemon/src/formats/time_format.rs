//! PURE. Times of samples in the notations that sensors and tables use.

use mycelium_core::range::string_enum;

use super::json::text_of;
use super::rfc3339::parse_rfc3339;

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// Date, time and offset.
    #[default]
    Rfc3339,
    /// Seconds since 1970 UTC, with any digits after the point.
    UnixS,
    /// Milliseconds since 1970 UTC.
    UnixMs,
}
string_enum!(TimeFormat, "time_format", Rfc3339 = "rfc3339", UnixS = "unix_s", UnixMs = "unix_ms");

impl TimeFormat {
    /// Milliseconds since 1970 UTC. `None` if the text is no time, or beyond what milliseconds of `i64` can be.
    pub fn parse(self, text: &str) -> Option<i64> {
        let scale = match self {
            Self::Rfc3339 => return parse_rfc3339(text),
            Self::UnixS => 1000.0,
            Self::UnixMs => 1.0,
        };
        from_number(text.parse().ok()?, scale)
    }

    /// The same for a value of JSON: a string, or for Unix times a number.
    pub fn parse_json(self, value: &str) -> Option<i64> {
        match text_of(value) {
            Some(text) => self.parse(&text),
            None => self.parse_number(value.parse().ok()?),
        }
    }

    /// The same for a number of JSON; never for `Rfc3339`.
    fn parse_number(self, number: f64) -> Option<i64> {
        match self {
            Self::Rfc3339 => None,
            Self::UnixS => from_number(number, 1000.0),
            Self::UnixMs => from_number(number, 1.0),
        }
    }
}

fn from_number(number: f64, scale: f64) -> Option<i64> {
    let ms = (number * scale).round();
    (ms.abs() < 9e18).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_notation_only() {
        let rows = [
            (TimeFormat::Rfc3339, "2026-03-01T12:00:00.5+01:00", Some(1_772_362_800_500)),
            (TimeFormat::Rfc3339, "1772362800", None),
            (TimeFormat::UnixS, "1772362800.5004", Some(1_772_362_800_500)),
            (TimeFormat::UnixS, "-1", Some(-1_000)),
            (TimeFormat::UnixMs, "1772362800500", Some(1_772_362_800_500)),
            (TimeFormat::UnixMs, "", None),
            (TimeFormat::UnixMs, "NaN", None),
            (TimeFormat::UnixS, "1e300", None),
            (TimeFormat::UnixS, "2026-03-01T12:00:00Z", None),
        ];
        for (format, text, want) in rows {
            assert_eq!(format.parse(text), want, "{format} {text}");
        }
        assert_eq!(TimeFormat::UnixS.parse_number(1.5), Some(1_500));
        assert_eq!(TimeFormat::Rfc3339.parse_number(1.5), None);
    }
}
