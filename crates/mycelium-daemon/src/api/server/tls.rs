//! TLS of the front by rustls, driven by hand on the loop's own sockets: 1.2 and 1.3, no client certificates, HTTP/1.1.
//!
//! The handshake happens inside the first read of a connection, so it has the deadline of a head and its seat can be
//! taken like any other that waits for its client.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use rustls::{ServerConfig, ServerConnection};

use crate::api::server::reactor::ReactorSocket;

/// Largest certificate or key file; a chain of four takes some 8 KiB.
const MAX_PEM: u64 = 64 << 10;
/// Sessions that can be taken up again without a whole handshake.
const SESSIONS: usize = 64;
/// Plain bytes sealed before the socket has taken those sealed earlier.
const PIECE: usize = 16 << 10;
/// The one protocol spoken here.
const ALPN: &[u8] = b"http/1.1";

/// A certificate with its key, ready to shake hands.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<ServerConfig>);

impl std::fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl TlsAcceptor {
    /// Reads a chain and its key, both PEM, and checks that they belong together.
    ///
    /// # Errors
    /// Which file, why, and what would do.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let bad = |path: &Path, what: String| TlsError(format!("cannot use {}: {what}", path.display()));
        let pem = read(cert_file).map_err(|e| bad(cert_file, e.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|_| bad(cert_file, "it is not PEM".to_owned()))?;
        if chain.is_empty() {
            let what = "it holds no certificate: give it a chain in PEM, the server's own first";
            return Err(bad(cert_file, what.to_owned()));
        }
        let pem = read(key_file).map_err(|e| bad(key_file, e.to_string()))?;
        // Nothing of what it holds is repeated.
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            bad(key_file, "it holds no private key: give it one in PEM, not encrypted".to_owned())
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| bad(cert_file, format!("with the key in {}: {e}", key_file.display())))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.send_tls13_tickets = 1;
        Ok(Self(Arc::new(config)))
    }

    /// A session that has not shaken hands yet.
    pub fn session(&self) -> io::Result<TlsSession> {
        let mut tls = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(2 * PIECE));
        Ok(TlsSession { tls, sealed: 0, answered: false, ended: false })
    }
}

/// Why there is no TLS.
#[derive(Debug)]
pub struct TlsError(String);

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_PEM + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PEM {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is larger than 64 KiB"));
    }
    Ok(bytes)
}

/// The socket as rustls wants it.
struct Raw<'a>(&'a ReactorSocket<TcpStream>);

impl Read for Raw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection's side of TLS.
pub struct TlsSession {
    tls: ServerConnection,
    /// Plain bytes that are sealed, not all sent, and not yet counted as written.
    sealed: usize,
    /// Its part of a handshake has gone out since this was last looked at.
    answered: bool,
    ended: bool,
}

impl TlsSession {
    pub fn is_shaking_hands(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the client has a further part of the handshake to answer.
    pub fn has_answered(&mut self) -> bool {
        std::mem::take(&mut self.answered)
    }

    /// Whether sealed bytes wait for room.
    pub fn owes(&self) -> bool {
        self.tls.wants_write()
    }

    pub fn read(&mut self, socket: &ReactorSocket<TcpStream>, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.take_in(socket)?,
                // Cut off without a farewell: an end all the same, requests carry their length.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
        }
    }

    pub fn peek(&mut self, socket: &ReactorSocket<TcpStream>) -> io::Result<usize> {
        loop {
            match self.tls.reader().fill_buf() {
                Ok(bytes) => return Ok(bytes.len().min(1)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(e) => return Err(e),
            }
            self.take_in(socket)?;
        }
    }

    /// Reads from the socket; when that has ended, so has the reader of the session. What the protocol itself has to
    /// say goes out.
    fn take_in(&mut self, socket: &ReactorSocket<TcpStream>) -> io::Result<()> {
        self.push(socket)?;
        let n = self.tls.read_tls(&mut Raw(socket))?;
        let news = self.tls.process_new_packets();
        // An alert tells the client what was wrong; whether it arrives changes nothing here.
        let pushed = self.push(socket);
        news.map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        pushed?;
        if n == 0 && self.tls.is_handshaking() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Sends what is sealed, as far as there is room.
    fn push(&mut self, socket: &ReactorSocket<TcpStream>) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Raw(socket)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => self.answered |= self.tls.is_handshaking(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Seals and sends as much of both as one piece takes; see [`crate::api::server::client_stream`] about `WouldBlock`.
    pub fn write(
        &mut self,
        socket: &ReactorSocket<TcpStream>,
        head: &[u8],
        body: &[u8],
    ) -> io::Result<usize> {
        self.push(socket)?;
        if self.sealed == 0 && !self.owes() {
            self.sealed = self.seal(head, body)?;
            self.push(socket)?;
        }
        if self.owes() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(std::mem::take(&mut self.sealed))
    }

    fn seal(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let of_head = self.tls.writer().write(&head[..head.len().min(PIECE)])?;
        if of_head < head.len() {
            return Ok(of_head);
        }
        let of_body = self.tls.writer().write(&body[..body.len().min(PIECE - of_head)])?;
        Ok(of_head + of_body)
    }

    /// Says good-bye, if the socket takes it at once.
    pub fn end(&mut self, socket: &ReactorSocket<TcpStream>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.tls.send_close_notify();
            drop(self.push(socket));
        }
    }
}
