//! Health, readiness, and the status of all parts of the daemon.

use std::sync::atomic::Ordering::Relaxed;

use crate::api::http::problem::Problem;
use crate::api::http::response::{JSON, Response, ResponseBody};
use crate::api::state::AppState;
use crate::clock::{Mono, clock_label};
use crate::formats::json::JsonObject;
use crate::snapshots::{EndpointView, InputView};
use crate::sync::lock;
use mycelium_core::features::{Compat, Connectivity, FeatureProfile};

pub fn health(state: &AppState, now: Mono) -> Result<Response, Problem> {
    for task in &state.snapshots().tasks {
        if let Some(silence) = task.stalled(now) {
            let detail = format!("task `{}` has not moved for {:.1} s", task.name, silence.as_secs_f64());
            return Err(Problem::new(503, detail));
        }
    }
    let degraded = lock(&state.snapshots().outbox).degraded.clone();
    let Some(reason) = degraded else {
        return Ok(Response::new(200, JSON, ResponseBody::Static(b"{\"status\":\"ok\"}")));
    };
    let mut text = String::new();
    JsonObject::new(&mut text).string("status", "degraded").string("detail", &reason);
    Ok(Response::json(200, text))
}

/// Ready from the start until the daemon stops. Receivers that cannot be reached do not matter.
pub fn ready(state: &AppState) -> Result<Response, Problem> {
    if state.is_stopping() {
        return Err(Problem::new(503, "the daemon is stopping"));
    }
    Ok(Response::new(200, JSON, ResponseBody::Static(b"{\"status\":\"ready\"}")))
}

pub fn status(state: &AppState, now: Mono) -> Response {
    let (snapshots, info) = (state.snapshots(), state.info());
    let progress = *lock(&snapshots.progress);
    let newest = lock(&snapshots.features).newest();
    let synced = snapshots.clock_synced.load(Relaxed);
    let mut text = String::with_capacity(2048);
    let mut object = JsonObject::new(&mut text);
    object
        .string("version", info.version)
        .string("device", &snapshots.identity.device)
        .display("boot", snapshots.identity.boot)
        .display("started", snapshots.identity.started.wall)
        .number("uptime_seconds", now.since(snapshots.identity.started.mono).as_secs_f64())
        .string("clock", clock_label(synced, false));
    object
        .object("model")
        .string("name", info.model)
        .string("precision", info.precision)
        .string("boundary", info.boundary)
        .integer("grid", info.grid as u64)
        .integer("seed", snapshots.identity.seed)
        .number("tick_ms", info.tick.as_secs_f64() * 1e3)
        .integer("frames", info.frames as u64)
        .integer("every", info.every)
        .number("constant_after_seconds", info.constant_after.map_or(f64::NAN, |time| time.as_secs_f64()));
    if let Some(profile) = info.profile {
        profile_fields(&mut object.object("features"), profile);
    }
    let totals = progress.totals;
    object.integer("step", progress.step).integer("late_ticks", progress.late_ticks);
    object.integer("feature_seq", newest);
    object
        .object("totals")
        .integer("growth_events", totals.growth_events)
        .integer("turing_activations", totals.turing_activations)
        .integer("clamping_events", totals.clamping_events)
        .integer("reseeds", totals.reseeds)
        .integer("stimuli", totals.stimuli);
    object
        .object("memory")
        .integer("budget_bytes", info.memory_bytes)
        .integer("work_bytes", info.simulation_bytes)
        .integer("max_bytes", info.memory_max_bytes);
    outbox_fields(&mut object.object("outbox"), state);
    let mut endpoints = object.array("endpoints");
    for view in lock(&snapshots.endpoints).iter() {
        endpoint_fields(&mut endpoints.object(), view, now);
    }
    drop(endpoints);
    drop(object);
    Response::json(200, text)
}

/// How features are defined. Version 4.1 has a fixed threshold and no window.
fn profile_fields(object: &mut JsonObject<'_>, profile: FeatureProfile) {
    match profile.compat {
        Compat::Edge => object.null("compat").display("threshold", profile.threshold),
        Compat::V41 => object.string("compat", "4.1").string("threshold", "fixed:-60"),
    };
    object.integer("connectivity", if profile.connectivity == Connectivity::Four { 4 } else { 8 });
    match profile.compat {
        Compat::Edge => object.integer("window", profile.window as u64),
        Compat::V41 => object.null("window"),
    };
}

pub fn connectors(state: &AppState, now: Mono) -> Response {
    let mut text = String::with_capacity(512);
    let mut object = JsonObject::new(&mut text);
    let mut items = object.array("items");
    for view in lock(&state.snapshots().endpoints).iter() {
        endpoint_fields(&mut items.object(), view, now);
    }
    drop(items);
    let mut inputs = object.array("inputs");
    for view in lock(&state.snapshots().inputs).iter() {
        input_fields(&mut inputs.object(), view, now);
    }
    drop(inputs);
    drop(object);
    Response::json(200, text)
}

pub fn outbox_fields(object: &mut JsonObject<'_>, state: &AppState) {
    let view = lock(&state.snapshots().outbox);
    object
        .integer("durable_seq", view.durable_seq)
        .integer("records", view.records)
        .integer("in_memory", view.in_memory)
        .integer("bytes", view.bytes)
        .integer("max_bytes", view.max_bytes)
        .string("full", state.info().outbox_full)
        .integer("segments", view.segments)
        .integer("dropped", view.dropped)
        .integer("damaged_bytes", view.damaged_bytes)
        .integer("dead", view.dead);
    match view.oldest_age {
        Some(age) => object.number("oldest_age_seconds", age.as_secs_f64()),
        None => object.null("oldest_age_seconds"),
    };
    match &view.degraded {
        Some(reason) => object.string("degraded", reason),
        None => object.null("degraded"),
    };
}

fn input_fields(object: &mut JsonObject<'_>, view: &InputView, now: Mono) {
    object.string("name", &view.name).string("connector", &view.connector).integer("values", view.values);
    match view.last {
        Some((value, stamp)) => object
            .number("value", value)
            .display("time", stamp.wall)
            .number("age_seconds", now.since(stamp.mono).as_secs_f64()),
        None => object.null("value").null("time").null("age_seconds"),
    };
}

fn endpoint_fields(object: &mut JsonObject<'_>, view: &EndpointView, now: Mono) {
    object
        .string("name", &view.name)
        .string("kind", view.kind)
        .string("breaker", view.breaker)
        .string("mode", view.mode)
        .integer("lag", view.lag)
        .integer("delivered", view.delivered)
        .integer("failures", view.failures)
        .integer("rejected", view.rejected)
        .boolean("disabled", view.disabled);
    match view.last_success {
        Some(stamp) => object
            .display("last_success", stamp.wall)
            .number("last_success_age_seconds", now.since(stamp.mono).as_secs_f64()),
        None => object.null("last_success").null("last_success_age_seconds"),
    };
    match view.next_try {
        Some(at) => object.number("next_try_seconds", (at - now).as_secs_f64()),
        None => object.null("next_try_seconds"),
    };
    for (key, text) in [("last_error", &view.last_error), ("last_rejected", &view.last_rejected)] {
        match text {
            Some(text) => object.string(key, text),
            None => object.null(key),
        };
    }
}
