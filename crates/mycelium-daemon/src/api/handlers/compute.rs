//! Routes whose response depends on the body: Nernst potentials and stimuli on the HTTP loop, simulations on their
//! job thread.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use std::sync::Arc;

use nanoserde::DeJson;

use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::memory_budget::check_fits;
use crate::api::ports::StimulusRequest;
use crate::api::request::{ApiRequest, HandlerResult};
use crate::api::simulation_request::SimulationRequest;
use crate::api::state::AppState;
use crate::formats::json::{self, JsonObject, JsonSchema, SchemaField};
use crate::nernst::{DEFAULT_TEMPERATURE, Ion};
use crate::sync::lock;
use mycelium_core::field::GRID_SIDE;
use mycelium_core::sim::{MAX_PENDING_STIMULI, STIMULUS_VOLTS};

#[derive(DeJson)]
struct NernstRequest {
    z_valence: i32,
    concentration_out_molar: f64,
    concentration_in_molar: f64,
    temperature_k: Option<f64>,
}

const NERNST_REQUEST: JsonSchema = JsonSchema::Record(&[
    SchemaField::required("z_valence", JsonSchema::Integer { low: -2, high: 2 }),
    SchemaField::required("concentration_out_molar", JsonSchema::Number),
    SchemaField::required("concentration_in_molar", JsonSchema::Number),
    SchemaField::optional("temperature_k", JsonSchema::Number),
]);

pub fn nernst(body: &[u8]) -> Result<Response, Problem> {
    let request: NernstRequest = json::parse(body, &NERNST_REQUEST)?;
    let ion = Ion::new(
        request.z_valence,
        request.concentration_out_molar,
        request.concentration_in_molar,
        request.temperature_k.unwrap_or(DEFAULT_TEMPERATURE),
    )?;
    let mut text = String::new();
    JsonObject::new(&mut text).number("potential_mV", ion.potential_volts() * 1e3);
    Ok(Response::json(200, text))
}

pub fn simulate(state: &AppState, request: &ApiRequest<'_>) -> HandlerResult {
    start_simulation(state, request).unwrap_or_else(|problem| HandlerResult::Ready(Err(problem)))
}

fn start_simulation(state: &AppState, request: &ApiRequest<'_>) -> Result<HandlerResult, Problem> {
    let info = state.info();
    let simulation = SimulationRequest::parse(request.body, info.profile)?;
    let (reserved, borrowable) = (info.simulation_bytes, info.borrowable_bytes);
    let bytes = simulation.memory_bytes();
    check_fits(bytes, reserved + borrowable)?;
    let place = state.reserve_simulation(request.holder)?;
    let (memory, snapshots) = (state.simulation_memory().clone(), Arc::clone(state.snapshots()));
    // Memory is reserved on the job thread, which runs one simulation at a time: queued ones hold none.
    let job = state.simulations().start(move |cancelled| -> Result<_, Problem> {
        let outbox_is_healthy = lock(&snapshots.outbox).degraded.is_none();
        let limit = reserved + if outbox_is_healthy { borrowable } else { 0 };
        let _reservation = memory.reserve(bytes, limit)?;
        Ok(simulation.run(cancelled))
    })?;
    let response = async move {
        let text = job.result().await.transpose()?.flatten();
        drop(place);
        text.map(|text| Response::json(200, text)).ok_or(Problem::new(500, "the simulation was cancelled"))
    };
    // A client may close its sending side after the request and still wait for the result.
    Ok(HandlerResult::Pending { response: Box::pin(response), cancel_on_half_close: false, is_poll: false })
}

#[derive(DeJson)]
struct StimulusItem {
    row: u64,
    col: u64,
    volts: f64,
}

#[derive(DeJson)]
struct StimuliRequest {
    items: Vec<StimulusItem>,
}

const CELL: JsonSchema = JsonSchema::Integer { low: 0, high: *GRID_SIDE.end() as u64 - 1 };
/// One request can fill the queue of the next step and no more.
const STIMULI_REQUEST: JsonSchema = JsonSchema::Record(&[SchemaField::required(
    "items",
    JsonSchema::List {
        of: &JsonSchema::Record(&[
            SchemaField::required("row", CELL),
            SchemaField::required("col", CELL),
            SchemaField::required("volts", JsonSchema::Number),
        ]),
        max: MAX_PENDING_STIMULI,
    },
)]);

pub fn stimuli(state: &AppState, body: &[u8]) -> Result<Response, Problem> {
    let request: StimuliRequest = json::parse(body, &STIMULI_REQUEST)?;
    let grid = state.info().grid as u64;
    let mut stimuli = Vec::with_capacity(request.items.len());
    for (k, item) in request.items.iter().enumerate() {
        if item.row >= grid || item.col >= grid {
            let detail = format!("`items[{k}]` is outside the field: row and col must be below {grid}");
            return Err(Problem::new(422, detail));
        }
        STIMULUS_VOLTS.check(&format!("items[{k}].volts"), item.volts)?;
        stimuli.push(StimulusRequest { row: item.row as usize, col: item.col as usize, volts: item.volts });
    }
    (state.ports().stimulate)(&stimuli)
        .map_err(|_| Problem::busy("the queue of stimuli is full: try again", 1))?;
    Ok(Response::json(202, format!("{{\"accepted\":{}}}", stimuli.len())))
}
