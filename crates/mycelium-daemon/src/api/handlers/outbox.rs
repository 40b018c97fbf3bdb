//! The outbox as an operator sees it, and the few things that can be asked of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::Timer;

use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::ports::{DeadLetterView, DeadLettersUnavailable};
use crate::api::state::{ApiRequest, AppState, HandlerResult};
use crate::formats::json::{self, JsonObject, JsonSchema, SchemaField};
use crate::net::BreakerMode;
use crate::sync::lock;
use nanoserde::DeJson;

use super::health::outbox_fields;

/// Longest an answer waits for an outbox whose disk does not come back from a call.
const DEAD_PATIENCE: Duration = Duration::from_secs(10);

pub fn outbox(state: &AppState) -> Response {
    let mut text = String::with_capacity(512);
    let mut object = JsonObject::new(&mut text);
    object.display("boot", state.snapshots.identity.boot);
    outbox_fields(&mut object, state);
    let mut endpoints = object.array("endpoints");
    for view in lock(&state.snapshots.endpoints).iter() {
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

/// Reading them waits for the thread of the outbox, so it is not done on the loop.
pub fn dead(state: &Rc<AppState>) -> HandlerResult {
    let read = Arc::clone(&state.ports.dead_letters);
    let running = match state.reader.start(move |_| read()) {
        Ok(running) => running,
        Err(problem) => return HandlerResult::Ready(Err(problem)),
    };
    let answer = async move {
        let late = async {
            Timer::after(DEAD_PATIENCE).await;
            Some(Err(DeadLettersUnavailable("the outbox does not answer".to_owned())))
        };
        match smol::future::or(running.result(), late).await {
            Some(Ok(letters)) => Ok(Response::json(200, dead_text(&letters))),
            Some(Err(DeadLettersUnavailable(why))) => {
                Err(Problem::busy(format!("cannot read the dead letters: {why}"), 10))
            }
            None => Err(Problem::busy("cannot read the dead letters: the daemon is stopping", 10)),
        }
    };
    HandlerResult::Pending { answer: Box::pin(answer), cancel_on_half_close: false }
}

fn dead_text(letters: &[DeadLetterView]) -> String {
    let mut text = String::with_capacity(512);
    let mut object = JsonObject::new(&mut text);
    let mut items = object.array("items");
    for letter in letters {
        items
            .object()
            .string("id", &letter.id)
            .string("endpoint", &letter.endpoint)
            .integer("status", letter.status)
            .string("reason", &letter.reason);
    }
    drop(items);
    drop(object);
    text
}

pub fn replay(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let asked = (state.ports.replay)(request.origin());
    asked.map_err(|_| Problem::busy("the outbox is busy: try again", 1))?;
    Ok(Response::json(202, "{\"status\":\"replaying\"}".to_owned()))
}

pub fn flush(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let asked = (state.ports.flush)(request.origin());
    asked.map_err(|_| Problem::busy("the outbox is busy: try again", 1))?;
    Ok(Response::json(202, "{\"status\":\"flushing\"}".to_owned()))
}

#[derive(DeJson)]
struct BreakerBody {
    state: String,
}

const BREAKER: JsonSchema =
    JsonSchema::Record(&[SchemaField::required("state", JsonSchema::Text { max: 16 })]);

pub fn breaker(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let body: BreakerBody = json::parse(request.body, &BREAKER)?;
    let Ok(mode) = body.state.parse::<BreakerMode>() else {
        return Err(Problem::new(422, "`state` must be one of open, closed or auto"));
    };
    (state.ports.set_breaker)(request.name, mode, request.origin())
        .map_err(|_| Problem::new(404, "no endpoint has this name: /v1/health/connectors lists them"))?;
    let mut text = String::new();
    JsonObject::new(&mut text).string("name", request.name).string("state", &body.state);
    Ok(Response::json(200, text))
}
