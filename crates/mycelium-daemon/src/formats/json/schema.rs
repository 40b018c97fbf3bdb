//! PURE. The schema of a JSON text, and the error if a text does not match it.

use std::fmt;

/// The schema of a value. Schemas are constants next to the types they describe.
#[derive(Clone, Copy, Debug)]
pub enum JsonSchema {
    /// Any JSON value; the grammar, depth, duplicate-key and number rules still hold.
    Any,
    /// A number that is finite as `f64`.
    Number,
    /// A number without a fractional part, `64.0` and `6.4e1` included.
    Integer {
        low: i64,
        high: u64,
    },
    Boolean,
    /// A string of at most `max` bytes as written.
    Text {
        max: usize,
    },
    List {
        of: &'static JsonSchema,
        max: usize,
    },
    /// `null`, or a value of this schema.
    Nullable(&'static JsonSchema),
    /// An object with only these keys, at most 64.
    Record(&'static [SchemaField]),
}

/// One key of a record.
#[derive(Clone, Copy, Debug)]
pub struct SchemaField {
    pub name: &'static str,
    pub schema: JsonSchema,
    pub required: bool,
}

impl SchemaField {
    pub const fn required(name: &'static str, schema: JsonSchema) -> Self {
        Self { name, schema, required: true }
    }

    pub const fn optional(name: &'static str, schema: JsonSchema) -> Self {
        Self { name, schema, required: false }
    }
}

impl JsonSchema {
    /// What is accepted, as it reads after "must be".
    pub(super) fn accepted(self) -> String {
        match self {
            Self::Any => "a JSON value".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Integer { low, high } => format!("a whole number from {low} to {high}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Text { .. } => "a string".to_owned(),
            Self::List { .. } => "an array".to_owned(),
            Self::Nullable(of) => format!("null or {}", of.accepted()),
            Self::Record(_) => "an object".to_owned(),
        }
    }
}

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text ends within the value.
    UnexpectedEnd,
    /// This was expected instead.
    Syntax(&'static str),
    /// Text after the value.
    Trailing,
    Utf8,
    /// An unpaired UTF-16 surrogate.
    Surrogate,
    Depth,
    DuplicateKey,
    /// The number is too large for an `f64`.
    NotFinite,
    /// The keys that would have been accepted.
    UnknownKey(String),
    MissingKey,
    /// What would have been accepted.
    Mismatch(String),
    TooLong(usize),
}

/// Why a text was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// `items[3].volts`; empty for the whole text.
    pub path: String,
    /// Bytes from the start of the text.
    pub at: usize,
    pub reason: JsonErrorKind,
}

impl JsonError {
    /// Whether the text is not JSON, as opposed to JSON that does not match the schema.
    pub fn is_malformed(&self) -> bool {
        !matches!(
            self.reason,
            JsonErrorKind::UnknownKey(_)
                | JsonErrorKind::MissingKey
                | JsonErrorKind::Mismatch(_)
                | JsonErrorKind::TooLong(_)
        )
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str("the body")?,
            path => write!(f, "`{path}`")?,
        }
        match &self.reason {
            JsonErrorKind::UnexpectedEnd => f.write_str(" ends too early"),
            JsonErrorKind::Syntax(expected) => write!(f, " has something else where {expected} should be"),
            JsonErrorKind::Trailing => f.write_str(" is followed by more text"),
            JsonErrorKind::Utf8 => f.write_str(" is not valid UTF-8"),
            JsonErrorKind::Surrogate => f.write_str(" has half a surrogate pair"),
            JsonErrorKind::Depth => write!(f, " is nested deeper than {} levels", super::MAX_DEPTH),
            JsonErrorKind::DuplicateKey => f.write_str(" is given twice"),
            JsonErrorKind::NotFinite => f.write_str(" is too large a number"),
            JsonErrorKind::UnknownKey(accepted) => write!(f, " is not a known key; known are {accepted}"),
            JsonErrorKind::MissingKey => f.write_str(" is missing"),
            JsonErrorKind::Mismatch(accepted) => write!(f, " must be {accepted}"),
            JsonErrorKind::TooLong(max) => write!(f, " is too long; at most {max} are accepted"),
        }?;
        write!(f, " (at byte {})", self.at)
    }
}

impl std::error::Error for JsonError {}
