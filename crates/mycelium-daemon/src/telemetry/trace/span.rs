//! PURE. A finished span.

use std::sync::Arc;
use std::time::Duration;

use super::context::SpanContext;
use crate::clock::Wall;

/// Kind of a span, with the numbers of OpenTelemetry.
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

/// Attributes of one span: a failed request has eight.
pub const ATTRIBUTES: usize = 10;

/// Links of one span.
pub const LINKS: usize = 8;

/// Spans of other traces that a span refers to.
pub type Links = heapless::Vec<SpanContext, LINKS>;

/// Attributes, named by the semantic conventions of OpenTelemetry; those that do not fit are dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub(super) heapless::Vec<(&'static str, Attribute), ATTRIBUTES>);

impl Attributes {
    #[must_use]
    pub fn text(mut self, key: &'static str, value: &str) -> Self {
        self.push(key, Attribute::Text(value.to_owned()));
        self
    }

    #[must_use]
    pub fn integer(mut self, key: &'static str, value: impl Into<i64>) -> Self {
        self.push(key, Attribute::Integer(value.into()));
        self
    }

    pub fn get(&self, key: &str) -> Option<&Attribute> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Adds `error.type`: the status, or the kind of failure.
    #[must_use]
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
    /// `tracestate` of the caller, passed on unchanged.
    pub state: Option<Arc<str>>,
    /// Related spans of other traces, such as the further windows of a batch.
    pub links: Links,
    /// Why it failed; `None` on success.
    pub error: Option<String>,
}
