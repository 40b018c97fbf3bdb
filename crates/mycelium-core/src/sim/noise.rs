//! Random numbers that are the same bits on every target.
//!
//! The generator works on integers (`fastrand`), logarithms and exponentials come from `libm`, square roots are exact
//! by IEEE 754, and no draw depends on the width of `usize`.

use fastrand::Rng;

/// Layers of the ziggurat.
const LAYERS: usize = 128;
/// Start of the tail, and area of each layer, for 128 layers.
const TAIL: f64 = 3.442_619_855_899;
const AREA: f64 = 9.912_563_035_262_17e-3;

/// Standard normal deviates by the ziggurat of Marsaglia and Tsang (2000) in Doornik's form (2005), which
/// uses independent bits for layer and position.
#[derive(Clone, Debug)]
pub(super) struct Normal {
    edge: Box<[f64; LAYERS + 1]>,
}

impl Normal {
    /// Heap bytes of the table.
    pub(super) const HEAP: usize = (LAYERS + 1) * size_of::<f64>();

    pub(super) fn new() -> Self {
        let mut edge = Box::new([0.0; LAYERS + 1]);
        let mut density = libm::exp(-0.5 * TAIL * TAIL);
        edge[0] = AREA / density;
        edge[1] = TAIL;
        for k in 2..LAYERS {
            edge[k] = (-2.0 * libm::log(AREA / edge[k - 1] + density)).sqrt();
            density = libm::exp(-0.5 * edge[k] * edge[k]);
        }
        Self { edge }
    }

    /// One deviate of mean 0 and variance 1.
    #[inline]
    pub(super) fn draw(&self, rng: &mut Rng) -> f64 {
        const SCALE: f64 = 1.0 / (1_u64 << 52) as f64;
        loop {
            let bits = rng.u64(..);
            let layer = (bits & (LAYERS as u64 - 1)) as usize;
            // The upper 53 bits as a number in -1..1.
            let u = (bits >> 11).cast_signed().wrapping_sub(1 << 52) as f64 * SCALE;
            let x = u * self.edge[layer];
            if x.abs() < self.edge[layer + 1] {
                return x;
            }
            if layer == 0 {
                return Self::tail(rng, u < 0.0);
            }
            if self.under_the_curve(layer, x, rng) {
                return x;
            }
        }
    }

    #[cold]
    fn under_the_curve(&self, layer: usize, x: f64, rng: &mut Rng) -> bool {
        let square = |edge: f64| edge * edge;
        let outer = libm::exp(-0.5 * (square(self.edge[layer]) - x * x));
        let inner = libm::exp(-0.5 * (square(self.edge[layer + 1]) - x * x));
        inner + rng.f64() * (outer - inner) < 1.0
    }

    /// A deviate beyond [`TAIL`] (Marsaglia 1964).
    #[cold]
    fn tail(rng: &mut Rng, negative: bool) -> f64 {
        loop {
            // 1 - u lies in (0, 1], where the logarithm is finite.
            let x = libm::log(1.0 - rng.f64()) / TAIL;
            let y = libm::log(1.0 - rng.f64());
            if -2.0 * y >= x * x {
                return if negative { x - TAIL } else { TAIL - x };
            }
        }
    }
}

/// A generator for stream `stream` of `seed`; neighbouring seeds and streams are uncorrelated (splitmix64 finalizer, Steele, Lea and Flood 2014).
pub(super) fn stream(seed: u64, stream: u64) -> Rng {
    let mut z = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Rng::with_seed(z ^ (z >> 31))
}

/// Cells without an event before the next one, if each cell has an event with probability `p` (geometric
/// distribution); `u64::MAX` for `p = 0`. One draw per event, none for the cells in between.
pub(super) fn geometric_gap(rng: &mut Rng, p: f64) -> u64 {
    if p <= 0.0 {
        return u64::MAX;
    }
    if p >= 1.0 {
        return 0;
    }
    // `as` saturates.
    (libm::log(1.0 - rng.f64()) / libm::log1p(-p)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_deviates_have_the_moments_and_the_tails_of_a_normal_distribution() {
        let normal = Normal::new();
        let mut rng = stream(1, 0);
        let n = 400_000;
        let (mut sums, mut beyond) = ([0.0; 4], 0_u32);
        for _ in 0..n {
            let x = normal.draw(&mut rng);
            let mut power = 1.0;
            for sum in &mut sums {
                power *= x;
                *sum += power / f64::from(n);
            }
            beyond += u32::from(x.abs() > TAIL);
        }
        // Five standard errors each: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
        for (k, (want, bound)) in [(0.0, 0.008), (1.0, 0.012), (0.0, 0.031), (3.0, 0.078)].iter().enumerate()
        {
            assert!((sums[k] - want).abs() < *bound, "moment {} is {}", k + 1, sums[k]);
        }
        // P(|x| > 3.4426) = 5.76e-4: 230 of 400,000, give or take 76.
        assert!((154..307).contains(&beyond), "{beyond} beyond the tail");
    }

    #[test]
    fn geometric_gaps_give_the_stated_rate() {
        let mut rng = stream(2, 0);
        let events = 20_000;
        let cells: u64 = (0..events).map(|_| geometric_gap(&mut rng, 1e-3) + 1).sum();
        let rate = f64::from(events) / cells as f64;
        assert!((rate / 1e-3 - 1.0).abs() < 0.04, "rate {rate}");
        assert_eq!(geometric_gap(&mut rng, 0.0), u64::MAX, "probability 0");
        assert_eq!(geometric_gap(&mut rng, 1.0), 0, "probability 1");
    }

    /// Detects a change of the generator, of `libm` or of a target.
    #[test]
    fn the_first_deviates_of_seed_1_have_the_same_bits_on_every_target() {
        let normal = Normal::new();
        let mut rng = stream(1, 0);
        let mut mixed = 0_u64;
        for _ in 0..10_000 {
            mixed = mixed.rotate_left(5) ^ normal.draw(&mut rng).to_bits();
        }
        assert_eq!(mixed, 0x50fd_e157_3d65_bd63, "{mixed:#x}");
    }
}
