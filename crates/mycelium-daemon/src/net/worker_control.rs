//! How other threads talk to the thread of a webhook or connector: commands go into a small inbox, from which the
//! thread takes them.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::abort::AbortHandle;
use super::breaker_policy::BreakerMode;
use super::tls::CaFileError;
use crate::clock::Mono;
use crate::sync::{lock, unpoisoned};
use crate::telemetry::trace::RequestOrigin;

/// How long an aborted request may take to return.
const ABORT_GRACE: Duration = Duration::from_millis(200);

/// Commands to a worker thread; each replaces an older one of its kind.
#[derive(Debug, Default)]
pub(crate) struct WorkerCommands {
    /// With the request that sets it.
    pub(crate) mode: Option<(BreakerMode, RequestOrigin)>,
    pub(crate) flush: bool,
    pub(crate) stop: bool,
}

/// The worker thread's side of a [`WorkerControl`].
#[derive(Debug, Default)]
pub(crate) struct WorkerInbox {
    commands: Mutex<WorkerCommands>,
    abort: Mutex<Option<AbortHandle>>,
    finished: Mutex<bool>,
    finished_changed: Condvar,
}

impl WorkerInbox {
    /// Takes all commands; `stop` stays set.
    pub(crate) fn take(&self) -> WorkerCommands {
        let mut commands = lock(&self.commands);
        let stop = commands.stop;
        std::mem::replace(&mut *commands, WorkerCommands { stop, ..WorkerCommands::default() })
    }

    pub(crate) fn stopping(&self) -> bool {
        lock(&self.commands).stop
    }

    pub(crate) fn set_abort(&self, abort: AbortHandle) {
        *lock(&self.abort) = Some(abort);
    }

    pub(crate) fn finish(&self) {
        *lock(&self.finished) = true;
        self.finished_changed.notify_all();
    }
}

/// Handle to the thread of one webhook or connector.
#[derive(Clone)]
pub struct WorkerControl {
    name: Arc<str>,
    inbox: Arc<WorkerInbox>,
    interrupt: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for WorkerControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerControl({})", self.name)
    }
}

impl WorkerControl {
    /// `interrupt` wakes the thread; if it does not sleep yet, its next sleep ends at once.
    pub(crate) fn new(name: &str, interrupt: Arc<dyn Fn() + Send + Sync>) -> (Self, Arc<WorkerInbox>) {
        let inbox = Arc::<WorkerInbox>::default();
        (Self { name: name.into(), inbox: Arc::clone(&inbox), interrupt }, inbox)
    }

    /// Name of the webhook or connector.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn wake(&self) {
        (self.interrupt)();
    }

    fn command(&self, change: impl FnOnce(&mut WorkerCommands)) {
        change(&mut lock(&self.inbox.commands));
        self.wake();
    }

    /// Forces the breaker open or closed, or lets it decide again. Anything but `open` also revokes a 410.
    pub fn set_mode(&self, mode: BreakerMode, origin: RequestOrigin) {
        self.command(|commands| commands.mode = Some((mode, origin)));
    }

    /// Sends what is pending without linger or back-off, unless the breaker is open.
    pub fn flush(&self) {
        self.command(|commands| commands.flush = true);
    }

    /// Asks the thread to end after the request in progress.
    pub fn stop(&self) {
        self.command(|commands| commands.stop = true);
    }

    /// Waits for the end after [`WorkerControl::stop`]. A request still in progress after `grace` is aborted; its batch
    /// stays frozen and is sent again at the next start. Returns whether the thread has ended.
    pub fn join(&self, grace: Duration) -> bool {
        if self.finished_within(grace) {
            return true;
        }
        if let Some(abort) = lock(&self.inbox.abort).take() {
            abort.abort();
        }
        self.finished_within(ABORT_GRACE)
    }

    fn finished_within(&self, wait: Duration) -> bool {
        let until = Mono::now() + wait;
        let mut finished = lock(&self.inbox.finished);
        while !*finished {
            let left = until - Mono::now();
            if left.is_zero() {
                return false;
            }
            let woken = self.inbox.finished_changed.wait_timeout(finished, left);
            finished = unpoisoned(woken).0;
        }
        true
    }
}

/// Why a worker thread could not be started.
#[derive(Debug)]
pub enum SpawnError {
    CaFile(CaFileError),
    Thread(std::io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaFile(e) => e.fmt(f),
            Self::Thread(e) => write!(f, "cannot start its thread: {e}: raise the limit on threads"),
        }
    }
}

impl std::error::Error for SpawnError {}

/// Logs that an operator has set the breaker of a webhook or connector.
pub(crate) fn log_breaker_set(
    target: &str,
    kind: &str,
    name: &str,
    mode: BreakerMode,
    origin: &RequestOrigin,
) {
    let (request_id, trace_id, span_id) = (&*origin.request_id, &*origin.trace_id, &*origin.span_id);
    log::info!(target: target, endpoint = name, request_id, trace_id, span_id; "{kind} {name}: breaker set to {}", mode.name());
}

/// New settings for a worker thread; unread ones are replaced.
#[derive(Debug)]
pub(crate) struct SettingsSlot<T>(Arc<Mutex<Option<T>>>);

impl<T> SettingsSlot<T> {
    pub(crate) fn put(&self, settings: T) {
        *lock(&self.0) = Some(settings);
    }

    pub(crate) fn take(&self) -> Option<T> {
        lock(&self.0).take()
    }
}

impl<T> Default for SettingsSlot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for SettingsSlot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
