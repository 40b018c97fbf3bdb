//! TLS 1.2 and 1.3 by rustls on the non-blocking sockets of the loop; HTTP/1.1 only.
//!
//! The handshake is part of the first read of a connection. So the deadline of the first head applies to it, and the
//! connection can be evicted during it.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::api::server::reactor::ReactorSocket;
use crate::api::settings::TlsFiles;
use mycelium_outbox::state_dir::read_named_file;

/// Largest certificate or key file; a chain of four takes some 8 KiB.
const MAX_PEM_BYTES: usize = 64 << 10;
/// Sessions that clients can resume without a full handshake.
const MAX_SESSIONS: usize = 64;
/// Plaintext bytes that are encrypted at once; no more are until the socket has taken all of them.
const CHUNK_BYTES: usize = 16 << 10;
/// The only supported protocol.
const ALPN: &[u8] = b"http/1.1";

/// A certificate with its key, which starts TLS sessions.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<ServerConfig>);

impl std::fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl TlsAcceptor {
    /// Reads a chain and its key, both PEM, and checks that they belong together; and the authorities of clients, if
    /// they need certificates.
    ///
    /// # Errors
    /// Names the file, the cause and the remedy.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let (cert_file, key_file) = (files.cert_file.as_path(), files.key_file.as_path());
        let pem = read_named_file(cert_file, MAX_PEM_BYTES).map_err(|e| bad(cert_file, &e.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|_| bad(cert_file, "it is not PEM"))?;
        if chain.is_empty() {
            let what = "it holds no certificate: give it a chain in PEM, the server's own first";
            return Err(bad(cert_file, what));
        }
        let pem = read_named_file(key_file, MAX_PEM_BYTES).map_err(|e| bad(key_file, &e.to_string()))?;
        // The error must not quote the file: it may hold a key.
        let key = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| bad(key_file, "it holds no private key: give it one in PEM, not encrypted"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = client_verifier(files.client_ca_file.as_deref(), Arc::clone(&provider))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|e| bad(cert_file, &format!("with the key in {}: {e}", key_file.display())))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(MAX_SESSIONS);
        config.send_tls13_tickets = 1;
        Ok(Self(Arc::new(config)))
    }

    /// A session that begins with the handshake.
    pub fn session(&self) -> io::Result<TlsSession> {
        let mut tls = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(2 * CHUNK_BYTES));
        Ok(TlsSession { tls, encrypted: 0, handshake_progress: false, closed: false })
    }
}

fn bad(path: &Path, what: &str) -> TlsError {
    TlsError(format!("cannot use {}: {what}", path.display()))
}

/// Checks that clients have a certificate of one of these authorities; nothing if there is no file.
fn client_verifier(
    ca_file: Option<&Path>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(ca_file) = ca_file else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let pem = read_named_file(ca_file, MAX_PEM_BYTES).map_err(|e| bad(ca_file, &e.to_string()))?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| bad(ca_file, "it is not PEM"))?;
        authorities.add(certificate).map_err(|e| bad(ca_file, &e.to_string()))?;
    }
    if authorities.is_empty() {
        let what = "it holds no certificate: give it those of the authorities of clients, in PEM";
        return Err(bad(ca_file, what));
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .map_err(|e| bad(ca_file, &e.to_string()))
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct TlsError(String);

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// The socket with the traits that rustls expects.
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

/// The TLS state of one connection.
pub struct TlsSession {
    tls: ServerConnection,
    /// Plaintext bytes that are encrypted but not yet reported as written.
    encrypted: usize,
    /// Handshake bytes have been sent since the last `take_handshake_progress`.
    handshake_progress: bool,
    /// `close_notify` has been sent.
    closed: bool,
}

impl TlsSession {
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether handshake bytes have been sent since the last call.
    pub fn take_handshake_progress(&mut self) -> bool {
        std::mem::take(&mut self.handshake_progress)
    }

    /// Whether encrypted bytes have not been taken by the socket yet.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    pub fn read(&mut self, socket: &ReactorSocket<TcpStream>, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.read_records(socket)?,
                // A missing close_notify is treated as an ordinary end: requests have a length, so none is truncated.
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
            self.read_records(socket)?;
        }
    }

    /// Reads and processes records from the socket, and sends what the protocol itself has to send. At the end of input,
    /// the session's reader returns 0 as well.
    fn read_records(&mut self, socket: &ReactorSocket<TcpStream>) -> io::Result<()> {
        self.flush(socket)?;
        let n = self.tls.read_tls(&mut Raw(socket))?;
        let processed = self.tls.process_new_packets();
        // May send an alert. Whether it arrives makes no difference to the error below.
        let flushed = self.flush(socket);
        processed.map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        flushed?;
        if n == 0 && self.tls.is_handshaking() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Sends encrypted bytes until the socket returns `WouldBlock`.
    fn flush(&mut self, socket: &ReactorSocket<TcpStream>) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Raw(socket)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => self.handshake_progress |= self.tls.is_handshaking(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Encrypts and sends up to [`CHUNK_BYTES`] of both; see [`super::client_stream`] about `WouldBlock`.
    pub fn write(
        &mut self,
        socket: &ReactorSocket<TcpStream>,
        head: &[u8],
        body: &[u8],
    ) -> io::Result<usize> {
        self.flush(socket)?;
        if self.encrypted == 0 && !self.wants_write() {
            self.encrypted = self.encrypt(head, body)?;
            self.flush(socket)?;
        }
        if self.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(std::mem::take(&mut self.encrypted))
    }

    fn encrypt(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let of_head = self.tls.writer().write(&head[..head.len().min(CHUNK_BYTES)])?;
        if of_head < head.len() {
            return Ok(of_head);
        }
        let of_body = self.tls.writer().write(&body[..body.len().min(CHUNK_BYTES - of_head)])?;
        Ok(of_head + of_body)
    }

    /// Sends `close_notify` once, if the socket takes it at once.
    pub fn close_notify(&mut self, socket: &ReactorSocket<TcpStream>) {
        if !std::mem::replace(&mut self.closed, true) {
            self.tls.send_close_notify();
            drop(self.flush(socket));
        }
    }
}
