//! PURE. Request targets: paths and query parameters.
//!
//! A path is never normalised. It matches a route byte by byte after its escapes are decoded or it is a 404, so a
//! proxy in front and this server cannot disagree about `//`, `/./` or `/%2e%2e/`.

use std::borrow::Cow;

use tiny_http::Method;

use super::error::{HttpError, reject};
use super::percent::percent_decode;

/// A request target in origin form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTarget<'b> {
    /// Decoded; starts with `/`, or is `*`.
    pub path: Cow<'b, str>,
    /// As sent, without the question mark.
    pub query: Option<&'b str>,
}

/// Origin form, or absolute form as proxies send it; `*` for OPTIONS only.
pub fn parse<'b>(method: &Method, text: &'b str) -> Result<RequestTarget<'b>, HttpError> {
    if !text.bytes().all(|b| b.is_ascii_graphic())
        || text.contains(['#', '\\', '"', '<', '>', '^', '`', '{', '|', '}'])
    {
        return reject(400, "the request target has a character that must be escaped");
    }
    let origin = match text.as_bytes() {
        [b'/', ..] => text,
        b"*" if *method == Method::Options => {
            return Ok(RequestTarget { path: Cow::Borrowed("*"), query: None });
        }
        _ => match absolute(text) {
            Some(origin) => origin,
            None => return reject(400, "the request target is neither a path nor an http URL"),
        },
    };
    let (path, query) = match origin.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    };
    let Some(decoded) = percent_decode(path, false) else {
        return reject(400, "the path has a malformed escape");
    };
    // A decoded slash would make one segment look like two.
    if decoded.len() != path.len() && decoded.matches('/').count() != path.matches('/').count() {
        return reject(400, "the path has an escaped slash");
    }
    Ok(RequestTarget { path: decoded, query })
}

/// What follows the authority of an `http` or `https` URL.
fn absolute(text: &str) -> Option<&str> {
    let scheme_end = text.find("://")?;
    let scheme = &text[..scheme_end];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = &text[scheme_end + 3..];
    let authority = rest.find(['/', '?']).unwrap_or(rest.len());
    match (authority, &rest[authority..]) {
        (0, _) => None,
        (_, "") => Some("/"),
        (_, origin) if origin.starts_with('/') => Some(origin),
        _ => None,
    }
}

/// Query parameters a route may have.
const MAX_PARAMETERS: usize = 4;

/// Which query parameter is invalid, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    pub key: String,
    pub reason: Cow<'static, str>,
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "query parameter `{}` {}", self.key, self.reason)
    }
}

/// The query parameters of a request, each known to its route and given at most once.
#[derive(Debug, Default)]
pub struct QueryParams<'b> {
    pairs: heapless::Vec<(&'static str, Cow<'b, str>), MAX_PARAMETERS>,
}

impl<'b> QueryParams<'b> {
    pub fn parse(text: Option<&'b str>, known: &[&'static str]) -> Result<Self, QueryError> {
        let mut pairs = heapless::Vec::new();
        let text = text.unwrap_or_default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (raw_key, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let shown = || raw_key.chars().take(64).collect();
            let key = percent_decode(raw_key, true)
                .ok_or_else(|| QueryError { key: shown(), reason: "has a malformed escape".into() })?;
            let Some(&key) = known.iter().find(|k| **k == key) else {
                return Err(QueryError { key: shown(), reason: "is not known to this route".into() });
            };
            if pairs.iter().any(|(k, _)| *k == key) {
                return Err(QueryError { key: shown(), reason: "is given twice".into() });
            }
            let value = percent_decode(raw_value, true)
                .ok_or_else(|| QueryError { key: shown(), reason: "has a malformed escape".into() })?;
            pairs
                .push((key, value))
                .map_err(|_| QueryError { key: shown(), reason: "is one parameter too many".into() })?;
        }
        Ok(Self { pairs })
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| *k == key).map(|(_, value)| value.as_ref())
    }

    /// A whole number from `low` to `high`, digits only.
    pub fn integer(&self, key: &'static str, low: u64, high: u64) -> Result<Option<u64>, QueryError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = if digits { text.parse().ok() } else { None };
        match value.filter(|n| (low..=high).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(QueryError {
                key: key.to_owned(),
                reason: format!("must be a whole number from {low} to {high}").into(),
            }),
        }
    }
}
