//! Timing shared by the benches: medians of ratios that are measured alternately in one process.
#![allow(dead_code, reason = "each bench uses its part")]

use std::time::{Duration, Instant};

/// Whether `BENCH_SMALL=1` asks for few rounds, as in CI.
pub(crate) fn small() -> bool {
    std::env::var_os("BENCH_SMALL").is_some_and(|v| v == "1")
}

/// Rounds that are measured, after one round that is not.
pub(crate) fn rounds() -> usize {
    if small() { 11 } else { 101 }
}

/// Times of two implementations of the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    /// Median over the rounds of baseline time by subject time: above 1 the subject is faster.
    pub(crate) ratio: f64,
    /// Medians per call.
    pub(crate) baseline: Duration,
    pub(crate) subject: Duration,
}

/// Runs both alternately, `calls` times each per round, 101 rounds (11 when small), and takes medians.
pub(crate) fn median_ratio(calls: u32, mut baseline: impl FnMut(), mut subject: impl FnMut()) -> Compared {
    let rounds = rounds();
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed() / calls
    };
    // The first round warms caches and clocks.
    medians((0..=rounds).map(|_| (time(&mut baseline), time(&mut subject))).skip(1))
}

/// Medians over an odd number of rounds of (baseline, subject) time per call.
pub(crate) fn medians(rounds: impl Iterator<Item = (Duration, Duration)>) -> Compared {
    let (mut slow, mut fast): (Vec<_>, Vec<_>) = rounds.unzip();
    let ratio = |(a, b): (&Duration, &Duration)| a.as_secs_f64() / b.as_secs_f64();
    let mut ratios: Vec<f64> = slow.iter().zip(&fast).map(ratio).collect();
    slow.sort();
    fast.sort();
    ratios.sort_by(f64::total_cmp);
    let mid = ratios.len() / 2;
    Compared { ratio: ratios[mid], baseline: slow[mid], subject: fast[mid] }
}
