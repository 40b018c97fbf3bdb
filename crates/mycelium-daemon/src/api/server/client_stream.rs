//! A client's socket, with or without TLS behind the same interface.
//!
//! Under TLS, a write that returns `WouldBlock` must be repeated with the same bytes first: they are encrypted already
//! and count as written only once the socket has taken all of them. So no response counts as sent that is still
//! buffered here.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Shutdown, TcpStream};

use smol::future::or;

use super::reactor::ReactorSocket;
use super::tls::TlsSession;

pub struct ClientStream {
    socket: ReactorSocket<TcpStream>,
    session: Option<RefCell<TlsSession>>,
    read_is_shut_down: Cell<bool>,
}

impl ClientStream {
    pub fn new(socket: ReactorSocket<TcpStream>, session: Option<TlsSession>) -> Self {
        Self { socket, session: session.map(RefCell::new), read_is_shut_down: Cell::new(false) }
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
        match &self.session {
            None => self.socket.try_write(bytes),
            Some(session) => session.borrow_mut().write(&self.socket, bytes, &[]),
        }
    }

    /// Writes `head` and then `body` in one call; the number of bytes taken of both together.
    pub fn try_write_both(&self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        match &self.session {
            None => self.socket.try_write_both(head, body),
            Some(session) => session.borrow_mut().write(&self.socket, head, body),
        }
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
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.get_mut().close_notify(&self.socket);
        }
    }
}
