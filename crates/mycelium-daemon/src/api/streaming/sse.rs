//! Server-sent events: feature records as they come, from where the client left off.

use std::fmt::Write;
use std::pin::pin;
use std::rc::Rc;

use super::cursor::{EventId, Missed, RecordChunk, StreamCursor};
use super::subscription::{Subscription, WakeReason};
use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::response::{SERVER_NAME, write_quota};
use crate::api::server::conn_io::{ConnectionIo, WRITE_COALESCE_BYTES};
use crate::api::state::AppState;
use crate::clock::Mono;

/// Streams until the client disconnects or the server stops. A client that does not take what is written within the
/// write deadline is disconnected (`slow_stream`).
pub async fn run(
    state: Rc<AppState>,
    mut io: ConnectionIo,
    cursor: StreamCursor,
    id: &str,
    quota: Option<RateQuota>,
) {
    let mut text = String::with_capacity(2048);
    write_head(&state, &mut text, id);
    io.out.extend_from_slice(text.as_bytes());
    write_quota(&mut io.out, quota);
    io.out.extend_from_slice(b"\r\nretry: 3000\n\n");
    text.clear();
    let client = Rc::clone(&io.stream);
    let mut closed = pin!(ConnectionIo::peer_closed(&client));
    let mut subscription = Subscription::new(state, cursor);
    while !subscription.state().is_stopping() {
        loop {
            let more = write_records(&mut subscription, &mut text);
            io.out.extend_from_slice(text.as_bytes());
            text.clear();
            if !more {
                break;
            }
            if io.out.len() > WRITE_COALESCE_BYTES && io.flush().await.is_err() {
                return;
            }
        }
        if io.flush().await.is_err() {
            return;
        }
        match subscription.wait(&mut closed).await {
            WakeReason::Records => {}
            WakeReason::Timer => text.push_str(": beat\n\n"),
            WakeReason::Client => return,
        }
    }
    io.settle().await;
}

fn write_head(state: &AppState, out: &mut String, id: &str) {
    state.date().with(Mono::now(), |date| {
        write!(
            out,
            "HTTP/1.1 200 OK\r\nServer: {SERVER_NAME}\r\nDate: {date}\r\nCache-Control: no-store\r\n\
             Content-Type: text/event-stream\r\nX-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n\
             X-Request-Id: {id}\r\nConnection: close\r\n"
        )
        .expect("writing to a String cannot fail");
    });
}

/// Appends the next records; whether there may be more.
fn write_records(subscription: &mut Subscription, out: &mut String) -> bool {
    let mut chunk = RecordChunk::new();
    if let Some(Missed(count)) = subscription.next(&mut chunk) {
        out.push_str("event: gap\ndata: {\"missed\":");
        match count {
            Some(n) => write!(out, "{n}").expect("writing to a String cannot fail"),
            None => out.push_str("null"),
        }
        out.push_str("}\n\n");
    }
    let state = subscription.state();
    for record in &chunk {
        let id = EventId { boot: state.snapshots().identity.boot, seq: record.seq };
        let json = state.features().text(record);
        write!(out, "id: {id}\nevent: features\ndata: {json}\n\n").expect("writing to a String cannot fail");
    }
    !chunk.is_empty()
}
