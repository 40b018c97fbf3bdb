//! Signals of inputs through the real binary: from a file of one number, a followed file with times, and clients, to the
//! records that a receiver gets.

use std::collections::BTreeSet;

use mycelium_daemon::formats::json;

use crate::support::json::{member, text};
use crate::support::process::{Daemon, Scratch, wait_for};
use crate::support::receiver::{Receiver, Request, ok};

const FAST: &str = "[sim]\ntick_ms = 100\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 100000\ngroup_ms = 20\n\
    [api.rate]\nper_second = 100000\nburst = 100000\n";

fn with_webhook(url: &str, more: &str) -> String {
    format!(
        "{FAST}[[webhooks]]\nname = \"hub\"\nurl = \"{url}\"\nretry_base_ms = 20\nspread_ms = 0\nlinger_ms = 1\n{more}"
    )
}

/// The `data` of the events of this type, each once however often it was delivered.
fn data(requests: &[Request], event_type: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let events = requests.iter().flat_map(|request| json::elements(&request.body));
    let wanted = events.filter(|event| text(event, "type") == event_type && seen.insert(text(event, "id")));
    wanted.map(|event| member(event, "data").unwrap().to_owned()).collect()
}

/// The body of a GET once it is as wanted.
fn wait_for_body(daemon: &Daemon, target: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    wait_for(target, || Some(daemon.get(target).text().to_owned()).filter(|text| is_wanted(text)))
}

const WINDOW: &str = "io.mycelium.signal.window.v1";
const SAMPLES: &str = "io.mycelium.signal.samples.v1";

#[test]
fn a_backlog_gives_the_windows_of_the_minutes_it_was_recorded_in() {
    let scratch = Scratch::new("signal-backlog");
    let file = scratch.0.join("log.csv");
    let mut lines = "at,mv\n".to_owned();
    for k in 0..180 {
        lines.push_str(&format!("{},{}\n", 1_700_000_040 + k, k % 60));
    }
    lines.push_str("1700000041,5\nnoon,7\n");
    std::fs::write(&file, lines).unwrap();
    let receiver = Receiver::start(|_, _| ok());
    let inputs = format!(
        "[[connectors]]\nname = \"log\"\nkind = \"file\"\npath = {file:?}\nstart = \"begin\"\ninterval_ms = 50\n\
         [[inputs]]\nname = \"agar\"\nconnector = \"log\"\npointer = \"/mv\"\ntime_pointer = \"/at\"\n\
         time_format = \"unix_s\"\nunit = \"mV\"\nscale = 2\nshift = 1\nhigh = 100\nexpected_ms = 1000\n"
    );
    let daemon = Daemon::start(&scratch.0, &with_webhook(&receiver.url(), &inputs));
    receiver.wait_until("two windows", |requests| data(requests, WINDOW).len() >= 2);
    let metrics =
        wait_for_body(&daemon, "/metrics", |text| text.contains("mfn_signal_late_total{input=\"agar\"} 1\n"));
    for line in [
        "mfn_signal_samples_total{input=\"agar\"} 180\n",
        "mfn_connector_rejected_total{connector=\"log\",reason=\"time\"} 1\n",
        "mfn_signal_value{input=\"agar\"} 119\n",
        "mfn_signal_lost_total{input=\"agar\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(daemon.stop().success());
    // What was stored by the stop is delivered after the next start.
    let daemon = Daemon::start(&scratch.0, &with_webhook(&receiver.url(), &inputs));
    receiver.wait_until("three windows", |requests| data(requests, WINDOW).len() >= 3);
    assert!(daemon.stop().success());
    let windows = data(&receiver.stop(), WINDOW);
    let want = ["2023-11-14T22:14:00.000Z", "2023-11-14T22:15:00.000Z", "2023-11-14T22:16:00.000Z"];
    assert_eq!(
        windows.iter().map(|window| text(window, "start")).collect::<Vec<_>>(),
        want,
        "the last at the stop"
    );
    for (k, window) in windows.iter().enumerate() {
        let head = [text(window, "input"), text(window, "unit")];
        assert_eq!(head, ["agar", "mV"]);
        let late = if k == 2 { "1" } else { "0" };
        for (key, want) in [
            ("count", "60"),
            ("missing", "0"),
            ("late", late),
            ("saturated", "10"),
            ("min", "1.0"),
            ("max", "119.0"),
            ("mean", "60.0"),
        ] {
            assert_eq!(member(window, key), Some(want), "{key} of {window}");
        }
    }
}

#[test]
fn samples_of_clients_are_kept_in_order_and_can_be_polled() {
    let scratch = Scratch::new("signal-samples");
    let receiver = Receiver::start(|_, _| ok());
    let inputs = "[[inputs]]\nname = \"probe\"\nunit = \"V\"\nraw = true\n[[inputs]]\nname = \"other\"\n";
    let daemon = Daemon::start(&scratch.0, &with_webhook(&receiver.url(), inputs));
    let empty = daemon.get("/v1/signals");
    assert_eq!(empty.status, 200);
    assert_eq!(member(empty.text(), "items").map(|items| json::elements(items).count()), Some(2));
    let body = r#"{"items":[{"input":"probe","time":"2023-11-14T22:14:00Z","value":0.5},
        {"input":"probe","time":"2023-11-14T22:14:01.5Z","value":-0.5},
        {"input":"other","value":3}]}"#;
    let answer = daemon.post("/v1/samples", body);
    assert_eq!((answer.status, answer.text()), (202, "{\"accepted\":3}"));
    let refused = daemon.post("/v1/samples", &body.replace("\"other\"", "\"nobody\""));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("`items[2].input`"), "{}", refused.text());
    let polled = wait_for_body(&daemon, "/v1/signals/probe?since=0", |text| text.contains("\"next\":2"));
    let items: Vec<_> = json::elements(member(&polled, "items").unwrap()).collect();
    assert_eq!(items[1], r#"{"seq":2,"time":"2023-11-14T22:14:01.500Z","value":-0.5}"#);
    assert_eq!(member(&polled, "gap"), Some("false"));
    let again = daemon.post("/v1/samples", r#"{"items":[{"input":"probe","time":1700000100000,"value":1}]}"#);
    assert_eq!(again.status, 202);
    let waited = daemon.get("/v1/signals/probe?since=2&wait=20");
    assert_eq!(member(waited.text(), "next"), Some("3"), "{}", waited.text());
    assert_eq!(daemon.get("/v1/signals/nobody").status, 404);
    assert_eq!(daemon.get("/v1/signals/probe?limit=1025").status, 400);
    assert!(daemon.stop().success());
    // What was stored by the stop is delivered after the next start.
    let daemon = Daemon::start(&scratch.0, &with_webhook(&receiver.url(), inputs));
    receiver.wait_until("three windows", |requests| data(requests, WINDOW).len() >= 3);
    assert!(daemon.stop().success());
    let requests = receiver.stop();
    let blocks: Vec<_> = data(&requests, SAMPLES);
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    let tail =
        r#""input":"probe","unit":"V","t0":"2023-11-14T22:14:00.000Z","dt_ms":[0,1500],"values":[0.5,-0.5]}"#;
    assert!(blocks[0].ends_with(tail), "{}", blocks[0]);
    assert_eq!(data(&requests, WINDOW).len(), 3, "two of one signal, one of the other");
}

/// A file as the kernel shows a converter: it may vanish, come back, and hold something else for a while.
#[test]
fn a_file_of_one_number_is_sampled_at_its_pace_whatever_it_holds() {
    let scratch = Scratch::new("signal-value");
    let file = scratch.0.join("in_voltage0_raw");
    std::fs::write(&file, "1000\n").unwrap();
    let inputs = format!(
        "[[connectors]]\nname = \"adc\"\nkind = \"value\"\npath = {file:?}\ninterval_ms = 10\n\
         [[inputs]]\nname = \"agar\"\nconnector = \"adc\"\nunit = \"mV\"\nscale = 0.125\n[inputs.spikes]\nthreshold = 5\n"
    );
    let daemon = Daemon::start(&scratch.0, &format!("{FAST}{inputs}"));
    wait_for_body(&daemon, "/v1/signals/agar", |text| text.contains("\"value\":125.0"));
    std::fs::remove_file(&file).unwrap();
    wait_for_body(&daemon, "/metrics", |text| {
        !text.contains("mfn_connector_polls_total{connector=\"adc\",outcome=\"failed\"} 0\n")
    });
    std::fs::write(&file, "<html>".repeat(1_000)).unwrap();
    wait_for_body(&daemon, "/metrics", |text| {
        !text.contains("mfn_connector_rejected_total{connector=\"adc\",reason=\"too_long\"} 0\n")
    });
    std::fs::write(&file, "nan\n").unwrap();
    wait_for_body(&daemon, "/metrics", |text| {
        !text.contains("mfn_connector_rejected_total{connector=\"adc\",reason=\"not_a_number\"} 0\n")
    });
    std::fs::write(&file, "-8\n").unwrap();
    wait_for_body(&daemon, "/v1/signals/agar", |text| text.contains("\"value\":-1.0"));
    assert!(daemon.stop().success());
}
