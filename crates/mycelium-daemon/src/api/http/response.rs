//! PURE. Responses, and how their heads are written.
//!
//! A [`Response`] is made of `tiny_http`'s types. One with extra header fields is written by `tiny_http`
//! (`Response::raw_print`); the polled ones have none and are written here without allocating. Both write the same
//! set of fields.

use std::fmt::{self, Write};
use std::rc::Rc;

use tiny_http::{HTTPVersion, Header, StatusCode};

use crate::api::auth::rate_limit::RateQuota;
use crate::api::places::Place;

/// Value of the `Server` field.
pub const SERVER_NAME: &str = "mycelium-edge";

/// Text of an entity tag, including its quotes.
pub type EntityTag = heapless::String<64>;

/// An entity tag of printable parts; adds the quotes.
pub fn entity_tag(parts: fmt::Arguments<'_>) -> EntityTag {
    let mut tag = EntityTag::new();
    if write!(tag, "\"{parts}\"").is_err() {
        tag.clear();
    }
    tag
}

/// The bytes of a response body.
#[derive(Clone, Debug)]
pub enum ResponseBody {
    Static(&'static [u8]),
    Shared(Rc<[u8]>),
    Owned(Vec<u8>),
}

impl ResponseBody {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

pub const JSON: &str = "application/json";

/// A response, not yet bound to a request.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub etag: Option<EntityTag>,
    /// No cache may store it.
    pub no_store: bool,
    /// Further header fields; rare.
    pub headers: Vec<Header>,
    pub body: ResponseBody,
    /// Held until the response has been written; see `reserve_large_response`.
    pub reservation: Option<Place>,
}

impl Response {
    pub fn new(status: u16, content_type: &'static str, body: ResponseBody) -> Self {
        Self {
            status: StatusCode(status),
            content_type,
            etag: None,
            no_store: true,
            headers: Vec::new(),
            body,
            reservation: None,
        }
    }

    pub fn json(status: u16, text: String) -> Self {
        Self::new(status, JSON, ResponseBody::Owned(text.into_bytes()))
    }

    /// For a client that has this representation already.
    pub fn not_modified(etag: EntityTag) -> Self {
        Self { etag: Some(etag), ..Self::new(304, "", ResponseBody::Static(b"")) }
    }

    pub fn cacheable(mut self) -> Self {
        self.no_store = false;
        self
    }

    pub fn with_etag(mut self, etag: EntityTag) -> Self {
        self.etag = Some(etag);
        self
    }

    /// `name` and `value` must be ASCII without line ends.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let header = Header::from_bytes(name, value);
        self.headers.push(header.expect("field names and values of this server are ASCII"));
        self
    }
}

/// What the head of a response takes from its request.
#[derive(Clone, Copy, Debug)]
pub struct ResponseMeta<'a> {
    pub head_only: bool,
    /// The connection is closed after this response.
    pub close: bool,
    /// IMF-fixdate (RFC 9110 section 5.6.7).
    pub date: &'a str,
    pub request_id: &'a str,
    pub quota: Option<RateQuota>,
}

/// Appends the head of a response; the body follows if [`has_body`].
pub fn write_head(out: &mut Vec<u8>, response: &Response, meta: &ResponseMeta<'_>) {
    // tiny_http writes `Content-Length: 0` on a 304, which RFC 9110 section 8.6 allows only if the 200 would be
    // empty, and omits the Upgrade field that a 426 must have.
    if response.headers.is_empty() || matches!(response.status.0, 304 | 426) {
        write_plain(out, response, meta);
    } else {
        write_with_tiny_http(out, response, meta);
    }
    write_request_fields(out, meta);
}

/// Whether body bytes follow the head.
pub fn has_body(response: &Response, meta: &ResponseMeta<'_>) -> bool {
    !meta.head_only && response.status.0 != 304
}

fn write_plain(out: &mut Vec<u8>, response: &Response, meta: &ResponseMeta<'_>) {
    match response.status.0 {
        200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        status => {
            out.extend_from_slice(b"HTTP/1.1 ");
            write_integer(out, u64::from(status));
            out.push(b' ');
            out.extend_from_slice(response.status.default_reason_phrase().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    write_field(out, "Server", SERVER_NAME);
    write_field(out, "Date", meta.date);
    if let Some(etag) = &response.etag {
        write_field(out, "ETag", etag);
    }
    if response.no_store {
        write_field(out, "Cache-Control", "no-store");
    }
    for header in &response.headers {
        write_field(out, header.field.as_str().as_str(), header.value.as_str());
    }
    if response.status.0 != 304 {
        write_field(out, "Content-Type", response.content_type);
        write_field(out, "X-Content-Type-Options", "nosniff");
        out.extend_from_slice(b"Content-Length: ");
        write_integer(out, response.body.bytes().len() as u64);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_with_tiny_http(out: &mut Vec<u8>, response: &Response, meta: &ResponseMeta<'_>) {
    let header = |name: &str, value: &str| {
        Header::from_bytes(name, value).expect("field names and values of this server are ASCII")
    };
    let mut headers = vec![header("Server", SERVER_NAME), header("Date", meta.date)];
    headers.extend(response.etag.as_ref().map(|etag| header("ETag", etag)));
    if response.no_store {
        headers.push(header("Cache-Control", "no-store"));
    }
    headers.extend(response.headers.iter().cloned());
    headers.push(header("Content-Type", response.content_type));
    headers.push(header("X-Content-Type-Options", "nosniff"));
    let length = response.body.bytes().len();
    let response = tiny_http::Response::new(response.status, headers, std::io::empty(), Some(length), None)
        .with_chunked_threshold(usize::MAX);
    response
        .raw_print(&mut *out, HTTPVersion(1, 1), &[], true, None)
        .expect("writing to a vector cannot fail");
    // Remove the empty line: the fields that depend on the request follow.
    out.truncate(out.len() - 2);
}

/// The fields that depend on the request, and the empty line.
fn write_request_fields(out: &mut Vec<u8>, meta: &ResponseMeta<'_>) {
    write_field(out, "X-Request-Id", meta.request_id);
    write_quota(out, meta.quota);
    if meta.close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What is left of a rate limit, in the fields of draft-ietf-httpapi-ratelimit-headers-10.
pub fn write_quota(out: &mut Vec<u8>, quota: Option<RateQuota>) {
    let Some(quota) = quota else { return };
    out.extend_from_slice(b"RateLimit: \"default\";r=");
    write_integer(out, u64::from(quota.remaining));
    out.extend_from_slice(b";t=");
    write_integer(out, quota.reset_seconds);
    out.extend_from_slice(b"\r\nRateLimit-Policy: \"default\";q=");
    write_integer(out, u64::from(quota.burst));
    out.extend_from_slice(b";w=");
    write_integer(out, quota.window_seconds);
    out.extend_from_slice(b"\r\n");
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break out.extend_from_slice(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(head_only: bool, close: bool) -> ResponseMeta<'static> {
        let quota = RateQuota { burst: 40, window_seconds: 2, remaining: 39, reset_seconds: 1 };
        ResponseMeta {
            head_only,
            close,
            date: "Sun, 06 Nov 1994 08:49:37 GMT",
            request_id: "r-1",
            quota: Some(quota),
        }
    }

    /// The lines of a printed head, sorted: both printers must agree on them.
    fn lines(print: fn(&mut Vec<u8>, &Response, &ResponseMeta<'_>), response: &Response) -> Vec<String> {
        let mut out = Vec::new();
        print(&mut out, response, &meta(false, true));
        let mut lines: Vec<String> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_plain_printer_and_that_of_tiny_http_write_the_same_fields() {
        for status in [200, 202, 404, 431, 503] {
            let body = ResponseBody::Owned(vec![b'x'; 100_000]);
            let response = Response::new(status, JSON, body)
                .with_etag(EntityTag::try_from("\"1\"").unwrap())
                .with_header("Retry-After", "3");
            assert_eq!(lines(write_plain, &response), lines(write_with_tiny_http, &response), "{status}");
        }
    }

    #[test]
    fn a_printed_head_is_what_the_wire_needs_byte_by_byte() {
        let mut out = Vec::new();
        let response = Response::json(200, "{}".to_owned());
        write_head(&mut out, &response, &meta(false, true));
        let want = "HTTP/1.1 200 OK\r\nServer: mycelium-edge\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    Cache-Control: no-store\r\nContent-Type: application/json\r\n\
                    X-Content-Type-Options: nosniff\r\nContent-Length: 2\r\nX-Request-Id: r-1\r\n\
                    RateLimit: \"default\";r=39;t=1\r\nRateLimit-Policy: \"default\";q=40;w=2\r\n\
                    Connection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_304_has_neither_length_nor_type_nor_body() {
        let mut out = Vec::new();
        let response = Response::not_modified(EntityTag::try_from("\"7\"").unwrap());
        write_head(&mut out, &response, &meta(false, false));
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 304 Not Modified\r\n") && text.contains("\r\nETag: \"7\"\r\n"),
            "{text}"
        );
        assert!(!text.contains("Content-"), "{text}");
        assert!(!has_body(&response, &meta(false, false)));
    }

    #[test]
    fn integers_are_printed_to_their_last_digit() {
        for value in [0, 9, 10, 65_536, u64::MAX] {
            let mut out = Vec::new();
            write_integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
