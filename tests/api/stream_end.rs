//! How connections end that do not end by themselves, and how that is counted.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::api::{READ, Running, Setup, push, start, web_socket};
use mycelium_daemon::api::Deadlines;
use mycelium_daemon::api::EvictionReason;
use mycelium_daemon::telemetry::metrics::Label;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// Records beyond what both socket buffers hold: 12 MB of JSON.
const FLOOD: u64 = 20_000;

fn ended(server: &Running, reason: &str) -> u64 {
    let reason = EvictionReason::ALL.iter().find(|r| r.text() == reason).unwrap();
    server.metrics.evictions.get(*reason)
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for {what}");
        std::thread::yield_now();
    }
}

fn stream(server: &Running, query: &str) -> crate::support::api::Client {
    let mut client = server.connect();
    set_socket_recv_buffer_size(&client.socket, 2048).unwrap();
    client.send(format!("GET /v1/stream{query} HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes());
    client
}

fn slow_socket(server: &Running, query: &str) -> WebSocket<TcpStream> {
    let socket = web_socket(server, &format!("/v1/ws{query}"));
    set_socket_recv_buffer_size(socket.get_ref(), 2048).unwrap();
    socket
}

fn flooded(deadlines: Deadlines, ring: usize) -> Running {
    let server = start(Setup { deadlines, ring, ..Setup::default() });
    for step in 1..=FLOOD {
        push(&server.snapshots, step);
    }
    server
}

/// Mutant seen red: the phase of a blocked write left at `Busy`.
#[test]
fn a_stream_or_socket_whose_client_takes_nothing_is_dropped_with_its_reason() {
    let deadlines = Deadlines { write: Duration::from_millis(100), ..Deadlines::default() };
    let server = flooded(deadlines, FLOOD as usize);
    let deaf = stream(&server, "?since=0");
    wait_for("the end of the deaf stream", || ended(&server, "slow_stream") == 1);
    let also_deaf = slow_socket(&server, "?since=0");
    wait_for("the end of the deaf socket", || ended(&server, "slow_stream") == 2);
    assert_eq!(ended(&server, "write_deadline"), 0);
    assert_eq!(server.get("/healthz", "").status, 200);
    drop((deaf, also_deaf));
}

/// Mutant seen red: gaps not counted.
#[test]
fn a_stream_that_is_slower_than_the_ring_gets_the_number_of_records_it_missed() {
    let server = start(Setup { ring: 64, ..Setup::default() });
    let mut client = stream(&server, "");
    assert_eq!(client.stream_head().status, 200);
    for step in 1..=FLOOD {
        push(&server.snapshots, step);
    }
    let (mut got, mut missed) = (0, 0);
    while got + missed < FLOOD {
        let event = client.until("\n\n");
        if let Some(rest) = event.strip_prefix("event: gap\ndata: {\"missed\":") {
            missed += rest.split('}').next().unwrap().parse::<u64>().unwrap();
        } else if event.contains("event: features") {
            got += 1;
        }
    }
    assert_eq!((got + missed, server.metrics.stream_dropped.get()), (FLOOD, missed));
    assert!(missed > 0, "12 MB do not fit into two socket buffers");
}

#[test]
fn a_socket_that_is_slower_than_the_ring_gets_the_number_of_records_it_missed() {
    let server = start(Setup { ring: 64, ..Setup::default() });
    let mut socket = slow_socket(&server, "");
    for step in 1..=FLOOD {
        push(&server.snapshots, step);
    }
    let (mut got, mut missed) = (0, 0);
    while got + missed < FLOOD {
        let Ok(Message::Text(text)) = socket.read() else { panic!("text and nothing else") };
        match text.strip_prefix("{\"gap\":{\"missed\":") {
            Some(rest) => missed += rest.trim_end_matches('}').parse::<u64>().unwrap(),
            None => got += 1,
        }
    }
    assert_eq!((got + missed, server.metrics.stream_dropped.get()), (FLOOD, missed));
    assert!(missed > 0, "12 MB do not fit into two socket buffers");
}

/// Mutant seen red: the close frame left out.
#[test]
fn a_socket_that_answers_no_ping_is_closed_with_the_reason_and_counted() {
    let deadlines = Deadlines { heartbeat: Duration::from_millis(10), ..Deadlines::default() };
    let server = start(Setup { deadlines, ..Setup::default() });
    let mut socket = web_socket(&server, "/v1/ws");
    wait_for("the end of the silent socket", || ended(&server, "silent") == 1);
    let close = std::iter::from_fn(|| socket.read().ok()).find(Message::is_close);
    let Some(Message::Close(Some(frame))) = close else { panic!("no reason given: {close:?}") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "no response to pings"));
}

#[test]
fn a_connection_that_finds_every_slot_busy_is_rejected_and_counted() {
    let server = start(Setup { max_connections: 1, max_per_ip: 1, ..Setup::default() });
    let mut waiting = server.connect();
    waiting.send(
        format!("GET /v1/features?wait=30 HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n").as_bytes(),
    );
    // Until it is at work its seat can be taken, which ends it.
    let mut refused = 0;
    while refused == 0 {
        let mut late = server.connect();
        let answer = late.try_answer(true).map(|answer| answer.status);
        if let Ok(503) = answer {
            refused += 1;
        } else {
            waiting = server.connect();
            waiting.send(
                format!("GET /v1/features?wait=30 HTTP/1.1\r\nHost: t\r\nX-API-Key: {READ}\r\n\r\n")
                    .as_bytes(),
            );
        }
    }
    assert_eq!(ended(&server, "refused"), 1);
    drop(waiting);
    wait_for("the end of the long poll", || ended(&server, "abandoned") == 1);
}

/// Mutant seen red: the slot of an anonymous socket reserved like that of a stream.
#[test]
fn anonymous_sockets_of_version_4_1_do_not_lock_out_clients_with_a_key() {
    let server = start(Setup { max_connections: 8, max_per_ip: 8, ..Setup::default() });
    let anonymous: Vec<_> =
        (0..8).map(|k| web_socket(&server, ["/ws/stream_features", "/ws/simulation_live"][k % 2])).collect();
    let streams: Vec<_> = (0..2)
        .map(|k| {
            let mut client = stream(&server, "");
            assert_eq!(client.stream_head().status, 200, "stream {k}");
            client
        })
        .collect();
    assert_eq!(server.get("/v1/features", READ).status, 200);
    assert!(ended(&server, "per_ip") >= 3, "anonymous sockets have to be evicted");
    drop((anonymous, streams));
}
