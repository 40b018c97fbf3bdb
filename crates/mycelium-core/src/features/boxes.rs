//! Generalised dimensions of the active set: `D_box` (q = 0), `D_information` (q = 1), `D_correlation` (q = 2).
//!
//! Three placements of the boxes, chosen by the profile:
//! - **gliding** (torus): all `n^2` positions of an `s` x `s` box, counts divided by `s^2`. The result does not
//!   change when the field is shifted, no box is partial at any `n`, the full plane has exactly 2, a row exactly 1.
//! - **tiled** (open border): boxes from the first cell on, with partial ones at the far edges. `n` cells in
//!   `k = ceil(n / s)` boxes a side count as a grid of scale `1 / k`, so `D_box` of the full plane and of a row is exact
//!   at any `n`. The other two use masses, which account for partial boxes, and are fitted over `1 / s`.
//! - **reference** (4.1): its own ladder; the remainder at the far edges is ignored.
//!
//! The dyadic ladder starts at 2: boxes of one cell measure the lattice and lower every slope. It ends at `n / 2`, and at
//! 128, where the mass of a box still fits 16 bits.

use super::bitmap::Bitmap;

/// Most sizes of a ladder; `MyceliumFractalNet` 4.1 allows 20.
const MAX_SIZES: usize = 20;

/// Side of the largest dyadic box: its `128^2` cells fit a `u16`.
const MAX_BOX: usize = 128;

/// Side of the boxes whose masses give the lacunarity, in the ladder of every grid of 16 cells and more.
pub const LACUNARITY_BOX: u16 = 8;

/// Side of the largest grid.
const MAX_GRID: usize = *crate::field::GRID_SIDE.end();

/// Box sizes in cells, ascending.
pub type Ladder = heapless::Vec<u16, MAX_SIZES>;

/// Slopes over the ladder; 0 if nothing is active or fewer than two sizes have an active box.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dimensions {
    /// `D_box`, over numbers of boxes with an active cell.
    pub boxes: f64,
    /// Coefficient of determination of the fit behind `boxes`.
    pub r2: f64,
    /// `D_information`, over entropies of the masses.
    pub information: f64,
    /// `D_correlation`, over sums of squared masses.
    pub correlation: f64,
    /// `lacunarity`: mean square of the masses over their squared mean, in boxes of [`LACUNARITY_BOX`] cells a side or the
    /// largest of a smaller ladder; 0 if nothing is active.
    pub lacunarity: f64,
}

/// Where boxes are placed, see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxPlacement {
    /// At every position of a torus.
    Gliding,
    /// Side by side, partial ones at the far edges.
    Tiled,
    /// Side by side, no partial ones, as in `MyceliumFractalNet` 4.1.
    Reference,
}

/// Sums over the boxes of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoxSums {
    /// Boxes with an active cell.
    pub hit: u32,
    /// Active cells in all boxes.
    pub mass: u64,
    /// Sum of squared masses.
    pub squares: u64,
    /// Sum of `c ln c` over the masses `c`.
    pub weights: f64,
}

/// `c ln c` for `c` in `0..=most`, with 0 for an empty box.
pub fn weights(most: usize) -> Box<[f64]> {
    (0..=most).map(|c| if c < 2 { 0.0 } else { c as f64 * libm::log(c as f64) }).collect()
}

/// 2, 4, 8, .. up to half the side.
pub fn dyadic(n: usize) -> Ladder {
    std::iter::successors(Some(2), |s| Some(2 * s))
        .take_while(|&s| s <= (n / 2).min(MAX_BOX))
        .map(|s| s as u16)
        .collect()
}

/// The ladder of `MyceliumFractalNet` 4.1: `scales` sizes from 2 to `min(2 * 2^(scales-1), n / 2)`, geometrically spaced, floored.
///
/// `10^x` can lie just below a whole number (7.999999999999999 is floored to 7); that is part of the definition.
pub fn reference_ladder(n: usize, scales: usize) -> Ladder {
    let top = (2_usize << (scales - 1)).min(n / 2).max(2);
    let (low, high) = (libm::log10(2.0), libm::log10(top as f64));
    let step = (high - low) / (scales - 1) as f64;
    let mut ladder = Ladder::new();
    for k in 0..scales {
        let size = match k {
            0 => 2,
            _ if k == scales - 1 => top as u16,
            _ => libm::pow(10.0, k as f64 * step + low) as u16,
        };
        if ladder.last() != Some(&size) {
            ladder.push(size).expect("a ladder has at most MAX_SIZES sizes");
        }
    }
    ladder
}

/// The ladder, a table of `c ln c` and two planes of box masses, allocated once.
#[derive(Clone, Debug)]
pub struct BoxCounter {
    placement: BoxPlacement,
    ladder: Ladder,
    weights: Box<[f64]>,
    masses: Box<[u16]>,
    next: Box<[u16]>,
}

/// Entries of a plane of masses.
const fn plane_of(n: usize, placement: BoxPlacement) -> usize {
    match placement {
        BoxPlacement::Gliding => n * n,
        BoxPlacement::Tiled => n.div_ceil(2) * n.div_ceil(2),
        BoxPlacement::Reference => 0,
    }
}

impl BoxCounter {
    /// For `n` x `n` maps, with the ladder of the placement.
    pub fn new(n: usize, placement: BoxPlacement) -> Self {
        let ladder = match placement {
            BoxPlacement::Reference => reference_ladder(n, 5),
            BoxPlacement::Gliding | BoxPlacement::Tiled => dyadic(n),
        };
        Self::with_ladder(n, placement, ladder)
    }

    /// With another ladder of sizes 1..=64 for [`BoxPlacement::Reference`]; the other two need [`dyadic`].
    pub fn with_ladder(n: usize, placement: BoxPlacement, ladder: Ladder) -> Self {
        let largest = usize::from(*ladder.last().expect("a ladder has a size"));
        let plane = plane_of(n, placement);
        Self {
            placement,
            ladder,
            weights: weights(largest * largest),
            masses: vec![0; plane].into_boxed_slice(),
            next: vec![0; plane].into_boxed_slice(),
        }
    }

    /// Heap bytes of [`BoxCounter::new`].
    pub fn bytes(n: usize, placement: BoxPlacement) -> usize {
        let ladder = if placement == BoxPlacement::Reference { reference_ladder(n, 5) } else { dyadic(n) };
        let largest = ladder.last().map_or(0, |&s| usize::from(s));
        (largest * largest + 1) * 8 + 4 * plane_of(n, placement)
    }

    /// `c ln c` up to the largest box.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The sums of every size of the ladder, in its order.
    #[inline(always)]
    pub fn sums(&mut self, map: &Bitmap) -> heapless::Vec<BoxSums, MAX_SIZES> {
        let n = map.side();
        let active = map.count();
        let mut out = heapless::Vec::new();
        for k in 0..self.ladder.len() {
            let size = usize::from(self.ladder[k]);
            let (boxes, mass) = match self.placement {
                BoxPlacement::Reference => {
                    out.push(reference_sums(map, size, &self.weights)).expect("one entry per size");
                    continue;
                }
                BoxPlacement::Gliding => {
                    if k == 0 {
                        spread(&mut self.masses, map);
                    }
                    let sums = gliding_counts(&self.masses, &mut self.next, n, size / 2, &self.weights);
                    std::mem::swap(&mut self.masses, &mut self.next);
                    let mass = active * (size * size) as u64;
                    out.push(BoxSums { mass, ..sums }).expect("one entry per size");
                    continue;
                }
                BoxPlacement::Tiled => {
                    if k == 0 {
                        tile_pairs(&mut self.masses, map);
                    } else {
                        tile_next(&self.masses, &mut self.next, n.div_ceil(size / 2));
                        std::mem::swap(&mut self.masses, &mut self.next);
                    }
                    let side = n.div_ceil(size);
                    (side * side, active)
                }
            };
            let sums = BoxSums { mass, ..sum_masses(&self.masses[..boxes], &self.weights) };
            out.push(sums).expect("one entry per size");
        }
        out
    }

    /// The three dimensions of the set, least-squares slopes over the logarithm of the scale.
    #[inline(always)]
    pub fn dimensions(&mut self, map: &Bitmap) -> Dimensions {
        let n = map.side();
        let mut fits = [Fit::default(); 3];
        let mut lacunarity = 0.0;
        for (sums, size) in self.sums(map).into_iter().zip(self.ladder.clone()) {
            if sums.hit == 0 {
                continue;
            }
            let ln_size = libm::log(f64::from(size));
            let (scale, positions) = match self.placement {
                BoxPlacement::Gliding => (-ln_size, 2.0 * ln_size),
                BoxPlacement::Tiled => (libm::log(n.div_ceil(usize::from(size)) as f64), 0.0),
                BoxPlacement::Reference => (-ln_size, 0.0),
            };
            let mass = sums.mass as f64;
            if size <= LACUNARITY_BOX {
                let boxes = match self.placement {
                    BoxPlacement::Gliding => n * n,
                    BoxPlacement::Tiled => n.div_ceil(usize::from(size)).pow(2),
                    BoxPlacement::Reference => (n / usize::from(size)).pow(2),
                };
                lacunarity = boxes as f64 * sums.squares as f64 / (mass * mass);
            }
            let ln_mass = libm::log(mass) - positions;
            fits[0].add(scale, libm::log(f64::from(sums.hit)) - positions);
            fits[1].add(-ln_size, ln_mass - sums.weights / mass);
            fits[2].add(-ln_size, 2.0 * ln_mass + positions - libm::log(sums.squares as f64));
        }
        let [boxes, information, correlation] = fits;
        Dimensions {
            boxes: boxes.slope(),
            r2: boxes.r2(),
            information: information.slope(),
            correlation: correlation.slope(),
            lacunarity,
        }
    }
}

/// Points of a straight-line fit.
#[derive(Clone, Copy, Debug, Default)]
struct Fit {
    points: [(f64, f64); MAX_SIZES],
    len: usize,
}

impl Fit {
    fn add(&mut self, x: f64, y: f64) {
        self.points[self.len] = (x, y);
        self.len += 1;
    }

    /// Centred sums of `xx`, `xy`, `yy`.
    fn sums(&self) -> (f64, f64, f64) {
        let points = &self.points[..self.len];
        let count = self.len as f64;
        let x_mean = points.iter().map(|p| p.0).sum::<f64>() / count;
        let y_mean = points.iter().map(|p| p.1).sum::<f64>() / count;
        points.iter().fold((0.0, 0.0, 0.0), |(xx, xy, yy), p| {
            let (x, y) = (p.0 - x_mean, p.1 - y_mean);
            (xx + x * x, xy + x * y, yy + y * y)
        })
    }

    fn slope(&self) -> f64 {
        if self.len < 2 {
            return 0.0;
        }
        let (xx, xy, _) = self.sums();
        xy / xx
    }

    /// 0 when all counts are equal: nothing is explained.
    fn r2(&self) -> f64 {
        if self.len < 2 {
            return 0.0;
        }
        let (xx, xy, yy) = self.sums();
        if yy > 1e-24 { (xy * xy / (xx * yy)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Masses of boxes of one cell: 1 for each active one.
#[inline(always)]
fn spread(masses: &mut [u16], map: &Bitmap) {
    for (i, row) in masses.chunks_exact_mut(map.side()).enumerate() {
        for (cells, &word) in row.chunks_mut(64).zip(map.row(i)) {
            for (j, cell) in cells.iter_mut().enumerate() {
                *cell = (word >> j & 1) as u16;
            }
        }
    }
}

/// From the masses of all boxes of side `half` to those of twice the side, on a torus, and their sums. A row is summed
/// while it is in the nearest cache.
#[inline(always)]
fn gliding_counts(from: &[u16], to: &mut [u16], n: usize, half: usize, weights: &[f64]) -> BoxSums {
    let mut running = RunningSums::default();
    // A row of vertical sums, extended beyond the seam: the loops below then have no wrap-around.
    let mut sums = [0; MAX_GRID + MAX_BOX / 2];
    for (i, out) in to.chunks_exact_mut(n).enumerate() {
        let below = if i + half < n { i + half } else { i + half - n };
        let (upper, lower) = (&from[i * n..(i + 1) * n], &from[below * n..(below + 1) * n]);
        for ((sum, a), b) in sums.iter_mut().zip(upper).zip(lower) {
            *sum = a + b;
        }
        sums.copy_within(..half, n);
        for ((mass, a), b) in out.iter_mut().zip(&sums[..n]).zip(&sums[half..half + n]) {
            *mass = a + b;
        }
        // Lanes go on across rows only if these are whole numbers of lanes: otherwise the plane is summed as one.
        if n.is_multiple_of(LANES) {
            running.add(out, weights);
        }
    }
    if !n.is_multiple_of(LANES) {
        running.add(to, weights);
    }
    running.total()
}

/// Accumulators of every sum of weights, added in a fixed order.
const LANES: usize = 8;

#[derive(Default)]
struct RunningSums {
    squares: u64,
    hit: u32,
    weights: [f64; LANES],
}

impl RunningSums {
    /// Adds masses, a whole number of lanes except at the end.
    #[inline(always)]
    fn add(&mut self, masses: &[u16], weights: &[f64]) {
        const WIDE: usize = 16;
        // Eight squares of at most 2^28 fit a 32-bit lane.
        for block in masses.chunks(8 * WIDE) {
            let mut squares = [0_u32; WIDE];
            let mut hit = [0_u16; WIDE];
            let (wide, tail) = block.as_chunks::<WIDE>();
            for masses in wide {
                for k in 0..WIDE {
                    squares[k] += u32::from(masses[k]) * u32::from(masses[k]);
                }
                for k in 0..WIDE {
                    hit[k] += u16::from(masses[k] != 0);
                }
            }
            for (k, &c) in tail.iter().enumerate() {
                squares[k] += u32::from(c) * u32::from(c);
                hit[k] += u16::from(c != 0);
            }
            self.squares += squares.iter().map(|&s| u64::from(s)).sum::<u64>();
            self.hit += u32::from(hit.iter().sum::<u16>());
        }
        let (chunks, tail) = masses.as_chunks::<LANES>();
        let mut lanes = self.weights;
        for chunk in chunks {
            for k in 0..LANES {
                lanes[k] += weights[usize::from(chunk[k])];
            }
        }
        for (lane, &c) in lanes.iter_mut().zip(tail) {
            *lane += weights[usize::from(c)];
        }
        self.weights = lanes;
    }

    /// All sums but `mass`, which follows from the number of active cells.
    fn total(&self) -> BoxSums {
        BoxSums { hit: self.hit, mass: 0, squares: self.squares, weights: self.weights.into_iter().sum() }
    }
}

/// All sums but `mass`.
#[inline(always)]
fn sum_masses(masses: &[u16], weights: &[f64]) -> BoxSums {
    let mut running = RunningSums::default();
    running.add(masses, weights);
    running.total()
}

/// Masses of the tiled boxes of 2 x 2 cells.
#[inline(never)]
fn tile_pairs(masses: &mut [u16], map: &Bitmap) {
    let n = map.side();
    let side = n.div_ceil(2);
    for (i, out) in masses.chunks_exact_mut(side).enumerate() {
        let upper = map.row(2 * i);
        for (k, cells) in out.chunks_mut(32).enumerate() {
            let lower = if 2 * i + 1 < n { map.row(2 * i + 1)[k] } else { 0 };
            // Two bits per box and row: 0, 1 or 2 cells.
            let both = |w: u64| (w & 0x5555_5555_5555_5555) + (w >> 1 & 0x5555_5555_5555_5555);
            let (upper, lower) = (both(upper[k]), both(lower));
            for (j, cell) in cells.iter_mut().enumerate() {
                *cell = ((upper >> (2 * j) & 3) + (lower >> (2 * j) & 3)) as u16;
            }
        }
    }
}

/// Masses of boxes of twice the side, from `side` x `side` boxes; an odd last row or column makes partial boxes.
#[inline(never)]
fn tile_next(from: &[u16], to: &mut [u16], side: usize) {
    let half = side.div_ceil(2);
    let get = |i: usize, j: usize| if i < side && j < side { from[i * side + j] } else { 0 };
    for i in 0..half {
        for j in 0..half {
            to[i * half + j] = (get(2 * i, 2 * j) + get(2 * i, 2 * j + 1))
                + (get(2 * i + 1, 2 * j) + get(2 * i + 1, 2 * j + 1));
        }
    }
}

/// Boxes of any side up to 64 on the grid cut to a multiple of it.
#[inline(never)]
fn reference_sums(map: &Bitmap, size: usize, weights: &[f64]) -> BoxSums {
    let side = map.side() / size;
    let mut sums = BoxSums::default();
    for i in 0..side {
        for j in 0..side {
            let cells: u32 =
                (0..size).map(|r| bits(map.row(i * size + r), j * size, size).count_ones()).sum();
            sums.hit += u32::from(cells != 0);
            sums.mass += u64::from(cells);
            sums.squares += u64::from(cells) * u64::from(cells);
            sums.weights += weights[cells as usize];
        }
    }
    sums
}

/// Bits `from..from + len` of a row, `1 <= len <= 64`.
#[inline(always)]
fn bits(row: &[u64], from: usize, len: usize) -> u64 {
    let (word, shift) = (from / 64, from % 64);
    let low = row[word] >> shift;
    let high = if shift + len > 64 { row[word + 1] << (64 - shift) } else { 0 };
    (low | high) & (u64::MAX >> (64 - len))
}
