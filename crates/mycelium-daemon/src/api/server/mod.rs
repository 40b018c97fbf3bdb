//! The HTTP server: one thread, one event loop, a bounded table of connections.

pub(in crate::api) mod client_stream;
pub(in crate::api) mod conn_io;
mod connection;
pub(in crate::api) mod connection_table;
pub(in crate::api) mod inherited;
pub(in crate::api) mod listener;
mod reactor;
pub(in crate::api) mod read_buffer;
#[cfg_attr(not(feature = "tls"), path = "tls_disabled.rs")]
pub(in crate::api) mod tls;
pub(in crate::api) mod unix_socket;
