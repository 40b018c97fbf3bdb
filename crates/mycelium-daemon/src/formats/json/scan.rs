//! PURE. The tokens of JSON: position, path and literals of the strict reader.

use std::borrow::Cow;

use super::schema::{JsonError, JsonErrorKind};

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 16;

/// Characters of a key that an error message repeats; the client chooses how long its keys are.
const MAX_QUOTED_KEY_CHARS: usize = 64;

/// One part of the path to a value.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

/// A position in the text, and how it got there.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) path: heapless::Vec<Step<'a>, MAX_DEPTH>,
    /// The normalised copy, if one is wanted.
    pub(super) plain: Option<&'a mut String>,
}

impl<'a> Scan<'a> {
    pub(super) fn refused(&self, reason: JsonErrorKind) -> JsonError {
        self.refused_at(self.at, reason)
    }

    pub(super) fn refused_at(&self, at: usize, reason: JsonErrorKind) -> JsonError {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.extend(key.chars().take(MAX_QUOTED_KEY_CHARS).flat_map(char::escape_debug));
                }
                Step::Index(k) => path.extend(["[", &k.to_string(), "]"]),
            }
        }
        JsonError { path, at, reason }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn emit(&mut self, text: &str) {
        if let Some(plain) = &mut self.plain {
            plain.push_str(text);
        }
    }

    pub(super) fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), JsonError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.refused(JsonErrorKind::Syntax(name))),
            None => Err(self.refused(JsonErrorKind::UnexpectedEnd)),
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match (self.at == start, self.peek()) {
            (false, _) => Ok(()),
            (true, None) => Err(self.refused(JsonErrorKind::UnexpectedEnd)),
            (true, Some(_)) => Err(self.refused(JsonErrorKind::Syntax("a digit"))),
        }
    }

    /// Scans a number; returns whether it is written as a whole number.
    pub(super) fn number_literal(&mut self) -> Result<bool, JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.refused(JsonErrorKind::Syntax("the end of a number that starts with 0")));
            }
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(whole)
    }

    /// Scans a string literal; returns the text between its quotes, escapes included.
    pub(super) fn string(&mut self) -> Result<&'a str, JsonError> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        loop {
            match self.peek() {
                None => return Err(self.refused(JsonErrorKind::UnexpectedEnd)),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => {
                    return Err(
                        self.refused(JsonErrorKind::Syntax("an escape instead of a control character"))
                    );
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(&self.text[start..self.at - 1])
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            None => Err(self.refused(JsonErrorKind::UnexpectedEnd)),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.hex()? {
                0xdc00..=0xdfff => Err(self.refused_at(start, JsonErrorKind::Surrogate)),
                0xd800..=0xdbff => {
                    if !self.bytes[self.at..].starts_with(b"\\u") {
                        return Err(self.refused_at(start, JsonErrorKind::Surrogate));
                    }
                    self.at += 1;
                    match self.hex()? {
                        0xdc00..=0xdfff => Ok(()),
                        _ => Err(self.refused_at(start, JsonErrorKind::Surrogate)),
                    }
                }
                _ => Ok(()),
            },
            Some(_) => Err(self.refused(JsonErrorKind::Syntax("one of \"\\/bfnrtu after a backslash"))),
        }
    }

    /// Scans `u` and four hex digits.
    fn hex(&mut self) -> Result<u16, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().ok_or_else(|| self.refused(JsonErrorKind::UnexpectedEnd))?;
            let digit = (digit as char)
                .to_digit(16)
                .ok_or_else(|| self.refused(JsonErrorKind::Syntax("a hex digit")))?;
            code = code << 4 | digit as u16;
            self.at += 1;
        }
        Ok(code)
    }

    pub(super) fn enter(&mut self, step: Step<'a>) -> Result<(), JsonError> {
        self.path.push(step).map_err(|_| self.refused(JsonErrorKind::Depth))
    }
}
