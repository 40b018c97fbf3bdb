//! `status`: what a running daemon does and what troubles it, in words.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use super::command::StatusArgs;
use super::failure::{ExitStatus, Failure};
use super::health::{Target, status_of};
use crate::formats::json::{self, JsonPointer};
use crate::formats::plural::counted;

pub(super) fn status(args: &StatusArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let target = match &args.url {
        Some(url) => Target::parse(url)?,
        None => Target::from_environment(),
    };
    let body = status_of(&target, args.key_file.as_deref())?;
    if args.json {
        writeln!(out, "{}", body.trim())?;
    }
    let (text, troubles) = described(&body);
    if !args.json {
        out.write_all(text.as_bytes())?;
    }
    if troubles.is_empty() { Ok(()) } else { Err(Failure::new(ExitStatus::Unhealthy, troubles.join("; "))) }
}

/// The endpoints of a response of /v1/status that are disabled or failing, each with the reason.
pub(super) fn failing_endpoints(status: &str) -> Vec<String> {
    let endpoints = value(status, "/endpoints").unwrap_or("[]");
    json::elements(endpoints).filter_map(trouble).collect()
}

/// Why an endpoint does not work.
fn trouble(endpoint: &str) -> Option<String> {
    let name = format!("{} {}", text(endpoint, "/kind"), text(endpoint, "/name"));
    if value(endpoint, "/disabled") == Some("true") {
        return Some(format!("{name} is disabled: it answered 410 (gone)"));
    }
    let breaker = text(endpoint, "/breaker");
    if breaker == "closed" {
        return None;
    }
    let why = text(endpoint, "/last_error");
    let why = if why == "-" { String::new() } else { format!(": {why}") };
    Some(format!("{name} is failing, its breaker is {breaker}{why}"))
}

/// The lines to print, and what is wrong.
fn described(status: &str) -> (String, Vec<String>) {
    let mut troubles = failing_endpoints(status);
    let degraded = text(status, "/outbox/degraded");
    if degraded != "-" {
        troubles.insert(0, format!("the outbox is degraded: {degraded}"));
    }
    let verdict = match troubles.len() {
        0 => "all well".to_owned(),
        n => counted(n as u64, "problem"),
    };
    let mut out = String::new();
    let (version, device) = (text(status, "/version"), text(status, "/device"));
    let up = duration(number(status, "/uptime_seconds"));
    let mut line = |label: &str, what: std::fmt::Arguments<'_>| {
        writeln!(out, "{label:<10} {what}").expect("writing to a String cannot fail");
    };
    line("myceliumd", format_args!("{version} on {device}, up {up}: {verdict}"));
    let (model, grid) = (text(status, "/model/name"), text(status, "/model/grid"));
    let (tick, step) = (text(status, "/model/tick_ms"), text(status, "/step"));
    line("field", format_args!("{model}, {grid} x {grid} cells, a tick every {tick} ms, step {step}"));
    let records = counted(number(status, "/outbox/records") as u64, "record");
    let (bytes, max) = (mib(number(status, "/outbox/bytes")), mib(number(status, "/outbox/max_bytes")));
    let (dropped, dead) = (number(status, "/outbox/dropped") as u64, number(status, "/outbox/dead") as u64);
    let dead = counted(dead, "dead letter");
    line("outbox", format_args!("{records}, {bytes} of {max} MiB, {dropped} dropped, {dead}"));
    let (needed, limit) =
        (mib(number(status, "/memory/budget_bytes")), mib(number(status, "/memory/max_bytes")));
    line("memory", format_args!("{needed} of {limit} MiB reserved"));
    for endpoint in json::elements(value(status, "/endpoints").unwrap_or("[]")) {
        let (kind, name) = (text(endpoint, "/kind"), text(endpoint, "/name"));
        let state = trouble(endpoint).map_or("working", |_| "failing");
        let lag = counted(number(endpoint, "/lag") as u64, "record");
        let last = match number(endpoint, "/last_success_age_seconds") {
            age if age.is_finite() => format!("last success {} ago", duration(age)),
            _ => "no success yet".to_owned(),
        };
        let error = match text(endpoint, "/last_error") {
            none if none == "-" => String::new(),
            error => format!(", last error: {error}"),
        };
        let next = match number(endpoint, "/next_try_seconds") {
            wait if wait.is_finite() => format!(", next try in {}", duration(wait)),
            _ => String::new(),
        };
        line(&kind, format_args!("{name}: {state}, {lag} waiting, {last}{error}{next}"));
    }
    for trouble in &troubles {
        line("problem", format_args!("{trouble}"));
    }
    (out, troubles)
}

/// The value at a pointer, as it is written.
fn value<'a>(json: &'a str, pointer: &str) -> Option<&'a str> {
    JsonPointer::parse(pointer)?.find(json)
}

/// A text or number at a pointer; `-` for null and for what is missing. Without control characters.
fn text(json: &str, pointer: &str) -> String {
    let found = value(json, pointer).filter(|found| *found != "null").unwrap_or("-");
    let text = json::text_of(found).unwrap_or(std::borrow::Cow::Borrowed(found));
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    // A whole number is printed without its point.
    let is_number = found.parse::<f64>().is_ok();
    text.strip_suffix(".0").filter(|_| is_number).map_or_else(|| text.clone(), str::to_owned)
}

/// A number at a pointer; NaN if there is none.
fn number(json: &str, pointer: &str) -> f64 {
    value(json, pointer).and_then(|found| found.parse().ok()).unwrap_or(f64::NAN)
}

fn mib(bytes: f64) -> String {
    format!("{:.1}", bytes / f64::from(1 << 20))
}

/// `3d 4h`, `12m 5s`: the two largest units.
fn duration(seconds: f64) -> String {
    let whole = Duration::from_secs(if seconds.is_finite() { seconds.max(0.0) as u64 } else { 0 }).as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = whole;
    let mut parts = Vec::new();
    for (unit, length) in units {
        let count = rest / length;
        rest %= length;
        if count > 0 || (unit == "s" && parts.is_empty()) {
            parts.push(format!("{count}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"version":"0.1.0","device":"pi","uptime_seconds":93784.5,"model":{"name":"excitable","grid":64,"tick_ms":100.0},"step":7,"memory":{"budget_bytes":7472640,"max_bytes":10485760},"outbox":{"records":1,"bytes":1048576,"max_bytes":67108864,"dropped":0,"dead":0,"degraded":null},"endpoints":[{"name":"hub","kind":"webhook","breaker":"BREAKER","lag":12,"disabled":DISABLED,"last_success_age_seconds":null,"next_try_seconds":NEXT,"last_error":ERROR}]}"#;

    fn of(breaker: &str, disabled: &str, error: &str) -> (String, Vec<String>) {
        described(
            &STATUS
                .replace("BREAKER", breaker)
                .replace("DISABLED", disabled)
                .replace("ERROR", error)
                .replace("NEXT", if breaker == "open" { "75.2" } else { "null" }),
        )
    }

    #[test]
    fn a_healthy_daemon_is_described_in_five_lines() {
        let (text, troubles) = of("closed", "false", "null");
        let want = "myceliumd  0.1.0 on pi, up 1d 2h: all well\n\
                    field      excitable, 64 x 64 cells, a tick every 100 ms, step 7\n\
                    outbox     1 record, 1.0 of 64.0 MiB, 0 dropped, 0 dead letters\n\
                    memory     7.1 of 10.0 MiB reserved\n\
                    webhook    hub: working, 12 records waiting, no success yet\n";
        assert_eq!((text.as_str(), troubles.len()), (want, 0));
    }

    #[test]
    fn disabled_and_failing_endpoints_are_problems() {
        for (breaker, disabled, error, want) in [
            ("open", "false", r#""refused""#, "webhook hub is failing, its breaker is open: refused"),
            ("half_open", "false", "null", "webhook hub is failing, its breaker is half_open"),
            ("closed", "true", "null", "webhook hub is disabled: it answered 410 (gone)"),
        ] {
            let (text, troubles) = of(breaker, disabled, error);
            assert_eq!(troubles, [want]);
            assert!(text.contains("1 problem\n") && text.contains(want), "{text}");
            assert_eq!(text.contains(", next try in 1m 15s\n"), breaker == "open", "{text}");
        }
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        let rows = [
            (0.4, "0s"),
            (59.0, "59s"),
            (60.0, "1m"),
            (3_725.0, "1h 2m"),
            (90_000.0, "1d 1h"),
            (86_400.0, "1d"),
        ];
        for (seconds, want) in rows {
            assert_eq!(duration(seconds), want, "{seconds}");
        }
    }
}
