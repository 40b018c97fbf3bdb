//! The features of signal windows against results that are known, and against slow and obvious versions.

use mycelium_core::signals::{SignalSpike, SignalWindow};

use crate::signals::{Collected, run, settings};

/// Samples one second apart, from the begin of a day.
fn seconds(values: &[f64]) -> impl Iterator<Item = (i64, f64)> {
    values.iter().enumerate().map(|(k, &value)| (k as i64 * 1_000, value))
}

fn day(pairs: &[(&str, &str)], values: &[f64]) -> Collected {
    let all: Vec<_> = [("window_s", "86400")].into_iter().chain(pairs.iter().copied()).collect();
    run(settings(&all), seconds(values))
}

fn window(pairs: &[(&str, &str)], values: &[f64]) -> SignalWindow {
    day(pairs, values).windows[0]
}

/// Normal, by the sum of twelve uniform numbers.
fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0).collect()
}

fn near(got: Option<f64>, want: f64, within: f64) {
    assert!(got.is_some_and(|got| (got - want).abs() <= within), "{got:?}, not {want}");
}

/// Mutant seen red: n as the divisor of the standard deviation.
#[test]
fn moments_agree_with_two_passes_on_a_large_offset() {
    let values: Vec<f64> = noise(1, 5_000).iter().map(|x| 1e6 + 1e-3 * x).collect();
    let n = values.len() as f64;
    let mean = values.iter().map(|x| x - 1e6).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - 1e6 - mean).powi(2)).sum();
    let hours = |k: usize| (k as f64 - (n - 1.0) / 2.0) / 3600.0;
    let mixed: f64 = values.iter().enumerate().map(|(k, x)| hours(k) * (x - 1e6 - mean)).sum();
    let spread: f64 = (0..values.len()).map(|k| hours(k).powi(2)).sum();
    let got = window(&[], &values);
    near(got.mean, 1e6 + mean, 1e-9);
    near(got.sd, (squares / (n - 1.0)).sqrt(), 1e-12);
    near(got.slope_per_hour, mixed / spread, 1e-10);
}

/// Mutant seen red: samples that are not relative to the first one.
#[test]
fn quantiles_are_exact_up_to_512_samples_and_near_beyond() {
    let values = noise(2, 20_000);
    let exact = window(&[], &values[..512]);
    let mut sorted = values[..512].to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    near(exact.p50, f64::midpoint(sorted[255], sorted[256]), 1e-6);
    let all = window(&[], &values);
    for (got, share) in [(all.p05, 0.05), (all.p50, 0.5), (all.p95, 0.95)] {
        let below = values.iter().filter(|&&x| x < got.unwrap()).count() as f64 / values.len() as f64;
        near(Some(below), share, 0.02);
    }
}

#[test]
fn permutation_entropy_is_0_for_order_and_1_for_noise() {
    let rising: Vec<f64> = (0..200).map(f64::from).collect();
    assert_eq!(window(&[], &rising).permutation_entropy, Some(0.0));
    assert_eq!(window(&[], &[1.0; 200]).permutation_entropy, Some(0.0), "equal samples are in order");
    near(window(&[("permutation_order", "4")], &noise(3, 5_000)).permutation_entropy, 1.0, 0.01);
    // Two patterns that alternate: log2(2) / log2(6).
    let zigzag: Vec<f64> = (0..202).map(|k| f64::from(k % 2) * 1000.0 + f64::from(k)).collect();
    near(window(&[], &zigzag).permutation_entropy, 1.0 / 6.0_f64.log2(), 1e-12);
    near(window(&[("permutation_delay", "2")], &zigzag).permutation_entropy, 0.0, 1e-12);
    assert_eq!(window(&[], &rising[..31]).permutation_entropy, None, "29 patterns are too few");
    assert!(window(&[], &rising[..32]).permutation_entropy.is_some());
}

#[test]
fn lempel_ziv_is_low_for_a_regular_signal_and_1_for_noise() {
    near(window(&[], &noise(4, 512)).lempel_ziv, 1.0, 0.1);
    let square: Vec<f64> = (0..512).map(|k| f64::from(k / 8 % 2)).collect();
    assert!(window(&[], &square).lempel_ziv.unwrap() < 0.1);
    assert_eq!(window(&[], &square[..31]).lempel_ziv, None);
    let mut late = noise(5, 2_000);
    late.extend(&square);
    assert_eq!(window(&[], &late).lempel_ziv, window(&[], &square).lempel_ziv, "the newest 512 samples");
}

#[test]
fn haar_variances_add_up_and_scale() {
    let noise = noise(6, 8_192);
    let white = window(&[], &noise);
    near(white.hurst, 0.5, 0.05);
    let total: f64 = white.band_energy.iter().flatten().sum();
    near(white.sd.map(|sd| sd * sd), total, 0.02);
    near(white.band_energy[0], 0.5, 0.03);
    let mut sum = 0.0;
    let walk: Vec<f64> = noise
        .iter()
        .map(|step| {
            sum += step;
            sum
        })
        .collect();
    near(window(&[], &walk).hurst, 1.5, 0.1);
    let constant = window(&[], &[3.0; 100]);
    assert_eq!((constant.hurst, constant.band_energy[0]), (None, Some(0.0)), "nothing scales");
    let few = window(&[], &noise[..31]);
    assert_eq!((few.hurst, few.band_energy[3].is_some(), few.band_energy[4]), (None, true, None));
}

#[test]
fn the_amplitude_of_a_sine_is_found_beside_others_and_over_gaps() {
    let sine = |period: f64, k: usize| (std::f64::consts::TAU * k as f64 / period).sin();
    let values: Vec<f64> = (0..600).map(|k| 5.0 + 2.0 * sine(60.0, k) + 0.5 * sine(10.0, k)).collect();
    let got = window(&[("periods_s", "60,10,30,1000")], &values);
    near(got.amplitude[0], 2.0, 1e-9);
    near(got.amplitude[1], 0.5, 1e-9);
    near(got.amplitude[2], 0.0, 1e-9);
    assert_eq!(got.amplitude[3], None, "less than a period");
    let gaps = seconds(&values).filter(|(t, _)| t % 7_000 < 4_000 && !(100_000..150_000).contains(t));
    let uneven = run(settings(&[("window_s", "600"), ("periods_s", "60")]), gaps).windows[0];
    near(uneven.amplitude[0], 2.0, 0.1);
    assert_eq!(window(&[("periods_s", "2")], &values).amplitude[0], None, "two samples in a period");
    assert_eq!(window(&[("periods_s", "3")], &values[..5]).amplitude[0], None, "five samples");
}

/// Two days at 1 Hz: a drift, a slow wave, noise, and Gaussian spikes of these centres, amplitudes and half widths.
fn fungus(spikes: &[(f64, f64, f64)]) -> Vec<f64> {
    let mut values = noise(7, 100_000);
    for (k, value) in values.iter_mut().enumerate() {
        let t = k as f64;
        *value = 0.004 * *value + t * 1e-5 + 0.3 * (t / 5_000.0).sin();
        for (centre, amplitude, width) in spikes {
            *value += amplitude * (-4.0 * std::f64::consts::LN_2 * ((t - centre) / width).powi(2)).exp();
        }
    }
    values
}

fn spikes_of(pairs: &[(&str, &str)], values: &[f64]) -> Vec<SignalSpike> {
    let all: Vec<_> = [("spikes.polarity", "both")].into_iter().chain(pairs.iter().copied()).collect();
    day(&all, values).spikes
}

const SPIKES: [(f64, f64, f64); 4] =
    [(10_000.0, 0.5, 120.0), (20_000.0, -0.1, 240.0), (50_000.0, 2.0, 180.0), (70_000.0, 0.05, 150.0)];

/// Mutant seen red: the median of the surroundings with their slope.
#[test]
fn spikes_have_the_time_amplitude_and_width_that_were_put_in() {
    let found = spikes_of(&[], &fungus(&SPIKES));
    assert_eq!(found.len(), SPIKES.len(), "{found:#?}");
    for (spike, (centre, amplitude, width)) in found.iter().zip(SPIKES) {
        assert!((spike.time_ms as f64 / 1000.0 - centre).abs() < 30.0, "{spike:?}");
        assert!((spike.amplitude / amplitude.abs() - 1.0).abs() < 0.2, "{spike:?}");
        assert!((spike.width_s / width - 1.0).abs() < 0.25, "{spike:?}");
        assert_eq!(spike.positive, amplitude > 0.0, "{spike:?}");
    }
    assert_eq!(spikes_of(&[("spikes.polarity", "negative")], &fungus(&SPIKES)).len(), 1);
    assert_eq!(spikes_of(&[("spikes.threshold", "0.25")], &fungus(&SPIKES)).len(), 2);
}

/// Mutants seen red: the noise without the step of the codes; a bin more before the centre than after it.
#[test]
fn noise_drift_steps_and_single_codes_are_no_spikes() {
    let quiet = fungus(&[]);
    assert_eq!(spikes_of(&[], &quiet), []);
    let steep: Vec<f64> = quiet.iter().enumerate().map(|(k, x)| x + k as f64 * 1e-2).collect();
    assert_eq!(spikes_of(&[], &steep), []);
    let step: Vec<f64> =
        quiet.iter().enumerate().map(|(k, x)| x + if k < 40_000 { 0.0 } else { 3.0 }).collect();
    assert_eq!(spikes_of(&[], &step), []);
    assert_eq!(spikes_of(&[], &vec![2.5; 20_000]), []);
    let codes: Vec<f64> = (0..20_000).map(|k| if k % 977 < 40 { 0.125 } else { 0.0 }).collect();
    assert_eq!(spikes_of(&[], &codes), [], "a code more for 40 seconds");
}

#[test]
fn within_the_dead_time_and_without_surroundings_no_spike_is_found() {
    let pair = [(10_000.0, 0.5, 120.0), (10_400.0, 0.5, 120.0)];
    assert_eq!(spikes_of(&[("spikes.dead_s", "300")], &fungus(&pair)).len(), 2);
    assert_eq!(spikes_of(&[("spikes.dead_s", "600")], &fungus(&pair)).len(), 1);
    let ends = [(300.0, 0.5, 120.0), (99_700.0, 0.5, 120.0)];
    assert_eq!(spikes_of(&[], &fungus(&ends)), [], "half a window at each end");
    let short = day(&[("spikes.dead_s", "300")], &fungus(&ends)[..1_000]);
    assert_eq!(short.windows[0].spike_count, None, "not zero: nothing was compared");
}

/// Mutant seen red: ready for the next spike at once.
#[test]
fn the_tail_of_a_spike_is_no_spike() {
    let tail = fungus(&[(10_000.0, 2.0, 60.0), (10_200.0, 0.4, 300.0)]);
    assert_eq!(spikes_of(&[("spikes.dead_s", "60")], &tail).len(), 1);
}

#[test]
fn windows_count_their_spikes_and_the_times_between_them() {
    let collected = day(&[("spikes.dead_s", "300")], &fungus(&SPIKES));
    let windows = &collected.windows;
    assert_eq!(windows.iter().map(|window| window.spike_count).collect::<Vec<_>>(), [Some(4.0), Some(0.0)]);
    let got = windows[0];
    near(got.isi_mean, 20_000.0, 20.0);
    // Of 10,000 s, 30,000 s and 20,000 s.
    near(got.isi_cv, 0.5, 0.01);
    near(got.spike_amplitude, 2.65 / 4.0, 0.05);
    near(got.spike_width, 172.5, 25.0);
    assert_eq!((windows[1].isi_mean, windows[1].spike_amplitude), (None, None));
}

#[test]
fn every_output_of_a_signal_decodes_to_itself() {
    let all = [("spikes.dead_s", "300"), ("raw", "true"), ("periods_s", "30,60")];
    let collected = run(settings(&all), seconds(&fungus(&SPIKES)[..30_000]));
    let mut bytes = Vec::new();
    assert!(collected.windows.len() == 500 && collected.spikes.len() == 2 && collected.blocks.len() == 500);
    for window in &collected.windows {
        bytes.clear();
        window.encode(&mut bytes);
        assert_eq!(SignalWindow::decode(&bytes).as_ref(), Ok(window));
    }
    for spike in &collected.spikes {
        bytes.clear();
        spike.encode(&mut bytes);
        assert_eq!(SignalSpike::decode(&bytes).as_ref(), Ok(spike));
    }
}
