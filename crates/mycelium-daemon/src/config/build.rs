//! PURE. From checked values to the settings that each module owns.

use super::endpoints::Endpoints;
use super::keys;
use super::lookup::Lookup;
use super::problem::{ConfigProblem, Origin, Problems};
use super::raw::{Located, RawConfig};
use super::secrets::SecretSource;
use super::settings::Config;
use super::value::Value;
use super::{api, connectors, files, webhooks};
use crate::net::{BreakerPolicy, RawBreaker};
use crate::telemetry::{logs, trace};
use mycelium_core::features::{Compat, FeatureProfile};
use mycelium_core::range::OutOfRange;
use mycelium_core::sim::{self, Boundary, Params, RawParams};
use mycelium_outbox::OutboxPolicy;

/// Builds everything it can, and adds what does not fit together to the problems.
pub(super) fn build(raw: &RawConfig, secrets: SecretSource<'_>, problems: &mut Problems) -> Config {
    let lookup = Lookup(&raw.values);
    let sim = simulation(lookup, problems);
    let [api_keys, webhooks, connectors, inputs, files] = &raw.lists;
    let mut endpoints = Endpoints { found: Vec::new(), problems };
    webhooks::build(webhooks, secrets, &mut endpoints);
    files::build(files, &mut endpoints);
    let endpoints = endpoints.found;
    let inputs = connectors::inputs(inputs, sim.grid, problems);
    let api = api::settings(lookup, secrets, problems);
    let keys = api::api_keys(api_keys, secrets, problems);
    api::check_listen_exposure(lookup, &keys, problems);
    Config {
        device: lookup.get(keys::DEVICE_ID),
        memory_max_bytes: lookup.get(keys::MEMORY_MAX_BYTES),
        seed: lookup.get(keys::SIM_SEED),
        tick: lookup.get(keys::SIM_TICK_MS),
        steps_per_tick: lookup.get(keys::SIM_STEPS_PER_TICK),
        frames: lookup.get(keys::SIM_FRAMES),
        every: lookup.get(keys::FEATURES_EVERY),
        profile: profile(lookup, &sim),
        sim,
        api,
        keys,
        rate: api::rate(lookup),
        window_steps: lookup.get(keys::OUTBOX_WINDOW_STEPS),
        outbox: outbox_policy(lookup, problems),
        connectors: connectors::build(connectors, &inputs, &endpoints, problems),
        inputs: inputs.iter().map(|bound| bound.input.name.as_str().into()).collect(),
        signals: inputs.into_iter().map(|bound| bound.signal).collect(),
        endpoints,
        breaker: breaker(lookup, problems),
        log: logs::LogSettings { level: lookup.get(keys::LOG_LEVEL), format: lookup.get(keys::LOG_FORMAT) },
        trace: trace::TraceSettings {
            otlp_url: lookup.get(keys::TRACE_OTLP_URL),
            sample_ratio: lookup.get(keys::TRACE_SAMPLE_RATIO),
        },
    }
}

fn simulation(lookup: Lookup<'_>, problems: &mut Problems) -> Params {
    let mut raw = RawParams::default();
    raw.model = lookup.get(keys::SIM_MODEL);
    raw.precision = lookup.get(keys::SIM_PRECISION);
    raw.boundary = lookup.get(keys::SIM_BOUNDARY);
    raw.gray_scott_preset = lookup.get(keys::SIM_GRAY_SCOTT_PRESET);
    for parameter in sim::PARAMETERS {
        let path = format!("sim.{}", parameter.name);
        let Some(Located { value, origin }) = lookup.0.get(path.as_str()) else { continue };
        let number = match value {
            Value::Integer(n) => *n as f64,
            Value::Number(x) => *x,
            _ => unreachable!("parameters of the simulation are numbers"),
        };
        if let Err(why) = raw.set(parameter.name, number) {
            problems.push(owner_error(origin, "sim.", &why));
        }
    }
    Params::try_from(raw).unwrap_or_else(|why| {
        let origin = match lookup.origin_of(&format!("sim.{}", why.key)) {
            Origin::Default => lookup.origin(keys::SIM_MODEL),
            set => set,
        };
        problems.push(owner_error(&origin, "sim.", &why));
        Params::default()
    })
}

/// The error of the module that owns a setting; `table` completes the path of its key.
fn owner_error(origin: &Origin, table: &str, why: &OutOfRange) -> ConfigProblem {
    ConfigProblem::rejected(origin, &format!("{table}{}", why.key), &why.value, &why.accepted)
}

fn profile(lookup: Lookup<'_>, sim: &Params) -> FeatureProfile {
    FeatureProfile {
        compat: lookup.get(keys::FEATURES_COMPAT).unwrap_or(Compat::Edge),
        threshold: lookup.get(keys::FEATURES_THRESHOLD),
        connectivity: lookup.get(keys::FEATURES_CONNECTIVITY),
        torus: sim.boundary == Boundary::Periodic,
        window: lookup.get(keys::FEATURES_WINDOW),
    }
}

fn outbox_policy(lookup: Lookup<'_>, problems: &mut Problems) -> OutboxPolicy {
    let policy = OutboxPolicy {
        durability: lookup.get(keys::OUTBOX_DURABILITY),
        group_records: lookup.get(keys::OUTBOX_GROUP_RECORDS),
        group: lookup.get(keys::OUTBOX_GROUP_MS),
        segment_bytes: lookup.get(keys::OUTBOX_SEGMENT_BYTES),
        max_bytes: lookup.get(keys::OUTBOX_MAX_BYTES),
        keep_free_bytes: lookup.get(keys::OUTBOX_KEEP_FREE_BYTES),
        full: lookup.get(keys::OUTBOX_FULL),
    };
    policy.checked().unwrap_or_else(|why| {
        let path = format!("outbox.{}", why.field);
        let accepted = format!("from {} to {}", why.accepted.start(), why.accepted.end());
        problems.push(ConfigProblem::rejected(&lookup.origin_of(&path), &path, why.value, accepted));
        OutboxPolicy::DEFAULT
    })
}

fn breaker(lookup: Lookup<'_>, problems: &mut Problems) -> BreakerPolicy {
    let raw = RawBreaker {
        failures: lookup.get(keys::BREAKER_FAILURES),
        open_ms: lookup.get(keys::BREAKER_OPEN_MS),
        open_max_ms: lookup.get(keys::BREAKER_OPEN_MAX_MS),
        slow_ms: lookup.get(keys::BREAKER_SLOW_MS),
        probe_timeout_ms: lookup.get(keys::BREAKER_PROBE_TIMEOUT_MS),
    };
    BreakerPolicy::checked("breaker", &raw).unwrap_or_else(|rejected| {
        for why in rejected {
            let origin = match lookup.origin_of(&why.key) {
                // The default of `open_max_ms` is too small for the `open_ms` that is set.
                Origin::Default => lookup.origin(keys::BREAKER_OPEN_MS),
                set => set,
            };
            problems.push(owner_error(&origin, "", &why));
        }
        BreakerPolicy::DEFAULT
    })
}
