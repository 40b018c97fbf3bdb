//! One socket as the request loop sees it: reads and writes that tell the seat table what they wait for.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use crate::api::server::client_stream::ClientStream;
use crate::api::server::connection_table::{Phase, SlotGuard};
use crate::clock::Mono;

/// How long each kind of wait may take. The defaults are the contract; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte of a request (or the connection) to the end of its head.
    pub head: Duration,
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the client to take one answer, or one batch of a stream.
    pub write: Duration,
    /// For what a client still sends after an error.
    pub drain: Duration,
    /// For requests at work when the server stops.
    pub stop: Duration,
    /// Between two signs of life on a stream.
    pub heartbeat: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(1),
            stop: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl Deadlines {
    /// How often deadlines are looked at: a wait ends at most this much late.
    pub fn sweep(&self) -> Duration {
        let shortest = [self.head, self.body, self.idle, self.write, self.drain].into_iter().min();
        (shortest.unwrap_or(self.head) / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}

/// Bytes thrown away after an error, at most.
const MAX_DRAIN: usize = 256 * 1024;
/// Output collected over pipelined requests before it is written.
pub const WRITE_COALESCE_BYTES: usize = 16 * 1024;

/// How a client has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerClose {
    /// It sends nothing more; it may still listen.
    Half,
    Gone,
}

pub struct ConnectionIo {
    pub socket: Rc<ClientStream>,
    pub slot: SlotGuard,
    pub deadlines: Deadlines,
    /// Printed and not yet written.
    pub out: Vec<u8>,
}

impl ConnectionIo {
    /// Some bytes, or 0 at the end of input.
    pub async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.try_read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable().await,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Waits for bytes after a read that found none.
    pub async fn readable(&self) {
        if self.socket.has_answered() {
            self.slot.half_way(Mono::now());
        }
        self.socket.readable().await;
    }

    /// Writes all that was printed.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.flush_with(&[]).await
    }

    /// Writes all that was printed and `body` behind it, in as few calls as the socket takes them.
    pub async fn flush_with(&mut self, body: &[u8]) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        let written = self.write_both(&out, body).await;
        out.clear();
        // A rare large answer must not stay with a connection that waits.
        if out.capacity() > 2 * WRITE_COALESCE_BYTES {
            out = Vec::new();
        }
        self.out = out;
        written
    }

    async fn write_both(&self, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
        let mut waiting = false;
        while !head.is_empty() || !body.is_empty() {
            let written = if body.is_empty() {
                self.socket.try_write(head)
            } else {
                self.socket.try_write_both(head, body)
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let of_head = n.min(head.len());
                    head = &head[of_head..];
                    body = &body[n - of_head..];
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if !waiting {
                        waiting = true;
                        let now = Mono::now();
                        self.slot.wait(Phase::Writing, now, now + self.deadlines.write);
                    }
                    self.socket.writable().await;
                }
                Err(e) => return Err(e),
            }
        }
        if waiting {
            self.slot.busy();
        }
        Ok(())
    }

    /// Lets an answer arrive although its client still sends: closing at once would reset the connection and take
    /// the answer out of the client's hands.
    pub async fn drain(&self) {
        let now = Mono::now();
        self.slot.wait(Phase::Draining, now, now + self.deadlines.drain);
        if self.socket.stop_writing().is_err() {
            return;
        }
        let mut scrap = [0; 1024];
        let mut left = MAX_DRAIN;
        while let Ok(n @ 1..) = self.read(&mut scrap).await {
            left = left.saturating_sub(n);
            if left == 0 {
                return;
            }
            smol::future::yield_now().await;
        }
    }

    /// Comes back once the client has closed its side or is gone; never while it only has more to say.
    pub async fn peer_closed(socket: &ClientStream) -> PeerClose {
        loop {
            match socket.try_peek() {
                Ok(0) => return PeerClose::Half,
                // The next request is here already: an end behind it cannot be seen yet.
                Ok(_) => std::future::pending().await,
                Err(e) if e.kind() == ErrorKind::WouldBlock => socket.readable().await,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return PeerClose::Gone,
            }
        }
    }
}
