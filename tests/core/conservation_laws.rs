//! Laws that every model obeys: conservation, symmetry of the torus and the square, counts, bounds, re-seeding.

use crate::support::sim::{cells, from_planes, mean, params, planes};
use mycelium_core::sim::{Boundary, MAX_PENDING_STIMULI, Model, Precision, Simulator, Spike, StimulusError};

const N: usize = 24;

/// A random field around the working point of the model.
fn field(model: Model, seed: u64) -> [Vec<f64>; 3] {
    let set = [("grid", N as f64)];
    let mut simulator = Simulator::new(params(model, Precision::F64, Boundary::Periodic, &set), seed);
    for _ in 0..5 {
        simulator.step();
    }
    planes(&simulator)
}

fn quiet(model: Model, precision: Precision, boundary: Boundary) -> mycelium_core::sim::Params {
    params(model, precision, boundary, &[("grid", N as f64), ("spike_probability", 0.0)])
}

/// Mutant seen red: Neumann ghosts taken one cell inside the edge.
#[test]
fn diffusion_conserves_the_sum_with_periodic_and_neumann_but_not_with_dirichlet_borders() {
    for seed in 0..10 {
        for (boundary, conserves) in
            [(Boundary::Periodic, true), (Boundary::Neumann, true), (Boundary::Dirichlet, false)]
        {
            let mut simulator =
                from_planes(quiet(Model::Mfn, Precision::F64, boundary), &field(Model::Mfn, seed));
            let before = mean(&cells(simulator.frame()));
            for _ in 0..200 {
                simulator.step();
            }
            let moved = (mean(&cells(simulator.frame())) - before).abs();
            assert_eq!(moved < 1e-14, conserves, "{boundary}: the mean moved by {moved} V");
        }
    }
}

/// New position of a cell under a symmetry.
type Symmetry = fn(usize, usize) -> (usize, usize);

fn moved(plane: &[f64], symmetry: Symmetry) -> Vec<f64> {
    let mut out = vec![0.0; plane.len()];
    for row in 0..N {
        for col in 0..N {
            let (to_row, to_col) = symmetry(row, col);
            out[to_row * N + to_col] = plane[row * N + col];
        }
    }
    out
}

fn max_difference(xs: &[f64], ys: &[f64]) -> f64 {
    xs.iter().zip(ys).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

/// Mutants seen red: periodic ghosts of the last row left out, wrong ghost column.
#[test]
fn stepping_commutes_with_the_symmetries_of_the_border() {
    let rotation: Symmetry = |row, col| (col, N - 1 - row);
    let transposition: Symmetry = |row, col| (col, row);
    let shift: Symmetry = |row, col| ((row + 7) % N, (col + 19) % N);
    for model in Model::ALL {
        for boundary in Boundary::ALL {
            let mut symmetries = vec![("rotation", rotation), ("transposition", transposition)];
            if *boundary == Boundary::Periodic {
                symmetries.push(("translation", shift));
            }
            for (name, symmetry) in symmetries {
                let start = field(*model, 3);
                let turned = start.each_ref().map(|plane| moved(plane, symmetry));
                let mut one = from_planes(quiet(*model, Precision::F64, *boundary), &start);
                let mut two = from_planes(quiet(*model, Precision::F64, *boundary), &turned);
                for _ in 0..50 {
                    assert_eq!(one.step().turing_activations, two.step().turing_activations);
                }
                for (x, y) in planes(&one).iter().zip(&planes(&two)) {
                    let gap = max_difference(&moved(x, symmetry), y);
                    // Only the order of the four neighbours in a sum differs, and under a translation not even that.
                    let bound = if name == "translation" { 0.0 } else { 1e-11 };
                    assert!(gap <= bound, "{model} {boundary} {name}: {gap}");
                }
            }
        }
    }
}

#[test]
fn every_model_border_and_precision_stays_in_its_bounds_for_many_seeds_with_jitter_and_spikes() {
    for seed in 0..4 {
        for model in Model::ALL {
            for boundary in Boundary::ALL {
                for precision in Precision::ALL {
                    let set = [("grid", 17.0), ("jitter_variance", 1e-4), ("spike_probability", 1.0)];
                    let mut simulator = Simulator::new(params(*model, *precision, *boundary, &set), seed);
                    for _ in 0..300 {
                        let report = simulator.step();
                        assert!(!report.reseeded, "{model} {boundary} {precision}");
                    }
                    let [v, a, i] = planes(&simulator);
                    // The rails in f32 lie within half a unit of the last place of those in f64.
                    assert!(v.iter().all(|v| (-0.095_000_01..=0.040_000_01).contains(v)), "{model}");
                    assert!(a.iter().chain(&i).all(|x| *x >= 0.0 && x.is_finite()), "{model}");
                    let counts = simulator.counters();
                    assert!(counts.growth_events > 0 && counts.reseeds == 0, "{model} {counts:?}");
                }
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_another_field() {
    for model in Model::ALL {
        let run = |seed| {
            let set = [("grid", 16.0), ("jitter_variance", 1e-6)];
            let mut simulator =
                Simulator::new(params(*model, Precision::F32, Boundary::Periodic, &set), seed);
            for _ in 0..100 {
                simulator.step();
            }
            (planes(&simulator), simulator.counters())
        };
        assert_eq!(run(1), run(1), "{model}");
        assert_ne!(run(1), run(2), "{model}");
    }
}

/// The bits of a short run of every model: all targets compute the same (no fused multiply-add, no mathematics of the
/// platform). Run on every target that the project builds for.
#[test]
fn a_run_of_each_model_has_the_same_bits_on_every_target_and_instruction_set() {
    let hash = |model, precision| {
        let set = [("grid", 19.0), ("jitter_variance", 1e-6), ("spike_probability", 0.5)];
        let mut simulator = Simulator::new(params(model, precision, Boundary::Periodic, &set), 42);
        for _ in 0..200 {
            simulator.step();
        }
        let all = planes(&simulator);
        all.iter().flatten().fold(0_u64, |hash, cell| hash.rotate_left(5).wrapping_mul(3) ^ cell.to_bits())
    };
    let rows = [
        (Model::Mfn, Precision::F64, 0x9d74_18af_b65a_3998),
        (Model::Mfn, Precision::F32, 0x919a_5f05_f933_dcb7),
        (Model::Turing, Precision::F64, 0xa5d1_f678_93b5_483f),
        (Model::Turing, Precision::F32, 0x9ce4_4a61_0163_d6c8),
        (Model::Excitable, Precision::F64, 0xbd61_6df4_ad0b_c288),
        (Model::Excitable, Precision::F32, 0x59fc_630a_c196_f899),
        (Model::GrayScott, Precision::F64, 0xbc7f_fa02_91aa_2814),
        (Model::GrayScott, Precision::F32, 0x3545_61a9_8ec4_7814),
    ];
    let got: Vec<_> =
        rows.iter().map(|&(model, precision, _)| (model, precision, hash(model, precision))).collect();
    assert_eq!(got, rows, "{got:#x?}");
}

/// Mutant seen red: rate per grid instead of per cell.
#[test]
fn spikes_come_at_the_stated_rate_per_grid_in_mfn_and_per_cell_in_the_other_models() {
    for (model, grid, steps, want) in [
        (Model::Mfn, 8.0, 8_000_u32, 0.25 * 8_000.0),
        (Model::Mfn, 16.0, 8_000, 0.25 * 8_000.0),
        (Model::Turing, 16.0, 20_000, 0.25 * 20_000.0 / 16.0),
        (Model::Excitable, 32.0, 8_000, 0.25 * 8_000.0 / 4.0),
    ] {
        let set = [("grid", grid), ("spike_probability", 0.25)];
        let mut simulator = Simulator::new(params(model, Precision::F32, Boundary::Periodic, &set), 5);
        for _ in 0..steps {
            simulator.step();
        }
        let got = simulator.counters().growth_events as f64;
        // Five standard deviations of a Poisson count.
        assert!((got - want).abs() < 5.0 * want.sqrt(), "{model} {grid}: {got} spikes, not {want}");
    }
}

#[test]
fn listed_spikes_replace_random_ones_in_any_order_and_each_counts_even_when_clipped_away() {
    let set = [("grid", 8.0), ("spike_probability", 1.0)];
    let mut simulator = Simulator::new(params(Model::Mfn, Precision::F64, Boundary::Periodic, &set), 1);
    let spike = |step, volts| Spike { step, row: 7, col: 0, volts };
    simulator.set_spikes(vec![spike(3, 0.01), spike(1, 5.0), spike(3, -0.01), spike(900, 0.1)]).unwrap();
    let growth: Vec<u64> = (0..6).map(|_| simulator.step().growth_events).collect();
    assert_eq!(growth, [0, 1, 0, 2, 0, 0]);
    let refused = simulator.set_spikes(vec![Spike { step: 0, row: 8, col: 0, volts: 0.0 }]).unwrap_err();
    assert_eq!(refused.to_string(), "`row` is 8; it must be from 0 to 7");
    assert!(simulator.set_spikes(vec![spike(0, f64::NAN)]).is_err());
}

#[test]
fn a_stimulus_acts_on_its_cell_at_the_next_step_and_the_queue_is_bounded() {
    for model in Model::ALL {
        for boundary in Boundary::ALL {
            let set = [("grid", 16.0), ("spike_probability", 0.0)];
            let start = Simulator::new(params(*model, Precision::F32, *boundary, &set), 9);
            let (mut with, mut without) = (start.clone(), start);
            with.stimulate(0, 15, 0.02).unwrap();
            assert_eq!((with.step().stimuli, without.step().stimuli), (1, 0));
            let [x, y] = [&with, &without].map(|s| cells(s.frame()));
            let gaps: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
            let strongest = (0..gaps.len()).max_by(|&k, &l| gaps[k].total_cmp(&gaps[l])).unwrap();
            assert!(gaps[15] > 0.001, "{model} {boundary}: {}", gaps[15]);
            if *boundary != Boundary::Dirichlet && *model != Model::Excitable {
                assert_eq!(strongest, 15, "{model} {boundary}");
            }
            assert_eq!(with.step().stimuli, 0, "a stimulus acts once");
        }
    }
    let mut simulator = Simulator::new(quiet(Model::Mfn, Precision::F32, Boundary::Periodic), 1);
    for _ in 0..MAX_PENDING_STIMULI {
        simulator.stimulate(1, 1, 0.001).unwrap();
    }
    assert_eq!(simulator.stimulate(1, 1, 0.001), Err(StimulusError::Full));
    assert!(matches!(simulator.stimulate(0, N, 0.1), Err(StimulusError::OutOfRange(_))));
    assert!(matches!(simulator.stimulate(0, 0, 11.0), Err(StimulusError::OutOfRange(_))));
    assert_eq!(simulator.step().stimuli, MAX_PENDING_STIMULI as u64);
}

/// Finite planes whose Laplacian overflows. Mutants seen red: no check, check after the clip only.
#[test]
fn a_value_that_stops_being_finite_reseeds_the_field_and_is_counted() {
    for (precision, huge) in [(Precision::F32, 3e38), (Precision::F64, 1e308)] {
        for plane in 0..3 {
            for model in Model::ALL {
                let mut start = field(*model, 1);
                start[plane][5] = huge;
                start[plane][6] = -huge;
                let mut simulator = from_planes(quiet(*model, precision, Boundary::Periodic), &start);
                let seed = simulator.seed();
                let mut reseeds = 0;
                for _ in 0..20 {
                    reseeds += u64::from(simulator.step().reseeded);
                    assert!(
                        planes(&simulator).iter().flatten().all(|x| x.is_finite()),
                        "{model} plane {plane}"
                    );
                }
                assert_eq!(simulator.counters().reseeds, reseeds);
                if plane == 0 {
                    assert_eq!(reseeds, 1, "{model} {precision}: V overflows at once, and once only");
                    assert_ne!(simulator.seed(), seed);
                }
            }
        }
    }
}

#[test]
fn planes_of_a_wrong_size_or_not_finite_are_refused_and_volts_outside_the_clip_are_accepted() {
    use mycelium_core::field::Frame;
    use mycelium_core::sim::FieldPlanes;
    let params = || quiet(Model::Mfn, Precision::F32, Boundary::Periodic);
    let good = vec![0.5; N * N];
    let mut broken = good.clone();
    broken[3] = f64::NAN;
    let too_large_for_f32 = vec![1e39; N * N];
    let rows = [
        (&good, None, "0.5 V lies outside the clip and is accepted"),
        (
            &broken,
            Some("`V[3]` is NaN; it must be a finite number in the precision of the simulation"),
            "NaN",
        ),
        (
            &too_large_for_f32,
            Some(
                "`V[0]` is 1000000000000000000000000000000000000000; it must be a finite number in the precision of the simulation",
            ),
            "overflow",
        ),
    ];
    for (v, refusal, why) in rows {
        let state = FieldPlanes { v: Frame::F64(v), a: Frame::F64(&good), i: Frame::F64(&good) };
        let got = Simulator::with_planes(params(), 1, state).err().map(|refused| refused.to_string());
        assert_eq!(got.as_deref(), refusal, "{why}");
    }
    let short = FieldPlanes { v: Frame::F64(&good), a: Frame::F64(&good[1..]), i: Frame::F64(&good) };
    let refused = Simulator::with_planes(params(), 1, short).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`activator` is 575 cells; it must be 576 cells, one for each of the grid"
    );
}

/// The setting once had no effect in `turing` and `excitable`. Mutants seen red: the kinetics chosen by the model alone,
/// impulses that change the activator.
#[test]
fn with_turing_disabled_activator_and_inhibitor_never_change() {
    for &model in Model::ALL {
        for &boundary in Boundary::ALL {
            let mut quiet = quiet(model, Precision::F64, boundary);
            quiet.turing_enabled = false;
            quiet.spike_probability = 1.0;
            let start = field(model, 2);
            let mut simulator = from_planes(quiet, &start);
            for step in 0..20 {
                simulator.stimulate(step % N, 3, 0.02).unwrap();
                simulator.step();
            }
            let end = planes(&simulator);
            assert!(end[1..] == start[1..] && end[0] != start[0], "{model}, {boundary}");
        }
    }
}
