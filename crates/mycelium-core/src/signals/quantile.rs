//! PURE. A quantile of any number of samples in five markers: the P-square algorithm of Jain and Chlamtac (1985).

/// Estimates one quantile.
#[derive(Clone, Copy, Debug)]
pub(super) struct PSquare {
    /// Between 0 and 1.
    p: f64,
    count: u32,
    /// Of the markers: minimum, between, quantile, between, maximum.
    heights: [f64; 5],
    /// Ranks of the markers, from 1.
    ranks: [u32; 5],
}

impl PSquare {
    pub(super) const fn new(p: f64) -> Self {
        Self { p, count: 0, heights: [0.0; 5], ranks: [1, 2, 3, 4, 5] }
    }

    pub(super) fn push(&mut self, value: f64) {
        let count = self.count as usize;
        self.count = self.count.saturating_add(1);
        if count < 5 {
            self.heights[count] = value;
            if count == 4 {
                self.heights.sort_unstable_by(f64::total_cmp);
            }
            return;
        }
        let above = if value < self.heights[0] {
            self.heights[0] = value;
            1
        } else if value >= self.heights[4] {
            self.heights[4] = value;
            4
        } else {
            // The first marker above the value, from 1 to 4.
            1 + self.heights[1..4].iter().take_while(|&&height| value >= height).count()
        };
        for rank in &mut self.ranks[above..] {
            *rank = rank.saturating_add(1);
        }
        let last = f64::from(self.count - 1);
        for (k, share) in [(1, self.p / 2.0), (2, self.p), (3, f64::midpoint(1.0, self.p))] {
            self.adjust(k, 1.0 + last * share);
        }
    }

    /// Moves marker `k` by one rank towards the rank that it should have.
    fn adjust(&mut self, k: usize, wanted: f64) {
        let rank = f64::from(self.ranks[k]);
        let (below, above) = (f64::from(self.ranks[k - 1]), f64::from(self.ranks[k + 1]));
        let up = wanted - rank >= 1.0 && above - rank > 1.0;
        let down = wanted - rank <= -1.0 && below - rank < -1.0;
        if !up && !down {
            return;
        }
        let step = if up { 1.0 } else { -1.0 };
        let [low, height, high] = [self.heights[k - 1], self.heights[k], self.heights[k + 1]];
        let right = (rank - below + step) * (high - height) / (above - rank);
        let left = (above - rank - step) * (height - low) / (rank - below);
        let parabolic = height + step / (above - below) * (right + left);
        self.heights[k] = if low < parabolic && parabolic < high {
            parabolic
        } else if up {
            height + (high - height) / (above - rank)
        } else {
            height - (low - height) / (below - rank)
        };
        self.ranks[k] = if up { self.ranks[k] + 1 } else { self.ranks[k] - 1 };
    }

    /// The estimate. None before five samples.
    pub(super) fn value(&self) -> Option<f64> {
        (self.count >= 5).then_some(self.heights[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper: its table ends with these markers after 20 observations.
    #[test]
    fn the_example_of_the_paper_gives_its_result() {
        let observations = [
            0.02, 0.15, 0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92, 34.60, 10.28, 1.47, 0.40, 0.05,
            11.39, 0.27, 0.42, 0.09, 11.37,
        ];
        let mut median = PSquare::new(0.5);
        for value in observations {
            median.push(value);
        }
        assert_eq!(median.ranks, [1, 6, 10, 16, 20]);
        assert!((median.value().unwrap() - 4.44).abs() < 0.005, "{:?}", median.heights);
    }
}
