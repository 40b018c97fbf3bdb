//! What the running daemon answers has the members that docs/openapi.json describes, and no other; docs/API.md names them.

use std::collections::BTreeSet;
use std::fs;
use std::str::Chars;

use crate::support::process::{Daemon, Scratch, wait_for};
use crate::support::receiver::{Receiver, by_body, ok, status};
use nanoserde::{DeJson, DeJsonErr, DeJsonState, DeJsonTok};

const TEXT: &str = include_str!("../../docs/openapi.json");
const MARKDOWN: &str = include_str!("../../docs/API.md");

/// Any JSON.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Integer(String),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl DeJson for Json {
    fn de_json(state: &mut DeJsonState, input: &mut Chars<'_>) -> Result<Self, DeJsonErr> {
        let value = match state.tok.clone() {
            DeJsonTok::Null => Self::Null,
            DeJsonTok::Bool(value) => Self::Bool(value),
            DeJsonTok::U64(value) => Self::Integer(value.to_string()),
            DeJsonTok::I64(value) => Self::Integer(value.to_string()),
            DeJsonTok::F64(value) => Self::Number(value),
            DeJsonTok::Str => Self::Text(state.as_string()?),
            DeJsonTok::BlockOpen => {
                state.next_tok(input)?;
                let mut items = Vec::new();
                while state.tok != DeJsonTok::BlockClose {
                    items.push(Self::de_json(state, input)?);
                    state.eat_comma_block(input)?;
                }
                Self::List(items)
            }
            DeJsonTok::CurlyOpen => {
                state.next_tok(input)?;
                let mut members = Vec::new();
                while state.tok != DeJsonTok::CurlyClose {
                    let key = state.as_string()?;
                    state.next_tok(input)?;
                    state.colon(input)?;
                    members.push((key, Self::de_json(state, input)?));
                    state.eat_comma_curly(input)?;
                }
                Self::Object(members)
            }
            _ => return Err(state.err_token("a value")),
        };
        state.next_tok(input)?;
        Ok(value)
    }
}

impl Json {
    fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    fn at(&self, path: &[&str]) -> &Self {
        path.iter().fold(self, |at, key| at.get(key).unwrap_or_else(|| panic!("no {key} of {path:?}")))
    }

    fn members(&self) -> &[(String, Self)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn keys(&self) -> BTreeSet<&str> {
        self.members().iter().map(|(key, _)| key.as_str()).collect()
    }

    fn texts(&self) -> BTreeSet<&str> {
        self.items().iter().filter_map(Self::text).collect()
    }

    fn is(&self, kind: &str) -> bool {
        match self {
            Self::Null => kind == "null",
            Self::Bool(_) => kind == "boolean",
            Self::Integer(_) => kind == "integer" || kind == "number",
            Self::Number(_) => kind == "number",
            Self::Text(_) => kind == "string",
            Self::List(_) => kind == "array",
            Self::Object(_) => kind == "object",
        }
    }
}

/// Where `$ref` leads, or the schema itself.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let Some(Json::Text(to)) = schema.get("$ref") else { return schema };
    root.at(&to.trim_start_matches("#/").split('/').collect::<Vec<_>>())
}

/// Members that an answer may leave out.
fn optional(schema: &Json) -> BTreeSet<&str> {
    let required = schema.get("required").map(Json::texts).unwrap_or_default();
    schema.get("properties").map(Json::keys).unwrap_or_default().difference(&required).copied().collect()
}

/// Both ways: what is there is described, what is described is there. An empty list would show nothing, so there is none.
fn check(root: &Json, schema: &Json, value: &Json, place: &str) {
    let schema = resolved(root, schema);
    if let Some(kind) = schema.get("type") {
        let fits = kind.text().map_or_else(|| kind.texts(), |kind| [kind].into());
        assert!(fits.iter().any(|kind| value.is(kind)), "{place} is {value:?}, described as {fits:?}");
    }
    if let Some(values) = schema.get("enum") {
        assert!(values.items().contains(value), "{place} is {value:?}, described as {values:?}");
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{place}");
    }
    if let Some(properties) = schema.get("properties") {
        let optional: BTreeSet<&str> = optional(schema).difference(&value.keys()).copied().collect();
        assert_eq!(&value.keys() | &optional, properties.keys(), "{place}: sent, described");
        for (key, value) in value.members() {
            check(root, properties.at(&[key]), value, &format!("{place}/{key}"));
        }
    }
    if let (Some(items), Json::List(values)) = (schema.get("items"), value) {
        assert!(
            !values.is_empty() || place.ends_with("/warnings") || place.ends_with("/recent_spikes"),
            "{place} is empty"
        );
        values.iter().enumerate().for_each(|(k, value)| check(root, items, value, &format!("{place}/{k}")));
    }
}

/// Seen red with a member more in the code, one more in the description, and one of another type.
#[test]
fn each_live_answer_has_the_members_that_are_described_and_no_other() {
    let root = Json::deserialize_json(TEXT).unwrap();
    let scratch = Scratch::new("described");
    let (refuses, takes) =
        (Receiver::start(by_body(|_, _| status(422))), Receiver::start(by_body(|_, _| ok())));
    let probe = scratch.0.join("probe.csv");
    fs::write(&probe, "mv\n900\nnone\n").unwrap();
    let hook = |name: &str, to: &Receiver| {
        format!("[[webhooks]]\nname = \"{name}\"\nurl = \"{}\"\nlinger_ms = 1\nspread_ms = 0\n", to.url())
    };
    let daemon = Daemon::start(
        &scratch.0,
        &format!(
            "[sim]\ntick_ms = 1\ngrid = 8\nseed = 1\n[features]\nevery = 1\n[outbox]\nwindow_steps = 5\ngroup_ms = 20\n\
             full = \"block\"\n[api.rate]\nper_second = 100000\nburst = 100000\n{}{}\
             [[connectors]]\nname = \"probe\"\nkind = \"file\"\npath = {probe:?}\ninterval_ms = 10\nstart = \"begin\"\n\
             [[inputs]]\nname = \"soil.mv\"\nconnector = \"probe\"\npointer = \"/mv\"\n",
            hook("cloud", &takes),
            hook("picky", &refuses),
        ),
    );
    wait_for("something of everything", || {
        let sampled = daemon.get("/v1/signals/soil.mv").text().contains("\"seq\":1");
        let (dead, rows) = (daemon.get("/v1/outbox/dead"), daemon.get("/v1/health/connectors"));
        let delivered = rows.text().contains("\"breaker\":\"closed\",\"mode\":\"auto\"")
            && rows.text().contains("\"last_success\":\"");
        (delivered
            && sampled
            && dead.text().contains("\"id\"")
            && rows.text().contains("\"last_rejected\":\""))
        .then_some(())
    });
    let calls = [
        ("GET", "/healthz", ""),
        ("GET", "/readyz", ""),
        ("GET", "/v1/status", ""),
        ("GET", "/v1/features", ""),
        ("GET", "/v1/field", ""),
        ("POST", "/v1/samples", r#"{"items":[{"input":"soil.mv","value":1.5}]}"#),
        ("GET", "/v1/signals", ""),
        ("GET", "/v1/signals/{name}", ""),
        ("GET", "/v1/outbox", ""),
        ("GET", "/v1/outbox/dead", ""),
        ("GET", "/v1/health/connectors", ""),
        ("POST", "/v1/simulate", r#"{"steps":4,"grid_size":8}"#),
        (
            "POST",
            "/v1/nernst",
            r#"{"z_valence":1,"concentration_out_molar":0.1,"concentration_in_molar":0.2}"#,
        ),
        ("POST", "/v1/stimuli", r#"{"items":[{"row":1,"col":1,"volts":0.01}]}"#),
        ("POST", "/v1/outbox/flush", ""),
        ("POST", "/v1/outbox/dead/replay", ""),
        ("PUT", "/v1/endpoints/{name}/breaker", r#"{"state":"open"}"#),
        ("GET", "/v1/nothing", ""),
    ];
    for (method, route, body) in calls {
        let headers = [("X-API-Key", daemon.key.as_str()), ("Content-Type", "application/json")];
        let answer = daemon.ask(
            method,
            &route.replace("signals/{name}", "signals/soil.mv").replace("{name}", "cloud"),
            &headers,
            body,
        );
        let value = Json::deserialize_json(answer.text()).unwrap();
        let schema = if answer.status == 404 {
            root.at(&["components", "schemas", "Problem"])
        } else {
            let verb = method.to_lowercase();
            let code = answer.status.to_string();
            root.at(&["paths", route, &verb, "responses", &code, "content", "application/json", "schema"])
        };
        check(&root, schema, &value, route);
        if route == "/v1/status" {
            assert_eq!(value.at(&["outbox", "full"]), &Json::Text("block".to_owned()));
            let kinds: Vec<_> =
                value.at(&["endpoints"]).items().iter().map(|row| row.at(&["kind"]).text()).collect();
            assert_eq!(kinds, [Some("webhook"), Some("webhook"), Some("file")]);
        }
    }
}

#[test]
fn examples_are_as_described_and_only_these_members_of_answers_may_be_missing() {
    let root = Json::deserialize_json(TEXT).unwrap();
    let mut missing = Vec::new();
    for (name, schema) in root.at(&["components", "schemas"]).members() {
        if let Some(example) = schema.get("example") {
            check(&root, schema, example, name);
        }
        if !name.ends_with("Request") {
            missing.extend(optional(schema).iter().map(|member| format!("{name}.{member}")));
        }
    }
    missing.sort();
    assert_eq!(missing, ["Health.detail", "Problem.instance", "Problem.retry_after"]);
}

/// All members below a schema, of members too.
fn names<'a>(root: &'a Json, schema: &'a Json, into: &mut BTreeSet<&'a str>) {
    let schema = resolved(root, schema);
    for (key, member) in schema.get("properties").map(Json::members).unwrap_or_default() {
        into.insert(key);
        names(root, member, into);
    }
    if let Some(items) = schema.get("items") {
        names(root, items, into);
    }
}

/// Seen red with `rejected` left out of docs/API.md, and with `dtype`, which stands in its other section.
#[test]
fn the_reader_of_docs_finds_every_member_of_every_answer() {
    let root = Json::deserialize_json(TEXT).unwrap();
    let section = |title: &str| MARKDOWN.split("\n## ").find(|part| part.starts_with(title)).unwrap();
    let features = root.at(&["components", "schemas", "Features", "properties"]).keys();
    for (schema, members) in root.at(&["components", "schemas"]).members() {
        let text = match schema.as_str() {
            name if name.ends_with("Request") => continue,
            "Features" => include_str!("../../docs/FEATURES.md"),
            "Problem" => section("Errors\n"),
            "Health" | "Ready" => MARKDOWN,
            "Status" | "Outbox" | "OutboxState" | "DeadLetters" | "Endpoint" | "Endpoints" | "Input" => {
                section("Status\n")
            }
            _ => section("Other responses\n"),
        };
        let mut found = BTreeSet::new();
        names(&root, members, &mut found);
        let own = schema == "Features";
        for name in found.iter().filter(|name| own || !features.contains(**name)) {
            assert!(text.contains(&format!("`{name}`")), "{name} of {schema} is not in the docs");
        }
    }
}
