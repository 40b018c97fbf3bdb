//! Authorization, rate limits, and what every response carries.

use crate::support::api::{ADMIN, READ, Setup, WRITE, keys, post, start};
use mycelium_daemon::api::AllowedNames;
use mycelium_daemon::api::auth::authenticator::Access;
use mycelium_daemon::api::route_table::{ROUTES, RouteMethod};
use mycelium_daemon::api::{ApiKey, Rate, Scope};
use mycelium_daemon::formats::hex::sha256;

fn request(verb: RouteMethod, template: &str, credential: &str, body: bool) -> Vec<u8> {
    let path = template.replace("{name}", "hook");
    let body = if body { "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" } else { "\r\n" };
    format!("{} {path} HTTP/1.1\r\nHost: t\r\n{credential}{body}", verb.name()).into_bytes()
}

/// All routes against all scopes: the table decides and nothing else.
#[test]
fn every_route_requires_the_scope_of_its_row() {
    let server = start(Setup::default());
    for route in &ROUTES {
        let rows =
            [("", None), (READ, Some(Scope::Read)), (WRITE, Some(Scope::Write)), (ADMIN, Some(Scope::Admin))];
        for (key, has) in rows {
            let credential =
                if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
            let mut client = server.connect();
            client.send(&request(route.method, route.template, &credential, route.body));
            let status = client.stream_head().status;
            let (allowed, refusal) = match route.access {
                Access::Public | Access::DeferredAuth => (true, 0),
                Access::Needs(needs) => (has >= Some(needs), if has.is_some() { 403 } else { 401 }),
            };
            let why = format!("{} {} as {has:?}: {status}", route.method.name(), route.template);
            assert_eq!(!matches!(status, 401 | 403), allowed, "{why}");
            if !allowed {
                assert_eq!(status, refusal, "{why}");
            }
        }
    }
}

#[test]
fn a_credential_is_accepted_only_if_it_is_the_only_one_and_complete() {
    let server = start(Setup::default());
    let rows = [
        (format!("X-API-Key: {READ}\r\n"), 200, "X-API-Key"),
        (format!("x-api-key:   {READ}  \r\n"), 200, "spaces around it"),
        (format!("Authorization: Bearer {READ}\r\n"), 200, "Bearer"),
        (format!("authorization: bearer {READ}\r\n"), 200, "schemes are case-insensitive"),
        (format!("X-API-Key: {READ}\r\nAuthorization: Bearer {READ}\r\n"), 401, "two credentials"),
        (format!("X-API-Key: {READ}\r\nX-API-Key: {READ}\r\n"), 401, "twice the same"),
        (format!("X-API-Key: {READ}x\r\n"), 401, "one byte too many"),
        (format!("X-API-Key: {}\r\n", &READ[1..]), 401, "one byte short"),
        (format!("X-API-Key: {}\r\n", READ.to_uppercase()), 401, "keys are case-sensitive"),
        ("X-API-Key: \r\n".to_owned(), 401, "empty"),
        ("X-API-Key: \u{e9}\u{e9}\r\n".to_owned(), 401, "bytes above ASCII"),
        (format!("Authorization: Basic {READ}\r\n"), 401, "another scheme"),
        ("Authorization: Bearer\r\n".to_owned(), 401, "a scheme alone"),
    ];
    for (fields, status, why) in rows {
        let answer = server.send(format!("GET /v1/status HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes());
        assert_eq!(answer.status, status, "{why}");
        let challenge = answer.field("WWW-Authenticate");
        assert_eq!(challenge.is_some(), status == 401, "{why}");
        assert!(
            !answer.text().contains(READ) && !answer.head.contains(READ),
            "{why}: keys are never repeated"
        );
    }
}

#[test]
fn a_401_says_whether_the_key_is_missing_unknown_or_one_of_several() {
    let server = start(Setup::default());
    for (fields, want) in [
        (String::new(), "this route needs a key"),
        (format!("X-API-Key: {READ}x\r\n"), "this key is not known"),
        (format!("X-API-Key: {READ}\r\nAuthorization: Bearer {READ}\r\n"), "send one key"),
    ] {
        let answer = server.send(format!("GET /v1/status HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes());
        assert!(answer.status == 401 && answer.text().contains(want), "{}", answer.text());
    }
}

#[test]
fn limited_routes_count_down_and_then_answer_429_and_public_ones_never_do() {
    let rate = Rate { per_second: 1, burst: 3, unauthenticated_per_second: 1, unauthenticated_burst: 2 };
    let server = start(Setup { rate, ..Setup::default() });
    let mut client = server.connect();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = client.get("/v1/status", READ);
        seen.push((answer.status, answer.field("RateLimit").map(str::to_owned)));
        assert_eq!(answer.field("RateLimit-Policy"), Some("\"default\";q=3;w=3"));
        assert_eq!(answer.field("Retry-After"), (answer.status == 429).then_some("1"));
    }
    let field = |r: u32, t: u32| Some(format!("\"default\";r={r};t={t}"));
    assert_eq!(seen, [(200, field(2, 1)), (200, field(1, 2)), (200, field(0, 3)), (429, field(0, 3))]);
    let anonymous: Vec<u16> = (0..3).map(|_| client.get("/v1/status", "nobody").status).collect();
    assert_eq!(anonymous, [401, 401, 429], "anonymous requests have a separate bucket");
    let mut client = server.connect();
    assert_eq!(client.get("/v1/status", WRITE).status, 200, "each key has its own");
    for _ in 0..50 {
        let answer = client.get("/healthz", "");
        assert_eq!((answer.status, answer.field("RateLimit")), (200, None));
    }
    assert_eq!(server.metrics.rate_limited.get(), 2);
}

#[test]
fn a_reload_revokes_removed_keys_and_keeps_connections_open() {
    let server = start(Setup::default());
    let mut client = server.connect();
    assert_eq!(client.get("/v1/status", READ).status, 200);
    let new = ApiKey { name: "new".to_owned(), scope: Scope::Read, sha256: sha256(b"myc_new") };
    server.handle.reload(vec![new], crate::support::api::UNLIMITED, AllowedNames::default());
    // The loop takes the reload between two requests; it needs no more than a few.
    let taken = (0..1000).any(|_| client.get("/v1/status", "myc_new").status == 200);
    assert!(taken, "the new key must be known");
    assert_eq!(client.get("/v1/status", READ).status, 401);
    server.handle.reload(keys(), crate::support::api::UNLIMITED, AllowedNames::default());
}

#[test]
fn metrics_are_public_or_need_a_key_as_configured() {
    let server = start(Setup { metrics_public: false, ..Setup::default() });
    assert_eq!(server.get("/metrics", "").status, 401);
    assert_eq!(server.get("/metrics", READ).status, 200);
    let server = start(Setup::default());
    let text = server.get("/metrics", "");
    assert_eq!((text.status, text.text()), (200, "# Text\n"));
    assert_eq!(text.field("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = server.send(
        b"GET /metrics HTTP/1.1\r\nHost: t\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5\r\n\r\n",
    );
    assert_eq!(open.text(), "# OpenMetrics\n");
}

#[test]
fn every_response_has_a_request_id_which_is_that_of_the_client_if_valid() {
    let server = start(Setup::default());
    let long = "x".repeat(65);
    let rows = [
        ("abc-123_X.y", true, "letters, digits, dot, dash, underscore"),
        (&long[..64], true, "64 of them"),
        (&long, false, "65 of them"),
        ("a b", false, "a space"),
        ("a\"b", false, "a quote"),
        ("", false, "nothing"),
    ];
    for (id, kept, why) in rows {
        for path in ["/healthz", "/nothing"] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-Request-Id: {id}\r\n\r\n");
            let answer = server.send(head.as_bytes());
            let got = answer.field("X-Request-Id").unwrap().to_owned();
            assert_eq!(got == id, kept, "{why}: {got}");
            assert!(
                path == "/healthz" || answer.text().contains(&format!("\"request_id\":\"{got}\"")),
                "{why}"
            );
            assert!(kept || got.len() == 16, "{why}: {got}");
        }
    }
    let twice = b"GET /healthz HTTP/1.1\r\nHost: t\r\nX-Request-Id: a\r\nX-Request-Id: b\r\n\r\n";
    assert_eq!(server.send(twice).field("X-Request-Id").unwrap().len(), 16, "two ids are none");
}

#[test]
fn head_is_get_without_the_body_and_other_methods_get_an_allow_field() {
    let server = start(Setup::default());
    for route in &ROUTES {
        let path = route.template.replace("{name}", "hook");
        let mut client = server.connect();
        client.send(format!("PATCH {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.field("Allow")),
            (405, Some(route.method.allow_header())),
            "{path}"
        );
        if route.method == RouteMethod::Get && !path.contains("/ws") && path != "/v1/stream" {
            let get = client.get(&path, READ);
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes());
            let head = client.head_answer();
            assert_eq!(head.status, get.status, "{path}");
            assert_eq!(head.field("Content-Type"), get.field("Content-Type"), "{path}");
            assert!(head.field("Content-Length").is_some(), "{path}");
            assert_eq!(client.get("/healthz", "").status, 200, "{path}: no body came");
        }
    }
}

/// What a browser sends for a script of another site: it may send some requests, it may not read any answer, and it
/// cannot send a key. Seen red with `Access-Control-Allow-Origin: *` in every answer.
#[test]
fn a_page_of_another_origin_can_neither_act_nor_read() {
    let server = start(Setup::default());
    let from = "Host: rebound.example\r\nOrigin: http://rebound.example\r\nSec-Fetch-Site: cross-site\r\n";
    let body = "{\"items\":[{\"row\":1,\"col\":1,\"volts\":0.01}]}";
    let simple = format!(
        "POST /v1/stimuli HTTP/1.1\r\n{from}Cookie: key={ADMIN}\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let asked = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-api-key\r\n";
    let rows = [
        (simple, 401, "a form can be posted, without a key"),
        (format!("OPTIONS /v1/stimuli HTTP/1.1\r\n{from}{asked}\r\n"), 405, "no preflight is allowed"),
        (format!("GET /v1/status HTTP/1.1\r\n{from}\r\n"), 401, "a browser adds no key by itself"),
        (
            format!("GET /v1/status?key={ADMIN} HTTP/1.1\r\n{from}\r\n"),
            401,
            "nor is one in the query accepted",
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{from}\r\n"),
            200,
            "public to whoever can connect, as SECURITY.md says",
        ),
    ];
    for (request, status, why) in rows {
        let answer = server.send(request.as_bytes());
        assert_eq!(answer.status, status, "{why}");
        for name in ["Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Set-Cookie"] {
            assert_eq!(answer.field(name), None, "{why}: {name}");
        }
    }
}

/// What logs and traces are given: never the key itself.
#[test]
fn every_response_is_recorded_once_with_route_status_key_name_and_trace() {
    let (sender, seen) = std::sync::mpsc::channel();
    let mut setup = Setup::default();
    setup.ports.on_response = Some(Box::new(move |answered| {
        assert!(!format!("{answered:?}").contains("myc_"), "no key in {answered:?}");
        let trace = answered.trace.map(|t| t.span_id);
        let key = answered.key.map(str::to_owned);
        sender.send((answered.method.to_owned(), answered.route, answered.status, key, trace)).unwrap();
    }));
    let server = start(setup);
    let head = "GET /v1/status HTTP/1.1\r\nHost: t\r\nX-API-Key: myc_read\r\n\
                traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    server.send(head.as_bytes());
    server.send(&post("BREW", "/nothing", READ, ""));
    server.send(b"nonsense\r\n\r\n");
    let row = |m: &str, route, status, key: Option<&str>, trace| {
        (m.to_owned(), route, status, key.map(str::to_owned), trace)
    };
    assert_eq!(
        seen.recv().unwrap(),
        row("GET", "/v1/status", 200, Some("read"), Some(0x00f0_67aa_0ba9_02b7))
    );
    assert_eq!(seen.recv().unwrap(), row("other", "other", 404, None, None));
    assert_eq!(seen.recv().unwrap(), row("other", "other", 400, None, None));
    let counted: Vec<_> = server.metrics.requests().collect();
    assert_eq!(
        counted,
        [("/v1/status", "GET", 200, 1), ("other", "other", 400, 1), ("other", "other", 404, 1)]
    );
}

/// Seen red with only the first piece taken.
#[test]
fn a_tracestate_is_passed_on_complete_with_its_trace_or_not_at_all() {
    let (states, state) = std::sync::mpsc::channel();
    let mut setup = Setup::default();
    setup.ports.on_response = Some(Box::new(move |answered| {
        states.send(answered.tracestate.map(str::to_owned)).unwrap();
    }));
    let server = start(setup);
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let rows = [
        (format!("{parent}\r\ntracestate: a=1"), Some("a=1"), "one list"),
        (
            format!("{parent}\r\nTraceState: a=1,b=2\r\ntracestate: c=3"),
            Some("a=1,b=2,c=3"),
            "split into fields",
        ),
        (format!("{parent}\r\ntracestate: a=1,a=2"), None, "a key twice"),
        (format!("{parent}{}", "\r\ntracestate: a=1".repeat(5)), None, "more fields than are kept"),
        (parent.to_owned(), None, "none"),
        ("tracestate: a=1".to_owned(), None, "of no trace"),
    ];
    for (fields, want, why) in rows {
        server.send(format!("GET /healthz HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n").as_bytes());
        assert_eq!(state.recv().unwrap().as_deref(), want, "{why}");
    }
}

/// Mutant seen red: these routes without a rate limit, like public ones.
#[test]
fn anonymous_clients_of_the_legacy_sockets_are_charged_to_the_anonymous_bucket() {
    let rate = Rate { per_second: 1, burst: 3, unauthenticated_per_second: 1, unauthenticated_burst: 2 };
    let server = start(Setup { rate, ..Setup::default() });
    let open = |path: &str, key: &str| {
        let mut client = server.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: t\r\n{key}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        client.send(head.as_bytes());
        let answer = client.stream_head();
        (answer.status, answer.field("RateLimit").map(str::to_owned))
    };
    let left = |n: u32| Some(format!("\"default\";r={n};t="));
    let starts = |(status, quota): (u16, Option<String>), want: (u16, Option<String>)| {
        assert_eq!(status, want.0);
        assert!(quota.unwrap().starts_with(&want.1.unwrap()));
    };
    starts(open("/ws/stream_features", ""), (101, left(1)));
    starts(open("/ws/simulation_live", "X-API-Key: nobody\r\n"), (101, left(0)));
    starts(open("/ws/stream_features", ""), (429, left(0)));
    starts(open("/ws/stream_features", &format!("X-API-Key: {READ}\r\n")), (101, left(2)));
}
