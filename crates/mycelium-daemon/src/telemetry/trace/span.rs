//! PURE. One finished piece of work.

use std::sync::Arc;
use std::time::Duration;

use super::context::SpanContext;
use crate::clock::Wall;

/// Which side of a call a span is, by OpenTelemetry's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(String),
    Integer(i64),
}

/// Attributes one span may carry: eight of a failed request, and room for two more.
pub const ATTRIBUTES: usize = 10;

/// Further traces one span may point to.
pub const LINKS: usize = 8;

/// Where a span points to.
pub type Links = heapless::Vec<SpanContext, LINKS>;

/// Attributes by OpenTelemetry's semantic conventions; further ones than fit are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub(super) heapless::Vec<(&'static str, Attribute), ATTRIBUTES>);

impl Attributes {
    pub fn text(mut self, key: &'static str, value: &str) -> Self {
        self.push(key, Attribute::Text(value.to_owned()));
        self
    }

    pub fn integer(mut self, key: &'static str, value: impl Into<i64>) -> Self {
        self.push(key, Attribute::Integer(value.into()));
        self
    }

    pub fn get(&self, key: &str) -> Option<&Attribute> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// `error.type`: the status, or what kind of failure it was.
    pub fn failed(self, kind: &str) -> Self {
        self.text("error.type", kind)
    }

    fn push(&mut self, key: &'static str, value: Attribute) {
        debug_assert!(!self.0.is_full(), "{key} does not fit");
        drop(self.0.push((key, value)));
    }
}

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub context: SpanContext,
    pub parent: Option<u64>,
    pub name: String,
    pub kind: SpanKind,
    pub start: Wall,
    pub took: Duration,
    pub attributes: Attributes,
    /// What callers have put beside the trace's ids; passed on as it came.
    pub state: Option<Arc<str>>,
    /// Work in other traces that this is about as well, such as the further windows of a batch.
    pub links: Links,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
}
