//! Signal channels: which samples are taken, where windows begin and end, what is counted.

use allocation_counter::measure;
use mycelium_core::signals::{
    Accepted, FUTURE_MS, MAX_BLOCK_SAMPLES, RawSignalSettings, SampleBlock, SignalChannel, SignalOutput,
    SignalSettings, SignalSpike, SignalWindow, TIME_RANGE_MS,
};

/// Everything on.
pub const ALL: [(&str, &str); 7] = [
    ("raw", "true"),
    ("expected_ms", "1000"),
    ("deadband", "0"),
    ("permutation_order", "5"),
    ("permutation_delay", "16"),
    ("periods_s", "10,20,30,60"),
    ("spikes.threshold", "5mad"),
];

/// Everything that a channel gave.
#[derive(Debug, Default, PartialEq)]
pub struct Collected {
    pub windows: Vec<SignalWindow>,
    pub spikes: Vec<SignalSpike>,
    pub blocks: Vec<SampleBlock>,
}

impl Collected {
    pub fn take(&mut self, output: SignalOutput<'_>) {
        match output {
            SignalOutput::Window(window) => self.windows.push(*window),
            SignalOutput::Spike(spike) => self.spikes.push(*spike),
            SignalOutput::Samples(block) => self.blocks.push(block.clone()),
        }
    }
}

pub fn settings(pairs: &[(&str, &str)]) -> SignalSettings {
    let mut raw = RawSignalSettings::default();
    for (key, text) in pairs {
        raw.set(key, text).unwrap();
    }
    SignalSettings::checked(&raw).unwrap()
}

/// All outputs for these samples.
pub fn run(settings: SignalSettings, samples: impl IntoIterator<Item = (i64, f64)>) -> Collected {
    let (mut channel, mut collected) = (SignalChannel::new(settings), Collected::default());
    for (t_ms, value) in samples {
        channel.push(t_ms, value, &mut |output| collected.take(output));
    }
    channel.close(&mut |output| collected.take(output));
    collected
}

fn starts(collected: &Collected) -> Vec<(i64, u32)> {
    collected.windows.iter().map(|window| (window.start_ms, window.count)).collect()
}

#[test]
fn windows_begin_at_multiples_of_their_length_in_the_time_of_the_samples() {
    let samples = [0, 59_999, 60_000, 125_000, 179_999].map(|t| (t, 1.0));
    let collected = run(settings(&[]), samples);
    assert_eq!(starts(&collected), [(0, 2), (60_000, 1), (120_000, 2)]);
    assert_eq!((collected.windows[2].first_time, collected.windows[2].last_time), (125_000, 179_999));
}

#[test]
fn the_simple_features_of_a_window_are_known() {
    let samples = [(0, 3.0), (1_800, 1.0), (3_600, 5.0), (3_600, 7.0)];
    let window = run(settings(&[("low", "1"), ("high", "7")]), samples).windows[0];
    assert_eq!((window.count, window.saturated), (4, 2));
    assert_eq!((window.min, window.max, window.mean), (Some(1.0), Some(7.0), Some(4.0)));
    assert!((window.sd.unwrap() - (20.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    assert!((window.rms_difference.unwrap() - (24.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    let one = run(settings(&[]), [(0, 3.0)]).windows[0];
    assert_eq!((one.mean, one.sd, one.slope_per_hour, one.rms_difference), (Some(3.0), None, None, None));
    let same_time = run(settings(&[]), [(7, 3.0), (7, 4.0)]).windows[0];
    assert_eq!(same_time.slope_per_hour, None, "no slope without a distance in time");
}

#[test]
fn what_is_not_a_number_is_in_no_feature() {
    let mut channel = SignalChannel::new(settings(&[("scale", "1e10")]));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let accepted = channel.push(0, value, &mut |output| panic!("{output:?}"));
        assert_eq!(accepted, Accepted::NotFinite, "{value}");
    }
    channel.close(&mut |output| panic!("{output:?}"));
}

#[test]
fn scale_and_offset_come_before_everything_else() {
    let window = run(settings(&[("scale", "0.5"), ("offset", "-1"), ("low", "0")]), [(0, 2.0)]).windows[0];
    assert_eq!((window.mean, window.saturated), (Some(0.0), 1));
}

#[test]
fn late_samples_are_counted_once_and_kept_in_blocks() {
    let samples = [(60_000, 1.0), (59_999, 9.0), (61_000, 2.0), (60_500, 3.0), (120_000, 4.0)];
    let collected = run(settings(&[("raw", "true")]), samples);
    assert_eq!(starts(&collected), [(60_000, 3), (120_000, 1)]);
    assert_eq!((collected.windows[0].late, collected.windows[1].late), (1, 0));
    assert_eq!(collected.windows[0].max, Some(3.0), "a late sample is in no feature");
    let kept: Vec<f64> = collected.blocks.iter().flat_map(|block| block.values().to_vec()).collect();
    assert_eq!(kept, [1.0, 9.0, 2.0, 3.0, 4.0]);
}

#[test]
fn missing_samples_are_counted_once_wherever_windows_end() {
    let every_seven = |count: i64| (0..count).map(|k| (k * 7_000, 0.0));
    let seven = settings(&[("expected_ms", "7000")]);
    let total = |collected: &Collected| collected.windows.iter().map(|window| window.missing).sum::<u32>();
    assert_eq!(total(&run(seven, every_seven(100))), 0, "the period does not divide the window");
    let jitter = (0..100).map(|k| (k * 7_000 + k * 1_237 % 3_000, 0.0));
    assert_eq!(total(&run(seven, jitter)), 0, "times that are inexact are not missing samples");
    let holes = every_seven(100).filter(|(t, _)| ![3, 4, 5, 8, 9, 40].contains(&(t / 7_000)));
    assert_eq!(total(&run(seven, holes)), 6);
    let gap = every_seven(100).filter(|(t, _)| !(20..90).contains(&(t / 7_000)));
    let collected = run(seven, gap);
    assert_eq!(total(&collected), 70, "a gap of several windows");
    let ages = run(seven, [(0, 0.0), (253_402_300_000_000, 0.0)]);
    assert_eq!(ages.windows[1].missing, u32::MAX, "at most what fits");
}

/// Mutants seen red: without the check of `FUTURE_MS`; without the restart.
#[test]
fn a_sample_years_ahead_is_refused_and_a_clock_that_is_set_back_starts_over() {
    let mut channel = SignalChannel::new(settings(&[]));
    let mut collected = Collected::default();
    let mut push =
        |channel: &mut SignalChannel, t_ms| channel.push(t_ms, 1.0, &mut |output| collected.take(output));
    let year = 365 * FUTURE_MS;
    assert_eq!(push(&mut channel, *TIME_RANGE_MS.end() + 1), Accepted::Future, "the year 10000");
    assert_eq!(push(&mut channel, *TIME_RANGE_MS.start() - 1), Accepted::Late, "before 1970");
    assert_eq!(push(&mut channel, i64::MIN), Accepted::Late);
    channel.advance(0, &mut |_| {});
    assert_eq!(push(&mut channel, year), Accepted::Future, "a year ahead");
    assert_eq!(push(&mut channel, 5), Accepted::Taken, "and the present is not late");
    channel.advance(year, &mut |_| {});
    assert_eq!(push(&mut channel, year), Accepted::Taken, "the clock of the gateway was set to a wrong year");
    assert_eq!(push(&mut channel, 6), Accepted::Late);
    channel.advance(7, &mut |_| {});
    assert_eq!(push(&mut channel, 7), Accepted::Taken, "and back");
    assert_eq!(push(&mut channel, 8), Accepted::Taken);
    channel.close(&mut |output| collected.take(output));
    assert_eq!(starts(&collected), [(year - year % 60_000, 1), (0, 2)]);
}

#[test]
fn a_window_ends_when_its_time_is_over_though_the_signal_is_silent() {
    let mut channel = SignalChannel::new(settings(&[("expected_ms", "1000")]));
    let mut collected = Collected::default();
    channel.push(30_000, 1.0, &mut |output| collected.take(output));
    channel.advance(59_999, &mut |output| collected.take(output));
    assert!(collected.windows.is_empty());
    channel.advance(60_000, &mut |output| collected.take(output));
    assert_eq!((collected.windows[0].count, collected.windows[0].missing), (1, 29));
    channel.advance(3_600_000, &mut |output| collected.take(output));
    assert_eq!(collected.windows.len(), 1, "an empty window is none");
    assert_eq!(channel.push(59_999, 1.0, &mut |_| {}), Accepted::Late, "it is complete");
    assert_eq!(channel.push(60_000, 1.0, &mut |_| {}), Accepted::Taken);
}

#[test]
fn within_the_deadband_of_the_last_reported_sample_nothing_is_reported() {
    let mut channel = SignalChannel::new(settings(&[("deadband", "0.5"), ("raw", "true")]));
    let mut collected = Collected::default();
    let values = [1.0, 1.5, 1.4, 1.6, 1.2, 0.9];
    let accepted = values.map(|value| channel.push(0, value, &mut |output| collected.take(output)));
    let (taken, unchanged) = (Accepted::Taken, Accepted::Unchanged);
    assert_eq!(accepted, [taken, unchanged, unchanged, taken, unchanged, taken]);
    channel.close(&mut |output| collected.take(output));
    assert_eq!(collected.blocks[0].values(), [1.0, 1.6, 0.9]);
    assert_eq!(collected.windows[0].count, 6, "features have every sample");
}

#[test]
fn blocks_have_every_sample_and_end_with_the_window() {
    let samples: Vec<_> = (0..700).map(|k| (k * 100, k as f64)).collect();
    let collected = run(settings(&[("raw", "true")]), samples.iter().copied());
    let sizes: Vec<_> = collected.blocks.iter().map(|block| block.values().len()).collect();
    assert_eq!(sizes, [MAX_BLOCK_SAMPLES, MAX_BLOCK_SAMPLES, 600 - 2 * MAX_BLOCK_SAMPLES, 100]);
    let times = |block: &SampleBlock| -> Vec<i64> {
        block.dt_ms().iter().map(|&dt| block.t0_ms() + i64::from(dt)).collect()
    };
    let back: Vec<_> =
        collected.blocks.iter().flat_map(|b| times(b).into_iter().zip(b.values().to_vec())).collect();
    assert_eq!(back, samples);
}

#[test]
fn a_gap_of_ten_thousand_years_gives_no_windows_and_takes_no_time() {
    let samples = [(*TIME_RANGE_MS.start(), 1.0), (*TIME_RANGE_MS.end(), 2.0)];
    let all = settings(&[("window_s", "1"), ("expected_ms", "1"), ("raw", "true")]);
    assert_eq!(run(all, samples).windows.len(), 2);
}

#[test]
fn random_times_and_values_never_panic_and_every_sample_is_accounted_for() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut channel = SignalChannel::new(settings(&[("window_s", "7"), ("raw", "true")]));
        let mut collected = Collected::default();
        let mut counts = [0_u32; 2];
        let mut t_ms = rng.i64(TIME_RANGE_MS);
        for _ in 0..500 {
            t_ms = match rng.u32(0..40) {
                0 => rng.i64(..),
                1 => t_ms.saturating_sub(rng.i64(0..100_000)),
                _ => t_ms.saturating_add(rng.i64(0..2_000)),
            };
            let value = if rng.u32(0..50) == 0 { f64::NAN } else { (rng.f64() - 0.5) * 10.0 };
            let accepted = channel.push(t_ms, value, &mut |output| collected.take(output));
            counts[0] += u32::from(accepted == Accepted::Taken);
            counts[1] += u32::from(accepted == Accepted::Late);
            if rng.u32(0..20) == 0 {
                channel.advance(t_ms, &mut |output| collected.take(output));
            }
        }
        channel.push(t_ms, 0.0, &mut |_| {});
        channel.close(&mut |output| collected.take(output));
        let windows = &collected.windows;
        let total: u32 = windows.iter().map(|window| window.count).sum();
        assert!(total == counts[0] || total == counts[0] + 1, "seed {seed}: {total} of {}", counts[0]);
        assert!(windows.iter().map(|window| window.late).sum::<u32>() <= counts[1] + 1, "seed {seed}");
        for window in windows {
            assert_eq!(window.start_ms.rem_euclid(7_000), 0, "seed {seed}");
            let inside = window.start_ms..window.start_ms + 7_000;
            assert!(inside.contains(&window.first_time) && inside.contains(&window.last_time), "seed {seed}");
        }
    }
}

#[test]
fn a_channel_has_a_fixed_amount_of_memory_and_allocates_nothing_afterwards() {
    let settings = settings(&ALL);
    let mut channel = None;
    let made = measure(|| channel = Some(SignalChannel::new(settings)));
    let channel = channel.as_mut().unwrap();
    let memory = SignalChannel::memory_bytes(&settings);
    assert_eq!(made.bytes_current, i64::try_from(memory).unwrap());
    assert!(memory <= 8 << 10, "{memory} bytes");
    let mut outputs = 0;
    let seen = measure(|| {
        for k in 0..10_000 {
            channel.push(k * 1_000, f64::from((k % 97) as u32), &mut |_| outputs += 1);
            channel.advance(k * 1_000, &mut |_| outputs += 1);
        }
    });
    assert_eq!(seen.count_total, 0);
    assert!(outputs > 300, "{outputs}");
}
