//! Replaces `tls.rs` in a build without the feature `tls`: configuring TLS is an error.

use std::io;
use std::net::TcpStream;

use crate::api::server::reactor::ReactorSocket;
use crate::api::settings::TlsFiles;

#[derive(Clone, Debug)]
pub enum TlsAcceptor {}

impl TlsAcceptor {
    pub fn load(_: &TlsFiles) -> Result<Self, TlsError> {
        Err(TlsError)
    }

    pub fn session(&self) -> io::Result<TlsSession> {
        match *self {}
    }
}

/// TLS is not available.
#[derive(Debug)]
pub struct TlsError;

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this program was built without TLS: remove api.tls, or build it with the feature `tls`")
    }
}

impl std::error::Error for TlsError {}

pub enum TlsSession {}

impl TlsSession {
    pub fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub fn take_handshake_progress(&mut self) -> bool {
        match *self {}
    }

    pub fn wants_write(&self) -> bool {
        match *self {}
    }

    pub fn read(&mut self, _: &ReactorSocket<TcpStream>, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn peek(&mut self, _: &ReactorSocket<TcpStream>) -> io::Result<usize> {
        match *self {}
    }

    pub fn write(&mut self, _: &ReactorSocket<TcpStream>, _: &[u8], _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn close_notify(&mut self, _: &ReactorSocket<TcpStream>) {
        match *self {}
    }
}
