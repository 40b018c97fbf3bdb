//! Where HTTP requests go and what they carry, valid by construction.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mycelium_core::range::{Interval, OutOfRange};
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::checks::RangeChecks;

/// Custom headers of one target.
const MAX_HEADERS: usize = 16;
const MAX_URL_BYTES: usize = 2048;
const MAX_HEADER_VALUE_BYTES: usize = 4096;

/// Headers that the client sets itself.
const RESERVED_HEADERS: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// A URL and how to ask it.
#[derive(Clone, PartialEq)]
pub struct HttpTarget {
    /// `http` or `https`, without user info. Path and query may be secret: only [`HttpTarget::origin`] is shown.
    pub url: String,
    /// Custom headers. Values may be secret.
    pub headers: Vec<(String, String)>,
    /// Deadline of one request, from name lookup to the end of the response.
    pub timeout: Duration,
    /// Root certificates in addition to the bundled ones, PEM.
    pub ca_file: Option<PathBuf>,
}

/// A target as it was written.
#[derive(Clone)]
pub struct RawHttpTarget {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub timeout_ms: i64,
    pub ca_file: Option<PathBuf>,
}

impl RawHttpTarget {
    pub const DEFAULT_TIMEOUT_MS: i64 = 15_000;
}

impl Default for RawHttpTarget {
    fn default() -> Self {
        Self { url: String::new(), headers: Vec::new(), timeout_ms: Self::DEFAULT_TIMEOUT_MS, ca_file: None }
    }
}

impl HttpTarget {
    /// Range of `timeout`, milliseconds. The watchdog waits for a request, so it is limited.
    pub const TIMEOUT_MS: Interval = Interval::closed(1.0, 120_000.0);

    /// The target, or every violation. `prefix` names its table, as in `connectors[0]`.
    pub fn checked(prefix: &str, raw: &RawHttpTarget) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = RangeChecks::new(prefix);
        let target = Self::from_raw(raw, &mut checks);
        checks.finish(target)
    }

    /// Valid only if `checks` has no violation afterwards.
    pub fn from_raw(raw: &RawHttpTarget, checks: &mut RangeChecks<'_>) -> Self {
        if let Err(accepted) = check_url(&raw.url) {
            checks.reject("url", format!("{:?}", redacted(&raw.url)), accepted);
        }
        check_headers(&raw.headers, checks);
        Self {
            url: raw.url.clone(),
            headers: raw.headers.clone(),
            timeout: checks.millis("timeout_ms", raw.timeout_ms, Self::TIMEOUT_MS),
            ca_file: raw.ca_file.clone(),
        }
    }

    /// Scheme, host and port of the URL: what may be shown and logged.
    pub fn origin(&self) -> String {
        let Ok(uri) = self.url.parse::<Uri>() else { return "(not a url)".to_owned() };
        let authority = uri.authority().map_or("?", |authority| authority.as_str());
        format!("{}://{authority}", uri.scheme_str().unwrap_or("?"))
    }

    pub fn is_https(&self) -> bool {
        self.url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

/// Prints neither header values nor path and query of the URL.
#[expect(clippy::missing_fields_in_debug, reason = "some of them are secret")]
impl fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpTarget")
            .field("origin", &self.origin())
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

fn check_headers(headers: &[(String, String)], checks: &mut RangeChecks<'_>) {
    if headers.len() > MAX_HEADERS {
        checks.reject("headers", format!("a table of {}", headers.len()), "at most 16 headers");
    }
    for (name, value) in headers {
        let key = format!("headers.{name}");
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            checks.reject(&key, "not a header name", "a name of letters, digits and `-`");
        } else if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            checks.reject(&key, "set by this program", "left out");
        }
        let printable = HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
        if !printable || value.len() > MAX_HEADER_VALUE_BYTES {
            checks.reject(&key, "not a header value", "up to 4096 printable ASCII characters");
        }
    }
}

/// A rejected URL without what may be secret: user name, path and query.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let cut = if host.len() < rest.len() { "/.." } else { "" };
    let host: String = host.rsplit('@').next().unwrap_or_default().chars().take(80).collect();
    if scheme.is_empty() { format!("{host}{cut}") } else { format!("{scheme}://{host}{cut}") }
}

/// The error says what would be accepted.
fn check_url(url: &str) -> Result<(), &'static str> {
    if url.len() > MAX_URL_BYTES {
        return Err("at most 2048 bytes long");
    }
    if url.contains('#') {
        return Err("without a fragment (`#..`): it would never be sent");
    }
    let uri: Uri = url.parse().map_err(|_| "an absolute url such as https://example.org/hook")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("a url that begins with http:// or https://");
    }
    let authority = uri.authority().ok_or("a url with a host")?;
    if authority.as_str().contains('@') {
        return Err("without a user name: put credentials into `headers`");
    }
    if authority.host().is_empty() {
        return Err("a url with a host");
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("a url with a port from 1 to 65535");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cannot_be_requested_are_rejected_with_a_remedy() {
        let rows = [
            ("https://example.org/hook", "", "plain"),
            ("http://127.0.0.1:8080", "", "address and port"),
            ("https://[::1]:8443/x?y=z", "", "IPv6 and query"),
            ("ftp://example.org/", "http://", "other scheme"),
            ("example.org/hook", "absolute url", "no scheme"),
            ("/hook", "begins with http", "no host"),
            ("https:///hook", "absolute url", "empty host"),
            ("https://user:pw@example.org/", "without a user name", "user info"),
            ("https://example.org/#top", "fragment", "fragment"),
            ("https://example.org:0/", "port from 1", "port 0"),
            ("https://example.org:99999/", "port from 1", "port too high"),
            ("https://exa mple.org/", "absolute url", "space"),
            ("", "absolute url", "empty"),
        ];
        for (url, want, why) in rows {
            let got =
                HttpTarget::checked("x", &RawHttpTarget { url: url.into(), ..RawHttpTarget::default() });
            let got: Vec<String> = got.err().into_iter().flatten().map(|e| e.to_string()).collect();
            match want {
                "" => assert_eq!(got, Vec::<String>::new(), "{why}"),
                want => assert!(got.len() == 1 && got[0].contains(want), "{why}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_rejected_url_is_shown_without_path_and_user_name() {
        let token = "tok-5f2e";
        for url in [format!("ftp://example.org/{token}"), format!("https://u:{token}@example.org/{token}")] {
            let rejected =
                HttpTarget::checked("x", &RawHttpTarget { url, ..RawHttpTarget::default() }).unwrap_err();
            let text = rejected[0].to_string();
            assert!(!text.contains(token) && text.contains("example.org"), "{text}");
        }
    }
}
