//! The other threads' side of a delivery thread, and of a connector's: wishes go into a small inbox, the thread takes them out.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::sender::Abort;
use super::settings::{BreakerMode, BreakerPolicy, Endpoint};
use crate::clock::Mono;
use crate::sync::{lock, unpoisoned};
use crate::telemetry::trace::RequestOrigin;

/// How long an aborted attempt may take to notice.
const AFTER_ABORT: Duration = Duration::from_millis(200);

/// What others want of a delivery thread; each wish replaces an older one of its kind.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// With the request that asks.
    pub(crate) mode: Option<(BreakerMode, RequestOrigin)>,
    pub(crate) flush: bool,
    pub(crate) settings: Option<(Endpoint, BreakerPolicy)>,
    pub(crate) stop: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    abort: Mutex<Option<Abort>>,
    finished: Mutex<bool>,
    changed: Condvar,
}

/// What these locks guard is whole after every statement, so a panic elsewhere does not spoil it.
impl Shared {
    /// Takes all wishes out; `stop` stays set.
    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = lock(&self.inbox);
        let stop = inbox.stop;
        std::mem::replace(&mut *inbox, Inbox { stop, ..Inbox::default() })
    }

    pub(crate) fn stopping(&self) -> bool {
        lock(&self.inbox).stop
    }

    pub(crate) fn set_abort(&self, abort: Abort) {
        *lock(&self.abort) = Some(abort);
    }

    pub(crate) fn finish(&self) {
        *lock(&self.finished) = true;
        self.changed.notify_all();
    }
}

/// Handle to the delivery thread of one endpoint.
#[derive(Clone)]
pub struct Control {
    name: Arc<str>,
    shared: Arc<Shared>,
    interrupt: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control({})", self.name)
    }
}

impl Control {
    /// `interrupt` wakes the thread, also when it does not sleep yet.
    pub(crate) fn new(name: &str, interrupt: Arc<dyn Fn() + Send + Sync>) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared::default());
        (Self { name: name.into(), shared: Arc::clone(&shared), interrupt }, shared)
    }

    /// The endpoint's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn wish(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut lock(&self.shared.inbox));
        (self.interrupt)();
    }

    /// Forces the breaker, or hands it back to itself. Anything but `open` takes back a 410.
    pub fn set_mode(&self, mode: BreakerMode, origin: RequestOrigin) {
        self.wish(|inbox| inbox.mode = Some((mode, origin)));
    }

    /// Sends what there is without lingering or backing off; an open breaker still holds it.
    pub fn flush(&self) {
        self.wish(|inbox| inbox.flush = true);
    }

    /// New URL, secrets, headers, limits, as from a reload; the name stays.
    pub fn update(&self, endpoint: Endpoint, breaker: BreakerPolicy) {
        self.wish(|inbox| inbox.settings = Some((endpoint, breaker)));
    }

    /// Asks the thread to end after the attempt in flight.
    pub fn stop(&self) {
        self.wish(|inbox| inbox.stop = true);
    }

    /// Waits for the end after [`Control::stop`]; an attempt still in flight after `grace` is cut off (its
    /// batch stays frozen and goes out again at the next start). Tells whether the thread has ended.
    pub fn join(&self, grace: Duration) -> bool {
        if self.finished_within(grace) {
            return true;
        }
        if let Some(abort) = lock(&self.shared.abort).take() {
            abort.abort();
        }
        self.finished_within(AFTER_ABORT)
    }

    fn finished_within(&self, wait: Duration) -> bool {
        let until = Mono::now() + wait;
        let mut finished = lock(&self.shared.finished);
        while !*finished {
            let left = until - Mono::now();
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.changed.wait_timeout(finished, left);
            finished = unpoisoned(woken).0;
        }
        true
    }
}
