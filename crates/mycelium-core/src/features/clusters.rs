//! Connected components of a bitmap by runs and union-find.

use super::bitmap::Bitmap;
use super::profile::Connectivity;

/// Number and sizes of the components.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clusters {
    /// Number of components.
    pub count: u32,
    /// Cells of the largest one, 0 without any.
    pub largest: u32,
    /// Population standard deviation of the sizes in cells, 0 for fewer than two.
    pub size_std: f64,
}

/// Buffers for labelling any `n` x `n` map, allocated once. A run is a maximal sequence of set cells in one row.
///
/// Invariant of the forest: `parent[k] <= k`, so one forward pass flattens it.
#[derive(Clone, Debug)]
pub struct ComponentLabeller {
    parent: Box<[u32]>,
    /// Cells of each run; at a root, after the last pass, cells of its component.
    size: Box<[u32]>,
}

/// A row and the index of its first run.
#[derive(Clone, Copy)]
struct Row<'a> {
    words: &'a [u64],
    first: usize,
}

impl Row<'_> {
    /// Bits of word `k` at which a run starts.
    #[inline(always)]
    fn starts(self, k: usize) -> u64 {
        let carried = if k > 0 { self.words[k - 1] >> 63 } else { 0 };
        self.words[k] & !(self.words[k] << 1 | carried)
    }

    /// The run that covers a set column.
    fn run_at(self, column: usize) -> usize {
        let before: u32 = (0..column / 64).map(|k| self.starts(k).count_ones()).sum();
        let here = self.starts(column / 64) & up_to(column % 64);
        self.first + (before + here.count_ones()) as usize - 1
    }

    fn has(self, column: usize) -> bool {
        self.words[column / 64] >> (column % 64) & 1 == 1
    }
}

/// Bits `0..=bit`.
#[inline(always)]
fn up_to(bit: usize) -> u64 {
    u64::MAX >> (63 - bit)
}

impl ComponentLabeller {
    /// Buffers for `n` x `n` maps.
    pub fn new(n: usize) -> Self {
        let most = most_runs(n);
        Self { parent: vec![0; most].into_boxed_slice(), size: vec![0; most].into_boxed_slice() }
    }

    /// Heap bytes for `n` x `n` maps.
    pub const fn bytes(n: usize) -> usize {
        most_runs(n) * 8
    }

    /// The components of `map`; on a torus the last row and column touch the first.
    #[inline(always)]
    pub fn measure(&mut self, map: &Bitmap, connectivity: Connectivity, torus: bool) -> Clusters {
        let n = map.side();
        let mut above = None;
        let mut runs = 0;
        for i in 0..n {
            let row = Row { words: map.row(i), first: runs };
            runs = self.scan(row.words, runs);
            if torus && row.has(0) && row.has(n - 1) {
                self.join(row.first, runs - 1);
            }
            if let Some(above) = above {
                self.join_rows(above, row, n, connectivity, torus);
            }
            above = Some(row);
        }
        if let Some(last) = above.filter(|_| torus) {
            self.join_rows(last, Row { words: map.row(0), first: 0 }, n, connectivity, true);
        }
        self.tally(runs)
    }

    #[inline(always)]
    fn join_rows(&mut self, above: Row<'_>, row: Row<'_>, n: usize, connectivity: Connectivity, torus: bool) {
        self.join_columns(above, row);
        if connectivity == Connectivity::Eight {
            self.join_corners(above, row, n, torus);
        }
    }

    /// Adds the runs of a row from index `at` on, each as its own root; returns the index after the last.
    #[inline(always)]
    fn scan(&mut self, row: &[u64], mut at: usize) -> usize {
        for (k, &word) in row.iter().enumerate() {
            let mut rest = word;
            if k > 0 && row[k - 1] >> 63 & word & 1 == 1 {
                // Continues the last run of the previous word.
                let more = rest.trailing_ones();
                self.size[at - 1] += more;
                rest &= u64::MAX.checked_shl(more).unwrap_or(0);
            }
            while rest != 0 {
                let start = rest.trailing_zeros();
                self.parent[at] = at as u32;
                self.size[at] = (rest >> start).trailing_ones();
                at += 1;
                // The carry of the sum clears the lowest run and sets the bit after it, which the mask removes.
                rest &= rest.wrapping_add(1 << start);
            }
        }
        at
    }

    /// Joins the runs of two adjacent rows that share columns: one join per sequence of shared columns.
    #[inline(always)]
    fn join_columns(&mut self, above: Row<'_>, row: Row<'_>) {
        let (mut a, mut b) = (above.first, row.first);
        let mut carried = 0;
        for k in 0..row.words.len() {
            let shared = above.words[k] & row.words[k];
            let (starts_a, starts_b) = (above.starts(k), row.starts(k));
            let mut firsts = shared & !(shared << 1 | carried);
            while firsts != 0 {
                let here = up_to(firsts.trailing_zeros() as usize);
                firsts &= firsts - 1;
                let upper = a + (starts_a & here).count_ones() as usize - 1;
                let lower = b + (starts_b & here).count_ones() as usize - 1;
                self.join(upper, lower);
            }
            carried = shared >> 63;
            a += starts_a.count_ones() as usize;
            b += starts_b.count_ones() as usize;
        }
    }

    /// Joins the runs of two adjacent rows that touch at a corner, at the ends of each upper run.
    fn join_corners(&mut self, above: Row<'_>, row: Row<'_>, n: usize, torus: bool) {
        for k in 0..row.words.len() {
            let mut cells = above.words[k];
            while cells != 0 {
                let column = 64 * k + cells.trailing_zeros() as usize;
                cells &= cells - 1;
                let (left, right) = match column {
                    0 => (torus.then_some(n - 1), Some(1)),
                    _ if column == n - 1 => (Some(column - 1), torus.then_some(0)),
                    _ => (Some(column - 1), Some(column + 1)),
                };
                // Within a run, corners are covered by shared columns; only its ends remain.
                for corner in [left, right].into_iter().flatten().filter(|c| row.has(*c) && !above.has(*c)) {
                    self.join(above.run_at(column), row.run_at(corner));
                }
            }
        }
    }

    #[inline(always)]
    fn root(&mut self, mut k: u32) -> u32 {
        loop {
            let up = self.parent[k as usize];
            if up == k {
                return k;
            }
            let next = self.parent[up as usize];
            self.parent[k as usize] = next;
            k = next;
        }
    }

    #[inline(always)]
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a as u32), self.root(b as u32));
        self.parent[a.max(b) as usize] = a.min(b);
    }

    #[inline(always)]
    fn tally(&mut self, runs: usize) -> Clusters {
        for k in 0..runs {
            let root = self.parent[self.parent[k] as usize];
            self.parent[k] = root;
            if root as usize != k {
                self.size[root as usize] += self.size[k];
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
        // In integers, below 2^53 for 512 x 512 cells: equal sizes give exactly 0.
        let scatter = u64::from(count) * squares - sum * sum;
        let size_std = if count < 2 { 0.0 } else { (scatter as f64).sqrt() / f64::from(count) };
        Clusters { count, largest, size_std }
    }
}

/// Runs of a map in which every other cell of every row is set.
const fn most_runs(n: usize) -> usize {
    n * n.div_ceil(2)
}
