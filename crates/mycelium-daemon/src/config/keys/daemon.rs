//! Keys of the HTTP front, the outbox, delivery, logs and traces.

use super::Default::{Absent, Is};
use super::{Key, Kind, NAME, int, is_file_name, keys, number};
use std::ops::RangeInclusive;

use mycelium_outbox::policy::Policy;

const MS_HOUR: i64 = 3_600_000;
const MS_DAY: i64 = 24 * MS_HOUR;

/// The range of whole numbers that the owner of a key states.
const fn range(range: RangeInclusive<u64>) -> Kind {
    int(*range.start() as i64, *range.end() as i64)
}

const ADDRESS: Kind = Kind::Text {
    accepted: "ADDRESS:PORT such as 127.0.0.1:8600 or [::]:8600",
    fits: |text| text.parse::<std::net::SocketAddr>().is_ok(),
};
const FILE: Kind = Kind::Text { accepted: "the name of a file", fits: is_file_name };
const HTTP_URL: Kind =
    Kind::Text { accepted: "an http:// or https:// address without user name", fits: is_http_url };
/// `delivery` says what is wrong with it, without showing what may be a token.
const ANY_URL: Kind =
    Kind::Text { accepted: "an http:// or https:// address without user name", fits: |_| true };
const POINTER: Kind = Kind::Text {
    accepted: crate::formats::json::POINTER_RULE,
    fits: |text| crate::formats::json::JsonPointer::parse(text).is_some(),
};
const SHA256: Kind = Kind::Text { accepted: "64 hexadecimal digits", fits: is_sha256 };
const SECRET: Kind =
    Kind::Text { accepted: "whsec_ and 24 to 64 bytes in base64", fits: |text| !text.is_empty() };
const RATE: Kind = int(1, 1_000_000_000);

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

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
pub(super) const KEYS: &[Key] = keys! {
    "api.listen": ADDRESS, Is("127.0.0.1:8600"), "";
        "Where the HTTP front listens; port 0 takes a free one, which is logged and written to DATA/address.";
        "0.0.0.0:8600 to be polled from other machines; see `api.public`."
    "api.public": Kind::Flag, Is("false"), "";
        "Whether `api.listen` may be an address other machines can reach although keys would travel in the clear or none is configured.";
        "true behind a proxy on another host, in a container, or on a network that is yours alone."
    "api.max_connections": int(1, 4096), Is("64"), "connections";
        "Seats for clients; when all are taken the one that has waited longest for its client is given up.";
        "Raise it for many stream subscribers; each takes about 10 KiB, 8 more while a request arrives."
    "api.max_per_ip": int(1, 4096), Is("16"), "connections";
        "Seats one client address may take.";
        "Raise it behind a proxy, where all clients share one address."
    "api.metrics_public": Kind::Flag, Is("true"), "";
        "Whether `/metrics` answers without a key.";
        "false where others can reach the port; Prometheus then sends a key."

    "api.tls.cert_file": FILE, Absent("no TLS"), "";
        "PEM file with the certificate chain of the HTTP front, its own certificate first; only with `key_file`.";
        "To be polled from other machines without a proxy."
    "api.tls.key_file": FILE, Absent("no TLS"), "";
        "PEM file with the private key of that certificate; a bare name is looked up in $CREDENTIALS_DIRECTORY first.";
        "Readable by the daemon alone."

    "api.keys[].name": NAME, Absent("required"), "";
        "Name of the key in logs and rate limits.";
        "One per user of the API."
    "api.keys[].scope": Kind::Choice(&["read", "write", "admin"]), Is("read"), "";
        "What the key may do; each scope includes the one before.";
        "Give pollers `read` only."
    "api.keys[].sha256": SHA256, Absent("one of `sha256` and `key_file` is required"), "";
        "SHA-256 of the whole key text, as `myceliumd key new` prints it.";
        "The usual way: the file then holds no secret."
    "api.keys[].key_file": FILE, Absent("one of `sha256` and `key_file` is required"), "";
        "File that holds the key itself; a bare name is looked up in $CREDENTIALS_DIRECTORY first.";
        "With systemd credentials or container secrets."

    "api.rate.per_second": RATE, Is("20"), "requests/s";
        "Sustained requests of one key.";
        "Raise it for fast pollers; streams cost one request."
    "api.rate.burst": RATE, Is("40"), "requests";
        "Requests one key may send at once after a pause.";
        "Raise it for pages that load many things together."
    "api.rate.unauthenticated_per_second": RATE, Is("5"), "requests/s";
        "Sustained requests of all callers without a valid key together.";
        "Rarely; public routes are not limited."
    "api.rate.unauthenticated_burst": RATE, Is("20"), "requests";
        "Requests without a valid key that may come at once.";
        "Rarely."

    "outbox.window_steps": int(1, 1_000_000_000), Is("600"), "steps";
        "Steps that one record of the outbox sums up.";
        "Lower it for finer data, raise it to save flash and bandwidth."
    "outbox.durability": Kind::Choice(&["group", "each", "none"]), Is("group"), "";
        "When records are forced to the disk: in groups, each one, or never.";
        "`each` loses nothing at a power cut and wears flash most; `none` for disks that do not matter."
    "outbox.group_records": range(Policy::GROUP_RECORDS), Is("64"), "records";
        "Records that one commit takes at most (`group`).";
        "Lower it to lose less at a power cut."
    "outbox.group_ms": range(Policy::GROUP_MS), Is("1000"), "milliseconds";
        "Longest time a record waits for its commit (`group`).";
        "Raise it to a minute or more to spare SD cards."
    "outbox.segment_bytes": range(Policy::SEGMENT_BYTES), Is("1048576"), "bytes";
        "Size of one file of the outbox, taken from the disk at once.";
        "Smaller where the disk is small; never more than a quarter of `outbox.max_bytes` is used."
    "outbox.max_bytes": range(Policy::MAX_BYTES), Is("67108864"), "bytes";
        "Disk space all segments may take.";
        "Size it for the longest outage: a record takes about 1 KiB."
    "outbox.keep_free_bytes": range(Policy::KEEP_FREE_BYTES), Is("16777216"), "bytes";
        "Disk space left to others; below that the outbox takes no new segment.";
        "0 on a disk of its own."
    "outbox.full": Kind::Choice(&["drop-oldest", "drop-newest", "block"]), Is("drop-oldest"), "";
        "What gives way when the outbox is full.";
        "`drop-newest` keeps the start of an outage; `block` loses nothing: the window under way grows until there is room."

    "webhooks[].name": NAME, Absent("required"), "";
        "Identity of the endpoint, also on disk; the URL may change under it.";
        "Never rename one that still has records to deliver."
    "webhooks[].url": ANY_URL, Absent("required"), "";
        "Where batches are posted to.";
        "https where the network is not yours."
    "webhooks[].secret": SECRET, Absent("not signed"), "";
        "Signing secret of Standard Webhooks.";
        "Prefer `secret_file`."
    "webhooks[].secret_file": FILE, Absent("not signed"), "";
        "File that holds the signing secret; a bare name is looked up in $CREDENTIALS_DIRECTORY first.";
        "Sign whenever the receiver can check it."
    "webhooks[].previous_secret_file": FILE, Absent("one signature"), "";
        "File of the secret before, which signs too during a rotation.";
        "While receivers change over."
    "webhooks[].headers": Kind::Texts { accepted: "at most 16 names and values, e.g. { Authorization = \"Bearer ..\" }" }, Absent("none"), "";
        "More header fields for every request.";
        "For receivers that ask for a token."
    "webhooks[].batch_records": int(1, 1024), Is("64"), "records";
        "Records in one request at most.";
        "Larger batches drain a backlog faster."
    "webhooks[].batch_bytes": int(1, 4 << 20), Is("262144"), "bytes";
        "Size of one request body at most, before compression.";
        "Below the receiver's limit."
    "webhooks[].linger_ms": int(0, MS_HOUR), Is("1000"), "milliseconds";
        "How long a record waits for others to fill its batch.";
        "Raise it to send fewer requests."
    "webhooks[].timeout_ms": int(1, 120_000), Is("15000"), "milliseconds";
        "Longest time for one request, connecting included.";
        "Raise it on slow mobile links."
    "webhooks[].retry_base_ms": int(1, MS_DAY), Is("1000"), "milliseconds";
        "Delay after the first failure; doubles with each further one.";
        "Rarely."
    "webhooks[].retry_max_ms": int(1, MS_DAY), Is("900000"), "milliseconds";
        "Longest delay between two attempts.";
        "Lower it where receivers come back quickly."
    "webhooks[].spread_ms": int(0, MS_HOUR), Is("30000"), "milliseconds";
        "The first delivery after an outage, or after a start that finds records waiting, waits a random time up to this.";
        "Raise it with the size of the fleet."
    "webhooks[].gzip": Kind::Flag, Is("false"), "";
        "Whether bodies are compressed.";
        "true on metered links, if the receiver accepts it."
    "webhooks[].ca_file": FILE, Absent("the built-in roots"), "";
        "PEM file with more certificate authorities.";
        "For receivers with a private certificate."

    "connectors[].name": NAME, Absent("required"), "";
        "Name of the connector in health, metrics and logs, and of the file that keeps its place.";
        "Never the name of a webhook."
    "connectors[].kind": Kind::Choice(&["http", "file"]), Absent("required"), "";
        "Whether data is fetched from a URL or read from files.";
        "`file` for what other programs of this machine write."
    "connectors[].interval_ms": int(10, MS_DAY), Is("10000"), "milliseconds";
        "Time from one look to the next.";
        "As often as the sensor has news."
    "connectors[].url": ANY_URL, Absent("required for `http`"), "";
        "Where a GET is answered with JSON of up to 64 KiB.";
        "https where the network is not yours."
    "connectors[].headers": Kind::Texts { accepted: "at most 16 names and values, e.g. { Authorization = \"Bearer ..\" }" }, Absent("none"), "";
        "More header fields for every request (`http`).";
        "For sensors that ask for a token."
    "connectors[].timeout_ms": int(1, 120_000), Is("5000"), "milliseconds";
        "Longest time for one request, connecting included (`http`).";
        "Below `interval_ms`."
    "connectors[].ca_file": FILE, Absent("the built-in roots"), "";
        "PEM file with more certificate authorities (`http`).";
        "For sensors with a private certificate."
    "connectors[].path": FILE, Absent("required for `file`"), "";
        "File that is followed while it grows, rotation and truncation included; for `json` a directory.";
        "It may come later than the daemon."
    "connectors[].format": Kind::Choice(&["ndjson", "csv", "json"]), Absent("csv where `path` ends so, else ndjson"), "";
        "One JSON value per line, CSV, or a directory of *.json files (`file`).";
        "Where the name of the file does not say."
    "connectors[].start": Kind::Choice(&["end", "begin"]), Is("end"), "";
        "What is read of data that is there at the very first start: nothing, or all of it (`file`).";
        "`begin` to take up a log from its first line."
    "connectors[].done": Kind::Choice(&["keep", "delete", "move"]), Is("keep"), "";
        "What becomes of a file of a `json` directory that has been read: it stays, is removed, or goes to `done/` in it; with the last two, one that was no good goes to `rejected/`.";
        "`delete` or `move` where nobody else removes files: at most 1,024 may stay."

    "inputs[].name": NAME, Absent("required"), "";
        "Name of the series in records, health and metrics.";
        "With its unit, such as `air.celsius`."
    "inputs[].connector": NAME, Absent("required"), "";
        "Name of the connector that brings the value.";
        "Several inputs may read one connector."
    "inputs[].pointer": POINTER, Absent("required"), "";
        "Where the value stands: a JSON pointer, or for CSV `/` and a column's name or number from 0.";
        "`~1` stands for a slash in a name, `~0` for a tilde."
    "inputs[].row": int(0, 511), Absent("the field is not pushed"), "cells";
        "Row of the cell that each value pushes at the next step; only with `col`.";
        "To let the sensor drive the field."
    "inputs[].col": int(0, 511), Absent("the field is not pushed"), "cells";
        "Column of that cell; only with `row`.";
        "To let the sensor drive the field."
    "inputs[].gain": number(-1e9, 1e9), Is("1"), "volts per unit";
        "The push is `gain` times the value plus `offset`, at most 10 V either way.";
        "Some 0.01 V move a resting cell."
    "inputs[].offset": number(-1e9, 1e9), Is("0"), "volts";
        "Added to each push.";
        "-`gain` times the usual value, so that only deviations push."

    "breaker.failures": int(1, 1000), Is("5"), "failures";
        "Consecutive failures that stop attempts for a while.";
        "Rarely."
    "breaker.open_ms": int(1, MS_DAY), Is("30000"), "milliseconds";
        "How long attempts stop the first time; grows with every further trip.";
        "Rarely."
    "breaker.open_max_ms": int(1, MS_DAY), Is("900000"), "milliseconds";
        "Longest time attempts stop.";
        "Lower it where receivers come back quickly."
    "breaker.slow_ms": int(1, MS_DAY), Is("10000"), "milliseconds";
        "An answer slower than this counts as a failure.";
        "Raise it with `timeout_ms`."
    "breaker.probe_timeout_ms": int(1, MS_DAY), Is("20000"), "milliseconds";
        "A trial request that has not come back by then counts as failed.";
        "Above the longest `timeout_ms`."

    "log.level": Kind::Choice(&["error", "warn", "info", "debug"]), Is("info"), "";
        "Least severe lines that are written.";
        "`debug` shows every request and every attempt; `warn` spares flash."
    "log.format": Kind::Choice(&["text", "json"]), Is("text"), "";
        "Lines for people or for machines.";
        "`json` for Loki, Elasticsearch and the like."

    "trace.otlp_url": HTTP_URL, Absent("off"), "";
        "Where spans go, OTLP/HTTP in JSON; usually ends in /v1/traces.";
        "To follow a record from the field to its receiver."
    "trace.sample_ratio": number(0.0, 1.0), Is("0.01"), "";
        "Share of traces that are recorded when no caller has decided already.";
        "1 while looking for something, small in a fleet."
};

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
