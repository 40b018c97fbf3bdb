//! Timing shared by the benches: medians of ratios that are measured alternately in one process.
#![allow(dead_code, reason = "each bench uses its part")]

use std::time::{Duration, Instant};

/// Few rounds, for CI: `BENCH_SMALL=1`.
pub(crate) fn small() -> bool {
    std::env::var_os("BENCH_SMALL").is_some_and(|v| v == "1")
}

/// What two ways of doing the same took.
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
    let rounds = if small() { 11 } else { 101 };
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed() / calls
    };
    let (mut slow, mut fast, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (a, b) = (time(&mut baseline), time(&mut subject));
        // The first round warms caches and clocks.
        if round > 0 {
            slow.push(a);
            fast.push(b);
            ratios.push(a.as_secs_f64() / b.as_secs_f64());
        }
    }
    slow.sort();
    fast.sort();
    ratios.sort_by(f64::total_cmp);
    let mid = rounds / 2;
    Compared { ratio: ratios[mid], baseline: slow[mid], subject: fast[mid] }
}
