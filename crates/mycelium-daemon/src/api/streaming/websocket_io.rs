//! A WebSocket connection: tungstenite implements the protocol, this waits for the socket.

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, Utf8Bytes, WebSocket};

use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::head::UpgradeHeaders;
use crate::api::http::problem::Problem;
use crate::api::http::request_id::valid_request_id;
use crate::api::http::response::{SERVER_NAME, write_quota};
use crate::api::places::Holder;
use crate::api::server::client_stream::ClientStream;
use crate::api::server::conn_io::ConnectionIo;
use crate::api::server::connection_table::{ClientWait, SlotState};
use crate::clock::Mono;

const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// Bytes that are buffered for a slow client before its stream waits for it.
const MAX_UNSENT_BYTES: usize = 128 * 1024;
/// Messages handled in one turn, so that one client does not delay the others.
pub const MAX_MESSAGES_PER_TURN: usize = 16;
/// Pings without any message from the client after which it counts as gone.
const MAX_UNANSWERED_PINGS: u32 = 2;
/// RFC 6455 section 1.3.
const HANDSHAKE_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks a handshake; returns the value of `Sec-WebSocket-Accept`.
pub fn accept(upgrade: &UpgradeHeaders<'_>) -> Result<String, Problem> {
    if !upgrade.websocket || !upgrade.connection {
        let problem = Problem::new(426, "this route speaks WebSocket: ask for an upgrade");
        return Err(problem.with_header("Upgrade", "websocket"));
    }
    if upgrade.version != Some(b"13") {
        let problem = Problem::new(426, "only version 13 of the WebSocket protocol is supported");
        return Err(problem.with_header("Sec-WebSocket-Version", "13"));
    }
    let key = upgrade.key.filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16));
    let key = key.ok_or(Problem::new(400, "Sec-WebSocket-Key is not 16 bytes in base64"))?;
    let mut text = key.to_vec();
    text.extend_from_slice(HANDSHAKE_GUID);
    // The handshake prescribes SHA-1; nothing is secret in it.
    Ok(STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text)))
}

/// The non-blocking socket behind the traits tungstenite reads and writes with.
struct NonBlocking(Rc<ClientStream>);

impl Read for NonBlocking {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for NonBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing more can be sent: the client is gone, or the connection has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

/// Why this side closes a connection, as its close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseReason {
    pub code: CloseCode,
    pub text: &'static str,
}

impl CloseReason {
    pub const STOPPING: Self = Self::new(CloseCode::Away, "the daemon is stopping");
    pub const UNRESPONSIVE: Self = Self::new(CloseCode::Away, "no response to pings");

    pub const fn new(code: CloseCode, text: &'static str) -> Self {
        Self { code, text }
    }
}

pub enum Received {
    Text(Utf8Bytes),
    /// A ping or pong; tungstenite answers pings itself.
    Control,
    /// A close frame. Its reply is sent by the next flush.
    Close,
    /// Nothing to read until the socket is readable again.
    WouldBlock,
}

pub struct WebSocketIo {
    socket: WebSocket<NonBlocking>,
    io: ConnectionIo,
    received_since_ping: bool,
    unanswered_pings: u32,
    /// Since and until when the client may authenticate; until it has, its slot may be taken by others.
    auth_window: Option<(Mono, Mono)>,
}

impl WebSocketIo {
    /// Answers the handshake; `rest` is what the client has sent after its request.
    pub async fn open(
        mut io: ConnectionIo,
        accept: &str,
        id: &str,
        quota: Option<RateQuota>,
        rest: Vec<u8>,
    ) -> Result<Self, Disconnected> {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nServer: {SERVER_NAME}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nX-Request-Id: {id}\r\n"
        );
        debug_assert!(valid_request_id(id.as_bytes()).is_some(), "ids are safe in a header");
        io.out.extend_from_slice(head.as_bytes());
        write_quota(&mut io.out, quota);
        io.out.extend_from_slice(b"\r\n");
        io.flush().await.map_err(|_| Disconnected)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(MAX_MESSAGE_BYTES)
            .max_write_buffer_size(MAX_UNSENT_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let stream = NonBlocking(Rc::clone(&io.stream));
        let socket = WebSocket::from_partially_read(stream, rest, Role::Server, Some(config));
        Ok(Self { socket, io, received_since_ping: true, unanswered_pings: 0, auth_window: None })
    }

    /// Waits for authentication until `deadline`; the caller enforces it.
    pub fn await_auth(&mut self, now: Mono, deadline: Mono) {
        self.auth_window = Some((now, deadline));
        self.set_idle_phase();
    }

    /// The client has authenticated: reserves its slot; false if as many as allowed are reserved.
    pub fn reserve_slot(&mut self, holder: Holder) -> bool {
        let reserved = self.io.slot.reserve(holder);
        if reserved {
            self.auth_window = None;
            self.set_idle_phase();
        }
        reserved
    }

    /// The phase of the slot while this waits for records or for authentication.
    fn set_idle_phase(&self) {
        match self.auth_window {
            // The session closes at its deadline; the sweep ends one that could not by then.
            Some((since, due)) => {
                let deadline = due + self.io.deadlines.write;
                self.io.slot.set(SlotState::ReadingHead(ClientWait { since, deadline }));
            }
            None => self.io.slot.set(SlotState::Handling),
        }
    }

    /// The next message that has arrived.
    pub fn recv(&mut self) -> Result<Received, CloseReason> {
        let error = match self.socket.read() {
            Ok(message) => {
                self.received_since_ping = true;
                return match message {
                    Message::Text(text) => Ok(Received::Text(text)),
                    Message::Close(_) => Ok(Received::Close),
                    Message::Binary(_) => Err(CloseReason::new(CloseCode::Unsupported, "text messages only")),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Received::Control),
                };
            }
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => return Ok(Received::WouldBlock),
            Err(error) => error,
        };
        let code = match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            Error::Protocol(_) | Error::Capacity(_) => CloseCode::Protocol,
            _ => CloseCode::Abnormal,
        };
        Err(CloseReason::new(code, ""))
    }

    /// Buffers a message. A full buffer means that the client is slow: then this waits until it has caught up.
    pub async fn send(&mut self, text: &str) -> Result<(), Disconnected> {
        match self.socket.write(Message::text(text)) {
            Ok(()) => Ok(()),
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(Error::WriteBufferFull(message)) => {
                self.flush().await?;
                self.socket.write(*message).map_err(|_| Disconnected)
            }
            Err(_) => Err(Disconnected),
        }
    }

    /// Sends all buffered messages, within the write deadline.
    pub async fn flush(&mut self) -> Result<(), Disconnected> {
        let mut waiting = false;
        loop {
            match self.socket.flush() {
                Ok(()) => break,
                Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => {
                    if !waiting {
                        waiting = true;
                        self.io.slot.set(SlotState::Writing(ClientWait::new(self.io.deadlines.write)));
                    }
                    self.io.stream.writable().await;
                }
                Err(_) => return Err(Disconnected),
            }
        }
        if waiting {
            self.set_idle_phase();
        }
        Ok(())
    }

    /// Sends a ping; false if the client has not responded to the last ones.
    pub fn ping(&mut self) -> Result<bool, Disconnected> {
        self.unanswered_pings = if self.received_since_ping { 0 } else { self.unanswered_pings + 1 };
        self.received_since_ping = false;
        if self.unanswered_pings >= MAX_UNANSWERED_PINGS {
            return Ok(false);
        }
        match self.socket.write(Message::Ping(Vec::new().into())) {
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => Ok(true),
            Ok(()) | Err(Error::WriteBufferFull(_)) => Ok(true),
            Err(_) => Err(Disconnected),
        }
    }

    /// Sends a close frame and gives the client a moment to read it.
    pub async fn close(mut self, reason: CloseReason) {
        if reason.code != CloseCode::Abnormal {
            let frame = CloseFrame { code: reason.code, reason: reason.text.into() };
            // An error does not matter here: the connection ends either way.
            let closed = self.socket.close(Some(frame));
            if !matches!(closed, Err(Error::ConnectionClosed)) && self.flush().await.is_err() {
                return;
            }
        }
        self.io.drain().await;
    }

    /// Waits until [`recv`](Self::recv) may have a message.
    pub async fn readable(&self) {
        self.io.stream.readable().await;
    }
}
