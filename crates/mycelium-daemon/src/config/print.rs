//! The effective configuration as TOML that can be used again, each value with where it comes from.

use std::fmt::Write;

use super::Loaded;
use super::keys::{self, Default, Key, Kind};
use super::problem::Place;
use super::read::{LISTS, Values};
use super::value::Value;
use mycelium_core::sim::RawParams;

/// Widest "key = value" that gets its comment in the same column.
const COLUMN: usize = 44;

/// All keys in the order of the manual, then arrays of tables, then the memory budget. No secrets.
pub(super) fn effective(loaded: &Loaded) -> String {
    let mut out = String::new();
    let mut table = "";
    for key in keys::all().filter(|key| !key.path.contains("[]")) {
        if key.table() != table {
            table = key.table();
            push(&mut out, format_args!("\n[{table}]\n"));
        }
        line(&mut out, key, &loaded.raw.values, loaded);
    }
    for (slot, (list, _)) in LISTS.iter().enumerate() {
        for item in &loaded.raw.lists[slot] {
            push(&mut out, format_args!("\n[[{list}]]\n"));
            for key in keys::all().filter(|key| key.path.starts_with(&format!("{list}[]."))) {
                line(&mut out, key, &item.values, loaded);
            }
        }
    }
    out.trim_start().to_owned()
}

fn line(out: &mut String, key: &Key, values: &Values, loaded: &Loaded) {
    let (value, place) = match (values.get(key.path), key.default) {
        (Some(found), _) => (Some(found.value.to_string()), found.place.clone()),
        (None, Default::Is(text)) => {
            (Value::from_text(key, text).ok().map(|v| v.to_string()), Place::Default)
        }
        (None, Default::Absent(_)) => {
            (of_the_model(key, loaded).map(|number| number.to_string()), Place::Default)
        }
    };
    let (text, comment) = match (value, key.default) {
        (Some(_), _) if matches!(key.path, "webhooks[].url" | "connectors[].url") => {
            shown_url(values, key, &place)
        }
        (Some(_), _) if key.is_secret() => (format!("# {} = not shown", key.name()), place.to_string()),
        (Some(value), _) => (format!("{} = {value}", key.name()), place.to_string()),
        (None, Default::Absent(what)) => (format!("# {}", key.name()), what.to_owned()),
        (None, Default::Is(_)) => unreachable!("a default of the table parses"),
    };
    push(out, format_args!("{text:COLUMN$} # {comment}\n"));
}

/// Path and query may hold a token: a URL with either is shown up to its host.
fn shown_url(values: &Values, key: &Key, place: &Place) -> (String, String) {
    let url = match values.get(key.path).map(|found| &found.value) {
        Some(Value::Text(url)) => url.as_str(),
        _ => "",
    };
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let end = url[host_at..].find(['/', '?']).map_or(url.len(), |at| host_at + at);
    if url[end..].len() > 1 {
        return (format!("# url = {}/.. (path not shown)", &url[..end]), place.to_string());
    }
    (format!("url = {}", super::value::toml_string(url)), place.to_string())
}

/// Numbers of the simulation that were not set have the default of the chosen model.
pub(super) fn of_the_model(key: &Key, loaded: &Loaded) -> Option<Value> {
    let mut raw = RawParams::default();
    raw.model = loaded.config.sim.model;
    let number = raw.get(key.path.strip_prefix("sim.")?)?;
    Some(match key.kind {
        Kind::Integer { .. } => Value::Integer(number as i64),
        _ => Value::Number(number),
    })
}

/// The budget as a table in bytes.
pub(super) fn budget(loaded: &Loaded) -> String {
    let budget = loaded.budget();
    let mut out = String::from("# memory budget, bytes\n");
    for (name, bytes) in budget.parts {
        push(&mut out, format_args!("# {name:24} {bytes:>12}\n"));
    }
    let sums = [
        ("total", budget.total()),
        ("work on request", budget.work),
        ("lent to it by the outbox", budget.lent),
        ("memory.max_bytes", loaded.config.memory_max),
    ];
    for (name, bytes) in sums {
        push(&mut out, format_args!("# {name:24} {bytes:>12}\n"));
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}
