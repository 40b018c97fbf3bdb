//! The bytes a client has sent that have not been consumed yet.

use std::cell::Cell;
use std::io::{self, ErrorKind};

use super::conn_io::ConnectionIo;
use crate::api::http::head_scanner::MAX_HEAD_BYTES;

type HeadBuffer = Box<[u8; MAX_HEAD_BYTES]>;

/// The buffer that the last connection to become idle has returned, for the next that has something to read.
#[derive(Default)]
pub struct SpareBuffer(Cell<Option<HeadBuffer>>);

impl SpareBuffer {
    fn take(&self) -> HeadBuffer {
        self.0.take().unwrap_or_else(|| Box::new([0; MAX_HEAD_BYTES]))
    }
}

/// Received and unconsumed bytes. An empty one has no buffer: most connections are idle most of the time.
#[derive(Default)]
pub struct ReadBuffer {
    buffer: Option<HeadBuffer>,
    filled: usize,
}

impl ReadBuffer {
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[..self.filled])
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Removes the first `n` bytes, or all if there are fewer.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.filled);
        if let Some(buffer) = &mut self.buffer {
            buffer.copy_within(n..self.filled, 0);
        }
        self.filled -= n;
    }

    /// Waits for bytes and appends them; the number of them, 0 at the end of input.
    pub async fn read(&mut self, io: &ConnectionIo, spare: &SpareBuffer) -> io::Result<usize> {
        loop {
            let buffer = self.buffer.get_or_insert_with(|| spare.take());
            match io.stream.try_read(&mut buffer[self.filled..]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if self.is_empty() {
                        spare.0.set(self.buffer.take());
                    }
                    io.readable().await;
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
