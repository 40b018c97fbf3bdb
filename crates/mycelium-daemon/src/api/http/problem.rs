//! PURE. Errors as `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use tiny_http::StatusCode;

use crate::api::http::head::HttpError;
use crate::api::http::response::{Response, ResponseBody};
use crate::formats::json::{JsonError, JsonObject};

/// Why a request was not answered as it wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    pub detail: Cow<'static, str>,
    pub retry_after: Option<u64>,
    /// A further field, such as `Allow`.
    pub field: Option<(&'static str, &'static str)>,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, field: None }
    }

    /// A resource is busy; `seconds` at least 1.
    pub fn busy(detail: impl Into<Cow<'static, str>>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..Self::new(503, detail) }
    }

    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.field = Some((name, value));
        self
    }

    /// `instance` is the path that was asked for, empty when it is not known.
    pub fn answer(&self, instance: &str, request_id: &str) -> Response {
        let mut text = String::with_capacity(256);
        let mut object = JsonObject::new(&mut text);
        object
            .string("type", "about:blank")
            .string("title", StatusCode(self.status).default_reason_phrase())
            .integer("status", self.status)
            .string("detail", &self.detail);
        if !instance.is_empty() {
            object.string("instance", instance);
        }
        object.string("request_id", request_id);
        if let Some(seconds) = self.retry_after {
            object.integer("retry_after", seconds);
        }
        drop(object);
        let mut answer =
            Response::new(self.status, "application/problem+json", ResponseBody::Owned(text.into_bytes()));
        if let Some((name, value)) = self.field {
            answer = answer.with_header(name, value);
        }
        if let Some(seconds) = self.retry_after {
            answer = answer.with_header("Retry-After", &seconds.to_string());
        }
        answer
    }
}

impl From<HttpError> for Problem {
    fn from(refusal: HttpError) -> Self {
        Self::new(refusal.status, refusal.detail)
    }
}

/// 400 for what is no JSON, 422 for JSON of another shape.
impl From<JsonError> for Problem {
    fn from(refused: JsonError) -> Self {
        let status = if refused.is_malformed() { 400 } else { 422 };
        Self::new(status, refused.to_string())
    }
}

impl From<mycelium_core::range::OutOfRange> for Problem {
    fn from(refused: mycelium_core::range::OutOfRange) -> Self {
        Self::new(422, refused.to_string())
    }
}

impl From<crate::api::http::target::QueryError> for Problem {
    fn from(refused: crate::api::http::target::QueryError) -> Self {
        Self::new(400, refused.to_string())
    }
}
