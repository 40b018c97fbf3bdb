//! PURE. The outer level of a JSON text, as it is written: for what is passed on without being understood.

use std::borrow::Cow;

use super::escape::unescape;
use super::pointer::{after_string, after_value, skip_whitespace};

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonMember<'a> {
    pub key: Cow<'a, str>,
    /// Key and value, as they are written.
    pub text: &'a str,
    /// The value, as it is written.
    pub value: &'a str,
}

/// The members of an object in a text that [`super::check`] accepts; none if it is no object.
pub fn members(object: &str) -> impl Iterator<Item = JsonMember<'_>> {
    let bytes = object.as_bytes();
    let start = skip_whitespace(bytes, 0);
    let mut at = (bytes.get(start) == Some(&b'{')).then(|| skip_whitespace(bytes, start + 1));
    std::iter::from_fn(move || {
        let from = at.filter(|&from| bytes.get(from) == Some(&b'"'))?;
        let end = after_string(bytes, from)?;
        let value = skip_whitespace(bytes, skip_whitespace(bytes, end) + 1);
        let after = after_value(bytes, value)?;
        at = next(bytes, after);
        let key = unescape(object.get(from + 1..end - 1)?);
        Some(JsonMember { key, text: object.get(from..after)?, value: object.get(value..after)? })
    })
}

/// The elements of an array in a text that [`super::check`] accepts, as they are written; none if it is no array.
pub fn elements(array: &str) -> impl Iterator<Item = &str> {
    let bytes = array.as_bytes();
    let start = skip_whitespace(bytes, 0);
    let mut at = (bytes.get(start) == Some(&b'[')).then(|| skip_whitespace(bytes, start + 1));
    std::iter::from_fn(move || {
        let from = at.filter(|&from| bytes.get(from) != Some(&b']'))?;
        let after = after_value(bytes, from)?;
        at = next(bytes, after);
        array.get(from..after)
    })
}

/// The text of a value that is a string.
pub fn text_of(value: &str) -> Option<Cow<'_, str>> {
    Some(unescape(value.strip_prefix('"')?.strip_suffix('"')?))
}

/// Start of what follows the comma after a value that ends before `after`.
fn next(bytes: &[u8], after: usize) -> Option<usize> {
    let comma = skip_whitespace(bytes, after);
    (bytes.get(comma) == Some(&b',')).then(|| skip_whitespace(bytes, comma + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_cut_out_as_they_are_written() {
        let object = r#" { "a\u0062" : [1, {"x":"}"}] ,"c":"d\"," , "e":1e-5 }"#;
        super::super::check(object).unwrap();
        let found: Vec<_> = members(object).map(|m| (m.key.into_owned(), m.text, m.value)).collect();
        let want = [
            ("ab".to_owned(), r#""a\u0062" : [1, {"x":"}"}]"#, r#"[1, {"x":"}"}]"#),
            ("c".to_owned(), r#""c":"d\",""#, r#""d\",""#),
            ("e".to_owned(), r#""e":1e-5"#, "1e-5"),
        ];
        assert_eq!(found, want);
        let array = r#"[ {"a":[]} , "],[" ,null,2]"#;
        assert_eq!(elements(array).collect::<Vec<_>>(), [r#"{"a":[]}"#, r#""],[""#, "null", "2"]);
        for none in ["{}", "[]", " { } ", "[ ]", "1", "null", "\"{\""] {
            assert_eq!((members(none).count(), elements(none).count()), (0, 0), "{none}");
        }
        assert_eq!(text_of(r#""a\nb""#).as_deref(), Some("a\nb"));
        assert_eq!(text_of("1"), None);
    }
}
