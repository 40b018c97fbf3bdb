//! What the real binary says about its outbox, and what it does with it: over HTTP and on the command line.

mod support;

use support::{Daemon, Scratch, wait_for};

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
