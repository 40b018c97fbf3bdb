//! Feature records: polled, long-polled, and rendered once for all who ask.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use smol::Timer;
use smol::future::or;

use crate::api::feature_json;
use crate::api::http::fields::etag_matches;
use crate::api::http::problem::Problem;
use crate::api::http::response::{EntityTag, JSON, Response, ResponseBody};
use crate::api::state::{ApiRequest, AppState, HandlerResult, tag};
use crate::api::streaming::cursor::{copy, resume};
use crate::clock::BootId;
use crate::formats::json::JsonObject;
use crate::snapshots::{FeatureRecord, Snapshots};
use crate::sync::lock;

/// Records in one answer when the client does not say.
const DEFAULT_LIMIT: u64 = 100;
/// Records in one answer at most: about 600 kB.
const MAX_LIMIT: u64 = 1_000;
/// Records above which an answer counts as large.
const LARGE_RESPONSE_RECORDS: u64 = 100;
/// Seconds a client may wait for a record.
const MAX_WAIT: u64 = 30;

/// The newest record as JSON, and as the answer to a plain poll.
struct Newest {
    seq: u64,
    text: Rc<str>,
    body: Rc<[u8]>,
    tag: EntityTag,
}

pub struct FeatureCache {
    boot: BootId,
    newest: RefCell<Option<Newest>>,
}

impl FeatureCache {
    pub fn new(boot: BootId) -> Self {
        Self { boot, newest: RefCell::new(None) }
    }

    /// One record as JSON; the newest is rendered once, however many ask.
    pub fn text(&self, record: &FeatureRecord) -> Rc<str> {
        if let Some(newest) = &*self.newest.borrow()
            && newest.seq == record.seq
        {
            return Rc::clone(&newest.text);
        }
        let mut text = String::with_capacity(640);
        feature_json::render(&mut text, record);
        text.into()
    }

    pub fn tag(&self, newest: u64) -> EntityTag {
        tag(format_args!("{}-{newest}", self.boot))
    }

    /// The answer to a poll without parameters.
    fn newest(&self, snapshots: &Snapshots, if_none_match: Option<&[u8]>) -> Response {
        let seq = lock(&snapshots.features).newest();
        let mut cached = self.newest.borrow_mut();
        if cached.as_ref().is_none_or(|newest| newest.seq != seq) {
            *cached = Some(self.render(snapshots, seq));
        }
        let newest = cached.as_ref().expect("filled above");
        if etag_matches(if_none_match, &newest.tag) {
            return Response::not_modified(newest.tag.clone());
        }
        Response::new(200, JSON, ResponseBody::Shared(Rc::clone(&newest.body))).with_etag(newest.tag.clone())
    }

    fn render(&self, snapshots: &Snapshots, seq: u64) -> Newest {
        let record = lock(&snapshots.features).get(seq).copied();
        let mut text = String::with_capacity(640);
        if let Some(record) = &record {
            feature_json::render(&mut text, record);
        }
        let mut body = String::with_capacity(text.len() + 128);
        let mut object = JsonObject::new(&mut body);
        object.display("boot", self.boot);
        if record.is_some() {
            object.array("items").raw(&text);
        } else {
            object.array("items");
        }
        object.integer("next", seq).boolean("gap", false);
        drop(object);
        Newest { seq, text: text.into(), body: body.into_bytes().into(), tag: self.tag(seq) }
    }
}

pub fn features(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    if request.head.target.query.is_none() {
        return HandlerResult::Ready(Ok(state.features.newest(&state.snapshots, request.head.if_none_match)));
    }
    match Ask::from(request) {
        Ok(ask) => ask.outcome(state, request.head.if_none_match),
        Err(problem) => HandlerResult::Ready(Err(problem)),
    }
}

/// A poll with parameters.
#[derive(Clone, Copy)]
struct Ask {
    since: Option<u64>,
    limit: u64,
    wait: Duration,
}

impl Ask {
    fn from(request: &ApiRequest<'_>) -> Result<Self, Problem> {
        let head_only = request.head.method == tiny_http::Method::Head;
        let wait = request.query.integer("wait", 0, MAX_WAIT)?.filter(|_| !head_only);
        Ok(Self {
            since: request.query.integer("since", 0, u64::MAX)?,
            limit: request.query.integer("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            wait: Duration::from_secs(wait.unwrap_or(0)),
        })
    }

    fn outcome(self, state: &Rc<AppState>, if_none_match: Option<&[u8]>) -> HandlerResult {
        let newest = lock(&state.snapshots.features).newest();
        let up_to_date = self.since.is_none_or(|since| since == newest);
        if !self.wait.is_zero() && up_to_date && !state.stopping.get() {
            let state = Rc::clone(state);
            let if_none_match = if_none_match.map(<[u8]>::to_vec);
            let answer = Box::pin(self.poll(state, newest, if_none_match));
            return HandlerResult::Pending { answer, cancel_on_half_close: true };
        }
        match self.since {
            None => HandlerResult::Ready(Ok(state.features.newest(&state.snapshots, if_none_match))),
            Some(since) => HandlerResult::Ready(self.list(state, since, if_none_match)),
        }
    }

    /// Waits for a record after `newest`, holding nothing but its seat.
    async fn poll(
        self,
        state: Rc<AppState>,
        newest: u64,
        if_none_match: Option<Vec<u8>>,
    ) -> Result<Response, Problem> {
        let mut timer = Timer::after(self.wait);
        loop {
            let changed = state.snapshots.features_changed.listen();
            if lock(&state.snapshots.features).newest() != newest || state.stopping.get() {
                break;
            }
            let timeout = async {
                (&mut timer).await;
                false
            };
            let news = async {
                changed.await;
                true
            };
            if !or(news, timeout).await {
                break;
            }
        }
        self.list(&state, self.since.unwrap_or(newest), if_none_match.as_deref())
    }

    fn list(
        self,
        state: &Rc<AppState>,
        since: u64,
        if_none_match: Option<&[u8]>,
    ) -> Result<Response, Problem> {
        let snapshots = &state.snapshots;
        let tag = state.features.tag(lock(&snapshots.features).newest());
        if etag_matches(if_none_match, &tag) {
            return Ok(Response::not_modified(tag));
        }
        let reservation =
            if self.limit > LARGE_RESPONSE_RECORDS { Some(state.reserve_large_response()?) } else { None };
        let (mut first, gap) = resume(snapshots, since);
        let mut left = self.limit as usize;
        let mut next = if gap { first.saturating_sub(1) } else { since };
        let mut text = String::with_capacity(1024);
        let mut object = JsonObject::new(&mut text);
        object.display("boot", state.features.boot);
        let mut items = object.array("items");
        let mut chunk = heapless::Vec::new();
        loop {
            copy(snapshots, first, &mut chunk, left);
            for record in &chunk {
                items.raw(&state.features.text(record));
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
        Ok(Response { reservation, ..Response::json(200, text) }.with_etag(tag))
    }
}
