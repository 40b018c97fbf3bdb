//! PURE. Errors as `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use tiny_http::StatusCode;

use super::error::HttpError;
use super::response::{Response, ResponseBody};
use super::target::QueryError;
use crate::api::memory_budget::{BudgetExceeded, BudgetExhausted};
use crate::formats::json::{JsonError, JsonObject};

/// Why a request failed, as reported to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    pub detail: Cow<'static, str>,
    /// Seconds.
    pub retry_after: Option<u64>,
    /// A further header field, such as `Allow`.
    pub header: Option<(&'static str, &'static str)>,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, header: None }
    }

    /// 503 with `Retry-After`, at least 1 second.
    pub fn busy(detail: impl Into<Cow<'static, str>>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..Self::new(503, detail) }
    }

    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// `instance` is the path of the request, empty if it is not known.
    pub fn to_response(&self, instance: &str, request_id: &str) -> Response {
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
        let mut response =
            Response::new(self.status, "application/problem+json", ResponseBody::Owned(text.into_bytes()));
        if let Some((name, value)) = self.header {
            response = response.with_header(name, value);
        }
        if let Some(seconds) = self.retry_after {
            response = response.with_header("Retry-After", &seconds.to_string());
        }
        response
    }
}

impl From<HttpError> for Problem {
    fn from(error: HttpError) -> Self {
        Self::new(error.status, error.detail)
    }
}

/// 400 for malformed JSON, 422 for JSON that does not match the schema.
impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let status = if error.is_malformed() { 400 } else { 422 };
        Self::new(status, error.to_string())
    }
}

impl From<mycelium_core::range::OutOfRange> for Problem {
    fn from(error: mycelium_core::range::OutOfRange) -> Self {
        Self::new(422, error.to_string())
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::new(400, error.to_string())
    }
}

impl From<BudgetExceeded> for Problem {
    fn from(error: BudgetExceeded) -> Self {
        let BudgetExceeded { bytes, limit } = error;
        let detail = format!(
            "this simulation takes {bytes} bytes and `memory.max_bytes` leaves {limit}: ask for a smaller grid or \
             f32, or raise it"
        );
        Self::new(422, detail)
    }
}

impl From<BudgetExhausted> for Problem {
    fn from(_: BudgetExhausted) -> Self {
        Self::busy("other simulations use the memory that this one needs: try again", 1)
    }
}
