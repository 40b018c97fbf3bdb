//! Answers that are computed from the body: Nernst potentials and stimuli at once, simulations on their thread.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use std::rc::Rc;
use std::sync::Arc;

use nanoserde::DeJson;

use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::memory_budget::check_fits;
use crate::api::ports::Stimulus;
use crate::api::simulation_request;
use crate::api::state::{ApiRequest, AppState, HandlerResult};
use crate::formats::json::{self, JsonObject, JsonSchema, SchemaField};
use crate::nernst::{DEFAULT_TEMPERATURE, Ion};
use mycelium_core::sim::{MAX_PENDING_STIMULI, STIMULUS_VOLTS};

#[derive(DeJson)]
struct Membrane {
    z_valence: i32,
    concentration_out_molar: f64,
    concentration_in_molar: f64,
    temperature_k: Option<f64>,
}

const MEMBRANE: JsonSchema = JsonSchema::Record(&[
    SchemaField::required("z_valence", JsonSchema::Integer { low: -2, high: 2 }),
    SchemaField::required("concentration_out_molar", JsonSchema::Number),
    SchemaField::required("concentration_in_molar", JsonSchema::Number),
    SchemaField::optional("temperature_k", JsonSchema::Number),
]);

pub fn nernst(body: &[u8]) -> Result<Response, Problem> {
    let asked: Membrane = json::parse(body, &MEMBRANE)?;
    let ion = Ion::new(
        asked.z_valence,
        asked.concentration_out_molar,
        asked.concentration_in_molar,
        asked.temperature_k.unwrap_or(DEFAULT_TEMPERATURE),
    )?;
    let mut text = String::new();
    JsonObject::new(&mut text).number("potential_mV", ion.potential_volts() * 1e3);
    Ok(Response::json(200, text))
}

pub fn simulate(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    match start(state, request) {
        Ok(outcome) => outcome,
        Err(problem) => HandlerResult::Ready(Err(problem)),
    }
}

fn start(state: &Rc<AppState>, request: &ApiRequest<'_>) -> Result<HandlerResult, Problem> {
    let plan = simulation_request::Plan::read(request.body, state.ports.info.profile)?;
    let (own, lent) = (state.ports.info.work_bytes, state.ports.info.lent_bytes);
    let bytes = plan.memory_bytes();
    check_fits(bytes, own + lent)?;
    let (memory, snapshots) = (state.memory.clone(), Arc::clone(&state.snapshots));
    // One at a time: those that wait for their turn take none yet.
    let running = state.worker.start(move |cancelled| -> Result<_, Problem> {
        let lent = if crate::sync::lock(&snapshots.outbox).degraded.is_none() { lent } else { 0 };
        let share = memory.reserve(bytes, own + lent)?;
        let text = plan.run(cancelled);
        drop(share);
        Ok(text)
    })?;
    let result = async move {
        let text = running.result().await.transpose()?.flatten();
        text.map(|text| Response::json(200, text)).ok_or(Problem::new(500, "the simulation was called off"))
    };
    // A client that has said all it wants to say still waits for the result.
    Ok(HandlerResult::Pending { answer: Box::pin(result), cancel_on_half_close: false })
}

#[derive(DeJson)]
struct Push {
    row: u64,
    col: u64,
    volts: f64,
}

#[derive(DeJson)]
struct Pushes {
    items: Vec<Push>,
}

/// One request fills the queue of the next step at most.
const CELL: JsonSchema = JsonSchema::Integer { low: 0, high: 511 };
const PUSHES: JsonSchema = JsonSchema::Record(&[SchemaField::required(
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
    let pushes: Pushes = json::parse(body, &PUSHES)?;
    let grid = state.ports.info.grid as u64;
    let mut stimuli = Vec::with_capacity(pushes.items.len());
    for (k, push) in pushes.items.iter().enumerate() {
        if push.row >= grid || push.col >= grid {
            let detail = format!("`items[{k}]` lies outside the field: row and col must be below {grid}");
            return Err(Problem::new(422, detail));
        }
        STIMULUS_VOLTS.check(&format!("items[{k}].volts"), push.volts)?;
        stimuli.push(Stimulus { row: push.row as usize, col: push.col as usize, volts: push.volts });
    }
    (state.ports.stimulate)(&stimuli)
        .map_err(|_| Problem::busy("stimuli are queued up already: try again", 1))?;
    Ok(Response::json(202, format!("{{\"accepted\":{}}}", stimuli.len())))
}
