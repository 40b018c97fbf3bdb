//! The table of open connections: how many there may be, who has to go when it is full, and whose time is up.
//!
//! A client that makes the server wait can be shown out; a request that is being worked on cannot. The longest
//! wait goes first, so a slow-loris loses its oldest connection to every good client that arrives.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use event_listener::{Event, EventListener};
use smol::Task;

use crate::api::metrics::EvictionReason;
use crate::api::server::client_stream::ClientStream;
use crate::clock::Mono;

/// What a newcomer has for its first bytes, however many others come: the few seats that are left when descriptors run
/// out would else change hands faster than anybody can speak.
const MIN_GRACE: Duration = Duration::from_millis(1);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between two requests.
    Idle,
    Head,
    Body,
    /// A request is being worked on, or a stream has nothing to say.
    Busy,
    /// The client does not take its answer.
    Writing,
    /// The answer is out; what the client still sends is thrown away.
    Draining,
}

/// Who to show out: the connection that has waited longest for its client, of one address or of all.
pub fn eviction_candidate(
    seats: impl Iterator<Item = (usize, IpAddr, Phase, Mono)>,
    of: Option<IpAddr>,
) -> Option<usize> {
    seats
        .filter(|&(_, ip, phase, _)| phase != Phase::Busy && of.is_none_or(|of| of == ip))
        .min_by_key(|&(_, _, _, since)| since)
        .map(|(k, ..)| k)
}

/// The address limits count: IPv6 clients own a whole /64.
pub fn rate_limit_prefix(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

struct Slot {
    ip: IpAddr,
    phase: Phase,
    /// When it began to wait for its client.
    since: Mono,
    deadline: Option<Mono>,
    /// A stream or a long poll: at most half of the seats.
    held: bool,
    timed_out: bool,
    /// Has taken part in a handshake of TLS that is not over.
    half_way: bool,
    worked: bool,
    socket: Rc<ClientStream>,
    task: Option<Task<()>>,
}

/// A connection that was ended from this side, and why.
#[derive(Debug)]
pub struct Ended {
    pub task: Option<Task<()>>,
    /// `None` for the ordinary end of an idle connection.
    pub reason: Option<EvictionReason>,
}

/// What becomes of the wish for a seat.
#[derive(Debug)]
pub enum Eviction {
    Of(Task<()>),
    /// Ask again then.
    After(Duration),
    Nobody,
}

/// All seats; lives on the HTTP loop.
pub struct ConnectionTable {
    slots: RefCell<Vec<Option<Slot>>>,
    max: usize,
    max_per_ip: usize,
    taken: Event,
}

impl ConnectionTable {
    pub fn new(max: usize, max_per_ip: usize) -> Self {
        let max = max.max(1);
        Self {
            slots: RefCell::new(std::iter::repeat_with(|| None).take(max).collect()),
            max,
            max_per_ip: max_per_ip.clamp(1, max),
            taken: Event::new(),
        }
    }

    /// A seat for a new connection; `None` when the table is full.
    pub fn take(
        self: &Rc<Self>,
        ip: IpAddr,
        socket: Rc<ClientStream>,
        now: Mono,
        deadline: Mono,
    ) -> Option<SlotGuard> {
        let mut slots = self.slots.borrow_mut();
        let index = slots.iter().position(Option::is_none)?;
        slots[index] = Some(Slot {
            ip,
            phase: Phase::Head,
            since: now,
            deadline: Some(deadline),
            held: false,
            timed_out: false,
            half_way: false,
            worked: false,
            socket,
            task: None,
        });
        drop(slots);
        self.taken.notify(usize::MAX);
        Some(SlotGuard { table: Rc::clone(self), index })
    }

    /// The next time somebody sits down.
    pub fn taken(&self) -> EventListener {
        self.taken.listen()
    }

    pub fn attach_task(&self, index: usize, task: Task<()>) {
        match self.slots.borrow_mut().get_mut(index) {
            Some(Some(seat)) => seat.task = Some(task),
            _ => task.detach(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.slots.borrow().iter().all(Option::is_some)
    }

    pub fn is_empty(&self) -> bool {
        self.slots.borrow().iter().all(Option::is_none)
    }

    /// Whether one address has all the seats it may have.
    pub fn is_full_for(&self, ip: IpAddr) -> bool {
        self.slots.borrow().iter().flatten().filter(|seat| seat.ip == ip).count() >= self.max_per_ip
    }

    /// Waiting for clients, and at work.
    pub fn counts(&self) -> (usize, usize) {
        let slots = self.slots.borrow();
        let busy = slots.iter().flatten().filter(|seat| seat.phase == Phase::Busy).count();
        (slots.iter().flatten().count() - busy, busy)
    }

    /// Takes the longest-waiting connection out, of one address or of all. Cancelling its task frees the seat. Clients
    /// half-way through a handshake, up to half of the seats, do not give way to those that have said nothing yet;
    /// and nobody gives way to another address before it had the time for a first word.
    pub fn evict(&self, of: Option<IpAddr>, now: Mono) -> Eviction {
        let mut slots = self.slots.borrow_mut();
        let seated = |k: usize, slot: &Option<Slot>| {
            let seat = slot.as_ref().filter(|seat| seat.task.is_some())?;
            Some((seat.half_way, (k, seat.ip, seat.phase, seat.since)))
        };
        let all: Vec<_> = slots.iter().enumerate().filter_map(|(k, slot)| seated(k, slot)).collect();
        let half_way = all.iter().filter(|(half_way, _)| *half_way).count();
        let spare = 2 * half_way <= if of.is_some() { self.max_per_ip } else { self.max };
        let among = |spare| {
            let seats = all.iter().filter(|(half_way, _)| !(spare && *half_way));
            eviction_candidate(seats.map(|(_, seat)| *seat), of)
        };
        let victim = among(spare).or_else(|| among(false));
        let Some(seat) = victim.and_then(|k| slots[k].as_mut()) else { return Eviction::Nobody };
        let pause = (seat.since + MIN_GRACE).since(now);
        if of.is_none() && !pause.is_zero() {
            return Eviction::After(pause);
        }
        seat.task.take().map_or(Eviction::Nobody, Eviction::Of)
    }

    /// Ends everybody who only waits, for an orderly stop.
    pub fn cancel_idle(&self) -> Vec<Task<()>> {
        let mut slots = self.slots.borrow_mut();
        let waiting =
            slots.iter_mut().flatten().filter(|seat| matches!(seat.phase, Phase::Idle | Phase::Head));
        waiting.filter_map(|seat| seat.task.take()).collect()
    }

    /// Ends what is past its deadline. A request that has begun is told so (408) by letting its read end.
    pub fn sweep(&self, now: Mono, grace: Duration) -> Vec<Ended> {
        let mut ended = Vec::new();
        for seat in self.slots.borrow_mut().iter_mut().flatten() {
            if seat.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            let (task, reason) = match seat.phase {
                Phase::Head | Phase::Body if !seat.timed_out => {
                    seat.timed_out = true;
                    seat.deadline = Some(now + grace);
                    seat.socket.stop_reading();
                    let body = seat.phase == Phase::Body;
                    (
                        None,
                        Some(if body { EvictionReason::BodyDeadline } else { EvictionReason::HeadDeadline }),
                    )
                }
                Phase::Writing if seat.held => (seat.task.take(), Some(EvictionReason::SlowStream)),
                Phase::Writing => (seat.task.take(), Some(EvictionReason::WriteDeadline)),
                Phase::Busy => continue,
                Phase::Idle | Phase::Head | Phase::Body | Phase::Draining => (seat.task.take(), None),
            };
            ended.push(Ended { task, reason });
        }
        ended
    }
}

/// One seat; given back when dropped.
pub struct SlotGuard {
    table: Rc<ConnectionTable>,
    pub index: usize,
}

impl SlotGuard {
    fn with<T>(&self, f: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.table.slots.borrow_mut();
        f(slots[self.index].as_mut().expect("a slot's seat is taken until the slot is dropped"))
    }

    /// Begins to wait for the client, with a deadline.
    pub fn wait(&self, phase: Phase, now: Mono, deadline: Mono) {
        self.with(|seat| {
            seat.phase = phase;
            seat.since = now;
            seat.deadline = Some(deadline);
        });
    }

    /// Goes on waiting for the client, who has got an answer within a handshake; the deadline stays.
    pub fn half_way(&self, now: Mono) {
        self.with(|seat| {
            seat.since = now;
            seat.half_way = true;
        });
    }

    /// Goes to work; nobody may show this connection out.
    pub fn busy(&self) {
        self.with(|seat| {
            seat.phase = Phase::Busy;
            seat.deadline = None;
            seat.half_way = false;
            seat.worked = true;
        });
    }

    /// Whether a request has been worked on.
    pub fn has_worked(&self) -> bool {
        self.with(|seat| seat.worked)
    }

    pub fn timed_out(&self) -> bool {
        self.with(|seat| seat.timed_out)
    }

    /// Keeps the seat for a stream or a long poll, of which at most half of the seats may be (of the table, and of
    /// those of one address), so that polls always find one.
    pub fn reserve(&self) -> bool {
        let ip = self.with(|seat| seat.ip);
        let mut slots = self.table.slots.borrow_mut();
        let held = slots.iter().flatten().filter(|seat| seat.held);
        let (all, of_ip) =
            held.fold((0, 0), |(all, of_ip), seat| (all + 1, of_ip + usize::from(seat.ip == ip)));
        let free = all < (self.table.max / 2).max(1) && of_ip < (self.table.max_per_ip / 2).max(1);
        if free && let Some(seat) = &mut slots[self.index] {
            seat.held = true;
        }
        free
    }

    pub fn unreserve(&self) {
        self.with(|seat| seat.held = false);
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let seat = self.table.slots.borrow_mut()[self.index].take();
        if let Some(task) = seat.and_then(|seat| seat.task) {
            task.detach();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use smol::LocalExecutor;

    use super::*;
    use crate::api::server::reactor::Reactor;

    #[test]
    fn the_longest_wait_goes_first_and_work_is_never_interrupted() {
        let a: IpAddr = "127.0.0.1".parse().unwrap();
        let b: IpAddr = "127.0.0.2".parse().unwrap();
        let seats = [
            (0, a, Phase::Busy, Mono(1)),
            (1, a, Phase::Idle, Mono(5)),
            (2, b, Phase::Head, Mono(3)),
            (3, b, Phase::Writing, Mono(9)),
        ];
        let rows = [
            (None, Some(2), "the longest wait of all"),
            (Some(a), Some(1), "of one address; the older one is at work"),
            (Some(b), Some(2), "of the other"),
            (Some("127.0.0.3".parse().unwrap()), None, "a stranger has none"),
        ];
        for (of, want, why) in rows {
            assert_eq!(eviction_candidate(seats.into_iter(), of), want, "{why}");
        }
        assert_eq!(eviction_candidate(seats[..1].iter().copied(), None), None, "only work: nobody");
    }

    /// With few descriptors, seats changed hands before a good client had sent anything.
    ///
    /// Mutant seen red: no pause.
    #[test]
    fn a_newcomer_has_time_for_a_first_word_before_it_gives_way_to_another_address() {
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let pipe = Rc::new(ClientStream::new(reactor.register(socket).unwrap(), None));
        let executor = LocalExecutor::new();
        let seats = Rc::new(ConnectionTable::new(1, 1));
        let ip = "127.0.0.1".parse().unwrap();
        let sit = || {
            let slot = seats.take(ip, Rc::clone(&pipe), Mono(1_000), Mono(u64::MAX)).unwrap();
            seats.attach_task(slot.index, executor.spawn(std::future::pending()));
            slot
        };
        let asked = |of, at| seats.evict(of, Mono(at));
        let slot = sit();
        assert!(matches!(asked(None, 1_000), Eviction::After(pause) if pause == MIN_GRACE));
        assert!(matches!(asked(None, 1_000_999), Eviction::After(pause) if pause.as_nanos() == 1));
        assert!(matches!(asked(None, 1_001_000), Eviction::Of(_)));
        assert!(matches!(asked(None, 1_001_000), Eviction::Nobody), "it is going already");
        drop(slot);
        let _ticket = sit();
        assert!(matches!(asked(Some(ip), 1_000), Eviction::Of(_)), "its own address may at once");
    }

    #[test]
    fn an_ipv6_client_counts_by_its_network_and_a_mapped_address_as_ipv4() {
        let count = |text: &str| rate_limit_prefix(text.parse().unwrap()).to_string();
        assert_eq!(count("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(count("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(count("127.0.0.2"), "127.0.0.2");
    }
}
