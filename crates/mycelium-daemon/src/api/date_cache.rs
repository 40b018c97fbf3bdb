//! The `Date` field.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::clock::{Mono, Wall};

/// The text of the current second (IMF-fixdate).
pub struct DateCache(RefCell<(u64, heapless::String<32>)>);

impl Default for DateCache {
    fn default() -> Self {
        Self(RefCell::new((u64::MAX, heapless::String::new())))
    }
}

impl DateCache {
    /// Renders at most once a second.
    pub fn with<T>(&self, now: Mono, f: impl FnOnce(&str) -> T) -> T {
        let second = now.0 / 1_000_000_000;
        let (cached, text) = &mut *self.0.borrow_mut();
        if *cached != second {
            let wall = Wall::now().0.max(0).unsigned_abs();
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(wall);
            *cached = second;
            text.clear();
            if write!(text, "{}", httpdate::HttpDate::from(time)).is_err() {
                text.clear();
            }
        }
        f(text)
    }
}
