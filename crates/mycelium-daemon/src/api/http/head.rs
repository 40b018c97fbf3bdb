//! PURE. Request heads: bytes in; a checked head, or the error to answer with, out.
//!
//! `httparse` splits the head. What it accepts and a server must not (bare LF, repeated or signed lengths, any
//! transfer coding, a missing or repeated Host) is rejected here, before anything else looks at the request. After
//! an error of this module the next request cannot be located, so the connection has to be closed.

use tiny_http::{HTTPVersion, Method};

use super::error::{HttpError, reject};
use super::head_scanner::{HeadExtent, MAX_HEAD_BYTES, MAX_METHOD_BYTES, MAX_TARGET_BYTES, too_long};
use super::request_id::{RequestId, valid_request_id};
use super::target::{self, RequestTarget};
use crate::api::auth::authenticator::Credential;

/// Bytes of a request body.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Header fields of one request; browsers send about 20.
const MAX_FIELDS: usize = 64;
/// Fields `tracestate` may be split into; most senders use one.
const MAX_TRACESTATE_FIELDS: usize = 4;

/// A checked request head; borrows the connection's buffer.
#[derive(Clone, Debug)]
pub struct RequestHead<'b> {
    pub method: Method,
    pub target: RequestTarget<'b>,
    pub version: HTTPVersion,
    /// Bytes the head takes in the buffer, including empty lines before it and the one that ends it.
    pub len: usize,
    /// `None` if the field is absent: no body.
    pub content_length: Option<usize>,
    /// The client asks to close the connection after this request, or speaks HTTP/1.0.
    pub close: bool,
    pub expects_continue: bool,
    pub credential: Credential<'b>,
    /// The client's own request id, if it is valid.
    pub request_id: Option<&'b str>,
    pub traceparent: Option<&'b [u8]>,
    /// In order of arrival, unused entries empty; all empty if there were more fields than entries.
    pub tracestate: [&'b [u8]; MAX_TRACESTATE_FIELDS],
    pub if_none_match: Option<&'b [u8]>,
    pub accept: Option<&'b [u8]>,
    pub accept_encoding: Option<&'b [u8]>,
    pub content_type: Option<&'b [u8]>,
    pub last_event_id: Option<&'b [u8]>,
    /// `None` only with HTTP/1.0.
    pub host: Option<&'b [u8]>,
    pub origin: Option<&'b [u8]>,
    pub upgrade: UpgradeHeaders<'b>,
}

/// The fields of a WebSocket handshake (RFC 6455 section 4.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpgradeHeaders<'b> {
    pub websocket: bool,
    pub connection: bool,
    pub key: Option<&'b [u8]>,
    pub version: Option<&'b [u8]>,
}

/// What has been seen of fields that may occur only once, or not at all.
#[derive(Default)]
struct SingletonHeaders {
    hosts: usize,
    request_ids: usize,
    transfer_encoding: bool,
    unknown_expectation: bool,
    too_many_tracestates: bool,
}

impl<'b> RequestHead<'b> {
    /// Parses the head that [`super::head_scanner::HeadScanner`] has found in the same buffer.
    pub fn parse(buffer: &'b [u8], HeadExtent { start, end }: HeadExtent) -> Result<Self, HttpError> {
        let text = &buffer[start..end];
        if end > MAX_HEAD_BYTES {
            return Err(too_long(text));
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(text) {
            Ok(httparse::Status::Complete(len)) if len == text.len() => {}
            Ok(_) => return reject(400, "the request head is malformed"),
            Err(error) => return Err(malformed(error, text)),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
        else {
            return reject(400, "the request line is incomplete");
        };
        if method.len() > MAX_METHOD_BYTES {
            return reject(400, "the method is longer than any method");
        }
        if target.len() > MAX_TARGET_BYTES {
            return reject(414, "the request target is longer than 2048 bytes");
        }
        let method: Method =
            method.parse().map_err(|()| HttpError { status: 400, detail: "the method is malformed" })?;
        let target = target::parse(&method, target)?;
        let mut head = Self::new(method, target, HTTPVersion(1, minor), end);
        let mut seen = SingletonHeaders::default();
        for field in request.headers.iter() {
            head.add_field(field.name, field.value, &mut seen)?;
        }
        head.finish(&seen)?;
        Ok(head)
    }

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
            host: None,
            origin: None,
            upgrade: UpgradeHeaders::default(),
        }
    }

    /// Stores a field if it is one of those above. Comparing lengths first skips most string comparisons.
    fn add_field(
        &mut self,
        name: &str,
        value: &'b [u8],
        seen: &mut SingletonHeaders,
    ) -> Result<(), HttpError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let value = value.trim_ascii();
        match name.len() {
            4 if is("host") => {
                seen.hosts += 1;
                self.host = Some(value);
                if !value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]%~".contains(b)) {
                    return reject(400, "the Host field is malformed");
                }
            }
            // A list may be split into several fields; the first is enough to choose by.
            6 if is("accept") => _ = self.accept.get_or_insert(value),
            6 if is("origin") => set_once(&mut self.origin, value, "Origin is given twice")?,
            6 if is("expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= known;
                seen.unknown_expectation |= !known;
            }
            7 if is("upgrade") => self.upgrade.websocket |= has_token(value, b"websocket"),
            9 if is("x-api-key") => self.set_credential(Credential::Key(value)),
            10 if is("connection") => {
                self.close |= has_token(value, b"close");
                self.upgrade.connection |= has_token(value, b"upgrade");
            }
            10 if is("tracestate") => match self.tracestate.iter_mut().find(|entry| entry.is_empty()) {
                Some(entry) => *entry = value,
                None => seen.too_many_tracestates = true,
            },
            11 if is("traceparent") => {
                set_once(&mut self.traceparent, value, "traceparent is given twice")?;
            }
            12 if is("content-type") => {
                set_once(&mut self.content_type, value, "Content-Type is given twice")?;
            }
            12 if is("x-request-id") => {
                seen.request_ids += 1;
                self.request_id = valid_request_id(value);
            }
            13 if is("authorization") => self.set_credential(bearer(value)),
            13 if is("if-none-match") => _ = self.if_none_match.get_or_insert(value),
            13 if is("last-event-id") => {
                set_once(&mut self.last_event_id, value, "Last-Event-ID is given twice")?;
            }
            14 if is("content-length") => {
                if self.content_length.is_some() {
                    return reject(400, "Content-Length is given twice");
                }
                self.content_length = Some(parse_length(value)?);
            }
            15 if is("accept-encoding") => self.accept_encoding = Some(value),
            17 if is("transfer-encoding") => seen.transfer_encoding = true,
            17 if is("sec-websocket-key") => {
                set_once(&mut self.upgrade.key, value, "Sec-WebSocket-Key is given twice")?;
            }
            21 if is("sec-websocket-version") => self.upgrade.version = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// A second credential makes both unusable.
    fn set_credential(&mut self, credential: Credential<'b>) {
        let first = self.credential == Credential::None;
        self.credential = if first { credential } else { Credential::Unusable };
    }

    /// Checks what can be decided only after the last field.
    fn finish(&mut self, seen: &SingletonHeaders) -> Result<(), HttpError> {
        if seen.transfer_encoding {
            return reject(501, "transfer codings are not supported on requests: send Content-Length");
        }
        if seen.hosts > 1 {
            return reject(400, "Host is given twice");
        }
        if seen.hosts == 0 && self.version == HTTPVersion(1, 1) {
            return reject(400, "Host is missing");
        }
        if seen.unknown_expectation {
            return reject(417, "the only supported expectation is 100-continue");
        }
        if self.content_length > Some(MAX_BODY_BYTES) {
            return reject(413, "the body is longer than 65536 bytes");
        }
        if seen.too_many_tracestates {
            self.tracestate = [b""; MAX_TRACESTATE_FIELDS];
        }
        if seen.request_ids > 1 {
            self.request_id = None;
        }
        self.expects_continue &= self.version == HTTPVersion(1, 1) && self.content_length > Some(0);
        Ok(())
    }
}

/// The client's request id in a head that [`RequestHead::parse`] has rejected, so that the error can be found by it.
pub fn find_request_id(buffer: &[u8], HeadExtent { start, end }: HeadExtent) -> Option<RequestId> {
    let mut values = buffer[start..end].split(|&b| b == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked("x-request-id:".len())?;
        name.eq_ignore_ascii_case(b"x-request-id:").then_some(value.trim_ascii())
    });
    match (values.next(), values.next()) {
        (Some(value), None) => RequestId::try_from(valid_request_id(value)?).ok(),
        _ => None,
    }
}

/// The status and detail for an error of `httparse`.
fn malformed(error: httparse::Error, text: &[u8]) -> HttpError {
    let line = text.split(|&b| b == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
    let parts = line.split(|&b| b == b' ').count();
    let other_version = parts == 3
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit());
    let (status, detail) = match error {
        httparse::Error::Version if other_version => (505, "only HTTP/1.1 and HTTP/1.0 are supported"),
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

fn set_once<'b>(slot: &mut Option<&'b [u8]>, value: &'b [u8], twice: &'static str) -> Result<(), HttpError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => reject(400, twice),
    }
}

/// Digits only: no sign, no list, no space. A number that overflows becomes the largest, which is over every limit.
fn parse_length(value: &[u8]) -> Result<usize, HttpError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return reject(400, "Content-Length is not a number of bytes");
    }
    let digits = value.iter().try_fold(0_usize, |n, b| n.checked_mul(10)?.checked_add(usize::from(b - b'0')));
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
