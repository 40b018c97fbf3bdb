//! All 28 features of a frame against a straightforward implementation of the same definitions.
//!
//! `cargo bench --bench features`; `BENCH_SMALL=1` for a short run. Prints one line per grid and kind of frame:
//! the median ratio of at least 101 alternating rounds, and the medians in microseconds. Then the cost per cell at 64 and 512
//! cells a side, over frames that together have as many cells at both: a processor learns the branches of one small frame
//! that is repeated.

mod plain;
mod support;

use std::hint::black_box;

use mycelium_core::features::{Compat, Connectivity, Extractor, FeatureProfile, Threshold, memory_bytes};
use mycelium_core::field::Frame;

/// White noise about -70 mV: half of the cells are active, in as many runs and clusters as a frame can have.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..n * n).map(|_| -0.070 + 0.020 * (rng.f32() - 0.5)).collect()
}

/// Smooth stripes and spots, similar to those of the model `turing`.
fn pattern(n: usize) -> Vec<f32> {
    let wave = |k: usize| (k as f32 * std::f32::consts::TAU / 16.0).sin();
    (0..n * n).map(|k| -0.060 + 0.010 * (wave(k / n) * wave(k % n) + 0.3 * wave(k / n + k % n))).collect()
}

fn profile(compat: Compat, torus: bool) -> FeatureProfile {
    FeatureProfile { compat, threshold: Threshold::Otsu, connectivity: Connectivity::Four, torus, window: 64 }
}

fn main() {
    for (n, calls) in [(64, 8), (256, 1)] {
        for (kind, cells) in [("noise", noise(n, 1)), ("pattern", pattern(n))] {
            for (name, profile) in [
                ("torus", profile(Compat::Edge, true)),
                ("open", profile(Compat::Edge, false)),
                ("4.1", profile(Compat::V41, false)),
            ] {
                report(n, calls, kind, &cells, name, profile);
            }
        }
    }
    for kind in [noise as fn(usize, u64) -> Vec<f32>, |n, _| pattern(n)] {
        per_cell(kind);
    }
    bench_push();
}

/// The fastest of the rounds, which alternate between the sizes.
fn per_cell(frame: fn(usize, u64) -> Vec<f32>) {
    const LARGE: usize = 512;
    let mut sizes = [64, LARGE].map(|n| {
        let count = (LARGE / n).pow(2) as u64;
        let frames: Vec<Vec<f32>> = (0..count).map(|seed| frame(n, seed)).collect();
        (Extractor::new(n, profile(Compat::Edge, true)), frames, f64::INFINITY)
    });
    for _ in 0..support::rounds() {
        for (extractor, frames, best) in &mut sizes {
            let start = std::time::Instant::now();
            for cells in frames {
                extractor.push(Frame::F32(cells));
                black_box(extractor.values());
            }
            *best = best.min(start.elapsed().as_secs_f64() * 1e6 * 4096.0 / (LARGE * LARGE) as f64);
        }
    }
    let [(_, _, small), (_, _, large)] = sizes;
    println!(
        "features per 4,096 cells: 64x64 {small:.1} us, 512x512 {large:.1} us, ratio {:.2}",
        large / small
    );
}

fn report(n: usize, calls: u32, kind: &str, cells: &[f32], name: &str, profile: FeatureProfile) {
    let mut extractor = Extractor::new(n, profile);
    let other: Vec<f32> = cells.iter().map(|v| v + 0.001).collect();
    let mut turn = false;
    let compared = support::median_ratio(
        calls,
        || drop(black_box(plain::features(black_box(cells), &other, n, profile))),
        || {
            turn = !turn;
            extractor.push(Frame::F32(if turn { cells } else { &other }));
            black_box(extractor.values());
        },
    );
    println!(
        "features {n}x{n} {kind:7} {name:5} {:7.1} us, straightforward {:8.1} us, ratio {:5.1}, memory {} B",
        compared.subject.as_secs_f64() * 1e6,
        compared.baseline.as_secs_f64() * 1e6,
        compared.ratio,
        memory_bytes(n, &profile),
    );
}

/// A push without `values`, which every step pays: against a copy of the plane.
fn bench_push() {
    let cells = noise(64, 2);
    let mut copy = vec![0.0; 64 * 64];
    let mut extractor = Extractor::new(64, profile(Compat::Edge, true));
    let compared = support::median_ratio(
        200,
        || {
            for (to, from) in copy.iter_mut().zip(black_box(&cells)) {
                *to = f64::from(*from) * 1000.0;
            }
            black_box(&mut copy);
        },
        || extractor.push(Frame::F32(black_box(&cells))),
    );
    println!(
        "push 64x64 {:.2} us, plain copy {:.2} us, ratio {:.2}",
        compared.subject.as_secs_f64() * 1e6,
        compared.baseline.as_secs_f64() * 1e6,
        compared.ratio
    );
}
