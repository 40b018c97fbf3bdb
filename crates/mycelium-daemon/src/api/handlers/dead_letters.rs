//! The list of dead letters.

use std::sync::Arc;
use std::time::Duration;

use smol::Timer;
use smol::future::or;

use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::places::Holder;
use crate::api::ports::{DeadLetterView, DeadLettersUnavailable};
use crate::api::request::HandlerResult;
use crate::api::state::AppState;
use crate::formats::json::JsonObject;

/// Longest wait for an outbox thread whose disk does not respond.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(10);

/// Reading them waits for the outbox thread, so it is not done on the HTTP loop.
pub fn dead_letters(state: &AppState, holder: Holder) -> HandlerResult {
    let place = match state.reserve_dead_letters(holder) {
        Ok(place) => place,
        Err(problem) => return HandlerResult::Ready(Err(problem)),
    };
    let read = Arc::clone(&state.ports().dead_letters);
    let job = match state.dead_letter_reads().start(move |_| read()) {
        Ok(job) => job,
        Err(problem) => return HandlerResult::Ready(Err(problem)),
    };
    let response = async move {
        let _place = place;
        let timeout = async {
            Timer::after(DEAD_LETTER_TIMEOUT).await;
            Some(Err(DeadLettersUnavailable("the outbox does not respond".to_owned())))
        };
        match or(job.result(), timeout).await {
            Some(Ok(dead_letters)) => Ok(Response::json(200, render(&dead_letters))),
            Some(Err(DeadLettersUnavailable(why))) => {
                Err(Problem::busy(format!("cannot read the dead letters: {why}"), 10))
            }
            None => Err(Problem::busy("cannot read the dead letters: the daemon is stopping", 10)),
        }
    };
    HandlerResult::Pending { response: Box::pin(response), cancel_on_half_close: false, is_poll: false }
}

fn render(dead_letters: &[DeadLetterView]) -> String {
    let mut text = String::with_capacity(512);
    let mut object = JsonObject::new(&mut text);
    let mut items = object.array("items");
    for dead_letter in dead_letters {
        items
            .object()
            .string("id", &dead_letter.id)
            .string("endpoint", &dead_letter.endpoint)
            .integer("status", dead_letter.status)
            .string("reason", &dead_letter.reason);
    }
    drop(items);
    drop(object);
    text
}
