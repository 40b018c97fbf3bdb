//! The HTTP front: an own loop with seats, deadlines and budgets; routes, keys and rate limits decide (pure).
//!
//! Reading order: `http` and `target` (bytes to a checked head), `table` (routes), `auth` and `rate` (the gate),
//! `answer` and `problem` (what goes back), `routes` (what each resource says), `seats`, `wire`, `input` and `body` (what
//! comes in), `said` (what is told of a request), `connection` and `server` (the loop), `ports` (what the rest of the
//! daemon lends).

pub mod answer;
pub mod auth;
mod body;
mod connection;
mod cursor;
mod events;
mod front;
pub mod http;
mod input;
mod key;
mod legacy;
mod legacy_messages;
mod pipe;
mod ports;
mod problem;
pub mod rate;
mod reactor;
mod record;
mod routes;
mod said;
mod seats;
mod server;
mod settings;
pub mod simulation;
mod socket;
pub mod table;
pub mod target;
#[cfg_attr(not(feature = "tls"), path = "tls_off.rs")]
mod tls;
mod wire;
mod work;
mod worker;

pub use http::MAX_BODIES;
pub use key::{NewKey, NoEntropy, sha256};
pub use ports::{
    Answered, BreakerWish, Busy, Cells, DeadView, Exposition, Facts, FrameCopy, FrameGone, Ports, Stimulus,
    UnknownEndpoint, Unread,
};
pub use routes::frame_answers;
pub use server::{Handle, Server};
pub use settings::{Key, Rate, Scope, Settings, TlsFiles};
pub use tls::{Acceptor, BadTls};
pub use wire::Deadlines;
