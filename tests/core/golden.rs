//! `mfn` in `f64` against numbers `MyceliumFractalNet` 4.1 produced: bit for bit, all boundaries, all counters.

use mycelium_core::field::Frame;
use mycelium_core::sim::{Boundary, FieldPlanes, Model, Params, Precision, RawParams, Simulator, Spike};

const GOLDEN: &str = include_str!("../fixtures/reaction_diffusion.txt");

fn splitmix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform number `k` of stream `s`.
fn uniform(s: u64, k: usize) -> f64 {
    (splitmix((s << 32).wrapping_add(k as u64)) >> 11) as f64 * 2.0_f64.powi(-53)
}

/// V, a, i of the named start.
fn start(init: &str, n: usize) -> [Vec<f64>; 3] {
    let plane = |f: &dyn Fn(usize) -> f64| (0..n * n).map(f).collect::<Vec<_>>();
    let usual = |k| -0.070 + 0.010 * (uniform(1, k) - 0.5);
    match init {
        "std" => [plane(&usual), plane(&|k| 0.1 * uniform(2, k)), plane(&|k| 0.1 * uniform(3, k))],
        "hot" => [plane(&usual), plane(&|k| 0.5 + 0.5 * uniform(2, k)), plane(&|k| 0.2 * uniform(3, k))],
        "wide" => {
            [plane(&|k| -0.120 + 0.200 * uniform(1, k)), plane(&|k| uniform(2, k)), plane(&|k| uniform(3, k))]
        }
        other => panic!("no start is called {other}"),
    }
}

fn fnv1a(cells: &[f64]) -> u64 {
    let bytes = cells.iter().flat_map(|cell| cell.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn params(n: usize, boundary: Boundary, turing: bool, precision: Precision) -> Params {
    let mut raw = RawParams::default();
    raw.model = Model::Mfn;
    (raw.precision, raw.boundary, raw.turing_enabled) = (precision, boundary, turing);
    raw.set("grid", n as f64).unwrap();
    raw.try_into().unwrap()
}

/// One run of the file: its header and spikes, then frames with their planes.
struct Run<'a> {
    n: usize,
    boundary: Boundary,
    init: &'a str,
    turing: bool,
    spikes: Vec<Spike>,
    frames: Vec<(&'a str, Vec<&'a str>)>,
}

fn runs() -> Vec<Run<'static>> {
    let mut runs: Vec<Run> = Vec::new();
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let (kind, rest) = line.split_once(' ').unwrap();
        if kind == "run" {
            let words: Vec<&str> = rest.split(' ').collect();
            runs.push(Run {
                n: words[0].parse().unwrap(),
                boundary: words[1].parse().unwrap(),
                init: words[2],
                turing: words[3] == "on",
                spikes: Vec::new(),
                frames: Vec::new(),
            });
            continue;
        }
        let run = runs.last_mut().unwrap();
        match kind {
            "spikes" => run.spikes = rest.split(';').map(spike).collect(),
            "frame" => run.frames.push((rest, Vec::new())),
            "plane" => run.frames.last_mut().unwrap().1.push(rest),
            other => panic!("unknown line {other}"),
        }
    }
    runs
}

fn spike(text: &str) -> Spike {
    let words: Vec<&str> = text.split(',').collect();
    Spike {
        step: words[0].parse().unwrap(),
        row: words[1].parse().unwrap(),
        col: words[2].parse().unwrap(),
        volts: words[3].parse().unwrap(),
    }
}

fn simulator(run: &Run, precision: Precision) -> Simulator {
    let [v, a, i] = start(run.init, run.n);
    let state = FieldPlanes { v: Frame::F64(&v), a: Frame::F64(&a), i: Frame::F64(&i) };
    let params = params(run.n, run.boundary, run.turing, precision);
    let mut simulator = Simulator::with_planes(params, 1, state).unwrap();
    simulator.set_spikes(run.spikes.clone()).unwrap();
    simulator
}

fn cells(frame: Frame) -> Vec<f64> {
    (0..frame.len()).map(|k| frame.get(k)).collect()
}

fn check_plane(want: &str, simulator: &Simulator, n: usize, context: &str) {
    let words: Vec<&str> = want.split(' ').collect();
    let planes = simulator.planes();
    let got = cells(match words[0] {
        "V" => planes.v,
        "a" => planes.a,
        _ => planes.i,
    });
    for sample in words[6].split(';') {
        let at: Vec<&str> = sample.split(',').collect();
        let (row, col): (usize, usize) = (at[0].parse().unwrap(), at[1].parse().unwrap());
        let value: f64 = at[2].parse().unwrap();
        assert_eq!(got[row * n + col], value, "{context} {} at {row},{col}", words[0]);
    }
    let number = |k: usize| words[k].parse::<f64>().unwrap();
    assert_eq!(got.iter().copied().fold(f64::INFINITY, f64::min), number(1), "{context} min");
    assert_eq!(got.iter().copied().fold(f64::NEG_INFINITY, f64::max), number(2), "{context} max");
    let mean = got.iter().sum::<f64>() / got.len() as f64;
    let sd = (got.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / got.len() as f64).sqrt();
    assert!((mean - number(3)).abs() <= 1e-12 * number(3).abs(), "{context} mean {mean}");
    assert!((sd - number(4)).abs() <= 1e-9 * number(4).abs(), "{context} std {sd}");
    assert_eq!(format!("{:016x}", fnv1a(&got)), words[5], "{context} bits of {}", words[0]);
}

/// Mutants seen red: left and right swapped under Dirichlet, theta compared with the old activator, inhibitor
/// from the new activator.
#[test]
fn mfn_in_f64_equals_myceliumfractalnet_4_1_bit_for_bit_in_all_twenty_golden_runs() {
    let runs = runs();
    assert_eq!(runs.len(), 20);
    for run in &runs {
        let mut simulator = simulator(run, Precision::F64);
        for (frame, planes) in &run.frames {
            let numbers: Vec<u64> = frame.split(' ').map(|word| word.parse().unwrap()).collect();
            while simulator.steps_done() < numbers[0] {
                assert!(!simulator.step().reseeded);
            }
            let context = format!("{}x{} {} {} step {}", run.n, run.n, run.boundary, run.init, numbers[0]);
            let counts = simulator.counters();
            let got = [counts.growth_events, counts.turing_activations, counts.clamping_events];
            assert_eq!(got, numbers[1..], "{context} counters");
            for plane in planes {
                check_plane(plane, &simulator, run.n, &context);
            }
        }
    }
}

/// The bound stated in docs/MODELS.md.
#[test]
fn mfn_in_f32_stays_within_a_hundredth_of_a_millivolt_of_f64_where_no_cell_crosses_theta() {
    let mut worst: f64 = 0.0;
    for run in runs().iter().filter(|run| run.init == "std") {
        let (mut single, mut double) = (simulator(run, Precision::F32), simulator(run, Precision::F64));
        for _ in 0..100 {
            single.step();
            double.step();
        }
        assert_eq!(double.counters().turing_activations, 0, "no cell crosses theta");
        for (x, y) in cells(single.frame()).iter().zip(cells(double.frame())) {
            worst = worst.max((x - y).abs());
        }
    }
    assert!(worst > 0.0, "the two precisions differ");
    assert!(worst <= 2e-7, "{} mV", worst * 1e3);
}

/// Where cells do cross theta, the two precisions may count differently but agree in the mean.
#[test]
fn mfn_in_f32_agrees_with_f64_in_the_mean_where_cells_cross_theta() {
    for run in runs().iter().filter(|run| run.init == "hot") {
        let (mut single, mut double) = (simulator(run, Precision::F32), simulator(run, Precision::F64));
        for _ in 0..100 {
            single.step();
            double.step();
        }
        let mean = |s: &Simulator| cells(s.frame()).iter().sum::<f64>() / (run.n * run.n) as f64;
        assert!((mean(&single) - mean(&double)).abs() < 1e-4, "{}: means apart", run.boundary);
    }
}
