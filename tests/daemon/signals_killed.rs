//! Samples and windows of signals in the outbox of the real binary, killed at random moments.

use std::collections::{BTreeMap, BTreeSet};

use mycelium_daemon::formats::json;

use crate::support::json::{member, text};
use crate::support::process::{Daemon, Scratch, wait_for};
use crate::support::receiver::{Receiver, Request, ok, status};

const CONFIG: &str = "[sim]\ntick_ms = 100\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 100000\ngroup_ms = 20\n\
    [api.rate]\nper_second = 100000\nburst = 100000\n\
    [[inputs]]\nname = \"probe\"\nunit = \"mV\"\nraw = true\nwindow_s = 1\n";
/// Milliseconds since 1970 of the sample 0.
const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 50;
const BATCH: i64 = 64;

fn integer(object: &str, key: &str) -> u64 {
    member(object, key).unwrap().parse().unwrap_or_else(|_| panic!("{key} is no integer in {object}"))
}

/// Boot and sequence of a record.
type Place = (String, u64);

/// Type and data of the events. The same one may come again, as it was.
fn arrived(requests: &[Request]) -> BTreeMap<Place, (String, String)> {
    let mut seen = BTreeMap::new();
    for event in requests.iter().flat_map(|request| json::elements(&request.body)) {
        let place = (text(event, "boot"), text(event, "sequence").parse().unwrap());
        let same = (text(event, "type"), member(event, "data").unwrap().to_owned());
        let before = seen.entry(place).or_insert_with(|| same.clone());
        assert_eq!(*before, same, "came twice and differs");
    }
    seen
}

/// Posts samples until so many records are durable; the number of the next sample and the durable records.
fn produce(daemon: &Daemon, mut next: i64, records: u64) -> (i64, Vec<Place>) {
    let status = || daemon.get("/v1/status").text().to_owned();
    let durable = || integer(member(&status(), "outbox").unwrap(), "durable_seq");
    let boot = text(&status(), "boot");
    let last = wait_for("durable records", || {
        let items = (next..next + BATCH)
            .map(|n| format!(r#"{{"input":"probe","time":{},"value":{n}}}"#, START_MS + n * STEP_MS));
        let body = format!(r#"{{"items":[{}]}}"#, items.collect::<Vec<_>>().join(","));
        let answer = daemon.post("/v1/samples", &body);
        assert!([202, 503].contains(&answer.status), "{}", answer.text());
        next += if answer.status == 202 { BATCH } else { 0 };
        Some(durable()).filter(|&now| now >= records)
    });
    (next, (1..=last).map(|seq| (boot.clone(), seq)).collect())
}

#[test]
fn a_durable_record_of_a_signal_outlives_kill_9_unaltered_and_once() {
    let scratch = Scratch::new("signals-kill");
    let mut answered = 0;
    let receiver = Receiver::start(move |_, _| {
        answered += 1;
        if answered % 5 == 0 { status(503) } else { ok() }
    });
    let hook = "retry_base_ms = 20\nspread_ms = 0\nlinger_ms = 1\n";
    let config = format!("{CONFIG}[[webhooks]]\nname = \"hub\"\nurl = \"{}\"\n{hook}", receiver.url());
    let (mut next, mut durable) = (0, BTreeSet::new());
    for life in 0..6 {
        let daemon = Daemon::start(&scratch.0, &config);
        let (posted, places) = produce(&daemon, next, 10 + life * 5);
        daemon.kill();
        // Of what was not stored, some may be: no number is used again.
        next = posted + BATCH;
        durable.extend(places);
    }
    let daemon = Daemon::start(&scratch.0, &config);
    let lag = || {
        let status = daemon.get("/v1/status");
        let endpoint = json::elements(member(status.text(), "endpoints").unwrap()).next().map(str::to_owned);
        integer(&endpoint.expect("an endpoint"), "lag")
    };
    wait_for("everything is delivered", || (lag() == 0).then_some(()));
    assert!(daemon.stop().success());
    let seen = arrived(&receiver.stop());
    let missing: Vec<_> = durable.iter().filter(|place| !seen.contains_key(place)).collect();
    assert!(missing.is_empty(), "{missing:?} of {} did not arrive", durable.len());
    let mut times = BTreeSet::new();
    let blocks = seen.values().filter(|(event_type, _)| event_type == "io.mycelium.signal.samples.v1");
    for (_, data) in blocks {
        let values: Vec<f64> =
            json::elements(member(data, "values").unwrap()).map(|value| value.parse().unwrap()).collect();
        let dts: Vec<i64> =
            json::elements(member(data, "dt_ms").unwrap()).map(|dt| dt.parse().unwrap()).collect();
        assert_eq!(values.len(), dts.len());
        for (dt, value) in dts.iter().zip(&values) {
            assert_eq!(*dt, (value - values[0]) as i64 * STEP_MS, "the time of {value} in {data}");
            assert!(times.insert(*value as i64), "{value} came twice");
        }
    }
    assert!(times.len() > 500, "{} samples", times.len());
}
