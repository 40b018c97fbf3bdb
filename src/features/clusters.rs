//! Connected components of a bitmap by runs and union-find.

use super::bitmap::Bitmap;
use super::profile::Connectivity;

/// How many components there are and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clusters {
    pub count: u32,
    /// Cells of the largest one, 0 without any.
    pub largest: u32,
    /// Population standard deviation of the sizes in cells, 0 for fewer than two.
    pub size_std: f64,
}

/// A stretch of set cells in one row, `start..end`.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    start: u16,
    end: u16,
}

/// Room for the runs of any `n` x `n` map, taken once.
///
/// Invariant of the forest: `parent[k] <= k`, so one forward pass flattens it.
#[derive(Clone, Debug)]
pub struct Labels {
    runs: Box<[Run]>,
    parent: Box<[u32]>,
    size: Box<[u32]>,
}

impl Labels {
    pub fn new(n: usize) -> Self {
        let most = most_runs(n);
        Self {
            runs: vec![Run::default(); most].into_boxed_slice(),
            parent: vec![0; most].into_boxed_slice(),
            size: vec![0; most].into_boxed_slice(),
        }
    }

    /// Bytes that [`Labels::new`] takes.
    pub const fn bytes(n: usize) -> usize {
        most_runs(n) * (size_of::<Run>() + 8)
    }

    /// The components of `map`; on a torus the last row and column touch the first.
    pub fn measure(&mut self, map: &Bitmap, connectivity: Connectivity, torus: bool) -> Clusters {
        let n = map.side();
        let reach = u16::from(connectivity == Connectivity::Eight);
        let (mut above, mut first_row, mut at) = (0..0, 0..0, 0);
        for i in 0..n {
            let from = at;
            at = self.scan(map.row(i), from);
            let row = from..at;
            if torus && !row.is_empty() {
                self.join_ends(row.start, row.end - 1, n);
            }
            self.touch(&above, &row, reach);
            if torus && reach == 1 {
                self.touch_corners(&above, &row, n);
            }
            if i == 0 {
                first_row = row.clone();
            }
            above = row;
        }
        if torus {
            self.touch(&above, &first_row, reach);
            if reach == 1 {
                self.touch_corners(&above, &first_row, n);
            }
        }
        self.tally(at)
    }

    /// Finds the runs of a row, each a tree of its own from index `at` on; returns the index behind the last.
    fn scan(&mut self, row: &[u64], mut at: usize) -> usize {
        let mut open = false;
        for (k, &word) in row.iter().enumerate() {
            // Bits where the row changes between set and not set.
            let mut edges = word ^ (word << 1 | u64::from(open));
            while edges != 0 {
                let column = (64 * k) as u16 + edges.trailing_zeros() as u16;
                edges &= edges - 1;
                if open {
                    self.runs[at].end = column;
                    at += 1;
                } else {
                    self.runs[at].start = column;
                    self.parent[at] = at as u32;
                }
                open = !open;
            }
        }
        if open {
            self.runs[at].end = (64 * row.len()) as u16;
            at += 1;
        }
        at
    }

    /// Joins the runs of two neighbouring rows that overlap, or meet at a corner with a `reach` of 1.
    fn touch(&mut self, above: &std::ops::Range<usize>, row: &std::ops::Range<usize>, reach: u16) {
        let (mut a, mut b) = (above.start, row.start);
        while a < above.end && b < row.end {
            let (upper, lower) = (self.runs[a], self.runs[b]);
            if upper.start < lower.end + reach && lower.start < upper.end + reach {
                self.join(a, b);
            }
            if upper.end < lower.end {
                a += 1;
            } else {
                b += 1;
            }
        }
    }

    /// The first and the last run of one row meet across the seam.
    fn join_ends(&mut self, first: usize, last: usize, n: usize) {
        if self.runs[first].start == 0 && usize::from(self.runs[last].end) == n {
            self.join(first, last);
        }
    }

    /// Runs of neighbouring rows that meet at a corner across the seam.
    fn touch_corners(&mut self, above: &std::ops::Range<usize>, row: &std::ops::Range<usize>, n: usize) {
        if above.is_empty() || row.is_empty() {
            return;
        }
        self.join_ends(above.start, row.end - 1, n);
        self.join_ends(row.start, above.end - 1, n);
    }

    fn root(&mut self, mut k: u32) -> u32 {
        while self.parent[k as usize] != k {
            let up = self.parent[self.parent[k as usize] as usize];
            self.parent[k as usize] = up;
            k = up;
        }
        k
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a as u32), self.root(b as u32));
        if a < b {
            self.parent[b as usize] = a;
        } else {
            self.parent[a as usize] = b;
        }
    }

    fn tally(&mut self, runs: usize) -> Clusters {
        for k in 0..runs {
            let up = self.parent[k] as usize;
            let root = self.parent[up] as usize;
            let cells = u32::from(self.runs[k].end - self.runs[k].start);
            self.parent[k] = root as u32;
            if root == k {
                self.size[k] = cells;
            } else {
                self.size[root] += cells;
            }
        }
        let (mut count, mut largest, mut sum, mut squares) = (0_u32, 0, 0_u64, 0_u64);
        for k in 0..runs {
            if self.parent[k] as usize == k {
                let size = self.size[k];
                count += 1;
                largest = largest.max(size);
                sum += u64::from(size);
                squares += u64::from(size) * u64::from(size);
            }
        }
        // In whole numbers, below 2^53 up to 512 x 512: equal sizes give exactly 0.
        let scatter = u64::from(count) * squares - sum * sum;
        let size_std = if count < 2 { 0.0 } else { (scatter as f64).sqrt() / f64::from(count) };
        Clusters { count, largest, size_std }
    }
}

/// Every other cell of every row.
const fn most_runs(n: usize) -> usize {
    n * n.div_ceil(2)
}
