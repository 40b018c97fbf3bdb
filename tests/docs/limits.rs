//! docs/LIMITS.md has exactly the limits of the code, each with its value.

use std::collections::BTreeMap;
use std::path::Path;

use mycelium_daemon::config::keys::{self, DefaultValue, Kind};

use crate::source::{code, files, read, root};

/// `crates/mycelium-daemon/src/api/http.rs` is `api::http`; modules of the outbox begin with `outbox`.
fn module(path: &Path) -> String {
    let path = path.strip_prefix(root().join("crates")).unwrap().with_extension("");
    let package = path.iter().next().unwrap();
    let inside = path.strip_prefix(Path::new(package).join("src")).unwrap();
    let parts = (package == "mycelium-outbox").then_some("outbox").into_iter();
    let parts = parts.chain(inside.iter().map(|part| part.to_str().unwrap()));
    parts.filter(|part| !["mod", "lib"].contains(part)).collect::<Vec<_>>().join("::")
}

/// Types a limit can have.
const TYPES: [&str; 9] = [
    "usize",
    "u64",
    "u32",
    "u16",
    "i32",
    "Duration",
    "Interval",
    "RangeInclusive<",
    "std::ops::RangeInclusive<",
];

/// Name and expression of each constant of such a type in one file; fields of `Deadlines::default()` too.
fn constants(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("const ") {
        let Some((declared, rest)) = code[at + 6..].split_once(" = ") else { continue };
        let Some((name, kind)) = declared.split_once(": ") else { continue };
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if is_name && TYPES.iter().any(|t| kind == *t || t.ends_with('<') && kind.starts_with(t)) {
            found.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
        }
    }
    if let Some((_, body)) = code.split_once("impl Default for Deadlines") {
        let body = body.split("\n}").next().unwrap();
        for line in body.lines().filter(|line| line.contains(": Duration::from")) {
            let (name, value) = line.trim().trim_end_matches(',').split_once(": ").unwrap();
            found.push((format!("Deadlines.{name}"), value.to_owned()));
        }
    }
    found
}

/// Every constant by its full name.
fn all() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in files("crates", &[".rs"]) {
        if path.ends_with("tests.rs") || path.ends_with("build.rs") {
            continue;
        }
        let module = module(&path);
        for (name, value) in constants(&code(&path)) {
            found.entry(format!("{module}::{name}")).or_insert(value);
        }
    }
    found
}

/// The value of an expression of integers, `*`, `+`, `<<`, parentheses, and constants of the same or another module.
struct Expression<'a> {
    text: &'a [u8],
    module: &'a str,
    all: &'a BTreeMap<String, String>,
}

impl Expression<'_> {
    fn skip(&mut self) {
        self.text = self.text.trim_ascii_start();
    }

    fn eat(&mut self, what: &str) -> bool {
        self.skip();
        let found = self.text.starts_with(what.as_bytes());
        if found {
            self.text = &self.text[what.len()..];
        }
        found
    }

    fn word(&mut self) -> String {
        self.skip();
        let long = self.text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_:.".contains(b)).count();
        let (word, rest) = self.text.split_at(long);
        self.text = rest;
        String::from_utf8(word.to_vec()).unwrap()
    }

    fn shift(&mut self) -> Option<u64> {
        let mut value = self.sum()?;
        while self.eat("<<") {
            value <<= self.sum()?;
        }
        Some(value)
    }

    fn sum(&mut self) -> Option<u64> {
        let mut value = self.product()?;
        while self.eat("+") {
            value += self.product()?;
        }
        Some(value)
    }

    fn product(&mut self) -> Option<u64> {
        let mut value = self.atom()?;
        while self.eat("*") {
            value *= self.atom()?;
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<u64> {
        if self.eat("(") {
            let value = self.shift();
            return value.filter(|_| self.eat(")"));
        }
        let word = self.word();
        let digits: String = word.chars().filter(|c| *c != '_').collect();
        if let Ok(number) = digits.parse::<f64>() {
            return (number.fract() == 0.0).then_some(number as u64);
        }
        let name = word.rsplit("::").next()?;
        let module = word.rsplit("::").nth(1).map_or(self.module.to_owned(), |sibling| {
            let parent = self.module.rsplit_once("::").map_or("", |(parent, _)| parent);
            format!("{parent}::{sibling}")
        });
        let text = self.all.get(&format!("{module}::{name}"))?;
        Expression { text: text.as_bytes(), module: &module, all: self.all }.shift()
    }
}

/// The value in the code in the notation of `plain`: a number, `30000 ms`, or `1 to 64`.
fn evaluated(name: &str, text: &str, all: &BTreeMap<String, String>) -> Option<String> {
    let module = name.rsplit_once("::")?.0;
    let number = |text: &str| {
        let mut expression = Expression { text: text.as_bytes(), module, all };
        let value = expression.shift()?;
        expression.skip();
        expression.text.is_empty().then_some(value)
    };
    let inside = |text: &str, call: &str| -> Option<String> {
        Some(text.strip_prefix(call)?.strip_prefix('(')?.strip_suffix(')')?.to_owned())
    };
    for (unit, ms) in [("millis", 1), ("secs", 1000), ("mins", 60_000)] {
        if let Some(count) = inside(text, &format!("Duration::from_{unit}")) {
            return Some(format!("{} ms", number(&count)? * ms));
        }
    }
    if let Some(ends) = inside(text, "Interval::closed") {
        let (low, high) = ends.split_once(", ")?;
        let end = |text: &str| text.trim_end_matches(".0").replace('_', "").parse::<f64>().ok();
        return Some(format!("{} to {}", end(low)?, end(high)?));
    }
    if let Some((low, high)) = text.split_once("..=") {
        return Some(format!("{} to {}", number(low)?, number(high)?));
    }
    number(text).map(|value| value.to_string())
}

/// The value on the page without units that only shorten it: `8 KiB` is `8192`, `5 min` is `300000 ms`.
fn plain(cell: &str) -> Option<String> {
    let cell = cell.replace(',', "");
    if let Some((low, high)) = cell.split_once(" to ") {
        return Some(format!("{} to {}", plain(low)?, plain(high)?));
    }
    let (number, unit) = cell.split_once(' ').unwrap_or((&cell, ""));
    let value: i64 = number.parse().ok()?;
    Some(match unit {
        "" => value.to_string(),
        "KiB" => (value << 10).to_string(),
        "MiB" => (value << 20).to_string(),
        "GiB" => (value << 30).to_string(),
        "ms" => format!("{value} ms"),
        "s" => format!("{} ms", value * 1000),
        "min" => format!("{} ms", value * 60_000),
        _ => return None,
    })
}

/// First cells of the rows of all tables between two headings, without back-ticks.
fn rows(from: &str, to: &str) -> Vec<Vec<String>> {
    let page = read("docs/LIMITS.md");
    let start = page.find(from).unwrap_or_else(|| panic!("docs/LIMITS.md has no {from:?}"));
    let end = page[start..].find(to).map_or(page.len(), |at| start + at);
    let lines = page[start..end].lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let line = line.replace("\\|", "\u{1}");
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
        })
        .collect()
}

/// Modules whose constants belong to arithmetic or formats, and other constants that are not limits.
const NO_LIMITS: &[(&str, &str)] = &[
    ("api::settings::", "ranges of keys"),
    ("outbox::policy::", "ranges of keys"),
    ("sim::", "kinetics and numerics; keys are in CONFIG.md"),
    ("features::", "estimators; keys are in CONFIG.md"),
    ("signals::", "estimators and encodings; keys are in SIGNALS.md"),
    ("nernst::", "constants of nature"),
    ("formats::png::", "the palette"),
    ("window::", "the encoding"),
    ("outbox::format::segment::", "the file format, docs/FORMAT.md"),
    ("outbox::format::cursor::SLOT", "the file format"),
    ("outbox::format::cursor::CURSOR_FILE", "the file format"),
    ("outbox::format::cursor::VERSION", "the file format"),
    ("outbox::format::gap::", "the file format"),
    ("outbox::format::clock_sync::", "the file format"),
    ("outbox::format::dead_letter::VERSION", "the file format"),
    ("outbox::format::dead_letter::FIXED", "the file format"),
    ("outbox::format::record::RECORD_HEADER_BYTES", "the file format"),
    ("outbox::format::record::COMMIT_MARKER_BYTES", "the file format"),
    ("outbox::storage::disk::ZERO_CHUNK_BYTES", "the size of one write of zeros"),
    ("outbox::scan::", "a block of a disk, and twice the largest record"),
    ("outbox::outbox::read::FIRST_RECORD", "the file format"),
    ("outbox::dead_letter_store::file::STATE_RECORD_BYTES", "the file format"),
    ("outbox::storage::EIO", "an error code of the kernel"),
    ("outbox::bad_blocks::BLOCK_BYTES", "a page of the kernel"),
    ("outbox::cursors::NO_SEGMENT", "no number"),
    ("outbox::state_dir::trust::", "bits of a mode"),
    ("telemetry::logs::shortened::SUFFIX_BYTES", "layout"),
    ("outbox::dead_letter_store::MAX_FILE_BYTES", "twice MAX_DEAD_LETTER_BYTES"),
    ("delivery::breaker_store::VERSION", "the file format"),
    ("formats::npy::read::CHUNK_BYTES", "the size of one read"),
    ("formats::npy::write::HEADER_BYTES", "the file format"),
    ("events::record::HEADER_BYTES", "the file format"),
    ("outbox::seen::NONE", "a value that stands for no entry"),
    ("api::server::unix_socket::MODE", "permissions of a file"),
    ("api::server::reactor::NOTIFIER_TOKEN", "a key of no socket"),
    ("api::route_table::OTHER", "the index of a label"),
    ("api::auth::rate_limit::NANOS_PER_SECOND", "a unit"),
    ("api::simulation_request::DEFAULT_", "defaults"),
    ("api::handlers::features::DEFAULT_LIMIT", "a default"),
    ("api::job_thread::STACK_BYTES", "the stack of a thread"),
    ("supervisor::liveness::SIMULATION", "an index"),
    ("supervisor::liveness::OUTBOX", "an index"),
    ("supervisor::liveness::HTTP", "an index"),
    ("config::keys::", "ranges of keys"),
    ("config::print::COLUMN", "layout"),
    ("cli::progress::", "layout"),
    ("api::server::connection::INLINE_BODY_BYTES", "when head and body are written in one call"),
    ("api::handlers::features::LARGE_RESPONSE_RECORDS", "when an answer counts as large"),
    ("api::legacy::session::HEARTBEAT", "a period of MyceliumFractalNet 4.1"),
    ("api::settings::DEFAULT_", "defaults of keys"),
    ("api::settings::CONNECTIONS", "a range of keys"),
    ("api::settings::RANGE", "a range of keys"),
    ("api::legacy::session::DEFAULT_", "a default"),
    ("connectors::settings::", "ranges and defaults of keys"),
    ("delivery::settings::", "ranges and defaults of keys"),
    ("delivery::files::settings::", "ranges and defaults of keys"),
    ("net::checks::", "ranges of keys"),
    ("net::breaker_policy::", "ranges and defaults of keys"),
    ("net::target::TIMEOUT_MS", "a range of a key"),
    ("api::handlers::compute::POLL", "how often a simulation looks for memory"),
];

/// Exceptions from that list: these are limits.
const LIMITS_ALL_THE_SAME: &[&str] = &[
    "supervisor::liveness::OUTBOX_PATIENCE",
    "supervisor::liveness::HTTP_PATIENCE",
    "sim::spikes::MAX_PENDING_STIMULI",
    "window::MAX_INPUTS",
    "signals::queue::QUEUED_SAMPLES",
    "signals::request::MAX_SAMPLES",
    "signals::board::RING_SAMPLES",
    "signals::board::MAX_RECENT_SPIKES",
    "signals::settings::MAX_PERIODS",
    "signals::window::MAX_BLOCK_SAMPLES",
    "field::GRID_SIDE",
    "formats::png::MAX_SIDE",
];

fn is_limit(name: &str) -> bool {
    LIMITS_ALL_THE_SAME.contains(&name) || !NO_LIMITS.iter().any(|(prefix, _)| name.starts_with(prefix))
}

/// Mutants seen red: `MAX_HEAD_BYTES` doubled in `api/http/head_scanner.rs`; the row of `MAX_FIELDS` removed.
#[test]
fn every_limit_of_the_code_has_a_row_with_its_value() {
    let all = all();
    let rows = rows("## In the code", "## In the configuration");
    let mut found = Vec::new();
    for row in &rows {
        let [limit, value, why, reached] = row.as_slice() else { panic!("not four cells: {row:?}") };
        let name = limit.trim_matches('`');
        let Some(text) = all.get(name) else {
            found.push(format!("{name} is not a constant of the code"));
            continue;
        };
        let says = evaluated(name, text, &all);
        if says.is_none() || plain(value) != says {
            found.push(format!("{name} is {text} = {says:?}, the page says {value:?}"));
        }
        assert!(why.len() >= 8 && reached.len() >= 8, "{name}: reason and outcome are missing");
    }
    let documented: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    for name in all.keys().filter(|name| is_limit(name)) {
        if documented.iter().filter(|row| row == &name).count() != 1 {
            found.push(format!("{name} has no row, or several"));
        }
    }
    assert!(found.is_empty(), "docs/LIMITS.md: {found:#?}");
    for (prefix, why) in NO_LIMITS {
        assert!(
            all.keys().any(|name| name.starts_with(prefix)),
            "{prefix} ({why}) does not exist: remove it from the list"
        );
    }
}

/// Tables of the configuration whose numbers are limits.
const BOUNDING: [&str; 8] =
    ["memory", "api", "api.keys[]", "api.rate", "outbox", "webhooks[]", "files[]", "breaker"];
const BOUNDING_KEYS: [&str; 6] =
    ["sim.grid", "sim.frames", "sim.tick_ms", "sim.steps_per_tick", "features.every", "features.window"];

/// Mutant seen red: the default of `outbox.max_bytes` changed on the page.
#[test]
fn every_limit_of_the_configuration_has_a_row() {
    let rows = rows("## In the configuration", "## Lists");
    let mut found = Vec::new();
    let bounding = keys::all().filter(|key| {
        matches!(key.kind, Kind::Integer { .. }) && matches!(key.default, DefaultValue::Integer(_))
    });
    let bounding =
        bounding.filter(|key| BOUNDING.contains(&key.table()) || BOUNDING_KEYS.contains(&key.path));
    let mut names = Vec::new();
    for key in bounding {
        let path = key.path.replace("[]", "");
        names.push(path.clone());
        let Some(row) = rows.iter().find(|row| row[0].trim_matches('`') == path) else {
            found.push(format!("{path} has no row"));
            continue;
        };
        let accepted = key.kind.accepted();
        let range = plain(&row[1]).map(|range| format!("from {range}"));
        if range.as_deref() != Some(accepted.trim_end_matches(" ms")) {
            found.push(format!("{path} is {accepted}, the page says {:?}", row[1]));
        }
        let DefaultValue::Integer(default) = key.default else { panic!("{path} has no default") };
        if plain(&row[2]) != Some(default.to_string()) {
            found.push(format!("{path} defaults to {default}, the page says {:?}", row[2]));
        }
        assert!(row[3].len() >= 8, "{path}: what happens is missing");
    }
    found.extend(
        rows.iter()
            .filter(|row| !names.iter().any(|n| n == row[0].trim_matches('`')))
            .map(|row| row[0].clone()),
    );
    assert!(found.is_empty(), "docs/LIMITS.md: {found:#?}");
}

/// Every metric that the page names exists.
#[test]
fn every_metric_on_the_page_exists() {
    let page = read("docs/LIMITS.md");
    let metrics = read("docs/METRICS.md");
    let mut seen = 0;
    for name in
        page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("mfn_"))
    {
        assert!(metrics.contains(&format!("| `{name}`")), "{name} is not a metric");
        seen += 1;
    }
    assert!(seen > 10, "only {seen} metrics are named");
}

#[test]
fn the_page_and_the_code_are_parsed_alike() {
    let all = BTreeMap::from([
        ("a::b::X".to_owned(), "2 * (1 << 10) + Y".to_owned()),
        ("a::b::Y".to_owned(), "3".to_owned()),
    ]);
    let rows = [
        ("8 KiB", "8 * 1024"),
        ("5 min", "Duration::from_mins(5)"),
        ("1 to 1,024", "Interval::closed(1.0, 1024.0)"),
        ("2051", "X"),
        ("8 to 512", "8..=512"),
    ];
    for (cell, text) in rows {
        assert_eq!(plain(cell), evaluated("a::b::Z", text, &all), "{cell} and {text}");
    }
    assert_eq!(plain("about 3"), None);
}
