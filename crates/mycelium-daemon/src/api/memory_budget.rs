//! PURE. Budgets that requests share: each reserves a part of a bounded total, or fails at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The reserved part of a total, in bytes or in slots. Clones share one count.
#[derive(Clone, Debug, Default)]
pub struct MemoryBudget(Arc<AtomicU64>);

/// A reserved amount, released on drop. May be dropped on any thread.
#[derive(Debug)]
pub struct Reservation {
    amount: u64,
    budget: MemoryBudget,
}

/// The amount is within the limit, but not available at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExhausted;

/// The amount is more than the whole budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExceeded {
    pub bytes: u64,
    pub limit: u64,
}

impl MemoryBudget {
    /// Reserves `amount` if no more than `limit` is then reserved in total.
    pub fn reserve(&self, amount: u64, limit: u64) -> Result<Reservation, BudgetExhausted> {
        let add = |reserved: u64| reserved.checked_add(amount).filter(|sum| *sum <= limit);
        self.0.fetch_update(Relaxed, Relaxed, add).map_err(|_| BudgetExhausted)?;
        Ok(Reservation { amount, budget: self.clone() })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.amount, Relaxed);
    }
}

/// Whether a simulation of `bytes` can ever run within `limit`.
pub fn check_fits(bytes: u64, limit: u64) -> Result<(), BudgetExceeded> {
    if bytes <= limit { Ok(()) } else { Err(BudgetExceeded { bytes, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_never_exceed_the_limit() {
        let budget = MemoryBudget::default();
        let fits = |amount| budget.clone().reserve(amount, 100).is_ok();
        assert!(fits(100) && !fits(101) && !fits(u64::MAX));
        let most = budget.reserve(60, 100).unwrap();
        assert!(fits(40) && !fits(41) && !fits(u64::MAX));
        assert_eq!(budget.reserve(1, 60).map(drop), Err(BudgetExhausted), "the limit has become smaller");
        drop(most);
        assert!(fits(100));
        assert_eq!(check_fits(101, 100), Err(BudgetExceeded { bytes: 101, limit: 100 }));
        assert_eq!(check_fits(100, 100), Ok(()));
    }
}
