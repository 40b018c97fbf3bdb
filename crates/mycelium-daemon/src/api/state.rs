//! What all connections share: settings, gate, caches, and the snapshots they look at. Lives on the HTTP loop.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::handlers::{self, FeatureCache};
use super::ports::{Exposition, Ports};
use super::route_table::{self, Action, OTHER, ROUTES, Route};
use super::settings::Settings;
use super::static_text::{StaticText, page_policy, unpacked};
use super::streaming::cursor::Cursor;
use crate::api::auth::authenticator::{Access, AuthDecision, Authenticator};
use crate::api::auth::rate_limit::RateQuota;
use crate::api::http::head::RequestHead;
use crate::api::http::problem::Problem;
use crate::api::http::request_id::{RequestId, request_id_from};
use crate::api::http::response::{EntityTag, Response};
use crate::api::http::target::QueryParams;
use crate::api::job_thread::JobThread;
use crate::api::memory_budget::{MemoryBudget, Reservation};
use crate::api::metrics::HttpMetrics;
use crate::api::server::conn_io::Deadlines;
use crate::api::server::connection_table::ConnectionTable;
use crate::api::server::read_buffer::SpareBuffer;
use crate::clock::Mono;
use crate::snapshots::Snapshots;
use crate::telemetry::trace::{RequestOrigin, SpanContext};

/// A scrape is a snapshot at most this old.
const METRICS_FRESH: Duration = Duration::from_millis(250);
/// A text that nobody has asked for this long is forgotten.
const METRICS_KEPT: Duration = Duration::from_mins(1);
/// Answers above [`LARGE_RESPONSE_BYTES`] bytes that may be under way, or wait for slow clients, at once: each is a copy of a frame or
/// of many records.
pub const MAX_LARGE_RESPONSES: u64 = 2;
pub const LARGE_RESPONSE_BYTES: usize = 64 * 1024;
/// The status page, and the description of the API; `build.rs` compresses them.
const PAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));
const OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// An answer that takes its time.
pub type PendingResponse = Pin<Box<dyn Future<Output = Result<Response, Problem>>>>;

/// The outcome of a request that could be answered at once, or of one that takes time.
pub enum HandlerResult {
    Ready(Result<Response, Problem>),
    Pending {
        answer: PendingResponse,
        /// A client that has closed its sending side has lost interest.
        cancel_on_half_close: bool,
    },
    /// The connection becomes a stream.
    Upgrade(Upgrade),
}

impl From<Response> for HandlerResult {
    fn from(answer: Response) -> Self {
        Self::Ready(Ok(answer))
    }
}

impl From<Result<Response, Problem>> for HandlerResult {
    fn from(result: Result<Response, Problem>) -> Self {
        Self::Ready(result)
    }
}

/// What a connection becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Server-sent events.
    Events(Cursor),
    /// WebSocket of feature records; the proof of the handshake.
    Socket { cursor: Cursor, accept: String },
    /// The replaced system's protocol; whether live simulations are offered.
    Legacy { live: bool, accept: String },
}

impl Upgrade {
    /// Whether the client has shown a key already.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self, Self::Legacy { .. })
    }
}

/// A request that was let in.
pub struct AuthorizedRequest<'h> {
    pub endpoint: usize,
    pub route: &'static Route,
    /// What stands for `{name}`.
    pub name: &'h str,
    pub key: Option<usize>,
    pub quota: Option<RateQuota>,
}

/// A request that was not, and what its answer repeats.
pub struct Rejection {
    pub endpoint: usize,
    pub key: Option<usize>,
    pub quota: Option<RateQuota>,
    pub problem: Problem,
}

/// A request ready to be answered.
pub struct ApiRequest<'a> {
    pub route: &'static Route,
    pub name: &'a str,
    pub head: &'a RequestHead<'a>,
    pub query: QueryParams<'a>,
    pub body: &'a [u8],
    pub request_id: &'a str,
    /// Of a request that others may go on with.
    pub span: Option<SpanContext>,
    pub now: Mono,
}

impl ApiRequest<'_> {
    /// For whoever does later what this asks for.
    pub fn origin(&self) -> RequestOrigin {
        RequestOrigin::new(self.request_id, self.span)
    }
}

/// A rendered text of metrics and when it was taken.
type Scrape = (Mono, Rc<[u8]>);

pub struct AppState {
    pub settings: Settings,
    pub deadlines: Deadlines,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<HttpMetrics>,
    pub ports: Ports,
    pub authenticator: RefCell<Authenticator>,
    pub connections: Rc<ConnectionTable>,
    pub features: FeatureCache,
    pub page: StaticText,
    page_policy: String,
    pub openapi: StaticText,
    /// Simulations on request.
    pub worker: JobThread,
    /// Reads dead letters: waits for the outbox, and so for the disk.
    pub reader: JobThread,
    pub stopping: Cell<bool>,
    large: MemoryBudget,
    /// Bytes of bodies being read.
    pub bodies: MemoryBudget,
    /// Bytes that simulations on request and live ones have taken.
    pub memory: MemoryBudget,
    /// Live simulations of the replaced system's protocol under way.
    pub live: Cell<usize>,
    pub spare_buffer: SpareBuffer,
    scrapes: [RefCell<Option<Scrape>>; 2],
    date: RefCell<(u64, heapless::String<32>)>,
    rng: RefCell<fastrand::Rng>,
}

impl AppState {
    pub fn new(
        settings: Settings,
        deadlines: Deadlines,
        authenticator: Authenticator,
        snapshots: Arc<Snapshots>,
        metrics: Arc<HttpMetrics>,
        ports: Ports,
    ) -> Self {
        Self {
            connections: Rc::new(ConnectionTable::new(settings.max_connections, settings.max_per_ip)),
            features: FeatureCache::new(snapshots.identity.boot),
            settings,
            deadlines,
            snapshots,
            metrics,
            ports,
            authenticator: RefCell::new(authenticator),
            page: StaticText::new(PAGE),
            page_policy: page_policy(&unpacked(PAGE)),
            openapi: StaticText::new(OPENAPI),
            worker: JobThread::new("simulate", "simulations"),
            reader: JobThread::new("dead-letters", "readings of dead letters"),
            stopping: Cell::new(false),
            large: MemoryBudget::default(),
            bodies: MemoryBudget::default(),
            memory: MemoryBudget::default(),
            live: Cell::new(0),
            spare_buffer: SpareBuffer::default(),
            scrapes: [const { RefCell::new(None) }; 2],
            date: RefCell::new((u64::MAX, heapless::String::new())),
            rng: RefCell::new(fastrand::Rng::new()),
        }
    }

    /// Finds the route, asks the gate, and charges the bucket.
    pub fn admit<'h>(
        &self,
        head: &'h RequestHead<'_>,
        now: Mono,
    ) -> Result<AuthorizedRequest<'h>, Box<Rejection>> {
        let away = |endpoint, key, quota, problem| Err(Box::new(Rejection { endpoint, key, quota, problem }));
        let Some((endpoint, name)) = route_table::find(&head.target.path) else {
            return away(OTHER, None, None, not_found(head));
        };
        let route = &ROUTES[endpoint];
        if !route.method.takes(&head.method) {
            let problem =
                Problem::new(405, format!("{} is answered to {}", route.template, route.method.allow()));
            return away(endpoint, None, None, problem.with_header("Allow", route.method.allow()));
        }
        let access = match route.action {
            Action::Metrics if !self.settings.metrics_public => Access::Needs(super::settings::Scope::Read),
            _ => route.access,
        };
        match self.authenticator.borrow_mut().authorize(access, head.credential, now) {
            AuthDecision::Public => Ok(AuthorizedRequest { endpoint, route, name, key: None, quota: None }),
            AuthDecision::Anonymous(quota) => {
                Ok(AuthorizedRequest { endpoint, route, name, key: None, quota: Some(quota) })
            }
            AuthDecision::Granted(key, quota) => {
                Ok(AuthorizedRequest { endpoint, route, name, key: Some(key), quota: Some(quota) })
            }
            AuthDecision::Unauthenticated(quota) => {
                let problem =
                    Problem::new(401, "this route needs a key: send it as X-API-Key or as Bearer token")
                        .with_header("WWW-Authenticate", "Bearer realm=\"mycelium-edge\"");
                away(endpoint, None, Some(quota), problem)
            }
            AuthDecision::Forbidden(key, quota) => {
                let Access::Needs(scope) = access else { unreachable!("other routes ask for no scope") };
                let detail = format!("this key's scope does not reach: the route needs {}", scope.name());
                away(endpoint, Some(key), Some(quota), Problem::new(403, detail))
            }
            AuthDecision::RateLimited(quota, wait) => {
                self.metrics.rate_limited.add(1);
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1) as u64;
                let problem = Problem {
                    retry_after: Some(seconds),
                    ..Problem::new(429, "more requests than the rate limit allows: slow down")
                };
                away(endpoint, None, Some(quota), problem)
            }
        }
    }

    pub fn answer(self: &Rc<Self>, request: &ApiRequest<'_>) -> HandlerResult {
        match request.route.action {
            Action::Health => handlers::health(self, request.now).into(),
            Action::Features => handlers::features(self, request),
            Action::Metrics => self.scrape(request).into(),
            Action::Ready => handlers::ready(self).into(),
            Action::Page => {
                self.page.answer(request.head, "text/html; charset=utf-8", Some(&self.page_policy)).into()
            }
            Action::OpenApi => {
                self.openapi.answer(request.head, crate::api::http::response::JSON, None).into()
            }
            Action::Status => handlers::status(self, request.now).into(),
            Action::Field => handlers::field(self, request),
            Action::Stream => handlers::stream(self, request),
            Action::Socket => handlers::socket(self, request),
            Action::LegacyFeatures => handlers::legacy(request, false),
            Action::LegacyLive => handlers::legacy(request, true),
            Action::Simulate => handlers::simulate(self, request),
            Action::Nernst => handlers::nernst(request.body).into(),
            Action::Stimuli => handlers::stimuli(self, request.body).into(),
            Action::Outbox => handlers::outbox(self).into(),
            Action::Dead => handlers::dead(self),
            Action::Replay => handlers::replay(self, request).into(),
            Action::Flush => handlers::flush(self, request).into(),
            Action::Connectors => handlers::connectors(self, request.now).into(),
            Action::Breaker => handlers::breaker(self, request).into(),
        }
    }

    fn scrape(&self, request: &ApiRequest<'_>) -> Response {
        let open = request.head.accept.is_some_and(|accept| {
            accept.windows(28).any(|w| w.eq_ignore_ascii_case(b"application/openmetrics-text"))
        });
        let (slot, form, kind) = if open {
            (1, Exposition::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        } else {
            (0, Exposition::Text, "text/plain; version=0.0.4; charset=utf-8")
        };
        let mut cached = self.scrapes[slot].borrow_mut();
        let text = match &*cached {
            Some((taken, text)) if request.now.since(*taken) < METRICS_FRESH => Rc::clone(text),
            _ => {
                let (waiting, busy) = self.connections.counts();
                self.metrics.idle.set(waiting as f64);
                self.metrics.busy.set(busy as f64);
                let text: Rc<[u8]> = (self.ports.metrics)(form).into_bytes().into();
                *cached = Some((request.now, Rc::clone(&text)));
                text
            }
        };
        Response::new(200, kind, crate::api::http::response::ResponseBody::Shared(text))
    }

    /// Forgets cached texts that nobody has asked for lately.
    pub fn forget_stale(&self, now: Mono) {
        for slot in &self.scrapes {
            slot.borrow_mut().take_if(|(taken, _)| now.since(*taken) > METRICS_KEPT);
        }
    }

    /// The `Date` field, rendered once a second.
    pub fn with_date<T>(&self, now: Mono, f: impl FnOnce(&str) -> T) -> T {
        let second = now.0 / 1_000_000_000;
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            let wall = crate::clock::Wall::now().0.max(0).unsigned_abs();
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(wall);
            date.0 = second;
            date.1.clear();
            if write!(date.1, "{}", httpdate::HttpDate::from(time)).is_err() {
                date.1.clear();
            }
        }
        f(&date.1)
    }

    /// The client's id when it has a usable one, else a new one of 16 hex digits.
    pub fn request_id(&self, client: Option<&str>) -> RequestId {
        if let Some(id) = client.and_then(|id| RequestId::try_from(id).ok()) {
            return id;
        }
        request_id_from(self.rng.borrow_mut().u64(..))
    }

    /// A place among the large answers; given back when dropped.
    pub fn reserve_large_response(&self) -> Result<Reservation, Problem> {
        self.large
            .reserve(1, MAX_LARGE_RESPONSES)
            .map_err(|_| Problem::busy("other large answers are under way: try again", 1))
    }
}

fn not_found(head: &RequestHead<'_>) -> Problem {
    if head.target.path == "*" {
        return Problem::new(405, "OPTIONS is not answered").with_header("Allow", "GET, HEAD, POST, PUT");
    }
    Problem::new(404, "there is no such resource: /openapi.json lists what there is")
}

/// An entity tag out of printable parts, quotes added.
pub fn tag(parts: std::fmt::Arguments<'_>) -> EntityTag {
    let mut tag = EntityTag::new();
    if write!(tag, "\"{parts}\"").is_err() {
        tag.clear();
    }
    tag
}
