//! A client's socket, with or without TLS behind the same interface.
//!
//! Under TLS, a write that returns `WouldBlock` must be repeated with the same bytes first: they are encrypted already
//! and count as written only once the socket has taken all of them. So no response counts as sent that is still
//! buffered here.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_linger, set_socket_send_buffer_size};
use smol::future::or;

use super::reactor::ReactorSocket;
use super::tls::TlsSession;

/// Output of a whole connection up to this size may be left to the kernel when the connection ends.
const UNCHECKED_OUTPUT_BYTES: u64 = 2 * 1024;

pub struct ClientStream {
    socket: ReactorSocket<TcpStream>,
    session: Option<RefCell<TlsSession>>,
    read_is_shut_down: Cell<bool>,
    /// Bytes given to the socket or to the TLS session since the client was last known to have taken all.
    unchecked: Cell<u64>,
}

impl ClientStream {
    pub fn new(socket: ReactorSocket<TcpStream>, session: Option<TlsSession>) -> Self {
        Self {
            socket,
            session: session.map(RefCell::new),
            read_is_shut_down: Cell::new(false),
            unchecked: Cell::new(0),
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.borrow().is_handshaking())
    }

    /// Whether handshake bytes have been sent since the last call.
    pub fn take_handshake_progress(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.borrow_mut().take_handshake_progress())
    }

    /// Waits until a read may find something.
    pub async fn readable(&self) {
        match &self.session {
            // A handshake whose next message is still unsent continues when the socket is writable.
            Some(session) if session.borrow().wants_write() => {
                or(self.socket.readable(), self.socket.writable()).await;
            }
            _ => self.socket.readable().await,
        }
    }

    /// Waits until a write may succeed.
    pub async fn writable(&self) {
        self.socket.writable().await;
    }

    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            None => self.socket.try_read(into),
            Some(session) => session.borrow_mut().read(&self.socket, into),
        }
    }

    /// Looks for one byte without consuming it; 0 at the end of input.
    pub fn try_peek(&self) -> io::Result<usize> {
        match &self.session {
            None => self.socket.try_peek(),
            Some(session) => session.borrow_mut().peek(&self.socket),
        }
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &self.session {
            None => self.socket.try_write(bytes),
            Some(session) => session.borrow_mut().write(&self.socket, bytes, &[]),
        };
        self.count(written)
    }

    /// Writes `head` and then `body` in one call; the number of bytes taken of both together.
    pub fn try_write_both(&self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let written = match &self.session {
            None => self.socket.try_write_both(head, body),
            Some(session) => session.borrow_mut().write(&self.socket, head, body),
        };
        self.count(written)
    }

    fn count(&self, written: io::Result<usize>) -> io::Result<usize> {
        if let Ok(n) = written {
            self.unchecked.set(self.unchecked.get().saturating_add(n as u64));
        }
        written
    }

    /// Whether the kernel still holds more than a packet of output that the client has not taken. For the end of a
    /// connection only: nothing more than a few bytes can be written afterwards.
    ///
    /// There is no portable call for this. A socket is writable as long as a third of its send buffer is free, so
    /// with the smallest buffer (4.5 KiB with the overhead of packets) it is writable only when it is nearly empty.
    pub fn has_untaken_output(&self) -> bool {
        if self.unchecked.get() <= UNCHECKED_OUTPUT_BYTES {
            return false;
        }
        let socket = self.socket.get_ref();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut ready = [PollFd::new(socket, PollFlags::OUT)];
        let taken =
            set_socket_send_buffer_size(socket, 1).is_ok() && poll(&mut ready, Some(&at_once)) == Ok(1);
        if taken {
            self.unchecked.set(0);
        } else {
            self.socket.clear_writable();
        }
        !taken
    }

    /// Ends input: a pending or later read returns 0 once the kernel has no more bytes.
    pub fn shutdown_read(&self) {
        self.read_is_shut_down.set(true);
        // Fails only if the connection has ended already, and then its task ends by itself.
        drop(self.socket.get_ref().shutdown(Shutdown::Read));
    }

    /// Whether this side has ended the input, rather than the client.
    pub fn read_is_shut_down(&self) -> bool {
        self.read_is_shut_down.get()
    }

    /// Ends output, which the client sees.
    pub fn shutdown_write(&self) -> io::Result<()> {
        if let Some(session) = &self.session {
            session.borrow_mut().close_notify(&self.socket);
        }
        self.socket.get_ref().shutdown(Shutdown::Write)
    }
}

impl Drop for ClientStream {
    /// A client that has not taken what was sent to it gets a reset. Otherwise the kernel would keep the output for
    /// minutes, without a slot in the connection table that bounds how often.
    fn drop(&mut self) {
        if self.has_untaken_output() {
            // Fails only if the connection has ended already.
            let _: Result<(), _> = set_socket_linger(self.socket.get_ref(), Some(Duration::ZERO));
            return;
        }
        if let Some(session) = &mut self.session {
            session.get_mut().close_notify(&self.socket);
        }
    }
}
