//! PURE. On-demand simulations: the request, its limits, and the result.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nanoserde::DeJson;

use crate::api::http::problem::Problem;
use crate::field_run::FieldRun;
use crate::formats::json::{self, JsonObject, JsonSchema, SchemaField};
use mycelium_core::features::{
    self, Compat, Connectivity, FEATURE_NAMES, FeatureProfile, FeatureValues, Threshold,
};
use mycelium_core::field::GRID_SIDE;
use mycelium_core::range::OutOfRange;
use mycelium_core::sim::{Boundary, Params, RawParams, Simulator, Twin};

/// Most cells times steps of one request: about a second on the machine this was measured on.
const MAX_WORK: u64 = 1 << 28;

pub const DEFAULT_SEED: u64 = 42;
pub const DEFAULT_STEPS: u64 = 64;

#[derive(DeJson)]
struct RequestBody {
    seed: Option<u64>,
    grid_size: Option<u64>,
    steps: Option<u64>,
    alpha: Option<f64>,
    spike_probability: Option<f64>,
    turing_enabled: Option<bool>,
    model: Option<String>,
    precision: Option<String>,
    preset: Option<String>,
}

const REQUEST_SCHEMA: JsonSchema = JsonSchema::Record(&[
    SchemaField::optional("seed", JsonSchema::Integer { low: 0, high: u64::MAX }),
    SchemaField::optional(
        "grid_size",
        JsonSchema::Integer { low: *GRID_SIDE.start() as i64, high: *GRID_SIDE.end() as u64 },
    ),
    SchemaField::optional(
        "steps",
        JsonSchema::Integer { low: Params::STEPS.low as i64, high: Params::STEPS.high as u64 },
    ),
    SchemaField::optional("alpha", JsonSchema::Number),
    SchemaField::optional("spike_probability", JsonSchema::Number),
    SchemaField::optional("turing_enabled", JsonSchema::Boolean),
    SchemaField::optional("model", JsonSchema::Text { max: 16 }),
    SchemaField::optional("precision", JsonSchema::Text { max: 16 }),
    SchemaField::optional("preset", JsonSchema::Text { max: 16 }),
]);

/// Completes parameters with the numbers a client has set.
pub fn field_params(
    mut raw: RawParams,
    grid: Option<u64>,
    alpha: Option<f64>,
    spike_probability: Option<f64>,
) -> Result<Params, OutOfRange> {
    let numbers =
        [("grid", grid.map(|n| n as f64)), ("alpha", alpha), ("spike_probability", spike_probability)];
    for (key, value) in numbers {
        if let Some(value) = value {
            raw.set(key, value)?;
        }
    }
    Params::try_from(raw)
}

/// The value of the feature of that name; NaN if there is none.
pub fn feature(values: &FeatureValues, name: &str) -> f64 {
    FEATURE_NAMES.iter().position(|n| *n == name).map_or(f64::NAN, |k| values[k])
}

/// How the features of such a field are defined: like those of the daemon, if known.
pub fn field_profile(params: &Params, daemon: Option<FeatureProfile>) -> FeatureProfile {
    let profile = daemon.unwrap_or(FeatureProfile {
        compat: Compat::Edge,
        threshold: Threshold::Otsu,
        connectivity: Connectivity::Four,
        torus: true,
        window: 64,
    });
    FeatureProfile { torus: params.boundary == Boundary::Periodic, ..profile }
}

/// Bytes of a field with its extractor, both allocated at the start.
pub fn field_memory_bytes(params: &Params, profile: &FeatureProfile) -> u64 {
    (Simulator::memory_bytes(params) + features::memory_bytes(params.grid, profile)) as u64
}

/// A request within all limits.
#[derive(Clone, Debug)]
pub struct SimulationRequest {
    params: Params,
    seed: u64,
    steps: u64,
    profile: FeatureProfile,
}

impl SimulationRequest {
    /// Parses a body. Its fields are those of the reference, as are the defaults of seed and steps.
    pub fn parse(body: &[u8], profile: Option<FeatureProfile>) -> Result<Self, Problem> {
        let request: RequestBody = json::parse(body, &REQUEST_SCHEMA)?;
        let mut raw = RawParams::default();
        if let Some(model) = &request.model {
            raw.model = model.parse()?;
        }
        if let Some(precision) = &request.precision {
            raw.precision = precision.parse()?;
        }
        if let Some(preset) = &request.preset {
            raw.gray_scott_preset = preset.parse()?;
        }
        raw.turing_enabled = request.turing_enabled.unwrap_or(true);
        let params = field_params(raw, request.grid_size, request.alpha, request.spike_probability)?;
        let steps = request.steps.unwrap_or(DEFAULT_STEPS);
        let work = (params.grid as u64).pow(2).saturating_mul(steps);
        if work > MAX_WORK {
            let most = MAX_WORK / (params.grid as u64).pow(2);
            let detail = format!(
                "`steps` is {steps}; on a grid of {0} x {0} it must be at most {most}, or use `myceliumd simulate`",
                params.grid
            );
            return Err(Problem::new(422, detail));
        }
        let profile = field_profile(&params, profile);
        Ok(Self { params, seed: request.seed.unwrap_or(DEFAULT_SEED), steps, profile })
    }

    /// Bytes that [`run`](Self::run) allocates.
    pub fn memory_bytes(&self) -> u64 {
        field_memory_bytes(&self.params, &self.profile) + Twin::memory_bytes(&self.params) as u64
    }

    /// The result as JSON; `None` if it was cancelled.
    pub fn run(&self, cancelled: &AtomicBool) -> Option<String> {
        let simulator = Simulator::new(self.params.clone(), self.seed);
        let mut run = FieldRun::new(simulator, self.profile, self.steps, 1, false);
        for step in 1..=self.steps {
            if cancelled.load(Relaxed) {
                return None;
            }
            run.step(step);
            run.sample();
        }
        let values = run.values();
        Some(render(&run.simulator, &values))
    }
}

/// Under the names of the reference first, then as features.
fn render(simulator: &Simulator, values: &FeatureValues) -> String {
    let counts = simulator.counters();
    let of = |name| feature(values, name);
    let mut text = String::with_capacity(1024);
    let mut object = JsonObject::new(&mut text);
    object
        .integer("growth_events", counts.growth_events)
        .number("pot_min_mV", of("V_min"))
        .number("pot_max_mV", of("V_max"))
        .number("pot_mean_mV", of("V_mean"))
        .number("pot_std_mV", of("V_std"))
        .number("fractal_dimension", of("D_box"))
        .integer("steps", simulator.steps_done())
        .integer("turing_activations", counts.turing_activations)
        .integer("clamping_events", counts.clamping_events)
        .integer("reseeds", counts.reseeds);
    let mut features = object.object("features");
    for (name, &value) in FEATURE_NAMES.iter().zip(values) {
        features.number(name, value);
    }
    drop(features);
    let mut warnings = object.array("warnings");
    for warning in simulator.params().warnings() {
        warnings.string(&warning.to_string());
    }
    drop(warnings);
    drop(object);
    text
}
