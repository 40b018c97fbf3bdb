//! Feature records on every door: polled, long-polled, streamed; and the other answers about the daemon.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::support::api::{
    ADMIN, GRID, READ, Running, Setup, WRITE, handshake, post, push, start, web_socket,
};
use mycelium_core::features::{Compat, Connectivity, FeatureProfile, Threshold};
use mycelium_daemon::api::{Busy, Cells, Deadlines, FrameCopy, FrameUnavailable, UnknownEndpoint};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

/// `seq` of every record in a body, in order.
fn seqs(text: &str) -> Vec<u64> {
    text.split("\"seq\":").skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect()
}

fn with_records(ring: usize, records: u64) -> Running {
    let server = start(Setup { ring, ..Setup::default() });
    for step in 1..=records {
        push(&server.snapshots, step * 10);
    }
    server
}

#[test]
fn records_are_listed_from_where_the_client_left_off() {
    let server = with_records(8, 20);
    let rows: [(&str, &[u64], &str, &str); 8] = [
        ("", &[20], "\"next\":20,\"gap\":false", "the newest"),
        ("?since=18", &[19, 20], "\"next\":20,\"gap\":false", "what came after"),
        ("?since=12&limit=3", &[13, 14, 15], "\"next\":15,\"gap\":false", "oldest first, as many as asked"),
        ("?since=20", &[], "\"next\":20,\"gap\":false", "up to date"),
        ("?since=20&wait=0", &[], "\"next\":20,\"gap\":false", "no wait is none"),
        ("?since=3&limit=2", &[13, 14], "\"next\":14,\"gap\":true", "overtaken by the ring"),
        ("?since=99&limit=2", &[13, 14], "\"next\":14,\"gap\":true", "of an earlier boot"),
        ("?limit=1", &[20], "\"next\":20,\"gap\":false", "a limit alone"),
    ];
    for (query, want, tail, why) in rows {
        let answer = server.get(&format!("/v1/features{query}"), READ);
        assert_eq!((answer.status, seqs(answer.text()).as_slice()), (200, want), "{why}: {}", answer.text());
        assert!(answer.text().contains(tail), "{why}: {}", answer.text());
        assert_eq!(answer.field("Cache-Control"), Some("no-store"), "{why}");
    }
    let newest = server.get("/v1/features", READ);
    let head = "{\"boot\":\"000000000000b007\",\"items\":[{\"seq\":20,\"step\":200,\"time\":\"2023-11-14T22:13:20.200Z\",\
                \"clock\":\"synced\",\"features\":{\"D_box\":200.0,";
    assert!(newest.text().starts_with(head), "{}", newest.text());
    for bad in [
        "since=-1",
        "since=",
        "since=1.5",
        "limit=0",
        "limit=1001",
        "wait=31",
        "x=1",
        "since=1&since=2",
        "since=%zz",
    ] {
        assert_eq!(server.get(&format!("/v1/features?{bad}"), READ).status, 400, "{bad}");
    }
    let empty = start(Setup::default());
    assert!(empty.get("/v1/features", READ).text().contains("\"items\":[],\"next\":0,\"gap\":false"));
}

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let server = with_records(8, 3);
    for path in ["/v1/features", "/v1/features?since=1", "/openapi.json", "/"] {
        let first = server.get(path, READ);
        let tag = first.field("ETag").unwrap().to_owned();
        let again = |list: &str| {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\nIf-None-Match: {list}\r\n\r\n"
            );
            server.send(head.as_bytes())
        };
        let rows = [
            (tag.clone(), 304, "the same tag"),
            (format!("\"x\", W/{tag}"), 304, "in a list, weak"),
            ("*".to_owned(), 304, "any"),
            ("\"x\"".to_owned(), 200, "another"),
        ];
        for (list, status, why) in rows {
            let answer = again(&list);
            assert_eq!(answer.status, status, "{path}: {why}");
            assert_eq!(answer.field("ETag"), Some(tag.as_str()), "{path}: {why}");
        }
        push(&server.snapshots, 1);
        let changed = if path.contains("features") { 200 } else { 304 };
        assert_eq!(again(&tag).status, changed, "{path}: once it has changed");
    }
}

/// Mutant seen red: the wait counted as the daemon's own time.
#[test]
fn a_long_poll_comes_back_with_the_record_it_waited_for() {
    let server = with_records(8, 3);
    for query in ["since=3&wait=30", "wait=30"] {
        let newest = server.snapshots.features.lock().unwrap().newest();
        let query = query.replace("since=3", &format!("since={newest}"));
        let mut client = server.connect();
        client.send(
            format!("GET /v1/features?{query} HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes(),
        );
        // An answer on another connection shows that the loop is not held up by the wait.
        assert_eq!(server.get("/healthz", "").status, 200);
        let seq = push(&server.snapshots, 50);
        // Whether the poll began before or after the push, it asks for what comes after `since`.
        if query.starts_with("since") {
            assert_eq!(seqs(client.answer().text()), [seq]);
        } else {
            client.socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
    }
    let at_once = server.get("/v1/features?since=1&wait=30", READ);
    assert_eq!(seqs(at_once.text()), [2, 3, 4, 5], "what is there already is not waited for");
    let timed = server.get("/v1/features?since=5&wait=1", READ);
    assert_eq!((timed.status, seqs(timed.text()).len()), (200, 0), "or nothing, when nothing came");
    let seconds = &server.metrics.seconds;
    let (buckets, all) = seconds.cumulative();
    let second = seconds.bounds().iter().position(|bound| *bound >= 1.0).unwrap();
    assert_eq!(buckets[second], all, "a second that the client asked for is none of the daemon's");
    assert!(seconds.sum() < 1.0, "{}", seconds.sum());
}

/// Mutant seen red: no limit on reserved slots (every slot waits, the poll finds none).
#[test]
fn waiting_requests_and_streams_leave_half_of_the_slots_to_polls() {
    let server = start(Setup { max_connections: 8, max_per_ip: 8, ..Setup::default() });
    let mut streams = Vec::new();
    for k in 0..6 {
        let mut client = server.connect();
        let key = [READ, WRITE, ADMIN][k / 2];
        client.send(format!("GET /v1/stream HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n\r\n").as_bytes());
        let answer = client.stream_head();
        assert_eq!(answer.status, if k < 4 { 200 } else { 503 }, "stream {k}");
        streams.push(client);
    }
    assert_eq!(server.get("/v1/features?wait=30", READ).status, 503, "a long poll is held, too");
    assert_eq!(server.get("/v1/features", READ).status, 200);
    drop(streams);
    // The slots are free again once the closed connections have been noticed.
    while server.get("/v1/features?since=0&wait=1", READ).status == 503 {}
}

#[test]
fn a_stream_sends_every_record_once_and_resumes_behind_the_last_event_id() {
    let server = with_records(4, 2);
    let open = |field: &str| {
        let mut client = server.connect();
        let head = format!("GET /v1/stream HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n{field}\r\n");
        client.send(head.as_bytes());
        let answer = client.stream_head();
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("text/event-stream")));
        assert!(answer.field("RateLimit").is_some_and(|quota| quota.starts_with("\"default\";r=")));
        assert!(answer.field("RateLimit-Policy").is_some(), "{}", answer.head);
        assert_eq!(client.until("\n\n"), "retry: 3000\n\n");
        client
    };
    let mut client = open("");
    let first = client.until("\n\n");
    assert!(first.starts_with("id: 000000000000b007-2\nevent: features\ndata: {\"seq\":2,"), "{first}");
    for step in 3..=6 {
        push(&server.snapshots, step);
        assert!(client.until("\n\n").starts_with(&format!("id: 000000000000b007-{step}\n")));
    }
    let mut resumed = open("Last-Event-ID: 000000000000b007-4\r\n");
    assert!(resumed.until("\n\n").starts_with("id: 000000000000b007-5\n"));
    assert!(resumed.until("\n\n").starts_with("id: 000000000000b007-6\n"));
    let mut late = open("Last-Event-ID: 000000000000b007-1\r\n");
    assert_eq!(late.until("\n\n"), "event: gap\ndata: {\"missed\":1}\n\n");
    assert!(late.until("\n\n").starts_with("id: 000000000000b007-3\n"));
    let mut foreign = open("Last-Event-ID: 000000000000beef-6\r\n");
    assert_eq!(foreign.until("\n\n"), "event: gap\ndata: {\"missed\":null}\n\n");
    assert_eq!(server.metrics.stream_dropped.get(), 1);
}

#[test]
fn a_stream_with_nothing_to_say_shows_that_it_lives() {
    let deadlines = Deadlines { heartbeat: Duration::from_millis(20), ..Deadlines::default() };
    let server = start(Setup { deadlines, ..Setup::default() });
    let mut client = server.connect();
    client.send(format!("GET /v1/stream HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes());
    assert_eq!(client.stream_head().status, 200);
    client.until(": beat\n\n");
    client.until(": beat\n\n");
}

#[test]
fn a_web_socket_sends_records_answers_pings_and_closes_with_a_code() {
    let server = with_records(8, 3);
    let mut socket = web_socket(&server, "/v1/ws?since=1");
    for seq in [2, 3] {
        let text = socket.read().unwrap().into_text().unwrap();
        assert!(text.starts_with(&format!("{{\"seq\":{seq},")), "{text}");
    }
    socket.send(Message::Ping(b"hello".to_vec().into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"hello".to_vec().into()));
    socket.send(Message::text("nobody asked")).unwrap();
    push(&server.snapshots, 7);
    assert!(socket.read().unwrap().into_text().unwrap().contains("\"step\":7,"));
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))), "a close is answered");
    let codes: [(Message, CloseCode, &str); 2] = [
        (Message::binary(vec![1, 2, 3]), CloseCode::Unsupported, "binary"),
        (Message::text("x".repeat(20_000)), CloseCode::Size, "too long a message"),
    ];
    for (message, code, why) in codes {
        let mut socket = web_socket(&server, "/v1/ws?since=99999");
        // The server may close before all of it is sent.
        drop(socket.send(message));
        let close = loop {
            if let Message::Close(frame) = socket.read().unwrap() {
                break frame.unwrap().code;
            }
        };
        assert_eq!(close, code, "{why}");
    }
    let mut unmasked = web_socket(&server, "/v1/ws");
    unmasked.get_mut().write_all(&[0x81, 1, b'x']).unwrap();
    let close = std::iter::from_fn(|| unmasked.read().ok()).find(Message::is_close);
    assert!(matches!(close, Some(Message::Close(Some(frame))) if frame.code == CloseCode::Protocol));
    assert_eq!(server.get("/healthz", "").status, 200);
}

#[test]
fn an_invalid_handshake_is_answered_with_what_is_missing() {
    let server = start(Setup::default());
    let rows = [
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n", 426, "old version"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426, "no version"),
        ("Sec-WebSocket-Key: c2hvcnQ=\r\nSec-WebSocket-Version: 13\r\n", 400, "short nonce"),
        ("Sec-WebSocket-Version: 13\r\n", 400, "no nonce"),
    ];
    for (fields, status, why) in rows {
        assert_eq!(handshake(&server, "/v1/ws", fields).0, status, "{why}");
    }
    let plain = server.get("/v1/ws", READ);
    assert_eq!((plain.status, plain.field("Upgrade")), (426, Some("websocket")));
}

#[test]
fn health_names_the_task_that_stands_still_and_says_why_the_outbox_cannot_write() {
    let server = start(Setup::default());
    assert_eq!(server.get("/healthz", "").text(), "{\"status\":\"ok\"}");
    server.snapshots.outbox.lock().unwrap().degraded = Some("no space left".to_owned());
    let degraded = server.get("/healthz", "");
    assert_eq!(
        (degraded.status, degraded.text()),
        (200, "{\"status\":\"degraded\",\"detail\":\"no space left\"}")
    );
    let stalled = start(Setup { patience: Duration::ZERO, ..Setup::default() });
    let answer = stalled.get("/healthz", "");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("task `sim` has not moved for"), "{}", answer.text());
}

fn framed() -> Setup {
    let mut setup = Setup::default();
    setup.ports.frame = Box::new(|step| match step {
        None | Some(7) => {
            let cells = (0..GRID * GRID).map(|k| k as f32 / 1000.0).collect();
            Ok(FrameCopy { step: 7, grid: GRID, cells: Cells::F32(cells) })
        }
        Some(_) => Err(FrameUnavailable { available: Some((3, 7)) }),
    });
    setup
}

#[test]
fn a_frame_comes_as_numbers_as_numpy_and_as_a_picture() {
    let server = start(framed());
    let json = server.get("/v1/field", READ);
    assert!(json.text().starts_with(
        "{\"step\":7,\"grid\":8,\"unit\":\"V\",\"dtype\":\"float32\",\"cells\":[[0.0,0.001,0.002,"
    ));
    assert!(json.text().ends_with("0.062,0.063]]}"));
    let numpy = server.get("/v1/field?format=npy&step=7", READ);
    assert!(numpy.body.starts_with(b"\x93NUMPY\x01\x00") && numpy.body.len() == 128 + 4 * GRID * GRID);
    assert_eq!(numpy.field("X-Step"), Some("7"));
    let png = server.get("/v1/field?format=png", READ);
    assert!(png.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(png.field("Content-Type"), Some("image/png"));
    let larger = server.get("/v1/field?format=png&scale=4", READ);
    let side = |picture: &[u8]| u32::from_be_bytes(picture[16..20].try_into().unwrap());
    assert_eq!((side(&png.body), side(&larger.body)), (GRID as u32, 4 * GRID as u32));
    assert_ne!(png.field("ETag"), larger.field("ETag"));
    assert_eq!(server.get("/v1/field?format=png&scale=17", READ).status, 400);
    let gone = server.get("/v1/field?step=99", READ);
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("steps 3 to 7"), "{}", gone.text());
    assert_eq!(server.get("/v1/field?format=gif", READ).status, 400);
}

#[test]
fn hostile_json_bodies_are_refused_and_change_nothing() {
    let mut setup = Setup::default();
    setup.ports.stimulate = Box::new(|_| panic!("nothing hostile may get here"));
    setup.ports.set_breaker = Box::new(|_, _, _| panic!("nor here"));
    let server = start(setup);
    let deep = "[".repeat(60_000);
    let rows = [
        ("/v1/nernst", "{\"z\":[", 422, "an unknown key, before the value that would never end"),
        ("/v1/nernst", "{\"z_valence\":}", 400, "no value"),
        ("/v1/nernst", "", 400, "empty"),
        ("/v1/nernst", "null", 422, "no object"),
        ("/v1/nernst", deep.as_str(), 422, "deep nesting"),
        (
            "/v1/nernst",
            "{\"z_valence\":0,\"concentration_out_molar\":1,\"concentration_in_molar\":1}",
            422,
            "z = 0",
        ),
        (
            "/v1/nernst",
            "{\"z_valence\":1,\"concentration_out_molar\":0,\"concentration_in_molar\":1}",
            422,
            "ln 0",
        ),
        (
            "/v1/nernst",
            "{\"z_valence\":1,\"concentration_out_molar\":1e999,\"concentration_in_molar\":1}",
            400,
            "overflow",
        ),
        ("/v1/nernst", "{\"z_valence\":1,\"z_valence\":2}", 400, "twice"),
        ("/v1/simulate", "{\"grid_size\":7}", 422, "small grid"),
        ("/v1/simulate", "{\"grid_size\":512,\"steps\":1025}", 422, "more work than one request may ask for"),
        ("/v1/simulate", "{\"steps\":0}", 422, "no step"),
        ("/v1/simulate", "{\"alpha\":0.25}", 422, "unstable"),
        ("/v1/simulate", "{\"model\":\"game\"}", 422, "no such model"),
        ("/v1/simulate", "{\"seed\":-1}", 422, "negative seed"),
        ("/v1/stimuli", "{\"items\":[{\"row\":8,\"col\":0,\"volts\":0.1}]}", 422, "outside the field"),
        ("/v1/stimuli", "{\"items\":[{\"row\":0,\"col\":0,\"volts\":11}]}", 422, "lightning"),
        ("/v1/stimuli", "{\"items\":[{\"row\":0,\"col\":0}]}", 422, "no volts"),
    ];
    for (path, body, status, why) in rows {
        let answer = server.post(path, WRITE, body);
        assert_eq!(answer.status, status, "{why}: {}", answer.text());
        assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{why}");
    }
    let mut invalid = post("POST", "/v1/nernst", WRITE, "{\"z_valence\":?}");
    *invalid.iter_mut().rfind(|byte| **byte == b'?').unwrap() = 0xff;
    assert_eq!(server.send(&invalid).status, 400, "no UTF-8");
    for body in ["{\"state\":\"ajar\"}", "{}", "{\"state\":1}"] {
        assert_eq!(
            server.send(&post("PUT", "/v1/endpoints/hook/breaker", ADMIN, body)).status,
            422,
            "{body}"
        );
    }
}

#[test]
fn simulations_answer_with_the_fields_of_the_reference_and_are_repeatable() {
    let server = start(Setup::default());
    let body =
        r#"{"seed":7,"grid_size":32,"steps":40,"alpha":0.18,"spike_probability":0.25,"turing_enabled":true}"#;
    let first = server.post("/v1/simulate", WRITE, body);
    assert_eq!(first.status, 200, "{}", first.text());
    for field in
        ["growth_events", "pot_min_mV", "pot_max_mV", "pot_mean_mV", "pot_std_mV", "fractal_dimension"]
    {
        assert!(first.text().contains(&format!("\"{field}\":")), "{field}: {}", first.text());
    }
    assert_eq!(first.text(), server.post("/v1/simulate", WRITE, body).text(), "one seed, one answer");
    for body in [
        "{}",
        r#"{"model":"turing","precision":"f64","steps":3}"#,
        r#"{"model":"excitable","grid_size":8.0}"#,
    ] {
        assert_eq!(server.post("/v1/simulate", WRITE, body).status, 200, "{body}");
    }
    let warned = |body: &str| server.post("/v1/simulate", WRITE, body).text().to_owned();
    let small = warned(r#"{"model":"turing","grid_size":16,"steps":3}"#);
    assert!(small.contains(r#""warnings":["no pattern will form: the grid of 16 cells holds"#), "{small}");
    assert!(warned(r#"{"model":"turing","grid_size":32,"steps":3}"#).ends_with(r#","warnings":[]}"#));
}

#[test]
fn the_ports_are_asked_and_their_refusals_passed_on() {
    use std::sync::atomic::AtomicUsize;
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let mut setup = Setup::default();
    setup.ports.stimulate = Box::new(|stimuli| {
        ASKED.fetch_add(stimuli.len(), Relaxed);
        if stimuli.len() > 1 { Err(Busy) } else { Ok(()) }
    });
    setup.ports.flush = Box::new(|_| Ok(()));
    setup.ports.set_breaker =
        Box::new(|name, _, _| if name == "hook" { Ok(()) } else { Err(UnknownEndpoint) });
    let server = start(setup);
    let one = r#"{"items":[{"row":1,"col":2,"volts":0.05}]}"#;
    assert_eq!(server.post("/v1/stimuli", WRITE, one).text(), "{\"accepted\":1}");
    let two = r#"{"items":[{"row":1,"col":2,"volts":0.05},{"row":1,"col":2,"volts":0.05}]}"#;
    let busy = server.post("/v1/stimuli", WRITE, two);
    assert_eq!((busy.status, busy.field("Retry-After")), (503, Some("1")));
    assert_eq!(ASKED.load(Relaxed), 3);
    let command = |path: &str, key: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n\r\n");
        server.send(head.as_bytes()).status
    };
    assert_eq!(command("/v1/outbox/flush", ADMIN), 202);
    assert_eq!(command("/v1/outbox/dead/replay", WRITE), 503);
    let breaker = |name: &str| {
        server.send(&post("PUT", &format!("/v1/endpoints/{name}/breaker"), ADMIN, r#"{"state":"open"}"#))
    };
    assert_eq!(breaker("hook").text(), "{\"name\":\"hook\",\"state\":\"open\"}");
    assert_eq!(breaker("nobody").status, 404);
    assert_eq!(server.get("/v1/outbox/dead", READ).text(), "{\"items\":[]}");
}

#[test]
fn the_status_says_how_features_are_defined() {
    let edge = FeatureProfile {
        compat: Compat::Edge,
        threshold: Threshold::Quantile(0.9),
        connectivity: Connectivity::Eight,
        torus: true,
        window: 32,
    };
    let reference = FeatureProfile { compat: Compat::V41, connectivity: Connectivity::Four, ..edge };
    let rows = [
        (edge, r#"{"compat":null,"threshold":"quantile:0.9","connectivity":8,"window":32}"#),
        (reference, r#"{"compat":"4.1","threshold":"fixed:-60","connectivity":4,"window":null}"#),
    ];
    for (profile, want) in rows {
        let mut setup = Setup::default();
        setup.ports.info.profile = Some(profile);
        let status = start(setup).get("/v1/status", READ);
        assert!(status.text().contains(&format!("\"features\":{want},\"step\":")), "{}", status.text());
    }
}
