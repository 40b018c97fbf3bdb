//! PURE. Permutation entropy of Bandt and Pompe (2002), in one pass.

use super::settings::SignalSettings;

const MAX_ORDER: usize = 5;
/// Permutations of the largest order.
const MAX_PATTERNS: usize = 120;
/// Samples between the first and the last one of the longest pattern, both included.
const MAX_SPAN: usize = (MAX_ORDER - 1) * 16 + 1;

const _: () = {
    assert!(SignalSettings::PERMUTATION_ORDER.high as usize == MAX_ORDER);
    assert!((MAX_ORDER - 1) * SignalSettings::PERMUTATION_DELAY.high as usize + 1 == MAX_SPAN);
};

/// Counts the order patterns of the samples of a window.
#[derive(Clone, Debug)]
pub(super) struct PermutationPatterns {
    order: usize,
    delay: usize,
    /// Samples pushed.
    samples: usize,
    newest: [f64; MAX_SPAN],
    counts: [u32; MAX_PATTERNS],
}

impl PermutationPatterns {
    pub(super) const fn new(order: usize, delay: usize) -> Self {
        Self { order, delay, samples: 0, newest: [0.0; MAX_SPAN], counts: [0; MAX_PATTERNS] }
    }

    pub(super) fn push(&mut self, value: f64) {
        self.newest[self.samples % MAX_SPAN] = value;
        self.samples += 1;
        let span = (self.order - 1) * self.delay + 1;
        let Some(first) = self.samples.checked_sub(span) else { return };
        let mut pattern = [0.0; MAX_ORDER];
        for (k, value) in pattern[..self.order].iter_mut().enumerate() {
            *value = self.newest[(first + k * self.delay) % MAX_SPAN];
        }
        // Number of the permutation by its inversions; of equal samples the earlier one is the smaller.
        let mut number = 0;
        for k in 0..self.order {
            let smaller = pattern[k + 1..self.order].iter().filter(|&&later| later < pattern[k]).count();
            number = number * (self.order - k) + smaller;
        }
        self.counts[number] = self.counts[number].saturating_add(1);
    }

    /// Entropy of the frequencies of the patterns, divided by its largest possible value. None with fewer than five
    /// patterns for each of the possible ones.
    pub(super) fn entropy(&self) -> Option<f64> {
        let possible: usize = (1..=self.order).product();
        let total = self.samples.saturating_sub((self.order - 1) * self.delay);
        if total < 5 * possible {
            return None;
        }
        let shares =
            self.counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / total as f64);
        let entropy: f64 = shares.map(|share| -share * libm::log2(share)).sum();
        Some((entropy / libm::log2(possible as f64)).clamp(0.0, 1.0))
    }
}
