//! A connection that has become a stream, until its end.

use std::net::IpAddr;
use std::rc::Rc;

use super::auth::rate_limit::RateQuota;
use super::http::request_id::RequestId;
use super::http::response::{Response, ResponseBody};
use super::legacy;
use super::request::Upgrade;
use super::server::conn_io::ConnectionIo;
use super::state::AppState;
use super::streaming::websocket_io::WebSocketIo;
use super::streaming::{sse, websocket};

/// A request that has become a stream, with what the head of its response needs.
pub struct UpgradeRequest {
    pub upgrade: Upgrade,
    pub id: RequestId,
    pub quota: Option<RateQuota>,
    /// What the client has sent after the request.
    pub rest: Vec<u8>,
    pub peer: IpAddr,
}

/// The response that begins a stream, as HEAD requests and metrics see it.
pub fn upgrade_response(upgrade: &Upgrade) -> Response {
    match upgrade {
        Upgrade::Events(_) => Response::new(200, "text/event-stream", ResponseBody::Static(b"")),
        Upgrade::Socket { .. } | Upgrade::Legacy { .. } => Response::new(101, "", ResponseBody::Static(b"")),
    }
}

pub async fn run_upgrade(state: Rc<AppState>, io: ConnectionIo, request: UpgradeRequest) {
    let UpgradeRequest { upgrade, id, quota, rest, peer } = request;
    match upgrade {
        Upgrade::Events(cursor) => sse::run(state, io, cursor, &id, quota).await,
        Upgrade::Socket { cursor, accept } => {
            if let Ok(socket) = WebSocketIo::open(io, &accept, &id, quota, rest).await {
                websocket::run(state, socket, cursor).await;
            }
        }
        Upgrade::Legacy { live, accept } => {
            if let Ok(socket) = WebSocketIo::open(io, &accept, &id, quota, rest).await {
                legacy::run(state, socket, live, (peer, id)).await;
            }
        }
    }
}
