//! One connection from its first byte to its last: head, gate, body, answer, next.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use smol::future::{or, yield_now};

use crate::api::handlers;
use crate::api::http::head::{self, HeadExtent, HttpError, RequestHead};
use crate::api::http::problem::Problem;
use crate::api::http::response::{RequestId, Response, ResponseMeta, has_body, write_head};
use crate::api::http::target::QueryParams;
use crate::api::metrics::EvictionReason;
use crate::api::request_context::RequestContext;
use crate::api::route_table::RouteMethod;
use crate::api::server::body;
use crate::api::server::client_stream::ClientStream;
use crate::api::server::conn_io::{ConnectionIo, PeerClose, WRITE_COALESCE_BYTES};
use crate::api::server::connection_table::{Phase, SlotGuard};
use crate::api::server::read_buffer::ReadBuffer;
use crate::api::state::{ApiRequest, AppState, AuthorizedRequest, HandlerResult, PendingResponse};
use crate::clock::Mono;

/// Bodies up to this size are written together with their head.
const SMALL_BODY: usize = 4 * 1024;
/// What comes after a request.
enum Next {
    Request,
    /// The client is told and keeps nothing of ours in its way: plain end.
    End,
    /// There may be bytes on the way that nobody will read.
    Drain,
    Upgrade(Box<handlers::UpgradeRequest>),
}

pub struct Connection {
    state: Rc<AppState>,
    wire: ConnectionIo,
    peer: IpAddr,
}

impl Connection {
    pub fn new(state: Rc<AppState>, socket: Rc<ClientStream>, slot: SlotGuard, peer: IpAddr) -> Self {
        let wire = ConnectionIo { socket, slot, deadlines: state.deadlines, out: Vec::new() };
        Self { state, wire, peer }
    }

    /// Serves until either side has had enough. I/O errors end the connection and are nobody's fault.
    pub async fn run(mut self) {
        let mut input = ReadBuffer::default();
        loop {
            match self.serve(&mut input).await {
                Ok(Next::Request) => {}
                Ok(Next::End) => return,
                Err(e) => {
                    // What TLS did not understand, or the alert of a client that does not trust the certificate.
                    if e.kind() == ErrorKind::InvalidData && self.wire.socket.is_shaking_hands() {
                        self.state.metrics.evictions.add(EvictionReason::Handshake, 1);
                    }
                    return;
                }
                Ok(Next::Drain) => return self.wire.drain().await,
                Ok(Next::Upgrade(upgrade)) => {
                    drop(input);
                    return Box::pin(handlers::run_upgrade(self.state, self.wire, *upgrade)).await;
                }
            }
        }
    }

    /// One request.
    async fn serve(&mut self, input: &mut ReadBuffer) -> io::Result<Next> {
        let extent = match self.read_head(input).await? {
            Some(Ok(extent)) => extent,
            Some(Err(refusal)) => return self.refuse(refusal, None).await,
            None => return Ok(Next::End),
        };
        self.wire.slot.busy();
        let started = Mono::now();
        let head = match head::parse(input.held(), extent) {
            Ok(head) => head,
            Err(refusal) => return self.refuse(refusal, head::request_id(input.held(), extent)).await,
        };
        let request_id = self.state.request_id(head.request_id);
        let mut context =
            RequestContext::of(&head, request_id, started, head.close || self.state.stopping.get());
        let mut taken = head.len;
        let outcome = self.decide(&head, input, &mut taken, &mut context).await?;
        let unread = (head.len + head.content_length.unwrap_or(0)).saturating_sub(taken);
        context.close |= unread > 0;
        let path = if matches!(outcome, HandlerResult::Ready(Ok(_))) {
            String::new()
        } else {
            head.target.path.to_string()
        };
        let result = match outcome {
            HandlerResult::Ready(result) => result,
            HandlerResult::Pending { answer, cancel_on_half_close } => {
                let result = self.attend(answer, cancel_on_half_close).await;
                if cancel_on_half_close {
                    context.waited = Mono::now().since(started);
                }
                let Some(result) = result else {
                    self.state.metrics.evictions.add(EvictionReason::Abandoned, 1);
                    return Ok(Next::End);
                };
                result
            }
            HandlerResult::Upgrade(upgrade) if context.head_only => Ok(handlers::upgrade_response(&upgrade)),
            // Who has shown no key yet is not given a place among the streams.
            HandlerResult::Upgrade(ref upgrade)
                if upgrade.is_authenticated() && !self.wire.slot.reserve() =>
            {
                Err(Problem::busy("as many streams as there may be are open: try again", 5))
            }
            HandlerResult::Upgrade(upgrade) => {
                context.record_access(&self.state, self.peer, handlers::upgrade_response(&upgrade).status.0);
                let rest = input.held()[taken..].to_vec();
                self.wire.flush().await?;
                let RequestContext { request_id: id, quota, .. } = context;
                return Ok(Next::Upgrade(Box::new(handlers::UpgradeRequest { upgrade, id, quota, rest })));
            }
        };
        let answer = result.unwrap_or_else(|problem| problem.answer(&path, &context.request_id));
        input.consume(taken);
        self.say(&answer, &context, input).await?;
        Ok(match (context.close, unread) {
            (false, _) => Next::Request,
            (true, 0) if input.is_empty() => Next::End,
            (true, _) => Next::Drain,
        })
    }

    /// Passes a request through the gate, reads its body and has it answered.
    async fn decide(
        &mut self,
        head: &RequestHead<'_>,
        input: &ReadBuffer,
        taken: &mut usize,
        context: &mut RequestContext,
    ) -> io::Result<HandlerResult> {
        let authorized = match self.state.admit(head, context.started) {
            Ok(authorized) => authorized,
            Err(away) => {
                (context.endpoint, context.key, context.quota) = (away.endpoint, away.key, away.quota);
                return Ok(HandlerResult::Ready(Err(away.problem)));
            }
        };
        (context.endpoint, context.key, context.quota) =
            (authorized.endpoint, authorized.key, authorized.quota);
        let read = body::read(&mut self.wire, &self.state.bodies, head, &authorized, input, taken).await?;
        Ok(match read {
            Ok((body, _share)) => self.begin(head, &authorized, &body, context),
            Err(problem) => HandlerResult::Ready(Err(problem)),
        })
    }

    /// Waits for a whole head; `None` when the client ends in peace.
    async fn read_head(
        &mut self,
        input: &mut ReadBuffer,
    ) -> io::Result<Option<Result<HeadExtent, HttpError>>> {
        let mut upgrade = false;
        loop {
            if !input.is_empty()
                && let Some(whole) = head::scan(input.held()).transpose()
            {
                return Ok(Some(whole));
            }
            self.wire.flush().await?;
            let now = Mono::now();
            if input.is_empty() {
                // A new connection keeps the head deadline it was given when it was accepted.
                if self.served() {
                    if self.state.stopping.get() {
                        return Ok(None);
                    }
                    self.wire.slot.wait(Phase::Idle, now, now + self.wire.deadlines.idle);
                }
            } else if !upgrade {
                upgrade = true;
                self.wire.slot.wait(Phase::Head, now, now + self.wire.deadlines.head);
            }
            if input.read(&self.wire, &self.state).await? == 0 {
                return Ok(match (self.wire.slot.timed_out(), input.is_empty()) {
                    (_, true) => None,
                    (true, _) => {
                        Some(Err(HttpError { status: 408, detail: "the request head took too long" }))
                    }
                    (false, _) => {
                        Some(Err(HttpError { status: 400, detail: "the request head ends too early" }))
                    }
                });
            }
        }
    }

    fn served(&self) -> bool {
        self.wire.slot.has_worked()
    }

    fn begin(
        &self,
        head: &RequestHead<'_>,
        authorized: &AuthorizedRequest<'_>,
        body: &[u8],
        context: &mut RequestContext,
    ) -> HandlerResult {
        let query = match QueryParams::parse(head.target.query, authorized.route.query) {
            Ok(query) => query,
            Err(bad) => return HandlerResult::Ready(Err(bad.into())),
        };
        let AuthorizedRequest { route, name, .. } = *authorized;
        let begin = self.state.ports.start_span.as_ref().filter(|_| route.method != RouteMethod::Get);
        context.span = begin.map(|begin| begin(context.trace, context.key.is_some()));
        let (request_id, span, now) = (&context.request_id, context.span, context.started);
        self.state.answer(&ApiRequest { route, name, head, query, body, request_id, span, now })
    }

    /// Waits for an answer as long as its client does; `None` when that is gone, or no place is free to wait in.
    async fn attend(
        &mut self,
        answer: PendingResponse,
        cancel_on_half_close: bool,
    ) -> Option<Result<Response, Problem>> {
        if !self.wire.slot.reserve() {
            return Some(Err(Problem::busy("too many requests are waiting already: try again", 1)));
        }
        // What earlier pipelined requests are owed must not wait for this one.
        self.wire.flush().await.ok()?;
        let socket = Rc::clone(&self.wire.socket);
        let gone = async move {
            if ConnectionIo::peer_closed(&socket).await == PeerClose::Half && !cancel_on_half_close {
                std::future::pending::<()>().await;
            }
            None
        };
        let result = or(async { Some(answer.await) }, gone).await;
        self.wire.slot.unreserve();
        result
    }

    /// Answers what could not be understood and ends the connection.
    async fn refuse(&mut self, refusal: HttpError, id: Option<RequestId>) -> io::Result<Next> {
        let id = id.unwrap_or_else(|| self.state.request_id(None));
        let context = RequestContext::nothing(id, Mono::now());
        let answer = Problem::from(refusal).answer("", &context.request_id);
        self.wire.slot.busy();
        self.print(&answer, &context);
        self.wire.flush().await?;
        Ok(Next::Drain)
    }

    fn print(&mut self, answer: &Response, context: &RequestContext) -> bool {
        let body = self.state.with_date(context.started, |date| {
            let envelope = ResponseMeta {
                head_only: context.head_only,
                close: context.close,
                date,
                request_id: &context.request_id,
                quota: context.quota,
            };
            write_head(&mut self.wire.out, answer, &envelope);
            has_body(answer, &envelope)
        });
        let bytes = answer.body.bytes();
        if body && bytes.len() <= SMALL_BODY {
            self.wire.out.extend_from_slice(bytes);
        }
        context.record_access(&self.state, self.peer, answer.status.0);
        body && bytes.len() > SMALL_BODY
    }

    /// Prints an answer, and writes it unless the next request is here already.
    async fn say(
        &mut self,
        answer: &Response,
        context: &RequestContext,
        input: &ReadBuffer,
    ) -> io::Result<()> {
        if self.print(answer, context) {
            self.wire.flush_with(answer.body.bytes()).await?;
        }
        if context.close || input.is_empty() || self.wire.out.len() > WRITE_COALESCE_BYTES {
            self.wire.flush().await?;
        }
        if !input.is_empty() {
            yield_now().await;
        }
        Ok(())
    }
}
