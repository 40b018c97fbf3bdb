//! Requests that turn a connection into a stream.

use std::rc::Rc;

use tiny_http::{HTTPVersion, Method};

use crate::api::auth::rate_limit::Quota;
use crate::api::http::problem::Problem;
use crate::api::http::response::{Answer, Body, RequestId};
use crate::api::server::conn_io::Wire;
use crate::api::state::{Call, Front, Outcome, Takeover};
use crate::api::streaming::cursor::Cursor;
use crate::api::{legacy as old, streaming::sse as events, streaming::websocket as web};

pub fn stream(front: &Rc<Front>, call: &Call<'_>) -> Outcome {
    match start(front, call) {
        Ok(cursor) => Outcome::Takeover(Takeover::Events(cursor)),
        Err(problem) => Outcome::Now(Err(problem)),
    }
}

/// `Last-Event-ID` first, then `since`, then live. An id that is none of ours is like none at all.
fn start(front: &Front, call: &Call<'_>) -> Result<Cursor, Problem> {
    let since = call.query.integer("since", 0, u64::MAX)?;
    let event = call.head.last_event_id.and_then(|id| Cursor::after_event(&front.board, id));
    Ok(match (event, since) {
        (Some(cursor), _) => cursor,
        (None, Some(since)) => Cursor::after(&front.board, since),
        (None, None) => Cursor::live(&front.board),
    })
}

pub fn socket(front: &Rc<Front>, call: &Call<'_>) -> Outcome {
    let takeover = || Ok(Takeover::Socket { cursor: start(front, call)?, accept: upgraded(call)? });
    takeover().map_or_else(|problem| Outcome::Now(Err(problem)), Outcome::Takeover)
}

pub fn legacy(call: &Call<'_>, live: bool) -> Outcome {
    let takeover = upgraded(call).map(|accept| Takeover::Legacy { live, accept });
    takeover.map_or_else(|problem| Outcome::Now(Err(problem)), Outcome::Takeover)
}

fn upgraded(call: &Call<'_>) -> Result<String, Problem> {
    let mut upgrade = call.head.upgrade;
    upgrade.websocket &= call.head.method == Method::Get && call.head.version == HTTPVersion(1, 1);
    web::accept(&upgrade)
}

/// The head a stream begins with, as HEAD and metrics see it.
pub fn announced(takeover: &Takeover) -> Answer {
    match takeover {
        Takeover::Events(_) => Answer::new(200, "text/event-stream", Body::Static(b"")),
        Takeover::Socket { .. } | Takeover::Legacy { .. } => Answer::new(101, "", Body::Static(b"")),
    }
}

/// A request that has become a stream, and what its first lines repeat.
pub struct Begun {
    pub takeover: Takeover,
    pub id: RequestId,
    pub quota: Option<Quota>,
    /// What the client has sent behind the request.
    pub rest: Vec<u8>,
}

pub async fn take_over(front: Rc<Front>, wire: Wire, begun: Begun) {
    let Begun { takeover, id, quota, rest } = begun;
    match takeover {
        Takeover::Events(cursor) => events::run(front, wire, cursor, id, quota).await,
        Takeover::Socket { cursor, accept } => {
            if let Ok(socket) = web::Socket::open(wire, &accept, &id, quota, rest).await {
                web::run(front, socket, cursor).await;
            }
        }
        Takeover::Legacy { live, accept } => {
            if let Ok(socket) = web::Socket::open(wire, &accept, &id, quota, rest).await {
                old::run(front, socket, live).await;
            }
        }
    }
}
