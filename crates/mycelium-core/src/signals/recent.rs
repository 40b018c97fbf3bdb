//! PURE. The newest samples of a window, and what is computed from them when it ends: quantiles and Lempel-Ziv
//! complexity.

/// Samples that are kept. They are distances from the first sample of the window in single precision, exact to 6e-8 of
/// the distance.
pub(super) const RECENT_SAMPLES: usize = 512;
/// Fewest samples for a Lempel-Ziv complexity.
pub(super) const MIN_LEMPEL_ZIV: usize = 32;

/// A ring of the newest samples.
#[derive(Clone, Debug)]
pub(super) struct RecentSamples {
    values: [f32; RECENT_SAMPLES],
    /// Of all samples of the window.
    count: usize,
}

impl RecentSamples {
    pub(super) const fn new() -> Self {
        Self { values: [0.0; RECENT_SAMPLES], count: 0 }
    }

    /// Adds a sample, as its distance from the first one.
    pub(super) fn push(&mut self, distance: f64) {
        self.values[self.count % RECENT_SAMPLES] = distance as f32;
        self.count += 1;
    }

    /// Whether no sample has been dropped.
    pub(super) fn is_complete(&self) -> bool {
        self.count <= RECENT_SAMPLES
    }

    /// Puts the samples into `scratch` in ascending order.
    pub(super) fn sorted<'a>(&self, scratch: &'a mut [f32; RECENT_SAMPLES]) -> &'a [f32] {
        let kept = self.count.min(RECENT_SAMPLES);
        let sorted = &mut scratch[..kept];
        sorted.copy_from_slice(&self.values[..kept]);
        sorted.sort_unstable_by(f32::total_cmp);
        sorted
    }

    /// Phrases of the LZ76 parsing of the samples, 1 above `median` and 0 elsewhere, times log2(n) / n. About 1 for
    /// independent samples, towards 0 for a regular signal.
    pub(super) fn lempel_ziv(&self, median: f64) -> Option<f64> {
        let kept = self.count.min(RECENT_SAMPLES);
        if kept < MIN_LEMPEL_ZIV {
            return None;
        }
        let mut bits = [false; RECENT_SAMPLES];
        for (age, bit) in bits[..kept].iter_mut().enumerate() {
            *bit = f64::from(self.values[(self.count - kept + age) % RECENT_SAMPLES]) > median;
        }
        let n = kept as f64;
        Some(f64::from(phrases(&bits[..kept])) * libm::log2(n) / n)
    }
}

/// Linear interpolation between the two nearest of the sorted values. None without any.
pub(super) fn quantile(sorted: &[f32], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = p * last as f64;
    let below = (rank as usize).min(last);
    let low = f64::from(sorted[below]);
    let high = f64::from(sorted[(below + 1).min(last)]);
    Some(low + (high - low) * (rank - below as f64))
}

/// Number of phrases of Lempel and Ziv (1976): each is the shortest piece that does not occur in what is before its last
/// symbol. Scan of Kaspar and Schuster (1987); at most about n^2 comparisons.
fn phrases(bits: &[bool]) -> u32 {
    let n = bits.len();
    let (mut count, mut parsed) = (1, 1);
    while parsed < n {
        let mut longest = 0;
        for start in 0..parsed {
            let same = bits[start..].iter().zip(&bits[parsed..]).take_while(|(a, b)| a == b).count();
            longest = longest.max(same);
            if parsed + longest == n {
                break;
            }
        }
        count += 1;
        parsed += longest + 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> u32 {
        phrases(&text.bytes().map(|c| c == b'1').collect::<Vec<_>>())
    }

    /// 0001101001000101 is the example of Lempel and Ziv: 0 001 10 100 1000 101.
    #[test]
    fn phrases_of_known_strings() {
        assert_eq!(of("0001101001000101"), 6);
        assert_eq!(of("0000000000000000"), 2, "0 and the rest");
        assert_eq!(of("0101010101010101"), 3, "0, 1 and the rest");
        assert_eq!(of("1"), 1);
    }

    #[test]
    fn quantiles_are_interpolated_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0];
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|p| quantile(&sorted, p).unwrap()), [1.0, 1.5, 2.0, 4.0]);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
