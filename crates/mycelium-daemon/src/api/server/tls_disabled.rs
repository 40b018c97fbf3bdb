//! What stands in for TLS in a program built without the feature `tls`: it refuses to be configured.

use std::io;
use std::net::TcpStream;
use std::path::Path;

use crate::api::server::reactor::ReactorSocket;

#[derive(Clone, Debug)]
pub enum TlsAcceptor {}

impl TlsAcceptor {
    pub fn load(_: &Path, _: &Path) -> Result<Self, TlsError> {
        Err(TlsError)
    }

    pub fn session(&self) -> io::Result<TlsSession> {
        match *self {}
    }
}

/// There is none.
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
    pub fn is_shaking_hands(&self) -> bool {
        match *self {}
    }

    pub fn has_answered(&mut self) -> bool {
        match *self {}
    }

    pub fn owes(&self) -> bool {
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

    pub fn end(&mut self, _: &ReactorSocket<TcpStream>) {
        match *self {}
    }
}
