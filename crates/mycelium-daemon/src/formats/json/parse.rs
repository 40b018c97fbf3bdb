//! PURE. The strict JSON reader: input is checked in full before a derived parser sees it.
//!
//! `nanoserde` 0.2.1 loops for ever on `{"z":[`, panics on `{"z":}`, ignores unknown keys, keeps the last of duplicate
//! keys, accepts comments and refuses `1e+5`. Therefore the text is first checked against the grammar of RFC 8259 and
//! against a [`JsonSchema`], and the derived parser reads a normalised copy: known keys once, integers as digits, other
//! numbers as the shortest decimal that parses to the same `f64`.
//!
//! Time is linear in the text (n log n for objects of [`JsonSchema::Any`]), memory at most a small multiple of it,
//! recursion at most [`MAX_DEPTH`].

use std::borrow::Cow;
use std::collections::BTreeSet;

use nanoserde::DeJson;

use super::escape::unescape;
use super::scan::{Scan, Step};
use super::schema::{JsonError, JsonErrorKind, JsonSchema, SchemaField};

/// Checks that `text` is one JSON value by the rules of this module.
pub fn check(text: &str) -> Result<(), JsonError> {
    walk(text, &JsonSchema::Any, None)
}

/// Parses a `T` from bytes that match its schema.
pub fn parse<T: DeJson>(bytes: &[u8], schema: &JsonSchema) -> Result<T, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|e| JsonError {
        path: String::new(),
        at: e.valid_up_to(),
        reason: JsonErrorKind::Utf8,
    })?;
    let mut plain = String::with_capacity(text.len() + 16);
    walk(text, schema, Some(&mut plain))?;
    T::deserialize_json(&plain).map_err(|_| JsonError {
        path: String::new(),
        at: 0,
        reason: JsonErrorKind::Mismatch(schema.accepted()),
    })
}

fn walk<'a>(text: &'a str, schema: &JsonSchema, plain: Option<&'a mut String>) -> Result<(), JsonError> {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0, path: heapless::Vec::new(), plain };
    scan.skip_whitespace();
    scan.value(schema)?;
    scan.skip_whitespace();
    if scan.at < scan.bytes.len() {
        return Err(scan.refused(JsonErrorKind::Trailing));
    }
    Ok(())
}

impl<'a> Scan<'a> {
    fn value(&mut self, schema: &JsonSchema) -> Result<(), JsonError> {
        let start = self.at;
        if let JsonSchema::Nullable(of) = schema {
            return match self.peek() {
                Some(b'n') => self.word("null", true, schema),
                _ => self.value(of),
            };
        }
        let mismatch = |scan: &Self| scan.refused_at(start, JsonErrorKind::Mismatch(schema.accepted()));
        match self.peek() {
            None => Err(self.refused(JsonErrorKind::UnexpectedEnd)),
            Some(b'{') => match schema {
                JsonSchema::Any => self.object(None),
                JsonSchema::Record(fields) => self.object(Some(fields)),
                _ => Err(mismatch(self)),
            },
            Some(b'[') => match schema {
                JsonSchema::Any => self.array(&JsonSchema::Any, usize::MAX),
                JsonSchema::List { of, max } => self.array(of, *max),
                _ => Err(mismatch(self)),
            },
            Some(b'"') => {
                let raw = self.string()?;
                match schema {
                    JsonSchema::Any => {}
                    JsonSchema::Text { max } if raw.len() <= *max => {}
                    JsonSchema::Text { max } => {
                        return Err(self.refused_at(start, JsonErrorKind::TooLong(*max)));
                    }
                    _ => return Err(mismatch(self)),
                }
                self.emit("\"");
                self.emit(raw);
                self.emit("\"");
                Ok(())
            }
            Some(b't') => self.word("true", matches!(schema, JsonSchema::Any | JsonSchema::Boolean), schema),
            Some(b'f') => self.word("false", matches!(schema, JsonSchema::Any | JsonSchema::Boolean), schema),
            Some(b'n') => self.word("null", matches!(schema, JsonSchema::Any), schema),
            Some(b'-' | b'0'..=b'9') => self.number(schema),
            Some(_) => Err(self.refused(JsonErrorKind::Syntax("a value"))),
        }
    }

    fn word(&mut self, word: &'static str, fits: bool, schema: &JsonSchema) -> Result<(), JsonError> {
        let rest = &self.bytes[self.at..];
        if !rest.starts_with(word.as_bytes()) {
            let cut = word.as_bytes().starts_with(rest);
            return Err(self.refused(if cut {
                JsonErrorKind::UnexpectedEnd
            } else {
                JsonErrorKind::Syntax("a value")
            }));
        }
        if !fits {
            return Err(self.refused(JsonErrorKind::Mismatch(schema.accepted())));
        }
        self.at += word.len();
        self.emit(word);
        Ok(())
    }

    fn number(&mut self, schema: &JsonSchema) -> Result<(), JsonError> {
        let start = self.at;
        let whole = self.number_literal()?;
        let numeral = &self.text[start..self.at];
        let value: f64 = numeral.parse().expect("the grammar of JSON numbers is within that of Rust's f64");
        if !value.is_finite() {
            return Err(self.refused_at(start, JsonErrorKind::NotFinite));
        }
        let mismatch = |scan: &Self| scan.refused_at(start, JsonErrorKind::Mismatch(schema.accepted()));
        match schema {
            JsonSchema::Any => self.emit(numeral),
            JsonSchema::Number => self.emit(&format!("{value:?}")),
            JsonSchema::Integer { low, high } => {
                let exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
                let integer: Option<i128> =
                    if whole { numeral.parse().ok() } else { exact.then_some(value as i128) };
                let fits = integer.filter(|n| (i128::from(*low)..=i128::from(*high)).contains(n));
                let integer = fits.ok_or_else(|| mismatch(self))?;
                self.emit(&integer.to_string());
            }
            _ => return Err(mismatch(self)),
        }
        Ok(())
    }

    fn array(&mut self, of: &JsonSchema, max: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.emit("[");
        self.enter(Step::Index(0))?;
        self.skip_whitespace();
        let mut len = 0;
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                if len == max {
                    self.path.pop();
                    return Err(self.refused(JsonErrorKind::TooLong(max)));
                }
                *self.path.last_mut().expect("entered above") = Step::Index(len);
                self.value(of)?;
                len += 1;
                self.skip_whitespace();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    _ => break self.expect(b']', "`,` or `]`")?,
                }
                self.emit(",");
                self.skip_whitespace();
            }
        }
        self.path.pop();
        self.emit("]");
        Ok(())
    }

    fn object(&mut self, fields: Option<&'static [SchemaField]>) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        self.emit("{");
        self.enter(Step::Key(Cow::Borrowed("")))?;
        self.skip_whitespace();
        let mut seen = Seen { bits: 0, names: BTreeSet::new() };
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.member(fields, &mut seen)?;
                self.skip_whitespace();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    _ => break self.expect(b'}', "`,` or `}`")?,
                }
                self.emit(",");
                self.skip_whitespace();
            }
        }
        if let Some(missing) = fields.and_then(|fields| seen.missing(fields)) {
            *self.path.last_mut().expect("entered above") = Step::Key(Cow::Borrowed(missing));
            return Err(self.refused_at(start, JsonErrorKind::MissingKey));
        }
        self.path.pop();
        self.emit("}");
        Ok(())
    }

    fn member(
        &mut self,
        fields: Option<&'static [SchemaField]>,
        seen: &mut Seen<'a>,
    ) -> Result<(), JsonError> {
        let start = self.at;
        let raw = match self.peek() {
            Some(b'"') => self.string()?,
            Some(_) => return Err(self.refused(JsonErrorKind::Syntax("a key in quotes"))),
            None => return Err(self.refused(JsonErrorKind::UnexpectedEnd)),
        };
        let key = unescape(raw);
        *self.path.last_mut().expect("the object entered") = Step::Key(key.clone());
        let schema = match fields {
            None if seen.names.insert(key.clone()) => &JsonSchema::Any,
            None => return Err(self.refused_at(start, JsonErrorKind::DuplicateKey)),
            Some(fields) => {
                let Some(k) = fields.iter().position(|field| field.name == key) else {
                    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
                    return Err(self.refused_at(start, JsonErrorKind::UnknownKey(known.join(", "))));
                };
                if seen.bits & 1 << k != 0 {
                    return Err(self.refused_at(start, JsonErrorKind::DuplicateKey));
                }
                seen.bits |= 1 << k;
                &fields[k].schema
            }
        };
        self.emit("\"");
        self.emit(if fields.is_some() { &key } else { raw });
        self.emit("\":");
        self.skip_whitespace();
        self.expect(b':', "`:`")?;
        self.skip_whitespace();
        self.value(schema)
    }
}

/// The keys of one object that were scanned so far.
struct Seen<'a> {
    /// One bit per field of a record, see [`JsonSchema::Record`].
    bits: u64,
    /// Decoded keys of an object without a schema.
    names: BTreeSet<Cow<'a, str>>,
}

impl Seen<'_> {
    fn missing(&self, fields: &'static [SchemaField]) -> Option<&'static str> {
        let absent = fields.iter().enumerate().find(|(k, f)| f.required && self.bits & 1 << k == 0);
        absent.map(|(_, field)| field.name)
    }
}
