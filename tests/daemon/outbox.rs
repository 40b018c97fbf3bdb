//! What the real binary says about its outbox, and what it does with it: over HTTP and on the command line.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::support::process::{Daemon, Scratch, wait_for};
use crate::support::receiver::{Receiver, by_body, ok, status};

/// Windows of five steps of a millisecond, and as many requests as a test likes.
const FAST: &str = "[sim]\ntick_ms = 1\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 5\ngroup_ms = 20\n\
    [api.rate]\nper_second = 100000\nburst = 100000\n";
/// Port 1 of loopback: refused at once, nobody listens there; and no second attempt for minutes.
const UNREACHABLE: &str = "[[webhooks]]\nname = \"hub\"\nurl = \"http://127.0.0.1:1/hook\"\n\
    retry_base_ms = 600000\nspread_ms = 0\nlinger_ms = 1\n";

/// The number behind the first `"key":`.
fn number(json: &str, key: &str) -> u64 {
    let marker = format!("\"{key}\":");
    let at = json.find(&marker).unwrap_or_else(|| panic!("no {key} in {json}")) + marker.len();
    let end = json[at..].find([',', '}', ']']).unwrap() + at;
    json[at..end].parse().unwrap_or_else(|_| panic!("{key} is no whole number in {json}"))
}

/// The value of a metric with exactly these labels.
fn metric(daemon: &Daemon, name: &str) -> f64 {
    let text = daemon.get("/metrics");
    let line = text.text().lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
}

/// Was 0 for ever: only what a webhook was behind counted.
#[test]
fn without_a_webhook_the_records_that_are_kept_are_counted() {
    let scratch = Scratch::new("kept");
    let daemon = Daemon::start(&scratch.0, FAST);
    let outbox = wait_for("a hundred records", || {
        let text = daemon.get("/v1/outbox").text().to_owned();
        (number(&text, "durable_seq") >= 100).then_some(text)
    });
    assert_eq!(number(&outbox, "records"), number(&outbox, "durable_seq"), "{outbox}");
    wait_for("the same in a scrape", || {
        (metric(&daemon, "mfn_outbox_records{state=\"pending\"}") >= 100.0).then_some(())
    });
    daemon.kill();
    let daemon = Daemon::start(&scratch.0, FAST);
    let outbox = daemon.get("/v1/outbox").text().to_owned();
    let earlier = number(&outbox, "records") - number(&outbox, "durable_seq");
    assert!(earlier >= 100, "those of the process before are still there: {outbox}");
}

/// Was shown with each attempt only, so it stood still for the whole of a back-off.
#[test]
fn a_lag_grows_with_every_record_while_nothing_is_attempted() {
    let scratch = Scratch::new("lag");
    let daemon = Daemon::start(&scratch.0, &format!("{FAST}{UNREACHABLE}"));
    wait_for("the only attempt", || {
        (number(daemon.get("/v1/health/connectors").text(), "failures") == 1).then_some(())
    });
    let lag = || number(daemon.get("/v1/health/connectors").text(), "lag");
    let before = lag();
    wait_for("more of it", || (lag() >= before + 50).then_some(()));
    let outbox = daemon.get("/v1/outbox").text().to_owned();
    let endpoints = &outbox[outbox.find("endpoints").unwrap()..];
    // Both are written by the same thread, one after the other.
    assert!(number(&outbox, "records").abs_diff(number(endpoints, "lag")) <= 64, "{outbox}");
    wait_for("the same in a scrape", || {
        (metric(&daemon, "mfn_delivery_lag_records{endpoint=\"hub\"}") >= (before + 50) as f64).then_some(())
    });
    assert_eq!(
        number(daemon.get("/v1/health/connectors").text(), "failures"),
        1,
        "and nothing was attempted"
    );
}

/// How often a log line with this text was written.
fn lines_with(daemon: &Daemon, text: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(text)).count()
}

/// Was never logged at all.
#[test]
fn an_outbox_that_cannot_write_says_so_in_the_log_once_and_when_it_is_over() {
    let scratch = Scratch::new("degraded");
    let daemon = Daemon::start(&scratch.0, &FAST.replace("group_ms", "segment_bytes = 65536\ngroup_ms"));
    let outbox = daemon.data.join("outbox");
    let away = daemon.data.join("away");
    wait_for("a record", || (number(daemon.get("/v1/outbox").text(), "durable_seq") > 0).then_some(()));
    fs::rename(&outbox, &away).unwrap();
    fs::write(&outbox, "in the way").unwrap();
    wait_for("the next segment", || (lines_with(&daemon, "the outbox is degraded") > 0).then_some(()));
    let health = daemon.get("/healthz").text().to_owned();
    assert!(health.contains("degraded"), "{health}");
    assert_eq!(lines_with(&daemon, "the outbox is degraded: cannot make a file in"), 0);
    let warned = daemon.log().lines().find(|l| l.contains("the outbox is degraded")).unwrap().to_owned();
    assert!(
        warned.contains("the outbox is degraded: cannot ") && warned.contains(": check the disk"),
        "{warned}"
    );
    fs::remove_file(&outbox).unwrap();
    fs::rename(&away, &outbox).unwrap();
    wait_for("the end of it", || (lines_with(&daemon, "the outbox has recovered") > 0).then_some(()));
    assert!(lines_with(&daemon, "the outbox is degraded") <= 2, "one line per cause: {}", daemon.log());
    assert_eq!(number(daemon.get("/v1/outbox").text(), "dropped"), 0);
}

/// Was never logged and counted in no metric.
#[test]
fn damage_and_missing_segments_are_logged_and_counted() {
    let scratch = Scratch::new("losses");
    let config =
        format!("{FAST}{UNREACHABLE}").replace("group_ms = 20", "group_ms = 20\nsegment_bytes = 65536");
    let daemon = Daemon::start(&scratch.0, &config);
    wait_for("a third segment", || (number(daemon.get("/v1/outbox").text(), "segments") >= 3).then_some(()));
    let outbox = daemon.data.join("outbox");
    daemon.kill();
    fs::remove_file(outbox.join("0000000000000001.seg")).unwrap();
    let second = outbox.join("0000000000000002.seg");
    let mut bytes = fs::read(&second).unwrap();
    bytes[136 + 64 + 100] ^= 1;
    fs::write(&second, bytes).unwrap();
    let daemon = Daemon::start(&scratch.0, &config);
    let lost = wait_for("what is missing", || {
        daemon.log().lines().find(|l| l.contains("records by missing")).map(str::to_owned)
    });
    assert!(lost.contains("WARN") && lost.contains("the outbox has lost "), "{lost}");
    assert!(metric(&daemon, "mfn_outbox_dropped_total{reason=\"missing\"}") >= 50.0);
    wait_for("the damage", || {
        (lines_with(&daemon, "the outbox has lost 1 records by damage, 1 in all") == 1).then_some(())
    });
    assert!(lines_with(&daemon, "bytes that hold no record") >= 1, "{}", daemon.log());
    assert!((metric(&daemon, "mfn_outbox_dropped_total{reason=\"damage\"}") - 1.0).abs() < 0.5);
}

/// Windows were refused, counted nowhere and said by no gap record.
#[test]
fn a_blocked_outbox_loses_no_step_the_current_window_grows_until_there_is_space() {
    let scratch = Scratch::new("block");
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let hub = Receiver::start(by_body(move |_, _| if gate.load(SeqCst) { ok() } else { status(503) }));
    let config = format!(
        "[sim]\ntick_ms = 1\nsteps_per_tick = 8\ngrid = 8\nseed = 1\n[features]\nevery = 1\n[outbox]\nwindow_steps = 2\ngroup_ms = 5\n\
         segment_bytes = 65536\nmax_bytes = 524288\nkeep_free_bytes = 0\nfull = \"block\"\n\
         [api.rate]\nper_second = 100000\nburst = 100000\n[breaker]\nopen_ms = 10\nopen_max_ms = 50\n\
         [[webhooks]]\nname = \"hub\"\nurl = \"{}\"\nlinger_ms = 5\nretry_base_ms = 1\nretry_max_ms = 20\nspread_ms = 5\n",
        hub.url()
    );
    let daemon = Daemon::start(&scratch.0, &config);
    wait_for("an outbox that is full", || {
        (lines_with(&daemon, "the outbox has reached outbox.max_bytes") == 1).then_some(())
    });
    // Until the queue before it is full as well, and then for some windows more.
    let taken = || number(daemon.get("/v1/outbox").text(), "in_memory");
    let steps = || metric(&daemon, "mfn_simulation_steps_total");
    let mut before = (0, 0.0);
    wait_for("windows that are kept open", || {
        let now = (taken(), steps());
        let still = now.0 == before.0 && now.1 >= before.1 + 4_000.0;
        if now.0 != before.0 {
            before = now;
        }
        still.then_some(())
    });
    open.store(true, SeqCst);
    wait_for("room", || (lines_with(&daemon, "the outbox stores records again") > 0).then_some(()));
    let more = number(daemon.get("/v1/outbox").text(), "durable_seq") + 1_000;
    wait_for("more records", || {
        (number(daemon.get("/v1/outbox").text(), "durable_seq") >= more).then_some(())
    });
    assert_eq!(number(daemon.get("/v1/outbox").text(), "dropped"), 0);
    assert_eq!(lines_with(&daemon, "cannot store a feature window"), 0);
    daemon.kill();
    let (mut due, mut longest) = (1, 0);
    for request in hub.stop().iter().filter(|request| request.answered == 200) {
        for data in request.body.split("\"first_step\"").skip(1) {
            let data = format!("\"first_step\"{data}");
            let (first, last) = (number(&data, "first_step"), number(&data, "last_step"));
            if first >= due {
                assert_eq!(first, due, "a step is in no window");
                longest = longest.max(last - first + 1);
                due = last + 1;
            }
        }
        assert!(!request.body.contains("gap"), "{}", request.body);
    }
    assert!(longest > 50, "{longest}");
}
