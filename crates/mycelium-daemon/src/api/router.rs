//! From a request head to its route and authorization, and from an authorized request to its handler.

use std::net::IpAddr;
use std::rc::Rc;

use super::auth::authenticator::{Access, AuthDecision, Credential};
use super::auth::rate_limit::RateQuota;
use super::handlers;
use super::http::head::RequestHead;
use super::http::problem::Problem;
use super::request::{ApiRequest, HandlerResult};
use super::route_table::{self, Action, OTHER, ROUTES, Route};
use super::server::unix_socket::UNIX_PEER;
use super::settings::Scope;
use super::state::AppState;
use crate::clock::Mono;

/// A request that may be handled.
pub struct AuthorizedRequest<'h> {
    /// Index of the route in [`ROUTES`].
    pub endpoint: usize,
    pub route: &'static Route,
    /// The `{name}` segment of the path; empty where the template has none.
    pub name: &'h str,
    /// Index of its key; `None` on public routes.
    pub key: Option<usize>,
    pub quota: Option<RateQuota>,
}

/// A request that is answered with a problem before its body is read.
pub struct Rejection {
    /// Index of the route in [`ROUTES`], or [`OTHER`].
    pub endpoint: usize,
    pub key: Option<usize>,
    pub quota: Option<RateQuota>,
    /// The request had a key that is not valid.
    pub wrong_key: bool,
    pub problem: Problem,
}

/// Finds the route, authenticates the client, checks its scope and charges its rate limit.
pub fn authorize<'h>(
    state: &AppState,
    head: &'h RequestHead<'_>,
    peer: IpAddr,
    now: Mono,
) -> Result<AuthorizedRequest<'h>, Box<Rejection>> {
    let unknown = |key: Option<usize>, quota: Option<RateQuota>| {
        key.is_none() && quota.is_some() && head.credential != Credential::None
    };
    let reject = |endpoint, key, quota, problem| {
        Err(Box::new(Rejection { endpoint, key, quota, wrong_key: unknown(key, quota), problem }))
    };
    if !state.names().admits_host(head.host) {
        let problem = Problem::new(403, "this daemon is not served under that name: see api.allowed_hosts");
        return reject(OTHER, None, None, problem);
    }
    let Some((endpoint, name)) = route_table::find(&head.target.path) else {
        return reject(OTHER, None, None, not_found(head));
    };
    let route = &ROUTES[endpoint];
    if !route.method.accepts(&head.method) {
        let allow = route.method.allow_header();
        let problem = Problem::new(405, format!("{} accepts {allow} only", route.template));
        return reject(endpoint, None, None, problem.with_header("Allow", allow));
    }
    let is_socket = matches!(route.action, Action::Socket | Action::LegacyFeatures | Action::LegacyLive);
    if is_socket && !state.names().admits_origin(head.origin, head.host) {
        let problem =
            Problem::new(403, "a page of another origin may not open this: see api.allowed_origins");
        return reject(endpoint, None, None, problem);
    }
    // Whoever can open the Unix socket may do everything, if the configuration says so.
    let trusted = peer == UNIX_PEER && state.settings().unix_trusted;
    let access = match route.action {
        _ if trusted => Access::Public,
        Action::Metrics if !state.settings().metrics_public => Access::Needs(Scope::Read),
        _ => route.access,
    };
    let authorized = |key, quota| Ok(AuthorizedRequest { endpoint, route, name, key, quota });
    match state.authorize(access, head.credential, peer, now) {
        AuthDecision::Public => authorized(None, None),
        AuthDecision::Anonymous(quota) => authorized(None, Some(quota)),
        AuthDecision::Granted(key, quota) => authorized(Some(key), Some(quota)),
        AuthDecision::Unauthenticated(quota) => {
            let problem = Problem::new(401, unauthenticated(&head.credential))
                .with_header("WWW-Authenticate", "Bearer realm=\"mycelium-edge\"");
            reject(endpoint, None, Some(quota), problem)
        }
        AuthDecision::Forbidden(key, quota) => {
            let Access::Needs(scope) = access else { unreachable!("other routes need no scope") };
            let detail = format!("the scope of this key is not enough: the route needs {}", scope.name());
            reject(endpoint, Some(key), Some(quota), Problem::new(403, detail))
        }
        AuthDecision::RateLimited(key, quota, wait) => {
            let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1) as u64;
            let problem = Problem {
                retry_after: Some(seconds),
                ..Problem::new(429, "more requests than the rate limit allows: slow down")
            };
            reject(endpoint, key, Some(quota), problem)
        }
    }
}

/// What is wrong with the key of a request.
fn unauthenticated(credential: &Credential<'_>) -> &'static str {
    match credential {
        Credential::Key(_) => "this key is not known: it is mistyped, revoked, or that of another device",
        Credential::Unusable => {
            "send one key, as X-API-Key or as Bearer token: these fields name none or several"
        }
        Credential::None => "this route needs a key: send it as X-API-Key or as Bearer token",
    }
}

fn not_found(head: &RequestHead<'_>) -> Problem {
    if head.target.path == "*" {
        return Problem::new(405, "OPTIONS is not supported").with_header("Allow", "GET, HEAD, POST, PUT");
    }
    Problem::new(404, "not found; see /openapi.json")
}

/// Calls the handler of the route.
pub fn dispatch(state: &Rc<AppState>, request: &ApiRequest<'_>) -> HandlerResult {
    match request.route.action {
        Action::Page => state.page().response(request.head).into(),
        Action::OpenApi => state.openapi().response(request.head).into(),
        Action::Health => handlers::health(state, request.now).into(),
        Action::Ready => handlers::ready(state).into(),
        Action::Metrics => handlers::metrics(state, request).into(),
        Action::Status => handlers::status(state, request.now).into(),
        Action::Features => handlers::features(state, request),
        Action::Field => handlers::field(state, request).into(),
        Action::Stream => handlers::stream(state, request).into(),
        Action::Socket => handlers::socket(state, request).into(),
        Action::LegacyFeatures => handlers::legacy_socket(request, false).into(),
        Action::LegacyLive => handlers::legacy_socket(request, true).into(),
        Action::Simulate => handlers::simulate(state, request),
        Action::Nernst => handlers::nernst(request.body).into(),
        Action::Events => handlers::events(state, request),
        Action::Stimuli => handlers::stimuli(state, request.body).into(),
        Action::Samples => handlers::samples(state, request).into(),
        Action::Signals => handlers::signals(state, request).into(),
        Action::Signal => handlers::signal(state, request),
        Action::Outbox => handlers::outbox(state).into(),
        Action::DeadLetters => handlers::dead_letters(state, request.holder),
        Action::Replay => handlers::replay(state, request).into(),
        Action::Flush => handlers::flush(state, request).into(),
        Action::Connectors => handlers::connectors(state, request.now).into(),
        Action::Breaker => handlers::breaker(state, request).into(),
    }
}
