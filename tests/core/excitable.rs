//! Model `excitable`: fronts of known speed, refractoriness, waves that keep coming.

use crate::support::sim::{cells, from_planes, params};
use mycelium_core::sim::{Boundary, Model, Params, Precision, Simulator, excitable};

const REST: f64 = -0.070;

fn step(simulator: &mut Simulator, steps: u64) {
    for _ in 0..steps {
        simulator.step();
    }
}

fn quiet(boundary: Boundary, grid: usize, set: &[(&str, f64)]) -> Params {
    let mut all = vec![("grid", grid as f64), ("spike_probability", 0.0)];
    all.extend(set);
    params(Model::Excitable, Precision::F64, boundary, &all)
}

/// A resting field whose first columns are excited.
fn plane_front(p: Params) -> Simulator {
    let n = p.grid;
    let a = (0..n * n).map(|k| if k % n < 8 { 1.0 } else { 0.0 }).collect();
    from_planes(p, &[vec![REST; n * n], a, vec![0.0; n * n]])
}

/// Column, interpolated, where the activator last falls through 1/2 on the middle row.
fn front(simulator: &Simulator, n: usize) -> f64 {
    let a = cells(simulator.planes().a);
    let row = &a[n / 2 * n..n / 2 * n + n];
    let last = (0..n - 1).rev().find(|&j| row[j] >= 0.5).expect("the front is on the grid");
    last as f64 + (row[last] - 0.5) / (row[last] - row[last + 1])
}

fn speed(p: Params) -> f64 {
    let n = p.grid;
    let mut simulator = plane_front(p);
    let mut at = |column: f64| {
        for _ in 0..20_000 {
            if front(&simulator, n) >= column {
                return (simulator.steps_done() as f64, front(&simulator, n));
            }
            simulator.step();
        }
        panic!("the front never came to column {column}");
    };
    let (early, start) = at(24.0);
    let (late, end) = at(52.0);
    (end - start) / (late - early)
}

/// Mutants seen red: kinetics at half their rate, threshold without `b`.
#[test]
fn fronts_travel_at_the_known_speed() {
    let rows: &[(&[(&str, f64)], &str)] = &[
        (&[], "the defaults"),
        (&[("excitable.rate", 0.05), ("excitable.d_activator", 0.1)], "wider and slower"),
        (&[("excitable.b", 0.06), ("excitable.epsilon", 0.005)], "a higher threshold"),
        (&[("excitable.epsilon", 0.04), ("excitable.d_activator", 0.15)], "an inhibitor that is not slow"),
    ];
    for (set, why) in rows {
        let p = quiet(Boundary::Neumann, 64, set);
        let want = excitable::front_speed(&p.excitable);
        let got = speed(p);
        assert!((got / want - 1.0).abs() < 0.10, "{why}: {got} cells/step, theory {want}");
    }
}

#[test]
fn with_the_defaults_even_the_limit_of_a_slow_inhibitor_holds_within_ten_percent() {
    let p = quiet(Boundary::Neumann, 64, &[]);
    let want = excitable::front_speed_limit(&p.excitable);
    let got = speed(p);
    assert!((got / want - 1.0).abs() < 0.10, "{got} cells/step, theory {want}");
}

/// A second stimulus right after the first excitation finds the cell refractory; a later one starts a wave. Mutant seen
/// red: an inhibitor that does not rise.
#[test]
fn a_cell_is_refractory_after_firing_until_it_has_recovered() {
    let n = 32;
    let p = quiet(Boundary::Neumann, n, &[("excitable.d_activator", 1e-6)]);
    let excited = excitable::excited_steps(&p.excitable);
    let mut simulator = from_planes(p, &[vec![REST; n * n], vec![0.0; n * n], vec![0.0; n * n]]);
    let mut stimulate_after = |wait: u64| {
        step(&mut simulator, wait);
        simulator.stimulate(16, 16, 0.03).unwrap();
        let before = simulator.counters().turing_activations;
        step(&mut simulator, 80);
        simulator.counters().turing_activations - before
    };
    assert!(stimulate_after(1) > 0, "a resting cell fires");
    assert_eq!(stimulate_after(excited as u64 + 100), 0, "a refractory cell does not");
    assert!(stimulate_after(4 * excited as u64) > 0, "a recovered cell fires again");
}

/// The back of a plane wave follows its front, and V returns to rest.
#[test]
fn cells_return_to_rest_behind_a_wave() {
    let n = 64;
    let mut simulator = plane_front(quiet(Boundary::Neumann, n, &[]));
    let mut highest = vec![f64::MIN; n];
    for _ in 0..4_000 {
        simulator.step();
        for (col, high) in highest.iter_mut().enumerate() {
            *high = high.max(simulator.frame().get(n / 2 * n + col));
        }
    }
    assert!(highest.iter().all(|v| *v > 0.015), "every column was excited: {highest:?}");
    assert!(cells(simulator.frame()).iter().all(|v| (v - REST).abs() < 1e-3), "and all are at rest again");
    let once = (n - 8) * n;
    assert_eq!(simulator.counters().turing_activations, once as u64, "each cell fired once");
}

/// Waves that passed each cell: rises of V above -20 mV after it had been below -55 mV.
fn waves(simulator: &mut Simulator, steps: u64) -> Vec<u32> {
    let cells = simulator.frame().len();
    let (mut waves, mut up) = (vec![0; cells], vec![true; cells]);
    for _ in 0..steps {
        simulator.step();
        let frame = simulator.frame();
        for k in 0..cells {
            let v = frame.get(k);
            if v > -0.020 && !up[k] {
                waves[k] += 1;
            }
            up[k] = v > -0.020 || (up[k] && v > -0.055);
        }
    }
    waves
}

#[test]
fn with_the_defaults_and_seed_1_waves_recur() {
    let p = params(Model::Excitable, Precision::F32, Boundary::Periodic, &[]);
    let mut counts = waves(&mut Simulator::new(p, 1), 5_000);
    counts.sort_unstable();
    assert!(counts[counts.len() / 20] >= 2, "19 of 20 cells see at least two full waves");
    assert!(counts[counts.len() / 2] >= 3, "median {}", counts[counts.len() / 2]);
}

/// Without spikes: the free ends of the first waves curl up and keep rotating.
#[test]
fn spirals_sustain_themselves_without_spikes() {
    for seed in [1, 2, 3] {
        let p = quiet(Boundary::Periodic, 64, &[]);
        let mut simulator = Simulator::new(p, seed);
        step(&mut simulator, 6_000);
        let before = simulator.counters().turing_activations;
        step(&mut simulator, 1_000);
        let fired = simulator.counters().turing_activations - before;
        assert!(fired > 1_000, "seed {seed}: {fired} excitations in the last 1,000 steps");
    }
}

#[test]
fn a_random_spike_and_a_stimulus_start_a_wave_in_a_resting_field_under_every_border() {
    for boundary in Boundary::ALL {
        let n = 64;
        let rest = [vec![REST; n * n], vec![0.0; n * n], vec![0.0; n * n]];
        let mut simulator = from_planes(quiet(*boundary, n, &[]), &rest);
        simulator.stimulate(32, 32, 0.08).unwrap();
        step(&mut simulator, 600);
        let fired = simulator.counters().turing_activations;
        assert!(fired > 1_500, "{boundary}: {fired} cells fired");
    }
}
