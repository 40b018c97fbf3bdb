//! The strict JSON reader: what it accepts, what it refuses, and that hostile input does no harm.
#![allow(clippy::question_mark, reason = "the derived parsers are written so")]

use mycelium_daemon::formats::json::{JsonError, JsonErrorKind, JsonSchema, SchemaField};
use mycelium_daemon::formats::json::{MAX_DEPTH, check, parse};
use nanoserde::DeJson;

const SCHEMA: JsonSchema = JsonSchema::Record(&[
    SchemaField::required("z", JsonSchema::Integer { low: -2, high: 2 }),
    SchemaField::optional("c", JsonSchema::Number),
    SchemaField::optional(
        "items",
        JsonSchema::List {
            of: &JsonSchema::Record(&[SchemaField::required("v", JsonSchema::Number)]),
            max: 2,
        },
    ),
    SchemaField::optional("on", JsonSchema::Boolean),
    SchemaField::optional("name", JsonSchema::Text { max: 12 }),
]);

#[derive(Debug, DeJson, PartialEq)]
struct Item {
    v: f64,
}

#[derive(Debug, DeJson, PartialEq)]
struct Body {
    z: i64,
    c: Option<f64>,
    items: Option<Vec<Item>>,
    on: Option<bool>,
    name: Option<String>,
}

fn body(text: &str) -> Result<Body, JsonError> {
    parse(text.as_bytes(), &SCHEMA)
}

#[test]
fn a_text_that_matches_the_schema_is_parsed() {
    let all = body(
        " {\"\\u007a\":-2.0,\"c\":1e+5,\"items\":[{\"v\":20000000000000000000000},{\"v\":-0.5}],\
         \"on\":true,\"name\":\"\\ud83c\\udf44\"}\r\n",
    );
    let want = Body {
        z: -2,
        c: Some(1e5),
        items: Some(vec![Item { v: 2e22 }, Item { v: -0.5 }]),
        on: Some(true),
        name: Some("\u{1f344}".to_owned()),
    };
    assert_eq!(all, Ok(want));
    let least = body("{\"z\":1}").unwrap();
    assert_eq!(least, Body { z: 1, c: None, items: None, on: None, name: None });
}

#[test]
fn hostile_and_broken_texts_are_refused_with_path_reason_and_position() {
    let deep = format!("{{\"z\":1,\"c\":{}", "[".repeat(100_000));
    let ends = |path: &str, at| (path.to_owned(), at, JsonErrorKind::UnexpectedEnd);
    let known = || JsonErrorKind::UnknownKey("z, c, items, on, name".to_owned());
    let rows: Vec<(&str, (String, usize, JsonErrorKind), &str)> = vec![
        ("", ends("", 0), "nothing at all"),
        (
            "{\"z\":[",
            ("z".into(), 5, JsonErrorKind::Mismatch("a whole number from -2 to 2".into())),
            "loops nanoserde",
        ),
        ("{\"z\":}", ("z".into(), 5, JsonErrorKind::Syntax("a value")), "panics nanoserde"),
        ("{\"z\":1", ends("z", 6), "object not closed"),
        ("{\"z\":1}x", (String::new(), 7, JsonErrorKind::Trailing), "trailing bytes"),
        ("{\"z\":1,\"z\":1}", ("z".into(), 7, JsonErrorKind::DuplicateKey), "duplicate"),
        ("{\"z\":1,\"\\u007a\":1}", ("z".into(), 7, JsonErrorKind::DuplicateKey), "duplicate in disguise"),
        ("{\"z\":1,\"q\":1}", ("q".into(), 7, known()), "unknown key"),
        ("{\"c\":1}", ("z".into(), 0, JsonErrorKind::MissingKey), "required key"),
        (
            "{\"z\":1,\"items\":[{\"v\":1e999}]}",
            ("items[0].v".into(), 21, JsonErrorKind::NotFinite),
            "overflow",
        ),
        (
            "{\"z\":1.5}",
            ("z".into(), 5, JsonErrorKind::Mismatch("a whole number from -2 to 2".into())),
            "fraction",
        ),
        ("{\"z\":NaN}", ("z".into(), 5, JsonErrorKind::Syntax("a value")), "NaN is no JSON"),
        ("{\"z\":nul", ends("z", 5), "cut word"),
        (
            "{\"z\":null}",
            ("z".into(), 5, JsonErrorKind::Mismatch("a whole number from -2 to 2".into())),
            "null",
        ),
        (
            "{\"z\":01}",
            ("z".into(), 6, JsonErrorKind::Syntax("the end of a number that starts with 0")),
            "octal",
        ),
        ("{\"z\":+1}", ("z".into(), 5, JsonErrorKind::Syntax("a value")), "plus sign"),
        ("{\"z\":1.}", ("z".into(), 7, JsonErrorKind::Syntax("a digit")), "no digits behind the point"),
        ("{\"z\":1,}", ("z".into(), 7, JsonErrorKind::Syntax("a key in quotes")), "trailing comma"),
        ("/**/{\"z\":1}", (String::new(), 0, JsonErrorKind::Syntax("a value")), "comments"),
        ("\u{feff}{\"z\":1}", (String::new(), 0, JsonErrorKind::Syntax("a value")), "byte order mark"),
        ("{\"z\":1,\"name\":\"\\ud800\"}", ("name".into(), 15, JsonErrorKind::Surrogate), "lone surrogate"),
        ("{\"z\":1,\"name\":\"\\ud800\\u0041\"}", ("name".into(), 15, JsonErrorKind::Surrogate), "bad pair"),
        (
            "{\"z\":1,\"name\":\"a\nb\"}",
            ("name".into(), 16, JsonErrorKind::Syntax("an escape instead of a control character")),
            "raw control",
        ),
        (
            "{\"z\":1,\"name\":\"1234567890123\"}",
            ("name".into(), 14, JsonErrorKind::TooLong(12)),
            "long text",
        ),
        (
            "{\"z\":1,\"items\":[{\"v\":1},{\"v\":1},{\"v\":1}]}",
            ("items".into(), 32, JsonErrorKind::TooLong(2)),
            "long list",
        ),
        (
            &deep,
            ("c".into(), 11, JsonErrorKind::Mismatch("a number".into())),
            "deep nesting where a number belongs",
        ),
    ];
    for (text, (path, at, reason), why) in rows {
        let refused = body(text).unwrap_err();
        assert_eq!(refused, JsonError { path, at, reason }, "{why}");
    }
    let refused: Result<Body, _> = parse(b"{\"z\":\xff}", &SCHEMA);
    assert_eq!(refused.unwrap_err().reason, JsonErrorKind::Utf8);
}

#[test]
fn depth_is_bounded_and_duplicate_keys_are_refused_without_a_schema() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
    assert_eq!(check(&nested(MAX_DEPTH + 1)).unwrap_err().reason, JsonErrorKind::Depth);
    assert_eq!(check(&"[".repeat(1_000_000)).unwrap_err().reason, JsonErrorKind::Depth);
    assert_eq!(check("{\"a\":{\"b\":1,\"b\":2}}").unwrap_err().path, "a.b");
    assert_eq!(
        check("{\"\\ud83c\\udf44\":1,\"\u{1f344}\":2}").unwrap_err().reason,
        JsonErrorKind::DuplicateKey
    );
    let refused = check("{\"a\":[1,{\"b\":tru}]}").unwrap_err();
    assert_eq!(refused.to_string(), "`a[1].b` has something else where a value should be (at byte 13)");
}

/// Mutants seen red: no check before the derived parser (hangs within seconds), no depth limit (stack overflow).
#[test]
fn no_text_made_of_json_fragments_panics_hangs_or_parses_differently_the_second_time() {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"z\"",
        "\"c\"",
        "\"items\"",
        "\"v\"",
        "1",
        "-2",
        "0.5",
        "1e9",
        "true",
        "null",
        "\"\\u00e9\"",
        " ",
        "\"",
        "\\",
        "\u{e9}",
        "9999999999999999999999",
        "e",
        "-",
    ];
    let mut accepted = 0;
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = String::from(if rng.bool() { "{\"z\":1" } else { "" });
        for _ in 0..rng.usize(..24) {
            text.push_str(pieces[rng.usize(..pieces.len())]);
        }
        if rng.bool() {
            text.push('}');
        }
        let first = body(&text);
        assert_eq!(first, body(&text), "{text}");
        if first.is_ok() {
            accepted += 1;
            assert_eq!(check(&text), Ok(()), "what a shape allows is JSON: {text}");
        }
    }
    assert!(accepted > 100, "the generator must reach accepted texts too: {accepted}");
}
