//! A separate field that one client watches step by step.

use super::messages::{SubscribeParams, server_message};
use crate::api::http::problem::Problem;
use crate::api::memory_budget::{MemoryBudget, Reservation, check_fits};
use crate::api::simulation_request::{
    DEFAULT_SEED, DEFAULT_STEPS, feature, field_memory_bytes, field_params, field_profile,
};
use crate::formats::json::JsonObject;
use mycelium_core::features::{Extractor, FeatureProfile};
use mycelium_core::sim::{Model, RawParams, Simulator};

/// Potential in mV above which version 4.1 calls a cell active.
const ACTIVE_ABOVE_MV: f64 = -60.0;

pub struct LiveSimulation {
    simulator: Simulator,
    profile: FeatureProfile,
    steps: u64,
    /// Steps between two updates.
    interval: u64,
    include_full_state: bool,
    _memory: Reservation,
}

impl LiveSimulation {
    /// `profile` is that of the daemon, if known. `memory` has `limit` bytes for all simulations.
    pub fn new(
        request: &SubscribeParams,
        profile: Option<FeatureProfile>,
        memory: &MemoryBudget,
        limit: u64,
    ) -> Result<Self, Problem> {
        let mut raw = RawParams::default();
        raw.model = Model::Mfn;
        raw.turing_enabled = request.turing_enabled.unwrap_or(true);
        let params = field_params(raw, request.grid_size, request.alpha, request.spike_probability)?;
        let profile = field_profile(&params, profile);
        let bytes = field_memory_bytes(&params, &profile);
        check_fits(bytes, limit)?;
        Ok(Self {
            _memory: memory.reserve(bytes, limit)?,
            profile,
            simulator: Simulator::new(params, request.seed.unwrap_or(DEFAULT_SEED)),
            steps: request.steps.unwrap_or(DEFAULT_STEPS),
            interval: request.update_interval_steps.unwrap_or(1),
            include_full_state: request.include_full_state.unwrap_or(false),
        })
    }

    pub fn is_done(&self) -> bool {
        self.simulator.steps_done() >= self.steps
    }

    /// Steps to the next update: at most 100 steps of at most 256 x 256 cells.
    pub fn advance(&mut self) {
        for _ in 0..self.interval {
            if !self.is_done() {
                self.simulator.step();
            }
        }
    }

    /// Box-counting dimension of the current frame.
    fn fractal_dimension(&self) -> f64 {
        let mut extractor = Extractor::new(self.simulator.params().grid, self.profile);
        extractor.push(self.simulator.frame());
        feature(&extractor.values(), "D_box")
    }

    /// The message `simulation_state`, or `simulation_complete` for the end.
    pub fn message(&self, id: &str, now_ms: i64, complete: bool) -> String {
        let frame = self.simulator.frame();
        let cells = frame.len() as f64;
        let mv = || (0..frame.len()).map(|k| frame.get(k) * 1e3);
        let mean = mv().sum::<f64>() / cells;
        let std = libm::sqrt(mv().map(|v| (v - mean) * (v - mean)).sum::<f64>() / cells);
        let active = mv().filter(|v| *v > ACTIVE_ABOVE_MV).count();
        let growth_events = self.simulator.counters().growth_events;
        let mut payload = String::with_capacity(512);
        let mut object = JsonObject::new(&mut payload);
        object.string("stream_id", id);
        if !complete {
            object.integer("step", self.simulator.steps_done()).integer("total_steps", self.steps);
        }
        let mut state = object.object(if complete { "final_metrics" } else { "state" });
        state
            .number("pot_mean_mV", mean)
            .number("pot_std_mV", std)
            .number("pot_min_mV", mv().fold(f64::INFINITY, f64::min))
            .number("pot_max_mV", mv().fold(f64::NEG_INFINITY, f64::max));
        if complete {
            state.integer("growth_events", growth_events);
            state.number("fractal_dimension", self.fractal_dimension());
        } else {
            state.integer("active_nodes", active as u64);
        }
        if self.include_full_state && !complete {
            let side = self.simulator.params().grid as u64;
            state.array("field_shape").integer(side).integer(side);
            state.number("field_mean", mean / 1e3);
        }
        drop(state);
        if !complete {
            object.object("metrics").integer("growth_events", growth_events);
        }
        object.integer("timestamp", now_ms);
        drop(object);
        let kind = if complete { "simulation_complete" } else { "simulation_state" };
        server_message(kind, Some(id), now_ms, &payload)
    }
}
