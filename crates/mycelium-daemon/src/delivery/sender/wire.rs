//! How connections are made: resolve, connect, TLS; each step leaves a note, so that a failure can be told
//! apart by where it happened, and connections can be counted.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector, Transport,
    TransportAdapter,
};

use super::SenderError;

/// Where an attempt is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Resolve = 0,
    Connect = 1,
    Tls = 2,
    Exchange = 3,
}

/// Notes of the connections of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Wire {
    phase: AtomicU8,
    opened: AtomicU64,
}

impl Wire {
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Resolve,
            1 => Phase::Connect,
            2 => Phase::Tls,
            _ => Phase::Exchange,
        }
    }

    /// Connections made so far.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }
}

/// The system's resolver, noted.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) wire: Arc<Wire>,
    pub(super) inner: DefaultResolver,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.wire.enter(Phase::Resolve);
        let found = self.inner.resolve(uri, config, timeout)?;
        // A pooled connection goes straight on from here.
        self.wire.enter(Phase::Exchange);
        Ok(found)
    }
}

/// TCP, noted.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) wire: Arc<Wire>,
    pub(super) inner: TcpConnector,
}

impl Connector for Tcp {
    type Out = <TcpConnector as Connector>::Out;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        self.wire.enter(Phase::Connect);
        let transport = self.inner.connect(details, chained)?;
        self.wire.enter(Phase::Exchange);
        self.wire.opened.fetch_add(1, Relaxed);
        Ok(transport)
    }
}

/// TLS with the bundled roots and those of `ca_file`; `None` for endpoints in the clear.
pub(super) struct Tls {
    pub(super) wire: Arc<Wire>,
    pub(super) config: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let Some(config) = self.config.as_ref().filter(|_| details.needs_tls()) else {
            return Ok(Some(Either::A(transport)));
        };
        self.wire.enter(Phase::Tls);
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls("host is no server name"))?;
        let mut conn = ClientConnection::new(Arc::clone(config), name).map_err(Error::Rustls)?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        self.wire.enter(Phase::Exchange);
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = StreamOwned { conn, sock };
        Ok(Some(Either::B(TlsTransport { buffers: LazyBuffers::new(input, output), stream })))
    }
}

/// A connection with TLS on it.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let got = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(got);
        Ok(got > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Client side of TLS 1.2 and 1.3 on ring: the bundled Mozilla roots, and those in `ca_file`.
pub(super) fn tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, SenderError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add_roots(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // One endpoint, one server: the default of 256 sessions would be memory for nothing.
    config.resumption = Resumption::in_memory_sessions(2);
    Ok(Arc::new(config))
}

/// A bundle of public roots has some 150 certificates; far more is no bundle.
const MAX_CA_FILE: u64 = 1 << 20;

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), SenderError> {
    let bad = |cause: String| SenderError::CaFile { path: path.to_owned(), cause };
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| bad(e.to_string()))?;
    file.take(MAX_CA_FILE + 1).read_to_end(&mut pem).map_err(|e| bad(e.to_string()))?;
    if pem.len() as u64 > MAX_CA_FILE {
        return Err(bad("it is larger than 1 MiB".to_owned()));
    }
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| bad(format!("it is not PEM ({e:?})")))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
        added += 1;
    }
    if added == 0 { Err(bad("it holds no certificate".to_owned())) } else { Ok(()) }
}
