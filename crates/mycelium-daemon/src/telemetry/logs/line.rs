//! PURE. Formats a log record as a line.

use std::fmt::Write;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

use crate::clock::Wall;
use crate::formats::json::JsonObject;

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
        let mut out = String::new();
        for c in self.record.args().to_string().chars() {
            escape(&mut out, c);
        }
        let mut fields = Text(&mut out);
        // The visitor returns no error.
        drop(self.record.key_values().visit(&mut fields));
        if self.suppressed > 0 {
            push(&mut out, format_args!(" ({} more like this were not written)", self.suppressed));
        }
        out
    }

    /// `INFO  [2026-01-02T03:04:05.678Z api] message key=value`
    pub(super) fn text(&self) -> String {
        format!("{:<5} [{} {}] {}\n", self.record.level(), self.at, self.target, self.message())
    }

    /// For journald, which adds the time itself and takes the priority from the prefix: `<6>api: message`
    pub(super) fn journal(&self) -> String {
        let priority = match self.record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        format!("<{priority}>{}: {}\n", self.target, self.message())
    }

    /// One JSON object: timestamp, level, target, message, then the fields.
    pub(super) fn json(&self) -> String {
        let mut out = String::new();
        let mut object = JsonObject::new(&mut out);
        object.display("timestamp", self.at).string("level", self.record.level().as_str());
        object.string("target", self.target);
        object.display("message", self.record.args());
        // The visitor returns no error.
        drop(self.record.key_values().visit(&mut Json(&mut object)));
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

/// ` key=value`, quoted if the value has blanks, quotes or equal signs.
struct Text<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Text<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let text = value.to_string();
        if text.is_empty() {
            return Ok(());
        }
        if text.contains([' ', '"', '=']) || text.chars().any(char::is_control) {
            push(self.0, format_args!(" {key}={text:?}"));
        } else {
            push(self.0, format_args!(" {key}={text}"));
        }
        Ok(())
    }
}

struct Json<'a, 'o>(&'a mut JsonObject<'o>);

/// Keys that fields of a record cannot use: each key is written once per line.
const RESERVED: [&str; 5] = ["timestamp", "level", "target", "message", "suppressed"];

impl<'kvs> VisitSource<'kvs> for Json<'_, '_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let key = key.as_str();
        // An unknown id is an empty string.
        if RESERVED.contains(&key) || value.to_borrowed_str() == Some("") {
            return Ok(());
        }
        if let Some(n) = value.to_u64() {
            self.0.integer(key, n);
        } else if let Some(n) = value.to_i64() {
            self.0.integer(key, n);
        } else if let Some(x) = value.to_f64() {
            self.0.number(key, x);
        } else if let Some(flag) = value.to_bool() {
            self.0.boolean(key, flag);
        } else {
            self.0.display(key, value);
        }
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
}
