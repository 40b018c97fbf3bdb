//! PURE. Messages of the protocol: text frames of `{type, payload, stream_id?, timestamp}`.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use nanoserde::DeJson;

use crate::api::simulation_request::feature;
use crate::formats::json::{self, JsonError, JsonObject, JsonSchema, SchemaField};
use crate::snapshots::FeatureRecord;
use mycelium_core::field::GRID_SIDE;

/// Bytes of a stream id, which every message repeats.
const MAX_STREAM_ID_BYTES: usize = 128;
const ID: JsonSchema = JsonSchema::Nullable(&JsonSchema::Text { max: MAX_STREAM_ID_BYTES });
/// Version 4.1 had no larger live simulations.
const GRID_SIZE: JsonSchema = whole(*GRID_SIDE.start() as i64, 256);
const NUMBER: JsonSchema = JsonSchema::Nullable(&JsonSchema::Number);

/// A message whose payload has that schema.
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
    SchemaField::required("stream_id", JsonSchema::Text { max: MAX_STREAM_ID_BYTES }),
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
            SchemaField::optional("grid_size", GRID_SIZE),
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
struct AuthMessage {
    payload: Option<AuthPayload>,
}

#[derive(DeJson)]
struct AuthPayload {
    api_key: String,
}

#[derive(DeJson)]
struct UnsubscribeMessage {
    payload: Option<UnsubscribePayload>,
}

#[derive(DeJson)]
struct UnsubscribePayload {
    stream_id: Option<String>,
}

#[derive(DeJson)]
struct SubscribeMessage {
    payload: Option<SubscribePayload>,
}

#[derive(DeJson)]
pub struct SubscribePayload {
    pub stream_type: String,
    pub stream_id: String,
    pub params: Option<SubscribeParams>,
}

#[derive(Default, DeJson)]
/// Parameters of either stream; each ignores those of the other.
pub struct SubscribeParams {
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
    Subscribe(Box<SubscribePayload>),
    Unsubscribe(String),
    Pong,
    Close,
    Unknown,
}

impl ClientMessage {
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let envelope: Envelope = json::parse(text, &ANY)?;
        Ok(match envelope.kind.as_str() {
            "init" => Self::Init,
            "auth" => {
                let auth: AuthMessage = json::parse(text, &AUTH)?;
                auth.payload.map_or(Self::Unknown, |payload| Self::Auth(payload.api_key))
            }
            "subscribe" => {
                let message: SubscribeMessage = json::parse(text, &SUBSCRIBE)?;
                message.payload.map_or(Self::Unknown, |payload| Self::Subscribe(Box::new(payload)))
            }
            "unsubscribe" => {
                let message: UnsubscribeMessage = json::parse(text, &UNSUBSCRIBE)?;
                let id = message.payload.and_then(|payload| payload.stream_id).or(envelope.stream_id);
                id.map_or(Self::Unknown, Self::Unsubscribe)
            }
            "pong" => Self::Pong,
            "close" => Self::Close,
            _ => Self::Unknown,
        })
    }
}

/// A message to the client; `payload` must be JSON.
pub fn server_message(kind: &str, stream_id: Option<&str>, now_ms: i64, payload: &str) -> String {
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

/// An error message with one of the codes of version 4.1.
pub fn error_message(kind: &str, stream_id: Option<&str>, now_ms: i64, code: &str, detail: &str) -> String {
    let mut payload = String::new();
    JsonObject::new(&mut payload).string("error_code", code).string("message", detail);
    server_message(kind, stream_id, now_ms, &payload)
}

/// `feature_update` of a field with `cells` cells. An empty `wanted` selects all features.
pub fn feature_update(
    record: &FeatureRecord,
    cells: f64,
    wanted: &[String],
    id: &str,
    sequence: u64,
    now_ms: i64,
) -> String {
    let of = |name| feature(&record.values, name);
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
    let mut selected = object.object("features");
    for (name, value) in features {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            selected.number(name, value);
        }
    }
    drop(selected);
    object.integer("timestamp", now_ms);
    drop(object);
    server_message("feature_update", Some(id), now_ms, &payload)
}
