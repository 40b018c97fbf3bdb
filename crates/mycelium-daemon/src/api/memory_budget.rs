//! PURE. Memory and places that requests share: each takes its part of a bounded whole or is told that there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::api::http::problem::Problem;

/// How much of something is taken. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryBudget(Arc<AtomicU64>);

/// A part of it; given back when dropped, on whatever thread that is.
#[derive(Debug)]
pub struct Reservation(u64, MemoryBudget);

impl MemoryBudget {
    /// So much, unless more than `most` would be taken then.
    pub fn take(&self, amount: u64, most: u64) -> Option<Reservation> {
        let more = |taken: u64| taken.checked_add(amount).filter(|sum| *sum <= most);
        self.0.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Reservation(amount, self.clone()))
    }

    /// Memory of a simulation.
    pub fn memory(&self, bytes: u64, most: u64) -> Result<Reservation, Problem> {
        self.take(bytes, most)
            .ok_or(Problem::busy("others hold the memory that this simulation takes: try again", 1))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.1.0.fetch_sub(self.0, Relaxed);
    }
}

/// Whether a simulation that takes `bytes` can ever run.
pub fn fits(bytes: u64, most: u64) -> Result<(), Problem> {
    if bytes <= most {
        return Ok(());
    }
    let detail = format!(
        "this simulation takes {bytes} bytes and `memory.max_bytes` leaves {most}: ask for a smaller grid or f32, or \
         raise it"
    );
    Err(Problem::new(422, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_add_up_to_more_than_there_is() {
        let pool = MemoryBudget::default();
        let can = |amount| pool.clone().take(amount, 100).is_some();
        assert!(can(100) && !can(101) && !can(u64::MAX));
        let most = pool.take(60, 100);
        assert!(can(40) && !can(41) && !can(u64::MAX));
        assert!(pool.take(1, 60).is_none(), "the whole has become smaller");
        assert_eq!(pool.memory(41, 100).map(drop).map_err(|problem| problem.status), Err(503));
        drop(most);
        assert!(can(100));
        assert_eq!(fits(101, 100).map_err(|problem| problem.status), Err(422));
        assert_eq!(fits(100, 100), Ok(()));
    }
}
