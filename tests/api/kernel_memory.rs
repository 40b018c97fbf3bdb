//! What the kernel keeps for clients that do not take their responses.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::api::{Client, Running, Setup, start};
use mycelium_daemon::api::Deadlines;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};

const OPENAPI: &str = "GET /openapi.json HTTP/1.1\r\nHost: t\r\n";

/// A client whose kernel takes a few kilobytes that it does not read.
fn narrow(server: &Running) -> Client {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_recv_buffer_size(&fd, 8192).unwrap();
    connect(&fd, &server.address).unwrap();
    let socket = TcpStream::from(fd);
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client { socket, rest: Vec::new() }
}

fn short_write_deadline() -> Setup {
    let deadlines = Deadlines { write: Duration::from_millis(500), ..Deadlines::default() };
    Setup { deadlines, ..Setup::default() }
}

/// Waits for the end of the connection without taking anything, then reads what is left; whether it was reset.
fn is_reset(client: &mut Client) -> bool {
    std::thread::sleep(Duration::from_millis(1_500));
    let mut bytes = [0; 16384];
    loop {
        match client.socket.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::ConnectionReset);
                return true;
            }
        }
    }
}

/// 150 connections that pipelined 60 requests each and read nothing made the kernel keep 563 MiB.
///
/// Mutant seen red: no bound on the send buffer (60 requests are answered).
#[test]
fn pipelined_requests_are_not_read_while_their_responses_are_not_taken() {
    let server = start(Setup::default());
    let mut client = narrow(&server);
    client.send(format!("{OPENAPI}\r\n").repeat(60).as_bytes());
    let answered = || server.metrics.requests().map(|(_, _, _, count)| count).sum::<u64>();
    let mut seen = (0, Instant::now());
    while seen.1.elapsed() < Duration::from_millis(500) {
        if answered() != seen.0 {
            seen = (answered(), Instant::now());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!((1..=8).contains(&seen.0), "{} responses of 60 kB for a client that takes none", seen.0);
    for _ in 0..60 {
        assert_eq!(client.answer().status, 200, "once they are taken, the rest is answered");
    }
}

/// Mutant seen red: no reset on close (the client reads an ordinary end, and the kernel keeps the rest until then).
#[test]
fn a_client_that_is_given_up_while_its_responses_are_written_is_reset() {
    let server = start(short_write_deadline());
    let mut client = narrow(&server);
    client.send(format!("{OPENAPI}\r\n").repeat(60).as_bytes());
    assert!(is_reset(&mut client));
}

/// The response fits into the send buffer, so that it is written at once and the connection is over.
///
/// Mutant seen red: `settle` left out of the ends of a connection (the first answer of a slow client is reset at once).
#[test]
fn a_connection_ends_once_its_last_response_is_taken_and_with_a_reset_if_it_never_is() {
    let server = start(short_write_deadline());
    for last in ["Connection: close\r\n\r\n", "\r\n"] {
        let mut client = narrow(&server);
        client.send(format!("{OPENAPI}{last}").as_bytes());
        client.socket.shutdown(Shutdown::Write).unwrap();
        assert!(is_reset(&mut client), "{last:?}: not taken");
        let mut client = narrow(&server);
        client.send(format!("{OPENAPI}{last}").as_bytes());
        client.socket.shutdown(Shutdown::Write).unwrap();
        let mut first = [0; 512];
        let mut got = 0;
        while got < 4096 {
            got += client.socket.read(&mut first).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let rest = client.socket.read_to_end(&mut Vec::new()).unwrap();
        assert!(got + rest > 50_000, "{last:?}: taken slowly, {got} and {rest} bytes");
    }
}
