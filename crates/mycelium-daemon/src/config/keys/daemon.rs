//! PURE. Keys of the HTTP API, the outbox, delivery, connectors, logs and traces.

use core::net::SocketAddr;
use std::time::Duration;

use log::LevelFilter;

use super::spec::DefaultValue::{Absent, Flag, Integer, Number, Text};
use super::spec::{Kind, NAME, integer, keys, range, whole};
use crate::api::{self, Rate, Scope};
use crate::connectors::{self, Connector};
use crate::net::{BreakerPolicy, HttpTarget, RawBreaker};
use crate::telemetry::logs::{LogFormat, LogSettings};
use mycelium_core::range::Interval;
use mycelium_outbox::{Durability, OutboxPolicy, OverflowPolicy};

const ADDRESS: Kind = Kind::Text {
    accepted: "ADDRESS:PORT such as 127.0.0.1:8600 or [::]:8600",
    is_valid: |text| text.parse::<SocketAddr>().is_ok(),
};
/// What can be opened: a name that is not empty and has no NUL.
pub(super) const FILE: Kind = Kind::Text {
    accepted: "the name of a file",
    is_valid: |text| (1..=4096).contains(&text.len()) && !text.contains('\0'),
};
/// The kernel's limit of a socket's path is 108 bytes with its end.
const SOCKET: Kind = Kind::Text {
    accepted: "an absolute path of at most 107 bytes",
    is_valid: |text| text.starts_with('/') && text.len() <= 107 && !text.contains('\0'),
};
const URL: &str = "an http:// or https:// address without user name";
const HTTP_URL: Kind = Kind::Text { accepted: URL, is_valid: is_http_url };
/// Checked by `delivery`, whose error messages leave out the parts of a URL that may be a token.
pub(super) const UNCHECKED_URL: Kind = Kind::Text { accepted: URL, is_valid: |_| true };
pub(super) const HEADERS: Kind =
    Kind::StringMap { accepted: "at most 16 names and values, e.g. { Authorization = \"Bearer ..\" }" };
const HOSTS: Kind = Kind::TextList {
    accepted: "an array of at most 16 host names without port, e.g. [\"edge.local\"]",
    max: api::AllowedNames::MAX,
    is_valid: |text| {
        (1..=253).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    },
};
const ORIGINS: Kind = Kind::TextList {
    accepted: "an array of at most 16 origins without path, e.g. [\"https://dash.example.org\"], or [\"*\"]",
    max: api::AllowedNames::MAX,
    is_valid: |text| text == "*" || (is_http_url(text) && !text[8..].contains(['/', '?', '#'])),
};
const SHA256: Kind = Kind::Text {
    accepted: "64 hexadecimal digits",
    is_valid: |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
};

/// Scheme, a host, and nothing that could carry a password or break a request line.
fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let printable = text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic());
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or("");
        printable && !host.is_empty() && !host.starts_with(':') && !host.contains('@')
    })
}

#[rustfmt::skip]
keys! {
    DAEMON_KEYS;

    API_LISTEN: SocketAddr, "api.listen": ADDRESS, Text(api::Settings::DEFAULT_LISTEN), "";
        "Where the HTTP server listens; port 0 takes a free one, which is logged and written to DATA/address.";
        "0.0.0.0:8600 to be polled from other machines; see `api.public`."
    API_PUBLIC: bool, "api.public": Kind::Flag, Flag(false), "";
        "Whether `api.listen` may be an address other machines can reach although keys would travel in the clear or none is configured.";
        "true behind a proxy on another host, in a container, or on a network that is yours alone."
    API_MAX_CONNECTIONS: usize, "api.max_connections": whole(api::Settings::CONNECTIONS), Integer(api::Settings::DEFAULT_MAX_CONNECTIONS as i64), "connections";
        "Connections at the same time; if all are in use, the one that has been idle longest is closed.";
        "Raise it for many stream subscribers; each takes about 10 KiB, 8 more while a request arrives."
    API_MAX_PER_IP: usize, "api.max_per_ip": whole(api::Settings::CONNECTIONS), Integer(api::Settings::DEFAULT_MAX_PER_IP as i64), "connections";
        "Connections of one client address at the same time.";
        "Raise it behind a proxy, where all clients share one address."
    API_METRICS_PUBLIC: bool, "api.metrics_public": Kind::Flag, Flag(true), "";
        "Whether `/metrics` answers without a key.";
        "false where others can reach the port; Prometheus then sends a key."
    API_ALLOWED_HOSTS: Option<Vec<String>>, "api.allowed_hosts": HOSTS, Absent("any"), "";
        "Host names by which the API may be asked, besides addresses and `localhost`.";
        "The names of the device, where browsers reach it: pages that point a foreign name at it then read nothing."
    API_ALLOWED_ORIGINS: Option<Vec<String>>, "api.allowed_origins": ORIGINS, Absent("its own"), "";
        "Origins of pages that may open WebSockets, besides the daemon's own; `*` for any.";
        "For a dashboard on another host."
    API_MASK_ADDRESSES: bool, "api.mask_addresses": Kind::Flag, Flag(false), "";
        "Whether logs and traces show the networks of clients (/24, /48) in place of their addresses.";
        "true where addresses are personal data; fail2ban then has none to ban."

    API_UNIX_SOCKET: Option<String>, "api.unix_socket": SOCKET, Absent("none"), "";
        "Path of a Unix socket with the same API without TLS; mode 0660. A socket left over by a process that has ended is replaced.";
        "For programs of this machine that send events: no port, access by user and group."
    API_UNIX_TRUSTED: bool, "api.unix_trusted": Kind::Flag, Flag(false), "";
        "Whether clients of the Unix socket need no key: each may do everything.";
        "true where the permissions of its directory decide who may connect."

    API_TLS_CERT_FILE: Option<String>, "api.tls.cert_file": FILE, Absent("no TLS"), "";
        "PEM file with the certificate chain of the HTTP server, its own certificate first; only with `key_file`.";
        "To be polled from other machines without a proxy."
    API_TLS_KEY_FILE: Option<String>, "api.tls.key_file": FILE, Absent("no TLS"), "";
        "PEM file with the private key of that certificate; a bare name is looked up in $CREDENTIALS_DIRECTORY first.";
        "Readable by the daemon alone."
    API_TLS_CLIENT_CA_FILE: Option<String>, "api.tls.client_ca_file": FILE, Absent("clients need no certificate"), "";
        "PEM file with the authorities whose certificates clients must have, for every route.";
        "Where keys alone are not enough; `myceliumd health` has no certificate: ask it at `unix:PATH` (`api.unix_socket`)."

    API_KEYS_NAME: Option<String>, "api.keys[].name": NAME, Absent("required"), "";
        "Name of the key in logs and rate limits.";
        "One per user of the API."
    API_KEYS_SCOPE: Scope, "api.keys[].scope": Kind::Choice(Scope::NAMES), Text(Scope::Read.name()), "";
        "What the key may do; each scope includes the one before.";
        "Give pollers `read` only."
    API_KEYS_SHA256: Option<String>, "api.keys[].sha256": SHA256, Absent("one of `sha256` and `key_file` is required"), "";
        "SHA-256 of the whole key text, as `myceliumd key new` prints it.";
        "The usual way: the file then holds no secret."
    API_KEYS_KEY_FILE: Option<String>, "api.keys[].key_file": FILE, Absent("one of `sha256` and `key_file` is required"), "";
        "File that holds the key itself; a bare name is looked up in $CREDENTIALS_DIRECTORY first.";
        "With systemd credentials or container secrets."

    API_RATE_PER_SECOND: u32, "api.rate.per_second": whole(Rate::RANGE), Integer(Rate::DEFAULT.per_second as i64), "requests/s";
        "Sustained requests of one key.";
        "Raise it for fast pollers; streams cost one request."
    API_RATE_BURST: u32, "api.rate.burst": whole(Rate::RANGE), Integer(Rate::DEFAULT.burst as i64), "requests";
        "Requests one key may send at once after a pause.";
        "Raise it for pages that load many things together."
    API_RATE_UNAUTHENTICATED_PER_SECOND: u32, "api.rate.unauthenticated_per_second": whole(Rate::RANGE), Integer(Rate::DEFAULT.unauthenticated_per_second as i64), "requests/s";
        "Sustained requests without a valid key from one address; all addresses together get four times as many.";
        "Rarely; public routes are not limited."
    API_RATE_UNAUTHENTICATED_BURST: u32, "api.rate.unauthenticated_burst": whole(Rate::RANGE), Integer(Rate::DEFAULT.unauthenticated_burst as i64), "requests";
        "Requests without a valid key that one address may send at once; all together, four times as many.";
        "Rarely."

    OUTBOX_WINDOW_STEPS: u64, "outbox.window_steps": integer(1, 1_000_000_000), Integer(600), "steps";
        "Steps that one record of the outbox sums up.";
        "Lower it for finer data, raise it to save flash and bandwidth."
    OUTBOX_DURABILITY: Durability, "outbox.durability": Kind::Choice(Durability::NAMES), Text(OutboxPolicy::DEFAULT.durability.name()), "";
        "When records are forced to the disk: in groups, each one, or never.";
        "`each` loses nothing at a power cut and wears flash most; `none` for disks that do not matter."
    OUTBOX_GROUP_RECORDS: u32, "outbox.group_records": range(OutboxPolicy::GROUP_RECORDS), Integer(OutboxPolicy::DEFAULT.group_records as i64), "records";
        "Records that one commit takes at most (`group`).";
        "Lower it to lose less at a power cut."
    OUTBOX_GROUP_MS: Duration, "outbox.group_ms": range(OutboxPolicy::GROUP_MS), Integer(OutboxPolicy::DEFAULT.group.as_millis() as i64), "milliseconds";
        "Longest time a record waits for its commit (`group`).";
        "Raise it to a minute or more to spare SD cards."
    OUTBOX_SEGMENT_BYTES: u64, "outbox.segment_bytes": range(OutboxPolicy::SEGMENT_BYTES), Integer(OutboxPolicy::DEFAULT.segment_bytes as i64), "bytes";
        "Size of one file of the outbox, taken from the disk at once.";
        "Smaller where the disk is small; never more than a quarter of `outbox.max_bytes` is used."
    OUTBOX_MAX_BYTES: u64, "outbox.max_bytes": range(OutboxPolicy::MAX_BYTES), Integer(OutboxPolicy::DEFAULT.max_bytes as i64), "bytes";
        "Disk space all segments may take.";
        "Size it for the longest outage: a record takes about 1 KiB."
    OUTBOX_KEEP_FREE_BYTES: u64, "outbox.keep_free_bytes": range(OutboxPolicy::KEEP_FREE_BYTES), Integer(OutboxPolicy::DEFAULT.keep_free_bytes as i64), "bytes";
        "Disk space left to others; below that the outbox takes no new segment.";
        "0 on a separate disk."
    OUTBOX_FULL: OverflowPolicy, "outbox.full": Kind::Choice(OverflowPolicy::NAMES), Text(OutboxPolicy::DEFAULT.full.name()), "";
        "What is dropped when the outbox is full.";
        "`drop-newest` keeps the start of an outage; `block` loses nothing: the window in progress grows until there is space."

    CONNECTORS_NAME: Option<String>, "connectors[].name": NAME, Absent("required"), "";
        "Name of the connector in health, metrics and logs, and of the file that keeps its position.";
        "Never the name of an endpoint."
    CONNECTORS_KIND: Option<String>, "connectors[].kind": Kind::Choice(Connector::KINDS), Absent("required"), "";
        "Where data comes from: a URL, files, a file that holds one number, or lines of a terminal device.";
        "`file` for what other programs of this machine write, `value` for sysfs, `serial` for a microcontroller on USB."
    CONNECTORS_INTERVAL_MS: Duration, "connectors[].interval_ms": whole(Connector::INTERVAL_MS), Integer(Connector::DEFAULT_INTERVAL_MS as i64), "milliseconds";
        "Time from one read to the next; a device (`serial`) is read as soon as it sends.";
        "As often as the sensor has new values."
    CONNECTORS_BAUD: u32, "connectors[].baud": whole(Connector::BAUD), Integer(Connector::DEFAULT_BAUD as i64), "bits/s";
        "Speed of the line (`serial`).";
        "As the device is set; devices whose processor has the USB interface ignore it."
    CONNECTORS_URL: Option<String>, "connectors[].url": UNCHECKED_URL, Absent("required for `http`"), "";
        "Where a GET is answered with JSON of up to 64 KiB.";
        "https where the network is not yours."
    CONNECTORS_HEADERS: Option<Vec<(String, String)>>, "connectors[].headers": HEADERS, Absent("none"), "";
        "More header fields for every request (`http`).";
        "For sensors that ask for a token."
    CONNECTORS_TIMEOUT_MS: i64, "connectors[].timeout_ms": whole(HttpTarget::TIMEOUT_MS), Integer(Connector::DEFAULT_TIMEOUT_MS as i64), "milliseconds";
        "Longest time for one request, connecting included (`http`).";
        "Below `interval_ms`."
    CONNECTORS_CA_FILE: Option<String>, "connectors[].ca_file": FILE, Absent("the built-in roots"), "";
        "PEM file with more certificate authorities (`http`).";
        "For sensors with a private certificate."
    CONNECTORS_PATH: Option<String>, "connectors[].path": FILE, Absent("required for `file`, `value` and `serial`"), "";
        "File that is followed while it grows, rotation and truncation included; for `json` a directory; for `value` a file with one number; for `serial` a device.";
        "It may come later than the daemon."
    CONNECTORS_FORMAT: Option<connectors::FileFormat>, "connectors[].format": Kind::Choice(connectors::FileFormat::NAMES), Absent("csv for `serial` and where `path` ends so, else ndjson"), "";
        "One JSON value per line, CSV, or a directory of *.json files (`file`; the first two also for `serial`).";
        "Where the name of the file does not say."
    CONNECTORS_START: connectors::StartPosition, "connectors[].start": Kind::Choice(connectors::StartPosition::NAMES), Text(connectors::StartPosition::End.name()), "";
        "What is read of data that is there at the very first start: nothing, or all of it (`file`).";
        "`begin` to take up a log from its first line."
    CONNECTORS_DONE: connectors::AfterRead, "connectors[].done": Kind::Choice(connectors::AfterRead::NAMES), Text(connectors::AfterRead::Keep.name()), "";
        "What happens to a file of a `json` directory that has been read: it stays, is removed, or goes to `done/` in it; with the last two, one that is not valid goes to `rejected/`.";
        "`delete` or `move` where nothing else removes files: at most 1,024 may stay."

    BREAKER_FAILURES: i64, "breaker.failures": whole(BreakerPolicy::FAILURES), Integer(RawBreaker::DEFAULT.failures), "failures";
        "Consecutive failures that stop attempts for a while.";
        "Rarely."
    BREAKER_OPEN_MS: i64, "breaker.open_ms": whole(BreakerPolicy::TIMES_MS), Integer(RawBreaker::DEFAULT.open_ms), "milliseconds";
        "How long attempts stop the first time; grows with every further trip.";
        "Rarely."
    BREAKER_OPEN_MAX_MS: i64, "breaker.open_max_ms": whole(BreakerPolicy::TIMES_MS), Integer(RawBreaker::DEFAULT.open_max_ms), "milliseconds";
        "Longest time attempts stop.";
        "Lower it where receivers come back quickly."
    BREAKER_SLOW_MS: i64, "breaker.slow_ms": whole(BreakerPolicy::TIMES_MS), Integer(RawBreaker::DEFAULT.slow_ms), "milliseconds";
        "An answer slower than this counts as a failure.";
        "Raise it with `timeout_ms`."
    BREAKER_PROBE_TIMEOUT_MS: i64, "breaker.probe_timeout_ms": whole(BreakerPolicy::TIMES_MS), Integer(RawBreaker::DEFAULT.probe_timeout_ms), "milliseconds";
        "A trial request that has not come back by then counts as failed.";
        "Above the longest `timeout_ms`."

    LOG_LEVEL: LevelFilter, "log.level": Kind::Choice(LogSettings::LEVELS), Text("info"), "";
        "Least severe lines that are written.";
        "`debug` shows every request and every attempt; `warn` spares flash."
    LOG_FORMAT: LogFormat, "log.format": Kind::Choice(LogFormat::NAMES), Text(LogFormat::Text.name()), "";
        "Lines for people or for machines.";
        "`json` for Loki, Elasticsearch and the like."

    TRACE_OTLP_URL: Option<String>, "trace.otlp_url": HTTP_URL, Absent("off"), "";
        "Where spans go, OTLP/HTTP in JSON; usually ends in /v1/traces.";
        "To follow a record from the field to its receiver."
    TRACE_SAMPLE_RATIO: f64, "trace.sample_ratio": Kind::Number(Interval::closed(0.0, 1.0)), Number(0.01), "";
        "Share of traces that are recorded when no caller has decided already.";
        "1 while looking for something, small in a fleet."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_leak_or_break_a_request_are_refused() {
        let rows = [
            ("http://example.org/hook", true, "plain"),
            ("https://[::1]:8443/x?y=z", true, "IPv6, port and query"),
            ("ftp://example.org/", false, "other schemes cannot be posted to"),
            ("http://", false, "no host"),
            ("http://:80/", false, "a port is no host"),
            ("https://user:pw@example.org/", false, "a password would end up in logs"),
            ("http://example.org/a b", false, "a space ends the target early"),
            ("http://example.org/\r\nX: y", false, "a line break would add header fields"),
        ];
        for (url, fits, why) in rows {
            assert_eq!(is_http_url(url), fits, "{why}: {url:?}");
        }
    }
}
