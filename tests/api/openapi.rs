//! The description of the API says what the table of routes says, and nothing else.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use std::collections::{HashMap, HashSet};

use mycelium_daemon::api::auth::authenticator::Access;
use mycelium_daemon::api::route_table::{ROUTES, RouteMethod};
use nanoserde::DeJson;

const TEXT: &str = include_str!("../../docs/openapi.json");
const MARKDOWN: &str = include_str!("../../docs/API.md");

#[derive(DeJson)]
struct Description {
    openapi: String,
    paths: HashMap<String, HashMap<String, Operation>>,
}

#[derive(DeJson)]
#[allow(clippy::struct_field_names, reason = "the name in the document")]
struct Operation {
    #[nserde(rename = "operationId")]
    operation_id: String,
    #[nserde(rename = "x-scope")]
    scope: Option<String>,
    parameters: Option<Vec<Parameter>>,
    #[nserde(rename = "requestBody")]
    body: Option<Body>,
}

#[derive(DeJson)]
struct Parameter {
    name: String,
    #[nserde(rename = "in")]
    place: String,
}

#[derive(DeJson)]
struct Body {
    required: bool,
}

#[test]
fn each_route_method_scope_and_parameter_is_described_and_no_other() {
    let described = Description::deserialize_json(TEXT).unwrap();
    assert_eq!(described.openapi, "3.1.0");
    let paths: HashSet<&str> = described.paths.keys().map(String::as_str).collect();
    let templates: HashSet<&str> = ROUTES.iter().map(|route| route.template).collect();
    assert_eq!(paths, templates);
    let mut ids = HashSet::new();
    for route in &ROUTES {
        let operations = &described.paths[route.template];
        let verb = match route.method {
            RouteMethod::Get => "get",
            RouteMethod::Post => "post",
            RouteMethod::Put => "put",
        };
        assert_eq!(operations.keys().collect::<Vec<_>>(), [verb], "{}", route.template);
        let operation = &operations[verb];
        assert!(ids.insert(&operation.operation_id), "{} twice", operation.operation_id);
        let scope = match route.access {
            Access::Public | Access::DeferredAuth => None,
            Access::Needs(scope) => Some(scope.name()),
        };
        assert_eq!(operation.scope.as_deref(), scope, "{}", route.template);
        assert_eq!(
            operation.body.as_ref().is_some_and(|body| body.required),
            route.body,
            "{}",
            route.template
        );
        let parameters = operation.parameters.as_deref().unwrap_or_default();
        let of = |place: &str| -> HashSet<&str> {
            parameters.iter().filter(|p| p.place == place).map(|p| p.name.as_str()).collect()
        };
        assert_eq!(of("query"), route.query.iter().copied().collect(), "{}", route.template);
        assert_eq!(of("path").contains("name"), route.template.contains("{name}"), "{}", route.template);
    }
}

#[test]
fn the_description_is_served_as_it_stands_and_is_strict_json() {
    use std::io::Read;
    // Depth 16 is for bodies from outside; a description nests deeper, so only the server's own text is compared.
    let server = crate::support::api::start(crate::support::api::Setup::default());
    let answer = server.get("/openapi.json", "");
    assert_eq!((answer.status, answer.text()), (200, TEXT));
    let zipped =
        server.send(b"GET /openapi.json HTTP/1.1\r\nHost: t\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n");
    assert_eq!(zipped.field("Content-Encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(zipped.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, TEXT);
    let page = server.get("/", "");
    assert!(
        page.field("Content-Security-Policy").unwrap().starts_with("default-src 'none'"),
        "{}",
        page.head
    );
    for encoding in ["gzip;q=0", "identity", "br"] {
        let plain = server
            .send(format!("GET / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: {encoding}\r\n\r\n").as_bytes());
        assert_eq!(plain.field("Content-Encoding"), None, "{encoding}");
    }
}

#[test]
fn the_reader_of_docs_finds_every_route() {
    for route in &ROUTES {
        let row = format!("| `{} {}` |", route.method.name(), route.template);
        let line = MARKDOWN.lines().find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("docs/API.md has no row {row}"));
        let scope = match route.access {
            Access::Public | Access::DeferredAuth => "public",
            Access::Needs(scope) => scope.name(),
        };
        assert!(line.contains(&format!("| {scope} |")), "{line}");
        for parameter in route.query {
            assert!(line.contains(&format!("`{parameter}`")), "{parameter} in {line}");
        }
    }
}
