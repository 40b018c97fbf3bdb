//! PURE. Settings of an endpoint of kind `files`, valid by construction.

use std::path::PathBuf;
use std::time::Duration;

use mycelium_core::range::{Interval, OutOfRange, string_enum};

use super::csv;
use super::template::PathTemplate;
use crate::delivery::cloudevents::event;
use crate::delivery::settings::{DeliverySettings, RawDelivery};
use crate::delivery::source::{Record, WINDOW};
use crate::delivery::type_filter::TypeFilter;
use crate::net::RangeChecks;

/// What a line of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// A `CloudEvents` event in JSON.
    Ndjson,
    /// A feature window in columns; other events are left out.
    Csv,
}
string_enum!(LineFormat, "format", Ndjson = "ndjson", Csv = "csv");

impl LineFormat {
    /// The first line of a file with this record, if the format has one.
    pub(super) fn header(self, record: &Record) -> Option<String> {
        match self {
            Self::Ndjson => None,
            Self::Csv => Some(csv::header(record)),
        }
    }

    /// Adds the line of a record with its line end.
    pub(super) fn line(self, out: &mut String, record: &Record) {
        match self {
            Self::Ndjson => event(out, record),
            Self::Csv => csv::line(out, record),
        }
        out.push('\n');
    }
}

/// One endpoint that writes files.
#[derive(Clone, Debug, PartialEq)]
pub struct FileEndpoint {
    pub delivery: DeliverySettings,
    pub path: PathTemplate,
    pub format: LineFormat,
    /// A file is finished when it has this many bytes.
    pub rotate_bytes: u64,
    /// A file is finished this long after its first line.
    pub rotate: Duration,
    /// Oldest finished files are removed when all have more bytes than this; `None` keeps them.
    pub keep_bytes: Option<u64>,
    /// Nothing is written unless this directory is a mount point.
    pub mount_point: Option<PathBuf>,
}

/// One `[[files]]` as it was written.
#[derive(Clone, Debug)]
pub struct RawFileEndpoint {
    pub delivery: RawDelivery,
    pub path: String,
    pub format: LineFormat,
    pub rotate_bytes: i64,
    pub rotate_s: i64,
    pub keep_bytes: Option<i64>,
    pub mount_point: Option<PathBuf>,
}

impl FileEndpoint {
    /// Range of `rotate_bytes`.
    pub const ROTATE_BYTES: Interval = Interval::closed(4_096.0, 1_073_741_824.0);
    pub const DEFAULT_ROTATE_BYTES: i64 = 16_777_216;
    /// Range of `rotate`, seconds: up to a week.
    pub const ROTATE_S: Interval = Interval::closed(1.0, 604_800.0);
    pub const DEFAULT_ROTATE_S: i64 = 3_600;
    /// Range of `keep_bytes`: up to 1 TiB.
    pub const KEEP_BYTES: Interval = Interval::closed(4_096.0, 1_099_511_627_776.0);

    /// The endpoint, or every violation. `prefix` names its table, as in `files[0]`.
    pub fn checked(prefix: &str, raw: &RawFileEndpoint) -> Result<Self, Vec<OutOfRange>> {
        let mut checks = RangeChecks::new(prefix);
        let mut delivery = DeliverySettings::from_raw(&raw.delivery, &mut checks);
        if raw.format == LineFormat::Csv {
            if delivery.types.is_active() {
                checks.reject("types", "set", "absent with `format = \"csv\"`, which has windows only");
            }
            delivery.types = TypeFilter::new(&[crate::delivery::cloudevents::event_type(WINDOW).to_owned()]);
        }
        let path = PathTemplate::parse(&raw.path);
        if path.is_none() {
            checks.reject("path", format!("{:?}", raw.path), PathTemplate::ACCEPTED);
        }
        let rotate_bytes = checks.integer("rotate_bytes", raw.rotate_bytes, Self::ROTATE_BYTES);
        let rotate = Duration::from_secs(checks.integer("rotate_s", raw.rotate_s, Self::ROTATE_S));
        let keep_bytes = raw.keep_bytes.map(|bytes| checks.integer("keep_bytes", bytes, Self::KEEP_BYTES));
        let path = path.unwrap_or_else(|| PathTemplate::parse("{seq}").expect("a valid template"));
        let mount_point = raw.mount_point.clone();
        let format = raw.format;
        checks.finish(Self { delivery, path, format, rotate_bytes, rotate, keep_bytes, mount_point })
    }
}
