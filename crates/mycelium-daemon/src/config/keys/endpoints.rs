//! PURE. Keys of endpoints: those that every kind has, and those of each kind.

use super::daemon::{FILE, HEADERS, UNCHECKED_URL};
use super::spec::DefaultValue::{Absent, Flag, Integer, Text};
use super::spec::{DefaultValue, Key, KeySpec, Kind, NAME, keys, whole};
use crate::delivery::{DeliverySettings, FileEndpoint, LineFormat, PathTemplate, RawDelivery, TypeFilter};
use crate::net::{HttpTarget, RawHttpTarget};

/// Checked by `delivery`.
const SECRET: Kind =
    Kind::Text { accepted: "whsec_ and 24 to 64 bytes in base64", is_valid: |text| !text.is_empty() };
const TYPES: Kind =
    Kind::TextList { accepted: TypeFilter::ACCEPTED, max: TypeFilter::MAX, is_valid: TypeFilter::is_pattern };
const TEMPLATE: Kind =
    Kind::Text { accepted: PathTemplate::ACCEPTED, is_valid: |text| PathTemplate::parse(text).is_some() };
const DEFAULT: &RawDelivery = RawDelivery::DEFAULT;

/// The keys that every kind of endpoint has, in its own table.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryKeys {
    pub name: Key<Option<String>>,
    pub types: Key<Option<Vec<String>>>,
    pub batch_records: Key<i64>,
    pub batch_bytes: Key<i64>,
    pub linger_ms: Key<i64>,
    pub retry_base_ms: Key<i64>,
    pub retry_max_ms: Key<i64>,
    pub retry_after_max_ms: Key<i64>,
    pub spread_ms: Key<i64>,
}

const fn row(
    path: &'static str,
    kind: Kind,
    default: DefaultValue,
    unit: &'static str,
    doc: &'static str,
    tune: &'static str,
) -> KeySpec {
    KeySpec { path, kind, default, unit, doc, tune }
}

/// `keys, rows, table`: the shared keys of one kind.
macro_rules! delivery_keys {
    ($keys:ident, $rows:ident, $table:literal) => {
        pub const $keys: DeliveryKeys = DeliveryKeys {
            name: Key::declared($rows, concat!($table, ".name")),
            types: Key::declared($rows, concat!($table, ".types")),
            batch_records: Key::declared($rows, concat!($table, ".batch_records")),
            batch_bytes: Key::declared($rows, concat!($table, ".batch_bytes")),
            linger_ms: Key::declared($rows, concat!($table, ".linger_ms")),
            retry_base_ms: Key::declared($rows, concat!($table, ".retry_base_ms")),
            retry_max_ms: Key::declared($rows, concat!($table, ".retry_max_ms")),
            retry_after_max_ms: Key::declared($rows, concat!($table, ".retry_after_max_ms")),
            spread_ms: Key::declared($rows, concat!($table, ".spread_ms")),
        };

        #[rustfmt::skip]
        pub(super) static $rows: &[KeySpec] = &[
            row(concat!($table, ".name"), NAME, Absent("required"), "",
                "Identity of the endpoint, also on disk; unique among all endpoints. Its address may change under it.",
                "Never rename one that still has records to deliver."),
            row(concat!($table, ".types"), TYPES, Absent("all"), "",
                "Event types that are delivered; all others count as delivered.",
                "For endpoints that want a part, such as `[\"io.mycelium.window.*\"]`."),
            row(concat!($table, ".batch_records"), whole(DeliverySettings::BATCH_RECORDS), Integer(DEFAULT.batch_records), "records",
                "Records in one batch at most.",
                "Larger batches drain a backlog faster."),
            row(concat!($table, ".batch_bytes"), whole(DeliverySettings::BATCH_BYTES), Integer(DEFAULT.batch_bytes), "bytes",
                "Size of one batch at most, before compression; a single record may be larger.",
                "Below the receiver's limit."),
            row(concat!($table, ".linger_ms"), whole(DeliverySettings::LINGER_MS), Integer(DEFAULT.linger_ms), "milliseconds",
                "How long a record waits for others to fill its batch.",
                "Raise it to send fewer batches."),
            row(concat!($table, ".retry_base_ms"), whole(DeliverySettings::RETRY_MS), Integer(DEFAULT.retry_base_ms), "milliseconds",
                "Delay after the first failure; doubles with each further one.",
                "Rarely."),
            row(concat!($table, ".retry_max_ms"), whole(DeliverySettings::RETRY_MS), Integer(DEFAULT.retry_max_ms), "milliseconds",
                "Longest delay between two attempts.",
                "Lower it where receivers come back quickly."),
            row(concat!($table, ".retry_after_max_ms"), whole(DeliverySettings::RETRY_MS), Integer(DEFAULT.retry_after_max_ms), "milliseconds",
                "Longest wait that a receiver can ask for, as by Retry-After, whatever `retry_max_ms` is.",
                "Raise it where receivers announce longer maintenance."),
            row(concat!($table, ".spread_ms"), whole(DeliverySettings::SPREAD_MS), Integer(DEFAULT.spread_ms), "milliseconds",
                "The first delivery after an outage, or after a start that finds records waiting, waits a random time up to this.",
                "Raise it with the size of the fleet."),
        ];
    };
}

delivery_keys!(WEBHOOKS, WEBHOOK_DELIVERY_KEYS, "webhooks[]");

#[rustfmt::skip]
keys! {
    WEBHOOK_KEYS;

    WEBHOOKS_URL: Option<String>, "webhooks[].url": UNCHECKED_URL, Absent("required"), "";
        "Where batches are posted to.";
        "https where the network is not yours."
    WEBHOOKS_SECRET: Option<String>, "webhooks[].secret": SECRET, Absent("not signed"), "";
        "Signing secret of Standard Webhooks.";
        "Prefer `secret_file`."
    WEBHOOKS_SECRET_FILE: Option<String>, "webhooks[].secret_file": FILE, Absent("not signed"), "";
        "File that holds the signing secret; a bare name is looked up in $CREDENTIALS_DIRECTORY first.";
        "Sign whenever the receiver can check it."
    WEBHOOKS_PREVIOUS_SECRET_FILE: Option<String>, "webhooks[].previous_secret_file": FILE, Absent("one signature"), "";
        "File of the secret before, which signs too during a rotation.";
        "While receivers change over."
    WEBHOOKS_HEADERS: Option<Vec<(String, String)>>, "webhooks[].headers": HEADERS, Absent("none"), "";
        "More header fields for every request.";
        "For receivers that ask for a token."
    WEBHOOKS_TIMEOUT_MS: i64, "webhooks[].timeout_ms": whole(HttpTarget::TIMEOUT_MS), Integer(RawHttpTarget::DEFAULT_TIMEOUT_MS), "milliseconds";
        "Longest time for one request, connecting included.";
        "Raise it on slow mobile links."
    WEBHOOKS_GZIP: bool, "webhooks[].gzip": Kind::Flag, Flag(false), "";
        "Whether bodies are compressed.";
        "true on metered links, if the receiver accepts it."
    WEBHOOKS_CA_FILE: Option<String>, "webhooks[].ca_file": FILE, Absent("the built-in roots"), "";
        "PEM file with more certificate authorities.";
        "For receivers with a private certificate."
}

delivery_keys!(FILES, FILE_DELIVERY_KEYS, "files[]");

#[rustfmt::skip]
keys! {
    FILE_KEYS;

    FILES_PATH: Option<String>, "files[].path": TEMPLATE, Absent("required"), "";
        "Name of the finished files. The directories in front of the first placeholder must exist; those after it are created.";
        "`/mnt/stick/{date}/{device}-{seq}.ndjson`, where {seq} and {date} (UTC) are of the first event."
    FILES_FORMAT: LineFormat, "files[].format": Kind::Choice(LineFormat::NAMES), Text(LineFormat::Ndjson.name()), "";
        "One CloudEvents event in JSON a line, or one feature window in columns.";
        "`csv` for spreadsheets; it has windows only."
    FILES_ROTATE_BYTES: i64, "files[].rotate_bytes": whole(FileEndpoint::ROTATE_BYTES), Integer(FileEndpoint::DEFAULT_ROTATE_BYTES), "bytes";
        "A file is finished, and gets its name, once it has this size.";
        "Lower it where a file is sent on as a whole."
    FILES_ROTATE_S: i64, "files[].rotate_s": whole(FileEndpoint::ROTATE_S), Integer(FileEndpoint::DEFAULT_ROTATE_S), "seconds";
        "A file is finished this long after it was begun.";
        "Lower it to see files sooner."
    FILES_KEEP_BYTES: Option<i64>, "files[].keep_bytes": whole(FileEndpoint::KEEP_BYTES), Absent("all"), "bytes";
        "The oldest finished files are removed while all together are larger.";
        "Set it below the size of the disk unless somebody collects the files."
    FILES_MOUNT_POINT: Option<String>, "files[].mount_point": FILE, Absent("not checked at start"), "";
        "Nothing is written unless the directory lies on the file system mounted here.";
        "For a stick that may be missing at start, so that nothing goes to the directory below it."
}
