//! Readiness of the loop's sockets, and the loop's sleep.
//!
//! Each socket is registered once, edge-triggered: a request costs one read, one write and its share of one
//! `epoll_wait`. (A reactor that arms interest anew for every wait pays two more calls per request, and three more
//! per sleep for timers the loop does not have.) Tasks are smol's; other threads wake the loop through an eventfd,
//! and only when it sleeps.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::net::SocketFlags;

/// Events taken from the kernel at once.
const EVENTS: usize = 64;
/// The token of the bell; sockets count up from 0 and never get there.
const BELL: u64 = u64::MAX;

/// Where the loop is, as other threads see it.
const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RUNG: u8 = 2;

/// Wakes the loop, from any thread.
struct Bell {
    state: AtomicU8,
    event: OwnedFd,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, SeqCst) == ASLEEP {
            // Fails only when its counter is full, and then the loop has been woken already.
            let _: Result<usize, _> = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}

/// What the kernel has said about one socket and not yet taken back.
struct Readiness {
    token: u64,
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// The other side has ended: there is always something to read, if only the end.
    ended: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

pub struct Reactor {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    slots: RefCell<Vec<Option<Rc<Readiness>>>>,
    registered: Cell<u64>,
}

impl Reactor {
    pub fn new() -> io::Result<Rc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered, so nobody has to read the counter back.
        epoll::add(&epoll, &event, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        let bell = Arc::new(Bell { state: AtomicU8::new(AWAKE), event });
        Ok(Rc::new(Self { epoll, bell, slots: RefCell::default(), registered: Cell::new(0) }))
    }

    /// Takes a non-blocking socket in.
    pub fn register<T: AsFd>(self: &Rc<Self>, io: T) -> io::Result<ReactorSocket<T>> {
        let mut slots = self.slots.borrow_mut();
        let index = slots.iter().position(Option::is_none).unwrap_or(slots.len());
        // A number of its own per registration: an event of a socket that is gone must not wake its successor.
        let serial = self.registered.get().wrapping_add(1) & 0x7fff_ffff;
        self.registered.set(serial);
        let token = serial << 32 | index as u64;
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &io, EventData::new_u64(token), interest)?;
        let readiness = Rc::new(Readiness {
            token,
            // The kernel tells when there is something to read; room to write there is from the start.
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

    /// Runs `future` to its end, sleeping while nothing happens.
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut context = Context::from_waker(&waker);
        loop {
            self.bell.state.store(AWAKE, SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            let nothing_to_do = self.bell.state.compare_exchange(AWAKE, ASLEEP, SeqCst, SeqCst).is_ok();
            self.wait(!nothing_to_do)?;
        }
    }

    /// Takes what the kernel has to say, waiting for it unless told only to look.
    fn wait(&self, only_look: bool) -> io::Result<()> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let empty = epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(BELL) };
        let mut events = [empty; EVENTS];
        let taken = match epoll::wait(&self.epoll, &mut events, only_look.then_some(&at_once)) {
            Ok(taken) => taken,
            Err(rustix::io::Errno::INTR) => 0,
            Err(e) => return Err(e.into()),
        };
        for event in &events[..taken] {
            let (token, flags) = (event.data.u64(), event.flags);
            let slot = (token & 0xffff_ffff) as usize;
            let found = self.slots.borrow().get(slot).and_then(Clone::clone);
            if let Some(readiness) = found.filter(|readiness| readiness.token == token) {
                readiness.told(flags);
            }
        }
        Ok(())
    }
}

impl Readiness {
    fn told(&self, flags: EventFlags) {
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

/// A socket of the loop. One task may wait for input and one for room at a time.
pub struct ReactorSocket<T> {
    io: T,
    readiness: Rc<Readiness>,
    reactor: Rc<Reactor>,
}

impl<T> ReactorSocket<T> {
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Comes back once a read may find something.
    pub async fn readable(&self) {
        wait_for(&self.readiness.readable, &self.readiness.reader).await;
    }

    /// Comes back once a write may find room.
    pub async fn writable(&self) {
        wait_for(&self.readiness.writable, &self.readiness.writer).await;
    }

    fn reading<R>(&self, read: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        if !self.readiness.readable.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let result = read(&self.io);
        if matches!(&result, Err(e) if e.kind() == ErrorKind::WouldBlock) {
            self.readiness.readable.set(false);
        }
        result
    }

    fn writing(&self, all: usize, write: impl FnOnce(&T) -> io::Result<usize>) -> io::Result<usize> {
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
    /// What is there, at most; `WouldBlock` without a call when the kernel has told of nothing.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.reading(|mut socket| socket.read(into))?;
        // Less than asked for was all there was: what comes later makes an edge of its own, except for an end that
        // was told together with these bytes.
        if n < into.len() && !self.readiness.ended.get() {
            self.readiness.readable.set(false);
        }
        Ok(n)
    }

    /// One byte, left where it is.
    pub fn try_peek(&self) -> io::Result<usize> {
        self.reading(|socket| socket.peek(&mut [0]))
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.writing(bytes.len(), |mut socket| socket.write(bytes))
    }

    pub fn try_write_both(&self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let both = [IoSlice::new(head), IoSlice::new(body)];
        self.writing(head.len() + body.len(), |mut socket| socket.write_vectored(&both))
    }
}

impl ReactorSocket<TcpListener> {
    /// The next connection, non-blocking from the start.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            self.readable().await;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match self.reading(|listener| Ok(rustix::net::acceptfrom_with(listener, flags)?)) {
                Ok((socket, peer)) => {
                    let peer = peer.ok_or(ErrorKind::NotConnected)?;
                    let peer = SocketAddr::try_from(peer).map_err(io::Error::from)?;
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
        // Closing the descriptor takes it out of the kernel's set.
        let slot = (self.readiness.token & 0xffff_ffff) as usize;
        self.reactor.slots.borrow_mut()[slot] = None;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::time::Duration;

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

    /// Mutant seen red: `ended` not looked at after a short read (the second read then waits for ever).
    #[test]
    fn an_end_that_comes_together_with_the_last_bytes_is_read_after_them() {
        let reactor = Reactor::new().unwrap();
        let (source, mut client) = pair(&reactor);
        client.write_all(b"last").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let mut buffer = [0; 64];
        let both =
            reactor.block_on(async { (read(&source, &mut buffer).await, read(&source, &mut [0; 64]).await) });
        assert_eq!(both.unwrap(), (4, 0));
    }

    /// Mutant seen red: `BELL` rung without the eventfd.
    #[test]
    fn another_thread_wakes_a_sleeping_loop() {
        let reactor = Reactor::new().unwrap();
        let (sender, receiver) = smol::channel::bounded(1);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            sender.send_blocking(7).unwrap();
        });
        let executor = LocalExecutor::new();
        let heard = reactor.block_on(executor.run(async { receiver.recv().await.unwrap() })).unwrap();
        assert_eq!(heard, 7);
        thread.join().unwrap();
    }

    /// Mutant seen red: a full socket whose `writable` stays set (the loop spins and the test's counter runs away).
    #[test]
    fn a_writer_sleeps_until_its_reader_has_made_room() {
        let reactor = Reactor::new().unwrap();
        let (source, mut client) = pair(&reactor);
        let total = 8 << 20;
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut buffer = vec![0; 1 << 16];
            let mut left = total;
            while left > 0 {
                left -= client.read(&mut buffer).unwrap();
            }
        });
        let attempts = reactor.block_on(async {
            let bytes = vec![1; 1 << 16];
            let (mut sent, mut attempts) = (0, 0);
            while sent < total {
                attempts += 1;
                match source.try_write(&bytes[..bytes.len().min(total - sent)]) {
                    Ok(n) => sent += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => source.writable().await,
                    Err(e) => panic!("{e}"),
                }
            }
            attempts
        });
        reader.join().unwrap();
        assert!(attempts.unwrap() < 2_000, "the writer asked again and again");
    }

    #[test]
    fn a_socket_that_is_gone_leaves_its_place_to_the_next() {
        let reactor = Reactor::new().unwrap();
        for _ in 0..100 {
            let (source, client) = pair(&reactor);
            drop(client);
            drop(source);
        }
        assert!(reactor.slots.borrow().len() <= 2);
    }
}
