//! A client's socket, in the clear or under TLS, with the same few calls for both.
//!
//! Under TLS a write that says `WouldBlock` has to be repeated with the same bytes in front: they are sealed already
//! and count as written once the socket has taken them. So nobody is done with an answer that has not left.

use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, TcpStream};

use smol::future::or;

use crate::api::server::reactor::ReactorSocket;
use crate::api::server::tls::TlsSession;

pub struct ClientStream {
    socket: ReactorSocket<TcpStream>,
    session: Option<RefCell<TlsSession>>,
}

impl ClientStream {
    pub fn new(socket: ReactorSocket<TcpStream>, session: Option<TlsSession>) -> Self {
        Self { socket, session: session.map(RefCell::new) }
    }

    /// Whether TLS is still to be agreed on.
    pub fn is_shaking_hands(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.borrow().is_shaking_hands())
    }

    /// Whether a part of the handshake has gone out since this was last asked.
    pub fn has_answered(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.borrow_mut().has_answered())
    }

    /// Comes back once a read may find something.
    pub async fn readable(&self) {
        match &self.session {
            // A handshake that could not send its part goes on when there is room.
            Some(session) if session.borrow().owes() => {
                or(self.socket.readable(), self.socket.writable()).await;
            }
            _ => self.socket.readable().await,
        }
    }

    /// Comes back once a write may find room.
    pub async fn writable(&self) {
        self.socket.writable().await;
    }

    /// What is there, at most.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            None => self.socket.try_read(into),
            Some(session) => session.borrow_mut().read(&self.socket, into),
        }
    }

    /// One byte, left where it is; 0 at the end.
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

    pub fn try_write_both(&self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        match &self.session {
            None => self.socket.try_write_both(head, body),
            Some(session) => session.borrow_mut().write(&self.socket, head, body),
        }
    }

    /// Nothing more is read: what waits for input sees its end.
    pub fn stop_reading(&self) {
        // Fails only on a connection that is gone already, and then its task ends by itself.
        drop(self.socket.get_ref().shutdown(Shutdown::Read));
    }

    /// Nothing more is written, and the other side is told.
    pub fn stop_writing(&self) -> io::Result<()> {
        if let Some(session) = &self.session {
            session.borrow_mut().end(&self.socket);
        }
        self.socket.get_ref().shutdown(Shutdown::Write)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.get_mut().end(&self.socket);
        }
    }
}
