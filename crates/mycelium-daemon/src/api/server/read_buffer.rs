//! What a client has sent and nobody has understood yet.

use std::io::{self, ErrorKind};

use crate::api::http::head::MAX_HEAD_BYTES;
use crate::api::server::conn_io::ConnectionIo;
use crate::api::state::AppState;

/// HeadBuffer for what has been read and not yet understood.
pub type HeadBuffer = Box<[u8; MAX_HEAD_BYTES]>;

/// What has been read and not yet understood. Has no room while there is nothing: most connections wait most of the time.
#[derive(Default)]
pub struct ReadBuffer {
    room: Option<HeadBuffer>,
    filled: usize,
}

impl ReadBuffer {
    pub fn held(&self) -> &[u8] {
        self.room.as_ref().map_or(&[], |room| &room[..self.filled])
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Forgets the first `n` bytes, or all when there are fewer.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.filled);
        if let Some(room) = &mut self.room {
            room.copy_within(n..self.filled, 0);
        }
        self.filled -= n;
    }

    /// Reads some bytes behind those that are held, or 0 at the end of input.
    pub async fn read(&mut self, wire: &ConnectionIo, state: &AppState) -> io::Result<usize> {
        loop {
            let room = self.room.get_or_insert_with(|| state.spare_buffer());
            match wire.socket.try_read(&mut room[self.filled..]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if self.is_empty() {
                        state.return_buffer(self.room.take());
                    }
                    wire.readable().await;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(n) => {
                    self.filled += n;
                    return Ok(n);
                }
            }
        }
    }
}
