//! The wait loop of all streams: new records, a timer, or the client.

use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use event_listener::{Event, EventListener};
use smol::Timer;
use smol::future::or;

use super::cursor::{Missed, RecordChunk, StreamCursor};
use crate::api::state::AppState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// There may be new records, or the server is stopping.
    Records,
    Timer,
    Client,
}

/// Waits for the first of the three.
pub async fn wait(changed: impl Future<Output = ()>, timer: &mut Timer, client: impl Future) -> WakeReason {
    let changed = async {
        changed.await;
        WakeReason::Records
    };
    let timer = async {
        timer.await;
        WakeReason::Timer
    };
    let client = async {
        client.await;
        WakeReason::Client
    };
    or(changed, or(timer, client)).await
}

/// Waits until there is something new, for at most `timeout`, and no longer once the server is stopping.
pub async fn long_poll(state: &AppState, changed: &Event, timeout: Duration, has_new: impl Fn() -> bool) {
    let mut timer = Timer::after(timeout);
    loop {
        // Listen before looking: what comes after the look then wakes this.
        let listener = changed.listen();
        if has_new() || state.is_stopping() {
            return;
        }
        if wait(listener, &mut timer, pending::<()>()).await == WakeReason::Timer {
            return;
        }
    }
}

/// One stream's place among the feature records, and when its next heartbeat is due.
pub struct Subscription {
    state: Rc<AppState>,
    cursor: StreamCursor,
    heartbeat: Timer,
    changed: EventListener,
}

impl Subscription {
    pub fn new(state: Rc<AppState>, cursor: StreamCursor) -> Self {
        let heartbeat = Timer::interval(state.deadlines().heartbeat);
        let changed = state.snapshots().features_changed.listen();
        Self { state, cursor, heartbeat, changed }
    }

    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Puts the next records into `chunk`, none if there are no more; returns what was missed before them.
    pub fn next(&mut self, chunk: &mut RecordChunk) -> Option<Missed> {
        let missed = self.cursor.advance(self.state.snapshots(), chunk)?;
        self.state.metrics().stream_dropped.add(missed.0.unwrap_or(0));
        Some(missed)
    }

    /// Waits for new records, the next heartbeat, or `client`.
    pub async fn wait(&mut self, client: impl Future) -> WakeReason {
        let woken = wait(&mut self.changed, &mut self.heartbeat, client).await;
        if woken == WakeReason::Records {
            // Listen again before the caller looks: a record pushed after its look then wakes it.
            self.changed = self.state.snapshots().features_changed.listen();
        }
        woken
    }
}
