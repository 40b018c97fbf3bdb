//! The sliding window: equal to a two-pass computation, in memory allocated once.

use allocation_counter::measure;
use mycelium_core::features::Transition;
use mycelium_core::features::temporal::{Temporal, Trends};
use mycelium_core::features::{Compat, Connectivity, Extractor, FeatureProfile, Threshold, memory_bytes};
use mycelium_core::field::Frame;

/// Energy, mean and largest change, stillness of one frame.
#[derive(Clone, Copy, Debug)]
struct Scalars {
    energy: f64,
    mean: f64,
    max: f64,
    still: f64,
}

/// The features of these frames, each number by two passes over them.
fn two_pass(frames: &[Scalars]) -> Trends {
    if frames.len() < 2 {
        return Trends::default();
    }
    let (count, changes) = (frames.len() as f64, &frames[1..]);
    let mean_energy = frames.iter().map(|f| f.energy).sum::<f64>() / count;
    let place = |k: usize| k as f64 - (count - 1.0) / 2.0;
    let top: f64 = frames.iter().enumerate().map(|(k, f)| place(k) * (f.energy - mean_energy)).sum();
    let bottom: f64 = (0..frames.len()).map(|k| place(k) * place(k)).sum();
    let first = changes.windows(10).position(|w| w.iter().all(|c| c.still < 0.001));
    Trends {
        dv_mean: changes.iter().map(|c| c.mean).sum::<f64>() / changes.len() as f64,
        dv_max: changes.iter().map(|c| c.max).fold(0.0, f64::max),
        t_stable: first.map_or(count, |at| at as f64 + 1.0),
        e_trend: top / bottom,
    }
}

/// Scalars of several kinds: steady, varying, over many decades, on a huge offset, with rare bursts.
fn draw(rng: &mut fastrand::Rng, kind: u8) -> Scalars {
    let decades = |rng: &mut fastrand::Rng, d: f64| 10_f64.powf(d * (rng.f64() - 0.5));
    let energy = match kind {
        0 => 2e7 + rng.f64(),
        1 => 1e12 + rng.f64() * 1e-3,
        2 => decades(rng, 30.0),
        3 if rng.u8(..) < 8 => 1e20,
        3 => rng.f64() * 1e-6,
        _ => rng.f64() * 1e7,
    };
    let mean = if kind < 2 { rng.f64() } else { decades(rng, 24.0) };
    Scalars { energy, mean, max: mean * (1.0 + rng.f64()), still: if rng.u8(..) < 24 { 1.0 } else { 1e-4 } }
}

fn push(temporal: &mut Temporal, scalars: Scalars, first: bool) {
    let transition = Transition { mean: scalars.mean, max: scalars.max, ..Transition::default() };
    temporal.push(scalars.energy, (!first).then_some((transition, scalars.still)));
}

fn near(got: f64, want: f64, slack: f64) -> bool {
    (got - want).abs() <= 1e-9 * want.abs() + slack
}

/// Mutants seen red: plain sums instead of double-double ones, sums never recomputed, a window of transitions as long as
/// that of frames, a run that keeps its full length when it has partly left the window.
#[test]
fn every_window_of_a_long_history_equals_its_two_pass_value() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let window = *rng.choice(&[2, 3, 10, 11, 12, 23, 64, 200]).unwrap();
        let mut temporal = Temporal::new(Some(window));
        let mut history: Vec<Scalars> = Vec::new();
        let mut kind = rng.u8(..5);
        for t in 0..1_500 {
            if rng.u8(..) == 0 {
                kind = rng.u8(..5);
            }
            let scalars = draw(&mut rng, kind);
            history.push(scalars);
            push(&mut temporal, scalars, t == 0);
            let view = &history[history.len().saturating_sub(window)..];
            let (got, want) = (temporal.trends(), two_pass(view));
            let what = format!("seed {seed}, frame {t}, window {window}, kind {kind}: {got:?}, {want:?}");
            // The rounding error of the two-pass slope itself, from its mean.
            let largest = view.iter().map(|f| f.energy).fold(0.0, f64::max);
            assert!(near(got.e_trend, want.e_trend, 4e-16 * largest), "{what}");
            assert!(near(got.dv_mean, want.dv_mean, 0.0), "{what}");
            assert_eq!((got.dv_max, got.t_stable), (want.dv_max, want.t_stable), "{what}");
        }
    }
}

#[test]
fn the_whole_history_equals_its_two_pass_value_in_constant_memory() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut temporal = Temporal::new(None);
        let kind = rng.u8(..2) * 4;
        let history: Vec<Scalars> = (0..rng.usize(1..4_000)).map(|_| draw(&mut rng, kind)).collect();
        let allocated =
            measure(|| history.iter().enumerate().for_each(|(t, s)| push(&mut temporal, *s, t == 0)));
        assert_eq!(allocated.count_total, 0, "seed {seed}");
        let (got, want) = (temporal.trends(), two_pass(&history));
        assert!(near(got.e_trend, want.e_trend, 1e-12 * history[0].energy), "seed {seed}: {got:?}, {want:?}");
        assert!(
            near(got.dv_mean, want.dv_mean, 0.0) && got.dv_max == want.dv_max,
            "seed {seed}: {got:?}, {want:?}"
        );
        assert_eq!(got.t_stable, want.t_stable, "seed {seed}");
    }
}

#[test]
fn a_nan_frame_makes_features_nan_only_while_it_is_in_the_window() {
    let mut temporal = Temporal::new(Some(8));
    let mut view = Vec::new();
    for t in 0..64 {
        let bad = t == 20;
        let (energy, change) = if bad { (f64::NAN, f64::NAN) } else { (f64::from(t) * 3.0, 0.5) };
        let scalars = Scalars { energy, mean: change, max: change, still: 1.0 };
        view.push(scalars);
        push(&mut temporal, scalars, t == 0);
        let got = temporal.trends();
        let energy_bad = (20..28).contains(&t);
        let change_bad = (20..27).contains(&t);
        assert_eq!(got.e_trend.is_nan(), energy_bad, "frame {t}");
        assert_eq!((got.dv_mean.is_nan(), got.dv_max.is_nan()), (change_bad, change_bad), "frame {t}");
        if t > 27 {
            assert_eq!((got.e_trend, got.dv_mean, got.dv_max), (3.0, 0.5, 0.5), "frame {t}");
        }
    }
}

fn profiles() -> impl Iterator<Item = FeatureProfile> {
    let base = FeatureProfile {
        compat: Compat::Edge,
        threshold: Threshold::Otsu,
        connectivity: Connectivity::Four,
        torus: true,
        window: 32,
    };
    [
        base,
        FeatureProfile { torus: false, connectivity: Connectivity::Eight, ..base },
        FeatureProfile { threshold: Threshold::Quantile(0.9), window: 4096, ..base },
        FeatureProfile { threshold: Threshold::Fixed(-62.5), window: 2, ..base },
        FeatureProfile { compat: Compat::V41, ..base },
    ]
    .into_iter()
}

/// Mutants seen red: a vector allocated in `values`, a queue that grows instead of being allocated at the start.
#[test]
fn memory_equals_memory_bytes_and_frames_allocate_nothing() {
    for (n, profile) in [8, 33, 64, 100].into_iter().flat_map(|n| profiles().map(move |p| (n, p))) {
        let mut rng = fastrand::Rng::with_seed(n as u64);
        let mut extractor = None;
        let start = measure(|| extractor = Some(Box::new(Extractor::new(n, profile))));
        assert_eq!(
            start.bytes_current,
            memory_bytes(n, &profile).cast_signed() as i64,
            "side {n}, {profile:?}"
        );
        let extractor = extractor.as_mut().unwrap();
        let mut cells = vec![-0.07_f32; n * n];
        let running = measure(|| {
            for t in 0..80 {
                // Some frames are equal, so that runs of still transitions begin and end.
                if t % 17 < 3 {
                    for v in &mut cells {
                        *v = -0.07 + 0.02 * (rng.f32() - 0.5);
                    }
                }
                extractor.push(Frame::F32(&cells));
                assert!(extractor.values()[5] >= 0.0);
            }
        });
        assert_eq!((running.count_total, running.bytes_total), (0, 0), "side {n}, {profile:?}");
    }
}
