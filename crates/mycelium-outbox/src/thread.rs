//! The thread that owns the outbox: waits, applies, shows.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::core::{Identity, Outbox};
use super::disk::Disk;
use super::endpoint::Name;
use super::error::{Error, Refused};
use super::gap::Reason;
use super::handle::{Board, Handle, Shared, lock};
use super::inbox::{Burial, Inbox, Queue, Request};
use super::letter::{Original, Refusal};
use super::memory::{self, Memory};
use super::policy::{Durability, Policy};
use super::status::Status;
use super::storage::Storage;
use crate::time::Mono;

/// Told after commits: time one took, and how many there were since the last call.
pub type OnCommit = Box<dyn FnMut(Duration, u64) + Send>;

/// Shown every new status; must not wait.
pub type OnStatus = Box<dyn FnMut(&Status) + Send>;

/// What an outbox needs to know.
pub struct Options {
    pub policy: Policy,
    pub identity: Identity,
    /// Names of the endpoints, in the order of the configuration.
    pub endpoints: Vec<Name>,
    pub on_commit: Option<OnCommit>,
    pub on_status: Option<OnStatus>,
}

/// A running outbox: its handle, its thread, and what opening it brought to light.
pub struct Running {
    pub handle: Handle,
    pub thread: JoinHandle<()>,
    /// For the log, one line each.
    pub remarks: Vec<String>,
}

/// Opens the outbox below `data` and starts its thread. Class `none` falls back to memory when the directory
/// cannot be written; the others refuse to start.
pub fn start(data: &Path, options: Options) -> Result<Running, Error> {
    let now = Mono::now();
    let disk = Disk::new(data.join("outbox"));
    match Outbox::open(disk, options.policy, &options.identity, &options.endpoints, now) {
        Ok(outbox) => spawn(outbox, options, Vec::new()),
        Err(e @ Error::Io { .. }) if options.policy.durability == Durability::None => {
            let remark = format!("{e}; records are kept in memory only, as durability is none");
            let max_bytes = memory::CAP - (memory::CAP >> 3);
            let policy = Policy { max_bytes, keep_free_bytes: 0, ..options.policy };
            let storage = Memory::default();
            let outbox = Outbox::open(storage, policy, &options.identity, &options.endpoints, now)?;
            spawn(outbox, options, vec![remark])
        }
        Err(e) => Err(e),
    }
}

fn spawn<S>(outbox: Outbox<S>, options: Options, mut remarks: Vec<String>) -> Result<Running, Error>
where
    S: Storage + Send + 'static,
    S::File: Send,
{
    remarks.extend_from_slice(outbox.remarks());
    let inbox = Inbox { queue: Queue::with_room(), ..Inbox::default() };
    let board = Board { status: outbox.status(), readable: outbox.readable(), ..Board::default() };
    let shared = Arc::new(Shared {
        inbox: Mutex::new(inbox),
        work: Condvar::new(),
        board: Mutex::new(board),
        news: Condvar::new(),
        full: options.policy.full,
    });
    let owned = Owned {
        outbox,
        shared: Arc::clone(&shared),
        queue: Queue::with_room(),
        requests: VecDeque::new(),
        on_commit: options.on_commit,
        on_status: options.on_status,
    };
    let thread = Builder::new()
        .name("outbox".to_owned())
        .stack_size(256 << 10)
        .spawn(move || owned.run())
        .map_err(Error::io("start the thread of", ""))?;
    Ok(Running { handle: Handle { shared }, thread, remarks })
}

struct Owned<S: Storage> {
    outbox: Outbox<S>,
    shared: Arc<Shared>,
    /// Taken from the inbox and not yet accepted.
    queue: Queue,
    requests: VecDeque<Request>,
    on_commit: Option<OnCommit>,
    on_status: Option<OnStatus>,
}

/// Says at the end, also that of a panic, that nobody answers any more.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        let mut inbox = lock(&self.0.inbox);
        inbox.closed = true;
        inbox.requests.clear();
        drop(inbox);
        lock(&self.0.board).closed = true;
        self.0.news.notify_all();
    }
}

impl<S: Storage> Owned<S> {
    fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.shared));
        self.show();
        loop {
            let stop = self.collect();
            let before = self.outbox.commits;
            let start = Mono::now();
            self.accept(start);
            self.outbox.tick(Mono::now());
            self.observe(before, start);
            while let Some(request) = self.requests.pop_front() {
                self.answer(request);
            }
            if stop.is_some() {
                self.outbox.flush(Mono::now());
            }
            self.show();
            if stop.is_some() && self.queue.is_empty() {
                return;
            }
            if stop.is_some_and(|deadline| Mono::now() >= deadline) {
                return;
            }
        }
    }

    /// Waits for something to do and takes it. Returns the deadline once the end was asked for.
    fn collect(&mut self) -> Option<Mono> {
        let deadline = self.outbox.next_deadline();
        let stuck = !self.queue.is_empty();
        let idle = |inbox: &mut Inbox| {
            let fed = !stuck && !inbox.queue.is_empty();
            !fed && inbox.requests.is_empty() && inbox.refused == 0 && !inbox.knocked && inbox.stop.is_none()
        };
        let mut inbox = lock(&self.shared.inbox);
        match deadline {
            // There is room again for what could not be accepted.
            _ if stuck && !self.outbox.is_blocked() => {}
            Some(at) => {
                let timeout = at - Mono::now();
                (inbox, _) = self
                    .shared
                    .work
                    .wait_timeout_while(inbox, timeout, idle)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            None => {
                inbox = self.shared.work.wait_while(inbox, idle).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if !stuck {
            std::mem::swap(&mut self.queue, &mut inbox.queue);
        }
        std::mem::swap(&mut self.requests, &mut inbox.requests);
        inbox.knocked = false;
        let refused = std::mem::take(&mut inbox.refused);
        self.outbox.refused(Reason::Queue, refused);
        inbox.stop
    }

    /// Moves records from the queue into the outbox until it is empty or, in class `block`, full.
    fn accept(&mut self, now: Mono) {
        while let Some((item, payload)) = self.queue.first() {
            match self.outbox.append(item.kind, item.priority, item.stamp, payload, now) {
                Err(Refused::Full) => return,
                Ok(()) | Err(_) => self.queue.pop(),
            }
        }
    }

    fn observe(&mut self, before: u64, start: Mono) {
        let commits = self.outbox.commits - before;
        if let (Some(observe), true) = (&mut self.on_commit, commits > 0) {
            observe((Mono::now() - start) / u32::try_from(commits).unwrap_or(u32::MAX), commits);
        }
    }

    fn show(&mut self) {
        let mut status = self.outbox.status();
        status.oldest = self.outbox.oldest();
        status.held += self.queue.len() as u64;
        if let Some(on_status) = &mut self.on_status {
            on_status(&status);
        }
        let mut board = lock(&self.shared.board);
        board.status = status;
        board.readable = self.outbox.readable();
        drop(board);
        self.shared.news.notify_all();
    }

    fn answer(&mut self, request: Request) {
        let now = Mono::now();
        let outbox = &mut self.outbox;
        match request {
            Request::Fetch { endpoint, most, mut batch, reply } => {
                let result = outbox.fetch(endpoint, most.records, most.bytes, &mut batch, now);
                send(&reply, (batch, result));
            }
            Request::Freeze { endpoint, through, epoch, reply } => {
                send(&reply, outbox.freeze(endpoint, through, epoch, now));
            }
            Request::Ack { endpoint, through, reply } => send(&reply, outbox.ack(endpoint, through, now)),
            Request::ClockSynced { stamp, reply } => {
                outbox.clock_synced(stamp, now);
                send(&reply, ());
            }
            Request::Flush { reply } => {
                self.accept(now);
                let done = self.outbox.flush(now) && self.queue.is_empty();
                self.show();
                send(&reply, done);
            }
            Request::Bury { burial, reply } => send(&reply, bury(outbox, &burial)),
            Request::ListDead { limit, reply } => send(&reply, outbox.dead_list(limit)),
            Request::ReplayDead { ids, reply } => send(&reply, outbox.dead_replay(&ids)),
            Request::DropDead { ids, reply } => send(&reply, outbox.dead_drop(&ids)),
            Request::FetchReplay { endpoint, most, mut batch, reply } => {
                let result = outbox.fetch_replay(endpoint, (most.records, most.bytes), &mut batch);
                send(&reply, (batch, result));
            }
            Request::AckReplay { endpoint, through, reply } => {
                send(&reply, outbox.ack_replay(endpoint, through));
            }
            Request::RefuseReplay { id, reply } => send(&reply, outbox.refuse_replay(id)),
        }
    }
}

/// An asker that has gone away misses its answer; that is all.
fn send<T>(reply: &SyncSender<T>, answer: T) {
    drop(reply.try_send(answer));
}

fn bury<S: Storage>(outbox: &mut Outbox<S>, burial: &Burial) -> Result<u64, Error> {
    let endpoint = outbox.endpoint_name(burial.endpoint)?;
    let original = Original {
        header: burial.header,
        device: &burial.device,
        corrected: burial.corrected,
        payload: &burial.payload,
    };
    outbox.bury(&original, &Refusal { endpoint: &endpoint, status: burial.status, reason: &burial.reason })
}
