//! The state of the outbox, and commands to it and to circuit breakers.

use nanoserde::DeJson;

use super::health::outbox_fields;
use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::ports::Busy;
use crate::api::request::ApiRequest;
use crate::api::state::AppState;
use crate::formats::json::{self, JsonObject, JsonSchema, SchemaField};
use crate::net::BreakerMode;
use crate::sync::lock;

pub fn outbox(state: &AppState) -> Response {
    let mut text = String::with_capacity(512);
    let mut object = JsonObject::new(&mut text);
    object.display("boot", state.snapshots().identity.boot);
    outbox_fields(&mut object, state);
    let mut endpoints = object.array("endpoints");
    for view in lock(&state.snapshots().endpoints).iter() {
        endpoints
            .object()
            .string("name", &view.name)
            .string("kind", view.kind)
            .integer("lag", view.lag)
            .integer("delivered", view.delivered)
            .string("breaker", view.breaker)
            .boolean("disabled", view.disabled);
    }
    drop(endpoints);
    drop(object);
    Response::json(200, text)
}

pub fn replay(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    accepted((state.ports().replay)(request.origin()), "{\"status\":\"replaying\"}")
}

pub fn flush(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    accepted((state.ports().flush)(request.origin()), "{\"status\":\"flushing\"}")
}

fn accepted(queued: Result<(), Busy>, status: &str) -> Result<Response, Problem> {
    queued.map_err(|_| Problem::busy("the outbox is busy: try again", 1))?;
    Ok(Response::json(202, status.to_owned()))
}

#[derive(DeJson)]
struct BreakerRequest {
    state: String,
}

const BREAKER_REQUEST: JsonSchema =
    JsonSchema::Record(&[SchemaField::required("state", JsonSchema::Text { max: 16 })]);

pub fn breaker(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let body: BreakerRequest = json::parse(request.body, &BREAKER_REQUEST)?;
    let Ok(mode) = body.state.parse::<BreakerMode>() else {
        return Err(Problem::new(422, "`state` must be one of open, closed or auto"));
    };
    (state.ports().set_breaker)(request.name, mode, request.origin())
        .map_err(|_| Problem::new(404, "no endpoint has this name: /v1/health/connectors lists them"))?;
    let mut text = String::new();
    JsonObject::new(&mut text).string("name", request.name).string("state", &body.state);
    Ok(Response::json(200, text))
}
