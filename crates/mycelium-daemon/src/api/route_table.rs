//! PURE. The table of routes: one row per resource. Scopes, methods, metrics and the description of the API are
//! all read from here.

use tiny_http::Method;

use super::settings::Scope;
use crate::api::auth::authenticator::Access;

/// What a resource does when it is asked.
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
    Outbox,
    Dead,
    Replay,
    Flush,
    Connectors,
    Breaker,
}

/// The one method a resource has (GET brings HEAD along).
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
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    pub fn takes(self, method: &Method) -> bool {
        match self {
            Self::Get => matches!(method, Method::Get | Method::Head),
            Self::Post => *method == Method::Post,
            Self::Put => *method == Method::Put,
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: RouteMethod,
    /// At most one `{name}` segment.
    pub template: &'static str,
    pub access: Access,
    pub action: Action,
    /// QueryParams parameters; any other is refused.
    pub query: &'static [&'static str],
    /// Whether a JSON body is needed; otherwise none is taken.
    pub body: bool,
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
pub const ROUTES: [Route; 21] = [
    get("/", PUBLIC, Action::Page, &[]),
    get("/healthz", PUBLIC, Action::Health, &[]),
    get("/readyz", PUBLIC, Action::Ready, &[]),
    get("/metrics", PUBLIC, Action::Metrics, &[]),
    get("/openapi.json", PUBLIC, Action::OpenApi, &[]),
    get("/v1/status", READ, Action::Status, &[]),
    get("/v1/features", READ, Action::Features, &["since", "limit", "wait"]),
    get("/v1/field", READ, Action::Field, &["format", "step"]),
    get("/v1/stream", READ, Action::Stream, &["since"]),
    get("/v1/ws", READ, Action::Socket, &["since"]),
    // The replaced system's sockets: the key comes in their first messages.
    get("/ws/stream_features", LATER, Action::LegacyFeatures, &[]),
    get("/ws/simulation_live", LATER, Action::LegacyLive, &[]),
    post("/v1/simulate", WRITE, Action::Simulate, true),
    post("/v1/nernst", WRITE, Action::Nernst, true),
    post("/v1/stimuli", WRITE, Action::Stimuli, true),
    get("/v1/outbox", READ, Action::Outbox, &[]),
    get("/v1/outbox/dead", READ, Action::Dead, &[]),
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
];

/// Index of the label of everything that is no row.
pub const OTHER: usize = ROUTES.len();

/// The row a path belongs to and the text of its `{name}`, empty where the template has none.
pub fn find(path: &str) -> Option<(usize, &str)> {
    let exact = ROUTES.iter().position(|route| route.template == path && !route.template.contains('{'));
    exact.map(|k| (k, "")).or_else(|| {
        ROUTES.iter().enumerate().find_map(|(k, route)| Some((k, match_template(route.template, path)?)))
    })
}

/// What stands for `{name}`.
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
            ("/v1/endpoints/a.b/breaker", Some((20, "a.b")), "a captured name"),
            ("/v1/endpoints//breaker", None, "no name"),
            ("/v1/endpoints/a/b/breaker", None, "two segments"),
            (
                "/v1/endpoints/{name}/breaker",
                Some((20, "{name}")),
                "the template itself is a name like any other",
            ),
        ];
        for (path, want, why) in rows {
            assert_eq!(find(path), want, "{why}: {path}");
        }
    }
}
