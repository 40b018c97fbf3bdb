//! PURE. Escape sequences of JSON strings.

use std::borrow::Cow;

/// The text of a string literal that the reader has checked.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(k) = rest.find('\\') {
        out.push_str(&rest[..k]);
        let code = rest.as_bytes()[k + 1];
        rest = &rest[k + 2..];
        match code {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let mut units = [unit(rest), 0];
                rest = &rest[4..];
                let mut len = 1;
                if (0xd800..0xdc00).contains(&units[0]) {
                    units[1] = unit(&rest[2..]);
                    rest = &rest[6..];
                    len = 2;
                }
                out.extend(char::decode_utf16(units[..len].iter().copied()).flatten());
            }
            other => out.push(other as char),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The UTF-16 code unit of four hex digits that the reader has checked.
fn unit(digits: &str) -> u16 {
    u16::from_str_radix(&digits[..4], 16).expect("the literal was checked")
}
