//! PURE. A JSON writer into one `String`: commas and brackets are always right, objects and arrays close when dropped.

use std::fmt::Write;

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => push(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends the shortest text that reads back as the same `f64`; `null` when not finite.
pub fn write_number(out: &mut String, value: f64) {
    if value.is_finite() {
        push(out, format_args!("{value:?}"));
    } else {
        out.push_str("null");
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

/// An object under construction; the closing brace is written on drop.
pub struct JsonObject<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> JsonObject<'a> {
    pub fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn key(&mut self, key: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        write_string(self.out, key);
        self.out.push(':');
    }

    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        write_string(self.out, value);
        self
    }

    /// The `Display` text of a value, as a string.
    pub fn display(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        self.string(key, &value.to_string())
    }

    pub fn number(&mut self, key: &str, value: f64) -> &mut Self {
        self.key(key);
        write_number(self.out, value);
        self
    }

    pub fn integer(&mut self, key: &str, value: impl Into<i128>) -> &mut Self {
        self.key(key);
        push(self.out, format_args!("{}", value.into()));
        self
    }

    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
        self
    }

    pub fn null(&mut self, key: &str) -> &mut Self {
        self.key(key);
        self.out.push_str("null");
        self
    }

    /// Appends `json`, which must be valid JSON.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key);
        self.out.push_str(json);
        self
    }

    /// Appends `members`, which must be valid members separated by commas, or empty.
    pub fn members(&mut self, members: &str) -> &mut Self {
        if !members.is_empty() {
            if !self.empty {
                self.out.push(',');
            }
            self.empty = false;
            self.out.push_str(members);
        }
        self
    }

    pub fn object(&mut self, key: &str) -> JsonObject<'_> {
        self.key(key);
        JsonObject::new(self.out)
    }

    pub fn array(&mut self, key: &str) -> JsonArray<'_> {
        self.key(key);
        JsonArray::new(self.out)
    }
}

impl Drop for JsonObject<'_> {
    fn drop(&mut self) {
        self.out.push('}');
    }
}

/// An array under construction; the closing bracket is written on drop.
pub struct JsonArray<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> JsonArray<'a> {
    pub fn new(out: &'a mut String) -> Self {
        out.push('[');
        Self { out, empty: true }
    }

    fn next(&mut self) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
    }

    pub fn string(&mut self, value: &str) -> &mut Self {
        self.next();
        write_string(self.out, value);
        self
    }

    pub fn number(&mut self, value: f64) -> &mut Self {
        self.next();
        write_number(self.out, value);
        self
    }

    pub fn integer(&mut self, value: impl Into<i128>) -> &mut Self {
        self.next();
        push(self.out, format_args!("{}", value.into()));
        self
    }

    /// A finite number of any type, shortest.
    pub fn finite(&mut self, value: impl std::fmt::Debug) -> &mut Self {
        self.next();
        push(self.out, format_args!("{value:?}"));
        self
    }

    /// Appends `json`, which must be valid JSON.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.next();
        self.out.push_str(json);
        self
    }

    pub fn object(&mut self) -> JsonObject<'_> {
        self.next();
        JsonObject::new(self.out)
    }

    pub fn array(&mut self) -> JsonArray<'_> {
        self.next();
        JsonArray::new(self.out)
    }
}

impl Drop for JsonArray<'_> {
    fn drop(&mut self) {
        self.out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_are_closed_and_their_text_is_escaped() {
        let mut out = String::new();
        {
            let mut object = JsonObject::new(&mut out);
            object.string("a\"b", "line\nend\u{1}").number("x", 0.1).number("nan", f64::NAN);
            object.integer("n", u64::MAX).boolean("yes", true).null("none").raw("raw", "[]");
            let mut array = object.array("list");
            array.number(1.0).integer(-2);
            array.object().string("k", "v");
            array.array().string("s");
        }
        assert_eq!(
            out,
            "{\"a\\\"b\":\"line\\nend\\u0001\",\"x\":0.1,\"nan\":null,\"n\":18446744073709551615,\"yes\":true,\
             \"none\":null,\"raw\":[],\"list\":[1.0,-2,{\"k\":\"v\"},[\"s\"]]}"
        );
    }
}
