//! What a handler is given, and what it returns.

use std::future::Future;
use std::pin::Pin;

use super::http::head::RequestHead;
use super::http::problem::Problem;
use super::http::response::Response;
use super::http::target::QueryParams;
use super::places::Holder;
use super::route_table::Route;
use super::streaming::cursor::StreamCursor;
use crate::clock::Mono;
use crate::telemetry::trace::{RequestOrigin, SpanContext};

/// An authorized request with its body.
pub struct ApiRequest<'a> {
    pub route: &'static Route,
    /// The `{name}` segment of the path; empty where the template has none.
    pub name: &'a str,
    pub head: &'a RequestHead<'a>,
    pub query: QueryParams<'a>,
    pub body: &'a [u8],
    pub request_id: &'a str,
    /// For places that keys share.
    pub holder: Holder,
    /// Span of this request; `None` if tracing is off or nothing continues the trace.
    pub span: Option<SpanContext>,
    pub now: Mono,
}

impl ApiRequest<'_> {
    /// Names this request in the log lines of what is done for it after the response.
    pub fn origin(&self) -> RequestOrigin {
        RequestOrigin::new(self.request_id, self.span)
    }
}

pub type PendingResponse = Pin<Box<dyn Future<Output = Result<Response, Problem>>>>;

pub enum HandlerResult {
    Ready(Result<Response, Problem>),
    Pending {
        response: PendingResponse,
        /// Cancel the pending response when the client half-closes its connection.
        cancel_on_half_close: bool,
        /// The time until the response is that of an event elsewhere, and does not count as the duration of the request.
        is_poll: bool,
    },
    /// The connection becomes a stream.
    Upgrade(Upgrade),
}

impl From<Response> for HandlerResult {
    fn from(response: Response) -> Self {
        Self::Ready(Ok(response))
    }
}

impl From<Result<Response, Problem>> for HandlerResult {
    fn from(result: Result<Response, Problem>) -> Self {
        Self::Ready(result)
    }
}

impl From<Result<Upgrade, Problem>> for HandlerResult {
    fn from(result: Result<Upgrade, Problem>) -> Self {
        result.map_or_else(|problem| Self::Ready(Err(problem)), Self::Upgrade)
    }
}

/// The protocol a connection switches to. `accept` is the value of `Sec-WebSocket-Accept`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Server-sent events of feature records.
    Events(StreamCursor),
    /// WebSocket of feature records.
    Socket { cursor: StreamCursor, accept: String },
    /// WebSocket of `MyceliumFractalNet` 4.1; `live` selects its simulation stream.
    Legacy { live: bool, accept: String },
}

impl Upgrade {
    /// Whether the request was authenticated; a legacy client sends its key after the handshake.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self, Self::Legacy { .. })
    }
}
