//! The HTTP server: one thread, one event loop and a bounded table of connections.
//!
//! Accepting never stops: if the table is full, or the process has run out of descriptors, the connection that has
//! waited longest for its client is evicted. Deadlines are checked periodically rather than by a timer per request, so
//! a request costs no timer. Other threads control the loop through [`ServerHandle`] only.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_listener::Event;
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use smol::future::{or, yield_now};
use smol::{LocalExecutor, Timer};

use crate::api::auth::anonymous::rate_limit_prefix;
use crate::api::auth::authenticator::Authenticator;
use crate::api::auth::names::AllowedNames;
use crate::api::metrics::{EvictionReason, HttpMetrics};
use crate::api::ports::Ports;
use crate::api::server::client_stream::ClientStream;
use crate::api::server::connection::Connection;
use crate::api::server::connection_table::{ClientWait, Eviction};
use crate::api::server::inherited::InheritedSockets;
use crate::api::server::reactor::{Reactor, ReactorSocket};
use crate::api::server::tls::TlsAcceptor;
use crate::api::server::unix_socket::{UNIX_PEER, UnixSocket};
use crate::api::settings::{ApiKey, Deadlines, Rate, Settings};
use crate::api::state::AppState;
use crate::clock::Mono;
use crate::snapshots::{MonitoredTask, Snapshots};
use crate::sync::lock;

/// Connections the kernel queues until the loop accepts them.
const BACKLOG: i32 = 1024;
/// Send buffer of a connection, of which the kernel doubles the size for the overhead of packets. Without a bound it
/// grows to megabytes for a client that takes nothing. Measured in docs/adr/0023-bounded-socket-buffers.md.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Receive buffer of a connection, likewise: the largest body.
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Output that a client does not acknowledge within this time ends the connection; the kernel enforces it for
/// connections that this side has closed, too.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Pause when descriptors have run out and no connection can be evicted.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// Descriptors reserved for the rest of the daemon: some 16 when idle, the files of the outbox, one for each webhook
/// and connector.
const OTHER_DESCRIPTORS: u64 = 40;
/// Target of log lines, independent of the module's path.
const LOG_TARGET: &str = "mycelium_daemon::api::server";
/// Response to a client for which no slot can be freed.
const SERVICE_UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    reload: Mutex<Option<(Vec<ApiKey>, Rate, AllowedNames)>>,
    /// For new connections; set before the loop runs, or never.
    tls: Mutex<Option<TlsAcceptor>>,
    changed: Event,
}

/// Controls a running server from other threads.
#[derive(Clone, Debug)]
pub struct ServerHandle(Arc<Shared>);

impl ServerHandle {
    /// Stops accepting, lets requests in progress finish within their deadline, and ends the loop.
    pub fn stop(&self) {
        self.0.stop.store(true, SeqCst);
        self.0.changed.notify(usize::MAX);
    }

    /// Sets keys, rate limits and names from the next request on; of two calls in a row only the later one may take
    /// effect.
    pub fn reload(&self, keys: Vec<ApiKey>, rate: Rate, names: AllowedNames) {
        let mut slot = lock(&self.0.reload);
        *slot = Some((keys, rate, names));
        drop(slot);
        self.0.changed.notify(usize::MAX);
    }

    /// Requests a heartbeat: the loop records one for [`MonitoredTask::HTTP`] when it runs next.
    pub fn request_heartbeat(&self) {
        self.0.changed.notify(usize::MAX);
    }

    /// Sets the certificate for new connections; does nothing on a server without TLS.
    pub fn set_certificate(&self, acceptor: TlsAcceptor) {
        let mut tls = lock(&self.0.tls);
        if tls.is_some() {
            *tls = Some(acceptor);
        }
    }
}

/// The sockets of a server, bound.
#[derive(Debug)]
pub struct ApiSockets {
    listener: TcpListener,
    unix: Option<UnixSocket>,
}

impl ApiSockets {
    /// Those that the service manager has passed on, else new ones; port 0 selects a free one.
    pub fn bind(settings: &Settings) -> io::Result<Self> {
        let inherited = InheritedSockets::take()?;
        let listener = match inherited.tcp {
            Some(listener) => listener,
            None => {
                TcpListener::bind(settings.listen).map_err(|error| with_remedy(error, settings.listen))?
            }
        };
        bound_sockets(&listener)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let unix = match (inherited.unix, &settings.unix_socket) {
            (Some(listener), _) => Some(UnixSocket::inherited(listener)?),
            (None, Some(path)) => Some(
                UnixSocket::bind(path)
                    .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?,
            ),
            (None, None) => None,
        };
        Ok(Self { listener, unix })
    }
}

/// Why an address cannot be bound, and what to do.
fn with_remedy(error: io::Error, address: SocketAddr) -> io::Error {
    let port = address.port();
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process has this port, as `ss -ltnp sport = :{port}` shows: stop it, or choose another by --listen"
        ),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose another by --listen".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {remedy}"))
}

/// A bound server that does not run yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    unix: Option<UnixSocket>,
    address: SocketAddr,
    settings: Settings,
    deadlines: Deadlines,
    authenticator: Authenticator,
    snapshots: Arc<Snapshots>,
    metrics: Arc<HttpMetrics>,
    ports: Ports,
    shared: Arc<Shared>,
}

impl Server {
    /// Binds the sockets of `settings`, as [`ApiSockets::bind`].
    pub fn bind(
        settings: Settings,
        rate: Rate,
        keys: Vec<ApiKey>,
        snapshots: Arc<Snapshots>,
        metrics: Arc<HttpMetrics>,
        ports: Ports,
    ) -> io::Result<Self> {
        let sockets = ApiSockets::bind(&settings)?;
        Self::new(sockets, settings, (rate, keys), snapshots, metrics, ports)
    }

    /// Accepts connections from these sockets.
    pub fn new(
        ApiSockets { listener, unix }: ApiSockets,
        mut settings: Settings,
        (rate, keys): (Rate, Vec<ApiKey>),
        snapshots: Arc<Snapshots>,
        metrics: Arc<HttpMetrics>,
        ports: Ports,
    ) -> io::Result<Self> {
        if let Some(limit) = getrlimit(Resource::Nofile).current
            && let Some(fewer) = fewer_connections(settings.max_connections, limit)
        {
            log::warn!(
                target: LOG_TARGET,
                "api.max_connections is {} and the limit of open files {limit}: limiting connections to {fewer}",
                settings.max_connections
            );
            settings.max_connections = fewer;
        }
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            unix,
            settings,
            deadlines: Deadlines::default(),
            authenticator: Authenticator::new(keys, rate, fastrand::u64(..)),
            snapshots,
            metrics,
            ports,
            shared: Arc::default(),
        })
    }

    /// Accepts TLS connections only.
    #[must_use]
    pub fn with_tls(self, acceptor: TlsAcceptor) -> Self {
        *lock(&self.shared.tls) = Some(acceptor);
        self
    }

    /// Replaces the default deadlines; for tests.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub fn handle(&self) -> ServerHandle {
        ServerHandle(Arc::clone(&self.shared))
    }

    /// Serves on this thread until [`ServerHandle::stop`].
    pub fn run(self) -> io::Result<()> {
        let reactor = Reactor::new()?;
        self.listener.set_nonblocking(true)?;
        let listener = reactor.register(self.listener)?;
        let unix = self.unix.as_ref().map(|unix| reactor.register(unix.listener.try_clone()?)).transpose()?;
        let state = AppState::new(
            self.settings,
            self.deadlines,
            self.authenticator,
            self.snapshots,
            self.metrics,
            self.ports,
        );
        let state = Rc::new(state);
        let executor = Rc::new(LocalExecutor::new());
        let shared = self.shared;
        let deadlines = executor.spawn(deadline_loop(Rc::clone(&state)));
        reactor.block_on(executor.run(async {
            let accept_tcp = accept_loop(&executor, &state, &reactor, &listener, &shared);
            let accept_unix = async {
                match &unix {
                    Some(unix) => accept_loop(&executor, &state, &reactor, unix, &shared).await,
                    None => std::future::pending().await,
                }
            };
            or(or(accept_tcp, accept_unix), control_loop(&state, &shared)).await;
            drop(listener);
            drop(unix);
            drop(self.unix);
            drain(&state).await;
            drop(deadlines);
        }))
    }
}

/// Bounds what the kernel keeps for each connection; those that are accepted inherit it.
fn bound_sockets(listener: &TcpListener) -> io::Result<()> {
    sockopt::set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES)?;
    sockopt::set_socket_recv_buffer_size(listener, RECEIVE_BUFFER_BYTES)?;
    Ok(sockopt::set_tcp_user_timeout(listener, UNACKNOWLEDGED.as_millis() as u32)?)
}

/// The number of connections that a limit of descriptors allows, if that is fewer than wanted.
fn fewer_connections(wanted: usize, limit: u64) -> Option<usize> {
    let most = limit.saturating_sub(OTHER_DESCRIPTORS).max(1);
    (wanted as u64 > most).then_some(most as usize)
}

/// Accepts connections until it is dropped.
async fn accept_loop<L: AsFd>(
    executor: &Rc<LocalExecutor<'static>>,
    state: &Rc<AppState>,
    reactor: &Rc<Reactor>,
    listener: &ReactorSocket<L>,
    shared: &Shared,
) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => match reactor.register(socket) {
                Ok(socket) => admit(executor, state, socket, peer, shared).await,
                // The kernel is out of memory; the client sees its connection closed.
                Err(_) => drop(Timer::after(OUT_OF_DESCRIPTORS).await),
            },
            Err(e) if out_of_descriptors(&e) => {
                if !free_slot(state, None, EvictionReason::Descriptors).await {
                    state.count_eviction(EvictionReason::Refused);
                    Timer::after(OUT_OF_DESCRIPTORS).await;
                }
            }
            // The client disconnected before it was accepted.
            Err(_) => {}
        }
        yield_now().await;
    }
}

fn out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Gives a new connection a slot, evicting another connection if necessary.
async fn admit(
    executor: &Rc<LocalExecutor<'static>>,
    state: &Rc<AppState>,
    socket: ReactorSocket<TcpStream>,
    peer: IpAddr,
    shared: &Shared,
) {
    let ip = rate_limit_prefix(peer);
    let tls = if peer == UNIX_PEER { None } else { lock(&shared.tls).clone() };
    let mut has_slot = true;
    while has_slot && state.connections().is_full_for(ip) {
        has_slot = free_slot(state, Some(ip), EvictionReason::PerIp).await;
    }
    while has_slot && state.connections().is_full() {
        has_slot = free_slot(state, None, EvictionReason::SlotsFull).await;
    }
    if !has_slot {
        state.count_eviction(EvictionReason::Refused);
        // A client of a TLS server could not read it. If the socket does not take it at once, it is dropped.
        if tls.is_none() {
            drop(socket.try_write(SERVICE_UNAVAILABLE));
        }
        return;
    }
    // Has no effect on a Unix socket. Responses are written as a whole: waiting for more output would only delay the last packet.
    drop(socket.get_ref().set_nodelay(true));
    let Ok(session) = tls.map(|acceptor| acceptor.session()).transpose() else { return };
    let stream = Rc::new(ClientStream::new(socket, session));
    let wait = ClientWait::new(state.deadlines().head);
    let Some(slot) = state.connections().add(ip, Rc::clone(&stream), wait) else { return };
    let index = slot.index();
    let connection = Connection::new(Rc::clone(state), stream, slot, peer);
    state.connections().attach_task(index, executor.spawn(connection.run()));
}

/// Evicts the connection that has waited longest and waits until its slot is free, or waits until one may be evicted.
/// False if none can be evicted.
async fn free_slot(state: &AppState, of: Option<IpAddr>, reason: EvictionReason) -> bool {
    match state.connections().evict(of, Mono::now()) {
        Eviction::Evicted(task) => {
            state.count_eviction(reason);
            task.cancel().await;
        }
        Eviction::RetryAfter(pause) => drop(Timer::after(pause).await),
        Eviction::NoCandidate => return false,
    }
    true
}

/// Enforces deadlines.
async fn deadline_loop(state: Rc<AppState>) {
    let interval = state.deadlines().check_interval();
    loop {
        // Without connections the thread is not woken at all.
        while state.connections().is_empty() {
            state.connections().listen_added().await;
        }
        Timer::after(interval).await;
        let now = Mono::now();
        for expired in state.connections().expire(now, state.deadlines().write) {
            if let Some(reason) = expired.reason {
                state.count_eviction(reason);
            }
            drop(expired.task);
        }
        state.expositions().drop_stale(now);
        state.report_wrong_keys(now);
    }
}

/// Follows the [`ServerHandle`] until it asks to stop.
async fn control_loop(state: &Rc<AppState>, shared: &Shared) {
    let watched = state.snapshots().tasks.iter().find(|task| task.name == MonitoredTask::HTTP);
    loop {
        let changed = shared.changed.listen();
        if let Some(task) = watched {
            task.beat(Mono::now());
        }
        if shared.stop.load(SeqCst) {
            return;
        }
        let reload = lock(&shared.reload).take();
        if let Some((keys, rate, names)) = reload {
            state.reload_keys(keys, rate, names, Mono::now());
        }
        changed.await;
    }
}

/// Lets requests in progress finish within their deadline.
async fn drain(state: &Rc<AppState>) {
    state.stop();
    drop(state.connections().cancel_idle());
    let done = async {
        while !state.connections().is_empty() {
            Timer::after(Duration::from_millis(2)).await;
            drop(state.connections().cancel_idle());
        }
    };
    let late = async {
        Timer::after(state.deadlines().stop).await;
    };
    or(done, late).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest_of_the_daemon() {
        let rows = [
            (64, 1024, None, "the usual limit"),
            (64, 104, None, "just enough"),
            (64, 103, Some(63), "one less"),
            (4096, 1024, Some(984), "more than files may be open"),
            (64, 40, Some(1), "nothing left: one has to be"),
            (64, 0, Some(1), "no limit can be lower"),
        ];
        for (wanted, limit, fewer, why) in rows {
            assert_eq!(fewer_connections(wanted, limit), fewer, "{why}");
        }
    }
}
