//! Counter, gauge and histogram as plain atomics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A total that only increases.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Sets a total that is counted elsewhere.
    pub fn store(&self, total: u64) {
        self.0.store(total, Relaxed);
    }
}

/// The last value set.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub const fn with(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// `B` buckets with fixed upper bounds, and one for values above the last.
#[derive(Debug)]
pub struct Histogram<const B: usize> {
    bounds: &'static [f64; B],
    counts: [AtomicU64; B],
    above: AtomicU64,
    /// Sum in units of 1e-9, so that one atomic add is enough.
    sum_nano: AtomicU64,
}

impl<const B: usize> Histogram<B> {
    pub const fn new(bounds: &'static [f64; B]) -> Self {
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; B],
            above: AtomicU64::new(0),
            sum_nano: AtomicU64::new(0),
        }
    }

    /// Negative and NaN values count as 0.
    pub fn observe(&self, value: f64) {
        let value = value.max(0.0);
        let slot = self.bounds.iter().position(|&bound| value <= bound);
        slot.map_or(&self.above, |k| &self.counts[k]).fetch_add(1, Relaxed);
        self.sum_nano.fetch_add((value * 1e9) as u64, Relaxed);
    }

    pub fn bounds(&self) -> &'static [f64; B] {
        self.bounds
    }

    /// Cumulative counts per bound, then the count of all.
    pub fn cumulative(&self) -> ([u64; B], u64) {
        let mut total = 0;
        let counts = std::array::from_fn(|k| {
            total += self.counts[k].load(Relaxed);
            total
        });
        (counts, total + self.above.load(Relaxed))
    }

    pub fn sum(&self) -> f64 {
        self.sum_nano.load(Relaxed) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_that_bucket() {
        static BOUNDS: [f64; 2] = [1.0, 2.0];
        let histogram = Histogram::new(&BOUNDS);
        for value in [0.5, 1.0, 1.5, 99.0, f64::NAN] {
            histogram.observe(value);
        }
        assert_eq!(histogram.cumulative(), ([3, 4], 5));
        assert_eq!(histogram.sum(), 102.0);
    }
}
