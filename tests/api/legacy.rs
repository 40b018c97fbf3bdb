//! The WebSocket messages of `MyceliumFractalNet` 4.1, as a client of that version sends them.

use std::time::Duration;

use crate::support::api::{READ, Running, Setup, WRITE, post, push, start, web_socket};
use mycelium_daemon::api::Deadlines;
use rustix::net::sockopt::set_socket_linger;
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
fn clients_of_version_4_1_follow_the_field_as_it_advances() {
    let server = {
        let server = start(Setup { ring: 8, ..Setup::default() });
        push(&server.snapshots, 10);
        push(&server.snapshots, 20);
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
    push(&server.snapshots, 77);
    let second = next(&mut socket, "feature_update");
    assert!(second.contains("\"sequence\":1") && second.contains("\"pot_mean_mV\":77.0"), "{second}");
    socket.send(Message::text(subscribe)).unwrap();
    assert!(socket.read().unwrap().into_text().unwrap().contains("SUBSCRIBE_FAILED"), "one at a time");
    for (other, why) in [
        (r#"{"type":"unsubscribe","payload":{"stream_id":"s2"},"stream_id":"s1"}"#, "the payload counts"),
        (r#"{"type":"unsubscribe","stream_id":"s2"}"#, "of another stream"),
        (r#"{"type":"unsubscribe"}"#, "of none"),
    ] {
        socket.send(Message::text(other)).unwrap();
        let text = socket.read().unwrap().into_text().unwrap();
        assert!(text.contains("\"error\"") && text.contains("STREAM_ERROR"), "{why}: {text}");
    }
    push(&server.snapshots, 78);
    next(&mut socket, "feature_update");
    socket.send(Message::text(r#"{"type":"unsubscribe","payload":{"stream_id":"s1"}}"#)).unwrap();
    assert!(next(&mut socket, "unsubscribe").contains("\"stream_id\":\"s1\""));
    push(&server.snapshots, 79);
    socket.send(Message::text(subscribe)).unwrap();
    next(&mut socket, "subscribe_success");
    socket.send(Message::text(r#"{"type":"unsubscribe","stream_id":"s1"}"#)).unwrap();
    next(&mut socket, "unsubscribe");
    socket.send(Message::text("{\"z\":[")).unwrap();
    assert!(socket.read().unwrap().into_text().unwrap().contains("STREAM_ERROR"), "hostile text is answered");
    socket.send(Message::text(r#"{"type":"close"}"#)).unwrap();
    assert!(socket.read().unwrap().is_close());
}

#[test]
fn a_live_simulation_of_version_4_1_steps_to_its_end() {
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
    let complete = next(&mut socket, "simulation_complete");
    let metrics = complete.split("\"final_metrics\":{").nth(1).unwrap().split('}').next().unwrap();
    let keys: Vec<&str> =
        metrics.split(',').map(|pair| pair.split(':').next().unwrap().trim_matches('"')).collect();
    let wanted =
        ["pot_mean_mV", "pot_std_mV", "pot_min_mV", "pot_max_mV", "growth_events", "fractal_dimension"];
    assert_eq!(keys, wanted, "{complete}");
    let dimension: f64 = metrics.rsplit(':').next().unwrap().parse().unwrap();
    assert!(dimension > 0.0 && dimension <= 2.0, "{dimension}");
}

#[test]
fn anonymous_clients_and_insufficient_keys_get_no_stream() {
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

/// Mutant seen red: a full queue taken for the end of the simulation.
#[test]
fn a_live_simulation_goes_on_once_the_queue_that_held_it_up_is_free_again() {
    let server = start(Setup::default());
    let mut socket = sign_in(&server, "/ws/simulation_live", WRITE, true);
    // One at work, four that wait, and some that are turned away.
    let mut others: Vec<_> = (0..12)
        .map(|_| {
            let mut client = server.connect();
            set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
            client.send(&post("POST", "/v1/simulate", WRITE, r#"{"grid_size":256,"steps":4000}"#));
            assert_eq!(server.get("/healthz", "").status, 200);
            client
        })
        .collect();
    let subscribe = r#"{"type":"subscribe","payload":{"stream_type":"simulation_live","stream_id":"L",
        "params":{"grid_size":16,"steps":2}}}"#;
    socket.send(Message::text(subscribe)).unwrap();
    next(&mut socket, "subscribe_success");
    // Whose client has reset the connection is called off.
    others.clear();
    next(&mut socket, "simulation_state");
    next(&mut socket, "simulation_complete");
}

#[test]
fn sockets_that_have_shown_a_key_are_kept_and_count_as_streams() {
    let server = start(Setup { max_connections: 8, max_per_ip: 8, ..Setup::default() });
    let kept = [(); 2].map(|()| sign_in(&server, "/ws/stream_features", READ, true));
    let third = sign_in(&server, "/ws/stream_features", READ, false);
    drop(third);
    let anonymous: Vec<_> = (0..6).map(|_| web_socket(&server, "/ws/stream_features")).collect();
    for mut socket in kept {
        // A second key changes nothing about the seat.
        socket.send(Message::text(format!(r#"{{"type":"auth","payload":{{"api_key":"{READ}"}}}}"#))).unwrap();
        next(&mut socket, "auth_success");
    }
    drop(anonymous);
}
