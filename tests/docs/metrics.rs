//! docs/METRICS.md is generated from what the daemon exposes and from the rules of deploy/prometheus, so it cannot differ
//! from either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use mycelium_daemon::api::HttpMetrics;
use mycelium_daemon::api::route_table::OTHER;
use mycelium_daemon::supervisor::metrics::{FAMILIES, Metrics, MetricsSource};
use mycelium_daemon::telemetry::metrics::{BuildInfo, ExpositionFormat, MetricFamily, ProcessStats, render};

use crate::source::{compare, read};

/// A rule of Prometheus, as far as the page shows it.
#[derive(Debug, Default)]
struct Rule {
    name: String,
    expr: String,
    pending: String,
    severity: String,
}

/// The rules of a file in the few forms of YAML that ours use.
fn rules(file: &str) -> Vec<Rule> {
    let mut found: Vec<Rule> = Vec::new();
    let mut folded = false;
    for line in read(file).lines() {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("- alert: ").or_else(|| text.strip_prefix("- record: ")) {
            found.push(Rule { name: name.to_owned(), ..Rule::default() });
            folded = false;
        } else if let Some(rule) = found.last_mut() {
            if let Some(expr) = text.strip_prefix("expr: ") {
                folded = expr == ">-";
                rule.expr = if folded { String::new() } else { expr.trim_matches('\'').to_owned() };
            } else if let Some(pending) = text.strip_prefix("for: ") {
                pending.clone_into(&mut rule.pending);
            } else if let Some(labels) = text.strip_prefix("labels: {severity: ") {
                labels.trim_end_matches('}').clone_into(&mut rule.severity);
            } else if folded && text.starts_with(['-', '#']) || text.is_empty() {
                folded = false;
            } else if folded {
                write!(rule.expr, "{text} ").unwrap();
            }
        }
    }
    found
}

/// Names of families in an expression, those behind recording rules included.
fn families(expr: &str, records: &[Rule], found: &mut BTreeSet<&'static str>) {
    for token in expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
        if let Some(record) = records.iter().find(|record| record.name == token) {
            families(&record.expr, records, found);
        }
        let named = |f: &&Family| {
            let rest = token.strip_prefix(f.name);
            rest.is_some_and(|rest| ["", "_total", "_bucket", "_count", "_sum", "_info"].contains(&rest))
        };
        found.extend(FAMILIES.iter().filter(named).map(|family| family.name));
    }
}

fn shown(family: &Family) -> String {
    format!("`{}{}`", family.name, family.kind.suffix())
}

/// Everything that can be exposed, with words where the configuration has names.
fn exposed() -> String {
    let metrics =
        Metrics::new(["names of `[[webhooks]]`"], ["names of `[[connectors]]`"], ["names of `[[inputs]]`"]);
    for endpoint in 0..=OTHER {
        metrics.http.record_response(endpoint, "GET", 200, 0.0);
    }
    for method in HttpMetrics::METHODS {
        metrics.http.record_response(0, method, 200, 0.0);
    }
    for status in HttpMetrics::STATUSES {
        metrics.http.record_response(0, "GET", status, 0.0);
    }
    let build = BuildInfo { version: "of the binary", target: "of the binary" };
    let source = MetricsSource { metrics: metrics.into(), process: ProcessStats::default(), build };
    render(FAMILIES, &source, ExpositionFormat::Text)
}

type Family = MetricFamily<MetricsSource>;

/// A label and what it can be.
type LabelValues = (String, Vec<String>);

/// Values of each label of a family, in the order they are exposed in.
fn values(text: &str, family: &Family) -> Vec<LabelValues> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let own = name.strip_prefix(family.name);
        if !own.is_some_and(|rest| ["", "_total", "_bucket", "_info"].contains(&rest)) {
            continue;
        }
        for pair in rest.rsplit_once('}').unwrap().0.split("\",") {
            let (label, value) = pair.trim_end_matches('"').split_once("=\"").unwrap();
            let value = value.replace("\\\"", "\"");
            match found.iter_mut().find(|(known, _)| known == label) {
                Some((_, values)) if !values.contains(&value) => values.push(value),
                Some(_) => {}
                None => found.push((label.to_owned(), vec![value])),
            }
        }
    }
    found
}

fn made() -> String {
    let (alerts, records) =
        (rules("deploy/prometheus/mycelium.alerts.yml"), rules("deploy/prometheus/mycelium.rules.yml"));
    let mut watched: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for alert in &alerts {
        let mut found = BTreeSet::new();
        families(&alert.expr, &records, &mut found);
        for family in found {
            watched.entry(family).or_default().push(format!("`{}`", alert.name));
        }
    }
    let mut made =
        String::from("\n| metric | type | unit | labels | meaning | alerts |\n|---|---|---|---|---|---|\n");
    let (text, mut bounds) = (exposed(), String::new());
    let mut labels: Vec<(LabelValues, Vec<String>)> = Vec::new();
    for family in FAMILIES {
        let own: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let alerts = watched.get(family.name).map(|names| names.join(", ")).unwrap_or_default();
        let (name, kind) = (shown(family), family.kind.name());
        let Family { unit, help, .. } = family;
        writeln!(made, "| {name} | {kind} | {unit} | {} | {help} | {alerts} |", own.join(" ")).unwrap();
        for (label, values) in values(&text, family) {
            if label == "le" {
                writeln!(bounds, "| {name} | {} |", values.join(" ")).unwrap();
                continue;
            }
            assert!(
                family.labels.contains(&label.as_str()),
                "{name} has a label {label} the table does not name"
            );
            let key = (label, values);
            match labels.iter_mut().find(|(known, _)| *known == key) {
                Some((_, names)) => names.push(name.clone()),
                None => labels.push((key, vec![name.clone()])),
            }
        }
    }
    made.push_str("\n## Values of labels\n\n| label | values | of |\n|---|---|---|\n");
    for ((label, values), names) in labels {
        writeln!(made, "| `{label}` | {} | {} |", values.join(", "), names.join(" ")).unwrap();
    }
    write!(made, "\n## Bounds of buckets\n\n| histogram | upper bounds |\n|---|---|\n{bounds}").unwrap();
    made.push_str("\n## Alerts\n\n| alert | severity | fires when | for |\n|---|---|---|---|\n");
    for Rule { name, expr, pending, severity } in alerts {
        writeln!(made, "| `{name}` | {severity} | `{}` | {pending} |", expr.replace('|', "\\|")).unwrap();
    }
    made
}

/// Seen red: a threshold of a rule, a bound of a bucket and a reason changed without the page.
#[test]
fn the_manual_has_every_metric_label_value_bound_and_alert() {
    compare("docs/METRICS.md", made().trim_start_matches('\n'));
}

#[test]
fn every_alert_is_about_something_the_daemon_exposes() {
    let records = rules("deploy/prometheus/mycelium.rules.yml");
    let alerts = rules("deploy/prometheus/mycelium.alerts.yml");
    assert!(alerts.len() > 30 && records.len() > 10, "{} and {} rules", alerts.len(), records.len());
    for alert in alerts {
        let mut found = BTreeSet::new();
        families(&alert.expr, &records, &mut found);
        // Prometheus makes `up` itself.
        assert!(!found.is_empty() || alert.expr.starts_with("up{"), "{alert:?}");
    }
}
