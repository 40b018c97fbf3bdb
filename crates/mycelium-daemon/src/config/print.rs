//! PURE. The effective settings as TOML that can be used again, each value with where it was set.

use std::fmt::Write;

use super::budget::Budget;
use super::keys::{self, KeySpec, Kind};
use super::problem::Origin;
use super::raw::{LISTS, RawConfig, Values};
use super::settings::Config;
use super::value::{Value, toml_string};
use mycelium_core::sim::RawParams;

/// Column of the comments; a longer "key = value" moves its comment to the right.
const COLUMN: usize = 44;

/// All keys in the order of the manual, then arrays of tables. No secrets.
pub(super) fn effective(raw: &RawConfig, config: &Config) -> String {
    let mut out = String::new();
    let mut table = "";
    for key in keys::all().filter(|key| !key.is_in_list()) {
        if key.table() != table {
            table = key.table();
            push(&mut out, format_args!("\n[{table}]\n"));
        }
        line(&mut out, key, &raw.values, config);
    }
    for ((list, _), items) in LISTS.iter().zip(&raw.lists) {
        for item in items {
            push(&mut out, format_args!("\n[[{list}]]\n"));
            let mut table = format!("{list}[]");
            for key in keys::all().filter(|key| key.path.starts_with(&format!("{list}[]."))) {
                if key.table() != table {
                    // An empty table would turn on what it sets.
                    if !item.values.keys().any(|path| path.starts_with(key.table())) {
                        continue;
                    }
                    key.table().clone_into(&mut table);
                    push(&mut out, format_args!("\n[{}]\n", table.replace("[]", "")));
                }
                line(&mut out, key, &item.values, config);
            }
        }
    }
    out.trim_start().to_owned()
}

fn line(out: &mut String, key: &KeySpec, values: &Values, config: &Config) {
    let located = values.get(key.path);
    let set = located.map(|located| located.value.clone());
    let value = set.or_else(|| key.default.value()).or_else(|| model_default(key, config));
    let origin = located.map_or(Origin::Default, |located| located.origin.clone()).to_string();
    let (text, comment) = match (value, key.default) {
        (Some(Value::Text(url)), _) if is_url(key) => shown_url(&url, origin),
        (Some(_), _) if keys::is_secret(key) => {
            (format!("# {} = \"..\"", key.name()), format!("fill in, not shown: {origin}"))
        }
        (Some(value), _) => (format!("{} = {value}", key.name()), origin),
        (None, instead) => (format!("# {}", key.name()), instead.text()),
    };
    push(out, format_args!("{text:COLUMN$} # {comment}\n"));
}

fn is_url(key: &KeySpec) -> bool {
    [keys::WEBHOOKS_URL.path(), keys::CONNECTORS_URL.path()].contains(&key.path)
}

/// Path and query may hold a token: of a URL with either, only scheme and host are shown.
fn shown_url(url: &str, origin: String) -> (String, String) {
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let end = url[host_at..].find(['/', '?']).map_or(url.len(), |at| host_at + at);
    if url[end..].len() > 1 {
        return (format!("# url = \"{}/..\"", &url[..end]), format!("fill in the path, not shown: {origin}"));
    }
    (format!("url = {}", toml_string(url)), origin)
}

/// The default that the chosen model has for a number of the simulation.
pub(super) fn model_default(key: &KeySpec, config: &Config) -> Option<Value> {
    let mut raw = RawParams::default();
    raw.model = config.sim.model;
    let number = raw.get(key.path.strip_prefix("sim.")?)?;
    Some(match key.kind {
        Kind::Integer { .. } => Value::Integer(number as i64),
        _ => Value::Number(number),
    })
}

/// Every key as a comment, with its default, its accepted values and its meaning.
pub fn commented() -> String {
    let mut out = String::from(
        "# Configuration of myceliumd. Every line is a default: remove the # of what you want to change.\n\
         # myceliumd check --config FILE says whether it is valid. docs/CONFIG.md has the same list.\n",
    );
    let mut table = "";
    for key in keys::all() {
        if key.table() != table {
            table = key.table();
            match table.strip_suffix("[]") {
                Some(list) => push(&mut out, format_args!("\n# [[{list}]]\n")),
                None if table.contains("[]") => {
                    push(&mut out, format_args!("\n# [{}]\n", table.replace("[]", "")));
                }
                None => push(&mut out, format_args!("\n[{table}]\n")),
            }
        }
        let unit = if key.unit.is_empty() { String::new() } else { format!(", {}", key.unit) };
        push(
            &mut out,
            format_args!("\n# {}\n# {}{unit}: {}\n", key.doc, key.kind.type_name(), key.kind.accepted()),
        );
        match key.default.value() {
            Some(value) => push(&mut out, format_args!("# {} = {value}\n", key.name())),
            None => push(&mut out, format_args!("# {} =    # default: {}\n", key.name(), key.default.text())),
        }
    }
    out
}

/// The budget as a table in MiB.
pub(super) fn budget(config: &Config) -> String {
    let budget = Budget::of(config);
    let sums = [
        ("total", budget.total()),
        ("on-demand simulations", budget.on_demand),
        ("borrowed from the outbox", budget.borrowable),
        (keys::MEMORY_MAX_BYTES.path(), config.memory_max_bytes),
    ];
    let mut out = String::from("# memory budget, MiB\n");
    for (name, bytes) in budget.parts.into_iter().chain(sums) {
        push(&mut out, format_args!("# {name:24} {:>9.3}\n", bytes as f64 / f64::from(1 << 20)));
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}
