//! Server-sent events: feature records as they come, from where the client left off.

use std::fmt::Write;
use std::pin::pin;
use std::rc::Rc;

use smol::Timer;
use smol::future::or;
use smol::stream::StreamExt;

use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::request_id::RequestId;
use crate::api::http::response::write_quota;
use crate::api::server::conn_io::{ConnectionIo, WRITE_COALESCE_BYTES};
use crate::api::state::AppState;
use crate::api::streaming::cursor::{Cursor, Missed};

/// What ended a stream's sleep.
enum Woke {
    News,
    Beat,
    Gone,
}

/// Streams until the client goes, falls too far behind, or the server stops. What cannot be written within the
/// write deadline ends the connection (`slow_stream`).
pub async fn run(
    state: Rc<AppState>,
    mut wire: ConnectionIo,
    mut cursor: Cursor,
    id: RequestId,
    quota: Option<RateQuota>,
) {
    let mut text = String::with_capacity(2048);
    head(&state, &mut text, &id);
    wire.out.extend_from_slice(text.as_bytes());
    write_quota(&mut wire.out, quota);
    wire.out.extend_from_slice(b"\r\nretry: 3000\n\n");
    text.clear();
    let socket = Rc::clone(&wire.stream);
    let mut gone = pin!(ConnectionIo::peer_closed(&socket));
    let mut beat = Timer::interval(wire.deadlines.heartbeat);
    loop {
        let changed = state.snapshots.features_changed.listen();
        if state.stopping.get() {
            return;
        }
        loop {
            let more = records(&state, &mut cursor, &mut text);
            wire.out.extend_from_slice(text.as_bytes());
            text.clear();
            if !more {
                break;
            }
            if wire.out.len() > WRITE_COALESCE_BYTES && wire.flush().await.is_err() {
                return;
            }
        }
        if wire.flush().await.is_err() {
            return;
        }
        let news = async {
            changed.await;
            Woke::News
        };
        let beats = async {
            beat.next().await;
            Woke::Beat
        };
        let goes = async {
            (&mut gone).await;
            Woke::Gone
        };
        match or(news, or(beats, goes)).await {
            Woke::News => {}
            Woke::Beat => text.push_str(": beat\n\n"),
            Woke::Gone => return,
        }
    }
}

fn head(state: &AppState, out: &mut String, id: &str) {
    let now = crate::clock::Mono::now();
    state.with_date(now, |date| {
        write!(
            out,
            "HTTP/1.1 200 OK\r\nServer: mycelium-edge\r\nDate: {date}\r\nCache-Control: no-store\r\n\
             Content-Type: text/event-stream\r\nX-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n\
             X-Request-Id: {id}\r\nConnection: close\r\n"
        )
        .expect("writing to a String cannot fail");
    });
}

/// Appends the next records; whether there may be more.
fn records(state: &AppState, cursor: &mut Cursor, out: &mut String) -> bool {
    let mut chunk = heapless::Vec::new();
    if let Some(Missed(count)) = cursor.advance(&state.snapshots, &mut chunk) {
        state.metrics.stream_dropped.add(count.unwrap_or(0));
        out.push_str("event: gap\ndata: {\"missed\":");
        match count {
            Some(n) => write!(out, "{n}").expect("writing to a String cannot fail"),
            None => out.push_str("null"),
        }
        out.push_str("}\n\n");
    }
    for record in &chunk {
        let json = state.features.text(record);
        write!(
            out,
            "id: {}-{}\nevent: features\ndata: {json}\n\n",
            state.snapshots.identity.boot, record.seq
        )
        .expect("writing to a String cannot fail");
    }
    !chunk.is_empty()
}
