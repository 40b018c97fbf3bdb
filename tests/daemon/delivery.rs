//! The real binary against receivers that misbehave in every known way, counted at the end: nothing lost that was
//! called durable, nothing reordered, what came twice was the same to the byte.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::process::{Daemon, Scratch, binary, wait_for};
use crate::support::receiver::authority::Authority;
use crate::support::receiver::tally::{Life, Sum, check_lives, id_parts, ids, seqs};
use crate::support::receiver::{Answer, Receiver, Request, by_body, ok, status};

/// Records every five milliseconds; retries, breaker and spread in milliseconds.
fn config(url: &str, more: &str) -> String {
    format!(
        "[sim]\ntick_ms = 1\ngrid = 8\nseed = 1\n[outbox]\nwindow_steps = 5\ngroup_ms = 5\nsegment_bytes = 65536\n\
         [api.rate]\nper_second = 100000\nburst = 100000\n\
         [breaker]\nfailures = 3\nopen_ms = 10\nopen_max_ms = 50\nslow_ms = 50\n\
         [[webhooks]]\nname = \"hub\"\nurl = \"{url}\"\nbatch_records = 16\nlinger_ms = 5\nretry_base_ms = 1\n\
         retry_max_ms = 20\nspread_ms = 5\ntimeout_ms = 200\n{more}"
    )
}

pub fn life(daemon: &Daemon) -> Life {
    let text = daemon.get("/v1/outbox").text().to_owned();
    let value = |key: &str| {
        let at = text.find(key).unwrap_or_else(|| panic!("no {key} in {text}")) + key.len();
        text[at..].trim_start_matches('"').split(['"', ',', '}']).next().unwrap().to_owned()
    };
    Life { boot: value("\"boot\":"), durable: value("\"durable_seq\":").parse().unwrap() }
}

/// Waits for some more records and then until the last of them has arrived or lies among the dead; returns the life
/// they are of.
fn all_through(daemon: &Daemon, hub: &Receiver, dead: &[String]) -> Life {
    let more = life(daemon).durable + 40;
    let life = wait_for("more records", || Some(life(daemon)).filter(|life| life.durable >= more));
    let (mut looked_at, mut through) = (0, 0);
    hub.wait_until("the last durable record", |log| {
        for request in log[looked_at..].iter().filter(|r| (200..300).contains(&r.answered)) {
            let of_it = ids(&request.body).map(id_parts).filter(|(boot, _)| *boot == life.boot);
            through = of_it.map(|(_, seq)| seq).max().unwrap_or(0).max(through);
        }
        looked_at = log.len();
        through >= life.durable || dead.iter().map(|id| id_parts(id)).any(|(_, seq)| seq >= life.durable)
    });
    life
}

const AS_IT_IS: (&str, &str) = ("", "");

/// One daemon, with one setting replaced by another, and one receiver that follows a script from its start.
fn through(
    name: &str,
    (setting, other): (&str, &str),
    script: impl FnMut(&Request, usize) -> Answer + Send + 'static,
) -> (Vec<Request>, Sum) {
    let scratch = Scratch::new(name);
    let hub = Receiver::start(by_body(script));
    let daemon = Daemon::start(&scratch.0, &config(&hub.url(), "").replace(setting, other));
    let life = all_through(&daemon, &hub, &[]);
    daemon.kill();
    let requests = hub.stop();
    let sum = check_lives(&requests, &[life], &[]);
    (requests, sum)
}

/// The first requests are answered by `bad`, all others well; what they bring must come again, as it was.
#[test]
fn bad_answers_of_every_kind_cost_nothing() {
    type Bad = fn() -> Answer;
    let rows: [(&str, Bad, &str); 9] = [
        ("500", || status(500), "a failure of the receiver"),
        ("503", || status(503), "overloaded"),
        ("408", || status(408), "too slow for it"),
        ("302", || Answer::Status(302, vec![("Location", "http://127.0.0.1:1/".into())]), "no redirects"),
        ("401", || status(401), "a wrong token must not empty the outbox"),
        ("hang", || Answer::Hang, "no response within timeout_ms"),
        ("reset", || Answer::Drop, "closed without a word"),
        ("half", || Answer::HalfAnswer, "closed in the middle of the answer"),
        ("garbage", || Answer::Garbage, "not HTTP at all"),
    ];
    for (name, bad, why) in rows {
        let (requests, sum) = through(name, AS_IT_IS, move |_, index| if index < 5 { bad() } else { ok() });
        assert!(requests.iter().take(5).all(|r| !(200..300).contains(&r.answered)), "{name}: {why}");
        assert!(sum.duplicates > 0, "{name}: {why}");
    }
}

#[test]
fn a_reset_in_the_middle_of_the_body_costs_nothing() {
    let scratch = Scratch::new("mid-body");
    // Decided before the body is there, so not by body.
    let hub =
        Receiver::start(|_, index| if index % 3 == 0 && index < 15 { Answer::ResetMidBody } else { ok() });
    let daemon = Daemon::start(&scratch.0, &config(&hub.url(), ""));
    let life = all_through(&daemon, &hub, &[]);
    daemon.kill();
    let requests = hub.stop();
    assert!(requests.iter().any(|r| r.body.is_empty()), "some were cut");
    check_lives(&requests, &[life], &[]);
}

#[test]
fn an_answer_that_was_lost_on_its_way_brings_the_same_bytes_again() {
    let (_, sum) =
        through("lost-answer", AS_IT_IS, |_, index| if index % 4 == 1 { Answer::OkThenClose } else { ok() });
    assert!(sum.events > 0);
}

/// Regression: a receiver that said 2 s was asked again after `retry_max_ms`.
#[test]
fn retry_after_of_a_429_is_waited_for_whatever_the_longest_back_off_is() {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&times);
    let (requests, _) = through("busy", AS_IT_IS, move |_, index| {
        seen.lock().unwrap().push(Instant::now());
        if index == 1 { Answer::Status(429, vec![("Retry-After", "1".into())]) } else { ok() }
    });
    let times = times.lock().unwrap();
    assert!(times[2] - times[1] >= Duration::from_secs(1), "the second that was asked for");
    assert_eq!(requests[1].wire, requests[2].wire);
}

#[test]
fn slow_answers_are_answers() {
    let (requests, sum) = through("slow", AS_IT_IS, |_, index| {
        if index < 2 {
            thread::sleep(Duration::from_millis(80));
        }
        ok()
    });
    assert_eq!(sum.duplicates, 0, "a slow answer counts against the endpoint, not for a second delivery");
    assert!(requests.len() > 2);
}

#[test]
fn batches_that_are_too_large_are_halved() {
    let (requests, sum) = through("large", ("linger_ms = 5\n", "linger_ms = 50\n"), |request, _| {
        if seqs(&request.body).len() > 3 { status(413) } else { ok() }
    });
    assert!(requests.iter().any(|r| r.answered == 413));
    assert!(sum.duplicates > 0, "the halves came again");
}

#[test]
fn one_event_that_is_refused_for_good_goes_to_the_dead_letters_and_all_others_arrive() {
    let scratch = Scratch::new("refused");
    let refuses = |body: &str| seqs(body).contains(&13);
    let hub = Receiver::start(by_body(move |r, _| if refuses(&r.body) { status(400) } else { ok() }));
    let daemon = Daemon::start(&scratch.0, &config(&hub.url(), ""));
    let life = all_through(&daemon, &hub, &[]);
    let shown = daemon.get("/v1/outbox/dead").text().to_owned();
    let dead: Vec<String> = ids(&shown).map(str::to_owned).collect();
    assert_eq!(dead.len(), 1, "{shown}");
    assert_eq!(id_parts(&dead[0]), (life.boot.as_str(), 13));
    assert!(shown.contains("\"status\":400"), "{shown}");
    daemon.kill();
    check_lives(&hub.stop(), &[life], &dead);
}

#[test]
fn nothing_is_lost_while_the_receiver_is_away_or_comes_and_goes() {
    let scratch = Scratch::new("flapping");
    let mut hub = Receiver::start(|_, _| ok());
    let (address, url) = (hub.address, hub.url());
    let mut requests = hub.stop();
    let daemon = Daemon::start(&scratch.0, &config(&url, ""));
    wait_for("an outage to fill some segments", || (life(&daemon).durable >= 200).then_some(()));
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..8 {
        hub = Receiver::start_on(address, None, |_, _| ok());
        hub.wait_until("a batch or two", |log| log.len() >= 2);
        thread::sleep(Duration::from_millis(rng.u64(0..30)));
        requests.extend(hub.stop());
        let before = life(&daemon).durable;
        wait_for("more records", || (life(&daemon).durable > before + 5).then_some(()));
    }
    hub = Receiver::start_on(address, None, |_, _| ok());
    let life = all_through(&daemon, &hub, &[]);
    daemon.kill();
    requests.extend(hub.stop());
    let sum = check_lives(&requests, &[life], &[]);
    assert!(sum.events >= 240, "{sum:?}");
}

#[test]
fn a_receiver_with_an_unknown_certificate_gets_nothing_and_one_with_a_trusted_one_everything() {
    let (ours, others) = (Authority::new(), Authority::new());
    let scratch = Scratch::new("tls");
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let bad = Receiver::start_on(free, Some(others.server("localhost", |_| {})), |_, _| ok());
    let address = bad.address;
    let more = format!("ca_file = \"{}\"\n", ours.file.display());
    let daemon = Daemon::start(&scratch.0, &config(&bad.url(), &more));
    wait_for("some attempts", || {
        let text = daemon.get("/v1/health/connectors").text().to_owned();
        (text.contains("tls: the certificate") && life(&daemon).durable >= 50).then_some(())
    });
    assert!(bad.stop().is_empty(), "nothing was sent to a receiver with an unknown certificate");
    let wrong = Receiver::start_on(address, Some(ours.server("elsewhere.test", |_| {})), |_, _| ok());
    let before = life(&daemon).durable;
    wait_for("some time", || (life(&daemon).durable >= before + 20).then_some(()));
    assert!(wrong.stop().is_empty(), "nor to one with a good certificate of another name");
    let good = Receiver::start_on(address, Some(ours.server("localhost", |_| {})), |_, _| ok());
    let life = all_through(&daemon, &good, &[]);
    daemon.kill();
    check_lives(&good.stop(), &[life], &[]);
}

/// Starts the binary and takes it away again before it may have got anywhere.
fn stillborn(scratch: &Scratch, after: Duration) {
    let mut command = binary();
    command.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(scratch.0.join("edge.toml"));
    command.arg("--data-dir").arg(scratch.0.join("data"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Thirty kills at random moments, some while it starts, with a receiver that is bad at random as well.
/// Mutants seen red: durable is said before the write; a batch is not frozen on the disk before it is sent; the cursor
/// moves when a batch is frozen, not when it was taken.
#[test]
fn kill_minus_nine_at_random_moments_loses_nothing_and_repeats_batches_as_they_were() {
    let scratch = Scratch::new("kill");
    let mut rng = fastrand::Rng::with_seed(11);
    let hub = Receiver::start(by_body(move |_, _| match rng.u8(..10) {
        0 => status(500),
        1 => Answer::Drop,
        2 => Answer::OkThenClose,
        3 => Answer::HalfAnswer,
        _ => ok(),
    }));
    let config = config(&hub.url(), "");
    let mut lives = Vec::new();
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let daemon = Daemon::start(&scratch.0, &config);
        let end = Instant::now() + Duration::from_millis(rng.u64(0..150));
        let mut last = life(&daemon);
        while Instant::now() < end {
            last = life(&daemon);
        }
        daemon.kill();
        lives.push(last);
        if seed % 3 == 0 {
            stillborn(&scratch, Duration::from_millis(rng.u64(0..40)));
        }
    }
    let daemon = Daemon::start(&scratch.0, &config);
    lives.push(all_through(&daemon, &hub, &[]));
    daemon.kill();
    let requests = hub.stop();
    let sum = check_lives(&requests, &lives, &[]);
    let durable: u64 = lives.iter().map(|life| life.durable).sum();
    assert!(lives.iter().filter(|life| life.durable > 0).count() >= 10, "{lives:?}");
    assert!(sum.events as u64 >= durable && sum.duplicates > 0, "{sum:?}");
    // Nothing here splits a batch, so an event belongs to one for ever.
    let mut batch_of: HashMap<&str, &str> = HashMap::new();
    for request in requests.iter().filter(|r| !r.body.is_empty()) {
        let batch = request.header("webhook-id");
        for id in ids(&request.body) {
            assert_eq!(*batch_of.entry(id).or_insert(batch), batch, "{id} was sent in another batch");
        }
    }
}

/// Mutants seen red: the id of the request not passed on, the span not told to the report, that of a request drawn again
/// with its response.
#[test]
fn log_lines_say_which_endpoint_which_span_and_whose_request() {
    let scratch = Scratch::new("lines");
    let log = "[log]\nformat = \"json\"\nlevel = \"debug\"\n";
    let daemon = Daemon::start(&scratch.0, &format!("{log}{}", config("http://127.0.0.1:1/hook", "")));
    let line = |part: &str| {
        let found = |text: String| text.lines().find(|line| line.contains(part)).map(str::to_owned);
        wait_for(part, || found(daemon.log()))
    };
    let value = |line: &str, key: &str| {
        let marker = format!("\"{key}\":\"");
        let at = line.find(&marker).unwrap_or_else(|| panic!("no {key} in {line}")) + marker.len();
        line[at..].split('"').next().unwrap().to_owned()
    };
    let failed = line("cannot deliver");
    let ids = [value(&failed, "trace_id"), value(&failed, "span_id")];
    assert!(ids.iter().all(|id| id.bytes().all(|b| b.is_ascii_hexdigit())), "{failed}");
    assert_eq!(ids.map(|id| id.len()), [32, 16], "{failed}");
    assert_eq!(value(&failed, "endpoint"), "hub");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let calls = [
        ("PUT", "/v1/endpoints/{name}/breaker", r#"{"state":"open"}"#, "breaker set to open"),
        ("POST", "/v1/outbox/dead/replay", "", "dead letters handed to delivery again"),
    ];
    for (method, route, body, what) in calls {
        let id = format!("op-{method}");
        let headers = [
            ("X-API-Key", daemon.key.as_str()),
            ("X-Request-Id", &id),
            ("Content-Type", "application/json"),
            ("traceparent", &traceparent),
        ];
        let answer = daemon.ask(method, &route.replace("{name}", "hub"), &headers, body);
        assert!(answer.status < 300, "{}", answer.text());
        let (done, asked) = (line(what), line(&format!("{method} {route} {}", answer.status)));
        for line in [&done, &asked] {
            assert_eq!((value(line, "request_id"), value(line, "trace_id").as_str()), (id.clone(), trace));
        }
        assert_eq!(value(&done, "span_id"), value(&asked, "span_id"));
        assert_ne!(value(&done, "span_id"), "00f067aa0ba902b7", "that of the request, not of its caller");
    }
}
