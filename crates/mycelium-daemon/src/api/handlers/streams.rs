//! Requests that turn their connection into a stream.

use tiny_http::{HTTPVersion, Method};

use crate::api::http::problem::Problem;
use crate::api::request::{ApiRequest, Upgrade};
use crate::api::state::AppState;
use crate::api::streaming::cursor::StreamCursor;
use crate::api::streaming::websocket_io;

pub fn stream(state: &AppState, request: &ApiRequest<'_>) -> Result<Upgrade, Problem> {
    Ok(Upgrade::Events(start(state, request)?))
}

pub fn socket(state: &AppState, request: &ApiRequest<'_>) -> Result<Upgrade, Problem> {
    Ok(Upgrade::Socket { cursor: start(state, request)?, accept: accept(request)? })
}

pub fn legacy_socket(request: &ApiRequest<'_>, live: bool) -> Result<Upgrade, Problem> {
    Ok(Upgrade::Legacy { live, accept: accept(request)? })
}

/// `Last-Event-ID` first, then `since`, then the newest record. An unusable event id counts as none.
fn start(state: &AppState, request: &ApiRequest<'_>) -> Result<StreamCursor, Problem> {
    let since = request.query.integer("since", 0, u64::MAX)?;
    let event = request.head.last_event_id.and_then(|id| StreamCursor::after_event(state.snapshots(), id));
    Ok(match (event, since) {
        (Some(cursor), _) => cursor,
        (None, Some(since)) => StreamCursor::after(state.snapshots(), since),
        (None, None) => StreamCursor::live(state.snapshots()),
    })
}

fn accept(request: &ApiRequest<'_>) -> Result<String, Problem> {
    let mut upgrade = request.head.upgrade;
    upgrade.websocket &= request.head.method == Method::Get && request.head.version == HTTPVersion(1, 1);
    websocket_io::accept(&upgrade)
}
