//! The body of a request that was let in.

use crate::api::http::head::{MAX_BODY_BYTES, MAX_TOTAL_BODY_BYTES, RequestHead, is_json};
use crate::api::http::problem::Problem;
use crate::api::memory_budget::{MemoryBudget, Reservation};
use crate::api::server::conn_io::ConnectionIo;
use crate::api::server::connection_table::Phase;
use crate::api::server::read_buffer::ReadBuffer;
use crate::api::state::AuthorizedRequest;
use crate::clock::Mono;

/// Bodies up to this size are read beside any number of others.
const MODEST_BODY: usize = 1024;

/// Reads the body of a request that was let in, or says why not.
pub async fn read(
    wire: &mut ConnectionIo,
    bodies: &MemoryBudget,
    head: &RequestHead<'_>,
    authorized: &AuthorizedRequest<'_>,
    input: &ReadBuffer,
    taken: &mut usize,
) -> std::io::Result<Result<(Vec<u8>, Option<Reservation>), Problem>> {
    let length = head.content_length.unwrap_or(0);
    if !authorized.route.body {
        let problem = Problem::new(400, "this route takes no body");
        return Ok(if length == 0 { Ok((Vec::new(), None)) } else { Err(problem) });
    }
    if head.content_length.is_none() {
        return Ok(Err(Problem::new(411, "this route needs a body: send Content-Length")));
    }
    if !is_json(head.content_type) {
        return Ok(Err(Problem::new(415, "the body must be declared as application/json")));
    }
    debug_assert!(length <= MAX_BODY_BYTES, "longer bodies are refused with their head");
    let mut share = None;
    if length > MODEST_BODY {
        share = bodies.take(length as u64, MAX_TOTAL_BODY_BYTES as u64);
        if share.is_none() {
            return Ok(Err(Problem::busy("other bodies are being read: try again", 1)));
        }
    }
    let here = &input.held()[head.len..];
    let mut body = here[..here.len().min(length)].to_vec();
    *taken = head.len + body.len();
    if body.len() < length {
        if head.expects_continue && body.is_empty() {
            wire.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        wire.flush().await?;
        let now = Mono::now();
        wire.slot.wait(Phase::Body, now, now + wire.deadlines.body);
        let mut filled = body.len();
        body.resize(length, 0);
        while filled < length {
            let n = wire.read(&mut body[filled..]).await?;
            if n == 0 {
                let late = wire.slot.timed_out();
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
        wire.slot.busy();
    }
    Ok(Ok((body, share)))
}
