//! PURE. Places that keys share: streams and long polls, large responses, jobs. One key gets at most half of them, and
//! a quarter is kept for keys that may write, so that a key for reading cannot lock out the operator.

use std::cell::RefCell;
use std::rc::Rc;

use super::settings::{ApiKey, Scope};

/// Who holds a place: the key, recognised by the beginning of its digest, and its scope. Reloads change neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    key: [u8; 8],
    scope: Scope,
}

impl Holder {
    /// Of requests without a key, which share one.
    pub const ANONYMOUS: Self = Self { key: [0; 8], scope: Scope::Read };

    pub fn of(key: &ApiKey) -> Self {
        let mut start = [0; 8];
        start.copy_from_slice(&key.sha256[..8]);
        Self { key: start, scope: key.scope }
    }
}

/// How many places there are, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    all: usize,
    of_key: usize,
    for_read: usize,
}

impl PlaceLimits {
    /// At least one place; a single one is for everybody.
    pub fn new(all: usize) -> Self {
        let all = all.max(1);
        let kept = if all > 1 { (all / 4).max(1) } else { 0 };
        Self { all, of_key: (all / 2).max(1), for_read: all - kept }
    }

    /// Whether `new` gets a place beside those who have one.
    pub fn admit(self, holders: impl Iterator<Item = Holder>, new: Holder) -> bool {
        let (mut all, mut of_key, mut read) = (0, 0, 0);
        for holder in holders {
            all += 1;
            of_key += usize::from(holder == new);
            read += usize::from(holder.scope == Scope::Read);
        }
        all < self.all && of_key < self.of_key && (new.scope > Scope::Read || read < self.for_read)
    }
}

/// Places of one kind, and who holds them.
#[derive(Debug)]
pub struct Places {
    limits: PlaceLimits,
    holders: Rc<RefCell<Vec<Holder>>>,
}

/// A place, given back on drop.
#[derive(Debug)]
pub struct Place {
    holder: Holder,
    holders: Rc<RefCell<Vec<Holder>>>,
}

impl Places {
    pub fn new(all: usize) -> Self {
        let limits = PlaceLimits::new(all);
        Self { limits, holders: Rc::new(RefCell::new(Vec::with_capacity(limits.all))) }
    }

    /// `None` if there is none for this holder at the moment.
    pub fn take(&self, holder: Holder) -> Option<Place> {
        let mut holders = self.holders.borrow_mut();
        if !self.limits.admit(holders.iter().copied(), holder) {
            return None;
        }
        holders.push(holder);
        Some(Place { holder, holders: Rc::clone(&self.holders) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut holders = self.holders.borrow_mut();
        if let Some(at) = holders.iter().position(|holder| *holder == self.holder) {
            holders.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(key: u8, scope: Scope) -> Holder {
        Holder { key: [key; 8], scope }
    }

    /// Mutants seen red: no limit for a key, no limit for reading, a place that is not given back.
    #[test]
    fn a_key_gets_half_of_the_places_and_those_for_reading_leave_a_quarter() {
        let places = Places::new(8);
        let take = |holder, count: usize| {
            let taken: Vec<_> = std::iter::from_fn(|| places.take(holder)).take(9).collect();
            assert_eq!(taken.len(), count, "{holder:?}");
            taken
        };
        let first = take(holder(1, Scope::Read), 4);
        let second = take(holder(2, Scope::Read), 2);
        let admin = take(holder(3, Scope::Admin), 2);
        assert!(places.take(holder(4, Scope::Write)).is_none(), "all are taken");
        drop((second, admin));
        take(holder(3, Scope::Admin), 4);
        drop(first);
        take(holder(1, Scope::Read), 4);
    }

    #[test]
    fn small_numbers_of_places_still_have_one_for_everybody() {
        let rows = [(0, 1, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1), (3, 3, 1, 2), (5, 5, 2, 4), (32, 32, 16, 24)];
        for (wanted, all, of_key, for_read) in rows {
            assert_eq!(PlaceLimits::new(wanted), PlaceLimits { all, of_key, for_read }, "{wanted}");
        }
    }
}
