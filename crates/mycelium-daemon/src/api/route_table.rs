//! PURE. The route table, one row per resource: method, template, access, handler, query parameters, body. It is the
//! only place that states them.

use tiny_http::Method;

use super::http::fields::is_json;
use super::settings::Scope;
use crate::api::auth::authenticator::Access;
use crate::events::EventForm;

/// Selects the handler of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Page,
    Health,
    Ready,
    Metrics,
    OpenApi,
    Status,
    Features,
    Field,
    Stream,
    Socket,
    LegacyFeatures,
    LegacyLive,
    Simulate,
    Nernst,
    Stimuli,
    Events,
    Samples,
    Signals,
    Signal,
    Outbox,
    DeadLetters,
    Replay,
    Flush,
    Connectors,
    Breaker,
}

/// The method of a route; GET includes HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteMethod {
    Get,
    Post,
    Put,
}

impl RouteMethod {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// The value of `Allow`.
    pub const fn allow_header(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    pub fn accepts(self, method: &Method) -> bool {
        match self {
            Self::Get => matches!(method, Method::Get | Method::Head),
            Self::Post => *method == Method::Post,
            Self::Put => *method == Method::Put,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: RouteMethod,
    /// At most one `{name}` segment.
    pub template: &'static str,
    pub access: Access,
    pub action: Action,
    /// Query parameters; any other is refused.
    pub query: &'static [&'static str],
    /// Whether the request must have a body of a media type that [`Route::accepts_media`]; otherwise it must have none.
    pub body: bool,
}

impl Route {
    /// Whether the body may have this `Content-Type`.
    pub fn accepts_media(&self, content_type: Option<&[u8]>) -> bool {
        match self.action {
            Action::Events => EventForm::of(content_type).is_some(),
            _ => is_json(content_type),
        }
    }

    /// The media types of the body, for the message that refuses another one.
    pub const fn media(&self) -> &'static str {
        match self.action {
            Action::Events => {
                "application/json, application/cloudevents+json or application/cloudevents-batch+json"
            }
            _ => "application/json",
        }
    }
}

const PUBLIC: Access = Access::Public;
const LATER: Access = Access::DeferredAuth;
const READ: Access = Access::Needs(Scope::Read);
const WRITE: Access = Access::Needs(Scope::Write);
const ADMIN: Access = Access::Needs(Scope::Admin);

const fn get(
    template: &'static str,
    access: Access,
    action: Action,
    query: &'static [&'static str],
) -> Route {
    Route { method: RouteMethod::Get, template, access, action, query, body: false }
}

const fn post(template: &'static str, access: Access, action: Action, body: bool) -> Route {
    Route { method: RouteMethod::Post, template, access, action, query: &[], body }
}

/// Metrics count a request by the index of its row.
pub const ROUTES: [Route; 25] = [
    get("/", PUBLIC, Action::Page, &[]),
    get("/healthz", PUBLIC, Action::Health, &[]),
    get("/readyz", PUBLIC, Action::Ready, &[]),
    get("/metrics", PUBLIC, Action::Metrics, &[]),
    get("/openapi.json", PUBLIC, Action::OpenApi, &[]),
    get("/v1/status", READ, Action::Status, &[]),
    get("/v1/features", READ, Action::Features, &["since", "limit", "wait"]),
    get("/v1/field", READ, Action::Field, &["format", "scale", "step"]),
    get("/v1/stream", READ, Action::Stream, &["since"]),
    get("/v1/ws", READ, Action::Socket, &["since"]),
    // Clients of MyceliumFractalNet 4.1 send their key in a message after the handshake.
    get("/ws/stream_features", LATER, Action::LegacyFeatures, &[]),
    get("/ws/simulation_live", LATER, Action::LegacyLive, &[]),
    post("/v1/simulate", WRITE, Action::Simulate, true),
    post("/v1/nernst", WRITE, Action::Nernst, true),
    post("/v1/stimuli", WRITE, Action::Stimuli, true),
    Route { query: &["wait"], ..post("/v1/events", WRITE, Action::Events, true) },
    get("/v1/outbox", READ, Action::Outbox, &[]),
    get("/v1/outbox/dead", READ, Action::DeadLetters, &[]),
    post("/v1/outbox/dead/replay", WRITE, Action::Replay, false),
    post("/v1/outbox/flush", ADMIN, Action::Flush, false),
    get("/v1/health/connectors", READ, Action::Connectors, &[]),
    Route {
        method: RouteMethod::Put,
        template: "/v1/endpoints/{name}/breaker",
        access: ADMIN,
        action: Action::Breaker,
        query: &[],
        body: true,
    },
    post("/v1/samples", WRITE, Action::Samples, true),
    get("/v1/signals", READ, Action::Signals, &[]),
    get("/v1/signals/{name}", READ, Action::Signal, &["since", "limit", "wait"]),
];

/// Index of the label for requests without a route.
pub const OTHER: usize = ROUTES.len();

/// The index of the route of a path and the text of its `{name}` segment, empty where the template has none.
pub fn find(path: &str) -> Option<(usize, &str)> {
    let exact = ROUTES.iter().position(|route| route.template == path && !route.template.contains('{'));
    exact.map(|k| (k, "")).or_else(|| {
        ROUTES.iter().enumerate().find_map(|(k, route)| Some((k, match_template(route.template, path)?)))
    })
}

/// The text of the `{name}` segment.
fn match_template<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let (before, after) = template.split_once("{name}")?;
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_byte_by_byte_or_not_at_all() {
        let rows = [
            ("/healthz", Some((1, "")), "a row"),
            ("/healthz/", None, "a slash too many"),
            ("//healthz", None, "doubled slash"),
            ("/./healthz", None, "dot segment"),
            ("/v1/../healthz", None, "parent segment"),
            ("/HEALTHZ", None, "paths have case"),
            ("", None, "empty"),
            ("*", None, "asterisk form"),
            ("/v1/endpoints/a.b/breaker", Some((21, "a.b")), "a captured name"),
            ("/v1/endpoints//breaker", None, "no name"),
            ("/v1/endpoints/a/b/breaker", None, "two segments"),
            (
                "/v1/endpoints/{name}/breaker",
                Some((21, "{name}")),
                "the template itself is a name like any other",
            ),
        ];
        for (path, want, why) in rows {
            assert_eq!(find(path), want, "{why}: {path}");
        }
    }
}
