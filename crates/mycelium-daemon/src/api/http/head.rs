//! PURE. Request heads: bytes in, a checked head or the reason for refusing it out.
//!
//! `httparse` splits the head; what it lets through and a server must not (bare LF, repeated or signed lengths,
//! any transfer coding, a missing or repeated Host) is refused here, before anything looks at the request. After a
//! refusal of this module the connection cannot be trusted to be in step and is closed.

use std::borrow::Cow;

use tiny_http::{HTTPVersion, Method};

use crate::api::http::response::RequestId;
use crate::api::http::target::{self, RequestTarget};

/// Bytes of a request head; also the size of a connection's buffer.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Bytes of a request target.
pub const MAX_TARGET_BYTES: usize = 2 * 1024;
/// Bytes of a request body.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Bytes of bodies that are read at the same time; those of a kilobyte do not count.
pub const MAX_TOTAL_BODY_BYTES: usize = 4 * MAX_BODY_BYTES;
/// Header fields of one request; browsers send about 20.
pub const MAX_FIELDS: usize = 64;
/// Fields `tracestate` may come in; most senders use one.
pub const MAX_TRACESTATE_FIELDS: usize = 4;
/// Bytes of a method; the longest registered one has 17.
const MAX_METHOD_BYTES: usize = 32;

/// A request that is refused before it is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpError {
    pub status: u16,
    pub detail: &'static str,
}

const fn refuse<T>(status: u16, detail: &'static str) -> Result<T, HttpError> {
    Err(HttpError { status, detail })
}

/// Who the client says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'b> {
    None,
    /// Text of `X-API-Key` or of `Authorization: Bearer`.
    Key(&'b [u8]),
    /// More than one, or of another scheme: nobody in particular.
    Unusable,
}

/// A checked request head; borrows the connection's buffer.
#[derive(Clone, Debug)]
pub struct RequestHead<'b> {
    pub method: Method,
    pub target: RequestTarget<'b>,
    pub version: HTTPVersion,
    /// Bytes the head takes in the buffer, the empty line included.
    pub len: usize,
    /// `None` when the field is absent: no body.
    pub content_length: Option<usize>,
    /// The client will send nothing more, or speaks HTTP/1.0.
    pub close: bool,
    pub expects_continue: bool,
    pub credential: Credential<'b>,
    /// The client's own request id when it is a usable one.
    pub request_id: Option<&'b str>,
    pub traceparent: Option<&'b [u8]>,
    /// In the order they came, unused ones empty; more pieces than fit are as good as none.
    pub tracestate: [&'b [u8]; MAX_TRACESTATE_FIELDS],
    pub if_none_match: Option<&'b [u8]>,
    pub accept: Option<&'b [u8]>,
    pub accept_encoding: Option<&'b [u8]>,
    pub content_type: Option<&'b [u8]>,
    pub last_event_id: Option<&'b [u8]>,
    pub upgrade: UpgradeHeaders<'b>,
}

/// What RFC 6455 section 4.2.1 asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpgradeHeaders<'b> {
    pub websocket: bool,
    pub connection: bool,
    pub key: Option<&'b [u8]>,
    pub version: Option<&'b [u8]>,
}

/// Where a whole head stands in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadExtent {
    /// Bytes of empty lines before it.
    blank: usize,
    /// End of its empty line.
    end: usize,
}

/// Looks for a whole head at the start of `buffer`, in one pass; an error once it can no longer become one.
pub fn scan(buffer: &[u8]) -> Result<Option<HeadExtent>, HttpError> {
    let blank = leading_blank_lines(buffer)?;
    let text = &buffer[blank..];
    let mut last = 0;
    let mut line = 0;
    for (k, &byte) in text.iter().enumerate() {
        // LF without CR before it, or CR without LF behind it.
        if (byte == b'\n') != (last == b'\r') {
            return refuse(400, "a line of the request head does not end in CR LF");
        }
        if byte == b'\n' {
            if k == line + 1 {
                return Ok(Some(HeadExtent { blank, end: blank + k + 1 }));
            }
            line = k + 1;
        }
        last = byte;
    }
    check_beginning(text)?;
    if buffer.len() < MAX_HEAD_BYTES { Ok(None) } else { Err(too_long(text)) }
}

/// Whether a whole head stands at the start of `buffer`.
pub fn is_complete(buffer: &[u8]) -> Result<bool, HttpError> {
    Ok(scan(buffer)?.is_some())
}

/// The head at the start of `buffer`; `None` while it is incomplete and may still become one.
pub fn parse_head(buffer: &[u8]) -> Result<Option<RequestHead<'_>>, HttpError> {
    scan(buffer)?.map(|extent| parse(buffer, extent)).transpose()
}

/// The head that [`scan`] has found in the same buffer.
pub fn parse(buffer: &[u8], HeadExtent { blank, end }: HeadExtent) -> Result<RequestHead<'_>, HttpError> {
    let text = &buffer[blank..end];
    if blank + text.len() > MAX_HEAD_BYTES {
        return Err(too_long(text));
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(text) {
        Ok(httparse::Status::Complete(len)) if len == text.len() => {}
        Ok(_) => return refuse(400, "the request head is malformed"),
        Err(error) => return Err(malformed(error, text)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return refuse(400, "the request line is incomplete");
    };
    if method.len() > MAX_METHOD_BYTES {
        return refuse(400, "the method is longer than any method");
    }
    if target.len() > MAX_TARGET_BYTES {
        return refuse(414, "the request target is longer than 2048 bytes");
    }
    let method: Method =
        method.parse().map_err(|()| HttpError { status: 400, detail: "the method is malformed" })?;
    let target = target::parse(&method, target)?;
    let mut head = RequestHead::new(method, target, HTTPVersion(1, minor), blank + text.len());
    let mut repeated = Repeated::default();
    for field in request.headers.iter() {
        head.take(field.name, field.value, &mut repeated)?;
    }
    head.finish(&repeated)?;
    Ok(head)
}

/// The client's request id in a head that [`parse`] refuses: whoever looks for the answer looks for its id.
pub fn request_id(buffer: &[u8], HeadExtent { blank, end }: HeadExtent) -> Option<RequestId> {
    let mut lines = buffer[blank..end].split(|&b| b == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked("x-request-id:".len())?;
        name.eq_ignore_ascii_case(b"x-request-id:").then_some(value.trim_ascii())
    });
    match (lines.next(), lines.next()) {
        (Some(value), None) => RequestId::try_from(valid_request_id(value)?).ok(),
        _ => None,
    }
}

/// RFC 9112 section 2.2 asks to skip an empty line before the request; two are plenty.
fn leading_blank_lines(buffer: &[u8]) -> Result<usize, HttpError> {
    let mut skip = 0;
    while buffer[skip..].starts_with(b"\r\n") {
        skip += 2;
        if skip > 4 {
            return refuse(400, "there are empty lines instead of a request");
        }
    }
    Ok(skip)
}

/// Refuses early what can no longer become a head, such as a TLS greeting on the plain port.
fn check_beginning(text: &[u8]) -> Result<(), HttpError> {
    if text.first().is_some_and(|b| !b.is_ascii_graphic() && *b != b'\r') {
        return refuse(400, "this is not HTTP: is the client speaking TLS to the plain port?");
    }
    let line = text.iter().position(|&b| b == b'\r').unwrap_or(text.len());
    if line > MAX_TARGET_BYTES + MAX_METHOD_BYTES + " HTTP/1.1 ".len() {
        return refuse(414, "the request target is longer than 2048 bytes");
    }
    Ok(())
}

fn too_long(text: &[u8]) -> HttpError {
    if text.contains(&b'\r') {
        HttpError { status: 431, detail: "the request head is longer than 8192 bytes" }
    } else {
        HttpError { status: 414, detail: "the request target is longer than 2048 bytes" }
    }
}

fn malformed(error: httparse::Error, text: &[u8]) -> HttpError {
    let line = text.split(|&b| b == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
    let parts = line.split(|&b| b == b' ').count();
    let other_version = parts == 3
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit());
    let (status, detail) = match error {
        httparse::Error::Version if other_version => (505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
        httparse::Error::TooManyHeaders => (431, "there are more than 64 header fields"),
        httparse::Error::HeaderName => (400, "a header field name is malformed or a line is folded"),
        httparse::Error::HeaderValue => (400, "a header field value has a control character"),
        httparse::Error::Version
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => (400, "the request line is malformed"),
    };
    HttpError { status, detail }
}

/// Fields that must not come twice.
#[derive(Default)]
struct Repeated {
    hosts: usize,
    transfer: bool,
    request_ids: usize,
    expect_unknown: bool,
    /// More pieces of `tracestate` than are kept.
    states: bool,
}

impl<'b> RequestHead<'b> {
    fn new(method: Method, target: RequestTarget<'b>, version: HTTPVersion, len: usize) -> Self {
        Self {
            close: version == HTTPVersion(1, 0),
            method,
            target,
            version,
            len,
            content_length: None,
            expects_continue: false,
            credential: Credential::None,
            request_id: None,
            traceparent: None,
            tracestate: [b""; MAX_TRACESTATE_FIELDS],
            if_none_match: None,
            accept: None,
            accept_encoding: None,
            content_type: None,
            last_event_id: None,
            upgrade: UpgradeHeaders::default(),
        }
    }

    /// Takes note of one field; names are compared without case, most are ignored.
    fn take(&mut self, name: &str, value: &'b [u8], repeated: &mut Repeated) -> Result<(), HttpError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let value = value.trim_ascii();
        match name.len() {
            4 if is("host") => {
                repeated.hosts += 1;
                if !value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]%~".contains(b)) {
                    return refuse(400, "the Host field is malformed");
                }
            }
            // Lists may come in pieces; the first is enough to choose by.
            6 if is("accept") => _ = self.accept.get_or_insert(value),
            6 if is("expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= known;
                repeated.expect_unknown |= !known;
            }
            7 if is("upgrade") => self.upgrade.websocket |= has_token(value, b"websocket"),
            9 if is("x-api-key") => self.claim(Credential::Key(value)),
            10 if is("connection") => {
                self.close |= has_token(value, b"close");
                self.upgrade.connection |= has_token(value, b"upgrade");
            }
            10 if is("tracestate") => match self.tracestate.iter_mut().find(|piece| piece.is_empty()) {
                Some(piece) => *piece = value,
                None => repeated.states = true,
            },
            11 if is("traceparent") => once(&mut self.traceparent, value, "traceparent is given twice")?,
            12 if is("content-type") => once(&mut self.content_type, value, "Content-Type is given twice")?,
            12 if is("x-request-id") => {
                repeated.request_ids += 1;
                self.request_id = valid_request_id(value);
            }
            13 if is("authorization") => self.claim(bearer(value)),
            13 if is("if-none-match") => _ = self.if_none_match.get_or_insert(value),
            13 if is("last-event-id") => {
                once(&mut self.last_event_id, value, "Last-Event-ID is given twice")?;
            }
            14 if is("content-length") => {
                if self.content_length.is_some() {
                    return refuse(400, "Content-Length is given twice");
                }
                self.content_length = Some(length(value)?);
            }
            15 if is("accept-encoding") => self.accept_encoding = Some(value),
            17 if is("transfer-encoding") => repeated.transfer = true,
            17 if is("sec-websocket-key") => {
                once(&mut self.upgrade.key, value, "Sec-WebSocket-Key is given twice")?;
            }
            21 if is("sec-websocket-version") => self.upgrade.version = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn claim(&mut self, credential: Credential<'b>) {
        let first = self.credential == Credential::None;
        self.credential = if first { credential } else { Credential::Unusable };
    }

    fn finish(&mut self, repeated: &Repeated) -> Result<(), HttpError> {
        if repeated.transfer {
            return refuse(501, "transfer codings are not taken on requests: send Content-Length");
        }
        if repeated.hosts > 1 {
            return refuse(400, "Host is given twice");
        }
        if repeated.hosts == 0 && self.version == HTTPVersion(1, 1) {
            return refuse(400, "Host is missing");
        }
        if repeated.expect_unknown {
            return refuse(417, "the only expectation understood is 100-continue");
        }
        if self.content_length > Some(MAX_BODY_BYTES) {
            return refuse(413, "the body is longer than 65536 bytes");
        }
        if repeated.states {
            self.tracestate = [b""; MAX_TRACESTATE_FIELDS];
        }
        if repeated.request_ids > 1 {
            self.request_id = None;
        }
        self.expects_continue &= self.version == HTTPVersion(1, 1) && self.content_length > Some(0);
        Ok(())
    }
}

fn once<'b>(slot: &mut Option<&'b [u8]>, value: &'b [u8], twice: &'static str) -> Result<(), HttpError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => refuse(400, twice),
    }
}

/// Digits only: no sign, no list, no blank, and not more than fit.
fn length(value: &[u8]) -> Result<usize, HttpError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return refuse(400, "Content-Length is not a number of bytes");
    }
    let digits = value.iter().try_fold(0_usize, |n, b| n.checked_mul(10)?.checked_add(usize::from(b - b'0')));
    // More than fits is more than is taken.
    Ok(digits.unwrap_or(usize::MAX))
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

fn bearer(value: &[u8]) -> Credential<'_> {
    match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => Credential::Key(key.trim_ascii()),
        _ => Credential::Unusable,
    }
}

/// 1..=64 of `[A-Za-z0-9._-]`: safe in a header, a log line and a JSON string.
pub fn valid_request_id(value: &[u8]) -> Option<&str> {
    let fits = (1..=64).contains(&value.len())
        && value.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b));
    if fits { std::str::from_utf8(value).ok() } else { None }
}

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

/// A path segment or query value with its escapes decoded; `None` where an escape is broken or the result is no
/// text without control characters.
pub(super) fn percent_decode(text: &str, plus_is_blank: bool) -> Option<Cow<'_, str>> {
    let escaped = text.contains('%') || plus_is_blank && text.contains('+');
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
            b'+' if plus_is_blank => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(Cow::Owned(text))
}
