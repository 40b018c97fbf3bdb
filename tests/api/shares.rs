//! What one client may use up, what is kept for others, and who may open a connection at all.

use std::net::IpAddr;
use std::time::Duration;

use crate::support::api::{ADMIN, Client, READ, Running, Setup, UNLIMITED, WRITE, post, push, start};
use mycelium_daemon::api::{AllowedNames, Cells, FrameCopy, Rate};
use rustix::net::sockopt::set_socket_recv_buffer_size;

fn loopback(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: edge.local:8600\r\n{fields}\r\n").into_bytes()
}

fn upgrade(path: &str, fields: &str) -> Vec<u8> {
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    get(path, &format!("{socket}{fields}"))
}

fn status_from(server: &Running, from: u8, request: &[u8]) -> u16 {
    let mut client = server.connect_from(loopback(from));
    client.send(request);
    client.stream_head().status
}

/// 20 wrong keys a second of one address got 39 of 40 upgrades of legitimate clients answered 429.
///
/// Mutants seen red: upgrades in the bucket of other requests; one bucket for all addresses.
#[test]
fn wrong_keys_of_one_address_keep_no_legacy_client_out() {
    let rate = Rate { unauthenticated_per_second: 1, unauthenticated_burst: 3, ..UNLIMITED };
    let server = start(Setup { rate, ..Setup::default() });
    let wrong = get("/v1/status", "X-API-Key: wrong\r\n");
    let answers: Vec<u16> = (0..20).map(|_| status_from(&server, 2, &wrong)).collect();
    assert_eq!(answers[..3], [401; 3]);
    assert!(answers[4..].contains(&429));
    assert_eq!(status_from(&server, 2, &upgrade("/ws/stream_features", "")), 101, "of the same address");
    for _ in 0..20 {
        status_from(&server, 2, &upgrade("/ws/stream_features", ""));
    }
    for from in [3, 4] {
        assert_eq!(status_from(&server, from, &upgrade("/ws/stream_features", "")), 101, "of another one");
        assert_eq!(status_from(&server, from, &wrong), 401, "requests of another one");
    }
}

/// 32 streams of one key for reading from four addresses got everything of everybody else answered 503.
///
/// Mutant seen red: no limit for a key.
#[test]
fn streams_of_a_key_for_reading_leave_places_for_the_operator() {
    let server = start(Setup { max_connections: 32, max_per_ip: 32, ..Setup::default() });
    push(&server.snapshots, 1);
    let stream = |key: &str| {
        let mut client = server.connect();
        client.send(&get("/v1/stream", &format!("X-API-Key: {key}\r\n")));
        (client.stream_head().status, client)
    };
    let held: Vec<(u16, Client)> = (0..10).map(|_| stream(READ)).collect();
    let statuses: Vec<u16> = held.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [[200; 8].as_slice(), &[503; 2]].concat(), "half of the 16 places");
    assert_eq!(stream(ADMIN).0, 200);
    assert_eq!(server.post("/v1/simulate", WRITE, r#"{"grid_size":8,"steps":1}"#).status, 200);
    assert_eq!(server.get("/v1/outbox/dead", ADMIN).status, 200);
}

/// Two slow readers of one key took both of the large responses.
///
/// Mutant seen red: no limit for a key.
#[test]
fn slow_readers_of_one_key_leave_large_responses_for_others() {
    let mut setup = Setup::default();
    setup.ports.info.grid = 512;
    setup.ports.frame =
        Box::new(|_| Ok(FrameCopy { step: 1, grid: 512, cells: Cells::F32(vec![0.125; 512 * 512]) }));
    let server = start(setup);
    let slow = |key: &str| {
        let client = server.connect();
        set_socket_recv_buffer_size(&client.socket, 4096).unwrap();
        let mut client = client;
        client.send(&get("/v1/field", &format!("X-API-Key: {key}\r\n")));
        (client.stream_head().status, client)
    };
    let held = [slow(READ), slow(READ), slow(READ)];
    assert_eq!(held.each_ref().map(|(status, _)| *status), [200, 503, 503]);
    for key in [WRITE, ADMIN] {
        assert_eq!(server.get("/v1/field", key).status, 200, "{key}");
    }
}

/// 42,269 guesses a second went through one connection.
///
/// Mutant seen red: wrong keys are not counted.
#[test]
fn a_connection_is_closed_after_a_few_wrong_keys_and_not_for_a_missing_or_a_right_one() {
    let server = start(Setup::default());
    let mut client = server.connect();
    for key in [READ, "wrong", READ, "wrong"] {
        assert!(!client.get("/v1/status", key).closes());
    }
    assert!(client.get("/v1/status", "wrong").closes());
    assert!(client.is_closed());
    let mut anonymous = server.connect();
    for _ in 0..10 {
        anonymous.send(&get("/v1/status", ""));
        let answer = anonymous.answer();
        assert_eq!((answer.status, answer.closes()), (401, false));
    }
}

/// Mutant seen red: no check of `Origin`.
#[test]
fn a_page_of_another_origin_opens_no_web_socket() {
    let names =
        AllowedNames { origins: vec!["https://dash.example.org".to_owned()], ..AllowedNames::default() };
    let server = start(Setup { names, ..Setup::default() });
    let key = format!("X-API-Key: {READ}\r\n");
    for path in ["/v1/ws", "/ws/stream_features", "/ws/simulation_live"] {
        for (origin, status) in [
            ("", 101),
            ("Origin: http://edge.local:8600\r\n", 101),
            ("Origin: https://dash.example.org\r\n", 101),
            ("Origin: https://evil.example.org\r\n", 403),
            ("Origin: null\r\n", 403),
        ] {
            let request = upgrade(path, &format!("{key}{origin}"));
            assert_eq!(status_from(&server, 2, &request), status, "{path} {origin}");
        }
    }
}

/// Mutant seen red: no check of `Host`.
#[test]
fn a_name_that_is_not_listed_is_answered_403_on_every_route() {
    let names = AllowedNames { hosts: vec!["edge.local".to_owned()], ..AllowedNames::default() };
    let server = start(Setup { names, ..Setup::default() });
    let ask = |host: &str, path: &str| {
        server.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).status
    };
    for path in ["/", "/healthz", "/metrics", "/openapi.json"] {
        assert_eq!(ask("edge.local:8600", path), 200, "{path}");
        assert_eq!(ask("127.0.0.1:8600", path), 200, "{path}");
        assert_eq!(ask("rebound.example.org:8600", path), 403, "{path}");
    }
    server.handle.reload(crate::support::api::keys(), UNLIMITED, AllowedNames::default());
    let taken = (0..1000).any(|_| ask("rebound.example.org", "/healthz") == 200);
    assert!(taken, "a reload takes a new list");
}

/// Large responses, jobs and streams are given back: the shares do not wear out.
#[test]
fn places_are_given_back_when_their_requests_end() {
    let server = start(Setup { max_connections: 8, max_per_ip: 8, ..Setup::default() });
    for _ in 0..20 {
        assert_eq!(server.get("/v1/features?wait=0&limit=1000", READ).status, 200);
        assert_eq!(server.post("/v1/simulate", WRITE, r#"{"grid_size":8,"steps":1}"#).status, 200);
        assert_eq!(server.get("/v1/outbox/dead", READ).status, 200);
    }
    // The place of the one before may be free a moment later only.
    let streams = || {
        std::thread::sleep(Duration::from_millis(5));
        status_from(&server, 1, &get("/v1/stream", &format!("X-API-Key: {READ}\r\n"))) == 200
    };
    for _ in 0..20 {
        assert!((0..400).any(|_| streams()), "no place is given back");
    }
    assert_eq!(server.send(&post("POST", "/v1/outbox/flush", ADMIN, "")).status, 503, "ports are closed");
}
