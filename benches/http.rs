//! CPU and requests per second of the HTTP loop against the least any server could do: a bare smol loop that reads,
//! looks for the empty line, and writes a fixed answer of the same size.
//!
//! Each server is a separate child process (one process has one async-io reactor, and two loops in it would do each
//! other's work); CPU is that of all its threads. The client is this process: 64 keep-alive connections, a request on
//! each, then all answers, in rounds that alternate between the servers. `BENCH_SMALL=1` makes it short.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mycelium_daemon::api::{AllowedNames, ApiKey, Ports, Rate, Scope, Server, Settings, StaticInfo};
use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::formats::hex::sha256;
use mycelium_daemon::snapshots::{ProcessIdentity, Snapshots};
use smol::{Async, LocalExecutor};

const CONNECTIONS: usize = 64;
const KEY: &str = "myc_bench";

fn snapshots() -> Arc<Snapshots> {
    let stamp = Stamp { mono: Mono::now(), wall: Wall::now(), synced: true };
    let identity = ProcessIdentity { device: "bench".to_owned(), boot: BootId(1), started: stamp, seed: 1 };
    let snapshots = Snapshots::new(identity, 64, Vec::new());
    snapshots.publish_features(10, stamp, std::array::from_fn(|k| (k as f64 + 0.5).sqrt()));
    Arc::new(snapshots)
}

/// CPU time of all threads of a process, in nanoseconds.
fn cpu_of(process: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(of).sum()
}

/// A server in a separate process, which is stopped when this is dropped.
struct Serving {
    address: SocketAddr,
    process: Child,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), process }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already is as good as ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn serve_ours() {
    let rate = Rate {
        per_second: 1_000_000_000,
        burst: 1_000_000_000,
        unauthenticated_per_second: 1,
        unauthenticated_burst: 1,
    };
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_connections: 256,
        max_per_ip: 256,
        metrics_public: true,
        tls: None,
        names: AllowedNames::default(),
        mask_addresses: false,
        unix_socket: None,
        unix_trusted: false,
    };
    let keys = vec![ApiKey { name: "bench".to_owned(), scope: Scope::Read, sha256: sha256(KEY.as_bytes()) }];
    let mut ports = Ports::closed();
    ports.info = StaticInfo { grid: 64, ..StaticInfo::default() };
    let text = "mfn_feature{name=\"D_box\"} 1.234\n".repeat(300);
    ports.metrics = Box::new(move |_| text.clone());
    let server = Server::bind(settings, rate, keys, snapshots(), Arc::default(), ports).unwrap();
    println!("{}", server.local_addr());
    server.run().unwrap();
}

/// The least that answers: no parsing, no keys, no deadlines.
fn serve_bare(length: usize) {
    let body = length.saturating_sub(60);
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + body, b'x');
    let answer: &'static [u8] = answer.leak();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = Async::new(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            executor.spawn(answer_for_ever(socket, answer)).detach();
        }
    }));
}

async fn answer_for_ever(socket: Async<TcpStream>, answer: &'static [u8]) {
    let mut buffer = [0; 8192];
    loop {
        socket.readable().await.unwrap();
        match socket.get_ref().read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => assert!(buffer[..n].ends_with(b"\r\n\r\n")),
        }
        socket.get_ref().write_all(answer).unwrap();
    }
}

struct Load {
    sockets: Vec<TcpStream>,
    request: Vec<u8>,
    length: usize,
}

impl Load {
    /// Opens the connections and learns the length of the answer.
    fn new(address: SocketAddr, request: &str) -> Self {
        let sockets: Vec<TcpStream> =
            (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        let request = request.as_bytes().to_vec();
        let mut length = 0;
        for mut socket in &sockets {
            socket.set_nodelay(true).unwrap();
            socket.write_all(&request).unwrap();
            let mut buffer = vec![0; 65536];
            let mut filled = 0;
            length = loop {
                filled += socket.read(&mut buffer[filled..]).unwrap();
                let Some(end) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                let head = std::str::from_utf8(&buffer[..end]).unwrap();
                assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 304"), "{head}");
                let body = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap_or("0");
                let whole = end + 4 + body.parse::<usize>().unwrap();
                if filled == whole {
                    break whole;
                }
            };
        }
        Self { sockets, request, length }
    }

    /// One request on every connection, all answers read, `rounds` times.
    fn run(&self, rounds: usize) -> Duration {
        let start = Instant::now();
        let mut buffer = vec![0; 65536];
        for _ in 0..rounds {
            for mut socket in &self.sockets {
                socket.write_all(&self.request).unwrap();
            }
            // Backwards: the answer that comes last is waited for first, so the client sleeps once and not 64 times.
            for mut socket in self.sockets.iter().rev() {
                let mut left = self.length;
                while left > 0 {
                    left -= socket.read(&mut buffer[..left]).unwrap();
                }
            }
        }
        start.elapsed()
    }
}

struct Row {
    name: &'static str,
    request: String,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("ours") => serve_ours(),
        Some("bare") => serve_bare(arguments[2].parse().unwrap()),
        _ => compare(),
    }
}

fn compare() {
    let small = std::env::var_os("BENCH_SMALL").is_some();
    let (samples, rounds) = if small { (11, 20) } else { (101, 60) };
    let server = Serving::start(&["ours"]);
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n");
    let key = format!("X-API-Key: {KEY}\r\n");
    let rows = [
        Row { name: "/healthz", request: get("/healthz", "") },
        Row { name: "/v1/features", request: get("/v1/features", &key) },
        Row {
            name: "/v1/features 304",
            request: get("/v1/features", &format!("{key}If-None-Match: \"0000000000000001-1\"\r\n")),
        },
        Row { name: "/metrics", request: get("/metrics", "") },
    ];
    println!("{:18} {:>9} {:>9} {:>9} {:>7} {:>9}", "route", "req/s", "us CPU", "bare CPU", "ratio", "bytes");
    for row in &rows {
        let ours = Load::new(server.address, &row.request);
        // The bare server's answer has about the length of ours, so the kernel does the same work.
        let plain = Serving::start(&["bare", &ours.length.to_string()]);
        let theirs = Load::new(plain.address, &row.request);
        let requests = (rounds * CONNECTIONS) as f64;
        let (mut rate, mut cpu, mut bare_cpu, mut ratio) = (vec![], vec![], vec![], vec![]);
        for _ in 0..samples {
            let before = cpu_of(server.process.id());
            let took = ours.run(rounds);
            let mine = (cpu_of(server.process.id()) - before) as f64 / requests / 1e3;
            let before = cpu_of(plain.process.id());
            theirs.run(rounds);
            let bare = (cpu_of(plain.process.id()) - before) as f64 / requests / 1e3;
            rate.push(requests / took.as_secs_f64());
            cpu.push(mine);
            bare_cpu.push(bare);
            ratio.push(mine / bare);
        }
        println!(
            "{:18} {:>9.0} {:>9.2} {:>9.2} {:>7.2} {:>9}",
            row.name,
            median(rate),
            median(cpu),
            median(bare_cpu),
            median(ratio),
            ours.length
        );
    }
}
