//! The replaced system's WebSocket messages, spoken by a client of that system.

mod api_support;

use std::time::Duration;

use api_support::{READ, Running, Setup, WRITE, push, start, web_socket};
use mycelium_edge::api::Deadlines;
use tungstenite::{Message, WebSocket};

/// The next text message of a kind.
fn next(socket: &mut WebSocket<std::net::TcpStream>, kind: &str) -> String {
    loop {
        let text = socket.read().unwrap().into_text().unwrap().to_string();
        if text.starts_with(&format!("{{\"type\":\"{kind}\"")) {
            return text;
        }
        assert!(!text.contains("_failed") && !text.contains("\"error\""), "{kind} wanted: {text}");
    }
}

fn sign_in(server: &Running, path: &str, key: &str, accepted: bool) -> WebSocket<std::net::TcpStream> {
    let mut socket = web_socket(server, path);
    socket
        .send(Message::text(r#"{"type":"init","payload":{"protocol_version":"1.0"},"timestamp":1}"#))
        .unwrap();
    next(&mut socket, "init");
    let auth =
        format!(r#"{{"type":"auth","payload":{{"api_key":"{key}","timestamp":1.0,"signature":null}}}}"#);
    socket.send(Message::text(auth)).unwrap();
    next(&mut socket, if accepted { "auth_success" } else { "auth_failed" });
    socket
}

#[test]
fn clients_of_the_replaced_system_follow_the_field_and_it_really_advances() {
    let server = {
        let server = start(Setup { ring: 8, ..Setup::default() });
        push(&server.board, 10);
        push(&server.board, 20);
        server
    };
    let mut socket = sign_in(&server, "/ws/stream_features", READ, true);
    let subscribe = r#"{"type":"subscribe","payload":{"stream_type":"stream_features","stream_id":"s1",
        "params":{"update_interval_ms":10,"features":["pot_mean_mV","fractal_dimension"]}}}"#;
    socket.send(Message::text(subscribe)).unwrap();
    next(&mut socket, "subscribe_success");
    let first = next(&mut socket, "feature_update");
    let features = "\"features\":{\"pot_mean_mV\":20.0,\"fractal_dimension\":20.0}";
    assert!(first.contains("\"sequence\":0") && first.contains(features), "{first}");
    push(&server.board, 77);
    let second = next(&mut socket, "feature_update");
    assert!(second.contains("\"sequence\":1") && second.contains("\"pot_mean_mV\":77.0"), "{second}");
    socket.send(Message::text(subscribe)).unwrap();
    assert!(socket.read().unwrap().into_text().unwrap().contains("SUBSCRIBE_FAILED"), "one at a time");
    socket.send(Message::text(r#"{"type":"unsubscribe","stream_id":"s1"}"#)).unwrap();
    next(&mut socket, "unsubscribe");
    socket.send(Message::text("{\"z\":[")).unwrap();
    assert!(socket.read().unwrap().into_text().unwrap().contains("STREAM_ERROR"), "hostile text is answered");
    socket.send(Message::text(r#"{"type":"close"}"#)).unwrap();
    assert!(socket.read().unwrap().is_close());
}

#[test]
fn a_live_simulation_of_the_replaced_system_steps_to_its_end() {
    let server = start(Setup::default());
    let mut socket = sign_in(&server, "/ws/simulation_live", WRITE, true);
    let subscribe = r#"{"type":"subscribe","payload":{"stream_type":"simulation_live","stream_id":"L",
        "params":{"seed":3,"grid_size":16,"steps":10,"update_interval_steps":4,"include_full_state":true}}}"#;
    socket.send(Message::text(subscribe)).unwrap();
    next(&mut socket, "subscribe_success");
    let states: Vec<String> = (0..3).map(|_| next(&mut socket, "simulation_state")).collect();
    for (state, step) in states.iter().zip([4, 8, 10]) {
        assert!(state.contains(&format!("\"step\":{step},\"total_steps\":10")), "{state}");
        assert!(state.contains("\"field_shape\":[16,16]"), "{state}");
    }
    let mean =
        |text: &str| text.split("\"pot_mean_mV\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_ne!(mean(&states[0]), mean(&states[1]), "frames differ");
    next(&mut socket, "simulation_complete");
}

#[test]
fn strangers_and_small_keys_follow_nothing() {
    let server = start(Setup::default());
    for (path, key) in [("/ws/stream_features", "nobody"), ("/ws/simulation_live", READ)] {
        let mut socket = sign_in(&server, path, key, false);
        let kind = path.rsplit('/').next().unwrap();
        let subscribe = format!(
            r#"{{"type":"subscribe","payload":{{"stream_type":"{kind}","stream_id":"x","params":null}}}}"#
        );
        socket.send(Message::text(subscribe)).unwrap();
        assert!(socket.read().unwrap().into_text().unwrap().contains("NOT_AUTHENTICATED"), "{path}");
    }
    let deadlines = Deadlines { body: Duration::from_millis(50), ..Deadlines::default() };
    let server = start(Setup { deadlines, ..Setup::default() });
    let mut silent = web_socket(&server, "/ws/stream_features");
    assert!(silent.read().unwrap().is_close(), "who shows no key in time is let go");
}
