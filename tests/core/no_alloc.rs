//! Steps, pushes into the ring and steps of the twin allocate nothing; what is allocated at the start equals the memory
//! budget.

use crate::support::sim::params;
use allocation_counter::measure;
use mycelium_core::features::{Compat, Connectivity, FeatureProfile, Threshold};
use mycelium_core::sim::{Boundary, FrameRing, Model, Precision, Simulator, Twin};
use mycelium_daemon::clock::{Mono, Stamp, Wall};
use mycelium_daemon::engine::{EngineCore, EnginePlan, SimulationMetrics};
use mycelium_daemon::snapshots::FeatureRing;

/// Mutant seen red: a `Vec` per step.
#[test]
fn steps_pushes_and_twin_steps_allocate_nothing_in_any_model_border_and_precision() {
    for model in Model::ALL {
        for boundary in Boundary::ALL {
            for precision in Precision::ALL {
                let set = [("grid", 24.0), ("jitter_variance", 1e-6), ("spike_probability", 1.0)];
                let params = params(*model, *precision, *boundary, &set);
                let mut ring = FrameRing::new(&params, 4);
                let mut simulator = Simulator::new(params, 1);
                let mut twin = Twin::fork(&simulator, 8);
                let seen = measure(|| {
                    for _ in 0..50 {
                        simulator.stimulate(1, 2, 0.01).unwrap();
                        simulator.step();
                        ring.push(simulator.steps_done(), simulator.frame());
                    }
                });
                assert_eq!(seen.count_total, 0, "steps of {model} {boundary} {precision}");
                let mut twin_again = Twin::fork(&simulator, 8);
                let seen = measure(|| {
                    for _ in 0..50 {
                        twin_again.step_both(&mut simulator);
                    }
                });
                assert_eq!(seen.count_total, 0, "twin of {model} {boundary} {precision}");
                twin.step_both(&mut simulator);
            }
        }
    }
}

#[test]
fn a_reseed_allocates_nothing() {
    let params = params(Model::Turing, Precision::F64, Boundary::Periodic, &[("grid", 16.0)]);
    let mut planes = crate::support::sim::planes(&Simulator::new(params.clone(), 1));
    (planes[0][0], planes[0][1]) = (1e308, -1e308);
    let mut simulator = crate::support::sim::from_planes(params, &planes);
    let mut twin = Twin::fork(&simulator, 0);
    let seen = measure(|| assert!(twin.step_both(&mut simulator).reseeded));
    assert_eq!(seen.count_total, 0);
}

/// What the simulation thread does at each tick, with features of every frame and a window every fourth step.
/// Mutant seen red: the values of a frame collected into a `Vec` in `EngineCore::extract`.
#[test]
fn a_tick_with_features_windows_and_snapshots_allocates_nothing() {
    let params = params(Model::Turing, Precision::F32, Boundary::Periodic, &[("grid", 64.0)]);
    let mut ring = FrameRing::new(&params, 64);
    let mut snapshots = FeatureRing::new(8);
    let metrics = SimulationMetrics::default();
    let (compat, threshold, connectivity) = (Compat::Edge, Threshold::Otsu, Connectivity::Four);
    let profile = FeatureProfile { compat, threshold, connectivity, torus: true, window: 64 };
    let mut core = EngineCore::new(EnginePlan {
        params,
        seed: 1,
        profile,
        every: 1,
        window_steps: 4,
        inputs: Vec::new(),
    });
    let stamp = Stamp { mono: Mono(1), wall: Wall(1), synced: true };
    let mut windows = 0;
    let mut ticks = |count: u32| {
        for _ in 0..count {
            core.stimulate(1, 2, 0.01).unwrap();
            let done = core.step();
            metrics.steps.add(1);
            let values = done.features.expect("every step has features");
            metrics.fractal_dimension.observe(values[0]);
            for (gauge, &value) in metrics.features.iter().zip(&values) {
                gauge.set(value);
            }
            ring.push(core.simulator().steps_done(), core.frame());
            snapshots.push(core.simulator().steps_done(), stamp, values);
            windows += u32::from(done.window.is_some());
        }
    };
    // The first frames allocate the memory of estimators and snapshots.
    ticks(100);
    let seen = measure(|| ticks(200));
    assert_eq!(seen.count_total, 0);
    assert_eq!(windows, 75);
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap()
}

#[test]
fn heap_memory_equals_the_budget_to_the_byte() {
    for precision in Precision::ALL {
        for grid in [8.0, 64.0, 129.0] {
            let params = params(Model::Excitable, *precision, Boundary::Periodic, &[("grid", grid)]);
            let mut kept = None;
            let seen = measure(|| kept = Some(Simulator::new(params.clone(), 1)));
            assert_eq!(seen.bytes_current, signed(Simulator::memory_bytes(&params)), "simulator of {grid}");
            assert_eq!(kept.as_ref().map(Simulator::heap_bytes), Some(Simulator::memory_bytes(&params)));
            let mut twin = None;
            let seen = measure(|| twin = kept.as_ref().map(|simulator| Twin::fork(simulator, 0)));
            assert_eq!(seen.bytes_current, signed(Twin::memory_bytes(&params)), "twin of {grid}");
            let mut ring = None;
            let seen = measure(|| ring = Some(FrameRing::new(&params, 5)));
            assert_eq!(seen.bytes_current, signed(FrameRing::memory_bytes(&params, 5)), "ring of {grid}");
        }
    }
}
