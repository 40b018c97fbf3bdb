//! A sample of a signal channel with everything on, against a copy of the sample into a ring of the size of the channel.
//!
//! `cargo bench --bench signals`; `BENCH_SMALL=1` for a short run. Prints one line per setting: the medians per sample and
//! the median ratio of at least 101 alternating rounds.

mod support;

use std::hint::black_box;

use mycelium_core::signals::{RawSignalSettings, SignalChannel, SignalSettings};

/// Samples of one round: several windows of every setting.
const SAMPLES: u32 = 20_000;

fn settings(pairs: &[(&str, &str)]) -> SignalSettings {
    let mut raw = RawSignalSettings::default();
    for (key, text) in pairs {
        raw.set(key, text).expect("a valid setting");
    }
    SignalSettings::checked(&raw).expect("valid settings")
}

fn main() {
    let mut rng = fastrand::Rng::with_seed(1);
    let values: Vec<f64> = (0..SAMPLES).map(|k| (f64::from(k) / 50.0).sin() + rng.f64()).collect();
    let all = [
        ("raw", "true"),
        ("expected_ms", "1000"),
        ("deadband", "0.001"),
        ("permutation_order", "5"),
        ("periods_s", "10,20,30,60"),
        ("spikes.threshold", "26mad"),
    ];
    // With the last one every bin of the detection has one sample.
    let fast = [all[0], all[1], all[2], all[3], all[4], ("spikes.window_s", "64")];
    let hourly: Vec<_> = [("window_s", "3600")].into_iter().chain(all).collect();
    for (name, pairs) in [
        ("defaults", &[][..]),
        ("everything, 60 s", &all),
        ("everything, 3600 s", &hourly),
        ("everything, a bin a sample", &fast),
    ] {
        report(name, settings(pairs), &values);
    }
}

fn report(name: &str, settings: SignalSettings, values: &[f64]) {
    let mut channel = SignalChannel::new(settings);
    let mut ring = [0.0; 512];
    let (mut time_ms, mut outputs) = (0, 0_u64);
    let compared = support::median_ratio(
        1,
        || {
            for (k, &value) in values.iter().enumerate() {
                ring[k % 512] = black_box(value);
            }
            black_box(&ring);
        },
        || {
            for &value in values {
                time_ms += 1_000;
                channel.push(time_ms, black_box(value), &mut |_| outputs += 1);
            }
        },
    );
    let nanos = compared.subject.as_secs_f64() * 1e9 / f64::from(SAMPLES);
    println!(
        "signals {name:27} {nanos:7.0} ns a sample, ratio {:6.1}, memory {} B, {outputs} outputs",
        compared.ratio,
        SignalChannel::memory_bytes(&settings),
    );
}
