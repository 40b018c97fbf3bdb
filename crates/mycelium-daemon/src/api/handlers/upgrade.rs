//! Requests that turn a connection into a stream.

use std::rc::Rc;

use tiny_http::{HTTPVersion, Method};

use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::problem::Problem;
use crate::api::http::request_id::RequestId;
use crate::api::http::response::{Response, ResponseBody};
use crate::api::server::conn_io::ConnectionIo;
use crate::api::state::{ApiRequest, AppState, HandlerResult, Upgrade};
use crate::api::streaming::cursor::Cursor;
use crate::api::{legacy as old, streaming::sse as events, streaming::websocket as web};

pub fn stream(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    match start(state, request) {
        Ok(cursor) => HandlerResult::Upgrade(Upgrade::Events(cursor)),
        Err(problem) => HandlerResult::Ready(Err(problem)),
    }
}

/// `Last-Event-ID` first, then `since`, then live. An id that is none of ours is like none at all.
fn start(state: &AppState, request: &ApiRequest<'_>) -> Result<Cursor, Problem> {
    let since = request.query.integer("since", 0, u64::MAX)?;
    let event = request.head.last_event_id.and_then(|id| Cursor::after_event(&state.snapshots, id));
    Ok(match (event, since) {
        (Some(cursor), _) => cursor,
        (None, Some(since)) => Cursor::after(&state.snapshots, since),
        (None, None) => Cursor::live(&state.snapshots),
    })
}

pub fn socket(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    let upgrade = || Ok(Upgrade::Socket { cursor: start(state, request)?, accept: upgraded(request)? });
    upgrade().map_or_else(|problem| HandlerResult::Ready(Err(problem)), HandlerResult::Upgrade)
}

pub fn legacy(request: &ApiRequest<'_>, live: bool) -> HandlerResult {
    let upgrade = upgraded(request).map(|accept| Upgrade::Legacy { live, accept });
    upgrade.map_or_else(|problem| HandlerResult::Ready(Err(problem)), HandlerResult::Upgrade)
}

fn upgraded(request: &ApiRequest<'_>) -> Result<String, Problem> {
    let mut upgrade = request.head.upgrade;
    upgrade.websocket &= request.head.method == Method::Get && request.head.version == HTTPVersion(1, 1);
    web::accept(&upgrade)
}

/// The head a stream begins with, as HEAD and metrics see it.
pub fn upgrade_response(upgrade: &Upgrade) -> Response {
    match upgrade {
        Upgrade::Events(_) => Response::new(200, "text/event-stream", ResponseBody::Static(b"")),
        Upgrade::Socket { .. } | Upgrade::Legacy { .. } => Response::new(101, "", ResponseBody::Static(b"")),
    }
}

/// A request that has become a stream, and what its first lines repeat.
pub struct UpgradeRequest {
    pub upgrade: Upgrade,
    pub id: RequestId,
    pub quota: Option<RateQuota>,
    /// What the client has sent behind the request.
    pub rest: Vec<u8>,
}

pub async fn run_upgrade(state: Rc<AppState>, wire: ConnectionIo, upgrade: UpgradeRequest) {
    let UpgradeRequest { upgrade, id, quota, rest } = upgrade;
    match upgrade {
        Upgrade::Events(cursor) => events::run(state, wire, cursor, id, quota).await,
        Upgrade::Socket { cursor, accept } => {
            if let Ok(socket) = web::Socket::open(wire, &accept, &id, quota, rest).await {
                web::run(state, socket, cursor).await;
            }
        }
        Upgrade::Legacy { live, accept } => {
            if let Ok(socket) = web::Socket::open(wire, &accept, &id, quota, rest).await {
                old::run(state, socket, live).await;
            }
        }
    }
}
