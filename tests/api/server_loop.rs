//! The HTTP loop with clients that are slow, numerous, hostile or disconnected.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::Duration;

use crate::support::api::{ADMIN, READ, Setup, WRITE, post, push, start};
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

/// Deadlines short enough to wait for in a test.
fn short_deadlines() -> Deadlines {
    let short = Duration::from_millis(100);
    Deadlines { head: short, body: short, idle: short, write: short, drain: short, ..Deadlines::default() }
}

/// Mutant seen red: no eviction (the good client is refused).
#[test]
fn a_slow_loris_attack_on_every_slot_does_not_keep_a_good_client_out() {
    let server = start(Setup { max_connections: 8, max_per_ip: 8, ..Setup::default() });
    let mut slow = Vec::new();
    for _ in 0..200 {
        if let Ok(mut client) = server.try_connect_from(loopback(2)) {
            // Fails if the connection has been evicted already, which is the purpose of the test.
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
fn an_address_at_its_limit_evicts_its_own_connections_only() {
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
    assert!(first.is_closed(), "the longest wait of this address is evicted first");
    assert_eq!(evictions(&server, "per_ip"), 3);
    assert_eq!(other.get("/healthz", "").status, 200, "others keep their slots");
}

#[test]
fn deadlines_end_slow_heads_and_bodies_with_408_and_idle_connections_without_a_response() {
    let server = start(Setup { deadlines: short_deadlines(), ..Setup::default() });
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
    assert!(idle.is_closed() && idle.rest.is_empty(), "an idle connection gets no response");
    let mut silent = server.connect();
    assert!(silent.is_closed() && silent.rest.is_empty(), "nor one that never sent anything");
    assert_eq!((evictions(&server, "head_deadline"), evictions(&server, "body_deadline")), (2, 1));
}

#[test]
fn a_client_that_reads_no_responses_is_dropped_and_the_others_are_served() {
    let deadlines = Deadlines { write: Duration::from_millis(100), ..Deadlines::default() };
    let mut setup = Setup { deadlines, ..Setup::default() };
    setup.ports.metrics = Box::new(|_| "x".repeat(1 << 20));
    let server = start(setup);
    let mut deaf = server.connect();
    // Many large responses are requested and none is read: buffers fill up and the write deadline passes.
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

/// Mutant seen red: reading them on the HTTP loop (the first request then blocks all others).
#[test]
fn reading_dead_letters_from_a_blocked_outbox_blocks_no_other_request_and_only_a_few_may_wait() {
    let (release, stuck) = std::sync::mpsc::sync_channel::<()>(0);
    let stuck = std::sync::Mutex::new(stuck);
    let mut setup = Setup::default();
    setup.ports.dead_letters = std::sync::Arc::new(move || {
        // Returns an error at the end of the test, whether or not that succeeds.
        let _ = stuck.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let server = start(setup);
    // Dropped before the server, or a blocked loop could not be stopped.
    let release = release;
    let path = "/v1/outbox/dead";
    let mut waiting: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for (k, client) in waiting.iter_mut().enumerate() {
        let key = [READ, WRITE, ADMIN][k % 3];
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n\r\n").as_bytes());
    }
    // One is read and four wait, or four wait and none is read yet; the rest are rejected.
    let rejected = || {
        let mut rows = server.metrics.requests();
        rows.find(|row| (row.0, row.2) == (path, 503)).map_or(0, |row| row.3)
    };
    while rejected() < 7 {
        assert_eq!(server.get("/healthz", "").status, 200, "the loop is not blocked");
    }
    drop(release);
    let statuses: Vec<u16> = waiting.iter_mut().map(|client| client.answer().status).collect();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|&&status| status == 200).count() >= 4, "{statuses:?}");
    let after = server.get(path, READ);
    assert_eq!((after.status, after.text()), (200, "{\"items\":[]}"));
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_split() {
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
fn a_request_sent_byte_by_byte_is_answered() {
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
        // Fails if the server has reset the connection first, which is one of the cases.
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
fn a_client_that_half_closes_its_connection_still_gets_its_response() {
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

/// After a reset, a client's system may discard what it has received but the client has not read.
///
/// Mutant seen red: no draining (the client's sending or reading ends in a reset).
#[test]
fn an_early_error_arrives_and_the_connection_is_closed_without_a_reset_while_the_client_is_still_sending() {
    let server = start(Setup::default());
    for _ in 0..20 {
        let mut client = server.connect();
        client.send(b"POST /v1/nernst HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
        for piece in vec![b'x'; 100_000].chunks(10_000) {
            client.send(piece);
        }
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (413, true));
        client.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.socket.read(&mut [0; 16]).unwrap(), 0, "an end, not a reset");
    }
}

#[test]
fn a_100_continue_is_sent_only_if_the_body_will_be_read() {
    let server = start(Setup::default());
    let head = |key: &str| {
        format!(
            "POST /v1/nernst HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut accepted = server.connect();
    accepted.send(head(WRITE).as_bytes());
    assert_eq!(accepted.stream_head().status, 100);
    accepted.send(b"{}");
    assert_eq!(accepted.answer().status, 422);
    let mut forbidden = server.connect();
    forbidden.send(head(READ).as_bytes());
    assert_eq!(forbidden.answer().status, 403, "no 100 before it");
}

#[test]
fn simulations_queue_up_to_a_limit_and_no_other_request_waits_for_them() {
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
    let busy = busy.expect("one more than the queue holds gets a response at once");
    assert_eq!((busy.status, busy.field("Retry-After")), (503, Some("1")));
    // Their clients disconnect: simulations are cancelled, and the next one runs.
    for client in clients {
        rustix::net::sockopt::set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
    }
    while server.post("/v1/simulate", WRITE, r#"{"grid_size":8,"steps":1}"#).status != 200 {}
}

#[test]
fn a_stop_finishes_requests_in_progress_and_closes_the_other_connections() {
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
    // Poll, stream and the scrape itself are in progress.
    while server.metrics.busy.get() < 3.0 {
        assert_eq!(server.get("/metrics", "").status, 200);
    }
    server.stop().unwrap();
    assert_eq!(poll.answer().status, 200, "a long poll is answered at once");
    assert!(idle.is_closed() && stream.is_closed());
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is closed");
}

/// Random bytes and random pieces of requests; the server answers, closes or waits, and keeps running.
#[test]
fn no_sequence_of_pieces_of_http_ends_the_server() {
    let server = start(Setup { deadlines: short_deadlines(), ..Setup::default() });
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
        let mut received = Vec::new();
        // A reset is allowed.
        drop(client.socket.read_to_end(&mut received));
        assert!(received.is_empty() || received.starts_with(b"HTTP/1.1 "), "seed {seed}");
    }
    assert_eq!(server.send(HEALTH).status, 200);
}
