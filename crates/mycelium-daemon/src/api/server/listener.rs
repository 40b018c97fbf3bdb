//! The server: one thread, one loop, a table of seats, and nothing a client does can end it.
//!
//! Accepting never stops: a full table shows out the connection that has waited longest for its client, and so does
//! a process that has run out of descriptors. Deadlines are swept, not armed per request, so a request costs no
//! timer. Other threads reach the loop through [`ServerHandle`] only.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_listener::Event;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use smol::future::{or, yield_now};
use smol::{LocalExecutor, Timer};

use crate::api::auth::authenticator::Authenticator;
use crate::api::metrics::{EvictionReason, HttpMetrics};
use crate::api::ports::Ports;
use crate::api::server::client_stream::ClientStream;
use crate::api::server::conn_io::Deadlines;
use crate::api::server::connection::Connection;
use crate::api::server::connection_table::{Eviction, rate_limit_prefix};
use crate::api::server::reactor::{Reactor, ReactorSocket};
use crate::api::server::tls::TlsAcceptor;
use crate::api::settings::{Key, Rate, Settings};
use crate::api::state::AppState;
use crate::clock::Mono;
use crate::snapshots::{MonitoredTask, Snapshots};
use crate::sync::lock;

/// Connections the kernel keeps for us while the loop is at work.
const BACKLOG: i32 = 1024;
/// Pause when descriptors have run out and nobody can be shown out.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// Descriptors that connections leave to the rest of the daemon: some 16 at rest, files of the outbox, one for each
/// webhook and connector.
const OTHER_DESCRIPTORS: u64 = 40;
/// What a client hears that finds no seat and nobody to take one from.
const SERVICE_UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    reload: Mutex<Option<(Vec<Key>, Rate)>>,
    /// Shakes hands with new connections; set before the loop runs, or never.
    tls: Mutex<Option<TlsAcceptor>>,
    changed: Event,
}

/// How other threads reach a running server.
#[derive(Clone, Debug)]
pub struct ServerHandle(Arc<Shared>);

impl ServerHandle {
    /// Stops accepting, finishes requests at work within their deadline, and ends the loop.
    pub fn stop(&self) {
        self.0.stop.store(true, SeqCst);
        self.0.changed.notify(usize::MAX);
    }

    /// New keys and rates from the next request on; of two reloads in a row the later one counts.
    pub fn reload(&self, keys: Vec<Key>, rate: Rate) {
        let mut slot = lock(&self.0.reload);
        *slot = Some((keys, rate));
        drop(slot);
        self.0.changed.notify(usize::MAX);
    }
}

impl ServerHandle {
    /// Asks the loop for a sign of life: [`MonitoredTask::HTTP`] beats when it gets round to it.
    pub fn request_heartbeat(&self) {
        self.0.changed.notify(usize::MAX);
    }

    /// Another certificate for the connections that come from now on; of a server in the clear, nothing.
    pub fn set_certificate(&self, acceptor: TlsAcceptor) {
        let mut tls = lock(&self.0.tls);
        if tls.is_some() {
            *tls = Some(acceptor);
        }
    }
}

/// A bound server that does not run yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
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
    /// Binds `settings.listen`; port 0 takes a free one.
    pub fn bind(
        mut settings: Settings,
        rate: Rate,
        keys: Vec<Key>,
        snapshots: Arc<Snapshots>,
        metrics: Arc<HttpMetrics>,
        ports: Ports,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen)?;
        rustix::net::listen(&listener, BACKLOG)?;
        if let Some(limit) = getrlimit(Resource::Nofile).current
            && let Some(fewer) = fewer_connections(settings.max_connections, limit)
        {
            log::warn!(
                "api.max_connections is {} and the limit of open files {limit}: {fewer} connections are taken at once",
                settings.max_connections
            );
            settings.max_connections = fewer;
        }
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            settings,
            deadlines: Deadlines::default(),
            authenticator: Authenticator::new(keys, rate),
            snapshots,
            metrics,
            ports,
            shared: Arc::default(),
        })
    }

    /// Speaks TLS and nothing else.
    pub fn with_tls(self, acceptor: TlsAcceptor) -> Self {
        *lock(&self.shared.tls) = Some(acceptor);
        self
    }

    /// Other deadlines than those of the contract; for tests.
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
        let sweeper = executor.spawn(sweep(Rc::clone(&state)));
        reactor.block_on(executor.run(async {
            let ended =
                or(accept(&executor, &state, &reactor, &listener, &shared), control_loop(&state, &shared));
            ended.await;
            drop(listener);
            finish(&state).await;
            drop(sweeper);
        }))
    }
}

/// How many connections there may be at once under a limit of descriptors, if that is fewer than wanted.
fn fewer_connections(wanted: usize, limit: u64) -> Option<usize> {
    let most = limit.saturating_sub(OTHER_DESCRIPTORS).max(1);
    (wanted as u64 > most).then_some(most as usize)
}

/// Takes connections for ever.
async fn accept(
    executor: &Rc<LocalExecutor<'static>>,
    state: &Rc<AppState>,
    reactor: &Rc<Reactor>,
    listener: &ReactorSocket<TcpListener>,
    shared: &Shared,
) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => match reactor.register(socket) {
                Ok(socket) => seat(executor, state, socket, peer.ip(), shared).await,
                // Kernel memory is short; the client sees the connection end.
                Err(_) => drop(Timer::after(OUT_OF_DESCRIPTORS).await),
            },
            Err(e) if out_of_descriptors(&e) => {
                if !free_slot(state, None, EvictionReason::Descriptors).await {
                    state.metrics.evictions.add(EvictionReason::Refused, 1);
                    Timer::after(OUT_OF_DESCRIPTORS).await;
                }
            }
            // The client was gone before it was accepted.
            Err(_) => {}
        }
        yield_now().await;
    }
}

fn out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Gives a connection its seat, taking one from somebody if need be.
async fn seat(
    executor: &Rc<LocalExecutor<'static>>,
    state: &Rc<AppState>,
    socket: ReactorSocket<TcpStream>,
    peer: IpAddr,
    shared: &Shared,
) {
    let ip = rate_limit_prefix(peer);
    let tls = lock(&shared.tls).clone();
    let mut room = true;
    while room && state.connections.is_full_for(ip) {
        room = free_slot(state, Some(ip), EvictionReason::PerIp).await;
    }
    while room && state.connections.is_full() {
        room = free_slot(state, None, EvictionReason::Seats).await;
    }
    if !room {
        state.metrics.evictions.add(EvictionReason::Refused, 1);
        // Before its handshake a client could not read it.
        return if tls.is_none() {
            refuse(&socket)
        };
    }
    // Answers are written whole: waiting for more to send would only delay the last piece.
    drop(socket.get_ref().set_nodelay(true));
    let Ok(session) = tls.map(|acceptor| acceptor.session()).transpose() else { return };
    let socket = Rc::new(ClientStream::new(socket, session));
    let now = Mono::now();
    let Some(slot) = state.connections.take(ip, Rc::clone(&socket), now, now + state.deadlines.head) else {
        return;
    };
    let index = slot.index;
    let connection = Connection::new(Rc::clone(state), socket, slot, peer);
    state.connections.attach_task(index, executor.spawn(connection.run()));
}

/// Says so if the socket takes it at once, and closes.
fn refuse(socket: &ReactorSocket<TcpStream>) {
    drop(socket.try_write(SERVICE_UNAVAILABLE));
}

/// Shows out the longest-waiting connection and waits until its seat is free, or waits until it may be shown out. False
/// when there is nobody to show out.
async fn free_slot(state: &AppState, of: Option<IpAddr>, reason: EvictionReason) -> bool {
    match state.connections.evict(of, Mono::now()) {
        Eviction::Of(task) => {
            state.metrics.evictions.add(reason, 1);
            task.cancel().await;
        }
        Eviction::After(pause) => drop(Timer::after(pause).await),
        Eviction::Nobody => return false,
    }
    true
}

/// Looks after deadlines while anybody is connected.
async fn sweep(state: Rc<AppState>) {
    let pause = state.deadlines.sweep();
    loop {
        // A daemon that nobody asks does not wake up for it.
        while state.connections.is_empty() {
            state.connections.taken().await;
        }
        Timer::after(pause).await;
        let now = Mono::now();
        for ended in state.connections.sweep(now, state.deadlines.write) {
            if let Some(reason) = ended.reason {
                state.metrics.evictions.add(reason, 1);
            }
            drop(ended.task);
        }
        state.forget_stale(now);
    }
}

/// Follows the handle; comes back when told to stop.
async fn control_loop(state: &Rc<AppState>, shared: &Shared) {
    let watched = state.snapshots.tasks.iter().find(|task| task.name == MonitoredTask::HTTP);
    loop {
        let changed = shared.changed.listen();
        if let Some(task) = watched {
            task.beat(Mono::now());
        }
        if shared.stop.load(SeqCst) {
            return;
        }
        let news = lock(&shared.reload).take();
        if let Some((keys, rate)) = news {
            state.authenticator.borrow_mut().reload(keys, rate, Mono::now());
        }
        changed.await;
    }
}

/// Lets requests at work come to their end.
async fn finish(state: &Rc<AppState>) {
    state.stopping.set(true);
    state.snapshots.features_changed.notify(usize::MAX);
    drop(state.connections.cancel_idle());
    let done = async {
        while !state.connections.is_empty() {
            Timer::after(Duration::from_millis(2)).await;
            drop(state.connections.cancel_idle());
        }
    };
    let late = async {
        Timer::after(state.deadlines.stop).await;
    };
    or(done, late).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest_of_the_daemon() {
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
