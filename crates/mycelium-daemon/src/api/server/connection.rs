//! One connection from its first byte to its last. A request goes through
//! `read_head`, `RequestHead::parse`, `router::authorize`, `read_body`, `dispatch` and
//! `send_response` (write and record), in this order.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use smol::future::{or, yield_now};

use super::client_stream::ClientStream;
use super::conn_io::{ConnectionIo, PeerClose, WRITE_COALESCE_BYTES};
use super::connection_table::{ClientWait, SlotGuard, SlotState};
use super::read_buffer::ReadBuffer;
use crate::api::auth::wrong_keys::MAX_WRONG_KEYS;
use crate::api::http::body::{MAX_TOTAL_BODY_BYTES, UNACCOUNTED_BODY_BYTES, body_length};
use crate::api::http::error::HttpError;
use crate::api::http::head::{RequestHead, find_request_id};
use crate::api::http::head_scanner::{HeadExtent, HeadScanner};
use crate::api::http::problem::Problem;
use crate::api::http::request_id::RequestId;
use crate::api::http::response::{Response, ResponseMeta, has_body, write_head};
use crate::api::http::target::QueryParams;
use crate::api::memory_budget::Reservation;
use crate::api::metrics::EvictionReason;
use crate::api::places::Holder;
use crate::api::request::{ApiRequest, HandlerResult, PendingResponse};
use crate::api::request_context::RequestContext;
use crate::api::route_table::RouteMethod;
use crate::api::router::{self, AuthorizedRequest};
use crate::api::state::AppState;
use crate::api::upgrade::{UpgradeRequest, run_upgrade, upgrade_response};
use crate::clock::Mono;

/// A body up to this size is copied behind its head, so that one write sends both.
const INLINE_BODY_BYTES: usize = 4 * 1024;

/// What follows a request.
enum Next {
    Request,
    /// Close: there is no unread input.
    End,
    /// Close, but the client may still be sending.
    Drain,
    Upgrade(Box<UpgradeRequest>),
}

/// The body of a request, and its share of the memory for bodies.
type RequestBody = (Vec<u8>, Option<Reservation>);

pub struct Connection {
    state: Rc<AppState>,
    io: ConnectionIo,
    peer: IpAddr,
    /// Whether a request has been served: before that, the head deadline counts from accepting the connection.
    served_request: bool,
    /// Requests with a key that is not valid.
    wrong_keys: u32,
}

impl Connection {
    pub fn new(state: Rc<AppState>, stream: Rc<ClientStream>, slot: SlotGuard, peer: IpAddr) -> Self {
        let io = ConnectionIo { stream, slot, deadlines: state.deadlines(), out: Vec::new() };
        Self { state, io, peer, served_request: false, wrong_keys: 0 }
    }

    /// Serves requests until either side ends the connection. I/O errors end it and are not reported.
    pub async fn run(mut self) {
        let mut input = ReadBuffer::default();
        loop {
            match self.serve(&mut input).await {
                Ok(Next::Request) => {}
                Ok(Next::End) => return self.io.settle().await,
                Err(e) => {
                    // Malformed TLS, or the alert of a client that does not trust the certificate.
                    if e.kind() == ErrorKind::InvalidData && self.io.stream.is_handshaking() {
                        self.state.count_eviction(EvictionReason::Handshake);
                    }
                    return;
                }
                Ok(Next::Drain) => return self.io.drain().await,
                Ok(Next::Upgrade(upgrade)) => {
                    drop(input);
                    return Box::pin(run_upgrade(self.state, self.io, *upgrade)).await;
                }
            }
        }
    }

    /// Serves one request.
    async fn serve(&mut self, input: &mut ReadBuffer) -> io::Result<Next> {
        let extent = match self.read_head(input).await? {
            Some(Ok(extent)) => extent,
            Some(Err(error)) => return self.reject(error, None).await,
            None => return Ok(Next::End),
        };
        self.begin_handling();
        let started = Mono::now();
        let head = match RequestHead::parse(input.bytes(), extent) {
            Ok(head) => head,
            Err(error) => return self.reject(error, find_request_id(input.bytes(), extent)).await,
        };
        let request_id = self.state.request_id(head.request_id);
        let mut context =
            RequestContext::new(&head, request_id, started, head.close || self.state.is_stopping());
        let mut consumed = head.len;
        let handled = self.handle(&head, input, &mut consumed, &mut context).await?;
        let unread = (head.len + head.content_length.unwrap_or(0)).saturating_sub(consumed);
        context.close |= unread > 0;
        let result = match handled {
            HandlerResult::Ready(result) => result,
            HandlerResult::Pending { response, cancel_on_half_close, is_poll } => {
                let holder = self.state.holder(context.key);
                let result = self.await_pending(response, cancel_on_half_close, holder).await;
                if is_poll {
                    context.waited = Mono::now().since(started);
                }
                let Some(result) = result else {
                    self.state.count_eviction(EvictionReason::Abandoned);
                    return Ok(Next::End);
                };
                result
            }
            HandlerResult::Upgrade(upgrade) if context.head_only => Ok(upgrade_response(&upgrade)),
            // An anonymous client does not get one of the slots for streams yet.
            HandlerResult::Upgrade(ref upgrade)
                if upgrade.is_authenticated() && !self.io.slot.reserve(self.state.holder(context.key)) =>
            {
                Err(Problem::busy("the limit of open streams is reached: try again", 5))
            }
            HandlerResult::Upgrade(upgrade) => {
                context.record_access(&self.state, self.peer, upgrade_response(&upgrade).status.0);
                let rest = input.bytes()[consumed..].to_vec();
                self.io.flush().await?;
                let RequestContext { request_id: id, quota, .. } = context;
                let peer = self.peer;
                return Ok(Next::Upgrade(Box::new(UpgradeRequest { upgrade, id, quota, rest, peer })));
            }
        };
        let response =
            result.unwrap_or_else(|problem| problem.to_response(&head.target.path, &context.request_id));
        input.consume(consumed);
        self.send_response(&response, &context, input).await?;
        Ok(match (context.close, unread) {
            (false, _) => Next::Request,
            (true, 0) if input.is_empty() => Next::End,
            (true, _) => Next::Drain,
        })
    }

    fn begin_handling(&mut self) {
        self.io.slot.set(SlotState::Handling);
        self.served_request = true;
    }

    /// Waits for a complete head; `None` if the client ends the connection between two requests.
    async fn read_head(
        &mut self,
        input: &mut ReadBuffer,
    ) -> io::Result<Option<Result<HeadExtent, HttpError>>> {
        let mut scanner = HeadScanner::default();
        let mut head_started = false;
        loop {
            if !input.is_empty()
                && let Some(scanned) = scanner.scan(input.bytes()).transpose()
            {
                return Ok(Some(scanned));
            }
            self.io.flush().await?;
            if input.is_empty() {
                if self.served_request {
                    if self.state.is_stopping() {
                        return Ok(None);
                    }
                    self.io.slot.set(SlotState::Idle(ClientWait::new(self.io.deadlines.idle)));
                }
            } else if !head_started {
                head_started = true;
                self.io.slot.set(SlotState::ReadingHead(ClientWait::new(self.io.deadlines.head)));
            }
            if input.read(&self.io, self.state.spare_buffer()).await? == 0 {
                if input.is_empty() {
                    return Ok(None);
                }
                let (status, detail) = if self.io.stream.read_is_shut_down() {
                    (408, "the request head took too long")
                } else {
                    (400, "the request head ends too early")
                };
                return Ok(Some(Err(HttpError { status, detail })));
            }
        }
    }

    /// Routes and authorizes a request, reads its body and calls its handler. `consumed` counts the bytes of `input`
    /// that belong to the request.
    async fn handle(
        &mut self,
        head: &RequestHead<'_>,
        input: &ReadBuffer,
        consumed: &mut usize,
        context: &mut RequestContext,
    ) -> io::Result<HandlerResult> {
        let authorized = match router::authorize(&self.state, head, self.peer, context.started) {
            Ok(authorized) => authorized,
            Err(rejection) => {
                (context.endpoint, context.key, context.quota) =
                    (rejection.endpoint, rejection.key, rejection.quota);
                if rejection.wrong_key {
                    self.wrong_keys += 1;
                    self.state.count_wrong_key(self.peer, context.started);
                    context.close |= self.wrong_keys >= MAX_WRONG_KEYS;
                }
                return Ok(HandlerResult::Ready(Err(rejection.problem)));
            }
        };
        (context.endpoint, context.key, context.quota) =
            (authorized.endpoint, authorized.key, authorized.quota);
        context.name = (!authorized.name.is_empty()).then(|| authorized.name.into());
        let length = match body_length(head, authorized.route) {
            Ok(length) => length,
            Err(problem) => return Ok(HandlerResult::Ready(Err(problem))),
        };
        Ok(match self.read_body(head, length, input, consumed).await? {
            Ok((body, _reservation)) => self.dispatch(head, &authorized, &body, context),
            Err(problem) => HandlerResult::Ready(Err(problem)),
        })
    }

    /// Takes the part of the body that has arrived with the head and reads the rest.
    async fn read_body(
        &mut self,
        head: &RequestHead<'_>,
        length: usize,
        input: &ReadBuffer,
        consumed: &mut usize,
    ) -> io::Result<Result<RequestBody, Problem>> {
        let mut reservation = None;
        if length > UNACCOUNTED_BODY_BYTES {
            reservation = self.state.bodies().reserve(length as u64, MAX_TOTAL_BODY_BYTES as u64).ok();
            if reservation.is_none() {
                return Ok(Err(Problem::busy("too many request bodies are being read: try again", 1)));
            }
        }
        let arrived = &input.bytes()[head.len..];
        let mut body = arrived[..arrived.len().min(length)].to_vec();
        *consumed = head.len + body.len();
        if body.len() == length {
            return Ok(Ok((body, reservation)));
        }
        if head.expects_continue && body.is_empty() {
            self.io.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.io.flush().await?;
        self.io.slot.set(SlotState::ReadingBody(ClientWait::new(self.io.deadlines.body)));
        let mut filled = body.len();
        body.resize(length, 0);
        while filled < length {
            let n = self.io.read(&mut body[filled..]).await?;
            if n == 0 {
                let (status, detail) = if self.io.stream.read_is_shut_down() {
                    (408, "the request body took too long")
                } else {
                    (400, "the request body is shorter than its Content-Length")
                };
                return Ok(Err(Problem::new(status, detail)));
            }
            filled += n;
        }
        *consumed = head.len + length;
        self.io.slot.set(SlotState::Handling);
        Ok(Ok((body, reservation)))
    }

    /// Calls the handler of a route.
    fn dispatch(
        &self,
        head: &RequestHead<'_>,
        authorized: &AuthorizedRequest<'_>,
        body: &[u8],
        context: &mut RequestContext,
    ) -> HandlerResult {
        let query = match QueryParams::parse(head.target.query, authorized.route.query) {
            Ok(query) => query,
            Err(error) => return HandlerResult::Ready(Err(error.into())),
        };
        let AuthorizedRequest { route, name, .. } = *authorized;
        let start_span = self.state.ports().start_span.as_ref().filter(|_| route.method != RouteMethod::Get);
        context.span = start_span.map(|start_span| start_span(context.trace, context.key.is_some()));
        let (request_id, span, now) = (&context.request_id, context.span, context.started);
        let holder = self.state.holder(context.key);
        let request = ApiRequest { route, name, head, query, body, request_id, holder, span, now };
        router::dispatch(&self.state, &request)
    }

    /// Waits for a pending response; `None` if the client disconnects first.
    async fn await_pending(
        &mut self,
        response: PendingResponse,
        cancel_on_half_close: bool,
        holder: Holder,
    ) -> Option<Result<Response, Problem>> {
        if !self.io.slot.reserve(holder) {
            return Some(Err(Problem::busy("too many requests are waiting: try again", 1)));
        }
        // The responses of earlier pipelined requests must not wait for this one.
        self.io.flush().await.ok()?;
        let stream = Rc::clone(&self.io.stream);
        let closed = async move {
            if ConnectionIo::peer_closed(&stream).await == PeerClose::Half && !cancel_on_half_close {
                std::future::pending::<()>().await;
            }
            None
        };
        let result = or(async { Some(response.await) }, closed).await;
        self.io.slot.unreserve();
        result
    }

    /// Responds to a head that cannot be understood, and ends the connection.
    async fn reject(&mut self, error: HttpError, id: Option<RequestId>) -> io::Result<Next> {
        let id = id.unwrap_or_else(|| self.state.request_id(None));
        let context = RequestContext::unparsed(id, Mono::now());
        let response = Problem::from(error).to_response("", &context.request_id);
        self.begin_handling();
        self.write_response(&response, &context);
        self.io.flush().await?;
        Ok(Next::Drain)
    }

    /// Appends a response to the output and records it; whether its body is left to be written.
    fn write_response(&mut self, response: &Response, context: &RequestContext) -> bool {
        let has_body = self.state.date().with(context.started, |date| {
            let meta = ResponseMeta {
                head_only: context.head_only,
                close: context.close,
                date,
                request_id: &context.request_id,
                quota: context.quota,
            };
            write_head(&mut self.io.out, response, &meta);
            has_body(response, &meta)
        });
        let bytes = response.body.bytes();
        let inline = bytes.len() <= INLINE_BODY_BYTES;
        if has_body && inline {
            self.io.out.extend_from_slice(bytes);
        }
        context.record_access(&self.state, self.peer, response.status.0);
        has_body && !inline
    }

    /// Sends a response, unless the next pipelined request has arrived: then it is sent with the next response.
    async fn send_response(
        &mut self,
        response: &Response,
        context: &RequestContext,
        input: &ReadBuffer,
    ) -> io::Result<()> {
        if self.write_response(response, context) {
            self.io.flush_with(response.body.bytes()).await?;
        }
        if context.close || input.is_empty() || self.io.out.len() > WRITE_COALESCE_BYTES {
            self.io.flush().await?;
        }
        if !input.is_empty() {
            yield_now().await;
        }
        Ok(())
    }
}
