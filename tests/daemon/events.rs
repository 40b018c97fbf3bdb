//! Events of the user's own through the real binary: what was answered as durable reaches the receiver as it was sent,
//! once under one id, whatever happens to the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use mycelium_daemon::events::MAX_EVENTS;
use mycelium_daemon::formats::json;

use crate::support::json::{member, text};
use crate::support::process::{Daemon, Scratch, ask};
use crate::support::receiver::{Receiver, Request, ok, status};

const FAST: &str = "[sim]\ntick_ms = 100\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 1000\ngroup_ms = 20\n\
    [api]\nmax_per_ip = 64\n[api.rate]\nper_second = 100000\nburst = 100000\n";

fn with_webhook(url: &str) -> String {
    format!(
        "{FAST}[[webhooks]]\nname = \"hub\"\nurl = \"{url}\"\nretry_base_ms = 20\nspread_ms = 0\nlinger_ms = 1\n"
    )
}

/// The events of these requests whose type begins so.
fn events(requests: &[Request], of: &str) -> Vec<String> {
    let all = requests.iter().flat_map(|request| json::elements(&request.body).map(str::to_owned));
    all.filter(|event| text(event, "type").starts_with(of)).collect()
}

fn number(json: &str, key: &str) -> u64 {
    member(json, key).unwrap_or_else(|| panic!("no {key} in {json}")).parse().unwrap()
}

#[test]
fn events_arrive_as_they_were_sent_with_what_they_lack() {
    let scratch = Scratch::new("events");
    let receiver = Receiver::start(|_, _| ok());
    let daemon = Daemon::start(&scratch.0, &with_webhook(&receiver.url()));
    let data = r#"{"b" : [1.50, -0, 1e3, "\u00e9\/"],  "a":null, "big": 12345678901234567890}"#;
    let body = format!(
        r#"{{"items":[{{"type":"com.example.door","data":{data}}},
        {{"type":"com.example.door","data":[],"id":"7","source":"/door","subject":"front","time":"2026-03-01T12:00:00+01:00"}}]}}"#
    );
    let answer = daemon.post("/v1/events", &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let (first, last) = (number(answer.text(), "first_seq"), number(answer.text(), "last_seq"));
    assert_eq!((last - first, member(answer.text(), "durable")), (1, Some("true")));
    let again = daemon.post("/v1/events?wait=0", &body.replace(data, "1"));
    assert_eq!((again.status, number(again.text(), "first_seq")), (202, last), "its second event is known");
    let cloud = r#"[{"specversion":"1.0","id":"1","source":"urn:x","type":"t","data_base64":"AAE=","level":3,"up":true}]"#;
    let headers = [
        ("X-API-Key", daemon.key.as_str()),
        ("Content-Type", "application/cloudevents-batch+json; charset=utf-8"),
    ];
    let batch = daemon.ask("POST", "/v1/events", &headers, cloud);
    assert_eq!(batch.status, 202, "{}", batch.text());
    receiver.wait_until("four events", |requests| {
        events(requests, "com.example").len() + events(requests, "t").len() >= 4
    });
    let metrics = daemon.get("/metrics").text().to_owned();
    assert!(metrics.contains("\nmfn_events_accepted_total 4\n"), "{metrics}");
    assert!(metrics.contains("\nmfn_events_repeated_total 1\n"), "{metrics}");
    let boot = text(answer.text(), "boot");
    assert!(daemon.stop().success());
    let requests = receiver.stop();
    let doors = events(&requests, "com.example");
    assert_eq!(doors.len(), 3, "{doors:?}");
    assert_eq!(member(&doors[0], "data"), Some(data), "as it was written");
    let device = text(&doors[0], "source");
    let device = device.strip_prefix("/mycelium/").unwrap();
    assert_eq!(text(&doors[0], "id"), format!("{device}-{boot}-{first}"));
    assert_eq!((text(&doors[1], "id"), text(&doors[1], "source")), ("7".to_owned(), "/door".to_owned()));
    assert_eq!(text(&doors[1], "time"), "2026-03-01T12:00:00+01:00");
    assert_eq!(text(&doors[1], "subject"), "front");
    let other = &events(&requests, "t")[0];
    let kept = r#""id":"1","source":"urn:x","data_base64":"AAE=","level":3,"up":true}"#;
    assert!(other.ends_with(kept), "{other}");
    for (event, seq) in doors.iter().zip([first, last, last + 1]) {
        assert_eq!(text(event, "sequence"), format!("{seq:020}"));
        assert_eq!((text(event, "boot"), text(event, "specversion")), (boot.clone(), "1.0".to_owned()));
        assert!(["synced", "unsynced", "corrected"].contains(&text(event, "clock").as_str()));
    }
    for event in events(&requests, "io.mycelium.") {
        assert_eq!((text(&event, "boot"), text(&event, "sequence").len()), (boot.clone(), 20));
    }
}

/// Nothing of a request is stored whose first fault is one of these. Each row: the type of the body, the body, the
/// response, and what its detail says.
#[test]
fn every_request_that_is_refused_is_answered_with_its_status_and_the_place_of_the_fault() {
    const ITEMS: &str = "application/json";
    const ONE: &str = "application/cloudevents+json";
    const MANY: &str = "application/cloudevents-batch+json";
    let scratch = Scratch::new("event-refusals");
    let daemon = Daemon::start(&scratch.0, FAST);
    let item = |members: &str| format!(r#"{{"items":[{{"type":"t","data":1}},{{{members}}}]}}"#);
    let cloud =
        |members: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{members}}}"#);
    let long = "x".repeat(1_025);
    let many = vec![r#"{"type":"t","data":1}"#; MAX_EVENTS + 1].join(",");
    let large = "x".repeat(mycelium_outbox::MAX_PAYLOAD_BYTES);
    let rows = [
        ("text/plain", r#"{"items":[]}"#.into(), 415, "application/cloudevents-batch+json"),
        (ITEMS, "{".into(), 400, "ends too early"),
        (ITEMS, r#"{"items":[],"items":[]}"#.into(), 400, "`items` is given twice"),
        (ITEMS, "[]".into(), 422, "`items` is missing"),
        (ITEMS, r#"{"events":[]}"#.into(), 422, "`events` is not a known key; known is items"),
        (ITEMS, r#"{"items":{}}"#.into(), 422, "`items` must be an array"),
        (ITEMS, r#"{"items":[]}"#.into(), 422, "`items` is empty"),
        (ITEMS, r#"{"items":[7]}"#.into(), 422, "`items[0]` must be an object"),
        (ITEMS, format!(r#"{{"items":[{many}]}}"#), 422, "`items[256]` is one too many"),
        (ITEMS, item(r#""data":1"#), 422, "`items[1].type` is missing"),
        (ITEMS, item(r#""type":"t""#), 422, "`items[1].data` is missing"),
        (ITEMS, item(r#""type":"t","data":1,"level":3"#), 422, "`items[1].level` is not a known key"),
        (ITEMS, item(r#""type":7,"data":1"#), 422, "`items[1].type` must be a string"),
        (ITEMS, item(r#""type":"","data":1"#), 422, "`items[1].type` must not be empty"),
        (ITEMS, item(r#""type":"io.mycelium.x","data":1"#), 422, "which is reserved"),
        (ITEMS, item(r#""type":"t","data":1,"id":"\u0007""#), 422, "`items[1].id` must not contain control"),
        (ITEMS, item(&format!(r#""type":"t","data":1,"id":"{long}""#)), 422, "at most 256 bytes"),
        (ITEMS, item(&format!(r#""type":"t","data":1,"source":"{long}""#)), 422, "at most 1024 bytes"),
        (ITEMS, item(r#""type":"t","data":1,"time":"noon""#), 422, "`items[1].time` must be a time"),
        (ITEMS, item(&format!(r#""type":"t","data":"{large}""#)), 413, "`items[1]` takes "),
        (ONE, "[]".into(), 422, "`the body` must be an object"),
        (ONE, r#"{"id":"1","source":"s","type":"t"}"#.into(), 422, "`specversion` is missing"),
        (ONE, r#"{"specversion":"1.0","source":"s","type":"t"}"#.into(), 422, "`id` is missing"),
        (ONE, r#"{"specversion":"1.0","id":"1","type":"t"}"#.into(), 422, "`source` is missing"),
        (ONE, r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#.into(), 422, "must be \"1.0\""),
        (ONE, cloud(r#","data":1,"data_base64":"AA==""#), 422, "`data_base64` cannot be given besides"),
        (ONE, cloud(r#","data_base64":"?""#), 422, "`data_base64` must be a string in base64"),
        (ONE, cloud(r#","sequence":"1""#), 422, "`sequence` is set on delivery"),
        (ONE, cloud(r#","Level":1"#), 422, "`Level` is no name of an attribute"),
        (ONE, cloud(r#","level":1.5"#), 422, "`level` must be a string, a boolean or an integer"),
        (MANY, cloud(""), 422, "`the body` must be an array"),
        (MANY, "[]".into(), 422, "`the body` is empty"),
        (MANY, format!("[{},7]", cloud("")), 422, "`[1]` must be an object"),
    ];
    let ask = |media: &str, target: &str, body: &str| {
        let headers = [("X-API-Key", daemon.key.as_str()), ("Content-Type", media)];
        daemon.ask("POST", target, &headers, body)
    };
    let count = rows.len();
    for (media, body, status, detail) in rows {
        let answer = ask(media, "/v1/events", &body);
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert!(text(answer.text(), "detail").contains(detail), "{shown}: {}", answer.text());
    }
    let good = item(r#""type":"t","data":2"#);
    assert_eq!(ask(ITEMS, "/v1/events?wait=2", &good).status, 400);
    assert_eq!(ask(ITEMS, "/v1/events?now=1", &good).status, 400);
    assert_eq!(daemon.ask("POST", "/v1/events", &[("Content-Type", ITEMS)], &good).status, 401);
    assert_eq!(daemon.get("/v1/events").status, 405);
    let metrics = daemon.get("/metrics").text().to_owned();
    assert!(metrics.contains("\nmfn_events_accepted_total 0\n"), "{metrics}");
    // The type of the body and its size are checked before the events.
    let of = |reason: &str| {
        let line = format!("mfn_events_refused_total{{reason=\"{reason}\"}} ");
        metrics
            .lines()
            .find_map(|l| l.strip_prefix(&line)?.parse::<usize>().ok())
            .unwrap_or_else(|| panic!("{metrics}"))
    };
    assert_eq!((of("invalid"), of("too_large"), of("busy")), (count - 2, 1, 0));
}

/// What the daemon has confirmed to clients, over all runs.
#[derive(Default)]
struct Confirmed {
    /// Boot and sequence number by event id; of events answered as durable.
    durable: BTreeMap<String, (String, u64)>,
}

/// Sends numbered events until the process is gone; each with a separate id, in batches of `batch`.
fn produce(
    daemon: &Daemon,
    counter: &Arc<AtomicU64>,
    confirmed: &Arc<Mutex<Confirmed>>,
    batch: u64,
) -> thread::JoinHandle<()> {
    let (address, key) = (daemon.address, daemon.key.clone());
    let (counter, confirmed) = (Arc::clone(counter), Arc::clone(confirmed));
    thread::spawn(move || {
        loop {
            let numbers = counter.fetch_add(batch, SeqCst)..;
            let ids: Vec<u64> = numbers.take(batch as usize).collect();
            let items: Vec<String> = ids
                .iter()
                .map(|n| {
                    format!(r#"{{"type":"com.example.n","id":"e{n}","data":{{"n":{n},"text":"{n:050}"}}}}"#)
                })
                .collect();
            let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
            let headers = [("X-API-Key", key.as_str()), ("Content-Type", "application/json")];
            let Ok(answer) = std::panic::catch_unwind(|| ask(address, "POST", "/v1/events", &headers, &body))
            else {
                return;
            };
            if answer.status != 202 {
                assert_eq!(answer.status, 503, "{}", answer.text());
                continue;
            }
            assert_eq!(member(answer.text(), "durable"), Some("true"));
            let (boot, first) = (text(answer.text(), "boot"), number(answer.text(), "first_seq"));
            let mut confirmed = confirmed.lock().unwrap();
            for (seq, n) in (first..).zip(&ids) {
                confirmed.durable.insert(format!("e{n}"), (boot.clone(), seq));
            }
        }
    })
}

#[test]
fn an_event_answered_as_durable_outlives_kill_9_unaltered_and_under_one_id() {
    const LIVES: u64 = 6;
    let scratch = Scratch::new("events-kill");
    let mut refused = 0;
    let receiver = Receiver::start(move |_, _| {
        refused += 1;
        if refused % 5 == 0 { status(503) } else { ok() }
    });
    let config = with_webhook(&receiver.url());
    let (counter, confirmed) = (Arc::new(AtomicU64::new(1)), Arc::new(Mutex::new(Confirmed::default())));
    for life in 0..LIVES {
        let daemon = Daemon::start(&scratch.0, &config);
        let before = confirmed.lock().unwrap().durable.len();
        let producers: Vec<_> = [1, 3, 7].map(|batch| produce(&daemon, &counter, &confirmed, batch)).into();
        crate::support::process::wait_for("some durable events", || {
            (confirmed.lock().unwrap().durable.len() >= before + 30 + life as usize * 7).then_some(())
        });
        daemon.kill();
        for producer in producers {
            producer.join().unwrap();
        }
    }
    let daemon = Daemon::start(&scratch.0, &config);
    let confirmed = std::mem::take(&mut *confirmed.lock().unwrap()).durable;
    let arrived = |requests: &[Request]| -> BTreeSet<String> {
        events(requests, "com.example.n").iter().map(|event| text(event, "id")).collect()
    };
    receiver.wait_until("all of them", |requests| {
        let arrived = arrived(requests);
        confirmed.keys().all(|id| arrived.contains(id))
    });
    assert!(daemon.stop().success());
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut by_sequence: BTreeMap<(String, String), String> = BTreeMap::new();
    for event in events(&receiver.stop(), "com.example.n") {
        let id = text(&event, "id");
        let n: u64 = id[1..].parse().unwrap();
        assert_eq!(member(&event, "data").unwrap(), format!(r#"{{"n":{n},"text":"{n:050}"}}"#));
        let place = (text(&event, "boot"), text(&event, "sequence"));
        if let Some((boot, seq)) = confirmed.get(&id) {
            assert_eq!(place, (boot.clone(), format!("{seq:020}")), "{id}");
        }
        let before = seen.entry(id.clone()).or_insert_with(|| event.clone());
        let same = |a: &str, b: &str| {
            text(a, "sequence") == text(b, "sequence") && member(a, "data") == member(b, "data")
        };
        assert!(same(before, &event), "{id} came twice and differs");
        assert_eq!(
            *by_sequence.entry(place).or_insert_with(|| id.clone()),
            id,
            "two events under one number"
        );
    }
}
