//! The HTTP client that deliveries, connectors and the exporter share.

use std::time::Duration;

use mycelium_daemon::net::client::{HttpClient, read_body};
use mycelium_daemon::net::error::TransportError;

use crate::support::receiver::{Answer, Receiver, ok};

/// A server may close an idle connection at the moment it is used again; one that closes a new connection has failed.
/// Mutant seen red: no repetition.
#[test]
fn a_request_on_a_reused_connection_that_was_closed_is_repeated_once() {
    let receiver = Receiver::start(|_, index| if matches!(index, 1 | 3 | 4) { Answer::Drop } else { ok() });
    let mut client = HttpClient::without_tls(Duration::from_secs(10));
    let url = receiver.url();
    let mut post = || {
        let mut body = Vec::new();
        client.request(&mut |agent| read_body(agent.post(&url).send(b"{}".as_slice())?, 100, &mut body))
    };
    assert_eq!(post().status, Some(200));
    assert_eq!(post().status, Some(200), "repeated on a new connection");
    let refused = post();
    assert_eq!((refused.status, refused.error), (None, Some(TransportError::Reset)), "twice is a failure");
    let connections: Vec<_> = receiver.stop().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1, 2]);
}
