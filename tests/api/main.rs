//! The HTTP front: the server in this process, clients on real sockets.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod features;
mod framing;
mod json;
mod kernel_memory;
mod legacy;
mod memory;
mod openapi;
mod server_loop;
mod shares;
mod stream_end;
