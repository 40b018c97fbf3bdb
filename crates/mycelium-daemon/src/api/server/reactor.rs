//! Socket readiness for the HTTP loop, by edge-triggered epoll.
//!
//! Each socket is registered once, so a request costs one read, one write and its share of one `epoll_wait`. (A reactor
//! that re-arms interest for each wait makes two more system calls per request, and three more per sleep for timers
//! that this loop does not have.) Tasks are run by smol's executor. Other threads wake the loop by an eventfd, which is
//! written only while the loop sleeps.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use super::unix_socket::UNIX_PEER;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::net::SocketFlags;

/// Events taken from the kernel in one call.
const MAX_EVENTS: usize = 64;
/// The token of the notifier; no socket has it, since their upper half has 31 bits.
const NOTIFIER_TOKEN: u64 = u64::MAX;

/// State of the loop, as other threads see it.
const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const NOTIFIED: u8 = 2;

/// Wakes the loop from any thread.
struct Notifier {
    state: AtomicU8,
    event: OwnedFd,
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NOTIFIED, SeqCst) == ASLEEP {
            // Fails only if its counter is full, and then the loop has been woken already.
            let _: Result<usize, _> = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}

/// Readiness of one socket as reported by the kernel, until a call returns `WouldBlock`.
struct Readiness {
    token: u64,
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// The peer has closed its side: a read never blocks again.
    ended: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

pub struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
    slots: RefCell<Vec<Option<Rc<Readiness>>>>,
    registered: Cell<u64>,
}

impl Reactor {
    pub fn new() -> io::Result<Rc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered, so the counter never has to be read.
        epoll::add(&epoll, &event, EventData::new_u64(NOTIFIER_TOKEN), EventFlags::IN | EventFlags::ET)?;
        let notifier = Arc::new(Notifier { state: AtomicU8::new(AWAKE), event });
        Ok(Rc::new(Self { epoll, notifier, slots: RefCell::default(), registered: Cell::new(0) }))
    }

    /// Registers a non-blocking socket; dropping the result unregisters it.
    pub fn register<T: AsFd>(self: &Rc<Self>, io: T) -> io::Result<ReactorSocket<T>> {
        let mut slots = self.slots.borrow_mut();
        let index = slots.iter().position(Option::is_none).unwrap_or(slots.len());
        // Distinguishes registrations in the same slot: an event of a closed socket must not wake its successor.
        let serial = self.registered.get().wrapping_add(1) & 0x7fff_ffff;
        self.registered.set(serial);
        let token = serial << 32 | index as u64;
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &io, EventData::new_u64(token), interest)?;
        let readiness = Rc::new(Readiness {
            token,
            // The kernel reports when there is something to read. A new socket is writable.
            readable: Cell::new(false),
            writable: Cell::new(true),
            ended: Cell::new(false),
            reader: Cell::new(None),
            writer: Cell::new(None),
        });
        if index == slots.len() {
            slots.push(Some(Rc::clone(&readiness)));
        } else {
            slots[index] = Some(Rc::clone(&readiness));
        }
        drop(slots);
        Ok(ReactorSocket { io, readiness, reactor: Rc::clone(self) })
    }

    /// Runs `future` to completion, and sleeps while it is not woken.
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::clone(&self.notifier));
        let mut context = Context::from_waker(&waker);
        loop {
            self.notifier.state.store(AWAKE, SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            let asleep = self.notifier.state.compare_exchange(AWAKE, ASLEEP, SeqCst, SeqCst).is_ok();
            self.poll_events(asleep)?;
        }
    }

    /// Takes events from the kernel; blocks until there is one if `block` is set.
    fn poll_events(&self, block: bool) -> io::Result<()> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let empty = epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(NOTIFIER_TOKEN) };
        let mut events = [empty; MAX_EVENTS];
        let taken = match epoll::wait(&self.epoll, &mut events, (!block).then_some(&at_once)) {
            Ok(taken) => taken,
            Err(rustix::io::Errno::INTR) => 0,
            Err(e) => return Err(e.into()),
        };
        for event in &events[..taken] {
            let (token, flags) = (event.data.u64(), event.flags);
            let slot = (token & 0xffff_ffff) as usize;
            let found = self.slots.borrow().get(slot).and_then(Clone::clone);
            if let Some(readiness) = found.filter(|readiness| readiness.token == token) {
                readiness.on_event(flags);
            }
        }
        Ok(())
    }
}

impl Readiness {
    fn on_event(&self, flags: EventFlags) {
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if ended {
            self.ended.set(true);
        }
        if ended || flags.contains(EventFlags::IN) {
            self.readable.set(true);
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
        if ended || flags.contains(EventFlags::OUT) {
            self.writable.set(true);
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
    }
}

/// A registered socket. One task at a time may wait for reading, and one for writing.
pub struct ReactorSocket<T> {
    io: T,
    readiness: Rc<Readiness>,
    reactor: Rc<Reactor>,
}

impl<T> ReactorSocket<T> {
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Waits until a read may find something.
    pub async fn readable(&self) {
        wait_for(&self.readiness.readable, &self.readiness.reader).await;
    }

    /// Waits until a write may succeed.
    pub async fn writable(&self) {
        wait_for(&self.readiness.writable, &self.readiness.writer).await;
    }

    fn read_with<R>(&self, read: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        if !self.readiness.readable.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let result = read(&self.io);
        if matches!(&result, Err(e) if e.kind() == ErrorKind::WouldBlock) {
            self.readiness.readable.set(false);
        }
        result
    }

    fn write_with(&self, all: usize, write: impl FnOnce(&T) -> io::Result<usize>) -> io::Result<usize> {
        if !self.readiness.writable.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let result = write(&self.io);
        match &result {
            Ok(n) if *n < all => self.readiness.writable.set(false),
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.readiness.writable.set(false),
            _ => {}
        }
        result
    }
}

async fn wait_for(ready: &Cell<bool>, waker: &Cell<Option<Waker>>) {
    poll_fn(|context| {
        if ready.get() {
            return Poll::Ready(());
        }
        let known = waker.take().filter(|known| known.will_wake(context.waker()));
        waker.set(Some(known.unwrap_or_else(|| context.waker().clone())));
        Poll::Pending
    })
    .await;
}

impl ReactorSocket<TcpStream> {
    /// Makes [`writable`](Self::writable) wait for the next report of the kernel.
    pub fn clear_writable(&self) {
        self.readiness.writable.set(false);
    }

    /// Reads what is available; `WouldBlock` without a system call if the kernel has not reported anything.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.read_with(|mut socket| socket.read(into))?;
        // A short read has emptied the socket, and later bytes cause a new edge. An end of input that was reported
        // together with these bytes does not.
        if n < into.len() && !self.readiness.ended.get() {
            self.readiness.readable.set(false);
        }
        Ok(n)
    }

    /// Looks for one byte without consuming it.
    pub fn try_peek(&self) -> io::Result<usize> {
        self.read_with(|socket| socket.peek(&mut [0]))
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(bytes.len(), |mut socket| socket.write(bytes))
    }

    pub fn try_write_both(&self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let both = [IoSlice::new(head), IoSlice::new(body)];
        self.write_with(head.len() + body.len(), |mut socket| socket.write_vectored(&both))
    }
}

impl<L: AsFd> ReactorSocket<L> {
    /// Waits for the next connection of a listener and the address of its peer; the socket is non-blocking.
    pub async fn accept(&self) -> io::Result<(TcpStream, IpAddr)> {
        loop {
            self.readable().await;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match self.read_with(|listener| Ok(rustix::net::acceptfrom_with(listener, flags)?)) {
                Ok((socket, peer)) => {
                    let peer = peer.map(SocketAddr::try_from);
                    let peer = peer.map_or(UNIX_PEER, |peer| peer.map_or(UNIX_PEER, |peer| peer.ip()));
                    return Ok((socket.into(), peer));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl<T> Drop for ReactorSocket<T> {
    fn drop(&mut self) {
        // Closing the descriptor removes it from the epoll set.
        let slot = (self.readiness.token & 0xffff_ffff) as usize;
        self.reactor.slots.borrow_mut()[slot] = None;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::sync::atomic::AtomicUsize;

    use rustix::event::{PollFd, PollFlags, poll};
    use smol::LocalExecutor;

    use super::*;

    fn pair(reactor: &Rc<Reactor>) -> (ReactorSocket<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (reactor.register(socket).unwrap(), client)
    }

    async fn read(source: &ReactorSocket<TcpStream>, into: &mut [u8]) -> usize {
        loop {
            match source.try_read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => source.readable().await,
                done => return done.unwrap(),
            }
        }
    }

    /// Mutant seen red: `ended` ignored after a short read (the second read then waits for ever).
    #[test]
    fn an_end_of_input_that_arrives_with_the_last_bytes_is_read_after_them() {
        let reactor = Reactor::new().unwrap();
        let (source, mut client) = pair(&reactor);
        client.write_all(b"last").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        poll(&mut [PollFd::new(source.get_ref(), PollFlags::RDHUP)], None).unwrap();
        let mut buffer = [0; 64];
        let both =
            reactor.block_on(async { (read(&source, &mut buffer).await, read(&source, &mut [0; 64]).await) });
        assert_eq!(both.unwrap(), (4, 0));
    }

    fn is_asleep(notifier: &Notifier) -> bool {
        notifier.state.load(SeqCst) == ASLEEP
    }

    /// Mutant seen red: `NOTIFIED` set without writing the eventfd.
    #[test]
    fn another_thread_wakes_a_sleeping_loop() {
        let reactor = Reactor::new().unwrap();
        let (sender, receiver) = smol::channel::bounded(1);
        let notifier = Arc::clone(&reactor.notifier);
        let thread = std::thread::spawn(move || {
            while !is_asleep(&notifier) {
                std::thread::yield_now();
            }
            sender.send_blocking(7).unwrap();
        });
        let executor = LocalExecutor::new();
        let received = reactor.block_on(executor.run(async { receiver.recv().await.unwrap() })).unwrap();
        assert_eq!(received, 7);
        thread.join().unwrap();
    }

    /// Mutant seen red: `writable` stays set after `WouldBlock` (the loop spins and exceeds the number of attempts).
    #[test]
    fn a_writer_sleeps_until_its_reader_has_made_space() {
        const MAX_ATTEMPTS: usize = 2_000;
        let reactor = Reactor::new().unwrap();
        let (source, mut client) = pair(&reactor);
        let total = 8 << 20;
        let notifier = Arc::clone(&reactor.notifier);
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let reader = std::thread::spawn(move || {
            while !is_asleep(&notifier) && counted.load(SeqCst) < MAX_ATTEMPTS {
                std::thread::yield_now();
            }
            let mut buffer = vec![0; 1 << 16];
            let mut left = total;
            while left > 0 {
                left -= client.read(&mut buffer).unwrap();
            }
        });
        let written = reactor.block_on(async {
            let bytes = vec![1; 1 << 16];
            let mut sent = 0;
            while sent < total {
                attempts.fetch_add(1, SeqCst);
                match source.try_write(&bytes[..bytes.len().min(total - sent)]) {
                    Ok(n) => sent += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => source.writable().await,
                    Err(e) => panic!("{e}"),
                }
            }
        });
        written.unwrap();
        reader.join().unwrap();
        assert!(attempts.load(SeqCst) < MAX_ATTEMPTS, "the writer does not sleep");
    }

    #[test]
    fn the_slot_of_a_closed_socket_is_used_again() {
        let reactor = Reactor::new().unwrap();
        for _ in 0..100 {
            let (source, client) = pair(&reactor);
            drop(client);
            drop(source);
        }
        assert!(reactor.slots.borrow().len() <= 2);
    }
}
