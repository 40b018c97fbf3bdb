//! PURE. What a JSON text must look like, and why one was refused.

use std::fmt;

/// The shape a value must have. Shapes are constants beside the types they describe.
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
    /// `null`, or a value of this shape.
    Nullable(&'static JsonSchema),
    /// An object with exactly these keys; at most 64.
    Record(&'static [SchemaField]),
}

/// One key of a record.
#[derive(Clone, Copy, Debug)]
pub struct SchemaField {
    pub name: &'static str,
    pub shape: JsonSchema,
    pub required: bool,
}

impl SchemaField {
    pub const fn required(name: &'static str, shape: JsonSchema) -> Self {
        Self { name, shape, required: true }
    }

    pub const fn optional(name: &'static str, shape: JsonSchema) -> Self {
        Self { name, shape, required: false }
    }
}

impl JsonSchema {
    /// Any integer of 64 bits.
    pub const INTEGER: Self = Self::Integer { low: i64::MIN, high: u64::MAX };

    /// What is accepted, as it appears behind "must be".
    pub(super) fn accepted(self) -> String {
        match self {
            Self::Any => "a JSON value".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Integer { low, high } if low == i64::MIN && high == u64::MAX => "a whole number".to_owned(),
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
    /// The text ends before the value does.
    Ends,
    /// Something else stands where this was expected.
    Syntax(&'static str),
    /// More text behind the value.
    Trailing,
    Utf8,
    /// A surrogate without its partner.
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

/// A refused text: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// `items[3].volts`; empty for the whole text.
    pub path: String,
    /// Bytes from the start of the text.
    pub at: usize,
    pub reason: JsonErrorKind,
}

impl JsonError {
    /// Whether the text is no JSON at all, as opposed to JSON of another shape.
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
            JsonErrorKind::Ends => f.write_str(" ends too early"),
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
