//! Feature records: newest, listed, and long-polled.

use std::rc::Rc;
use std::time::Duration;

use crate::api::http::fields::etag_matches;
use crate::api::http::problem::Problem;
use crate::api::http::response::Response;
use crate::api::places::Holder;
use crate::api::request::{ApiRequest, HandlerResult};
use crate::api::state::AppState;
use crate::api::streaming::cursor::{copy, resume};
use crate::api::streaming::subscription::long_poll;
use crate::formats::json::JsonObject;
use crate::sync::lock;

/// Records in one response if the client does not say.
const DEFAULT_LIMIT: u64 = 100;
/// Most records in one response: about 600 kB.
const MAX_LIMIT: u64 = 1_000;
/// A response with more records than this counts as large.
const LARGE_RESPONSE_RECORDS: u64 = 100;
/// Most seconds a client may wait for a record.
const MAX_WAIT_SECONDS: u64 = 30;

pub fn features(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    if request.head.target.query.is_none() {
        return state.features().newest(state.snapshots(), request.head.if_none_match).into();
    }
    match FeatureQuery::parse(request) {
        Ok(query) => query.handle(state, request),
        Err(problem) => HandlerResult::Ready(Err(problem)),
    }
}

/// The parameters of a poll.
#[derive(Clone, Copy)]
struct FeatureQuery {
    holder: Holder,
    since: Option<u64>,
    limit: u64,
    wait: Duration,
}

impl FeatureQuery {
    fn parse(request: &ApiRequest<'_>) -> Result<Self, Problem> {
        let head_only = request.head.method == tiny_http::Method::Head;
        let wait = request.query.integer("wait", 0, MAX_WAIT_SECONDS)?.filter(|_| !head_only);
        Ok(Self {
            holder: request.holder,
            since: request.query.integer("since", 0, u64::MAX)?,
            limit: request.query.integer("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            wait: Duration::from_secs(wait.unwrap_or(0)),
        })
    }

    fn handle(self, state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
        let if_none_match = request.head.if_none_match;
        let newest = lock(&state.snapshots().features).newest();
        let up_to_date = self.since.is_none_or(|since| since == newest);
        if !self.wait.is_zero() && up_to_date && !state.is_stopping() {
            let state = Rc::clone(state);
            let if_none_match = if_none_match.map(<[u8]>::to_vec);
            let response = Box::pin(self.poll(state, newest, if_none_match));
            return HandlerResult::Pending { response, cancel_on_half_close: true, is_poll: true };
        }
        match self.since {
            None => state.features().newest(state.snapshots(), if_none_match).into(),
            Some(since) => self.list(state, since, if_none_match).into(),
        }
    }

    /// Waits for a record after `newest`. Until then the request holds its connection slot and nothing else.
    async fn poll(
        self,
        state: Rc<AppState>,
        newest: u64,
        if_none_match: Option<Vec<u8>>,
    ) -> Result<Response, Problem> {
        let snapshots = state.snapshots();
        let has_new = || lock(&snapshots.features).newest() != newest;
        long_poll(&state, &snapshots.features_changed, self.wait, has_new).await;
        self.list(&state, self.since.unwrap_or(newest), if_none_match.as_deref())
    }

    fn list(self, state: &AppState, since: u64, if_none_match: Option<&[u8]>) -> Result<Response, Problem> {
        let snapshots = state.snapshots();
        let etag = state.features().etag(lock(&snapshots.features).newest());
        if etag_matches(if_none_match, &etag) {
            return Ok(Response::not_modified(etag));
        }
        let is_large = self.limit > LARGE_RESPONSE_RECORDS;
        let reservation = is_large.then(|| state.reserve_large_response(self.holder)).transpose()?;
        let (mut first, gap) = resume(snapshots, since);
        let mut left = self.limit as usize;
        let mut next = if gap { first.saturating_sub(1) } else { since };
        let mut text = String::with_capacity(1024);
        let mut object = JsonObject::new(&mut text);
        object.display("boot", snapshots.identity.boot);
        let mut items = object.array("items");
        let mut chunk = heapless::Vec::new();
        loop {
            copy(snapshots, first, &mut chunk, left);
            for record in &chunk {
                items.raw(&state.features().text(record));
                next = record.seq;
            }
            left -= chunk.len();
            first = next + 1;
            if chunk.is_empty() || left == 0 {
                break;
            }
        }
        drop(items);
        object.integer("next", next).boolean("gap", gap);
        drop(object);
        Ok(Response { reservation, ..Response::json(200, text) }.with_etag(etag))
    }
}
