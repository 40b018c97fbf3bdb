//! Durable events over HTTP against raw writes of the same bytes, in one process on a real disk.
//!
//! `cargo bench --bench events`; `BENCH_SMALL=1` for a short run, `BENCH_DIR` for another directory than Cargo's.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mycelium_daemon::api::{AllowedNames, ApiKey, HttpMetrics, Ports, Rate, Scope, Server, Settings};
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::formats::hex::sha256;
use mycelium_daemon::snapshots::{ProcessIdentity, Snapshots};
use mycelium_outbox::{OutboxHandle, OutboxOptions, OutboxPolicy, SafeName, WriterIdentity, start};

const KEY: &str = "myc_bench";
const CONNECTIONS: usize = 64;
const BATCH: usize = 16;

fn stamp() -> Stamp {
    Stamp { mono: Mono::now(), wall: Wall::now(), synced: true }
}

fn outbox(data: &Path) -> OutboxHandle {
    std::fs::create_dir_all(data).unwrap();
    let device = SafeName::new("bench").unwrap();
    let options = OutboxOptions {
        policy: OutboxPolicy { group: Duration::from_millis(5), ..OutboxPolicy::default() },
        identity: WriterIdentity { device, boot: BootId(1), stamp: stamp() },
        endpoints: Vec::new(),
        on_commit: None,
        on_status: None,
    };
    start(data, options).unwrap().handle
}

fn server(outbox: OutboxHandle) -> (SocketAddr, mycelium_daemon::api::ServerHandle) {
    let identity = ProcessIdentity { device: "bench".to_owned(), boot: BootId(1), started: stamp(), seed: 1 };
    let snapshots = Arc::new(Snapshots::new(identity, 16, Vec::new()));
    let mut ports = Ports::closed();
    ports.append_events = Box::new(move |group, until, done| outbox.append_group(group, until, done));
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_connections: 4 * CONNECTIONS,
        max_per_ip: 4 * CONNECTIONS,
        metrics_public: true,
        tls: None,
        names: AllowedNames::default(),
        mask_addresses: false,
        unix_socket: None,
        unix_trusted: false,
    };
    let most = 1_000_000_000;
    let rate =
        Rate { per_second: most, burst: most, unauthenticated_per_second: most, unauthenticated_burst: most };
    let keys = vec![ApiKey { name: "bench".to_owned(), scope: Scope::Write, sha256: sha256(KEY.as_bytes()) }];
    let server =
        Server::bind(settings, rate, keys, snapshots, Arc::new(HttpMetrics::default()), ports).unwrap();
    let (address, handle) = (server.local_addr(), server.handle());
    std::thread::spawn(move || server.run().unwrap());
    (address, handle)
}

/// Sends one request and reads its response, which must say that the events are durable.
fn exchange(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).unwrap();
    let mut response = Vec::new();
    let mut buffer = [0; 2048];
    while !response.ends_with(b"}") {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the server has closed the connection");
        response.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8_lossy(&response);
    assert!(text.starts_with("HTTP/1.1 202") && text.contains("\"durable\":true"), "{text}");
}

fn request(connection: usize, batch: usize) -> Vec<u8> {
    let items: Vec<String> = (0..batch)
        .map(|n| {
            format!(r#"{{"type":"com.example.door","data":{{"door":{connection},"n":{n},"open":true}}}}"#)
        })
        .collect();
    let body = format!("{{\"items\":[{}]}}", items.join(","));
    let length = body.len();
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: t\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Time of all requests.
fn http(address: SocketAddr, rounds: usize) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let request = request(connection, BATCH);
                (0..rounds).for_each(|_| exchange(&mut stream, &request));
            });
        }
    });
    started.elapsed()
}

/// Time of so many writes of so many bytes, each with an `fdatasync`, into blocks that were reserved before.
fn raw(path: &Path, commits: u64, bytes: usize) -> Duration {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    let total = commits * bytes as u64;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, total.max(1)).unwrap();
    let block = vec![0x5A; bytes];
    let started = Instant::now();
    for commit in 0..commits {
        file.write_all_at(&block, commit * bytes as u64).unwrap();
        rustix::fs::fdatasync(&file).unwrap();
    }
    started.elapsed()
}

fn main() {
    let small = std::env::var_os("BENCH_SMALL").is_some();
    let root = std::env::var_os("BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let root = root.join(format!("events-{}", std::process::id()));
    let outbox = outbox(&root);
    let (address, server) = server(outbox.clone());
    let rounds = if small { 20 } else { 200 };
    http(address, 5);
    for _ in 0..if small { 1 } else { 5 } {
        let before = outbox.status();
        let took = http(address, rounds);
        let after = outbox.status();
        let events = (CONNECTIONS * BATCH * rounds) as f64;
        let commits = after.commits - before.commits;
        // Header, type and members of one event.
        let record = 64 + 3 + "com.example.door".len() + r#""data":{"door":10,"n":10,"open":true}"#.len();
        let bytes = (events as usize * record) / commits as usize;
        let alone = raw(&root.join("raw"), commits, bytes);
        println!(
            "{:>8.0} events/s durable ({CONNECTIONS} connections, batches of {BATCH}, {commits} commits of {bytes} bytes); \
             raw write + fdatasync of the same bytes {:>8.0} events/s; ratio {:.2}",
            events / took.as_secs_f64(),
            events / alone.as_secs_f64(),
            alone.as_secs_f64() / took.as_secs_f64()
        );
    }
    let mut stream = TcpStream::connect(address).unwrap();
    let one = request(0, 1);
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = Instant::now();
            exchange(&mut stream, &one);
            started.elapsed()
        })
        .collect();
    times.sort();
    println!("one event alone, group_ms 5: median {:?}, largest {:?}", times[25], times[49]);
    server.stop();
    outbox.shutdown(Mono::now() + Duration::from_secs(10));
    std::fs::remove_dir_all(&root).unwrap();
}
