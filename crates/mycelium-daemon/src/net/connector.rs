//! How connections are made: resolve, connect, TLS. Each step is recorded, so that a failure is classified by where it
//! happened and connections are counted.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector, Transport,
    TransportAdapter,
};

/// The step that a request has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Resolve = 0,
    Connect = 1,
    Tls = 2,
    Exchange = 3,
}

/// What is known about the connections of one client.
#[derive(Debug, Default)]
pub(super) struct ConnectionTracker {
    phase: AtomicU8,
    opened: AtomicU64,
}

impl ConnectionTracker {
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

    /// Connections opened so far.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }
}

/// The system's resolver, tracked.
#[derive(Debug)]
pub(super) struct TrackedResolver {
    pub(super) tracker: Arc<ConnectionTracker>,
    pub(super) inner: DefaultResolver,
}

impl Resolver for TrackedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.tracker.enter(Phase::Resolve);
        let found = self.inner.resolve(uri, config, timeout)?;
        // With a pooled connection, the next step is the exchange.
        self.tracker.enter(Phase::Exchange);
        Ok(found)
    }
}

/// TCP, tracked.
#[derive(Debug)]
pub(super) struct TrackedConnector {
    pub(super) tracker: Arc<ConnectionTracker>,
    pub(super) inner: TcpConnector,
}

impl Connector for TrackedConnector {
    type Out = <TcpConnector as Connector>::Out;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        self.tracker.enter(Phase::Connect);
        let transport = self.inner.connect(details, chained)?;
        self.tracker.enter(Phase::Exchange);
        self.tracker.opened.fetch_add(1, Relaxed);
        Ok(transport)
    }
}

/// TLS; without a configuration, connections stay unencrypted.
pub(super) struct TlsConnector {
    pub(super) tracker: Arc<ConnectionTracker>,
    pub(super) config: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let Some(config) = self.config.as_ref().filter(|_| details.needs_tls()) else {
            return Ok(Some(Either::A(transport)));
        };
        self.tracker.enter(Phase::Tls);
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls("host is no server name"))?;
        let mut conn = ClientConnection::new(Arc::clone(config), name).map_err(Error::Rustls)?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        self.tracker.enter(Phase::Exchange);
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = StreamOwned { conn, sock };
        Ok(Some(Either::B(TlsTransport { buffers: LazyBuffers::new(input, output), stream })))
    }
}

/// A TLS connection over any transport.
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
