//! Whether a long run stays alive: which features vary in every tenth of it, and whether the field repeats itself.
//!
//! `cargo bench --bench alive -- [MODEL [FIRST_SEED..=LAST_SEED [STEPS [KEY=VALUE ..]]]]`, by default the default model, seeds
//! 1..=20 and 1,000,000 steps; `BENCH_SMALL=1` for a short run. Features are taken every 10 steps under the default profile,
//! in blocks of 64 records: a block counts as varying if the feature takes two values in it. Prints one line per seed and
//! one per feature; the exit code is 1 if a feature is constant through a tenth. Left out are `lyapunov`, which needs a twin, and
//! `T_stable`, which says when a field settles and so is constant where it never does.

use std::ops::RangeInclusive;
use std::process::ExitCode;

use mycelium_core::features::{Extractor, FEATURE_COUNT, FEATURE_NAMES, FeatureProfile, LYAPUNOV_INDEX};
use mycelium_core::sim::{Model, Params, RawParams, Simulator};

const EVERY: u64 = 10;
const BLOCK: usize = 64;
const TENTHS: u64 = 10;
/// Longest lag of the autocorrelation, records: 20,000 steps.
const MAX_LAG: usize = 2000;
/// Index of `V_mean`.
const V_MEAN: usize = 4;

struct Plan {
    params: Params,
    seeds: RangeInclusive<u64>,
    steps: u64,
}

fn plan() -> Result<Plan, String> {
    let small = std::env::var_os("BENCH_SMALL").is_some();
    let mut raw = RawParams::default();
    let (mut seeds, mut steps) = if small { (1..=2, 20_000) } else { (1..=20, 1_000_000) };
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    for (place, argument) in arguments.enumerate() {
        match (place, argument.split_once('=')) {
            (0, _) => raw.model = argument.parse::<Model>().map_err(|error| error.to_string())?,
            (1, _) => {
                let (first, last) = argument.split_once("..=").ok_or("seeds must be FIRST..=LAST")?;
                let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
                seeds = number(first)?..=number(last)?;
            }
            (2, _) => steps = argument.parse().map_err(|error| format!("{argument}: {error}"))?,
            (_, Some((key, value))) => {
                let value = value.parse().map_err(|error| format!("{argument}: {error}"))?;
                raw.set(key, value).map_err(|error| error.to_string())?;
            }
            _ => return Err(format!("{argument}: must be KEY=VALUE")),
        }
    }
    let params = Params::try_from(raw).map_err(|error| error.to_string())?;
    Ok(Plan { params, seeds, steps })
}

/// What one tenth of a run showed.
struct Tenth {
    /// Share of blocks in which each feature varies.
    varies: [f64; FEATURE_COUNT],
    /// Largest autocorrelation of `V_mean` beyond its first minimum: 1 for a periodic field.
    repeats: f64,
    activations: u64,
    spikes: u64,
}

fn tenth(simulator: &mut Simulator, extractor: &mut Extractor, steps: u64) -> Tenth {
    let before = simulator.counters();
    let mut records = Vec::new();
    for step in 1..=steps {
        simulator.step();
        if step % EVERY == 0 {
            extractor.push(simulator.frame());
            records.push(extractor.values());
        }
    }
    let blocks: Vec<_> = records.chunks_exact(BLOCK).collect();
    let varies = std::array::from_fn(|k| {
        let varying = blocks.iter().filter(|block| block.iter().any(|values| values[k] != block[0][k]));
        varying.count() as f64 / blocks.len() as f64
    });
    let mean: Vec<f64> = records.iter().map(|values| values[V_MEAN]).collect();
    let after = simulator.counters();
    Tenth {
        varies,
        repeats: repeats(&mean),
        activations: after.turing_activations - before.turing_activations,
        spikes: after.growth_events - before.growth_events,
    }
}

/// Largest autocorrelation at a lag beyond the first minimum; 1 for a constant series, which repeats itself.
fn repeats(series: &[f64]) -> f64 {
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let centred: Vec<f64> = series.iter().map(|x| x - mean).collect();
    let lags = MAX_LAG.min(series.len() / 2);
    let correlation = |lag: usize| {
        let (early, late) = (&centred[..centred.len() - lag], &centred[lag..]);
        let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let scale = (sum(early, early) * sum(late, late)).sqrt();
        if scale > 0.0 { sum(early, late) / scale } else { 1.0 }
    };
    let all: Vec<f64> = (0..lags).map(correlation).collect();
    let minimum = (1..lags.saturating_sub(1)).find(|&lag| all[lag] < all[lag + 1] && all[lag] < 0.5);
    minimum.map_or(1.0, |first| all[first..].iter().copied().fold(-1.0, f64::max))
}

fn main() -> ExitCode {
    let Plan { params, seeds, steps } = match plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("alive: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut least, mut sum, mut tenths) = ([1.0_f64; FEATURE_COUNT], [0.0; FEATURE_COUNT], 0.0);
    println!(
        "{} {}x{}, {steps} steps, {} spikes per step",
        params.model, params.grid, params.grid, params.spike_probability
    );
    for seed in seeds {
        let mut simulator = Simulator::new(params.clone(), seed);
        let mut extractor = Extractor::new(params.grid, FeatureProfile::DEFAULT);
        let found: Vec<Tenth> =
            (0..TENTHS).map(|_| tenth(&mut simulator, &mut extractor, steps / TENTHS)).collect();
        for tenth in &found {
            for k in 0..FEATURE_COUNT {
                least[k] = least[k].min(tenth.varies[k]);
                sum[k] += tenth.varies[k];
            }
            tenths += 1.0;
        }
        let fewest = found.iter().map(|tenth| tenth.activations).min().unwrap_or(0);
        let spikes: u64 = found.iter().map(|tenth| tenth.spikes).sum();
        let repeats = found.iter().map(|tenth| tenth.repeats).fold(-1.0, f64::max);
        println!(
            "seed {seed}: at least {fewest} activations in a tenth, {spikes} spikes, autocorrelation of V_mean at most {repeats:.2}"
        );
    }
    println!("feature, share of blocks in which it varies: in the worst tenth, on average");
    let mut alive = true;
    for (k, name) in
        FEATURE_NAMES.iter().enumerate().filter(|(k, name)| *k != LYAPUNOV_INDEX && **name != "T_stable")
    {
        println!("{name:16} {:6.3} {:6.3}", least[k], sum[k] / tenths);
        alive &= least[k] > 0.0;
    }
    ExitCode::from(u8::from(!alive))
}
