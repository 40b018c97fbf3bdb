//! The thread that owns a running outbox: it waits, applies requests, and publishes the status.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::error::{AppendError, OutboxError};
use crate::format::gap::GapReason;
use crate::format::name::SafeName;
use crate::group::{GroupReceipt, OnGroup};
use crate::handle::{OutboxHandle, Shared, lock, unpoisoned};
use crate::log::WriterIdentity;
use crate::outbox::Outbox;
use crate::policy::{Durability, OutboxPolicy};
use crate::requests::{AppendQueue, OutboxRequest, RejectRequest, RequestQueue};
use crate::status::OutboxStatus;
use crate::storage::{DiskStorage, MAX_MEMORY_BYTES, MemoryStorage, Storage};
use crate::time::Mono;

/// Called after commits with the time one took, and how many there were since the last call.
pub type OnCommit = Box<dyn FnMut(Duration, u64) + Send>;

/// Called with every new status; must not wait.
pub type OnStatus = Box<dyn FnMut(&OutboxStatus) + Send>;

/// How to run an outbox.
pub struct OutboxOptions {
    /// Size, durability and overflow.
    pub policy: OutboxPolicy,
    /// The device and this start of the process.
    pub identity: WriterIdentity,
    /// Names of the endpoints; their order gives their indexes. At most [`crate::MAX_ENDPOINTS`] are served.
    pub endpoints: Vec<SafeName>,
    /// Called by the outbox thread after commits.
    pub on_commit: Option<OnCommit>,
    /// Called by the outbox thread with every status.
    pub on_status: Option<OnStatus>,
}

/// A running outbox.
pub struct RunningOutbox {
    /// Access to it.
    pub handle: OutboxHandle,
    /// Its thread; it ends after [`OutboxHandle::shutdown`].
    pub thread: JoinHandle<()>,
    /// What opening has found that an operator should know, one line each.
    pub warnings: Vec<String>,
}

/// Opens the outbox in `data`/outbox and starts its thread. With [`Durability::None`] the records are kept in memory
/// when the directory cannot be written.
///
/// # Errors
/// As [`Outbox::open`].
pub fn start(data: &Path, options: OutboxOptions) -> Result<RunningOutbox, OutboxError> {
    let now = Mono::now();
    let disk = DiskStorage::new(data.join("outbox"));
    match Outbox::open(disk, options.policy, &options.identity, &options.endpoints, now) {
        Ok(outbox) => spawn(outbox, options, Vec::new()),
        Err(e @ OutboxError::Io { .. }) if options.policy.durability == Durability::None => {
            let warning = format!("{e}; records are kept in memory only, as durability is none");
            // An eighth is left for cursors and dead letters.
            let max_bytes = MAX_MEMORY_BYTES - (MAX_MEMORY_BYTES >> 3);
            let policy = OutboxPolicy { max_bytes, keep_free_bytes: 0, ..options.policy };
            let memory = MemoryStorage::default();
            let outbox = Outbox::open(memory, policy, &options.identity, &options.endpoints, now)?;
            spawn(outbox, options, vec![warning])
        }
        Err(e) => Err(e),
    }
}

fn spawn<S>(
    outbox: Outbox<S>,
    options: OutboxOptions,
    mut warnings: Vec<String>,
) -> Result<RunningOutbox, OutboxError>
where
    S: Storage + Send + 'static,
    S::File: Send,
{
    warnings.extend_from_slice(outbox.warnings());
    let shared = Arc::new(Shared::new(outbox.status(), outbox.readable(), options.policy.full));
    let thread = OutboxThread {
        outbox,
        shared: Arc::clone(&shared),
        queue: AppendQueue::new(),
        requests: VecDeque::new(),
        unsettled: Vec::new(),
        on_commit: options.on_commit,
        on_status: options.on_status,
    };
    let thread = Builder::new()
        .name("outbox".to_owned())
        .stack_size(256 << 10)
        .spawn(move || thread.run())
        .map_err(OutboxError::io("start the thread of", ""))?;
    Ok(RunningOutbox { handle: OutboxHandle::new(shared), thread, warnings })
}

struct OutboxThread<S: Storage> {
    outbox: Outbox<S>,
    shared: Arc<Shared>,
    /// Taken from the request queue and not yet accepted.
    queue: AppendQueue,
    requests: VecDeque<OutboxRequest>,
    /// Accepted groups whose callers wait until they are durable; each waits in a connection or thread of its caller.
    unsettled: Vec<UnsettledGroup>,
    on_commit: Option<OnCommit>,
    on_status: Option<OnStatus>,
}

/// A group whose caller waits.
struct UnsettledGroup {
    receipt: GroupReceipt,
    until: Mono,
    done: OnGroup,
}

/// Marks the outbox as closed when the thread ends, also by a panic: nobody waits for a reply that never comes.
struct CloseGuard(Arc<Shared>);

impl Drop for CloseGuard {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        queue.closed = true;
        queue.requests.clear();
        queue.groups.clear();
        drop(queue);
        lock(&self.0.status).closed = true;
        self.0.status_changed.notify_all();
    }
}

impl<S: Storage> OutboxThread<S> {
    fn run(mut self) {
        let _guard = CloseGuard(Arc::clone(&self.shared));
        self.publish_status();
        loop {
            let stop = self.collect();
            let (commits_before, start) = (self.outbox.commits(), Mono::now());
            self.accept(start);
            self.accept_groups(start);
            self.outbox.tick(Mono::now());
            self.record_commits(commits_before, start);
            while let Some(request) = self.requests.pop_front() {
                self.answer(request);
            }
            if stop.is_some() {
                self.outbox.flush(Mono::now());
            }
            // Before the callers of groups are answered: they find their records in the status.
            self.publish_status();
            self.settle();
            let empty = self.queue.is_empty() && lock(&self.shared.queue).groups.is_empty();
            if stop.is_some_and(|deadline| empty || Mono::now() >= deadline) {
                return;
            }
        }
    }

    /// Waits for something to do and takes it. Returns the deadline once a shutdown was requested.
    fn collect(&mut self) -> Option<Mono> {
        let deadline = self.outbox.next_deadline();
        let blocked = !self.queue.is_empty();
        let idle = |queue: &mut RequestQueue| {
            let records = !blocked && !queue.records.is_empty();
            !records
                && queue.groups.is_empty()
                && queue.requests.is_empty()
                && queue.refused == 0
                && !queue.heartbeat_requested
                && queue.stop.is_none()
        };
        let mut queue = lock(&self.shared.queue);
        let changed = &self.shared.queue_changed;
        match deadline {
            // What could not be accepted before can be accepted now.
            _ if blocked && !self.outbox.is_blocked() => {}
            Some(at) => {
                let waited = changed.wait_timeout_while(queue, at - Mono::now(), idle);
                queue = unpoisoned(waited).0;
            }
            None => queue = unpoisoned(changed.wait_while(queue, idle)),
        }
        if !blocked {
            std::mem::swap(&mut self.queue, &mut queue.records);
        }
        std::mem::swap(&mut self.requests, &mut queue.requests);
        queue.heartbeat_requested = false;
        self.outbox.refuse(GapReason::Queue, std::mem::take(&mut queue.refused));
        queue.stop
    }

    /// Moves records from the queue into the outbox until it is empty or, with `OverflowPolicy::Block`, full.
    fn accept(&mut self, now: Mono) {
        while let Some((record, payload)) = self.queue.first() {
            match self.outbox.append(record.kind, record.stamp, payload, now) {
                Err(AppendError::Full) => return,
                Ok(()) | Err(_) => self.queue.pop(),
            }
        }
    }

    /// Moves the groups that were queued by now into the outbox. One that it cannot take is refused.
    fn accept_groups(&mut self, now: Mono) {
        let queued = lock(&self.shared.queue).groups.len();
        for _ in 0..queued {
            let Some(next) = lock(&self.shared.queue).groups.pop() else { return };
            match self.outbox.append_group(&next.group, now) {
                Ok(receipt) if !receipt.durable && next.wait_until.is_some() => {
                    let until = next.wait_until.unwrap_or(now);
                    self.unsettled.push(UnsettledGroup { receipt, until, done: next.done });
                }
                result => (next.done)(result),
            }
        }
    }

    /// Tells the callers of groups that have become durable, and those that have waited long enough.
    fn settle(&mut self) {
        let now = Mono::now();
        for at in (0..self.unsettled.len()).rev() {
            let UnsettledGroup { receipt, until, .. } = &self.unsettled[at];
            let settled = self.outbox.is_settled(receipt.last_seq);
            if let Some(durable) = settled.or((*until <= now).then_some(false)) {
                let UnsettledGroup { receipt, done, .. } = self.unsettled.swap_remove(at);
                done(Ok(GroupReceipt { durable, ..receipt }));
            }
        }
    }

    fn record_commits(&mut self, commits_before: u64, start: Mono) {
        let commits = self.outbox.commits() - commits_before;
        if let (Some(on_commit), true) = (&mut self.on_commit, commits > 0) {
            on_commit((Mono::now() - start) / u32::try_from(commits).unwrap_or(u32::MAX), commits);
        }
    }

    fn publish_status(&mut self) {
        let mut status = self.outbox.status();
        status.oldest = self.outbox.oldest(Mono::now());
        status.in_memory += self.queue.len() as u64;
        if let Some(on_status) = &mut self.on_status {
            on_status(&status);
        }
        let mut shared = lock(&self.shared.status);
        shared.status = status;
        shared.readable = self.outbox.readable();
        drop(shared);
        self.shared.status_changed.notify_all();
    }

    fn answer(&mut self, request: OutboxRequest) {
        let now = Mono::now();
        let outbox = &mut self.outbox;
        match request {
            OutboxRequest::Fetch { endpoint, limits, mut batch, reply } => {
                let result = outbox.fetch(endpoint, limits.records, limits.bytes, &mut batch, now);
                send(&reply, (batch, result));
            }
            OutboxRequest::Freeze { endpoint, through, epoch, reply } => {
                send(&reply, outbox.freeze(endpoint, through, epoch, now));
            }
            OutboxRequest::Ack { endpoint, through, reply } => {
                send(&reply, outbox.ack(endpoint, through, now));
            }
            OutboxRequest::ClockSynced { stamp, reply } => {
                outbox.clock_synced(stamp, now);
                send(&reply, ());
            }
            OutboxRequest::Flush { reply } => {
                self.accept(now);
                self.accept_groups(now);
                let done = self.outbox.flush(now) && self.queue.is_empty();
                self.publish_status();
                send(&reply, done);
            }
            OutboxRequest::StoreDeadLetter(request) => {
                let RejectRequest { endpoint, batch, index, status, reason, reply } = request;
                let result = outbox.reject(endpoint, &batch, &batch.records[index], status, &reason);
                send(&reply, (batch, result));
            }
            OutboxRequest::ListDeadLetters { limit, reply } => send(&reply, outbox.list_dead_letters(limit)),
            OutboxRequest::ReplayDeadLetters { ids, reply } => send(&reply, outbox.replay_dead_letters(&ids)),
            OutboxRequest::DiscardDeadLetters { ids, reply } => {
                send(&reply, outbox.discard_dead_letters(&ids));
            }
            OutboxRequest::FetchReplay { endpoint, limits, mut batch, reply } => {
                let result = outbox.fetch_replay(endpoint, limits.records, limits.bytes, &mut batch);
                send(&reply, (batch, result));
            }
            OutboxRequest::AckReplay { endpoint, through, reply } => {
                send(&reply, outbox.ack_replay(endpoint, through));
            }
            OutboxRequest::RejectReplay { id, reply } => send(&reply, outbox.reject_replay(id)),
        }
    }
}

/// A caller that no longer waits misses its reply.
fn send<T>(reply: &SyncSender<T>, answer: T) {
    drop(reply.try_send(answer));
}
