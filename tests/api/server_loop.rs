//! The loop under clients that are slow, many, rude or gone.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::Duration;

use crate::support::api::{READ, Setup, WRITE, post, push, start};
use mycelium_daemon::api::Deadlines;
use mycelium_daemon::api::EvictionReason;
use mycelium_daemon::telemetry::metrics::Label;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n";

fn loopback(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

fn evictions(server: &crate::support::api::Running, reason: &str) -> u64 {
    let reason = EvictionReason::ALL.iter().find(|r| r.text() == reason).unwrap();
    server.metrics.evictions.get(*reason)
}

/// Deadlines short enough to be waited for.
fn hasty() -> Deadlines {
    let short = Duration::from_millis(100);
    Deadlines { head: short, body: short, idle: short, write: short, drain: short, ..Deadlines::default() }
}

/// Mutant seen red: eviction taken out (the good client is refused).
#[test]
fn a_slow_loris_with_every_seat_cannot_keep_a_good_client_out() {
    let server = start(Setup { max_connections: 8, max_per_ip: 8, ..Setup::default() });
    let mut slow = Vec::new();
    for _ in 0..200 {
        if let Ok(mut client) = server.try_connect_from(loopback(2)) {
            // A connection that is shown out early may refuse this; that is what it is for.
            drop(client.socket.write_all(b"GET /healthz HTTP/1.1\r\nHos"));
            slow.push(client);
        }
    }
    for _ in 0..50 {
        let mut good = server.connect_from(loopback(3));
        good.send(HEALTH);
        assert_eq!(good.answer().status, 200);
    }
    assert!(evictions(&server, "seats") + evictions(&server, "per_ip") >= 150);
}

#[test]
fn one_address_has_its_share_of_seats_and_takes_from_itself() {
    let server = start(Setup { max_connections: 8, max_per_ip: 2, ..Setup::default() });
    let mut other = server.connect_from(loopback(5));
    assert_eq!(other.get("/healthz", "").status, 200);
    let mut first = server.connect_from(loopback(4));
    assert_eq!(first.get("/healthz", "").status, 200);
    let mut later: Vec<_> = (0..4).map(|_| server.connect_from(loopback(4))).collect();
    for next in &mut later {
        drop(next.socket.write_all(HEALTH));
    }
    assert_eq!(later[3].answer().status, 200);
    assert!(first.is_closed(), "the longest wait of this address went first");
    assert_eq!(evictions(&server, "per_ip"), 3);
    assert_eq!(other.get("/healthz", "").status, 200, "others keep their seats");
}

#[test]
fn deadlines_end_slow_heads_and_bodies_with_408_and_idle_connections_in_silence() {
    let server = start(Setup { deadlines: hasty(), ..Setup::default() });
    let mut head = server.connect();
    head.send(b"GET /healthz HTT");
    assert_eq!(head.answer().status, 408);
    assert!(head.is_closed());
    let mut body = server.connect();
    body.send(post("POST", "/v1/nernst", WRITE, "{}").split_last().unwrap().1);
    assert_eq!(body.answer().status, 408);
    assert!(body.is_closed());
    let mut idle = server.connect();
    assert_eq!(idle.get("/healthz", "").status, 200);
    assert!(idle.is_closed() && idle.rest.is_empty(), "nothing is said to one that asks nothing");
    let mut silent = server.connect();
    assert!(silent.is_closed() && silent.rest.is_empty(), "nor to one that never did");
    assert_eq!((evictions(&server, "head_deadline"), evictions(&server, "body_deadline")), (2, 1));
}

#[test]
fn a_client_that_takes_no_answers_is_let_go_and_the_others_do_not_notice() {
    let mut setup = Setup { deadlines: hasty(), ..Setup::default() };
    setup.ports.metrics = Box::new(|_| "x".repeat(1 << 20));
    let server = start(setup);
    let mut deaf = server.connect();
    // Many large answers asked for and none taken: buffers fill, the write deadline passes.
    for _ in 0..64 {
        if deaf.socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").is_err() {
            break;
        }
    }
    let mut good = server.connect();
    while evictions(&server, "write_deadline") == 0 {
        good.send(HEALTH);
        assert_eq!(good.answer().status, 200);
    }
}

/// Mutant seen red: read on the loop (the first `dead` stops all answers).
#[test]
fn reading_dead_letters_from_a_stuck_outbox_holds_up_nobody_else_and_only_a_few_may_wait() {
    let (release, stuck) = std::sync::mpsc::sync_channel::<()>(0);
    let stuck = std::sync::Mutex::new(stuck);
    let mut setup = Setup::default();
    setup.ports.dead_letters = std::sync::Arc::new(move || {
        // Ends with the test, whichever way that goes.
        let _ = stuck.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let server = start(setup);
    // Goes before the server does, or a loop that is stuck could not be ended.
    let release = release;
    let path = "/v1/outbox/dead";
    let ask = format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n");
    let mut waiting: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send(ask.as_bytes());
    }
    // One is read and four wait, or four wait and none is read yet; the rest is turned away.
    let turned_away = || {
        let mut rows = server.metrics.requests();
        rows.find(|row| (row.0, row.2) == (path, 503)).map_or(0, |row| row.3)
    };
    while turned_away() < 7 {
        assert_eq!(server.get("/healthz", "").status, 200, "the loop goes on");
    }
    drop(release);
    let statuses: Vec<u16> = waiting.iter_mut().map(|client| client.answer().status).collect();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|&&status| status == 200).count() >= 4, "{statuses:?}");
    let after = server.get(path, READ);
    assert_eq!((after.status, after.text()), (200, "{\"items\":[]}"));
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let server = start(Setup::default());
    let mut text = Vec::new();
    for k in 0..500 {
        text.extend(format!("GET /healthz HTTP/1.1\r\nHost: t\r\nX-Request-Id: n{k}\r\n\r\n").bytes());
        if k % 7 == 0 {
            let body = r#"{"z_valence":1,"concentration_out_molar":0.1,"concentration_in_molar":0.01}"#;
            text.extend(post("POST", "/v1/nernst", WRITE, body));
        }
    }
    for seed in 0..4 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut client = server.connect();
        let mut sender = client.socket.try_clone().unwrap();
        let bytes = text.clone();
        let writer = std::thread::spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let n = rng.usize(1..=rest.len().min(3000));
                sender.write_all(&rest[..n]).unwrap();
                rest = &rest[n..];
            }
        });
        for k in 0..500 {
            let answer = client.answer();
            assert_eq!((answer.status, answer.field("X-Request-Id")), (200, Some(format!("n{k}").as_str())));
            if k % 7 == 0 {
                assert_eq!(client.answer().status, 200);
            }
        }
        writer.join().unwrap();
    }
}

#[test]
fn a_request_sent_byte_by_byte_is_a_request() {
    let server = start(Setup::default());
    let mut client = server.connect();
    let body = r#"{"z_valence":1,"concentration_out_molar":0.1,"concentration_in_molar":0.01}"#;
    for byte in post("POST", "/v1/nernst", WRITE, body) {
        client.send(&[byte]);
    }
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("{\"potential_mV\":61.5"), "{}", answer.text());
}

#[test]
fn resets_at_any_moment_are_harmless() {
    let server = start(Setup::default());
    let long_poll = format!("GET /v1/features?wait=30 HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n");
    let stream = format!("GET /v1/stream HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n");
    let simulate = post("POST", "/v1/simulate", WRITE, r#"{"grid_size":8,"steps":10}"#);
    let stages: [&[u8]; 7] =
        [b"", b"GET", HEALTH, b"nonsense\r\n\r\n", long_poll.as_bytes(), stream.as_bytes(), &simulate];
    for seed in 0..400 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut client = server.connect();
        let bytes = stages[rng.usize(..stages.len())];
        // A server that has reset first is one of the moments.
        drop(client.socket.write_all(&bytes[..rng.usize(..=bytes.len())]));
        rustix::net::sockopt::set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
        if rng.bool() {
            push(&server.snapshots, seed);
        }
        drop(client);
    }
    assert_eq!(server.send(HEALTH).status, 200);
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_its_answer() {
    let server = start(Setup::default());
    let simulate = post("POST", "/v1/simulate", WRITE, r#"{"grid_size":64,"steps":300}"#);
    for request in [HEALTH.to_vec(), simulate] {
        let mut client = server.connect();
        client.send(&request);
        client.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.answer().status, 200);
        assert!(client.is_closed());
    }
    let mut cut = server.connect();
    cut.send(b"GET /healthz HTTP/1.1\r\nHo");
    cut.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(cut.answer().status, 400, "half a head is no request");
}

/// A reset would take the answer out of the hands of clients whose system drops what it has received before one.
/// Mutant seen red: no draining (the client's sending or reading ends in a reset).
#[test]
fn an_early_refusal_arrives_and_the_connection_ends_in_order_although_the_client_is_still_sending() {
    let server = start(Setup::default());
    for _ in 0..20 {
        let mut client = server.connect();
        client.send(b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
        for piece in [b'x'; 100_000].chunks(10_000) {
            client.send(piece);
        }
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (413, true));
        client.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.socket.read(&mut [0; 16]).unwrap(), 0, "an end, not a reset");
    }
}

#[test]
fn a_body_is_asked_for_only_when_it_is_welcome() {
    let server = start(Setup::default());
    let head = |key: &str| {
        format!(
            "POST /v1/nernst HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut welcome = server.connect();
    welcome.send(head(WRITE).as_bytes());
    assert_eq!(welcome.stream_head().status, 100);
    welcome.send(b"{}");
    assert_eq!(welcome.answer().status, 422);
    let mut unwelcome = server.connect();
    unwelcome.send(head(READ).as_bytes());
    assert_eq!(unwelcome.answer().status, 403, "no 100 before it");
}

#[test]
fn simulations_queue_up_to_a_limit_and_nobody_else_waits_for_them() {
    let server = start(Setup::default());
    let work = post("POST", "/v1/simulate", WRITE, r#"{"grid_size":64,"steps":65536,"seed":1}"#);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&work);
    }
    for _ in 0..20 {
        assert_eq!(server.send(HEALTH).status, 200, "answered while simulations run");
    }
    let busy = clients.iter_mut().rev().find_map(|client| {
        client.socket.set_nonblocking(false).unwrap();
        client.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        client.try_answer(true).ok()
    });
    let busy = busy.expect("one more than fits is told so");
    assert_eq!((busy.status, busy.field("Retry-After")), (503, Some("1")));
    // Their clients are gone for good: simulations are called off, and the next gets its turn.
    for client in clients {
        rustix::net::sockopt::set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
    }
    while server.post("/v1/simulate", WRITE, r#"{"grid_size":8,"steps":1}"#).status != 200 {}
}

#[test]
fn a_stop_finishes_what_is_at_work_and_ends_the_rest() {
    let server = start(Setup::default());
    let mut idle = server.connect();
    assert_eq!(idle.get("/healthz", "").status, 200);
    let mut poll = server.connect();
    poll.send(
        format!("GET /v1/features?wait=30 HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes(),
    );
    let mut stream = server.connect();
    stream.send(format!("GET /v1/stream HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes());
    assert_eq!(stream.stream_head().status, 200);
    let address = server.address;
    // Poll, stream and the scrape itself are at work.
    while server.metrics.busy.get() < 3.0 {
        assert_eq!(server.get("/metrics", "").status, 200);
    }
    server.stop().unwrap();
    assert_eq!(poll.answer().status, 200, "a long poll is answered at once");
    assert!(idle.is_closed() && stream.is_closed());
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// Random bytes and random pieces of requests; the server answers, closes or waits, and lives.
#[test]
fn no_sequence_of_pieces_of_http_ends_the_server() {
    let server = start(Setup { deadlines: hasty(), ..Setup::default() });
    let pieces: [&[u8]; 18] = [
        b"GET ",
        b"POST ",
        b"/healthz",
        b"/v1/nernst",
        b" HTTP/1.1\r\n",
        b"Host: t\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X-API-Key: myc_write\r\n",
        b"\n",
        b"\0",
        b"{\"z\":[",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"\xff\xfe",
    ];
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut client = server.connect();
        for _ in 0..rng.usize(1..20) {
            let piece = pieces[rng.usize(..pieces.len())];
            if client.socket.write_all(piece).is_err() {
                break;
            }
        }
        client.socket.shutdown(Shutdown::Write).ok();
        let mut said = Vec::new();
        // A reset is an end like any other.
        drop(client.socket.read_to_end(&mut said));
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 "), "seed {seed}");
    }
    assert_eq!(server.send(HEALTH).status, 200);
}
