//! WebSocket on the loop's own sockets: tungstenite does the protocol, this does the waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use smol::Timer;
use smol::future::{or, yield_now};
use smol::stream::StreamExt;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::head::UpgradeHeaders;
use crate::api::http::problem::Problem;
use crate::api::http::request_id::valid_request_id;
use crate::api::http::response::write_quota;
use crate::api::metrics::EvictionReason;
use crate::api::server::client_stream::ClientStream;
use crate::api::server::conn_io::ConnectionIo;
use crate::api::server::connection_table::{ClientWait, SlotState};
use crate::api::state::AppState;
use crate::api::streaming::cursor::{Cursor, Missed};
use crate::clock::Mono;

/// Bytes of a message from a client.
const MAX_MESSAGE: usize = 16 * 1024;
/// Bytes that may wait for a slow client before its stream waits with them.
const MAX_UNSENT: usize = 128 * 1024;
/// Messages taken in one turn.
const TURN: usize = 16;
/// Pings without any sign of life after which a client is dead.
const SILENT_PINGS: u32 = 2;
/// What such a client is told.
pub const SILENT: &str = "no sign of life";
/// RFC 6455 section 1.3.
const HANDSHAKE_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks an upgrade; the value of `Sec-WebSocket-Accept`.
pub fn accept(upgrade: &UpgradeHeaders<'_>) -> Result<String, Problem> {
    if !upgrade.websocket || !upgrade.connection {
        let problem = Problem::new(426, "this route speaks WebSocket: ask for an upgrade");
        return Err(problem.with_header("Upgrade", "websocket"));
    }
    if upgrade.version != Some(b"13") {
        let problem = Problem::new(426, "only version 13 of the WebSocket protocol is spoken here");
        return Err(problem.with_header("Sec-WebSocket-Version", "13"));
    }
    let key = upgrade.key.filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16));
    let key = key.ok_or(Problem::new(400, "Sec-WebSocket-Key is not 16 bytes in base64"))?;
    let mut text = key.to_vec();
    text.extend_from_slice(HANDSHAKE_GUID);
    // SHA-1 is what the handshake asks for; nothing is secret in it.
    Ok(STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text)))
}

/// The non-blocking socket as tungstenite wants it.
struct Raw(Rc<ClientStream>);

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The other side has ended, or will have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

pub struct Socket {
    web: WebSocket<Raw>,
    wire: ConnectionIo,
    heard: bool,
    silent_pings: u32,
    /// Since when, and how long, a key is waited for; meanwhile the seat can be taken.
    key_due: Option<(Mono, Mono)>,
}

impl Socket {
    /// Answers the handshake; `rest` is what the client has sent behind it.
    pub async fn open(
        mut wire: ConnectionIo,
        accept: &str,
        id: &str,
        quota: Option<RateQuota>,
        rest: Vec<u8>,
    ) -> Result<Self, Closed> {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nServer: mycelium-edge\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nX-Request-Id: {id}\r\n"
        );
        debug_assert!(valid_request_id(id.as_bytes()).is_some(), "ids are safe in a header");
        wire.out.extend_from_slice(head.as_bytes());
        write_quota(&mut wire.out, quota);
        wire.out.extend_from_slice(b"\r\n");
        wire.flush().await.map_err(|_| Closed)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(MAX_MESSAGE)
            .max_write_buffer_size(MAX_UNSENT)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let raw = Raw(Rc::clone(&wire.stream));
        let web = WebSocket::from_partially_read(raw, rest, Role::Server, Some(config));
        Ok(Self { web, wire, heard: true, silent_pings: 0, key_due: None })
    }

    /// From here on a key is waited for.
    pub fn await_key(&mut self, now: Mono, deadline: Mono) {
        self.key_due = Some((now, deadline));
        self.rest();
    }

    /// The key has been shown: keeps the seat, if there is one to be kept.
    pub fn keep_seat(&mut self) -> bool {
        let kept = self.wire.slot.reserve();
        if kept {
            self.key_due = None;
            self.rest();
        }
        kept
    }

    /// Back to waiting for news, or for a key.
    fn rest(&self) {
        match self.key_due {
            // Its task looks at the deadline itself; one that cannot is ended soon after.
            Some((since, due)) => self
                .wire
                .slot
                .set(SlotState::ReadingHead(ClientWait { since, deadline: due + self.wire.deadlines.write })),
            None => self.wire.slot.set(SlotState::Handling),
        }
    }

    /// The next message that is there already.
    pub fn hear(&mut self) -> Result<Option<Message>, CloseCode> {
        match self.web.read() {
            Ok(message) => {
                self.heard = true;
                Ok(Some(message))
            }
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => Err(CloseCode::Size),
            Err(Error::Utf8(_)) => Err(CloseCode::Invalid),
            Err(Error::Protocol(_) | Error::Capacity(_)) => Err(CloseCode::Protocol),
            Err(_) => Err(CloseCode::Abnormal),
        }
    }

    /// Puts a message behind what waits to be sent; full means the client is slow and has to catch up first.
    pub async fn say(&mut self, text: &str) -> Result<(), Closed> {
        match self.web.write(Message::text(text)) {
            Ok(()) => Ok(()),
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(Error::WriteBufferFull(message)) => {
                self.flush().await?;
                self.web.write(*message).map_err(|_| Closed)
            }
            Err(_) => Err(Closed),
        }
    }

    /// Sends what waits, within the write deadline.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        let mut waiting = false;
        loop {
            match self.web.flush() {
                Ok(()) => break,
                Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => {
                    if !waiting {
                        waiting = true;
                        self.wire.slot.set(SlotState::Writing(ClientWait::new(self.wire.deadlines.write)));
                    }
                    self.wire.stream.writable().await;
                }
                Err(_) => return Err(Closed),
            }
        }
        if waiting {
            self.rest();
        }
        Ok(())
    }

    /// Pings; false once the client has been silent for too long.
    pub fn beat(&mut self) -> Result<bool, Closed> {
        self.silent_pings = if self.heard { 0 } else { self.silent_pings + 1 };
        self.heard = false;
        if self.silent_pings >= SILENT_PINGS {
            return Ok(false);
        }
        match self.web.write(Message::Ping(Vec::new().into())) {
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(true),
            Ok(()) | Err(Error::WriteBufferFull(_)) => Ok(true),
            Err(_) => Err(Closed),
        }
    }

    /// Says why and waits a moment for the other side to have read it.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        if code != CloseCode::Abnormal {
            let frame = CloseFrame { code, reason: reason.into() };
            // Whatever becomes of it, the connection ends here.
            let closed = self.web.close(Some(frame));
            if !matches!(closed, Err(Error::ConnectionClosed)) && self.flush().await.is_err() {
                return;
            }
        }
        self.wire.drain().await;
    }

    /// Comes back once the client has something to say.
    pub async fn readable(&self) {
        self.wire.stream.readable().await;
    }
}

enum Woke {
    News,
    Beat,
    Heard,
}

/// Sends feature records until either side has had enough.
pub async fn run(state: Rc<AppState>, mut socket: Socket, mut cursor: Cursor) {
    let mut beat = Timer::interval(socket.wire.deadlines.heartbeat);
    loop {
        let changed = state.snapshots.features_changed.listen();
        if state.stopping.get() {
            return socket.close(CloseCode::Away, "the daemon is stopping").await;
        }
        let more = match hear(&mut socket) {
            Ok(Heard::All) => false,
            Ok(Heard::Some) => true,
            // The close has been answered, or nobody is there to read the answer.
            Ok(Heard::Close) => return socket.flush().await.unwrap_or(()),
            Err(code) => return socket.close(code, "").await,
        };
        if push(&state, &mut socket, &mut cursor).await.is_err() || socket.flush().await.is_err() {
            return;
        }
        if more {
            yield_now().await;
            continue;
        }
        let news = async {
            changed.await;
            Woke::News
        };
        let beats = async {
            beat.next().await;
            Woke::Beat
        };
        let heard = async {
            socket.readable().await;
            Woke::Heard
        };
        match or(news, or(beats, heard)).await {
            Woke::News | Woke::Heard => {}
            Woke::Beat => match socket.beat() {
                Ok(true) => {}
                Ok(false) => {
                    state.metrics.evictions.add(EvictionReason::Silent, 1);
                    return socket.close(CloseCode::Away, SILENT).await;
                }
                Err(Closed) => return,
            },
        }
    }
}

enum Heard {
    All,
    /// There may be more in tungstenite's buffer, of which the socket knows nothing.
    Some,
    Close,
}

/// Takes what the client says. Nothing is asked of it: text is ignored.
fn hear(socket: &mut Socket) -> Result<Heard, CloseCode> {
    for _ in 0..TURN {
        match socket.hear()? {
            None => return Ok(Heard::All),
            Some(Message::Close(_)) => return Ok(Heard::Close),
            Some(Message::Binary(_)) => return Err(CloseCode::Unsupported),
            Some(_) => {}
        }
    }
    Ok(Heard::Some)
}

/// Sends the records there are; the oldest are lost to a client that was slower than the ring.
async fn push(state: &AppState, socket: &mut Socket, cursor: &mut Cursor) -> Result<(), Closed> {
    let mut chunk = heapless::Vec::new();
    loop {
        if let Some(Missed(count)) = cursor.advance(&state.snapshots, &mut chunk) {
            state.metrics.stream_dropped.add(count.unwrap_or(0));
            let count = count.map_or("null".to_owned(), |n| n.to_string());
            socket.say(&format!("{{\"gap\":{{\"missed\":{count}}}}}")).await?;
        }
        if chunk.is_empty() {
            return Ok(());
        }
        for record in &chunk {
            socket.say(&state.features.text(record)).await?;
        }
        socket.flush().await?;
    }
}
