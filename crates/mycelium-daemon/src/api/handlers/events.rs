//! Events of the user's own: into the outbox, and a response once they are durable.

use std::rc::Rc;
use std::time::Duration;

use smol::Timer;
use smol::channel::bounded;
use smol::future::or;

use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::request::{ApiRequest, HandlerResult};
use crate::api::state::AppState;
use crate::clock::Mono;
use crate::events::{
    AppendError, EventForm, EventRefusal, EventSource, GroupReceipt, RecordGroup, RefusalReason, parse_events,
};
use crate::formats::json::JsonObject;

/// What a commit may take beyond the time of a group before the response says that the events are not durable yet.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// What the outbox thread may take beyond that before the response says that it does not answer.
const OUTBOX_TIMEOUT: Duration = Duration::from_secs(15);

pub fn events(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    match read(state, request) {
        Ok((group, wait)) => {
            let response = Box::pin(append(Rc::clone(state), group, wait));
            // Some clients close their sending side after the request.
            HandlerResult::Pending { response, cancel_on_half_close: false, is_poll: true }
        }
        Err(problem) => HandlerResult::Ready(Err(problem)),
    }
}

/// The events of a request, and whether its client waits until they are durable.
fn read(state: &AppState, request: &ApiRequest<'_>) -> Result<(RecordGroup, bool), Problem> {
    let wait = request.query.integer("wait", 0, 1)?.unwrap_or(1) == 1;
    let snapshots = state.snapshots();
    let source = EventSource { device: &snapshots.identity.device, stamp: snapshots.stamp(request.now) };
    let form = EventForm::of(request.head.content_type).unwrap_or(EventForm::Items);
    let group = parse_events(form, request.body, source).map_err(|refusal| {
        state.metrics().events.refused.add(refusal.reason(), 1);
        Problem::from(refusal)
    })?;
    Ok((group, wait))
}

/// Nothing is handed over before the first poll: until then the request can be refused without keeping its events.
async fn append(state: Rc<AppState>, group: RecordGroup, wait: bool) -> Result<Response, Problem> {
    let (sender, receiver) = bounded(1);
    let (events, accepted) = (group.len(), Rc::clone(&state));
    let done = Box::new(move |result| {
        // The client may have gone away.
        sender.try_send(result).ok();
    });
    let commit = state.info().outbox_group + COMMIT_TIMEOUT;
    let wait_until = wait.then(|| Mono::now() + commit);
    (state.ports().append_events)(group, wait_until, done).map_err(|error| refused(&state, error))?;
    let timeout = async {
        Timer::after(commit + OUTBOX_TIMEOUT).await;
        None
    };
    match or(async { receiver.recv().await.ok() }, timeout).await {
        Some(Ok(receipt)) => {
            accepted.metrics().events.accepted.add((events - receipt.repeated) as u64);
            accepted.metrics().events.repeated.add(receipt.repeated as u64);
            Ok(response(&accepted, receipt))
        }
        Some(Err(error)) => Err(refused(&accepted, error)),
        None => Err(Problem::busy(
            "the disk does not answer; whether these events are stored is not known: send them again with the same ids",
            10,
        )),
    }
}

fn response(state: &AppState, receipt: GroupReceipt) -> Response {
    let mut text = String::with_capacity(96);
    JsonObject::new(&mut text)
        .display("boot", state.snapshots().identity.boot)
        .integer("first_seq", receipt.first_seq)
        .integer("last_seq", receipt.last_seq)
        .boolean("durable", receipt.durable);
    Response::json(202, text)
}

fn refused(state: &AppState, error: AppendError) -> Problem {
    state.metrics().events.refused.add(RefusalReason::Busy, 1);
    match error {
        AppendError::Closed => {
            Problem::busy("the daemon is stopping: nothing was kept, send these events again", 2)
        }
        AppendError::Full | AppendError::Dropped(_) | AppendError::TooLarge => Problem::busy(
            "the outbox cannot take these events now (GET /v1/outbox says why): nothing was kept, send them again",
            1,
        ),
    }
}

impl From<EventRefusal> for Problem {
    fn from(refusal: EventRefusal) -> Self {
        Self::new(refusal.status, refusal.detail)
    }
}
