//! PURE. Messages of the replaced system's WebSocket protocol (MyceliumFractalNet 4.1): `{type, payload, stream_id?,
//! timestamp}` in text frames.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use nanoserde::DeJson;

use crate::api::http::problem::Problem;
use crate::api::memory_budget::{MemoryBudget, Reservation, check_fits};
use crate::api::simulation_request::{memory_bytes, profile_of};
use crate::formats::json::{self, JsonError, JsonObject, JsonSchema, SchemaField};
use crate::snapshots::FeatureRecord;
use mycelium_core::features::{Extractor, FEATURE_NAMES, FeatureProfile, FeatureValues};
use mycelium_core::sim::{Model, Params, RawParams, Simulator};

/// Bytes of a stream id.
const MAX_ID: usize = 128;
const ID: JsonSchema = JsonSchema::Nullable(&JsonSchema::Text { max: MAX_ID });
const NUMBER: JsonSchema = JsonSchema::Nullable(&JsonSchema::Number);

/// The envelope with a payload of some shape.
const fn message(payload: &'static JsonSchema) -> [SchemaField; 4] {
    [
        SchemaField::required("type", JsonSchema::Text { max: 32 }),
        SchemaField::optional("payload", JsonSchema::Nullable(payload)),
        SchemaField::optional("stream_id", ID),
        SchemaField::optional("timestamp", NUMBER),
    ]
}

const ANY: JsonSchema = JsonSchema::Record(&message(&JsonSchema::Any));
const AUTH: JsonSchema = JsonSchema::Record(&message(&JsonSchema::Record(&[
    SchemaField::required("api_key", JsonSchema::Text { max: 512 }),
    SchemaField::optional("timestamp", NUMBER),
    SchemaField::optional("signature", JsonSchema::Any),
])));
const SUBSCRIBE: JsonSchema = JsonSchema::Record(&message(&JsonSchema::Record(&[
    SchemaField::required("stream_type", JsonSchema::Text { max: 32 }),
    SchemaField::required("stream_id", JsonSchema::Text { max: MAX_ID }),
    SchemaField::optional(
        "params",
        JsonSchema::Nullable(&JsonSchema::Record(&[
            SchemaField::optional("update_interval_ms", whole(10, 10_000)),
            SchemaField::optional(
                "features",
                JsonSchema::Nullable(&JsonSchema::List { of: &JsonSchema::Text { max: 32 }, max: 16 }),
            ),
            SchemaField::optional("compression", JsonSchema::Any),
            SchemaField::optional("seed", whole(0, u64::MAX)),
            SchemaField::optional("grid_size", whole(8, 256)),
            SchemaField::optional("steps", whole(1, 1_000)),
            SchemaField::optional("alpha", JsonSchema::Number),
            SchemaField::optional("spike_probability", JsonSchema::Number),
            SchemaField::optional("turing_enabled", JsonSchema::Boolean),
            SchemaField::optional("update_interval_steps", whole(1, 100)),
            SchemaField::optional("include_full_state", JsonSchema::Boolean),
        ])),
    ),
])));

const UNSUBSCRIBE: JsonSchema =
    JsonSchema::Record(&message(&JsonSchema::Record(&[SchemaField::optional("stream_id", ID)])));

const fn whole(low: i64, high: u64) -> JsonSchema {
    JsonSchema::Integer { low, high }
}

#[derive(DeJson)]
struct Envelope {
    #[nserde(rename = "type")]
    kind: String,
    stream_id: Option<String>,
}

#[derive(DeJson)]
struct Keyed {
    payload: Option<KeyPayload>,
}

#[derive(DeJson)]
struct KeyPayload {
    api_key: String,
}

#[derive(DeJson)]
struct Unsubscription {
    payload: Option<StreamName>,
}

#[derive(DeJson)]
struct StreamName {
    stream_id: Option<String>,
}

#[derive(DeJson)]
struct Subscription {
    payload: Option<Subscribe>,
}

/// What a client wants to follow.
#[derive(DeJson)]
pub struct Subscribe {
    pub stream_type: String,
    pub stream_id: String,
    pub params: Option<Wishes>,
}

#[derive(Default, DeJson)]
pub struct Wishes {
    pub update_interval_ms: Option<u64>,
    pub features: Option<Vec<String>>,
    pub seed: Option<u64>,
    pub grid_size: Option<u64>,
    pub steps: Option<u64>,
    pub alpha: Option<f64>,
    pub spike_probability: Option<f64>,
    pub turing_enabled: Option<bool>,
    pub update_interval_steps: Option<u64>,
    pub include_full_state: Option<bool>,
}

/// One message from a client.
pub enum ClientMessage {
    Init,
    Auth(String),
    Subscribe(Box<Subscribe>),
    Unsubscribe(String),
    Pong,
    Close,
    Unknown,
}

impl ClientMessage {
    pub fn read(text: &[u8]) -> Result<Self, JsonError> {
        let envelope: Envelope = json::parse(text, &ANY)?;
        Ok(match envelope.kind.as_str() {
            "init" => Self::Init,
            "auth" => {
                let keyed: Keyed = json::parse(text, &AUTH)?;
                keyed.payload.map_or(Self::Unknown, |payload| Self::Auth(payload.api_key))
            }
            "subscribe" => {
                let wish: Subscription = json::parse(text, &SUBSCRIBE)?;
                wish.payload.map_or(Self::Unknown, |payload| Self::Subscribe(Box::new(payload)))
            }
            "unsubscribe" => {
                let named: Unsubscription = json::parse(text, &UNSUBSCRIBE)?;
                let id = named.payload.and_then(|payload| payload.stream_id).or(envelope.stream_id);
                id.map_or(Self::Unknown, Self::Unsubscribe)
            }
            "pong" => Self::Pong,
            "close" => Self::Close,
            _ => Self::Unknown,
        })
    }
}

/// A message of the server; `payload` must be JSON.
pub fn say(kind: &str, stream_id: Option<&str>, now_ms: i64, payload: &str) -> String {
    let mut text = String::with_capacity(payload.len() + 128);
    let mut object = JsonObject::new(&mut text);
    object.string("type", kind);
    if let Some(id) = stream_id {
        object.string("stream_id", id);
    }
    object.integer("timestamp", now_ms).raw("payload", payload);
    drop(object);
    text
}

/// An error in the words of the replaced system.
pub fn refusal(kind: &str, stream_id: Option<&str>, now_ms: i64, code: &str, detail: &str) -> String {
    let mut payload = String::new();
    JsonObject::new(&mut payload).string("error_code", code).string("message", detail);
    say(kind, stream_id, now_ms, &payload)
}

/// `feature_update` of a field with `cells` cells; only features of `wanted`, if there are any.
pub fn update(
    record: &FeatureRecord,
    cells: f64,
    wanted: &[String],
    id: &str,
    sequence: u64,
    now_ms: i64,
) -> String {
    let of = value_of(&record.values);
    let (mean, std) = (of("V_mean") / 1e3, of("V_std") / 1e3);
    let features = [
        ("pot_mean_mV", of("V_mean")),
        ("pot_std_mV", of("V_std")),
        ("pot_min_mV", of("V_min")),
        ("pot_max_mV", of("V_max")),
        ("active_nodes", of("f_active") * cells),
        ("activity_ratio", of("f_active")),
        ("fractal_dimension", of("D_box")),
        ("total_energy", cells * (mean * mean + std * std)),
        ("spatial_variance", std * std),
    ];
    let mut payload = String::with_capacity(512);
    let mut object = JsonObject::new(&mut payload);
    object.string("stream_id", id).integer("sequence", sequence);
    let mut chosen = object.object("features");
    for (name, value) in features {
        if wanted.is_empty() || wanted.iter().any(|wish| wish == name) {
            chosen.number(name, value);
        }
    }
    drop(chosen);
    object.integer("timestamp", now_ms);
    drop(object);
    say("feature_update", Some(id), now_ms, &payload)
}

fn value_of(values: &FeatureValues) -> impl Fn(&str) -> f64 + '_ {
    |name| FEATURE_NAMES.iter().position(|n| *n == name).map_or(f64::NAN, |k| values[k])
}

/// A live simulation, as far as it has come.
pub struct Live {
    simulator: Simulator,
    profile: FeatureProfile,
    steps: u64,
    every: u64,
    full: bool,
    /// Of the memory of simulations.
    _share: Reservation,
}

impl Live {
    /// `profile` is that of the daemon, if it has one; the field takes of `memory`, up to `most`.
    pub fn new(
        wishes: &Wishes,
        profile: Option<FeatureProfile>,
        (memory, most): (&MemoryBudget, u64),
    ) -> Result<Self, Problem> {
        let mut raw = RawParams::default();
        raw.model = Model::Mfn;
        raw.turing_enabled = wishes.turing_enabled.unwrap_or(true);
        let numbers = [
            ("grid", wishes.grid_size.map(|n| n as f64)),
            ("alpha", wishes.alpha),
            ("spike_probability", wishes.spike_probability),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                raw.set(key, value)?;
            }
        }
        let params = Params::try_from(raw)?;
        let profile = profile_of(&params, profile);
        let bytes = memory_bytes(&params, &profile);
        check_fits(bytes, most)?;
        Ok(Self {
            _share: memory.reserve(bytes, most)?,
            profile,
            simulator: Simulator::new(params, wishes.seed.unwrap_or(42)),
            steps: wishes.steps.unwrap_or(64),
            every: wishes.update_interval_steps.unwrap_or(1),
            full: wishes.include_full_state.unwrap_or(false),
        })
    }

    pub fn is_done(&self) -> bool {
        self.simulator.steps_done() >= self.steps
    }

    /// The steps up to the next update: at most 100 on at most 256 x 256 cells.
    pub fn advance(&mut self) {
        for _ in 0..self.every {
            if !self.is_done() {
                self.simulator.step();
            }
        }
    }

    /// Box-counting dimension of the frame as it is.
    fn fractal_dimension(&self) -> f64 {
        let mut extractor = Extractor::new(self.simulator.params().grid, self.profile);
        extractor.push(self.simulator.frame());
        value_of(&extractor.values())("D_box")
    }

    /// `simulation_state`, or `simulation_complete` once it is done.
    pub fn describe(&self, id: &str, now_ms: i64, complete: bool) -> String {
        let frame = self.simulator.frame();
        let cells = frame.len() as f64;
        let mv = || (0..frame.len()).map(|k| frame.get(k) * 1e3);
        let mean = mv().sum::<f64>() / cells;
        let std = libm::sqrt(mv().map(|v| (v - mean) * (v - mean)).sum::<f64>() / cells);
        let active = mv().filter(|v| *v > -60.0).count();
        let mut payload = String::with_capacity(512);
        let mut object = JsonObject::new(&mut payload);
        object.string("stream_id", id);
        if !complete {
            object.integer("step", self.simulator.steps_done()).integer("total_steps", self.steps);
        }
        let mut state = object.object(if complete { "final_metrics" } else { "state" });
        state
            .number("pot_mean_mV", mean)
            .number("pot_std_mV", std)
            .number("pot_min_mV", mv().fold(f64::INFINITY, f64::min))
            .number("pot_max_mV", mv().fold(f64::NEG_INFINITY, f64::max));
        if complete {
            state.integer("growth_events", self.simulator.counters().growth_events);
            state.number("fractal_dimension", self.fractal_dimension());
        } else {
            state.integer("active_nodes", active as u64);
        }
        if self.full && !complete {
            let side = self.simulator.params().grid as u64;
            state.array("field_shape").integer(side).integer(side);
            state.number("field_mean", mean / 1e3);
        }
        drop(state);
        if !complete {
            let growth = self.simulator.counters().growth_events;
            object.object("metrics").integer("growth_events", growth);
        }
        object.integer("timestamp", now_ms);
        drop(object);
        say(if complete { "simulation_complete" } else { "simulation_state" }, Some(id), now_ms, &payload)
    }
}
