//! Signals of the inputs: all with their newest window, the samples of one, and samples from a client.

use std::rc::Rc;
use std::time::Duration;

use crate::api::http::fields::etag_matches;
use crate::api::http::problem::Problem;
use crate::api::http::response::{EntityTag, Response, entity_tag};
use crate::api::request::{ApiRequest, HandlerResult};
use crate::api::state::AppState;
use crate::api::streaming::subscription::long_poll;
use crate::clock::Wall;
use crate::formats::json::JsonObject;
use crate::formats::signals::{spike_members, window_members};
use crate::signals::{RING_SAMPLES, SampleRefusal, SignalBoard, parse_samples};
use crate::snapshots::Snapshots;
use crate::sync::lock;

/// Samples in one response if the client does not say.
const SAMPLES_PER_RESPONSE: u64 = 100;
/// Most seconds a client may wait for a sample.
const MAX_WAIT_SECONDS: u64 = 30;

/// `POST /v1/samples`: all samples of a request go to their signals, or none.
pub fn samples(state: &AppState, request: &ApiRequest<'_>) -> Result<Response, Problem> {
    let snapshots = state.snapshots();
    let index_of = |name: &str| snapshots.signals.iter().position(|board| lock(board).spec.name == name);
    let samples = parse_samples(request.body, Wall::now().0, index_of)?;
    (state.ports().add_samples)(&samples).map_err(|_| {
        Problem::busy("the queue of samples is full: nothing was kept, send these samples again", 1)
    })?;
    Ok(Response::json(202, format!("{{\"accepted\":{}}}", samples.len())))
}

impl From<SampleRefusal> for Problem {
    fn from(refusal: SampleRefusal) -> Self {
        Self::new(refusal.status, refusal.detail)
    }
}

/// `GET /v1/signals`.
pub fn signals(state: &AppState, request: &ApiRequest<'_>) -> Response {
    let snapshots = state.snapshots();
    let changes = |board: &SignalBoard| board.newest() + board.counts.windows + board.counts.late;
    let changes: u64 = snapshots.signals.iter().map(|board| changes(&lock(board))).sum();
    let etag = tag(snapshots, changes);
    if etag_matches(request.head.if_none_match, &etag) {
        return Response::not_modified(etag);
    }
    let mut text = String::with_capacity(1024);
    let mut object = JsonObject::new(&mut text);
    object.display("boot", snapshots.identity.boot);
    let mut items = object.array("items");
    for board in &snapshots.signals {
        summary(&mut items.object(), &lock(board));
    }
    drop(items);
    drop(object);
    Response::json(200, text).with_etag(etag)
}

fn tag(snapshots: &Snapshots, number: u64) -> EntityTag {
    entity_tag(format_args!("{}-{number}", snapshots.identity.boot))
}

/// Name, totals, newest sample and newest window of a signal; null where there is none yet.
fn summary(object: &mut JsonObject<'_>, board: &SignalBoard) {
    let SignalBoard { spec, counts, window, .. } = board;
    object.string("name", &spec.name);
    let optional = |object: &mut JsonObject<'_>, key: &str, text: &str| {
        if text.is_empty() {
            object.null(key)
        } else {
            object.string(key, text)
        };
    };
    optional(object, "unit", &spec.unit);
    optional(object, "connector", &spec.connector);
    object.integer("window_s", spec.settings.window_s);
    object.integer("samples", counts.samples).integer("late", counts.late).integer("refused", counts.refused);
    object.integer("windows", counts.windows).integer("spikes", counts.spikes);
    match board.sample(board.newest()) {
        Some(sample) => {
            object.display("time", Wall(sample.t_ms)).number("value", sample.value);
        }
        None => {
            object.null("time").null("value");
        }
    }
    match window {
        Some(window) => window_members(&mut object.object("window"), window),
        None => {
            object.null("window");
        }
    }
}

/// `GET /v1/signals/NAME`.
pub fn signal(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    match SampleQuery::parse(state, request) {
        Ok(query) => query.handle(state, request),
        Err(problem) => HandlerResult::Ready(Err(problem)),
    }
}

/// The parameters of a poll.
#[derive(Clone, Copy)]
struct SampleQuery {
    /// Index of the signal.
    signal: usize,
    since: Option<u64>,
    limit: u64,
    wait: Duration,
}

impl SampleQuery {
    fn parse(state: &AppState, request: &ApiRequest<'_>) -> Result<Self, Problem> {
        let is_named = |board: &SignalBoard| board.spec.name == request.name;
        let signal = state.snapshots().signals.iter().position(|board| is_named(&lock(board)));
        let signal =
            signal.ok_or_else(|| Problem::new(404, "no input has this name; see GET /v1/signals"))?;
        let head_only = request.head.method == tiny_http::Method::Head;
        let wait = request.query.integer("wait", 0, MAX_WAIT_SECONDS)?.filter(|_| !head_only);
        Ok(Self {
            signal,
            since: request.query.integer("since", 0, u64::MAX)?,
            limit: request.query.integer("limit", 1, RING_SAMPLES as u64)?.unwrap_or(SAMPLES_PER_RESPONSE),
            wait: Duration::from_secs(wait.unwrap_or(0)),
        })
    }

    fn handle(self, state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
        let newest = self.newest(state);
        let is_up_to_date = self.since.is_none_or(|since| since == newest);
        let if_none_match = request.head.if_none_match;
        if self.wait.is_zero() || !is_up_to_date || state.is_stopping() {
            return self.list(state, if_none_match).into();
        }
        let (state, if_none_match) = (Rc::clone(state), if_none_match.map(<[u8]>::to_vec));
        let response = Box::pin(self.poll(state, newest, if_none_match));
        HandlerResult::Pending { response, cancel_on_half_close: true, is_poll: true }
    }

    fn newest(self, state: &AppState) -> u64 {
        lock(&state.snapshots().signals[self.signal]).newest()
    }

    /// Waits for a sample after `newest`.
    async fn poll(
        self,
        state: Rc<AppState>,
        newest: u64,
        if_none_match: Option<Vec<u8>>,
    ) -> Result<Response, Problem> {
        let changed = &state.snapshots().signals_changed;
        long_poll(&state, changed, self.wait, || self.newest(&state) != newest).await;
        let since = Some(self.since.unwrap_or(newest));
        Ok(Self { since, ..self }.list(&state, if_none_match.as_deref()))
    }

    /// The samples after `since`, else the newest ones; at most 64 KiB.
    fn list(self, state: &AppState, if_none_match: Option<&[u8]>) -> Response {
        let snapshots = state.snapshots();
        let board = lock(&snapshots.signals[self.signal]);
        let (oldest, newest) = (board.oldest(), board.newest());
        let etag = tag(snapshots, newest);
        if etag_matches(if_none_match, &etag) {
            return Response::not_modified(etag);
        }
        let since = self.since.unwrap_or_else(|| newest.saturating_sub(self.limit));
        // A number of another boot may be beyond the newest.
        let is_gap = since > newest || since + 1 < oldest;
        let first = if is_gap { oldest } else { since + 1 };
        let last = newest.min(first.saturating_add(self.limit - 1));
        let mut text = String::with_capacity(1024);
        let mut object = JsonObject::new(&mut text);
        object.display("boot", snapshots.identity.boot);
        summary(&mut object, &board);
        let mut items = object.array("items");
        for number in first..=last {
            let Some(sample) = board.sample(number) else { continue };
            let mut item = items.object();
            item.integer("seq", number).display("time", Wall(sample.t_ms)).number("value", sample.value);
        }
        drop(items);
        let mut spikes = object.array("recent_spikes");
        board.spikes().for_each(|spike| spike_members(&mut spikes.object(), spike));
        drop(spikes);
        object.integer("next", last).boolean("gap", is_gap && self.since.is_some());
        drop(object);
        Response::json(200, text).with_etag(etag)
    }
}
