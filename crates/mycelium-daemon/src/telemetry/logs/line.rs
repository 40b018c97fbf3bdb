//! PURE. Formats a log record as a line.

use std::fmt::Write;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

use super::shortened::Shortened;
use crate::clock::Wall;
use crate::formats::json::JsonObject;

/// Longest line, in bytes with its line break, whatever a client or library has put into it.
pub const MAX_LINE_BYTES: usize = 1024;
/// Of these, what time, level, target and the count of suppressed lines may take.
const FRAME_BYTES: usize = 256;
/// Of these, what is kept for the fields of a long message: an id of a request, trace, span or endpoint.
const FIELDS_BYTES: usize = 256;
/// Longest target of a library.
const MAX_TARGET_BYTES: usize = 64;

/// A line before it is formatted.
pub(super) struct Line<'a, 'r> {
    pub(super) record: &'a Record<'r>,
    /// Target as it is written.
    pub(super) target: &'a str,
    pub(super) at: Wall,
    /// Lines of the same source that were suppressed since the last one that was written.
    pub(super) suppressed: u64,
}

impl Line<'_, '_> {
    /// Message and fields, without level, target and time; line breaks are escaped, so that one record is one
    /// line whatever it quotes.
    pub(super) fn message(&self) -> String {
        let mut left = MAX_LINE_BYTES - FRAME_BYTES;
        let message = Shortened::new(self.record.args(), left - FIELDS_BYTES, escaped_len);
        left -= message.cost;
        let mut out = String::new();
        for c in message.text.chars() {
            escape(&mut out, c);
        }
        // The visitor returns no error.
        drop(self.record.key_values().visit(&mut Text { out: &mut out, left }));
        if self.suppressed > 0 {
            push(&mut out, format_args!(" ({} more like this were not written)", self.suppressed));
        }
        out
    }

    fn short_target(&self) -> &str {
        &self.target[..self.target.floor_char_boundary(MAX_TARGET_BYTES)]
    }

    /// `INFO  [2026-01-02T03:04:05.678Z api] message key=value`
    pub(super) fn text(&self) -> String {
        format!("{:<5} [{} {}] {}\n", self.record.level(), self.at, self.short_target(), self.message())
    }

    /// For journald, which adds the time itself and takes the priority from the prefix: `<6>api: message`
    pub(super) fn journal(&self) -> String {
        let priority = match self.record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        format!("<{priority}>{}: {}\n", self.short_target(), self.message())
    }

    /// One JSON object: timestamp, level, target, message, then the fields.
    pub(super) fn json(&self) -> String {
        let mut left = MAX_LINE_BYTES - FRAME_BYTES;
        let message = Shortened::new(self.record.args(), left - FIELDS_BYTES, json_len);
        left -= message.cost;
        let mut out = String::new();
        let mut object = JsonObject::new(&mut out);
        object.display("timestamp", self.at).string("level", self.record.level().as_str());
        object.string("target", self.short_target());
        object.string("message", &message.text);
        // The visitor returns no error.
        drop(self.record.key_values().visit(&mut Json { object: &mut object, left }));
        if self.suppressed > 0 {
            object.integer("suppressed", self.suppressed);
        }
        drop(object);
        out.push('\n');
        out
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

fn escape(out: &mut String, c: char) {
    if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
}

/// Bytes of a character in a line of text.
fn escaped_len(c: char) -> usize {
    if c.is_control() { c.escape_default().len() } else { c.len_utf8() }
}

/// Bytes of a character in a quoted value of a line of text.
fn quoted_len(c: char) -> usize {
    c.escape_debug().map(char::len_utf8).sum()
}

/// Bytes of a character in a JSON string.
fn json_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c < ' ' || c == '\u{7f}' => 6,
        c => c.len_utf8(),
    }
}

/// Takes the share of a field with this key from what is `left` of the line; `None` where it does not fit.
fn share(left: usize, key: &str) -> Option<usize> {
    let frame = key.len() + r#","":"""#.len();
    left.checked_sub(frame).filter(|&value| value > Shortened::SUFFIX_BYTES)
}

/// ` key=value`, quoted if the value has blanks, quotes or equal signs.
struct Text<'a> {
    out: &'a mut String,
    /// Bytes of the line that fields may still take.
    left: usize,
}

impl<'kvs> VisitSource<'kvs> for Text<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let Some(limit) = share(self.left, key.as_str()) else { return Ok(()) };
        let Shortened { text, cost } = Shortened::new(value, limit, quoted_len);
        if text.is_empty() {
            return Ok(());
        }
        self.left = limit - cost;
        if text.contains([' ', '"', '=']) || text.chars().any(char::is_control) {
            push(self.out, format_args!(" {key}={text:?}"));
        } else {
            push(self.out, format_args!(" {key}={text}"));
        }
        Ok(())
    }
}

struct Json<'a, 'o> {
    object: &'a mut JsonObject<'o>,
    /// Bytes of the line that fields may still take.
    left: usize,
}

/// Keys that fields of a record cannot use: each key is written once per line.
const RESERVED: [&str; 5] = ["timestamp", "level", "target", "message", "suppressed"];

impl<'kvs> VisitSource<'kvs> for Json<'_, '_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let key = key.as_str();
        // An unknown id is an empty string.
        if RESERVED.contains(&key) || value.to_borrowed_str() == Some("") {
            return Ok(());
        }
        let Some(limit) = share(self.left, key) else { return Ok(()) };
        // A number takes less than a suffix.
        let mut cost = Shortened::SUFFIX_BYTES;
        if let Some(n) = value.to_u64() {
            self.object.integer(key, n);
        } else if let Some(n) = value.to_i64() {
            self.object.integer(key, n);
        } else if let Some(x) = value.to_f64() {
            self.object.number(key, x);
        } else if let Some(flag) = value.to_bool() {
            self.object.boolean(key, flag);
        } else {
            let shortened = Shortened::new(value, limit, json_len);
            cost = shortened.cost;
            self.object.string(key, &shortened.text);
        }
        self.left = limit - cost;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(level: Level, message: &str, suppressed: u64) -> [String; 3] {
        let fields: &[(&str, Value<'_>)] = &[
            ("request_id", Value::from("a b")),
            ("status", Value::from(503_u64)),
            ("level", Value::from("x")),
        ];
        let mut lines = [String::new(), String::new(), String::new()];
        let args = format_args!("{message}");
        let record = Record::builder().args(args).level(level).key_values(&fields).build();
        let line = Line { record: &record, target: "api", at: Wall(0), suppressed };
        lines[0] = line.text();
        lines[1] = line.journal();
        lines[2] = line.json();
        lines
    }

    #[test]
    fn a_record_is_formatted_as_text_for_the_journal_and_as_json() {
        let [text, journal, json] = lines(Level::Warn, "cannot write: \"full\"", 0);
        assert_eq!(
            text,
            "WARN  [1970-01-01T00:00:00.000Z api] cannot write: \"full\" request_id=\"a b\" status=503 level=x\n"
        );
        assert_eq!(journal, "<4>api: cannot write: \"full\" request_id=\"a b\" status=503 level=x\n");
        assert_eq!(
            json,
            "{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"level\":\"WARN\",\"target\":\"api\",\
             \"message\":\"cannot write: \\\"full\\\"\",\"request_id\":\"a b\",\"status\":503}\n"
        );
    }

    #[test]
    fn control_characters_from_a_client_do_not_break_the_line() {
        for line in lines(Level::Error, "got \"\r\nERROR [forged]\u{1b}[31m\"", 7) {
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(!line.contains('\u{1b}') && line.contains('7'), "{line}");
        }
    }

    /// Regression: a `ClientHello` with a server name of 60,000 bytes made a line of 360 kB. Seen red without the
    /// limit of messages and values.
    #[test]
    fn a_line_is_cut_at_its_limit_whatever_a_client_puts_into_it() {
        let long = |c: char| std::iter::repeat_n(c, 60_000).collect::<String>();
        let id = "0123456789abcdef".repeat(4);
        for c in ['x', '\u{1}', '"', '\u{7f}', 'ä', '\u{10ffff}', '\n'] {
            for (message, value) in
                [(long(c), "short".to_owned()), ("short".to_owned(), long(c)), (long(c), long(c))]
            {
                let fields: &[(&str, Value<'_>)] = &[
                    ("request_id", Value::from(id.as_str())),
                    ("from", Value::from(value.as_str())),
                    ("status", Value::from(503_u64)),
                ];
                let args = format_args!("{message}");
                let record = Record::builder().args(args).level(Level::Error).key_values(&fields).build();
                let target = long('t');
                let line = Line { record: &record, target: &target, at: Wall(0), suppressed: u64::MAX };
                for text in [line.text(), line.journal(), line.json()] {
                    assert!(text.len() <= MAX_LINE_BYTES, "{} bytes of {c:?}: {text}", text.len());
                    assert!(text.contains(&id), "the id stays: {text}");
                    let length = 60_000 * c.len_utf8();
                    assert!(text.contains(&format!("… ({length} bytes)")), "{text}");
                    assert!(text.contains("18446744073709551615") && text.ends_with('\n'), "{text}");
                }
                assert_eq!(crate::formats::json::check(line.json().trim_end()), Ok(()));
            }
        }
    }
}
