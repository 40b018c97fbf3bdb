//! Settings of connectors and inputs, valid by construction.

use std::path::PathBuf;
use std::time::Duration;

use crate::formats::json::JsonPointer;
use crate::formats::time_format::TimeFormat;
use crate::net::HttpTarget;
use mycelium_core::range::{Interval, string_enum};

/// How an input stimulates a cell of the field: with `gain * value + offset` volts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stimulation {
    pub row: u16,
    pub col: u16,
    /// Volts per unit of the value.
    pub gain: f64,
    /// Volts.
    pub offset: f64,
}

/// Where the time of a value stands, and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadingTime {
    pub pointer: JsonPointer,
    pub format: TimeFormat,
}

/// One number in a connector's data.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorInput {
    /// Name of its series in the feature window.
    pub name: String,
    /// Index among all inputs of the daemon.
    pub index: usize,
    pub pointer: JsonPointer,
    /// `None`: the time of reading.
    pub time: Option<ReadingTime>,
    pub stimulation: Option<Stimulation>,
}

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// One JSON value per line.
    Ndjson,
    /// RFC 4180, one record per line; a first line without numbers gives the columns their names.
    Csv,
    /// A directory of files with one JSON value each.
    Json,
}
string_enum!(FileFormat, "format", Ndjson = "ndjson", Csv = "csv", Json = "json");

/// Where reading starts in a file that exists before the first start of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// At its end: only additions are read.
    End,
    /// At its beginning.
    Begin,
}
string_enum!(StartPosition, "start", End = "end", Begin = "begin");

/// What happens to a file of a directory after it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRead {
    /// It stays and is read again after a change.
    Keep,
    /// It is removed; an invalid one is moved to `rejected/`.
    Delete,
    /// It is moved to `done/`, or to `rejected/`.
    Move,
}
string_enum!(AfterRead, "done", Keep = "keep", Delete = "delete", Move = "move");

/// Source of a connector's data.
#[derive(Clone, PartialEq)]
pub enum ConnectorSource {
    /// Requested with GET.
    Http(Box<HttpTarget>),
    File {
        path: PathBuf,
        format: FileFormat,
        start: StartPosition,
        after_read: AfterRead,
    },
    /// A file that holds one number, read again at each poll.
    Value(PathBuf),
    /// Lines from a terminal device.
    Serial {
        path: PathBuf,
        /// Bits per second.
        baud: u32,
        /// [`FileFormat::Csv`], of which a number alone is the simplest case, or [`FileFormat::Ndjson`].
        format: FileFormat,
    },
}

/// One connector with its inputs, at least one.
#[derive(Clone, PartialEq)]
pub struct Connector {
    pub name: String,
    pub source: ConnectorSource,
    pub interval: Duration,
    pub inputs: Vec<ConnectorInput>,
}

impl Connector {
    /// Every [`Connector::kind`].
    pub const KINDS: &'static [&'static str] = &["http", "file", "value", "serial"];
    /// Milliseconds: accepted values of `interval`.
    pub const INTERVAL_MS: Interval = Interval::closed(10.0, 86_400_000.0);
    pub const DEFAULT_INTERVAL_MS: u64 = 10_000;
    pub const DEFAULT_TIMEOUT_MS: u64 = 5_000;
    /// Bits per second: accepted values of `baud`.
    pub const BAUD: Interval = Interval::closed(50.0, 4_000_000.0);
    /// That of the Arduino tools.
    pub const DEFAULT_BAUD: u32 = 9_600;

    /// One of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self.source {
            ConnectorSource::Http(_) => "http",
            ConnectorSource::File { .. } => "file",
            ConnectorSource::Value(_) => "value",
            ConnectorSource::Serial { .. } => "serial",
        }
    }

    /// The source without secrets, for logs.
    pub fn origin(&self) -> String {
        match &self.source {
            ConnectorSource::Http(endpoint) => endpoint.origin(),
            ConnectorSource::File { path, .. }
            | ConnectorSource::Value(path)
            | ConnectorSource::Serial { path, .. } => path.display().to_string(),
        }
    }

    /// Whether `other` differs at most in what a reload can apply: the target of an HTTP source.
    pub fn is_same_but_address(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (ConnectorSource::Http(_), ConnectorSource::Http(new)) => {
                let moved = Self { source: ConnectorSource::Http(new.clone()), ..self.clone() };
                moved == *other
            }
            _ => self == other,
        }
    }
}

/// Prints no headers and no path of a URL: they may be secret.
impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({} from {})", self.name, self.origin())
    }
}
