//! The memory that requests may use, and the responses when it is exhausted.

use std::time::Duration;

use crate::support::api::{READ, Running, Setup, WRITE, post, start, web_socket};
use mycelium_daemon::api::simulation_request::SimulationRequest;
use mycelium_daemon::api::{Cells, FrameCopy, StaticInfo};
use mycelium_daemon::config::{self, Budget, Sources};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use tungstenite::{Message, WebSocket};

fn needs(body: &str) -> u64 {
    SimulationRequest::parse(body.as_bytes(), None).unwrap().memory_bytes()
}

fn with_memory(simulation_bytes: u64, borrowable_bytes: u64) -> Running {
    let mut setup = Setup::default();
    setup.ports.info = StaticInfo { simulation_bytes, borrowable_bytes, ..setup.ports.info };
    start(setup)
}

fn budget(text: &str) -> Budget {
    let sources = Sources {
        file: Some(("edge.toml", text.as_bytes())),
        variables: Vec::new(),
        overrides: Vec::new(),
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
    };
    config::parse(sources).unwrap().budget()
}

#[test]
fn the_default_memory_is_enough_for_grids_up_to_that_of_version_4_1() {
    let budget = budget("");
    assert_eq!(budget.total() + budget.on_demand, 10 << 20);
    let most = budget.on_demand + budget.borrowable;
    for body in ["{\"grid_size\":256}", "{\"grid_size\":288}", "{\"grid_size\":224,\"precision\":\"f64\"}"] {
        assert!(needs(body) <= most, "{body} takes {} of {most}", needs(body));
    }
    assert!(needs("{\"grid_size\":512}") > most);
}

/// Three copies of a frame with their texts.
#[test]
fn the_responses_with_large_frames_are_part_of_the_budget() {
    let answers = |text: &str| {
        let parts = budget(text).parts;
        parts.iter().find(|(name, _)| *name == "large answers").unwrap().1
    };
    assert_eq!(answers("[sim]\ngrid = 96\n"), 0);
    let large = "[memory]\nmax_bytes = 1073741824\n[sim]\ngrid = 512\nprecision = ";
    assert_eq!(answers(&format!("{large}\"f32\"")), 3 * 512 * 512 * (4 + 16));
    assert_eq!(answers(&format!("{large}\"f64\"")), 3 * 512 * 512 * (8 + 25));
}

/// Mutants seen red: borrowed memory used while the disk rejects records; a reservation that is not released.
#[test]
fn a_simulation_beyond_the_budget_gets_422_and_one_beyond_what_is_free_503() {
    let fits = r#"{"grid_size":64,"steps":3}"#;
    let own = with_memory(needs(fits), 0);
    for _ in 0..3 {
        assert_eq!(own.post("/v1/simulate", WRITE, fits).status, 200);
    }
    for body in [r#"{"grid_size":65,"steps":3}"#, r#"{"grid_size":64,"steps":3,"precision":"f64"}"#] {
        let refused = own.post("/v1/simulate", WRITE, body);
        assert_eq!(refused.status, 422, "{body}");
        for number in [needs(body), needs(fits)] {
            assert!(refused.text().contains(&number.to_string()), "{}", refused.text());
        }
        assert!(refused.text().contains("memory.max_bytes"), "{}", refused.text());
    }
    let lent = with_memory(1, needs(fits) - 1);
    assert_eq!(lent.post("/v1/simulate", WRITE, fits).status, 200);
    lent.snapshots.outbox.lock().unwrap().degraded = Some("no space left".to_owned());
    let busy = lent.post("/v1/simulate", WRITE, fits);
    assert_eq!((busy.status, busy.field("Retry-After")), (503, Some("1")), "the outbox needs it itself");
    lent.snapshots.outbox.lock().unwrap().degraded = None;
    assert_eq!(lent.post("/v1/simulate", WRITE, fits).status, 200);
}

fn live(server: &Running) -> WebSocket<std::net::TcpStream> {
    let mut socket = web_socket(server, "/ws/simulation_live");
    let auth = format!(r#"{{"type":"auth","payload":{{"api_key":"{WRITE}"}}}}"#);
    socket.send(Message::text(auth)).unwrap();
    assert!(socket.read().unwrap().into_text().unwrap().contains("auth_success"));
    socket
}

fn subscribe(socket: &mut WebSocket<std::net::TcpStream>, grid: u32) -> String {
    let text = format!(
        r#"{{"type":"subscribe","payload":{{"stream_type":"simulation_live","stream_id":"L",
        "params":{{"grid_size":{grid},"steps":1}}}}}}"#
    );
    socket.send(Message::text(text)).unwrap();
    socket.read().unwrap().into_text().unwrap().to_string()
}

/// Mutant seen red: live simulations not counted.
#[test]
fn live_simulations_reserve_the_same_memory_until_they_end() {
    // A long simulation of a small field, so that no other one runs.
    let long = r#"{"grid_size":8,"steps":4194304}"#;
    let most = needs(long) + needs(r#"{"grid_size":64}"#);
    let server = with_memory(most, 0);
    let mut working: Vec<_> = (0..3)
        .map(|_| {
            let mut client = server.connect();
            set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
            client.send(&post("POST", "/v1/simulate", WRITE, long));
            client
        })
        .collect();
    let mut first = live(&server);
    let mut second = live(&server);
    let refused = subscribe(&mut second, 256);
    assert!(refused.contains("SUBSCRIBE_ERROR") && refused.contains("memory.max_bytes"), "{refused}");
    let begun = subscribe(&mut first, 64);
    assert!(begun.contains("subscribe_success"), "{begun}");
    let busy = subscribe(&mut second, 64);
    assert!(busy.contains("SUBSCRIBE_FAILED") && busy.contains("try again"), "{busy}");
    // Cancelled, so that the live one ends and releases its memory.
    working.clear();
    while !first.read().unwrap().into_text().unwrap().contains("simulation_complete") {}
    while !subscribe(&mut second, 64).contains("subscribe_success") {}
}

/// Mutant seen red: bodies of any size read on every connection.
#[test]
fn incomplete_bodies_use_a_bounded_amount_of_memory_and_do_not_block_small_ones() {
    let server = start(Setup::default());
    let announce = |length: usize| {
        let mut client = server.connect();
        set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
        client.send(
            format!(
                "POST /v1/nernst HTTP/1.1\r\nHost: t\r\nX-API-Key: {WRITE}\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
            )
            .as_bytes(),
        );
        let answer = client.stream_head();
        (answer.status, client)
    };
    let withheld: Vec<_> = (0..4).map(|_| announce(65_536)).collect();
    assert!(withheld.iter().all(|(status, _)| *status == 100));
    assert_eq!(announce(1_025).0, 503);
    assert_eq!(announce(1_024).0, 100);
    let body = r#"{"z_valence":1,"concentration_out_molar":0.005,"concentration_in_molar":0.14}"#;
    assert_eq!(server.post("/v1/nernst", WRITE, body).status, 200);
    drop(withheld);
    while announce(65_536).0 != 100 {}
}

/// Mutant seen red: the reservation released when the response has been built rather than sent.
#[test]
fn a_large_response_keeps_its_reservation_until_its_client_has_read_it() {
    const SIDE: usize = 512;
    let mut setup = Setup::default();
    setup.ports.info.grid = SIDE;
    // Texts of 20 bytes a cell: more than the socket buffers hold.
    setup.ports.frame = Box::new(|_| {
        Ok(FrameCopy { step: 1, grid: SIDE, cells: Cells::F64(vec![-0.07 / 3.0; SIDE * SIDE]) })
    });
    let server = start(setup);
    let slow: Vec<_> = [READ, WRITE]
        .into_iter()
        .map(|key| {
            let mut client = server.connect();
            set_socket_recv_buffer_size(&client.socket, 2048).unwrap();
            set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
            client.send(format!("GET /v1/field HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n\r\n").as_bytes());
            assert_eq!(client.stream_head().status, 200);
            client
        })
        .collect();
    for path in ["/v1/field", "/v1/field?format=npy", "/v1/features?since=0&limit=1000"] {
        let busy = server.get(path, READ);
        assert_eq!((busy.status, busy.field("Retry-After")), (503, Some("1")), "{path}");
    }
    assert_eq!(server.get("/v1/features?since=0", READ).status, 200, "small ones are not held up");
    drop(slow);
    while server.get("/v1/field?format=png", READ).status != 200 {}
}
