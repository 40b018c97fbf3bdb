//! PURE. Values of header fields that more than one route looks at.

/// Whether an `If-None-Match` list names this entity tag, by weak comparison (RFC 9110 section 13.1.2).
pub fn etag_matches(list: Option<&[u8]>, tag: &str) -> bool {
    let same = |item: &[u8]| {
        let item = item.trim_ascii();
        item == b"*" || item.strip_prefix(b"W/").unwrap_or(item) == tag.as_bytes()
    };
    list.is_some_and(|list| list.split(|&b| b == b',').any(same))
}

/// Whether a coding may be sent: named with a weight above zero.
pub fn accepts_coding(list: Option<&[u8]>, coding: &str) -> bool {
    let wanted = |item: &[u8]| {
        let mut parts = item.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.as_bytes()));
        named && !parts.any(|p| matches!(p, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000" | b"Q=0"))
    };
    list.is_some_and(|list| list.split(|&b| b == b',').any(wanted))
}

/// Whether a body is declared as JSON.
pub fn is_json(content_type: Option<&[u8]>) -> bool {
    let media = content_type.and_then(|value| value.split(|&b| b == b';').next());
    media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}
