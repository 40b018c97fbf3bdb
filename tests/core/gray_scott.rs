//! Model `gray_scott`: linear theory of its homogeneous states, and which of Pearson's classes live, settle or die.

use crate::support::sim::{cells, from_planes, params};
use mycelium_core::sim::{
    Boundary, GrayScottPreset, Model, Params, Precision, RawParams, Simulator, gray_scott,
};

fn step(simulator: &mut Simulator, steps: u64) {
    for _ in 0..steps {
        simulator.step();
    }
}

fn quiet(set: &[(&str, f64)]) -> Params {
    let mut all = vec![("spike_probability", 0.0)];
    all.extend(set);
    params(Model::GrayScott, Precision::F64, Boundary::Periodic, &all)
}

fn of_preset(preset: GrayScottPreset) -> Simulator {
    let mut raw = RawParams::default();
    raw.model = Model::GrayScott;
    raw.gray_scott_preset = preset;
    raw.set("spike_probability", 0.0).unwrap();
    Simulator::new(raw.try_into().unwrap(), 1)
}

/// Standard deviation of V, and root mean square change of V in 10 steps, mV.
fn spread_and_change(simulator: &mut Simulator) -> [f64; 2] {
    let before = cells(simulator.frame());
    step(simulator, 10);
    let after = cells(simulator.frame());
    let n = after.len() as f64;
    let mean = after.iter().sum::<f64>() / n;
    let spread = after.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let change = before.iter().zip(&after).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / n;
    [spread, change].map(|square| square.sqrt() * 1e3)
}

#[test]
fn a_preset_sets_feed_and_kill_unless_they_are_given() {
    let mut raw = RawParams::default();
    raw.model = Model::GrayScott;
    raw.gray_scott_preset = GrayScottPreset::Theta;
    assert_eq!([raw.get("gray_scott.feed"), raw.get("gray_scott.kill")], [Some(0.030), Some(0.057)]);
    raw.set("gray_scott.kill", 0.06).unwrap();
    assert_eq!([raw.get("gray_scott.feed"), raw.get("gray_scott.kill")], [Some(0.030), Some(0.06)]);
}

/// Gray and Scott 1984: beside the trivial state there are two where `F >= 4 (F + k)^2`.
#[test]
fn homogeneous_states_are_steady_and_appear_at_the_saddle_node() {
    for (feed, kill, want) in [(0.04, 0.06, 3), (0.04, 0.0599, 3), (0.04, 0.0601, 1), (0.02, 0.07, 1)] {
        let p = quiet(&[("grid", 8.0), ("gray_scott.feed", feed), ("gray_scott.kill", kill)]);
        let states = gray_scott::steady_states(&p.gray_scott);
        // At the saddle node itself the rounding of the discriminant decides.
        if kill != 0.06 {
            assert_eq!(states.len(), want, "{feed} {kill}");
        }
        for [v, u] in states {
            let mut simulator = from_planes(p.clone(), &[vec![-0.07; 64], vec![v; 64], vec![u; 64]]);
            simulator.step();
            let [a, i] = [cells(simulator.planes().a)[0], cells(simulator.planes().i)[0]];
            assert!((a - v).abs() < 1e-14 && (i - u).abs() < 1e-14, "{v} {u} moved to {a} {i}");
        }
    }
}

/// One Fourier mode of tiny size on the trivial state, which is always stable, and on the state with most activator.
#[test]
fn a_small_wave_changes_at_the_rate_of_the_dispersion_relation_of_the_lattice() {
    let n = 32;
    let p = quiet(&[("grid", n as f64), ("gray_scott.feed", 0.05), ("gray_scott.kill", 0.055)]);
    let states = gray_scott::steady_states(&p.gray_scott);
    for (state, waves) in [(states[0], 0), (states[0], 3), (states[2], 1), (states[2], 4)] {
        let k = std::f64::consts::TAU * f64::from(waves) / n as f64;
        let theory = gray_scott::growth(&p.gray_scott, state, 2.0 - 2.0 * k.cos());
        let cosine: Vec<f64> = (0..n * n).map(|at| (k * (at % n) as f64).cos()).collect();
        let [v, u] = state;
        let trivial = v == 0.0;
        // The clips at 0 and 1 leave room for one sign only: a wave on a shift of the same size.
        let shift = if trivial { 1e-7 } else { 0.0 };
        let a = cosine.iter().map(|c| v + shift + 1e-7 * c).collect();
        let mut simulator = from_planes(p.clone(), &[vec![-0.07; n * n], a, vec![u; n * n]]);
        let amplitude = |simulator: &Simulator| {
            let a = cells(simulator.planes().a);
            a.iter().zip(&cosine).map(|(a, c)| (a - v) * c).sum::<f64>()
        };
        let at = [0, 1, 2].map(|_| {
            step(&mut simulator, 1);
            amplitude(&simulator)
        });
        // Both eigenvectors are present: x'' = (m1 + m2) x' - m1 m2 x for the multipliers 1 + s.
        let [m1, m2] = theory.real.map(|s| 1.0 + s);
        let product = if theory.imaginary == 0.0 { m1 * m2 } else { m1 * m1 + theory.imaginary.powi(2) };
        let want = (m1 + m2) * at[1] - product * at[0];
        assert!((at[2] / want - 1.0).abs() < 1e-4, "{waves} waves on {v}: {} not {want}", at[2]);
        if trivial {
            assert!(theory.real[0] < 0.0, "the trivial state is stable");
        }
    }
}

/// Pearson 1993: spots that divide and die, for ever.
#[test]
fn the_spots_of_class_epsilon_never_settle() {
    let mut simulator = of_preset(GrayScottPreset::Epsilon);
    for part in 0..4 {
        step(&mut simulator, 5_000);
        let [spread, change] = spread_and_change(&mut simulator);
        assert!(spread > 3.0 && change > 0.2, "part {part}: {spread} mV, {change} mV in 10 steps");
    }
    assert_eq!(simulator.counters().clamping_events, 0);
}

/// Pearson 1993: stripes that fill the field and come to rest.
#[test]
fn the_stripes_of_class_theta_settle() {
    let mut simulator = of_preset(GrayScottPreset::Theta);
    step(&mut simulator, 20_000);
    let [spread, change] = spread_and_change(&mut simulator);
    assert!(spread > 5.0 && change < 0.05, "{spread} mV, {change} mV in 10 steps");
}

/// Pearson 1993: only the trivial state is left at a high removal.
#[test]
fn at_a_high_kill_everything_dies() {
    let mut simulator = Simulator::new(quiet(&[("gray_scott.feed", 0.02), ("gray_scott.kill", 0.07)]), 1);
    step(&mut simulator, 5_000);
    let left = cells(simulator.planes().a).into_iter().fold(0.0, f64::max);
    assert!(left < 1e-9, "{left}");
}

#[test]
fn a_stimulus_starts_a_pattern_in_a_resting_field_under_every_border_and_in_both_precisions() {
    for &boundary in Boundary::ALL {
        for &precision in Precision::ALL {
            let n = 48;
            let set = [("grid", n as f64), ("spike_probability", 0.0)];
            let p = params(Model::GrayScott, precision, boundary, &set);
            let rest = [vec![-0.07; n * n], vec![0.0; n * n], vec![1.0; n * n]];
            let mut simulator = from_planes(p, &rest);
            simulator.stimulate(24, 24, 0.05).unwrap();
            step(&mut simulator, 1_000);
            let highest = cells(simulator.planes().a).into_iter().fold(0.0, f64::max);
            assert!(highest > 0.2, "{boundary} {precision}: {highest}");
        }
    }
}
