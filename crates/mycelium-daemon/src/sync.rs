//! The one place that decides what a poisoned lock means.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, poisoned or not.
///
/// A panic ends the process (`panic = "abort"`, and a hook in debug builds), so a poisoned lock is only ever seen
/// while it goes down or in a test that caught the panic. The remaining threads must then still be able to write
/// what they hold: a second panic would lose it.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The same for what waiting on a [`Condvar`](std::sync::Condvar) returns.
pub fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
