//! Feature records over WebSocket, one text message each.

use std::rc::Rc;

use smol::future::yield_now;

use super::cursor::{Missed, RecordChunk, StreamCursor};
use super::subscription::{Subscription, WakeReason};
use super::websocket_io::{CloseReason, Disconnected, MAX_MESSAGES_PER_TURN, Received, WebSocketIo};
use crate::api::metrics::EvictionReason;
use crate::api::state::AppState;

/// Streams until either side closes.
pub async fn run(state: Rc<AppState>, mut socket: WebSocketIo, cursor: StreamCursor) {
    let mut subscription = Subscription::new(state, cursor);
    while !subscription.state().is_stopping() {
        let input = match discard_input(&mut socket) {
            Ok(input) => input,
            Err(reason) => return socket.close(reason).await,
        };
        if input == Input::Closed {
            // This sends the reply to the close frame; whether it arrives does not matter.
            return socket.flush().await.unwrap_or(());
        }
        if send_records(&mut subscription, &mut socket).await.is_err() || socket.flush().await.is_err() {
            return;
        }
        if input == Input::More {
            yield_now().await;
            continue;
        }
        if subscription.wait(socket.readable()).await == WakeReason::Timer {
            match socket.ping() {
                Ok(true) => {}
                Ok(false) => {
                    subscription.state().count_eviction(EvictionReason::Silent);
                    return socket.close(CloseReason::UNRESPONSIVE).await;
                }
                Err(Disconnected) => return,
            }
        }
    }
    socket.close(CloseReason::STOPPING).await;
}

#[derive(PartialEq, Eq)]
enum Input {
    Drained,
    /// tungstenite's buffer may hold more, which the socket does not report as readable.
    More,
    Closed,
}

/// Reads and ignores the messages of the client.
fn discard_input(socket: &mut WebSocketIo) -> Result<Input, CloseReason> {
    for _ in 0..MAX_MESSAGES_PER_TURN {
        match socket.recv()? {
            Received::WouldBlock => return Ok(Input::Drained),
            Received::Close => return Ok(Input::Closed),
            Received::Text(_) | Received::Control => {}
        }
    }
    Ok(Input::More)
}

/// Sends all new records. A client slower than the ring loses the oldest and is sent their number.
async fn send_records(subscription: &mut Subscription, socket: &mut WebSocketIo) -> Result<(), Disconnected> {
    let mut chunk = RecordChunk::new();
    loop {
        if let Some(Missed(count)) = subscription.next(&mut chunk) {
            let count = count.map_or("null".to_owned(), |n| n.to_string());
            socket.send(&format!("{{\"gap\":{{\"missed\":{count}}}}}")).await?;
        }
        if chunk.is_empty() {
            return Ok(());
        }
        for record in &chunk {
            socket.send(&subscription.state().features().text(record)).await?;
        }
        socket.flush().await?;
    }
}
