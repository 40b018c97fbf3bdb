//! JSON from outside. What the strict reader takes, `serde_json` takes too, and nothing nested beyond the limit is taken;
//! what passes the check reaches the derived parser, which must neither panic nor hang.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mycelium_daemon::formats::json::{Field, MAX_DEPTH, Shape, read};
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

const BODY: Shape = Shape::Record(&[
    Field::optional("seed", Shape::Integer { low: 0, high: u64::MAX }),
    Field::optional("grid_size", Shape::Integer { low: 8, high: 512 }),
    Field::optional("alpha", Shape::Number),
    Field::optional("turing_enabled", Shape::Boolean),
    Field::optional("model", Shape::Text { max: 16 }),
    Field::optional("items", Shape::List { of: &Shape::Number, max: 64 }),
]);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && read::check(text).is_ok()
    {
        let value: serde_json::Value = serde_json::from_str(text).expect("taken here, refused by serde_json");
        assert!(depth(&value) <= MAX_DEPTH);
    }
    if let Ok(body) = read::read::<Body>(bytes, &BODY) {
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
