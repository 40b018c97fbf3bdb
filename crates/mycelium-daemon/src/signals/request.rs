//! PURE. The samples of one request. It is accepted as a whole or refused with the place of its first fault.

use std::borrow::Cow;

use super::queue::QueuedSample;
use crate::formats::json::{self, JsonError};
use crate::formats::rfc3339::parse_rfc3339;
use mycelium_core::signals::{FUTURE_MS, TIME_RANGE_MS};

/// Samples of one request.
pub const MAX_SAMPLES: usize = 256;
const KEYS: &str = "input, time, value";

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRefusal {
    /// 400 or 422.
    pub status: u16,
    /// Begins with the path of the item.
    pub detail: String,
}

impl From<JsonError> for SampleRefusal {
    fn from(error: JsonError) -> Self {
        Self { status: 400, detail: error.to_string() }
    }
}

fn refuse<T>(path: &str, why: impl std::fmt::Display) -> Result<T, SampleRefusal> {
    Err(SampleRefusal { status: 422, detail: format!("`{path}` {why}") })
}

/// As much of a text as a message repeats.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// The samples of `{"items":[{"input", "time", "value"}]}`. `index_of` finds the number of an input by its name; `now_ms`
/// is the time of samples without one, milliseconds since 1970.
pub fn parse_samples(
    body: &[u8],
    now_ms: i64,
    index_of: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<QueuedSample>, SampleRefusal> {
    let text = str::from_utf8(body).map_err(|e| SampleRefusal {
        status: 400,
        detail: format!("the body is not valid UTF-8 (at byte {})", e.valid_up_to()),
    })?;
    json::check(text)?;
    let mut items = None;
    for member in json::members(text) {
        if member.key != "items" {
            return refuse(&shown(&member.key), "is not a known key; known is items");
        }
        items = Some(member.value);
    }
    let Some(items) = items else {
        return refuse("items", "is missing: send an object {\"items\":[..]}");
    };
    if !items.starts_with('[') {
        return refuse("items", "must be an array");
    }
    let mut samples = Vec::new();
    for (k, item) in json::elements(items).enumerate() {
        let path = format!("items[{k}]");
        if k == MAX_SAMPLES {
            return refuse(&path, format_args!("is one too many: at most {MAX_SAMPLES} are accepted"));
        }
        samples.push(sample(item, &path, now_ms, &index_of)?);
    }
    if samples.is_empty() { refuse("items", "is empty: send at least one sample") } else { Ok(samples) }
}

fn sample(
    item: &str,
    path: &str,
    now_ms: i64,
    index_of: impl Fn(&str) -> Option<usize>,
) -> Result<QueuedSample, SampleRefusal> {
    if !item.starts_with('{') {
        return refuse(path, "must be an object");
    }
    let (mut input, mut t_ms, mut value) = (None, now_ms, None);
    for member in json::members(item) {
        let path = format!("{path}.{}", shown(&member.key));
        match &*member.key {
            "input" => {
                let Some(name) = json::text_of(member.value) else {
                    return refuse(&path, "must be a string");
                };
                let Some(index) = index_of(&name) else {
                    return refuse(
                        &path,
                        format_args!(
                            "is {:?}, which is no configured input; GET /v1/signals has them",
                            shown(&name)
                        ),
                    );
                };
                input = Some(index);
            }
            "time" => t_ms = time(member.value, &path, now_ms)?,
            "value" => {
                let number = member.value.parse().ok().filter(|x: &f64| x.is_finite());
                let Some(number) = number else { return refuse(&path, "must be a finite number") };
                value = Some(number);
            }
            _ => return refuse(&path, format_args!("is not a known key; known are {KEYS}")),
        }
    }
    match (input, value) {
        (Some(input), Some(value)) => Ok(QueuedSample { input, t_ms, value }),
        (None, _) => refuse(&format!("{path}.input"), "is missing"),
        (_, None) => refuse(&format!("{path}.value"), "is missing"),
    }
}

/// A date and time, or milliseconds since 1970.
fn time(value: &str, path: &str, now_ms: i64) -> Result<i64, SampleRefusal> {
    let text: Option<Cow<'_, str>> = json::text_of(value);
    let parsed = match text {
        Some(text) => parse_rfc3339(&text),
        None => value.parse().ok(),
    };
    let Some(t_ms) = parsed.filter(|t_ms| TIME_RANGE_MS.contains(t_ms)) else {
        return refuse(
            path,
            "must be a time such as \"2026-03-01T12:00:00.5Z\", or whole milliseconds since 1970",
        );
    };
    if t_ms > now_ms.saturating_add(FUTURE_MS) {
        return refuse(
            path,
            "is more than a day in the future: set the clock of the sender, or of this device",
        );
    }
    Ok(t_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_362_800_000;

    fn parsed(text: &str) -> Result<Vec<QueuedSample>, SampleRefusal> {
        parse_samples(text.as_bytes(), NOW_MS, |name| ["a", "b"].iter().position(|known| *known == name))
    }

    #[test]
    fn samples_have_their_time_or_that_of_the_request() {
        let text = r#"{"items":[{"input":"b","value":1e-3},{"input":"a","time":"2026-03-01T11:00:00Z","value":-2},
            {"value":0,"input":"a","time":1772362800001}]}"#;
        let of = |input, t_ms, value| QueuedSample { input, t_ms, value };
        let want = [of(1, NOW_MS, 0.001), of(0, NOW_MS, -2.0), of(0, NOW_MS + 1, 0.0)];
        assert_eq!(parsed(text).unwrap()[0], want[0]);
        assert_eq!(parsed(text).unwrap()[2], want[2]);
        assert_eq!(parsed(text).unwrap()[1].value, -2.0);
    }

    #[test]
    fn the_first_fault_is_named_with_its_place() {
        let many = vec![r#"{"input":"a","value":1}"#; MAX_SAMPLES + 1].join(",");
        let item = |members: &str| format!(r#"{{"items":[{{"input":"a","value":1}},{{{members}}}]}}"#);
        let rows = [
            ("{".to_owned(), 400, ""),
            ("[]".to_owned(), 422, "`items` is missing"),
            (r#"{"items":[]}"#.to_owned(), 422, "`items` is empty"),
            (r#"{"items":{}}"#.to_owned(), 422, "`items` must be an array"),
            (r#"{"items":[],"more":1}"#.to_owned(), 422, "`more` is not a known key"),
            (r#"{"items":[1]}"#.to_owned(), 422, "`items[0]` must be an object"),
            (format!(r#"{{"items":[{many}]}}"#), 422, "`items[256]` is one too many"),
            (item(r#""value":1"#), 422, "`items[1].input` is missing"),
            (item(r#""input":"a""#), 422, "`items[1].value` is missing"),
            (
                item(r#""input":"c","value":1"#),
                422,
                "`items[1].input` is \"c\", which is no configured input",
            ),
            (item(r#""input":1,"value":1"#), 422, "`items[1].input` must be a string"),
            (item(r#""input":"a","value":"1""#), 422, "`items[1].value` must be a finite number"),
            (item(r#""input":"a","value":null"#), 422, "`items[1].value` must be a finite number"),
            (item(r#""input":"a","value":NaN"#), 400, ""),
            (item(r#""input":"a","value":1e999"#), 400, ""),
            (item(r#""input":"a","value":1,"time":"noon""#), 422, "`items[1].time` must be a time"),
            (item(r#""input":"a","value":1,"time":1.5"#), 422, "`items[1].time` must be a time"),
            (
                item(r#""input":"a","value":1,"time":"2036-01-01T00:00:00Z""#),
                422,
                "`items[1].time` is more than a day",
            ),
            (item(r#""input":"a","value":1,"unit":"mV""#), 422, "`items[1].unit` is not a known key"),
            (item(r#""input":"a","value":1,"value":2"#), 400, ""),
        ];
        for (text, status, detail) in rows {
            let refusal = parsed(&text).unwrap_err();
            assert!(refusal.status == status && refusal.detail.starts_with(detail), "{text}: {refusal:?}");
        }
    }
}
