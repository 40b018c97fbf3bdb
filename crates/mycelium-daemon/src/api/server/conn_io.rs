//! Reads and writes of one connection; every wait for the client is entered in the connection table.

use std::io::{self, ErrorKind};
use std::rc::Rc;

use super::client_stream::ClientStream;
use super::connection_table::{ClientWait, SlotGuard, SlotState};
use crate::api::settings::Deadlines;
use crate::clock::Mono;

/// Bytes that are read and discarded after an error, at most.
const MAX_DRAIN_BYTES: usize = 256 * 1024;
/// Output that is collected over pipelined requests before it is written.
pub const WRITE_COALESCE_BYTES: usize = 16 * 1024;

/// How a client has ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerClose {
    /// It sends nothing more, but may still read.
    Half,
    Full,
}

/// One connection: its socket, its slot in the table, and the output that is not written yet.
pub struct ConnectionIo {
    pub stream: Rc<ClientStream>,
    pub slot: SlotGuard,
    pub deadlines: Deadlines,
    pub out: Vec<u8>,
}

impl ConnectionIo {
    /// Waits for bytes; the number of them, 0 at the end of input.
    pub async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.try_read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable().await,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Waits for input after a read that returned `WouldBlock`.
    pub async fn readable(&self) {
        if self.stream.take_handshake_progress() {
            self.slot.handshake_progress(Mono::now());
        }
        self.stream.readable().await;
    }

    /// Writes the collected output.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.flush_with(&[]).await
    }

    /// Writes the collected output and then `body`, in as few calls as the socket allows.
    pub async fn flush_with(&mut self, body: &[u8]) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        let written = self.write_both(&out, body).await;
        out.clear();
        // Do not keep the memory of a rare large response while the connection is idle.
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
                self.stream.try_write(head)
            } else {
                self.stream.try_write_both(head, body)
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
                        self.slot.set(SlotState::Writing(ClientWait::new(self.deadlines.write)));
                    }
                    self.stream.writable().await;
                }
                Err(e) => return Err(e),
            }
        }
        if waiting {
            self.slot.set(SlotState::Handling);
        }
        Ok(())
    }

    /// Waits until the client has taken all that was sent, within the write deadline; for the end of a connection. Until
    /// then the connection keeps its slot, so that the table bounds the memory of the kernel too.
    pub async fn settle(&self) {
        if !self.stream.has_untaken_output() {
            return;
        }
        self.slot.set(SlotState::Writing(ClientWait::new(self.deadlines.write)));
        while self.stream.has_untaken_output() {
            self.stream.writable().await;
        }
    }

    /// Ends the connection without losing the last response: closing a socket with unread input resets the connection,
    /// and a client may then discard what it has received but not read.
    pub async fn drain(&self) {
        self.settle().await;
        self.slot.set(SlotState::Draining(ClientWait::new(self.deadlines.drain)));
        if self.stream.shutdown_write().is_err() {
            return;
        }
        let mut discarded = [0; 1024];
        let mut left = MAX_DRAIN_BYTES;
        while let Ok(n @ 1..) = self.read(&mut discarded).await {
            left = left.saturating_sub(n);
            if left == 0 {
                return;
            }
            smol::future::yield_now().await;
        }
    }

    /// Completes when the client has closed its side; never if it has sent more input, behind which an end is invisible.
    pub async fn peer_closed(stream: &ClientStream) -> PeerClose {
        loop {
            match stream.try_peek() {
                Ok(0) => return PeerClose::Half,
                Ok(_) => std::future::pending().await,
                Err(e) if e.kind() == ErrorKind::WouldBlock => stream.readable().await,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return PeerClose::Full,
            }
        }
    }
}
