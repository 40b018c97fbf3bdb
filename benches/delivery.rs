//! What delivery costs: a batch of 64 windows as JSON against copying the same bytes, signing against hashing
//! alone, and a whole delivery against the same bytes over a bare socket to the same receiver.
//!
//! `cargo bench --bench delivery`; `BENCH_SMALL=1` for a short run.

mod support;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use mycelium_core::window::WindowBuilder;
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::delivery::cloudevents::Events;
use mycelium_daemon::delivery::source::{Position, Record, RecordMeta, SafeName, WINDOW};
use mycelium_daemon::delivery::webhook::sender::Sender;
use mycelium_daemon::delivery::webhook::signature::{Signer, message_id};
use mycelium_daemon::delivery::{RawDelivery, RawWebhook, Secret, Webhook};
use mycelium_daemon::net::client::ConnectionCounts;

const NOW: Stamp = Stamp { mono: Mono(1), wall: Wall(1_790_000_000_000), synced: true };

fn records() -> Vec<Record> {
    let window = |seq: u64| {
        let mut builder = WindowBuilder::new(seq * 600);
        builder.sample(&std::array::from_fn(|k| (seq * 31 + k as u64) as f64 / 7.0));
        builder.sample(&std::array::from_fn(|k| -(k as f64) / 3.0));
        builder.finish(seq * 600 + 599).expect("it has samples").encode()
    };
    let record = |seq| Record {
        meta: RecordMeta {
            position: Position(seq),
            seq,
            boot: BootId(7),
            kind: WINDOW,
            priority: 0,
            stamp: NOW,
        },
        corrected: None,
        device: SafeName::new("bench").expect("a name"),
        payload: window(seq),
    };
    (1..=64).map(record).collect()
}

fn main() {
    let records = records();
    let mut events = Events::default();
    let mut body = Vec::new();
    let mut encode = || {
        events.clear();
        assert!(records.iter().all(|record| events.push(record, usize::MAX)));
        events.body(events.len(), &mut body);
        body.len()
    };
    let length = encode();
    let (plain, mut copy) = (vec![b'x'; length], vec![0; length]);
    let compared = support::median_ratio(
        1,
        || {
            copy.copy_from_slice(black_box(&plain));
            black_box(&mut copy);
        },
        || {
            black_box(encode());
        },
    );
    print("encode", length, compared);

    let secret = Secret(vec![7; 32]);
    let signer = Signer::new(Some(&secret), None).expect("one secret");
    let compared = support::median_ratio(
        1,
        || drop(black_box(message_id(black_box(&plain)))),
        || drop(black_box(signer.sign("msg_1", 1, black_box(&plain)))),
    );
    print("sign", length, compared);
    deliver(&plain, secret);
}

fn deliver(body: &[u8], secret: Secret) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    let raw = RawWebhook {
        delivery: RawDelivery { name: "bench".into(), ..RawDelivery::default() },
        url: format!("http://{address}/"),
        ..RawWebhook::default()
    };
    let endpoint =
        Webhook { secret: Some(secret), ..Webhook::checked("webhook", &raw).expect("it is valid") };
    let mut sender = Sender::new(&endpoint).expect("no ca_file to go wrong");
    let mut bare = TcpStream::connect(address).expect("the receiver is there");
    bare.set_nodelay(true).expect("a TCP socket");
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut answered = [0; ANSWER.len()];
    let carried = "00-1-1-00".into();
    let compared = support::median_ratio(
        4,
        || {
            bare.write_all(head.as_bytes()).expect("sent");
            bare.write_all(body).expect("sent");
            bare.read_exact(&mut answered).expect("answered");
        },
        || assert_eq!(sender.send("msg_1", body, &carried, NOW).status, Some(200)),
    );
    print("deliver", body.len(), compared);
    let ConnectionCounts { requests, opened } = sender.connections();
    println!("delivery connections: {opened} opened for {requests} requests");
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn answer(stream: TcpStream) {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let (mut line, mut length, mut body) = (String::new(), 0, Vec::new());
    while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            body.resize(length, 0);
            stream.read_exact(&mut body).expect("a whole body");
            stream.get_mut().write_all(ANSWER).expect("the client waits for it");
        }
        line.clear();
    }
}

fn print(what: &str, bytes: usize, compared: support::Compared) {
    println!(
        "delivery {what:8} {bytes:7} B {:9.1} us, baseline {:8.1} us, ratio {:.3}",
        compared.subject.as_secs_f64() * 1e6,
        compared.baseline.as_secs_f64() * 1e6,
        compared.ratio,
    );
}
