//! The outbox as an operator sees it, and the few things that can be asked of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smol::Timer;

use crate::api::http::problem::Problem;
use crate::api::http::response::Answer;
use crate::api::ports::{BreakerWish, DeadView, Unread};
use crate::api::state::{Call, Front, Outcome};
use crate::formats::json::{self, JsonObject, JsonSchema, SchemaField};
use crate::sync::lock;
use nanoserde::DeJson;

use super::health::outbox_fields;

/// Longest an answer waits for an outbox whose disk does not come back from a call.
const DEAD_PATIENCE: Duration = Duration::from_secs(10);

pub fn outbox(front: &Front) -> Answer {
    let mut text = String::with_capacity(512);
    let mut object = JsonObject::new(&mut text);
    object.display("boot", front.board.identity.boot);
    outbox_fields(&mut object, front);
    let mut endpoints = object.array("endpoints");
    for view in lock(&front.board.endpoints).iter() {
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
    Answer::json(200, text)
}

/// Reading them waits for the thread of the outbox, so it is not done on the loop.
pub fn dead(front: &Rc<Front>) -> Outcome {
    let read = Arc::clone(&front.ports.dead);
    let running = match front.reader.start(move |_| read()) {
        Ok(running) => running,
        Err(problem) => return Outcome::Now(Err(problem)),
    };
    let answer = async move {
        let late = async {
            Timer::after(DEAD_PATIENCE).await;
            Some(Err(Unread("the outbox does not answer".to_owned())))
        };
        match smol::future::or(running.result(), late).await {
            Some(Ok(letters)) => Ok(Answer::json(200, dead_text(&letters))),
            Some(Err(Unread(why))) => Err(Problem::busy(format!("cannot read the dead letters: {why}"), 10)),
            None => Err(Problem::busy("cannot read the dead letters: the daemon is stopping", 10)),
        }
    };
    Outcome::Later { answer: Box::pin(answer), half_closed_is_gone: false }
}

fn dead_text(letters: &[DeadView]) -> String {
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

pub fn replay(front: &Front, call: &Call<'_>) -> Result<Answer, Problem> {
    let asked = (front.ports.replay)(call.asked());
    asked.map_err(|_| Problem::busy("the outbox is busy: try again", 1))?;
    Ok(Answer::json(202, "{\"status\":\"replaying\"}".to_owned()))
}

pub fn flush(front: &Front, call: &Call<'_>) -> Result<Answer, Problem> {
    let asked = (front.ports.flush)(call.asked());
    asked.map_err(|_| Problem::busy("the outbox is busy: try again", 1))?;
    Ok(Answer::json(202, "{\"status\":\"flushing\"}".to_owned()))
}

#[derive(DeJson)]
struct Wish {
    state: String,
}

const WISH: JsonSchema = JsonSchema::Record(&[SchemaField::required("state", JsonSchema::Text { max: 16 })]);

pub fn breaker(front: &Front, call: &Call<'_>) -> Result<Answer, Problem> {
    let wish: Wish = json::parse(call.body, &WISH)?;
    let state = match wish.state.as_str() {
        "auto" => BreakerWish::Auto,
        "open" => BreakerWish::Open,
        "closed" => BreakerWish::Closed,
        _ => return Err(Problem::new(422, "`state` must be open, closed or auto")),
    };
    (front.ports.set_breaker)(call.name, state, call.asked())
        .map_err(|_| Problem::new(404, "no endpoint has this name: /v1/health/connectors lists them"))?;
    let mut text = String::new();
    JsonObject::new(&mut text).string("name", call.name).string("state", &wish.state);
    Ok(Answer::json(200, text))
}
