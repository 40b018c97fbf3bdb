//! Decides when the state of a breaker is written to its file.

use std::path::Path;
use std::time::Duration;

use super::breaker_store::{BreakerStore, StoredBreaker};
use super::endpoint::Endpoint;
use crate::clock::Mono;
use crate::net::BreakerMode;
use crate::net::backoff::exponential;
use crate::net::breaker::BreakerState;

/// Wait after a failed write; doubles with every failure.
const SAVE_RETRY: Duration = Duration::from_secs(1);
const SAVE_RETRY_MAX: Duration = Duration::from_mins(10);

/// The file is written when this changes: mode, state, times opened, disabled by a 410.
type PersistedKey = (BreakerMode, BreakerState, u32, bool);

/// Stands for a missing file.
const DEFAULT: PersistedKey = (BreakerMode::Auto, BreakerState::Closed, 0, false);

fn persisted_key(stored: &StoredBreaker) -> PersistedKey {
    (stored.breaker.mode, stored.breaker.state, stored.breaker.opens, stored.disabled)
}

pub(super) struct BreakerFile {
    /// Kind and name, as log lines begin.
    label: String,
    endpoint: String,
    store: BreakerStore,
    saved: Option<PersistedKey>,
    /// Failed writes in a row.
    failures: u32,
    retry_at: Mono,
}

impl BreakerFile {
    /// Reads what was stored; `None` if there is nothing usable.
    pub(super) fn open(directory: &Path, endpoint: &Endpoint, now: Mono) -> (Self, Option<StoredBreaker>) {
        let (label, name) = (endpoint.label(), endpoint.name());
        let store = BreakerStore::new(directory, name);
        let stored = store.load().unwrap_or_else(|e| {
            log::warn!(
                endpoint = name;
                "{label}: start with a closed breaker: cannot use {}: {e}", store.path().display()
            );
            None
        });
        let saved = stored.as_ref().map(persisted_key);
        (Self { endpoint: name.to_owned(), label, store, saved, failures: 0, retry_at: now }, stored)
    }

    /// Writes the file if it is out of date. A half-open breaker is written only at the `last` call, since it changes
    /// within seconds. At the last call an open one is written for its remaining time alone.
    pub(super) fn update(&mut self, current: &StoredBreaker, last: bool, now: Mono) {
        let key = persisted_key(current);
        let same = self.saved.unwrap_or(DEFAULT) == key;
        let wanted = match current.breaker.state {
            BreakerState::Closed => !same,
            BreakerState::HalfOpen => last,
            BreakerState::Open => !same || last,
        };
        if !wanted || (!last && now < self.retry_at) {
            return;
        }
        match self.store.save(current) {
            Ok(()) => {
                self.saved = Some(key);
                self.failures = 0;
            }
            Err(e) => {
                if self.failures == 0 {
                    let (label, file) = (&self.label, self.store.path().display());
                    log::warn!(endpoint = self.endpoint.as_str(); "{label}: cannot save the breaker to {file}: {e}");
                }
                self.retry_at = now + exponential(SAVE_RETRY, self.failures, SAVE_RETRY_MAX);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }
}
