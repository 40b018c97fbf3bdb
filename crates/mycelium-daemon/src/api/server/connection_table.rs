//! The table of open connections: how many there may be, which is evicted when it is full, and which deadline has
//! passed.
//!
//! A connection that waits for its client can be evicted; one whose request is being handled cannot. The longest wait
//! goes first, so a slow-loris attacker loses its oldest connection to each new client.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use event_listener::{Event, EventListener};
use smol::Task;

use super::client_stream::ClientStream;
use crate::api::metrics::EvictionReason;
use crate::api::places::{Holder, PlaceLimits};
use crate::clock::Mono;

/// Minimum time a new connection keeps its slot before it may be evicted for another address; without it, slots churn
/// faster than any client can send a request when few are left because descriptors have run out.
const MIN_GRACE: Duration = Duration::from_millis(1);

/// A wait for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientWait {
    pub since: Mono,
    pub deadline: Mono,
}

impl ClientWait {
    /// A wait that begins now and may last for `timeout`.
    pub fn new(timeout: Duration) -> Self {
        let now = Mono::now();
        Self { since: now, deadline: now + timeout }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Between two requests.
    Idle(ClientWait),
    ReadingHead(ClientWait),
    /// As `ReadingHead`, for the first head of a client that has answered in the TLS handshake.
    Handshake(ClientWait),
    ReadingBody(ClientWait),
    /// A request is being handled, or a stream has nothing to send.
    Handling,
    /// The client does not read what is sent to it.
    Writing(ClientWait),
    /// The last response has been sent; what the client still sends is discarded.
    Draining(ClientWait),
}

impl SlotState {
    fn client_wait_mut(&mut self) -> Option<&mut ClientWait> {
        match self {
            Self::Handling => None,
            Self::Idle(wait)
            | Self::ReadingHead(wait)
            | Self::Handshake(wait)
            | Self::ReadingBody(wait)
            | Self::Writing(wait)
            | Self::Draining(wait) => Some(wait),
        }
    }
}

/// The slot to evict: the one that has waited longest for its client, of one address or of all.
fn eviction_candidate(
    slots: impl Iterator<Item = (usize, IpAddr, SlotState)>,
    of: Option<IpAddr>,
) -> Option<(usize, Mono)> {
    slots
        .filter(|&(_, ip, _)| of.is_none_or(|of| of == ip))
        .filter_map(|(k, _, mut state)| Some((k, state.client_wait_mut()?.since)))
        .min_by_key(|&(_, since)| since)
}

struct Slot {
    ip: IpAddr,
    state: SlotState,
    /// Of a stream or a long poll, which at most half of the slots may be: whose it is.
    reserved: Option<Holder>,
    stream: Rc<ClientStream>,
    /// `None` before the task is attached, and once the connection is being ended.
    task: Option<Task<()>>,
}

/// A connection whose deadline has passed.
#[derive(Debug)]
pub struct ExpiredConnection {
    /// To be cancelled; `None` if the connection first answers its client with 408.
    pub task: Option<Task<()>>,
    /// `None` for the ordinary end of an idle connection.
    pub reason: Option<EvictionReason>,
}

/// The result of asking for a free slot.
#[derive(Debug)]
pub enum Eviction {
    /// Cancelling this task frees a slot.
    Evicted(Task<()>),
    RetryAfter(Duration),
    NoCandidate,
}

/// All slots; belongs to the HTTP loop.
pub struct ConnectionTable {
    slots: RefCell<Vec<Option<Slot>>>,
    max: usize,
    max_per_ip: usize,
    added: Event,
}

impl ConnectionTable {
    pub fn new(max: usize, max_per_ip: usize) -> Self {
        let max = max.max(1);
        Self {
            slots: RefCell::new(std::iter::repeat_with(|| None).take(max).collect()),
            max,
            max_per_ip: max_per_ip.clamp(1, max),
            added: Event::new(),
        }
    }

    /// A slot for a new connection, which has to send its first head within `wait`; `None` if the table is full.
    pub fn add(self: &Rc<Self>, ip: IpAddr, stream: Rc<ClientStream>, wait: ClientWait) -> Option<SlotGuard> {
        let mut slots = self.slots.borrow_mut();
        let index = slots.iter().position(Option::is_none)?;
        let state = SlotState::ReadingHead(wait);
        slots[index] = Some(Slot { ip, state, reserved: None, stream, task: None });
        drop(slots);
        self.added.notify(usize::MAX);
        Some(SlotGuard { table: Rc::clone(self), index })
    }

    /// Completes when the next connection is added.
    pub fn listen_added(&self) -> EventListener {
        self.added.listen()
    }

    pub fn attach_task(&self, index: usize, task: Task<()>) {
        match self.slots.borrow_mut().get_mut(index) {
            Some(Some(slot)) => slot.task = Some(task),
            _ => task.detach(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.slots.borrow().iter().all(Option::is_some)
    }

    pub fn is_empty(&self) -> bool {
        self.slots.borrow().iter().all(Option::is_none)
    }

    /// Whether one address has all the slots it may have.
    pub fn is_full_for(&self, ip: IpAddr) -> bool {
        self.slots.borrow().iter().flatten().filter(|slot| slot.ip == ip).count() >= self.max_per_ip
    }

    /// The number of connections that wait for their clients, and of those whose request is being handled.
    pub fn counts(&self) -> (usize, usize) {
        let slots = self.slots.borrow();
        let handling = slots.iter().flatten().filter(|slot| slot.state == SlotState::Handling).count();
        (slots.iter().flatten().count() - handling, handling)
    }

    /// Evicts the connection that has waited longest for its client, of one address or of all.
    ///
    /// Clients that take part in a handshake are spared in favour of those that have sent nothing, as long as they are
    /// at most half of the slots. No client is evicted for another address within [`MIN_GRACE`].
    pub fn evict(&self, of: Option<IpAddr>, now: Mono) -> Eviction {
        let mut slots = self.slots.borrow_mut();
        let evictable = |(k, slot): (usize, &Option<Slot>)| {
            let slot = slot.as_ref().filter(|slot| slot.task.is_some())?;
            Some((k, slot.ip, slot.state))
        };
        let all: Vec<_> = slots.iter().enumerate().filter_map(evictable).collect();
        let in_handshake = |state: SlotState| matches!(state, SlotState::Handshake(_));
        let handshakes = all.iter().filter(|&&(_, _, state)| in_handshake(state)).count();
        let spare_handshakes = 2 * handshakes <= if of.is_some() { self.max_per_ip } else { self.max };
        let candidate = |spare| {
            let slots = all.iter().copied();
            eviction_candidate(slots.filter(|&(_, _, state)| !(spare && in_handshake(state))), of)
        };
        let Some((k, since)) = candidate(spare_handshakes).or_else(|| candidate(false)) else {
            return Eviction::NoCandidate;
        };
        let grace = (since + MIN_GRACE).since(now);
        if of.is_none() && !grace.is_zero() {
            return Eviction::RetryAfter(grace);
        }
        let task = slots[k].as_mut().and_then(|slot| slot.task.take());
        task.map_or(Eviction::NoCandidate, Eviction::Evicted)
    }

    /// The tasks of connections that have not begun a request, to be cancelled when the server stops.
    pub fn cancel_idle(&self) -> Vec<Task<()>> {
        let mut slots = self.slots.borrow_mut();
        let idle = slots.iter_mut().flatten().filter(|slot| {
            matches!(slot.state, SlotState::Idle(_) | SlotState::ReadingHead(_) | SlotState::Handshake(_))
        });
        idle.filter_map(|slot| slot.task.take()).collect()
    }

    /// The connections whose deadline has passed. The first time this happens to an unfinished request, its input is
    /// ended, so that it can answer 408 within `grace`.
    pub fn expire(&self, now: Mono, grace: Duration) -> Vec<ExpiredConnection> {
        let mut expired = Vec::new();
        for slot in self.slots.borrow_mut().iter_mut().flatten() {
            let Some(wait) = slot.state.client_wait_mut().filter(|wait| wait.deadline <= now) else {
                continue;
            };
            // Takes effect only in a state that is kept below.
            wait.deadline = now + grace;
            let first = !slot.stream.read_is_shut_down();
            let (task, reason) = match slot.state {
                SlotState::ReadingHead(_) | SlotState::Handshake(_) if first => {
                    slot.stream.shutdown_read();
                    (None, Some(EvictionReason::HeadDeadline))
                }
                SlotState::ReadingBody(_) if first => {
                    slot.stream.shutdown_read();
                    (None, Some(EvictionReason::BodyDeadline))
                }
                SlotState::Writing(_) if slot.reserved.is_some() => {
                    (slot.task.take(), Some(EvictionReason::SlowStream))
                }
                SlotState::Writing(_) => (slot.task.take(), Some(EvictionReason::WriteDeadline)),
                _ => (slot.task.take(), None),
            };
            expired.push(ExpiredConnection { task, reason });
        }
        expired
    }
}

/// A connection's claim to its slot, which is freed on drop.
pub struct SlotGuard {
    table: Rc<ConnectionTable>,
    index: usize,
}

impl SlotGuard {
    pub fn index(&self) -> usize {
        self.index
    }

    fn with<T>(&self, f: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.table.slots.borrow_mut();
        f(slots[self.index].as_mut().expect("a slot is occupied until its guard is dropped"))
    }

    /// Enters a state. [`SlotState::Handshake`] lasts until the first request is handled.
    pub fn set(&self, state: SlotState) {
        self.with(|slot| {
            slot.state = match (slot.state, state) {
                (SlotState::Handshake(_), SlotState::ReadingHead(wait)) => SlotState::Handshake(wait),
                (_, state) => state,
            };
        });
    }

    /// Restarts the wait of a client that has been answered within the TLS handshake; the deadline stays.
    pub fn handshake_progress(&self, now: Mono) {
        self.with(|slot| {
            if let SlotState::ReadingHead(wait) | SlotState::Handshake(wait) = slot.state {
                slot.state = SlotState::Handshake(ClientWait { since: now, ..wait });
            }
        });
    }

    /// Marks the slot as a stream or a long poll, if less than half of the slots are (of the table, and of those of its
    /// address), so that short requests always find a slot, and if this holder has not got its share of them yet.
    pub fn reserve(&self, holder: Holder) -> bool {
        let ip = self.with(|slot| slot.ip);
        let mut slots = self.table.slots.borrow_mut();
        let reserved = || slots.iter().flatten().filter(|slot| slot.reserved.is_some());
        let free = PlaceLimits::new(self.table.max / 2)
            .admit(reserved().filter_map(|slot| slot.reserved), holder)
            && reserved().filter(|slot| slot.ip == ip).count() < (self.table.max_per_ip / 2).max(1);
        if free && let Some(slot) = &mut slots[self.index] {
            slot.reserved = Some(holder);
        }
        free
    }

    pub fn unreserve(&self) {
        self.with(|slot| slot.reserved = None);
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let slot = self.table.slots.borrow_mut()[self.index].take();
        if let Some(task) = slot.and_then(|slot| slot.task) {
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

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn wait(since: u64) -> ClientWait {
        ClientWait { since: Mono(since), deadline: Mono(u64::MAX) }
    }

    /// A table for one connection, and something to add to it.
    fn table_of_one() -> (Rc<ConnectionTable>, Rc<ClientStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = ClientStream::new(Reactor::new().unwrap().register(socket).unwrap(), None);
        (Rc::new(ConnectionTable::new(1, 1)), Rc::new(stream))
    }

    #[test]
    fn the_longest_wait_is_evicted_first_and_a_request_being_handled_never() {
        let other: IpAddr = "127.0.0.2".parse().unwrap();
        let slots = [
            (0, IP, SlotState::Handling),
            (1, IP, SlotState::Idle(wait(5))),
            (2, other, SlotState::ReadingHead(wait(3))),
            (3, other, SlotState::Writing(wait(9))),
        ];
        let rows = [
            (None, Some(2), "the longest wait of all"),
            (Some(IP), Some(1), "of one address; its other request is being handled"),
            (Some(other), Some(2), "of the other"),
            (Some("127.0.0.3".parse().unwrap()), None, "an address without connections"),
        ];
        for (of, want, why) in rows {
            assert_eq!(eviction_candidate(slots.into_iter(), of).map(|(k, _)| k), want, "{why}");
        }
        assert_eq!(eviction_candidate(slots[..1].iter().copied(), None), None, "none is waiting");
    }

    /// With few descriptors, slots changed hands before a good client had sent anything.
    ///
    /// Mutant seen red: no grace.
    #[test]
    fn a_new_connection_keeps_its_slot_for_a_minimum_time_unless_its_own_address_needs_it() {
        let (table, stream) = table_of_one();
        let executor = LocalExecutor::new();
        let add = || {
            let guard = table.add(IP, Rc::clone(&stream), wait(1_000)).unwrap();
            table.attach_task(guard.index(), executor.spawn(std::future::pending()));
            guard
        };
        let evict = |of, at| table.evict(of, Mono(at));
        let guard = add();
        assert!(matches!(evict(None, 1_000), Eviction::RetryAfter(pause) if pause == MIN_GRACE));
        assert!(matches!(evict(None, 1_000_999), Eviction::RetryAfter(pause) if pause.as_nanos() == 1));
        assert!(matches!(evict(None, 1_001_000), Eviction::Evicted(_)));
        assert!(matches!(evict(None, 1_001_000), Eviction::NoCandidate), "it is being ended already");
        drop(guard);
        let _guard = add();
        assert!(matches!(evict(Some(IP), 1_000), Eviction::Evicted(_)), "its own address at once");
    }

    /// Guards against `set` replacing `Handshake` by `ReadingHead`.
    #[test]
    fn a_client_counts_as_in_its_handshake_until_its_first_request_is_handled() {
        let (table, stream) = table_of_one();
        let guard = table.add(IP, stream, wait(1)).unwrap();
        let state = || guard.with(|slot| slot.state);
        guard.handshake_progress(Mono(2));
        assert_eq!(state(), SlotState::Handshake(wait(2)));
        guard.set(SlotState::ReadingHead(wait(3)));
        assert_eq!(state(), SlotState::Handshake(wait(3)));
        guard.set(SlotState::Handling);
        guard.handshake_progress(Mono(4));
        assert_eq!(state(), SlotState::Handling);
        guard.set(SlotState::ReadingHead(wait(5)));
        assert_eq!(state(), SlotState::ReadingHead(wait(5)));
    }

    /// Guards against ending the input at each deadline: the connection would then never end.
    #[test]
    fn a_head_past_its_deadline_is_first_answered_and_then_ended() {
        let (table, stream) = table_of_one();
        let at = |ms| Mono(0) + Duration::from_millis(ms);
        let first = ClientWait { since: at(0), deadline: at(5) };
        let _guard = table.add(IP, Rc::clone(&stream), first).unwrap();
        let grace = Duration::from_millis(10);
        let reasons = |ms| table.expire(at(ms), grace).into_iter().map(|e| e.reason).collect::<Vec<_>>();
        assert_eq!(reasons(4), []);
        assert!(!stream.read_is_shut_down());
        assert_eq!(reasons(5), [Some(EvictionReason::HeadDeadline)]);
        assert!(stream.read_is_shut_down());
        assert_eq!(reasons(14), [], "within the grace");
        assert_eq!(reasons(15), [None]);
    }
}
