//! JSON bodies. What the strict reader accepts, `serde_json` accepts too, and its depth is within the limit. What passes
//! the check reaches the derived parser, which must neither panic nor hang.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::formats::json::{self, JsonSchema, MAX_DEPTH, SchemaField};
use nanoserde::DeJson;

/// One field of each kind, like the bodies of the API.
#[derive(DeJson)]
#[allow(dead_code)]
struct Body {
    seed: Option<u64>,
    grid_size: Option<u32>,
    alpha: Option<f64>,
    turing_enabled: Option<bool>,
    model: Option<String>,
    items: Option<Vec<f64>>,
}

const BODY: JsonSchema = JsonSchema::Record(&[
    SchemaField::optional("seed", JsonSchema::Integer { low: 0, high: u64::MAX }),
    SchemaField::optional("grid_size", JsonSchema::Integer { low: 8, high: 512 }),
    SchemaField::optional("alpha", JsonSchema::Number),
    SchemaField::optional("turing_enabled", JsonSchema::Boolean),
    SchemaField::optional("model", JsonSchema::Text { max: 16 }),
    SchemaField::optional("items", JsonSchema::List { of: &JsonSchema::Number, max: 64 }),
]);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && json::check(text).is_ok()
    {
        let value: serde_json::Value =
            serde_json::from_str(text).expect("accepted here, refused by serde_json");
        assert!(depth(&value) <= MAX_DEPTH);
    }
    if let Ok(body) = json::parse::<Body>(bytes, &BODY) {
        assert!(body.grid_size.is_none_or(|grid| (8..=512).contains(&grid)));
        assert!(body.alpha.is_none_or(f64::is_finite));
        assert!(body.items.is_none_or(|items| items.len() <= 64));
    }
});

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
