//! PURE. Percent-encoding of paths and queries (RFC 3986 section 2.1).

use std::borrow::Cow;

/// Decodes the escapes of a path or of a query key or value.
///
/// `None` if an escape is malformed, or if the result is not UTF-8 or has a control character.
pub(super) fn percent_decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let escaped = text.contains('%') || plus_is_space && text.contains('+');
    if !escaped {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                let nibble = |b: u8| (b as char).to_digit(16);
                bytes.push((nibble(digits[0])? << 4 | nibble(digits[1])?) as u8);
                rest = tail;
            }
            b'+' if plus_is_space => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(Cow::Owned(text))
}
