//! What stands in for TLS in a program built without the feature `tls`: it refuses to be configured.

use std::io;
use std::net::TcpStream;
use std::path::Path;

use crate::api::server::reactor::Source;

#[derive(Clone, Debug)]
pub enum Acceptor {}

impl Acceptor {
    pub fn load(_: &Path, _: &Path) -> Result<Self, BadTls> {
        Err(BadTls)
    }

    pub fn session(&self) -> io::Result<Session> {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub struct BadTls;

impl std::fmt::Display for BadTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this program was built without TLS: remove api.tls, or build it with the feature `tls`")
    }
}

impl std::error::Error for BadTls {}

pub enum Session {}

impl Session {
    pub fn is_shaking_hands(&self) -> bool {
        match *self {}
    }

    pub fn has_answered(&mut self) -> bool {
        match *self {}
    }

    pub fn owes(&self) -> bool {
        match *self {}
    }

    pub fn read(&mut self, _: &Source<TcpStream>, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn peek(&mut self, _: &Source<TcpStream>) -> io::Result<usize> {
        match *self {}
    }

    pub fn write(&mut self, _: &Source<TcpStream>, _: &[u8], _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn end(&mut self, _: &Source<TcpStream>) {
        match *self {}
    }
}
