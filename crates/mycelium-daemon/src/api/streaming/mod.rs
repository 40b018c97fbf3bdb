//! Feature records pushed to clients as they are made: server-sent events and WebSocket.

pub mod cursor;
pub mod sse;
pub mod subscription;
pub mod websocket;
pub mod websocket_io;
