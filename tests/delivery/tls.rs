//! Delivery over TLS: who is believed, and what is said about those who are not.

use std::path::PathBuf;
use std::sync::Arc;

use mycelium_daemon::clock::{Mono, Stamp, Wall};
use mycelium_daemon::delivery::webhook::sender::Sender;
use mycelium_daemon::delivery::{RawWebhook, Webhook};
use mycelium_daemon::net::client::HttpReply;
use mycelium_daemon::net::outcome::RequestOutcome;
use mycelium_daemon::net::tls::CaFileError;
use rcgen::{CertificateParams, date_time_ymd};
use rustls::ServerConfig;

use crate::support::receiver::authority::Authority;
use crate::support::receiver::queue::Queue;
use crate::support::receiver::rig::{fresh_directory, raw, rig};
use crate::support::receiver::tally::check;
use crate::support::receiver::{Receiver, ok};

fn start(tls: Arc<ServerConfig>) -> Receiver {
    Receiver::start_on("127.0.0.1:0".parse().unwrap(), Some(tls), |_, _| ok())
}

fn sender(url: String, ca_file: Option<PathBuf>) -> Sender {
    let raw = RawWebhook { ca_file, ..raw(url) };
    Sender::new(&Webhook::checked("webhooks[0]", &raw).unwrap()).unwrap()
}

fn send(sender: &mut Sender) -> HttpReply {
    let now = Stamp { mono: Mono::now(), wall: Wall::now(), synced: true };
    sender.send("msg_1", b"[]", &"00-1-1-00".into(), now)
}

#[test]
fn a_private_authority_is_believed_with_ca_file_and_connections_are_reused() {
    let authority = Authority::new();
    let server = start(authority.server("localhost", |_| {}));
    let queue = Queue::with(1..=50);
    let settings = RawWebhook { ca_file: Some(authority.file.clone()), ..raw(server.url()) };
    let rig = rig(&settings, &queue);
    queue.wait_drained();
    rig.stop();
    let requests = server.stop();
    check(&requests, 1..=50);
    assert!(requests.iter().all(|r| r.connection == 0), "one handshake for all");
    assert_eq!(rig.metrics.opened.get(), 1);
}

#[test]
fn certificates_that_cannot_be_believed_get_no_data_and_are_named_as_the_cause() {
    let authority = Authority::new();
    let unknown_authority = Authority::new();
    let known = Some(authority.file.clone());
    let expired = |p: &mut CertificateParams| {
        p.not_before = date_time_ymd(2020, 1, 1);
        p.not_after = date_time_ymd(2021, 1, 1);
    };
    let rows = [
        (authority.server("localhost", |_| {}), None, "UnknownIssuer", "only the bundled roots"),
        (
            unknown_authority.server("localhost", |_| {}),
            known.clone(),
            "BadSignature",
            "another authority of that name",
        ),
        (authority.server("example.org", |_| {}), known.clone(), "not valid for name", "another host's"),
        (authority.server("localhost", expired), known, "expired", "expired"),
    ];
    for (tls, ca_file, cause, why) in rows {
        let server = start(tls);
        let reply = send(&mut sender(server.url(), ca_file));
        assert_eq!(reply.outcome, RequestOutcome::Failed { retry_after: None }, "{why}");
        assert!(reply.detail.starts_with("tls:") && reply.detail.contains(cause), "{why}: {}", reply.detail);
        assert_eq!(server.stop().len(), 0, "{why}");
    }
}

#[test]
fn a_receiver_without_tls_at_an_https_url_gets_no_data() {
    let server = Receiver::start(|_, _| ok());
    let url = server.url().replace("http:", "https:");
    let endpoint = Webhook::checked("webhooks[0]", &RawWebhook { timeout_ms: 200, ..raw(url) }).unwrap();
    let reply = send(&mut Sender::new(&endpoint).unwrap());
    assert_eq!(
        reply.outcome,
        RequestOutcome::Failed { retry_after: None },
        "it waits for a line that never ends"
    );
    assert_eq!(server.stop().len(), 0);
}

#[test]
fn a_ca_file_that_is_none_is_refused_with_its_path() {
    let path = fresh_directory().with_extension("pem");
    let refused = |why: &str| {
        let raw = RawWebhook { ca_file: Some(path.clone()), ..raw("https://localhost/".into()) };
        let endpoint = Webhook::checked("webhooks[0]", &raw).unwrap();
        let error = Sender::new(&endpoint).err().unwrap_or_else(|| panic!("{why} was taken"));
        let CaFileError { path: named, .. } = &error;
        assert_eq!(*named, path);
        error.to_string()
    };
    assert!(refused("a missing file").contains("No such file"));
    std::fs::write(&path, "hello").unwrap();
    assert!(refused("text").contains("it holds no certificate: it must hold certificates in PEM"));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    refused("a certificate that is none");
    std::fs::remove_file(&path).unwrap();
}
