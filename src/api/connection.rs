//! One connection from its first byte to its last: head, gate, body, answer, next.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use smol::future::{or, yield_now};
use tiny_http::Method;

use super::answer::{Answer, Envelope, RequestId, has_body, print_head};
use super::front::{Admitted, Call, Front, Later, Outcome};
use super::http::{self, Extent, Head, MAX_BODIES, MAX_BODY, MAX_HEAD, Refusal};
use super::pipe::Pipe;
use super::ports::Answered;
use super::problem::Problem;
use super::rate::Quota;
use super::routes;
use super::seats::{Phase, Ticket, reason};
use super::table::{OTHER, ROUTES, Verb};
use super::target::Query;
use super::wire::{ENOUGH, Hangup, Wire};
use super::work::Share;
use crate::clock::Mono;
use crate::telemetry::trace::{SpanContext, is_tracestate};

/// Bodies up to this size are written together with their head.
const SMALL_BODY: usize = 4 * 1024;
/// Bodies up to this size are read beside any number of others.
const MODEST_BODY: usize = 1024;

/// Room for what has been read and not yet understood.
pub type Room = Box<[u8; MAX_HEAD]>;

/// What has been read and not yet understood. Has no room while there is nothing: most connections wait most of the time.
struct Input {
    room: Option<Room>,
    filled: usize,
}

impl Input {
    fn held(&self) -> &[u8] {
        self.room.as_ref().map_or(&[], |room| &room[..self.filled])
    }

    fn consume(&mut self, n: usize) {
        if let Some(room) = &mut self.room {
            room.copy_within(n..self.filled, 0);
        }
        self.filled -= n;
    }
}

/// What comes after a request.
enum Next {
    Request,
    /// The client is told and keeps nothing of ours in its way: plain end.
    End,
    /// There may be bytes on the way that nobody will read.
    Drain,
    Takeover(Box<routes::Begun>),
}

pub struct Connection {
    front: Rc<Front>,
    wire: Wire,
    peer: IpAddr,
}

/// The facts an answer and its log entry share.
struct Said<'a> {
    endpoint: usize,
    method: &'a str,
    head_only: bool,
    key: Option<usize>,
    quota: Option<Quota>,
    trace: Option<SpanContext>,
    tracestate: Option<Box<str>>,
    /// Its own, where others may go on with it.
    span: Option<SpanContext>,
    request_id: RequestId,
    started: Mono,
    /// Spent waiting for news on behalf of the client, who asked for it.
    waited: Duration,
    close: bool,
}

impl Connection {
    pub fn new(front: Rc<Front>, socket: Rc<Pipe>, ticket: Ticket, peer: IpAddr) -> Self {
        let wire = Wire { socket, ticket, deadlines: front.deadlines, out: Vec::new() };
        Self { front, wire, peer }
    }

    /// Serves until either side has had enough. I/O errors end the connection and are nobody's fault.
    pub async fn run(mut self) {
        let mut input = Input { room: None, filled: 0 };
        loop {
            match self.serve(&mut input).await {
                Ok(Next::Request) => {}
                Ok(Next::End) => return,
                Err(e) => {
                    // What TLS did not understand, or the alert of a client that does not trust the certificate.
                    if e.kind() == ErrorKind::InvalidData && self.wire.socket.is_shaking_hands() {
                        self.front.metrics.http.evictions[reason::HANDSHAKE].add(1);
                    }
                    return;
                }
                Ok(Next::Drain) => return self.wire.drain().await,
                Ok(Next::Takeover(begun)) => {
                    drop(input);
                    return Box::pin(routes::take_over(self.front, self.wire, *begun)).await;
                }
            }
        }
    }

    /// One request.
    async fn serve(&mut self, input: &mut Input) -> std::io::Result<Next> {
        let extent = match self.read_head(input).await? {
            Some(Ok(extent)) => extent,
            Some(Err(refusal)) => return self.refuse(refusal, None).await,
            None => return Ok(Next::End),
        };
        self.wire.ticket.busy();
        let started = Mono::now();
        let head = match http::parse(input.held(), extent) {
            Ok(head) => head,
            Err(refusal) => return self.refuse(refusal, http::request_id(input.held(), extent)).await,
        };
        let mut said = Said {
            endpoint: OTHER,
            method: "other",
            head_only: head.method == Method::Head,
            key: None,
            quota: None,
            trace: head.traceparent.and_then(caller),
            tracestate: state(&head.tracestate),
            span: None,
            request_id: self.front.request_id(head.request_id),
            started,
            waited: Duration::ZERO,
            close: head.close || self.front.stopping.get(),
        };
        said.method = method_name(&head.method);
        let mut taken = head.len;
        let announced = head.content_length.unwrap_or(0);
        let outcome = match self.front.admit(&head, started) {
            Err(away) => {
                (said.endpoint, said.key, said.quota) = (away.endpoint, away.key, away.quota);
                Outcome::Now(Err(away.problem))
            }
            Ok(admitted) => {
                (said.endpoint, said.key, said.quota) = (admitted.endpoint, admitted.key, admitted.quota);
                match self.take_body(&head, &admitted, input, &mut taken).await? {
                    Err(problem) => Outcome::Now(Err(problem)),
                    Ok((body, _share)) => self.begin(&head, &admitted, &body, &mut said),
                }
            }
        };
        let unread = (head.len + announced).saturating_sub(taken);
        said.close |= unread > 0;
        let path =
            if matches!(outcome, Outcome::Now(Ok(_))) { String::new() } else { head.target.path.to_string() };
        let result = match outcome {
            Outcome::Now(result) => result,
            Outcome::Later { answer, half_closed_is_gone } => {
                let result = self.attend(answer, half_closed_is_gone).await;
                if half_closed_is_gone {
                    said.waited = Mono::now().since(started);
                }
                let Some(result) = result else {
                    self.front.metrics.http.evictions[reason::ABANDONED].add(1);
                    return Ok(Next::End);
                };
                result
            }
            Outcome::Takeover(takeover) if said.head_only => Ok(routes::announced(&takeover)),
            // Who has shown no key yet is not given a place among the streams.
            Outcome::Takeover(ref takeover) if takeover.is_for_the_known() && !self.wire.ticket.hold() => {
                Err(Problem::busy("as many streams as there may be are open: try again", 5))
            }
            Outcome::Takeover(takeover) => {
                self.count(&said, routes::announced(&takeover).status.0);
                let rest = input.held()[taken..].to_vec();
                self.wire.flush().await?;
                let Said { request_id: id, quota, .. } = said;
                return Ok(Next::Takeover(Box::new(routes::Begun { takeover, id, quota, rest })));
            }
        };
        let answer = result.unwrap_or_else(|problem| problem.answer(&path, &said.request_id));
        input.consume(taken.min(input.filled));
        self.say(&answer, &said, input).await?;
        Ok(match (said.close, unread) {
            (false, _) => Next::Request,
            (true, 0) if input.filled == 0 => Next::End,
            (true, _) => Next::Drain,
        })
    }

    /// Waits for a whole head; `None` when the client ends in peace.
    async fn read_head(&mut self, input: &mut Input) -> std::io::Result<Option<Result<Extent, Refusal>>> {
        let mut begun = false;
        loop {
            if input.filled > 0
                && let Some(whole) = http::scan(input.held()).transpose()
            {
                return Ok(Some(whole));
            }
            self.wire.flush().await?;
            let now = Mono::now();
            if input.filled == 0 {
                // A new connection keeps the head deadline it was given when it was accepted.
                if self.served() {
                    if self.front.stopping.get() {
                        return Ok(None);
                    }
                    self.wire.ticket.wait(Phase::Idle, now, now + self.wire.deadlines.idle);
                }
            } else if !begun {
                begun = true;
                self.wire.ticket.wait(Phase::Head, now, now + self.wire.deadlines.head);
            }
            if self.read_more(input).await? == 0 {
                return Ok(match (self.wire.ticket.timed_out(), input.filled) {
                    (_, 0) => None,
                    (true, _) => Some(Err(Refusal { status: 408, detail: "the request head took too long" })),
                    (false, _) => {
                        Some(Err(Refusal { status: 400, detail: "the request head ends too early" }))
                    }
                });
            }
        }
    }

    /// Some bytes behind those that are held, or 0 at the end of input.
    async fn read_more(&mut self, input: &mut Input) -> std::io::Result<usize> {
        loop {
            let room = input.room.get_or_insert_with(|| self.front.room());
            match self.wire.socket.try_read(&mut room[input.filled..]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if input.filled == 0 {
                        self.front.vacate(input.room.take());
                    }
                    self.wire.readable().await;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => {
                    input.filled += *done.as_ref().unwrap_or(&0);
                    return done;
                }
            }
        }
    }

    fn served(&self) -> bool {
        self.wire.ticket.has_worked()
    }

    /// Reads the body of a request that was let in, or says why not.
    async fn take_body(
        &mut self,
        head: &Head<'_>,
        admitted: &Admitted<'_>,
        input: &Input,
        taken: &mut usize,
    ) -> std::io::Result<Result<(Vec<u8>, Option<Share>), Problem>> {
        let length = head.content_length.unwrap_or(0);
        if !admitted.route.body {
            let problem = Problem::new(400, "this route takes no body");
            return Ok(if length == 0 { Ok((Vec::new(), None)) } else { Err(problem) });
        }
        if head.content_length.is_none() {
            return Ok(Err(Problem::new(411, "this route needs a body: send Content-Length")));
        }
        if !http::is_json(head.content_type) {
            return Ok(Err(Problem::new(415, "the body must be declared as application/json")));
        }
        debug_assert!(length <= MAX_BODY, "longer bodies are refused with their head");
        let mut share = None;
        if length > MODEST_BODY {
            share = self.front.bodies.take(length as u64, MAX_BODIES as u64);
            if share.is_none() {
                return Ok(Err(Problem::busy("other bodies are being read: try again", 1)));
            }
        }
        let here = &input.held()[head.len..];
        let mut body = here[..here.len().min(length)].to_vec();
        *taken = head.len + body.len();
        if body.len() < length {
            if head.expects_continue && body.is_empty() {
                self.wire.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            self.wire.flush().await?;
            let now = Mono::now();
            self.wire.ticket.wait(Phase::Body, now, now + self.wire.deadlines.body);
            let mut filled = body.len();
            body.resize(length, 0);
            while filled < length {
                let n = self.wire.read(&mut body[filled..]).await?;
                if n == 0 {
                    let late = self.wire.ticket.timed_out();
                    let (status, detail) = if late {
                        (408, "the request body took too long")
                    } else {
                        (400, "the request body is shorter than its Content-Length")
                    };
                    return Ok(Err(Problem::new(status, detail)));
                }
                filled += n;
            }
            *taken = head.len + length;
            self.wire.ticket.busy();
        }
        Ok(Ok((body, share)))
    }

    fn begin(&self, head: &Head<'_>, admitted: &Admitted<'_>, body: &[u8], said: &mut Said<'_>) -> Outcome {
        let query = match Query::parse(head.target.query, admitted.route.query) {
            Ok(query) => query,
            Err(bad) => return Outcome::Now(Err(bad.into())),
        };
        let Admitted { route, name, .. } = *admitted;
        let begin = self.front.ports.begin.as_ref().filter(|_| route.verb != Verb::Get);
        said.span = begin.map(|begin| begin(said.trace, said.key.is_some()));
        let (request_id, span, now) = (&said.request_id, said.span, said.started);
        self.front.answer(&Call { route, name, head, query, body, request_id, span, now })
    }

    /// Waits for an answer as long as its client does; `None` when that is gone, or no place is free to wait in.
    async fn attend(&mut self, answer: Later, half_closed_is_gone: bool) -> Option<Result<Answer, Problem>> {
        if !self.wire.ticket.hold() {
            return Some(Err(Problem::busy("too many requests are waiting already: try again", 1)));
        }
        // What earlier pipelined requests are owed must not wait for this one.
        self.wire.flush().await.ok()?;
        let socket = Rc::clone(&self.wire.socket);
        let gone = async move {
            if Wire::hung_up(&socket).await == Hangup::Half && !half_closed_is_gone {
                std::future::pending::<()>().await;
            }
            None
        };
        let result = or(async { Some(answer.await) }, gone).await;
        self.wire.ticket.release();
        result
    }

    /// Answers what could not be understood and ends the connection.
    async fn refuse(&mut self, refusal: Refusal, id: Option<RequestId>) -> std::io::Result<Next> {
        let said = Said {
            endpoint: OTHER,
            method: "other",
            head_only: false,
            key: None,
            quota: None,
            trace: None,
            tracestate: None,
            span: None,
            request_id: id.unwrap_or_else(|| self.front.request_id(None)),
            started: Mono::now(),
            waited: Duration::ZERO,
            close: true,
        };
        let answer = Problem::from(refusal).answer("", &said.request_id);
        self.wire.ticket.busy();
        self.print(&answer, &said);
        self.wire.flush().await?;
        Ok(Next::Drain)
    }

    fn print(&mut self, answer: &Answer, said: &Said<'_>) -> bool {
        let body = self.front.with_date(said.started, |date| {
            let envelope = Envelope {
                head_only: said.head_only,
                close: said.close,
                date,
                request_id: &said.request_id,
                quota: said.quota,
            };
            print_head(&mut self.wire.out, answer, &envelope);
            has_body(answer, &envelope)
        });
        let bytes = answer.body.bytes();
        if body && bytes.len() <= SMALL_BODY {
            self.wire.out.extend_from_slice(bytes);
        }
        self.count(said, answer.status.0);
        body && bytes.len() > SMALL_BODY
    }

    /// Prints an answer, and writes it unless the next request is here already.
    async fn say(&mut self, answer: &Answer, said: &Said<'_>, input: &Input) -> std::io::Result<()> {
        if self.print(answer, said) {
            self.wire.flush_with(answer.body.bytes()).await?;
        }
        if said.close || input.filled == 0 || self.wire.out.len() > ENOUGH {
            self.wire.flush().await?;
        }
        if input.filled > 0 {
            yield_now().await;
        }
        Ok(())
    }

    fn count(&self, said: &Said<'_>, status: u16) {
        let took = Mono::now().since(said.started);
        // How long a client wanted to wait says nothing about the daemon.
        let own = took.saturating_sub(said.waited).as_secs_f64();
        self.front.metrics.http.answered(said.endpoint, said.method, status, own);
        if let Some(tell) = &self.front.ports.answered {
            let gate = self.front.gate.borrow();
            tell(&Answered {
                request_id: &said.request_id,
                method: said.method,
                route: ROUTES.get(said.endpoint).map_or("other", |route| route.template),
                status,
                took,
                peer: self.peer,
                key: said.key.and_then(|k| gate.key(k)).map(|key| key.name.as_str()),
                trace: said.trace,
                span: said.span,
                tracestate: said.tracestate.as_deref().filter(|_| said.trace.is_some()),
            });
        }
    }
}

/// The span a request is part of; a field that is not valid is as good as none.
fn caller(traceparent: &[u8]) -> Option<SpanContext> {
    SpanContext::parse(std::str::from_utf8(traceparent).ok()?)
}

/// The pieces of a `tracestate` as one list; one that may not be passed on is as good as none.
fn state(pieces: &[&[u8]]) -> Option<Box<str>> {
    if pieces[0].is_empty() {
        return None;
    }
    // Empty members are allowed, so the unused pieces do no harm.
    let list = String::from_utf8(pieces.join(&b',')).ok()?;
    let list = list.trim_end_matches(',');
    is_tracestate(list).then(|| list.into())
}

/// Methods that metrics and logs know by name; whatever a client makes up is `other`.
fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        _ => "other",
    }
}
