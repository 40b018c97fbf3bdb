//! From checked values to the settings that each module owns.

use std::time::Duration;

use super::keys::{self, Default};
use super::problem::{Place, Problem, Problems};
use super::read::{Found, Item, Raw, Values};
use super::secrets::Vault;
use super::value::Value;
use super::{Config, connectors, webhooks};
use crate::api;
use crate::delivery::{BreakerPolicy, RawBreaker};
use crate::telemetry::{logs, trace};
use mycelium_core::features::{Compat, Connectivity, FeatureProfile};
use mycelium_core::range::OutOfRange;
use mycelium_core::sim::{self, Boundary, Params, RawParams};
use mycelium_outbox::policy::{Policy, PolicyError};

/// Values with the table's defaults behind them.
#[derive(Clone, Copy)]
pub(super) struct Look<'a>(pub(super) &'a Values);

impl Look<'_> {
    /// What was said, else the default of the table, else nothing.
    pub(super) fn value(&self, path: &'static str) -> Option<Value> {
        if let Some(found) = self.0.get(path) {
            return Some(found.value.clone());
        }
        let key = keys::find(path).expect("every path asked for is in the table");
        match key.default {
            Default::Is(text) => Some(Value::from_text(key, text).expect("a default lies in its own range")),
            Default::Absent(_) => None,
        }
    }

    pub(super) fn place(&self, path: &str) -> Place {
        self.0.get(path).map_or(Place::Default, |found| found.place.clone())
    }

    pub(super) fn optional_integer(&self, path: &'static str) -> Option<u64> {
        match self.value(path) {
            Some(Value::Integer(n)) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// For keys whose table entry is an integer that is not negative and has a default.
    pub(super) fn integer(&self, path: &'static str) -> u64 {
        self.optional_integer(path).unwrap_or_else(|| panic!("{path} has no default that is a count"))
    }

    pub(super) fn millis(&self, path: &'static str) -> Duration {
        Duration::from_millis(self.integer(path))
    }

    pub(super) fn flag(&self, path: &'static str) -> bool {
        matches!(self.value(path), Some(Value::Flag(true)))
    }

    pub(super) fn text(&self, path: &'static str) -> Option<String> {
        match self.value(path) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// For keys whose kind already admits only texts that parse.
    fn parsed<T: std::str::FromStr>(&self, path: &'static str) -> T {
        let text = self.text(path).unwrap_or_default();
        text.parse().unwrap_or_else(|_| panic!("the kind of {path} admits {text:?}, its owner does not"))
    }
}

/// Builds everything it can, and adds what does not fit together to the problems.
pub(super) fn build(raw: &Raw, vault: Vault<'_>, problems: &mut Problems) -> Config {
    let look = Look(&raw.values);
    let sim = simulation(look, problems);
    let [keys, webhooks, connectors, inputs] = &raw.lists;
    let webhooks = webhooks::build(webhooks, vault, problems);
    let inputs = connectors::inputs(inputs, sim.grid, problems);
    Config {
        device: look.text("device.id"),
        memory_max: look.integer("memory.max_bytes"),
        seed: look.optional_integer("sim.seed"),
        tick: look.millis("sim.tick_ms"),
        steps_per_tick: look.integer("sim.steps_per_tick") as u32,
        frames: look.integer("sim.frames") as usize,
        every: look.integer("features.every"),
        profile: profile(look, &sim),
        sim,
        api: front(look, vault, problems),
        keys: reachable(look, api_keys(keys, vault, problems), problems),
        rate: api::Rate {
            per_second: look.integer("api.rate.per_second") as u32,
            burst: look.integer("api.rate.burst") as u32,
            unauthenticated_per_second: look.integer("api.rate.unauthenticated_per_second") as u32,
            unauthenticated_burst: look.integer("api.rate.unauthenticated_burst") as u32,
        },
        window_steps: look.integer("outbox.window_steps"),
        outbox: outbox_policy(look, problems),
        inputs: inputs.iter().map(|input| input.input.name.as_str().into()).collect(),
        connectors: connectors::build(connectors, inputs, &webhooks, problems),
        webhooks,
        breaker: breaker(look, problems),
        log: logs::LogSettings { level: look.parsed("log.level"), format: look.parsed("log.format") },
        trace: trace::TraceSettings {
            otlp_url: look.text("trace.otlp_url"),
            sample_ratio: match look.value("trace.sample_ratio") {
                Some(Value::Number(ratio)) => ratio,
                _ => unreachable!("the ratio is a number with a default"),
            },
        },
    }
}

fn simulation(look: Look<'_>, problems: &mut Problems) -> Params {
    let mut raw = RawParams::default();
    raw.model = look.parsed("sim.model");
    raw.precision = look.parsed("sim.precision");
    raw.boundary = look.parsed("sim.boundary");
    for key in sim::PARAMETERS {
        let path = format!("sim.{}", key.name);
        let Some(Found { value, place }) = look.0.get(path.as_str()) else { continue };
        let number = match value {
            Value::Integer(n) => *n as f64,
            Value::Number(x) => *x,
            _ => unreachable!("parameters of the simulation are numbers"),
        };
        if let Err(why) = raw.set(key.name, number) {
            problems.push(misfit(place, "sim.", &why));
        }
    }
    Params::try_from(raw).unwrap_or_else(|why| {
        let at = look.place(&format!("sim.{}", why.key));
        let at = if at == Place::Default { look.place("sim.model") } else { at };
        problems.push(misfit(&at, "sim.", &why));
        Params::default()
    })
}

/// An owner's refusal, with the table the owner does not know of in front of its key.
fn misfit(place: &Place, table: &str, why: &OutOfRange) -> Problem {
    Problem::refused(place, &format!("{table}{}", why.key), &why.value, &why.accepted)
}

fn profile(look: Look<'_>, sim: &Params) -> FeatureProfile {
    let eight = look.text("features.connectivity").as_deref() == Some("8");
    FeatureProfile {
        compat: if look.text("features.compat").is_some() { Compat::V41 } else { Compat::Edge },
        threshold: look.parsed("features.threshold"),
        connectivity: if eight { Connectivity::Eight } else { Connectivity::Four },
        torus: sim.boundary == Boundary::Periodic,
        window: look.integer("features.window") as usize,
    }
}

fn front(look: Look<'_>, vault: Vault<'_>, problems: &mut Problems) -> api::Settings {
    let max_connections = look.integer("api.max_connections") as usize;
    let max_per_ip = look.integer("api.max_per_ip") as usize;
    // Only what was asked for is refused: with few seats the default of the other key gives way.
    if max_per_ip > max_connections && look.0.contains_key("api.max_per_ip") {
        let accepted = format!("at most `api.max_connections`, which is {max_connections}");
        problems.push(Problem::refused(
            &look.place("api.max_per_ip"),
            "api.max_per_ip",
            max_per_ip,
            accepted,
        ));
    }
    api::Settings {
        listen: look.parsed("api.listen"),
        max_connections,
        max_per_ip: max_per_ip.min(max_connections),
        metrics_public: look.flag("api.metrics_public"),
        tls: tls(look, vault, problems),
    }
}

/// Both files or none.
fn tls(look: Look<'_>, vault: Vault<'_>, problems: &mut Problems) -> Option<api::TlsFiles> {
    let (cert, key) = (look.text("api.tls.cert_file"), look.text("api.tls.key_file"));
    let lone = match (&cert, &key) {
        (Some(_), None) => ("api.tls.cert_file", "api.tls.key_file"),
        (None, Some(_)) => ("api.tls.key_file", "api.tls.cert_file"),
        _ => return Some(api::TlsFiles { cert_file: vault.path(&cert?), key_file: vault.path(&key?) }),
    };
    let text = format!("`{}` is set and `{}` is not: TLS needs both", lone.0, lone.1);
    problems.push(Problem::new(&look.place(lone.0), text));
    None
}

/// A listener beyond loopback has to be meant: who polls it sends keys in the clear, and a key made at the first
/// start is one nobody has handed out.
fn reachable(look: Look<'_>, keys: Vec<api::Key>, problems: &mut Problems) -> Vec<api::Key> {
    let listen: std::net::SocketAddr = look.parsed("api.listen");
    if listen.ip().to_canonical().is_loopback() || look.flag("api.public") {
        return keys;
    }
    let secure = look.0.contains_key("api.tls.cert_file") && look.0.contains_key("api.tls.key_file");
    let mut lacks = Vec::new();
    if !secure {
        lacks.push("without [api.tls] keys travel in the clear");
    }
    if keys.is_empty() {
        lacks.push("no [[api.keys]] is configured");
    }
    if lacks.is_empty() {
        return keys;
    }
    let accepted = format!(
        "an address of this machine only, such as 127.0.0.1:{}, as {}: configure that, put a proxy that speaks TLS in \
         front, or say `api.public = true` if it is meant",
        listen.port(),
        lacks.join(" and "),
    );
    problems.push(Problem::refused(&look.place("api.listen"), "api.listen", listen, accepted));
    keys
}

/// Name of the credential that becomes an admin key without any configuration.
const CREDENTIAL: &str = "api.key";

fn api_keys(items: &[Item], vault: Vault<'_>, problems: &mut Problems) -> Vec<api::Key> {
    let mut keys: Vec<api::Key> = Vec::new();
    match vault.credential(CREDENTIAL) {
        Ok(None) => {}
        Ok(Some(text)) => keys.push(api::Key {
            name: "credential".to_owned(),
            scope: api::Scope::Admin,
            sha256: digest(&text),
        }),
        Err(why) => problems.push(Problem::new(
            &Place::Variable("CREDENTIALS_DIRECTORY".to_owned()),
            format!("the credential {CREDENTIAL} {why}: give it the text of one key"),
        )),
    }
    let given = keys.len();
    for (k, item) in items.iter().enumerate() {
        let Some(key) = api_key(k, item, vault, problems) else { continue };
        if keys.iter().any(|other| other.name == key.name) {
            let at = Look(&item.values).place("api.keys[].name");
            let accepted = "a name that no other key has";
            problems.push(Problem::refused(
                &at,
                &format!("api.keys[{k}].name"),
                format!("{:?}", key.name),
                accepted,
            ));
        }
        if let Some(other) =
            keys[given..].iter().find(|other| other.sha256 == key.sha256 && other.scope != key.scope)
        {
            let text = format!(
                "`api.keys[{k}]` is the same key as that of {:?}, with another scope: make a second one with \
                 `myceliumd key new`",
                other.name
            );
            problems.push(Problem::new(&item.place, text));
        }
        keys.push(key);
    }
    keys
}

fn api_key(k: usize, item: &Item, vault: Vault<'_>, problems: &mut Problems) -> Option<api::Key> {
    let look = Look(&item.values);
    let name = look.text("api.keys[].name");
    if name.is_none() {
        problems
            .push(Problem::new(&item.place, format!("`api.keys[{k}].name` is missing: give the key a name")));
    }
    let scope = match look.text("api.keys[].scope").as_deref() {
        Some("admin") => api::Scope::Admin,
        Some("write") => api::Scope::Write,
        _ => api::Scope::Read,
    };
    let sha256 = match (look.text("api.keys[].sha256"), look.text("api.keys[].key_file")) {
        (Some(hex), None) => Some(from_hex(&hex)),
        (None, Some(file)) => {
            let at = look.place("api.keys[].key_file");
            key_in_file(&file, &format!("api.keys[{k}].key_file"), &at, vault, problems)
        }
        (None, None) if !item.refused.is_empty() => None,
        (sha256, _) => {
            let state = if sha256.is_some() { "both" } else { "neither" };
            problems.push(Problem::new(
                &item.place,
                format!(
                    "`api.keys[{k}]` has {state} of `sha256` and `key_file`; it must have exactly one of them"
                ),
            ));
            None
        }
    };
    Some(api::Key { name: name?, scope, sha256: sha256? })
}

fn key_in_file(
    file: &str,
    path: &str,
    at: &Place,
    vault: Vault<'_>,
    problems: &mut Problems,
) -> Option<[u8; 32]> {
    match vault.text(file) {
        Ok(text) if text.len() >= 16 && text.bytes().all(|b| b.is_ascii_graphic()) => Some(digest(&text)),
        Ok(_) => {
            let found = format!("{file:?}, whose content is no key");
            problems.push(Problem::refused(at, path, found, "a file made by `myceliumd key new`"));
            None
        }
        Err(why) => {
            problems.push(Problem::refused(
                at,
                path,
                format!("{file:?}, which {why}"),
                "a file with one key",
            ));
            None
        }
    }
}

fn digest(text: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The kind of the key admits 64 hexadecimal digits only.
fn from_hex(hex: &str) -> [u8; 32] {
    std::array::from_fn(|k| u8::from_str_radix(&hex[2 * k..2 * k + 2], 16).unwrap_or_default())
}

fn policy_range(error: &PolicyError) -> OutOfRange {
    OutOfRange {
        key: format!("outbox.{}", error.field),
        value: error.value.to_string(),
        accepted: format!("from {} to {}", error.accepted.start(), error.accepted.end()),
    }
}

fn outbox_policy(look: Look<'_>, problems: &mut Problems) -> Policy {
    let policy = Policy {
        durability: look.parsed("outbox.durability"),
        group_records: look.integer("outbox.group_records") as u32,
        group: look.millis("outbox.group_ms"),
        segment_bytes: look.integer("outbox.segment_bytes"),
        max_bytes: look.integer("outbox.max_bytes"),
        keep_free_bytes: look.integer("outbox.keep_free_bytes"),
        full: look.parsed("outbox.full"),
    };
    policy.checked().unwrap_or_else(|why| {
        problems.push(misfit(&look.place(&format!("outbox.{}", why.field)), "", &policy_range(&why)));
        Policy::default()
    })
}

fn breaker(look: Look<'_>, problems: &mut Problems) -> BreakerPolicy {
    let count = |path| look.integer(path) as i64;
    let raw = RawBreaker {
        failures: count("breaker.failures"),
        open_ms: count("breaker.open_ms"),
        open_max_ms: count("breaker.open_max_ms"),
        slow_ms: count("breaker.slow_ms"),
        probe_timeout_ms: count("breaker.probe_timeout_ms"),
    };
    BreakerPolicy::checked("breaker", &raw).unwrap_or_else(|refused| {
        for why in refused {
            let at = match look.place(&why.key) {
                // The larger default gave way to what was written for the smaller.
                Place::Default => look.place("breaker.open_ms"),
                at => at,
            };
            problems.push(misfit(&at, "", &why));
        }
        BreakerPolicy::default()
    })
}
