//! PURE. JSON Pointer (RFC 6901): finds one value in a text that [`super::check`] has accepted.

use super::MAX_DEPTH;
use super::escape::unescape;

/// What [`JsonPointer::parse`] accepts, in words.
pub const POINTER_RULE: &str =
    "a JSON pointer (RFC 6901) of at most 16 parts and 256 bytes such as /temperature or /sensors/0/value";

/// A path to a value in a JSON text; the empty pointer is the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPointer {
    tokens: Vec<String>,
}

impl JsonPointer {
    /// `None` unless the text is [`POINTER_RULE`].
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { tokens: Vec::new() });
        }
        let rest = text.strip_prefix('/').filter(|_| text.len() <= 256)?;
        let tokens: Option<Vec<String>> = rest.split('/').map(token).collect();
        tokens.filter(|tokens| tokens.len() <= MAX_DEPTH).map(|tokens| Self { tokens })
    }

    /// The parts of the path, unescaped.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The text of the value; `None` if there is none. The result is unspecified for a text that was not checked.
    pub fn find<'a>(&self, checked: &'a str) -> Option<&'a str> {
        let bytes = checked.as_bytes();
        let mut at = skip_whitespace(bytes, 0);
        for token in &self.tokens {
            at = match bytes.get(at)? {
                b'{' => member(checked, at, token)?,
                b'[' => element(bytes, at, index(token)?)?,
                _ => return None,
            };
        }
        let end = after_value(bytes, at)?;
        checked.get(at..end).filter(|value| !value.is_empty())
    }
}

/// Unescapes one part: `~1` is a slash, `~0` a tilde, any other tilde is an error.
fn token(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// An array index: digits without leading zeros. `-`, the element after the last, never exists.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    token.parse().ok().filter(|_| plain)
}

pub(super) fn skip_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Position after the string literal at `at`.
pub(super) fn after_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Position after the value at `at`.
pub(super) fn after_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => after_string(bytes, at),
        b'{' | b'[' => {
            let (mut at, mut depth) = (at, 0_usize);
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = after_string(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            Some(bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n))
        }
    }
}

/// Start of the value of member `name` of the object at `at`.
fn member(text: &str, at: usize, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = skip_whitespace(bytes, at + 1);
    while bytes.get(at) == Some(&b'"') {
        let end = after_string(bytes, at)?;
        let key = text.get(at + 1..end - 1)?;
        let colon = skip_whitespace(bytes, end);
        let value = skip_whitespace(bytes, colon + 1);
        if unescape(key) == name {
            return Some(value);
        }
        at = next(bytes, value)?;
    }
    None
}

/// Start of element `index` of the array at `at`.
fn element(bytes: &[u8], at: usize, index: usize) -> Option<usize> {
    let mut at = skip_whitespace(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        return None;
    }
    for _ in 0..index {
        at = next(bytes, at)?;
    }
    Some(at)
}

/// Start of the element or member after the value at `at`; `None` after the last.
fn next(bytes: &[u8], at: usize) -> Option<usize> {
    let comma = skip_whitespace(bytes, after_value(bytes, at)?);
    (bytes.get(comma) == Some(&b',')).then(|| skip_whitespace(bytes, comma + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(pointer: &str, text: &'a str) -> Option<&'a str> {
        JsonPointer::parse(pointer).unwrap().find(text)
    }

    /// The document and the table of RFC 6901, section 5.
    #[test]
    fn the_examples_of_the_standard_are_found() {
        let text = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4,
            "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;
        super::super::check(text).unwrap();
        let rows = [
            ("", text),
            ("/foo", r#"["bar", "baz"]"#),
            ("/foo/0", "\"bar\""),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ];
        for (pointer, want) in rows {
            assert_eq!(find(pointer, text), Some(want), "{pointer}");
        }
    }

    #[test]
    fn missing_values_and_near_misses_are_not_found() {
        let text = r#" {"a":[1,[2,3],{"b":"x,]}\"y","c":null}],"d":{},"e":[],"\u0066":true} "#;
        super::super::check(text).unwrap();
        let rows = [
            ("/a/1/1", Some("3"), "nested arrays"),
            ("/a/2/b", Some(r#""x,]}\"y""#), "brackets and quotes inside a string"),
            ("/a/2/c", Some("null"), "null is a value"),
            ("/f", Some("true"), "a key written with an escape"),
            ("/a/3", None, "after the last"),
            ("/a/-", None, "the RFC's name for the element after the last"),
            ("/a/01", None, "a leading zero"),
            ("/a/+1", None, "a sign"),
            ("/e/0", None, "an empty array"),
            ("/d/x", None, "an empty object"),
            ("/a/0/x", None, "a number has no members"),
            ("/A", None, "keys have case"),
            ("/a/99999999999999999999999", None, "an index beyond 64 bits"),
        ];
        for (pointer, want, why) in rows {
            assert_eq!(find(pointer, text), want, "{why}");
        }
    }

    #[test]
    fn malformed_pointers_are_refused() {
        let long = format!("/{}", "x".repeat(256));
        let deep = "/a".repeat(17);
        for bad in ["a", "a/b", "#/a", "/~", "/~2", "/a~", long.as_str(), deep.as_str()] {
            assert_eq!(JsonPointer::parse(bad), None, "{bad}");
        }
        assert_eq!(JsonPointer::parse(&"/a".repeat(16)).unwrap().tokens().len(), 16);
    }

    /// Safe even for a text that was not checked.
    #[test]
    fn no_text_and_no_pointer_cause_a_panic() {
        let alphabet = br#"{}[]",:\ 01atu~/n"#;
        for seed in 0..20_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut some = |most| -> String {
                (0..rng.usize(..most)).map(|_| alphabet[rng.usize(..alphabet.len())] as char).collect()
            };
            let (text, path) = (some(40), format!("/{}", some(6)));
            if let Some(pointer) = JsonPointer::parse(&path) {
                let _ = pointer.find(&text);
            }
        }
    }
}
