//! What a connector reads and what becomes of it, valid by construction.

use std::path::PathBuf;
use std::time::Duration;

use crate::delivery::Endpoint;
use crate::formats::json::JsonPointer;
use mycelium_core::range::{Interval, string_enum};

/// Where an input pushes the field, and how: `gain * value + offset` volts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drive {
    pub row: u16,
    pub col: u16,
    /// Volts per unit of the value.
    pub gain: f64,
    /// Volts.
    pub offset: f64,
}

/// One number of a connector's data.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Name of its series.
    pub name: String,
    /// Its number among all inputs of the daemon.
    pub index: usize,
    pub pointer: JsonPointer,
    pub drive: Option<Drive>,
}

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value per line.
    Ndjson,
    /// RFC 4180, one record per line; a first line without numbers gives the columns their names.
    Csv,
    /// A directory of files with one JSON value each.
    Json,
}
string_enum!(Format, "format", Ndjson = "ndjson", Csv = "csv", Json = "json");

/// What is taken of a file that is there when the daemon sees it for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Only what is added from now on.
    End,
    /// All of it.
    Begin,
}
string_enum!(Start, "start", End = "end", Begin = "begin");

/// What becomes of a file of a directory once it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It stays where it is, and is read again when it has changed.
    Keep,
    /// It is removed; one that was no good goes to `rejected/`.
    Delete,
    /// It goes to `done/`, or to `rejected/`.
    Move,
}
string_enum!(Done, "done", Keep = "keep", Delete = "delete", Move = "move");

/// Where data comes from.
#[derive(Clone, PartialEq)]
pub enum Source {
    /// RequestOrigin with GET under the rules of webhooks: time-out, roots, no redirects, no proxy.
    Http(Box<Endpoint>),
    File {
        path: PathBuf,
        format: Format,
        start: Start,
        done: Done,
    },
}

/// One connector with its inputs, at least one.
#[derive(Clone, PartialEq)]
pub struct Connector {
    pub name: String,
    pub source: Source,
    pub interval: Duration,
    pub inputs: Vec<Input>,
}

impl Connector {
    /// Every [`Connector::kind`].
    pub const KINDS: &'static [&'static str] = &["http", "file"];
    /// Milliseconds: accepted values of `interval`.
    pub const INTERVAL_MS: Interval = Interval::closed(10.0, 86_400_000.0);
    pub const DEFAULT_INTERVAL_MS: u64 = 10_000;
    pub const DEFAULT_TIMEOUT_MS: u64 = 5_000;

    /// `http` or `file`.
    pub fn kind(&self) -> &'static str {
        match self.source {
            Source::Http(_) => "http",
            Source::File { .. } => "file",
        }
    }

    /// What may be shown of where its data comes from.
    pub fn origin(&self) -> String {
        match &self.source {
            Source::Http(endpoint) => endpoint.origin(),
            Source::File { path, .. } => path.display().to_string(),
        }
    }

    /// Whether `other` differs at most in what a reload takes over: address, headers and time-out.
    pub fn is_same_but_address(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Http(_), Source::Http(new)) => {
                let moved = Self { source: Source::Http(new.clone()), ..self.clone() };
                moved == *other
            }
            _ => self == other,
        }
    }
}

/// Headers and paths of URLs may be secret.
impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({} from {})", self.name, self.origin())
    }
}
