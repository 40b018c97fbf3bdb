//! One connection from its first byte to its last: head, gate, body, answer, next.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use smol::future::{or, yield_now};

use crate::api::handlers;
use crate::api::http::head::{self, Extent, Head, Refusal};
use crate::api::http::problem::Problem;
use crate::api::http::response::{Answer, Envelope, RequestId, has_body, print_head};
use crate::api::http::target::Query;
use crate::api::request_context::Said;
use crate::api::route_table::Verb;
use crate::api::server::body;
use crate::api::server::client_stream::Pipe;
use crate::api::server::conn_io::{ENOUGH, Hangup, Wire};
use crate::api::server::connection_table::{Phase, Ticket, reason};
use crate::api::server::read_buffer::Input;
use crate::api::state::{Admitted, Call, Front, Later, Outcome};
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
    Takeover(Box<handlers::Begun>),
}

pub struct Connection {
    front: Rc<Front>,
    wire: Wire,
    peer: IpAddr,
}

impl Connection {
    pub fn new(front: Rc<Front>, socket: Rc<Pipe>, ticket: Ticket, peer: IpAddr) -> Self {
        let wire = Wire { socket, ticket, deadlines: front.deadlines, out: Vec::new() };
        Self { front, wire, peer }
    }

    /// Serves until either side has had enough. I/O errors end the connection and are nobody's fault.
    pub async fn run(mut self) {
        let mut input = Input::default();
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
                    return Box::pin(handlers::take_over(self.front, self.wire, *begun)).await;
                }
            }
        }
    }

    /// One request.
    async fn serve(&mut self, input: &mut Input) -> io::Result<Next> {
        let extent = match self.read_head(input).await? {
            Some(Ok(extent)) => extent,
            Some(Err(refusal)) => return self.refuse(refusal, None).await,
            None => return Ok(Next::End),
        };
        self.wire.ticket.busy();
        let started = Mono::now();
        let head = match head::parse(input.held(), extent) {
            Ok(head) => head,
            Err(refusal) => return self.refuse(refusal, head::request_id(input.held(), extent)).await,
        };
        let request_id = self.front.request_id(head.request_id);
        let mut said = Said::of(&head, request_id, started, head.close || self.front.stopping.get());
        let mut taken = head.len;
        let outcome = self.decide(&head, input, &mut taken, &mut said).await?;
        let unread = (head.len + head.content_length.unwrap_or(0)).saturating_sub(taken);
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
            Outcome::Takeover(takeover) if said.head_only => Ok(handlers::announced(&takeover)),
            // Who has shown no key yet is not given a place among the streams.
            Outcome::Takeover(ref takeover) if takeover.is_for_the_known() && !self.wire.ticket.hold() => {
                Err(Problem::busy("as many streams as there may be are open: try again", 5))
            }
            Outcome::Takeover(takeover) => {
                said.count(&self.front, self.peer, handlers::announced(&takeover).status.0);
                let rest = input.held()[taken..].to_vec();
                self.wire.flush().await?;
                let Said { request_id: id, quota, .. } = said;
                return Ok(Next::Takeover(Box::new(handlers::Begun { takeover, id, quota, rest })));
            }
        };
        let answer = result.unwrap_or_else(|problem| problem.answer(&path, &said.request_id));
        input.consume(taken);
        self.say(&answer, &said, input).await?;
        Ok(match (said.close, unread) {
            (false, _) => Next::Request,
            (true, 0) if input.is_empty() => Next::End,
            (true, _) => Next::Drain,
        })
    }

    /// Passes a request through the gate, reads its body and has it answered.
    async fn decide(
        &mut self,
        head: &Head<'_>,
        input: &Input,
        taken: &mut usize,
        said: &mut Said,
    ) -> io::Result<Outcome> {
        let admitted = match self.front.admit(head, said.started) {
            Ok(admitted) => admitted,
            Err(away) => {
                (said.endpoint, said.key, said.quota) = (away.endpoint, away.key, away.quota);
                return Ok(Outcome::Now(Err(away.problem)));
            }
        };
        (said.endpoint, said.key, said.quota) = (admitted.endpoint, admitted.key, admitted.quota);
        let read = body::read(&mut self.wire, &self.front.bodies, head, &admitted, input, taken).await?;
        Ok(match read {
            Ok((body, _share)) => self.begin(head, &admitted, &body, said),
            Err(problem) => Outcome::Now(Err(problem)),
        })
    }

    /// Waits for a whole head; `None` when the client ends in peace.
    async fn read_head(&mut self, input: &mut Input) -> io::Result<Option<Result<Extent, Refusal>>> {
        let mut begun = false;
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
                    if self.front.stopping.get() {
                        return Ok(None);
                    }
                    self.wire.ticket.wait(Phase::Idle, now, now + self.wire.deadlines.idle);
                }
            } else if !begun {
                begun = true;
                self.wire.ticket.wait(Phase::Head, now, now + self.wire.deadlines.head);
            }
            if input.read(&self.wire, &self.front).await? == 0 {
                return Ok(match (self.wire.ticket.timed_out(), input.is_empty()) {
                    (_, true) => None,
                    (true, _) => Some(Err(Refusal { status: 408, detail: "the request head took too long" })),
                    (false, _) => {
                        Some(Err(Refusal { status: 400, detail: "the request head ends too early" }))
                    }
                });
            }
        }
    }

    fn served(&self) -> bool {
        self.wire.ticket.has_worked()
    }

    fn begin(&self, head: &Head<'_>, admitted: &Admitted<'_>, body: &[u8], said: &mut Said) -> Outcome {
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
    async fn refuse(&mut self, refusal: Refusal, id: Option<RequestId>) -> io::Result<Next> {
        let id = id.unwrap_or_else(|| self.front.request_id(None));
        let said = Said::nothing(id, Mono::now());
        let answer = Problem::from(refusal).answer("", &said.request_id);
        self.wire.ticket.busy();
        self.print(&answer, &said);
        self.wire.flush().await?;
        Ok(Next::Drain)
    }

    fn print(&mut self, answer: &Answer, said: &Said) -> bool {
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
        said.count(&self.front, self.peer, answer.status.0);
        body && bytes.len() > SMALL_BODY
    }

    /// Prints an answer, and writes it unless the next request is here already.
    async fn say(&mut self, answer: &Answer, said: &Said, input: &Input) -> io::Result<()> {
        if self.print(answer, said) {
            self.wire.flush_with(answer.body.bytes()).await?;
        }
        if said.close || input.is_empty() || self.wire.out.len() > ENOUGH {
            self.wire.flush().await?;
        }
        if !input.is_empty() {
            yield_now().await;
        }
        Ok(())
    }
}
